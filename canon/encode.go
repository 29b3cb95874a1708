package canon

import (
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// encode appends a value by its shape. It returns false where encoding/json is to
// be asked: for what has no canonical form it finds the words.
func encode(out []byte, v reflect.Value, s *shape, depth int) ([]byte, bool) {
	if depth > maxDepth {
		return nil, false
	}
	switch s.write {
	case object:
		return encodeObject(out, v, s, depth)
	case list:
		return encodeList(out, v, s, depth)
	case dict:
		return encodeDict(out, v, s, depth)
	case plainly:
		return encodeString(out, v.String())
	case spelled:
		m, ok := v.Interface().(encoding.TextMarshaler)
		if !ok {
			return nil, false
		}
		text, err := m.MarshalText()
		if err != nil {
			return nil, false
		}
		return encodeString(out, string(text))
	case integer:
		if n := v.Int(); n >= 0 && n <= maxInteger {
			return strconv.AppendInt(out, n, 10), true
		}
	case natural:
		if n := v.Uint(); n <= maxInteger {
			return strconv.AppendUint(out, n, 10), true
		}
	case truth:
		if v.Bool() {
			return append(out, "true"...), true
		}
	case pointer:
		if !v.IsNil() {
			return encode(out, v.Elem(), s.elem, depth)
		}
	case odd:
	}
	return nil, false
}

func encodeObject(out []byte, v reflect.Value, s *shape, depth int) ([]byte, bool) {
	out = append(out, '{')
	empty, ok := true, true
	for i := range s.fields {
		f := &s.fields[i]
		value := v.Field(f.index)
		if f.left(value) {
			continue
		}
		if !empty {
			out = append(out, ',')
		}
		empty = false
		if out, ok = encode(append(out, f.start...), value, f.shape, depth+1); !ok {
			return nil, false
		}
	}
	return append(out, '}'), !empty
}

func encodeList(out []byte, v reflect.Value, s *shape, depth int) ([]byte, bool) {
	if v.Len() == 0 {
		return nil, false
	}
	ok := true
	for i := range v.Len() {
		out = append(out, "[,"[min(i, 1)])
		if out, ok = encode(out, v.Index(i), s.elem, depth+1); !ok {
			return nil, false
		}
	}
	return append(out, ']'), true
}

func encodeDict(out []byte, v reflect.Value, s *shape, depth int) ([]byte, bool) {
	if v.Len() == 0 {
		return nil, false
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	ok := true
	for i, k := range keys {
		if !validKey(k.String()) {
			return nil, false
		}
		out = append(out, "{,"[min(i, 1)], '"')
		out = append(out, k.String()...)
		if out, ok = encode(append(out, `":`...), v.MapIndex(k), s.elem, depth+1); !ok {
			return nil, false
		}
	}
	return append(out, '}'), true
}

// encodeString appends a string with RFC 8785 §3.2.2.2 escapes.
func encodeString(out []byte, s string) ([]byte, bool) {
	if s == "" {
		return nil, false
	}
	out = append(out, '"')
	start, ascii := 0, true
	for i := range len(s) {
		c := s[i]
		if plain(c) {
			continue
		}
		if c >= utf8.RuneSelf {
			ascii = false
			continue
		}
		out = append(out, s[start:i]...)
		start = i + 1
		if short := strings.IndexByte(shortEscaped, c); short >= 0 {
			out = append(out, '\\', shortEscapes[short])
		} else {
			out = append(out, unicodeEscape...)
			out = append(out, hexDigits[c>>4], hexDigits[c&15])
		}
	}
	if !ascii && (!utf8.ValidString(s) || !norm.NFC.IsNormalString(s)) {
		return nil, false
	}
	return append(append(out, s[start:]...), '"'), true
}

const hexDigits = "0123456789abcdef"
