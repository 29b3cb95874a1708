package canon

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Member is one member of a canonical JSON object.
type Member struct {
	Key   string
	Value []byte // its own canonical JSON text, within the text that was given
}

// Members reads one canonical JSON object and returns its members, which are in
// order. Each value is canonical JSON by itself, of at most MaxSize bytes; how
// long the whole text may be is for the caller to say.
func Members(text []byte) ([]Member, error) {
	s := scanner{text: text}
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrNotCanonical)
	}
	var out []Member
	err := s.object(0, func(key string) error {
		start := s.at
		if err := s.value(0); err != nil {
			return err
		}
		if s.at-start > MaxSize {
			return fmt.Errorf("%w: over %d bytes", ErrNotCanonical, MaxSize)
		}
		out = append(out, Member{Key: key, Value: text[start:s.at]})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, s.end()
}

// String returns the string that a canonical JSON text stands for, such as the
// value of a Member; false if it is not a string.
func String(text []byte) (string, bool) {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return "", false
	}
	inner := text[1 : len(text)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	return string(unescape(inner)), true
}

// scanner reads canonical JSON and refuses everything else. The text is valid
// UTF-8.
type scanner struct {
	text []byte
	at   int
}

func (s *scanner) end() error {
	if s.at != len(s.text) {
		return fmt.Errorf("%w: more than one value, or white space", ErrNotCanonical)
	}
	return nil
}

// take steps over one byte if it is the next.
func (s *scanner) take(c byte) bool {
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: nested deeper than %d", ErrNotCanonical, maxDepth)
	}
	if s.at == len(s.text) {
		return fmt.Errorf("%w: it ends in the middle", ErrNotCanonical)
	}
	switch c := s.text[s.at]; {
	case c == '"':
		return s.str()
	case c == '{':
		return s.object(depth, func(string) error { return s.value(depth + 1) })
	case c == '[':
		return s.array(depth)
	case c >= '0' && c <= '9':
		return s.number()
	case c == 't' && bytes.HasPrefix(s.text[s.at:], []byte("true")):
		s.at += len("true")
		return nil
	case c == 'f' || c == 'n':
		return fmt.Errorf("%w: false and null are left out, never written", ErrNotCanonical)
	default:
		return fmt.Errorf("%w: %q is not the beginning of a value", ErrNotCanonical, rune(c))
	}
}

// object reads an object; member reads the value of one member.
func (s *scanner) object(depth int, member func(key string) error) error {
	if !s.take('{') {
		return fmt.Errorf("%w: no object", ErrNotCanonical)
	}
	if s.take('}') {
		return fmt.Errorf("%w: an empty object is left out, never written", ErrNotCanonical)
	}
	before := ""
	for {
		key, err := s.key()
		if err != nil {
			return err
		}
		if key <= before { // the empty key is none
			return fmt.Errorf("%w: key %q stands behind %q", ErrNotCanonical, key, before)
		}
		before = key
		if err := member(key); err != nil {
			return err
		}
		switch {
		case s.take(','):
		case s.take('}'):
			return nil
		default:
			return fmt.Errorf("%w: neither , nor } behind a member", ErrNotCanonical)
		}
	}
}

// key reads a key and the colon behind it.
func (s *scanner) key() (string, error) {
	if !s.take('"') {
		return "", fmt.Errorf("%w: no key", ErrNotCanonical)
	}
	start := s.at
	end := bytes.IndexByte(s.text[start:], '"')
	if end < 0 {
		return "", fmt.Errorf("%w: it ends in the middle", ErrNotCanonical)
	}
	key := string(s.text[start : start+end])
	if !validKey(key) {
		return "", fmt.Errorf("%w: key %.80q is not [a-z][a-z0-9_]*", ErrNotCanonical, key)
	}
	s.at = start + end + 1
	if !s.take(':') {
		return "", fmt.Errorf("%w: no : behind key %q", ErrNotCanonical, key)
	}
	return key, nil
}

