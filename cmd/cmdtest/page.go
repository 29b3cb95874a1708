// Package cmdtest holds a command's page in docs/ to the command, and makes its
// man pages from both. It is for tests.
package cmdtest

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// general is the section that is about no verb.
const general = "For all verbs"

// page is a document of a command: an introduction, what holds for all verbs, and
// a section for each verb.
type page struct {
	intro    string
	sections map[string]string // by title
	order    []string          // of the titles
}

func readPage(path string) (page, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a test names the page
	if err != nil {
		return page{}, err
	}
	p, err := parsePage(text)
	if err != nil {
		return page{}, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

func parsePage(text []byte) (page, error) {
	p := page{sections: map[string]string{}}
	var title string
	var body []string
	end := func() {
		if text := strings.TrimSpace(strings.Join(body, "\n")); len(p.order) == 0 {
			p.intro = text
		} else {
			p.sections[title] = text
		}
		body = nil
	}
	fenced := false
	for line := range strings.SplitSeq(string(text), "\n") {
		switch name, heading := strings.CutPrefix(line, "## "); {
		case heading && !fenced:
			end()
			title = name
			p.order = append(p.order, name)
		case strings.HasPrefix(line, "# ") && !fenced:
		default:
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			body = append(body, line)
		}
	}
	end()
	if p.intro == "" || len(p.order) == 0 {
		return page{}, errors.New("no introduction or no sections")
	}
	return p, nil
}

// verbs lists the commands below root that do something.
func verbs(root *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range root.Commands() {
		switch {
		case sub.Name() == "help", sub.Name() == "completion" && sub.HasSubCommands(): // cobra's own
		case sub.HasSubCommands():
			if doesSomething(sub) {
				out = append(out, sub)
			}
			out = append(out, verbs(sub)...)
		default:
			out = append(out, sub)
		}
	}
	return out
}

// doesSomething reports whether a group of verbs is a verb itself: it has flags of
// its own.
func doesSomething(group *cobra.Command) bool {
	own := false
	group.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { own = own || f.Name != "help" && f.Name != "version" })
	return own
}

var (
	flagInText  = regexp.MustCompile(`--([a-z][a-z-]*)`)
	flagInUsage = regexp.MustCompile(`(?m)^ +(?:-\w, +)?--([a-z][a-z-]*)`)
)

// Check returns where the page at path and the command differ: each verb has a
// section whose synopsis names the verb's flags and no others, exit codes and an
// example; its own help has an example, too; and no section is about nothing.
func Check(root *cobra.Command, path string) ([]string, error) {
	p, err := readPage(path)
	if err != nil {
		return nil, err
	}
	var faults []string
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	documented := map[string]bool{general: true}
	for _, c := range verbs(root) {
		documented[c.CommandPath()] = true
		body, ok := p.sections[c.CommandPath()]
		if !ok {
			fault("%s has no section %q", path, c.CommandPath())
			continue
		}
		named, have := flagsOf(body, c)
		if !slices.Equal(named, have) {
			fault("%s has flags %v, its synopsis names %v", c.CommandPath(), have, named)
		}
		if !strings.Contains(body, "\nExit codes: ") || !strings.Contains(body, "$ "+c.CommandPath()) {
			fault("the section %q lacks exit codes or an example", c.CommandPath())
		}
		if !strings.Contains(c.Example, c.CommandPath()) {
			fault("the help of %s has no example", c.CommandPath())
		}
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			fault("%s has no short help, or one with a full stop", c.CommandPath())
		}
	}
	for name := range p.sections {
		if !documented[name] {
			fault("%s has a section %q for no verb", path, name)
		}
	}
	slices.Sort(faults)
	return faults, nil
}

// flagsOf returns the flags that a section's synopsis names, and those that the
// verb has, both sorted.
func flagsOf(body string, c *cobra.Command) (named, have []string) {
	synopsis, _, _ := strings.Cut(body, "\n")
	for _, m := range flagInText.FindAllStringSubmatch(synopsis, -1) {
		named = append(named, m[1])
	}
	for _, m := range flagInUsage.FindAllStringSubmatch(c.LocalFlags().FlagUsages(), -1) {
		if m[1] != "help" {
			have = append(have, m[1])
		}
	}
	slices.Sort(named)
	slices.Sort(have)
	return slices.Compact(named), have
}
