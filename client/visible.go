package client

import (
	"fmt"
	"unicode/utf16"

	"github.com/sallyport/sallyport/canon"
)

// visible returns s as one line that a terminal shows as it is: everything that
// would move the cursor, switch the terminal's state, change the reading
// direction or take no room is spelled out (\x1b, \u202e). Bytes that are not
// UTF-8 become \xNN. Escape sequences such as OSC 8 (links) and OSC 52
// (clipboard) lose the characters that start and end them.
func visible(s string) string { return canon.Visible(s) }

// spell spells out the characters that out names.
func spell(s string, out func(rune) bool) string { return canon.Spell(s, out, canon.Escape) }

// visibleJSON does the same inside a JSON text: what has to be spelled out
// becomes a \u escape, so that the text keeps its meaning. Line breaks between
// values stay.
func visibleJSON(text []byte, spelled func(rune) bool) []byte {
	out := func(r rune) bool { return r != '\n' && spelled(r) }
	return []byte(canon.Spell(string(text), out, func(_ string, r rune) string {
		if r < 0x10000 {
			return fmt.Sprintf(`\u%04x`, r)
		}
		high, low := utf16.EncodeRune(r) // RFC 8259 §7: a surrogate pair
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}))
}
