package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/lab/payloads"
)

// Each payload as a value of each flag, as an argument, as a verb and as a flag of
// each verb: sally says one clean sentence and does nothing. Nobody is logged in.
func TestPromiseP16_CommandLines(t *testing.T) {
	home := t.TempDir()
	t.Chdir(home) // some make the folder that they are given; alone, so not in parallel
	env := func(name string) string { return map[string]string{"HOME": home, "LC_ALL": "C.UTF-8"}[name] }
	try := func(what string, args ...string) {
		t.Helper()
		var out, err bytes.Buffer
		code := run(args, strings.NewReader(""), &out, &err, env)
		if code == client.ExitOK || out.Len() > 0 || strings.Count(err.String(), "\n") != 1 {
			t.Errorf("%s: exit code %d, %q, %q", what, code, out.String(), err.String())
		}
		if err := payloads.Terminal(err.String()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	var lines [][]string
	eachVerb(newRoot(client.Env{}), func(c *cobra.Command) {
		if c.Name() == "completion" || c.Parent().Name() == "completion" || c.Name() == "version" {
			return // they print scripts and constants of ours, whoever runs them
		}
		verb := slices.Clip(strings.Fields(c.CommandPath())[1:])
		lines = append(lines, append(verb, "--", "%"), append(verb, "--%"), append(verb, "-%"))
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				lines = append(lines, append(verb, "--"+f.Name+"=%"))
			}
		})
	})
	lines = append(lines, []string{"%"}, []string{"ledger", "%"}, []string{"help", "%"})
	for _, p := range payloads.All() {
		for _, line := range lines {
			args := make([]string, len(line))
			for i, word := range line {
				args[i] = strings.Replace(word, "%", p.Text, 1)
			}
			try(strings.Join(line, " ")+" with "+p.Name, args...)
		}
	}
}
