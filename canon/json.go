package canon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
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
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	return nil
}

// Check returns nil if data is canonical JSON, byte for byte.
func Check(data []byte) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: not UTF-8", ErrNotCanonical)
	}
	want, err := canonicalise(data)
	if err != nil {
		return err
	}
	if !bytes.Equal(want, data) {
		return fmt.Errorf("%w: white space, key order, escapes or duplicate keys", ErrNotCanonical)
	}
	return nil
}

func canonicalise(data []byte) ([]byte, error) {
	if len(data) > MaxSize+1 { // json.Encoder adds a newline
		return nil, fmt.Errorf("%w: over %d bytes", ErrNotCanonical, MaxSize)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	out, err := appendValue(nil, dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one value", ErrNotCanonical)
	}
	return out, nil
}

func appendValue(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%w: nested deeper than %d", ErrNotCanonical, maxDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			return appendObject(out, dec, depth)
		}
		return appendArray(out, dec, depth)
	case string:
		return appendString(out, t)
	case json.Number:
		n, err := strconv.ParseInt(t.String(), 10, 64)
		if err != nil || n < 0 || n > maxInteger {
			return nil, fmt.Errorf("%w: %s is no integer from 0 to 2^53-1", ErrNotCanonical, t)
		}
		return strconv.AppendInt(out, n, 10), nil
	case bool:
		if !t {
			return nil, fmt.Errorf("%w: false is left out, never written", ErrNotCanonical)
		}
		return append(out, "true"...), nil
	default:
		return nil, fmt.Errorf("%w: null is left out, never written", ErrNotCanonical)
	}
}

func appendObject(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	type member struct {
		key   string
		value []byte
	}
	var members []member
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNotCanonical, err)
		}
		key, ok := tok.(string)
		if !ok || !validKey(key) {
			return nil, fmt.Errorf("%w: key %q is not [a-z][a-z0-9_]*", ErrNotCanonical, key)
		}
		value, err := appendValue(nil, dec, depth+1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{key, value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("%w: an empty object is left out, never written", ErrNotCanonical)
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			if members[i-1].key == m.key {
				return nil, fmt.Errorf("%w: key %q stands twice", ErrNotCanonical, m.key)
			}
			out = append(out, ',')
		}
		out = append(out, '"')
		out = append(out, m.key...)
		out = append(out, '"', ':')
		out = append(out, m.value...)
	}
	return append(out, '}'), nil
}

func appendArray(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	out = append(out, '[')
	empty := true
	for dec.More() {
		if !empty {
			out = append(out, ',')
		}
		empty = false
		var err error
		if out, err = appendValue(out, dec, depth+1); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotCanonical, err)
	}
	if empty {
		return nil, fmt.Errorf("%w: an empty array is left out, never written", ErrNotCanonical)
	}
	return append(out, ']'), nil
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

// appendString writes s as RFC 8785 §3.2.2.2: two-character escapes where JSON
// has them, \u00xx for the other control characters, the rest as UTF-8.
func appendString(out []byte, s string) ([]byte, error) {
	switch {
	case s == "":
		return nil, fmt.Errorf("%w: an empty string is left out, never written", ErrNotCanonical)
	case !utf8.ValidString(s):
		return nil, fmt.Errorf("%w: a string is not UTF-8", ErrNotCanonical)
	case !norm.NFC.IsNormalString(s):
		return nil, fmt.Errorf("%w: a string is not in Unicode form NFC", ErrNotCanonical)
	}
	out = append(out, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, '\\', 'b')
		case '\f':
			out = append(out, '\\', 'f')
		case '\n':
			out = append(out, '\\', 'n')
		case '\r':
			out = append(out, '\\', 'r')
		case '\t':
			out = append(out, '\\', 't')
		default:
			if c < 0x20 {
				out = fmt.Appendf(out, `\u%04x`, c)
			} else {
				out = append(out, c)
			}
		}
	}
	return append(out, '"'), nil
}
