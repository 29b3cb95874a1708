package cmdtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// date stands in every man page. It is no time of building: a page is the same
// wherever and whenever it is made.
const date = "2026-11-25"

// Manual makes the man pages of a command from its page in docs/ and from its
// flags: one for the command and one for each verb, by file name.
func Manual(root *cobra.Command, path string) (map[string][]byte, error) {
	p, err := readPage(path)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	var list, also []string
	for _, c := range verbs(root) {
		body, ok := p.sections[c.CommandPath()]
		if !ok {
			return nil, fmt.Errorf("%s has no section %q", path, c.CommandPath())
		}
		out[manName(c)+".1"] = render(manName(c), 1, verbPage(root, c, body))
		list = append(list, fmt.Sprintf("**%s**(1)\n: %s", manName(c), c.Short))
		also = append(also, fmt.Sprintf("**%s**(1)", manName(c)))
	}
	name := root.Name()
	out[name+".1"] = render(name, 1, joined(
		"# NAME", name+" - "+lower(root.Short),
		"# SYNOPSIS", "`"+name+" VERB [FLAG…]`",
		"# DESCRIPTION", p.intro,
		"# VERBS", strings.Join(list, "\n\n"),
		"# "+strings.ToUpper(general), raised(p.sections[general]),
		"# SEE ALSO", strings.Join(also, ", "),
	))
	return out, nil
}

// Page makes a man page of a document of docs/ that is about no command.
func Page(name string, section int, about string, document []byte) ([]byte, error) {
	p, err := parsePage(document)
	if err != nil {
		return nil, err
	}
	parts := []string{"# NAME", name + " - " + about, "# DESCRIPTION", p.intro}
	for _, title := range p.order {
		parts = append(parts, "# "+strings.ToUpper(title), raised(p.sections[title]))
	}
	return render(name, section, joined(parts...)), nil
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// lower makes a sentence the rest of a line, but leaves abbreviations alone.
func lower(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' || len(s) > 1 && s[1] == ' ' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

func joined(parts ...string) string { return strings.Join(parts, "\n\n") }

// verbPage puts a verb's section into the order that man pages have.
func verbPage(root, c *cobra.Command, body string) string {
	var description, exit, examples []string
	blocks := blocksOf(body)
	for _, b := range blocks[1:] {
		switch {
		case strings.HasPrefix(b, "Exit codes: "):
			exit = append(exit, strings.TrimPrefix(b, "Exit codes: "))
		case strings.HasPrefix(b, "```\n$ "):
			examples = append(examples, b)
		default:
			description = append(description, b)
		}
	}
	parts := []string{
		"# NAME", manName(c) + " - " + lower(c.Short),
		"# SYNOPSIS", strings.ReplaceAll(blocks[0], "`, `", "`\n\n`"),
		"# DESCRIPTION", joined(description...),
	}
	if flags := flagList(c, blocks[0]); flags != "" {
		parts = append(parts, "# OPTIONS", flags)
	}
	parts = append(parts, "# EXIT STATUS", joined(exit...), "# EXAMPLES", joined(examples...), "# SEE ALSO", "**"+root.Name()+"**(1)")
	return raised(joined(parts...))
}

// blocksOf splits a text at empty lines outside of fenced code.
func blocksOf(text string) []string {
	var out []string
	var block []string
	fenced := false
	for line := range strings.SplitSeq(text+"\n\n", "\n") {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		switch {
		case line != "" || fenced:
			block = append(block, line)
		case len(block) > 0:
			out, block = append(out, strings.Join(block, "\n")), nil
		}
	}
	return out
}

// raised lifts what is a section of a page in docs/ to one of a man page, and
// leaves out what is for whoever edits the page.
func raised(text string) string {
	lines := strings.Split(text, "\n")
	fenced := false
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
		case fenced:
		case strings.HasPrefix(line, "### "):
			lines[i] = "## " + strings.ReplaceAll(line[len("### "):], "`", "")
		case strings.HasPrefix(line, "<!--"):
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// markdown keeps words of a flag's usage from being taken for marks.
var markdown = strings.NewReplacer("*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "`", "\\`")

// flagList lists all flags of a verb, with the placeholders of its synopsis.
func flagList(c *cobra.Command, synopsis string) string {
	var list []string
	add := func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "**--" + f.Name + "**"
		kind, usage := pflag.UnquoteUsage(f)
		if m := regexp.MustCompile(`--` + f.Name + ` ([A-Z][A-Z:=]*)`).FindStringSubmatch(synopsis); m != nil {
			kind = m[1]
		}
		if kind != "" {
			name += " *" + strings.ToUpper(kind) + "*"
		}
		if !slices.Contains([]string{"", "false", "0", "0s", "[]"}, f.DefValue) && !strings.Contains(usage, "default") {
			usage += " (default: " + f.DefValue + ")"
		}
		list = append(list, name+"\n: "+markdown.Replace(usage))
	}
	c.LocalFlags().VisitAll(add)
	c.InheritedFlags().VisitAll(add)
	return strings.Join(list, "\n\n")
}

func render(name string, section int, text string) []byte {
	head := fmt.Sprintf("%% %s %d %q %q %q\n\n", strings.ToUpper(name), section, date, "Sallyport", "Sallyport")
	return md2man.Render([]byte(head + text + "\n"))
}

// isPageOf tells whether a file is a man page of a command or of a verb of it.
func isPageOf(file, name string) bool {
	rest, ok := strings.CutPrefix(filepath.Base(file), name)
	return ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "-"))
}

// Keep compares the man pages in a folder with what they must be, and returns
// where they differ; with write it makes them so. A page of the command (its own,
// or name-…) that is not among them is one too many, but for those of other
// commands, whose names begin with this one's.
func Keep(dir, name string, pages map[string][]byte, write bool, others ...string) ([]string, error) {
	have, err := filepath.Glob(filepath.Join(dir, name+`[.\-]*`))
	if err != nil {
		return nil, err
	}
	var faults []string
	for _, file := range have {
		if _, ok := pages[filepath.Base(file)]; ok || slices.ContainsFunc(others, func(other string) bool { return isPageOf(file, other) }) {
			continue
		}
		if write {
			err = errors.Join(err, os.Remove(file))
		} else {
			faults = append(faults, file+" is about nothing; run `make generate`")
		}
	}
	for _, page := range slices.Sorted(maps.Keys(pages)) {
		file := filepath.Join(dir, page)
		if write {
			err = errors.Join(err, os.WriteFile(file, pages[page], 0o644)) //nolint:gosec // it is a document
			continue
		}
		text, err := os.ReadFile(file) //nolint:gosec // a test names the folder
		if err != nil || !bytes.Equal(text, pages[page]) {
			faults = append(faults, file+" is not what the code and its document make; run `make generate`")
		}
	}
	return faults, err
}
