package client

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/lab/payloads"
)

func TestLocale(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		vars map[string]string
		want bool
	}{
		{"none", nil, false},
		{"C", map[string]string{"LANG": "C"}, false},
		{"POSIX", map[string]string{"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, false},
		{"Latin 1", map[string]string{"LANG": "de_DE.ISO-8859-1"}, false},
		{"Latin 9 by modifier", map[string]string{"LANG": "de_DE@euro"}, false},
		{"UTF-8", map[string]string{"LANG": "en_US.UTF-8"}, true},
		{"utf8", map[string]string{"LANG": "en_US.utf8"}, true},
		{"with a modifier", map[string]string{"LANG": "ca_ES.UTF-8@valencia"}, true},
		{"LC_CTYPE over LANG", map[string]string{"LC_CTYPE": "en_US.UTF-8", "LANG": "C"}, true},
		{"LC_ALL over LC_CTYPE", map[string]string{"LC_ALL": "C.UTF-8", "LC_CTYPE": "C"}, true},
		{"an empty LC_ALL is none", map[string]string{"LC_ALL": "", "LANG": "C.UTF-8"}, true},
		{"macOS", map[string]string{"LC_CTYPE": "UTF-8"}, true},
	} {
		e := Env{Getenv: func(name string) string { return tt.vars[name] }}
		if got := e.utf8(); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

// Where the locale is not UTF-8 nothing but ASCII reaches the terminal, on any way:
// the bytes of other characters may be commands to it.
func TestPromiseP16_OnlyASCIIWithoutUTF8(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.withEnv("LC_ALL", "de_DE.ISO-8859-1")
	for _, text := range append(payloads.Texts(), "Alice Ampère, §2") {
		e.say("%s", text)
		if err := e.print(text); err != nil {
			t.Fatal(err)
		}
		if err := e.printTable(table{heading: []string{"a"}, rows: [][]string{{text}}}); err != nil {
			t.Fatal(err)
		}
		if err := e.printJSON(map[string]string{"reason": text}); err != nil {
			t.Fatal(err)
		}
		Report(e, Usagef("%s", text))
		ReportJSON(e, Usagef("%s", text))
		newProgress(e).show(0, text)
	}
	if at := strings.IndexFunc(w.stdout()+w.stderr(), func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }); at >= 0 {
		t.Errorf("not ASCII: %q", (w.stdout() + w.stderr())[at:][:20])
	}
	if !strings.Contains(w.stdout(), `Amp\xe8re, \xa72`) || !strings.Contains(w.stdout(), `"Alice Amp\u00e8re, \u00a72"`) {
		t.Errorf("printed %s", w.stdout())
	}
	for _, r := range []Result{Passed, Failed, Unknown} {
		if m := mark(e, r); strings.ContainsFunc(m, func(r rune) bool { return r > '~' }) {
			t.Errorf("the mark of %s is %q", r, m)
		}
	}
}

func TestCells(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "abc": 3, "é": 1, "e\u0301": 1, "日本": 4, "Ｆ": 2, "§": 1, "😀": 2} {
		if got := cells(text); got != want {
			t.Errorf("%q takes %d columns, want %d", text, got, want)
		}
	}
	for _, tt := range []struct {
		text string
		most int
		want string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdef", 5, "ab..."},
		{"日本語", 6, "日本語"},
		{"日本語", 5, "日..."},
		{"日本語", 4, "..."},
		{"abcdef", 2, ".."},
		{"abcdef", 0, ""},
	} {
		if got := clipped(tt.text, tt.most); got != tt.want || cells(got) > tt.most {
			t.Errorf("%q in %d columns is %q, want %q", tt.text, tt.most, got, tt.want)
		}
	}
}

func TestWrapped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		most int
		want []string
	}{
		{"", 10, []string{""}},
		{"one two", 10, []string{"one two"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one two three", 6, []string{"one", "two", "three"}},
		{"averylongword and", 5, []string{"averylongword", "and"}},
		{"日本 語日 本", 9, []string{"日本 語日", "本"}},
	} {
		if got := wrapped(tt.text, tt.most); !slices.Equal(got, tt.want) {
			t.Errorf("%q in %d columns is %q, want %q", tt.text, tt.most, got, tt.want)
		}
	}
}

// A row is a line wherever no terminal is: programs and pagers read it.
func TestTableInAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := w.printTable(table{heading: []string{"a", "b"}, rows: [][]string{{"1\n2", "x"}, {strings.Repeat("long", 50), "y"}, {"3", ""}}})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(w.stdout(), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[0], `1\n2 `) || !strings.HasSuffix(lines[0], " x") || lines[2] != "3" {
		t.Errorf("printed %q", lines)
	}
}
