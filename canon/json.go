package canon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// ErrNotCanonical is wrapped by every refusal of a JSON text that is not in
// canonical form or of a value that has none.
var ErrNotCanonical = errors.New("not canonical JSON")

// MaxSize is the largest canonical JSON text accepted, in bytes.
const MaxSize = 1 << 20

const (
	maxDepth   = 32
	maxInteger = 1<<53 - 1 // RFC 7493 §2.2: what every JSON reader holds exactly
)

// Marshal returns v as canonical JSON: RFC 8785 with less freedom. Objects have
// keys [a-z][a-z0-9_]* in byte order; strings are in Unicode form NFC and
// escaped as RFC 8785 §3.2.2.2 says; numbers are integers from 0 to 2^53−1; the
// only Boolean is true. null, false, "", [] and {} never stand: what is absent
// is left out (omitempty, omitzero). There is no white space.
//
// Marshal returns ErrNotCanonical for a value that has no such form; it never
// mends one.
func Marshal(v any) ([]byte, error) {
	if v != nil {
		if out, ok := encode(make([]byte, 0, 512), reflect.ValueOf(v), shapeOf(reflect.TypeOf(v)), 0); ok && len(out) <= MaxSize {
			return out, nil
		}
	}
	return marshalOdd(v)
}

// marshalOdd is Marshal by way of encoding/json: for what shapes do not know, and
// to say what has no canonical form.
func marshalOdd(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	return canonicalise(buf.Bytes())
}

// Unmarshal reads canonical JSON into v. It refuses a text that Marshal would
// not have written, a field that v does not have, and more than MaxSize bytes.
func Unmarshal(data []byte, v any) error {
	if err := Check(data); err != nil {
		return err
	}
	into := reflect.ValueOf(v)
	if into.Kind() != reflect.Pointer || into.IsNil() || !into.Elem().IsZero() {
		return unmarshalOdd(data, v)
	}
	d := decoder{text: data}
	if d.decode(into.Elem(), shapeOf(into.Type().Elem())) && d.at == len(data) {
		return nil
	}
	into.Elem().SetZero()
	return unmarshalOdd(data, v)
}

// unmarshalOdd is Unmarshal of a canonical text by way of encoding/json.
func unmarshalOdd(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	return nil
}

// Check returns nil if data is canonical JSON, byte for byte.
func Check(data []byte) error {
	if len(data) > MaxSize {
		return fmt.Errorf("%w: over %d bytes", ErrNotCanonical, MaxSize)
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: not UTF-8", ErrNotCanonical)
	}
	s := scanner{text: data}
	if err := s.value(0); err != nil {
		return err
	}
	return s.end()
}

// writer turns what encoding/json has written, which is compact and well-formed,
// into canonical JSON.
type writer struct {
	text []byte
	at   int
	out  []byte
}

func canonicalise(text []byte) ([]byte, error) {
	w := writer{text: bytes.TrimSuffix(text, []byte("\n")), out: make([]byte, 0, len(text))}
	if err := w.value(0); err != nil {
		return nil, err
	}
	if len(w.out) > MaxSize {
		return nil, fmt.Errorf("%w: over %d bytes", ErrNotCanonical, MaxSize)
	}
	return w.out, nil
}

func (w *writer) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: nested deeper than %d", ErrNotCanonical, maxDepth)
	}
	switch w.text[w.at] {
	case '"':
		return w.str()
	case '{':
		return w.object(depth)
	case '[':
		return w.array(depth)
	case 't':
		w.at += len("true")
		w.out = append(w.out, "true"...)
		return nil
	case 'f':
		return fmt.Errorf("%w: false is left out, never written", ErrNotCanonical)
	case 'n':
		return fmt.Errorf("%w: null is left out, never written", ErrNotCanonical)
	default:
		s := scanner{text: w.text, at: w.at}
		if w.text[w.at] == '-' {
			return fmt.Errorf("%w: a number is an integer from 0 to 2^53-1", ErrNotCanonical)
		}
		if err := s.number(); err != nil {
			return err
		}
		w.out = append(w.out, w.text[w.at:s.at]...)
		w.at = s.at
		return nil
	}
}

