package client

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible returns s as one line that a terminal shows as it is: everything that
// would move the cursor, switch the terminal's state, change the reading
// direction or take no room is spelled out (\x1b, \u202e). Bytes that are not
// UTF-8 become \xNN. Escape sequences such as OSC 8 (links) and OSC 52
// (clipboard) lose the characters that start and end them.
func visible(s string) string { return spell(s, hidden) }

// spell spells out the characters that out names.
func spell(s string, out func(rune) bool) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !out(r):
			b.WriteString(s[i : i+size])
		case r == '\n':
			b.WriteString(`\n`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}

// visibleJSON does the same inside a JSON text: what has to be spelled out
// becomes a \u escape, so that the text keeps its meaning. Line breaks between
// values stay.
func visibleJSON(text []byte, spelled func(rune) bool) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == '\n' || !spelled(r):
			out = append(out, text[i:i+size]...)
		case r < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, r)
		default: // RFC 8259 §7: a surrogate pair
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
		i += size
	}
	return out
}

// hidden reports the characters that a reader does not see as themselves: C0,
// DEL and C1 controls, format characters (bidirectional and zero-width ones
// among them), line and paragraph separators, private use, and the rest of what
// Unicode lets a renderer leave out.
func hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r,
		unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
		unicode.Noncharacter_Code_Point)
}
