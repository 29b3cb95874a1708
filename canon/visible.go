package canon

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many marks may stand on one character. Living languages use up
// to four; more cover the lines above and below.
const maxMarks = 4

// Hidden reports the characters that a reader does not see as themselves: C0, DEL
// and C1 controls, format characters (bidirectional and zero-width ones among
// them), line and paragraph separators, private use, and the rest of what Unicode
// lets a renderer leave out.
func Hidden(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r,
		unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector,
		unicode.Noncharacter_Code_Point)
}

// Spell returns s with everything written by write that hide names, and also the
// marks that stand on nothing or pile up on one character. Bytes that are no UTF-8
// are given to write one by one, with utf8.RuneError.
func Spell(s string, hide func(rune) bool, write func(text string, r rune) string) string {
	var b strings.Builder
	b.Grow(len(s))
	marks := maxMarks // at the start there is nothing that a mark could stand on
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		text := s[i : i+size]
		isMark := unicode.In(r, unicode.Mn, unicode.Me)
		if bad := r == utf8.RuneError && size == 1; bad || hide(r) || (isMark && marks == maxMarks) {
			text = write(text, r)
		} else if isMark {
			marks++
		} else {
			marks = 0
		}
		b.WriteString(text)
		i += size
	}
	return b.String()
}

// Visible returns s as one line that a terminal shows and does not obey: what a
// reader would not see is spelled out (\x1b, \u202e).
func Visible(s string) string { return Spell(s, Hidden, Escape) }

// Escape writes a character, or a byte that is no UTF-8, as Go and C do.
func Escape(text string, r rune) string {
	switch {
	case r == utf8.RuneError && len(text) == 1:
		return fmt.Sprintf(`\x%02x`, text[0])
	case r == '\n':
		return `\n`
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	default:
		return fmt.Sprintf(`\U%08x`, r)
	}
}

// ShellWord writes a word as a shell takes it, for a command that is shown.
func ShellWord(word string) string {
	safe := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("@%+=:,./_-", c)
	}
	if word != "" && !strings.ContainsFunc(word, func(c rune) bool { return !safe(c) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