// object writes the members in the order of their keys.
func (w *writer) object(depth int) error {
	type member struct {
		key        string
		start, end int // of `"key":value` in out
	}
	var members []member
	w.out = append(w.out, '{')
	first := len(w.out)
	for w.at++; w.text[w.at] != '}'; {
		if w.text[w.at] == ',' {
			w.at++
		}
		start := len(w.out)
		end := w.at + 1 + bytes.IndexByte(w.text[w.at+1:], '"')
		key := string(w.text[w.at+1 : end])
		if !validKey(key) { // one with an escaped quote ends in a backslash here
			return fmt.Errorf("%w: key %.80q is not [a-z][a-z0-9_]*", ErrNotCanonical, key)
		}
		w.out = append(w.out, w.text[w.at:end+2]...) // with the colon
		w.at = end + 2
		if err := w.value(depth + 1); err != nil {
			return err
		}
		members = append(members, member{key, start, len(w.out)})
	}
	w.at++
	if len(members) == 0 {
		return fmt.Errorf("%w: an empty object is left out, never written", ErrNotCanonical)
	}
	unordered := bytes.Clone(w.out[first:])
	w.out = w.out[:first]
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	for i, m := range members {
		if i > 0 {
			if members[i-1].key == m.key {
				return fmt.Errorf("%w: key %q stands twice", ErrNotCanonical, m.key)
			}
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, unordered[m.start-first:m.end-first]...)
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *writer) array(depth int) error {
	w.out = append(w.out, '[')
	w.at++
	if w.text[w.at] == ']' {
		return fmt.Errorf("%w: an empty array is left out, never written", ErrNotCanonical)
	}
	for {
		if err := w.value(depth + 1); err != nil {
			return err
		}
		c := w.text[w.at]
		w.at++
		w.out = append(w.out, c)
		if c == ']' {
			return nil
		}
	}
}

// str writes a string. encoding/json writes U+2028 and U+2029 as escapes, and
// what is not UTF-8 as the escape of U+FFFD: the character itself it leaves as
// it is.
func (w *writer) str() error {
	w.at++
	w.out = append(w.out, '"')
	start, plain := len(w.out), true
	for {
		switch c := w.text[w.at]; {
		case c == '"':
			w.at++
			switch {
			case len(w.out) == start:
				return fmt.Errorf("%w: an empty string is left out, never written", ErrNotCanonical)
			case !plain && !nfc(w.out[start:]):
				return fmt.Errorf("%w: a string is not in Unicode form NFC", ErrNotCanonical)
			}
			w.out = append(w.out, '"')
			return nil
		case c != '\\':
			plain = plain && c < utf8.RuneSelf
			w.out = append(w.out, c)
			w.at++
		default:
			n := escape(w.text[w.at:])
			switch rest := w.text[w.at:]; {
			case n > 0:
				w.out = append(w.out, rest[:n]...)
			case bytes.HasPrefix(rest, []byte(`\u2028`)), bytes.HasPrefix(rest, []byte(`\u2029`)):
				n, plain = 6, false
				w.out = utf8.AppendRune(w.out, '\u2028'+rune(rest[5]-'8'))
			case bytes.HasPrefix(rest, []byte(`\ufffd`)):
				return fmt.Errorf("%w: a string is not UTF-8", ErrNotCanonical)
			default: // only a json.RawMessage has others
				return fmt.Errorf("%w: an escape that RFC 8785 writes otherwise", ErrNotCanonical)
			}
			w.at += n
		}
	}
}

// nfc reports whether the inside of a canonical string stands for text in form
// NFC.
func nfc(inner []byte) bool {
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner = unescape(inner)
	}
	return norm.NFC.IsNormal(inner)
}

func validKey(s string) bool {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}
