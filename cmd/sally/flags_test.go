package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport/sallyport/client"
)

// eachVerb calls do for every verb that does something.
func eachVerb(root *cobra.Command, do func(*cobra.Command)) {
	for _, c := range root.Commands() {
		eachVerb(c, do)
		if !c.HasSubCommands() || c.Flags().Lookup("json") != nil {
			do(c)
		}
	}
}

// refused runs a command line that must not be understood and returns what it says.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	var out, err bytes.Buffer
	env := map[string]string{"HOME": t.TempDir(), "LC_ALL": "C.UTF-8"}
	code := run(args, strings.NewReader(""), &out, &err, func(name string) string { return env[name] })
	text := err.String()
	if code != client.ExitUsage || out.Len() > 0 || strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "sally: ") {
		t.Errorf("sally %q: exit code %d, %q, %q", args, code, out.String(), text)
	}
	return text
}

// TestEveryFlagIsStrict: whatever a flag's value means, it is one plain text, given
// once. Each refusal names the flag and what to read.
func TestEveryFlagIsStrict(t *testing.T) {
	t.Parallel()
	seen := 0
	eachVerb(newRoot(client.Env{}), func(c *cobra.Command) {
		verb := strings.Fields(c.CommandPath())[1:]
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			v, ok := f.Value.(*value)
			if !ok {
				t.Errorf("--%s of %s is a %T; add it with a function of flags.go", f.Name, c.CommandPath(), f.Value)
				return
			}
			seen++
			flag, help := "--"+f.Name, "; see "+c.CommandPath()+" --help\n"
			good := "x"
			if v.kind == "bool" {
				good = "false"
			}
			for _, tt := range []struct{ name, arg, want string }{
				{"empty", "=", ": it is empty; give it a value"},
				{"an escape", "=a\x1b[2J", ": it holds the invisible character U+001B; type it as one line of plain text"},
				{"a line break", "=a\nb", ": it holds the invisible character U+000A"},
				{"a tab", "=\t", ": it holds the invisible character U+0009"},
				{"a direction", "=a\u202e", ": it holds the invisible character U+202E"},
				{"zero width", "=a\u200b", ": it holds the invisible character U+200B"},
				{"no UTF-8", "=a\xff", ": it is not UTF-8 text"},
				{"too long", "=" + strings.Repeat("x", v.most+1), fmt.Sprintf(": %d bytes, at most %d", v.most+1, v.most)},
			} {
				text := refused(t, append(verb, flag+tt.arg)...)
				if !strings.HasPrefix(text, "sally: "+flag) || !strings.Contains(text, tt.want) || !strings.HasSuffix(text, help) {
					t.Errorf("%s with %s: %q", c.CommandPath(), tt.name, text)
				}
			}
			// A value that the flag does not take is refused first; the rest, twice.
			if text := refused(t, append(verb, flag+"="+good, flag+"="+good)...); !strings.Contains(text, flag+": it is given twice; give it once") && !strings.Contains(text, flag+` "x": `) {
				t.Errorf("%s twice: %q", c.CommandPath(), text)
			}
			if v.kind == "bool" {
				if text := refused(t, append(verb, flag+"=2")...); !strings.Contains(text, flag+` "2": true or false`) {
					t.Errorf("%s is %q", flag, text)
				}
				return
			}
			if text := refused(t, append(verb, flag)...); !strings.Contains(text, flag+": a value must follow it (") || !strings.HasSuffix(text, help) {
				t.Errorf("%s without a value: %q", c.CommandPath(), text)
			}
		})
		if text := refused(t, append(verb, "--no-such-flag")...); !strings.Contains(text, "--no-such-flag: "+c.CommandPath()+" has no such flag") {
			t.Errorf("%s: %q", c.CommandPath(), text)
		}
	})
	if seen < 30 {
		t.Errorf("%d flags were tried", seen)
	}
}

// Long words are not repeated whole, and what is invisible in them is shown.
func TestRefusalsAreShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for _, args := range [][]string{{long}, {"--" + long}, {"whoami", long}, {"completion", long}, {"help", long}, {"list", "--" + long}} {
		if text := refused(t, args...); len(text) > 300 {
			t.Errorf("%d bytes: %.100q...", len(text), text)
		}
	}
	for _, args := range [][]string{{"a\x1b[2J"}, {"--a\u202e"}, {"whoami", "a\nb"}, {"help", "\x9b"}} {
		if text := refused(t, args...); strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\x1b\u202e\n") || !utf8.ValidString(text) {
			t.Errorf("%q", text)
		}
	}
}

// TestUsageErrorsAsJSON: --json holds wherever it stands before --.
func TestUsageErrorsAsJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want bool
	}{
		{[]string{"list", "--json", "--limit", "x"}, true},
		{[]string{"list", "--limit", "x", "--json"}, true},
		{[]string{"list", "--limit", "x", "--json=1"}, true},
		{[]string{"list", "--limit", "x", "--json=false"}, false},
		{[]string{"list", "--limit", "x"}, false},
		{[]string{"ledger", "show", "--json"}, true},
		{[]string{"ledger", "bogus", "--json"}, false},
		{[]string{"logout", "--json"}, false},
		{[]string{"list", "--limit", "x", "--", "--json"}, false},
	} {
		var out, stderr bytes.Buffer
		home := t.TempDir()
		run(tt.args, strings.NewReader(""), &out, &stderr, func(string) string { return home })
		var got struct {
			V     string
			Error struct{ Code int }
		}
		err := json.Unmarshal(stderr.Bytes(), &got)
		if (err == nil) != tt.want || (tt.want && (got.V != "sally/v1" || got.Error.Code != 2)) || out.Len() > 0 {
			t.Errorf("sally %v says %q", tt.args, stderr.String())
		}
	}
}

func TestSlips(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"abc", "abc", 0},
		{"abc", "", 3},
		{"", "ab", 2},
		{"abc", "acb", 1},
		{"abc", "abd", 1},
		{"abc", "ab", 1},
		{"kitten", "sitting", 3},
		{strings.Repeat("a", 100), "a", 64},
	} {
		if got := slips(tt.a, tt.b); got != tt.want {
			t.Errorf("from %.10q to %q: %d slips, want %d", tt.a, tt.b, got, tt.want)
		}
	}
	if got := didYouMean("ab", map[string]string{"cd": "sally cd"}); got != "" {
		t.Errorf("two other letters mean %q", got)
	}
}

// TestListFlags: a flag that is a list takes each value once, and not without end.
func TestListFlags(t *testing.T) {
	t.Parallel()
	verify := []string{"audit", "verify", "x"}
	if text := refused(t, append(verify, "--waive=leaf:1", "--waive=leaf:2", "--waive=leaf:1")...); !strings.Contains(text, "--waive: it is given twice; give it once; see sally audit verify --help") {
		t.Error(text)
	}
	keys := verify
	for i := range 9 {
		keys = append(keys, fmt.Sprintf("--log-key=k%d", i))
	}
	if text := refused(t, keys...); !strings.Contains(text, "--log-key: given more than 8 times; see sally audit verify --help") {
		t.Error(text)
	}
	if text := refused(t, append(verify, "--waive=leaf:1", "--waive=leaf:2")...); !strings.Contains(text, "say whose ledger it is: --pin FILE") {
		t.Error(text)
	}
	if text := refused(t, "audit", "verify"); !strings.Contains(text, "BUNDLE: name the file") {
		t.Error(text)
	}
	if text := refused(t, "audit", "verfy"); !strings.Contains(text, `sally audit has no verb "verfy"`) {
		t.Error(text)
	}
}
