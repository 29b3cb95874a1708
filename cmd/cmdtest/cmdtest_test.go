package cmdtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/cmdtest"
	"github.com/sallyport/sallyport/internal/lab"
)

const goodPage = "# tool, a tool\n\nIt is a tool.\n\n## For all verbs\n\nNothing.\n\n### The folder\n\n<!-- a note -->\nA folder.\n\n" +
	"## tool one\n\n`tool one FILE [--count N]`, `tool one --all`\n\nDoes one *thing*.\n\n```\n$ tool one x\n## no section\n```\n\nExit codes: 0, 1.\n\n" +
	"## tool more two\n\n`tool more two`\n\nDoes two.\n\n```\n$ tool more two\n```\n\nExit codes: 0.\n"

// tool is the command that goodPage is about.
func tool() *cobra.Command {
	run := func(*cobra.Command, []string) {}
	root := &cobra.Command{Use: "tool", Short: "A tool"}
	root.PersistentFlags().String("dir", "", "the `FOLDER` of all")
	one := &cobra.Command{Use: "one", Short: "Do one thing", Example: "  tool one x", Run: run}
	one.Flags().Int("count", 3, "how many_times *at most*")
	one.Flags().Bool("all", false, "all of them")
	more := &cobra.Command{Use: "more", Short: "More"}
	more.AddCommand(&cobra.Command{Use: "two", Short: "Do two things", Example: "  tool more two", Run: run})
	root.AddCommand(one, more)
	return root
}

func writePage(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCheckFindsFaults plants what the page or the command may lack.
func TestCheckFindsFaults(t *testing.T) {
	t.Parallel()
	page := func(old, with string) string { return strings.Replace(goodPage, old, with, 1) }
	for _, tt := range []struct {
		name, page string
		change     func(*cobra.Command)
		want       string // empty: good
	}{
		{"good", goodPage, nil, ""},
		{"no section", page("## tool one", "### tool one"), nil, `has no section "tool one"`},
		{"a section too many", goodPage + "\n## tool three\n\nx\n", nil, `a section "tool three" for no verb`},
		{"a flag missing", page(" [--count N]", ""), nil, "tool one has flags [all count], its synopsis names [all]"},
		{"a flag too many", page("[--count N]", "[--count N] [--most N]"), nil, "its synopsis names [all count most]"},
		{"no exit codes", page("\nExit codes: 0, 1.\n", ""), nil, `"tool one" lacks exit codes or an example`},
		{"no example", page("$ tool one x", "$ tool"), nil, `"tool one" lacks exit codes or an example`},
		{"no example in the help", goodPage, func(c *cobra.Command) { c.Commands()[0].Commands()[0].Example = "" }, "the help of tool more two has no example"},
		{"a sentence as short help", goodPage, func(c *cobra.Command) { c.Commands()[1].Short = "Does one." }, "tool one has no short help, or one with a full stop"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := tool()
			if tt.change != nil {
				tt.change(root)
			}
			faults, err := cmdtest.Check(root, writePage(t, tt.page))
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(faults, "\n"); (tt.want == "") != (all == "") || !strings.Contains(all, tt.want) {
				t.Errorf("%q, want %q", all, tt.want)
			}
		})
	}
	if _, err := cmdtest.Check(tool(), filepath.Join(t.TempDir(), "none.md")); err == nil {
		t.Error("a page that is not there is good")
	}
}

// lint runs mandoc over man pages and returns what it has to say.
func lint(t *testing.T, files ...string) string {
	t.Helper()
	mandoc, err := lab.FindProgram("mandoc")
	if err != nil {
		t.Fatal(err)
	}
	out, _ := exec.CommandContext(t.Context(), mandoc, append([]string{"-T", "lint", "-W", "warning"}, files...)...).CombinedOutput() // its exit code says what out says
	return string(out)
}

// TestManualIsWhole makes man pages and reads them with mandoc.
func TestManualIsWhole(t *testing.T) {
	t.Parallel()
	pages, err := cmdtest.Manual(tool(), writePage(t, goodPage))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if faults, err := cmdtest.Keep(dir, "tool", pages, true, "tool-kit"); err != nil || faults != nil {
		t.Fatal(faults, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	if found := lint(t, files...); found != "" {
		t.Error(found)
	}
	for name, want := range map[string][]string{
		"tool.1":          {"tool - a tool", "tool VERB [FLAG…]", "It is a tool.", "tool-one(1)", "Do one thing", "FOR ALL VERBS", "The folder", "A folder.", "tool-more-two(1)"},
		"tool-one.1":      {"tool-one - do one thing", "tool one FILE [--count N]", "Does one thing.", "--count N", "how many_times *at most* (default: 3)", "--dir FOLDER", "0, 1.", "$ tool one x", "## no section", "tool(1)"},
		"tool-more-two.1": {"tool-more-two - do two things", "Does two."},
	} {
		shown, err := exec.CommandContext(t.Context(), "mandoc", "-T", "utf8", filepath.Join(dir, name)).Output()
		if err != nil {
			t.Fatal(err)
		}
		text := plain(shown)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not show %q:\n%s", name, w, text)
			}
		}
		if strings.Contains(text, "a note") {
			t.Errorf("%s shows a note to editors", name)
		}
	}
	pages["tool-one.1"] = append(pages["tool-one.1"], "\\fQ.XX nothing\n"...)
	if _, err := cmdtest.Keep(dir, "tool", pages, true, "tool-kit"); err != nil {
		t.Fatal(err)
	}
	if found := lint(t, filepath.Join(dir, "tool-one.1")); found == "" {
		t.Error("mandoc takes junk for a man page")
	}
}

// plain takes the overstriking out of what mandoc shows, and runs of white space.
func plain(shown []byte) string {
	var out []rune
	for _, r := range string(shown) {
		if r == '\b' && len(out) > 0 {
			out = out[:len(out)-1]
		} else {
			out = append(out, r)
		}
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// TestKeep compares a folder with pages.
func TestKeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pages := map[string][]byte{"tool.1": []byte("a"), "tool-one.1": []byte("b")}
	check := func(want ...string) {
		t.Helper()
		faults, err := cmdtest.Keep(dir, "tool", pages, false, "tool-kit")
		if err != nil || len(faults) != len(want) {
			t.Fatalf("%v, %v, want %v", faults, err, want)
		}
		for i := range want {
			if !strings.Contains(faults[i], want[i]) {
				t.Errorf("%s, want %s", faults[i], want[i])
			}
		}
	}
	write := func() {
		t.Helper()
		if _, err := cmdtest.Keep(dir, "tool", pages, true, "tool-kit"); err != nil {
			t.Fatal(err)
		}
	}
	check("tool-one.1 is not what", "tool.1 is not what")
	write()
	check()
	for name, text := range map[string]string{"tool-old.1": "x", "toolbox.1": "x", "tool-kit.1": "x", "tool-kit-one.1": "x", "tool.1": "changed"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check("tool-old.1 is about nothing", "tool.1 is not what")
	write()
	check()
	for _, other := range []string{"toolbox.1", "tool-kit.1", "tool-kit-one.1"} {
		if _, err := os.Stat(filepath.Join(dir, other)); err != nil {
			t.Errorf("another command's page: %v", err)
		}
	}
}

// TestManPages has mandoc read the pages that are checked in.
func TestManPages(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/man/*")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	if found := lint(t, files...); found != "" {
		t.Error(found)
	}
}
