package strictyaml

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// CheckText returns the first thing for which a file of more than most bytes, or
// one that people could read otherwise than a program, is refused; nil if there
// is none. It has to show on every screen what a program reads in it. So it is UTF-8 in form NFC without a byte order mark; lines end
// with LF or CRLF and nothing else that some reader takes for a line's end; and
// there are no control characters nor characters that reorder what is shown.
func CheckText(text []byte, most int) *Error {
	if len(text) > most {
		return &Error{Line: 1, Column: 1, Message: fmt.Sprintf("%d bytes; at most %d", len(text), most)}
	}
	at := func(offset int, message string) *Error {
		line, column := place(text, offset)
		return &Error{Line: line, Column: column, Message: message}
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return at(i, "not UTF-8")
		case r == '\ufeff':
			return at(i, "a byte order mark; save the file as UTF-8 without one")
		case r == '\r':
			if i+1 == len(text) || text[i+1] != '\n' {
				return at(i, "a carriage return without a line feed; lines end with LF or CRLF")
			}
		case r == '\n', r == '\t':
		case unicode.IsControl(r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r), reorders(r):
			return at(i, fmt.Sprintf("the character %U, which not every screen shows alike; leave it out", r))
		}
		i += size
	}
	if norm.NFC.IsNormal(text) {
		return nil
	}
	i := 0
	for i < len(text) {
		n := max(norm.NFC.NextBoundary(text[i:], true), 1)
		if !norm.NFC.IsNormal(text[i : i+n]) {
			break
		}
		i += n
	}
	return at(i, "not in Unicode form NFC; save the file normalised")
}

// reorders tells whether r is a bidirectional embedding, override or isolate
// (UAX #9 §2): with them a line reads differently than it is written.
func reorders(r rune) bool {
	return r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069'
}
