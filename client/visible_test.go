package client

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
)

func TestPromiseP16_NothingReachesATerminalUnseen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in, want string
	}{
		{"plain text stays", "disk full on db1, grüße 日本 😀", "disk full on db1, grüße 日本 😀"},
		{"colour", "\x1b[31mdenied\x1b[0m", `\x1b[31mdenied\x1b[0m`},
		{"OSC 8 link, BEL", "\x1b]8;;https://evil.example\x07ok\x1b]8;;\x07", `\x1b]8;;https://evil.example\x07ok\x1b]8;;\x07`},
		{"OSC 8 link, ST", "\x1b]8;;https://evil.example\x1b\\ok", `\x1b]8;;https://evil.example\x1b\ok`},
		{"OSC 52 clipboard", "\x1b]52;c;cm0gLXJmIH4K\x07", `\x1b]52;c;cm0gLXJmIH4K\x07`},
		{"C1 CSI and OSC as UTF-8", "\u009b2J\u009d52;c;x\u009c", `\x9b2J\x9d52;c;x\x9c`},
		{"C1 CSI as a bare byte", "\x9b2J", `\x9b2J`},
		{"line break", "granted\nsally: denied", `granted\nsally: denied`},
		{"carriage return, backspace, tab", "no\ryes\b\b\t", `no\x0dyes\x08\x08\x09`},
		{"DEL", "a\x7fb", `a\x7fb`},
		{"NUL", "a\x00b", `a\x00b`},
		{"right-to-left override", "\u202etxt.exe", `\u202etxt.exe`},
		{"isolates", "\u2066a\u2069", `\u2066a\u2069`},
		{"zero width", "a\u200bb\u200dc\ufeffd\u2060e", `a\u200bb\u200dc\ufeffd\u2060e`},
		{"soft hyphen", "a\u00adb", `a\xadb`},
		{"line separator", "a\u2028b\u2029c", `a\u2028b\u2029c`},
		{"tag characters", "a\U000e0061b", `a\U000e0061b`},
		{"Hangul filler", "a\u3164b", `a\u3164b`},
		{"variation selector", "a\ufe0fb", `a\ufe0fb`},
		{"private use", "a\ue000b", `a\ue000b`},
		{"not UTF-8", "a\xff\xfeb", `a\xff\xfeb`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := visible(tt.in); got != tt.want {
				t.Errorf("visible(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

// hostile draws texts that are rich in what visible must catch.
func hostile() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOf(rapid.OneOf(
			rapid.String(),
			rapid.SampledFrom([]string{"\x1b]52;c;", "\x07", "\u009b", "\u202e", "\u200b", "\U000e0041", "\U0010ffff", "\n", "\xc2", "\"", "\\"}),
		)).Draw(t, "parts")
		return strings.Join(parts, "")
	})
}

func TestVisibleLeavesNothingHidden(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		got := visible(hostile().Draw(t, "text"))
		if !utf8.ValidString(got) || strings.ContainsFunc(got, canon.Hidden) {
			t.Fatalf("still hidden: %q", got)
		}
		if visible(got) != got {
			t.Fatalf("a second pass changes %q", got)
		}
	})
}

func TestVisibleJSONKeepsItsMeaning(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := strings.ToValidUTF8(hostile().Draw(t, "text"), "?")
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(map[string]string{"reason": in}); err != nil {
			t.Fatal(err)
		}
		text := visibleJSON(b.Bytes(), canon.Hidden)
		if strings.ContainsFunc(strings.ReplaceAll(string(text), "\n", ""), canon.Hidden) {
			t.Fatalf("still hidden: %q", text)
		}
		var out map[string]string
		if err := json.Unmarshal(text, &out); err != nil || out["reason"] != in {
			t.Fatalf("%q became %q: %v", in, out["reason"], err)
		}
	})
}

// What a server or a person writes comes out of every way to print.
func TestPromiseP16_EveryWayOutIsVisible(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]52;c;eA==\x07\u202e\u009b"
	w := newWorld(t)
	w.say("%s", evil)
	if err := w.print(evil); err != nil {
		t.Fatal(err)
	}
	if err := w.printJSON(api.Request{Reason: evil}); err != nil {
		t.Fatal(err)
	}
	Report(w.Env, problem(api.Problem{Type: "/problems/forbidden", Detail: evil}))
	newProgress(w.Env).show(0, evil)
	v := verification{entry: api.EntryProof{Entry: api.Entry{Leaf: evil + "\n" + evil, Facts: `{"a":"` + "\u202e" + `"}`}}}
	if err := v.run(); err == nil {
		t.Error("a verification without a pin ran")
	}
	v.fail("leaf", "%s", evil)
	if err := v.print(w.Env); err != nil {
		t.Fatal(err)
	}
	all := w.stdout() + w.stderr()
	if strings.ContainsFunc(strings.ReplaceAll(all, "\n", ""), canon.Hidden) {
		t.Errorf("hidden characters in %q", all)
	}
	for _, want := range []string{`\x1b]52;c;eA==\x07`, `\u202e`, `\x9b`, `\u009b`} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in %q", want, all)
		}
	}
}
