package canon_test

import (
	"fmt"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/payloads"
)

func spelled(text string, r rune) string { return fmt.Sprintf("<%x %U>", text, r) }

func TestSpell(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "Zoë, नमस्ते สวัสดี שלום", "Zoë, नमस्ते สวัสดี שלום"},
		{"hidden", "a\u202eb", "a<e280ae U+202E>b"},
		{"no UTF-8", "a\xffb", "a<ff U+FFFD>b"},
		{"the sign for it", "a\ufffdb", "a\ufffdb"},
		{"four marks", "a\u0300\u0301\u0300\u0301b", "a\u0300\u0301\u0300\u0301b"},
		{"a fifth", "a\u0300\u0301\u0300\u0301\u0300b\u0300", "a\u0300\u0301\u0300\u0301<cc80 U+0300>b\u0300"},
		{"a mark on nothing", "\u0338=", "<ccb8 U+0338>="},
		{"marks between what is spelled", "a\u0300\u0300\u200b\u0300\u0300\u0300", "a\u0300\u0300<e2808b U+200B>\u0300\u0300<cc80 U+0300>"},
	} {
		if got := canon.Spell(tt.in, canon.Hidden, spelled); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Every payload comes out of it as a text that a reader sees whole.
func TestPromiseP16_SpelledIsSeen(t *testing.T) {
	t.Parallel()
	for _, p := range payloads.All() {
		got := canon.Spell(p.Text, canon.Hidden, spelled)
		if err := payloads.Seen(got); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		first, _ := utf8.DecodeRuneInString(p.Text)
		if payloads.Seen(p.Text) == nil && !unicode.Is(unicode.Mn, first) && got != p.Text {
			t.Errorf("%s: %q became %q", p.Name, p.Text, got)
		}
	}
	for _, s := range payloads.Plain() {
		if got := canon.Spell(s, canon.Hidden, spelled); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}
