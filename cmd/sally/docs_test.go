package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

// docs/cli.md has a section for each verb; its synopsis names the verb's flags
// and no others, and the verb's own help has an example.
func TestDocsNameEachVerbAndFlag(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for section := range strings.SplitSeq(string(text), "\n## ") {
		title, body, _ := strings.Cut(section, "\n")
		sections[title] = body
	}
	flag, usage := regexp.MustCompile(`--([a-z][a-z-]*)`), regexp.MustCompile(`(?m)^ +(?:-\w, +)?--([a-z][a-z-]*)`)
	documented := map[string]bool{"For all verbs": true, "# sally, the engineer's command": true}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if c.HasSubCommands() || c.Name() == "help" {
			return
		}
		documented[c.CommandPath()] = true
		body, ok := sections[c.CommandPath()]
		if !ok {
			t.Errorf("docs/cli.md has no section %q", c.CommandPath())
			return
		}
		synopsis, _, _ := strings.Cut(strings.TrimSpace(body), "\n")
		var named, have []string
		for _, m := range flag.FindAllStringSubmatch(synopsis, -1) {
			named = append(named, m[1])
		}
		for _, m := range usage.FindAllStringSubmatch(c.LocalFlags().FlagUsages(), -1) {
			if m[1] != "help" {
				have = append(have, m[1])
			}
		}
		slices.Sort(named)
		slices.Sort(have)
		if named = slices.Compact(named); !slices.Equal(named, have) {
			t.Errorf("%s has flags %v, its synopsis names %v", c.CommandPath(), have, named)
		}
		if !strings.Contains(body, "\nExit codes: ") || !strings.Contains(body, "$ "+c.CommandPath()) {
			t.Errorf("the section %q lacks exit codes or an example", c.CommandPath())
		}
		if !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("the help of %s has no example", c.CommandPath())
		}
	}
	walk(newRoot(client.Env{}))
	for title := range sections {
		if !documented[title] {
			t.Errorf("docs/cli.md has a section %q for no verb", title)
		}
	}
}
