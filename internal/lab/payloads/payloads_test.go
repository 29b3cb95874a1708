package payloads_test

import (
	"testing"
	"unicode"

	"github.com/sallyport/sallyport/internal/lab/payloads"
)

func TestPayloads(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	all := payloads.All()
	for _, p := range all {
		if p.Name == "" || p.Text == "" || seen[p.Name] || seen[p.Text] {
			t.Errorf("%q: without a name or a text, or there twice", p.Name)
		}
		seen[p.Name], seen[p.Text] = true, true
	}
	if len(all) < 60 {
		t.Errorf("%d payloads", len(all))
	}
	for _, s := range payloads.Plain() {
		if err := payloads.Seen(s); err != nil {
			t.Error(err)
		}
	}
}

// What is ignorable by the tables of the standard library is in the table here.
func TestUnseen(t *testing.T) {
	t.Parallel()
	for r := range rune(unicode.MaxRune + 1) {
		if unicode.In(r, unicode.Cc, unicode.Co, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Variation_Selector, unicode.Noncharacter_Code_Point) && !payloads.Unseen(r) {
			t.Errorf("%U counts as seen", r)
		}
		if unicode.In(r, unicode.L, unicode.N, unicode.P, unicode.S) && payloads.Unseen(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) {
			t.Errorf("%U counts as unseen", r)
		}
	}
}

// Each oracle notices what it is for.
func TestOraclesNotice(t *testing.T) {
	t.Parallel()
	page := `<p class="a1">hello <b>Bob</b><input name="minutes" value="10"></p>`
	for _, tt := range []struct {
		name string
		err  error
	}{
		{"escape", payloads.Terminal("a\x1b[2J\n")},
		{"open line", payloads.Terminal("a")},
		{"carriage return", payloads.Terminal("a\r\n")},
		{"a bare byte", payloads.Terminal("a\x9b\n")},
		{"C1", payloads.Terminal("a\u009b\n")},
		{"override", payloads.Terminal("a\u202e\n")},
		{"marks", payloads.Terminal("a\u0300\u0301\u0300\u0301\u0300\n")},
		{"formula", payloads.CSV("a,=1\r\n", 1, 2)},
		{"full-width formula", payloads.CSV("a,＝1\r\n", 1, 2)},
		{"formula behind a semicolon", payloads.CSV("a,b; =1\r\n", 1, 2)},
		{"a cell more", payloads.CSV("a,b,c\r\n", 1, 2)},
		{"a row more", payloads.CSV("a,b\r\nc,d\r\n", 1, 2)},
		{"a line in a cell", payloads.CSV("a,\"b\r\nc\"\r\n", 1, 2)},
		{"no JSON", payloads.Log("level=INFO\n", "level")},
		{"a member more", payloads.Log(`{"level":"INFO","x":1}`+"\n", "level")},
		{"a payload", payloads.Log(`{"level":"<script>alert(1)</script>"}`+"\n", "level")},
		{"an element", payloads.Twin(`<p class="a2">hello <b>Bob</b><i></i><input name="minutes" value="10"></p>`, page)},
		{"an element less", payloads.Twin(`<p class="a2">hello Bob<input name="minutes" value="10"></p>`, page)},
		{"an attribute", payloads.Twin(`<p class="a2" onclick="x">hello <b>Bob</b><input name="minutes" value="10"></p>`, page)},
		{"another value", payloads.Twin(`<p class="b">hello <b>Bob</b><input name="minutes" value="10"></p>`, page)},
		{"a comment", payloads.Twin(`<p class="a2">hello <b>Bob</b><input name="minutes" value="10"></p><!-- x -->`, page)},
		{"an override in a page", payloads.Twin("<p class=\"a2\">hello <b>\u202eBob</b><input name=\"minutes\" value=\"10\"></p>", page)},
		{"not spelled", payloads.Spelled("ab", "a\u202eb")},
	} {
		if tt.err == nil {
			t.Errorf("%s: not noticed", tt.name)
		}
	}
	for _, err := range []error{
		payloads.Terminal("Zoë, 日本\nb\n"), payloads.CSV("a,'=1\r\n", 1, 2), payloads.Log(`{"level":"INFO"}`+"\n", "level"),
		payloads.Twin(`<p class="a77">hi <b>&lt;i&gt;</b><input name="minutes" value="x"></p>`, page), payloads.Spelled("a⟨U+202E⟩b", "a\u202eb"),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}
