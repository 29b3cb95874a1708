package guard

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenNumber
	tokenString
	tokenSign // also what is no part of the language
)

// token is a word of the source.
type token struct {
	kind   tokenKind
	column int    // in characters, from 1
	text   string // of a word or sign; what a string stands for
	number int64
}

// String writes the token for an error.
func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "end of the guard"
	case tokenNumber:
		return fmt.Sprint(t.number)
	case tokenString:
		return quote(strictyaml.Clip(t.text))
	case tokenWord, tokenSign:
	}
	return fmt.Sprintf("%q", strictyaml.Clip(t.text))
}

// lexer cuts a source into tokens.
type lexer struct {
	src []rune
	at  int
}

// twoSigns are the signs of two characters; oneSign those of one.
var twoSigns = []string{"&&", "||", "==", "!=", "<=", ">="}

const oneSign = "!()[],<>"

// read returns the next token, or the message that says why there is none.
func (l *lexer) read() (token, string) {
	for l.at < len(l.src) && strings.ContainsRune(" \t\r\n", l.src[l.at]) {
		l.at++
	}
	t := token{column: l.at + 1}
	if l.at == len(l.src) {
		return t, ""
	}
	switch r := l.src[l.at]; {
	case letter(r):
		t.kind, t.text = tokenWord, l.while(func(r rune) bool { return letter(r) || digit(r) })
		if l.at < len(l.src) && (l.src[l.at] == '"' || l.src[l.at] == '\'') {
			return t, "a text has no letters before its quote"
		}
		return t, ""
	case digit(r):
		return l.numeral(t)
	case r == '"':
		return l.quoted(t)
	case r == '\'':
		return t, "texts stand in double quotes"
	}
	t.kind = tokenSign
	if l.at+1 < len(l.src) {
		for _, sign := range twoSigns {
			if string(l.src[l.at:l.at+2]) == sign {
				t.text = sign
				l.at += 2
				return t, ""
			}
		}
	}
	t.text = string(l.src[l.at])
	if !strings.Contains(oneSign, t.text) {
		return t, fmt.Sprintf("%+q is no part of the language; there are && || ! ( ) == != < <= > >= in [ ]", t.text)
	}
	l.at++
	return t, ""
}

func (l *lexer) while(is func(rune) bool) string {
	start := l.at
	for l.at < len(l.src) && is(l.src[l.at]) {
		l.at++
	}
	return string(l.src[start:l.at])
}

func (l *lexer) numeral(t token) (token, string) {
	t.kind = tokenNumber
	digits := l.while(digit)
	if l.at < len(l.src) && (letter(l.src[l.at]) || l.src[l.at] == '.') {
		return t, "expected a whole number such as 3600, without unit or fraction"
	}
	if len(digits) > 1 && digits[0] == '0' {
		return t, "a whole number has no leading zero"
	}
	for _, d := range digits {
		t.number = t.number*10 + int64(d-'0')
		if t.number > maxInt {
			return t, fmt.Sprintf("the number is too large; at most %d", int64(maxInt))
		}
	}
	return t, ""
}

func (l *lexer) quoted(t token) (token, string) {
	t.kind = tokenString
	var text strings.Builder
	for l.at++; l.at < len(l.src); l.at++ {
		r := l.src[l.at]
		switch {
		case r == '"':
			l.at++
			t.text = text.String()
			return t, ""
		case r == '\\':
			if l.at++; l.at == len(l.src) || l.src[l.at] != '"' && l.src[l.at] != '\\' {
				return token{column: l.at}, `in a text a backslash stands before " or \ only`
			}
			r = l.src[l.at]
		case !printable(r):
			return token{column: l.at + 1}, fmt.Sprintf("a text holds printable ASCII characters only, not %+q", r)
		}
		text.WriteRune(r)
	}
	return t, "the text has no closing quote"
}

func letter(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_' }

func digit(r rune) bool { return '0' <= r && r <= '9' }