func (s *scanner) array(depth int) error {
	s.at++
	if s.take(']') {
		return fmt.Errorf("%w: an empty array is left out, never written", ErrNotCanonical)
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		switch {
		case s.take(','):
		case s.take(']'):
			return nil
		default:
			return fmt.Errorf("%w: neither , nor ] behind an element", ErrNotCanonical)
		}
	}
}

func (s *scanner) number() error {
	start, n := s.at, int64(0)
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		n = n*10 + int64(s.text[s.at]-'0')
		if s.at++; n > maxInteger {
			return fmt.Errorf("%w: a number over 2^53-1", ErrNotCanonical)
		}
	}
	if s.text[start] == '0' && s.at > start+1 {
		return fmt.Errorf("%w: a number begins with 0", ErrNotCanonical)
	}
	if s.at < len(s.text) && (s.text[s.at] == '.' || s.text[s.at] == 'e' || s.text[s.at] == 'E') {
		return fmt.Errorf("%w: a number is an integer from 0 to 2^53-1", ErrNotCanonical)
	}
	return nil
}

// str reads a string: RFC 8785 §3.2.2.2 escapes, form NFC, not empty.
func (s *scanner) str() error {
	s.at++
	start, ascii := s.at, true
	for {
		for s.at < len(s.text) && plain(s.text[s.at]) {
			s.at++
		}
		if s.at == len(s.text) {
			return fmt.Errorf("%w: it ends in the middle", ErrNotCanonical)
		}
		switch c := s.text[s.at]; {
		case c == '"':
			inner := s.text[start:s.at]
			s.at++
			if len(inner) == 0 {
				return fmt.Errorf("%w: an empty string is left out, never written", ErrNotCanonical)
			}
			if !ascii && !nfc(inner) {
				return fmt.Errorf("%w: a string is not in Unicode form NFC", ErrNotCanonical)
			}
			return nil
		case c == '\\':
			n := escape(s.text[s.at:])
			if n == 0 {
				return fmt.Errorf("%w: an escape that RFC 8785 writes otherwise", ErrNotCanonical)
			}
			s.at += n
		case c < 0x20:
			return fmt.Errorf("%w: a control character without escape", ErrNotCanonical)
		default:
			ascii = ascii && c < utf8.RuneSelf
			s.at++
		}
	}
}

// plain reports whether a byte of a string is ASCII that stands for itself.
func plain(c byte) bool {
	return c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\'
}

// shortEscapes has the two-character escapes and what they stand for.
const (
	shortEscapes  = `"\bfnrt`
	shortEscaped  = "\"\\\b\f\n\r\t"
	unicodeEscape = `\u00`
)

// escape returns the length of the canonical escape that text begins with, 0 if
// there is none.
func escape(text []byte) int {
	if len(text) >= 2 && bytes.IndexByte([]byte(shortEscapes), text[1]) >= 0 {
		return 2
	}
	if len(text) < 6 || string(text[:4]) != unicodeEscape {
		return 0
	}
	high, low := hexDigit(text[4]), hexDigit(text[5])
	if high < 0 || high > 1 || low < 0 || bytes.IndexByte([]byte(shortEscaped), byte(high<<4|low)) >= 0 { //nolint:gosec // below 0x20
		return 0
	}
	return 6
}

// hexDigit returns the value of a lower-case hexadecimal digit, or -1.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// unescape decodes the inside of a canonical string.
func unescape(inner []byte) []byte {
	out := make([]byte, 0, len(inner))
	for i := 0; i < len(inner); i++ {
		switch {
		case inner[i] != '\\':
			out = append(out, inner[i])
		case inner[i+1] == 'u':
			out = append(out, byte(hexDigit(inner[i+4])<<4|hexDigit(inner[i+5]))) //nolint:gosec // canonical: below 0x20
			i += 5
		default:
			out = append(out, shortEscaped[bytes.IndexByte([]byte(shortEscapes), inner[i+1])])
			i++
		}
	}
	return out
}
