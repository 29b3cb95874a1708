package canon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
)

// What follows is the first implementation of canonical JSON, by way of
// encoding/json. It is slow and has no scanner of its own, so it is the oracle of
// the one that is used.

const (
	oracleDepth   = 32
	oracleInteger = 1<<53 - 1
)

// oracleCheck reads data with encoding/json, writes it again and compares.
func oracleCheck(data []byte) error {
	if !utf8.Valid(data) {
		return fmt.Errorf("%w: not UTF-8", canon.ErrNotCanonical)
	}
	want, err := oracleWrite(data)
	if err != nil {
		return err
	}
	if !bytes.Equal(want, data) {
		return fmt.Errorf("%w: white space, key order, escapes or duplicate keys", canon.ErrNotCanonical)
	}
	return nil
}

func oracleWrite(data []byte) ([]byte, error) {
	if len(data) > canon.MaxSize+1 {
		return nil, fmt.Errorf("%w: over %d bytes", canon.ErrNotCanonical, canon.MaxSize)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	out, err := oracleAppendValue(nil, dec, 0)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: more than one value", canon.ErrNotCanonical)
	}
	return out, nil
}

func oracleAppendValue(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	if depth > oracleDepth {
		return nil, fmt.Errorf("%w: nested deeper than %d", canon.ErrNotCanonical, oracleDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", canon.ErrNotCanonical, err)
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			return oracleAppendObject(out, dec, depth)
		}
		return oracleAppendArray(out, dec, depth)
	case string:
		return oracleAppendString(out, t)
	case json.Number:
		n, err := strconv.ParseInt(t.String(), 10, 64)
		if err != nil || n < 0 || n > oracleInteger {
			return nil, fmt.Errorf("%w: %s is no integer from 0 to 2^53-1", canon.ErrNotCanonical, t)
		}
		return strconv.AppendInt(out, n, 10), nil
	case bool:
		if !t {
			return nil, fmt.Errorf("%w: false is left out, never written", canon.ErrNotCanonical)
		}
		return append(out, "true"...), nil
	default:
		return nil, fmt.Errorf("%w: null is left out, never written", canon.ErrNotCanonical)
	}
}

func oracleAppendObject(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	type member struct {
		key   string
		value []byte
	}
	var members []member
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", canon.ErrNotCanonical, err)
		}
		key, ok := tok.(string)
		if !ok || !oracleValidKey(key) {
			return nil, fmt.Errorf("%w: key %q is not [a-z][a-z0-9_]*", canon.ErrNotCanonical, key)
		}
		value, err := oracleAppendValue(nil, dec, depth+1)
		if err != nil {
			return nil, err
		}
		members = append(members, member{key, value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: %w", canon.ErrNotCanonical, err)
	}
	if len(members) == 0 {
		return nil, fmt.Errorf("%w: an empty object is left out, never written", canon.ErrNotCanonical)
	}
	slices.SortStableFunc(members, func(a, b member) int { return strings.Compare(a.key, b.key) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			if members[i-1].key == m.key {
				return nil, fmt.Errorf("%w: key %q stands twice", canon.ErrNotCanonical, m.key)
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

func oracleAppendArray(out []byte, dec *json.Decoder, depth int) ([]byte, error) {
	out = append(out, '[')
	empty := true
	for dec.More() {
		if !empty {
			out = append(out, ',')
		}
		empty = false
		var err error
		if out, err = oracleAppendValue(out, dec, depth+1); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: %w", canon.ErrNotCanonical, err)
	}
	if empty {
		return nil, fmt.Errorf("%w: an empty array is left out, never written", canon.ErrNotCanonical)
	}
	return append(out, ']'), nil
}

func oracleValidKey(s string) bool {
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

// oracleAppendString writes s as RFC 8785 §3.2.2.2: two-character escapes where JSON
// has them, \u00xx for the other control characters, the rest as UTF-8.
func oracleAppendString(out []byte, s string) ([]byte, error) {
	switch {
	case s == "":
		return nil, fmt.Errorf("%w: an empty string is left out, never written", canon.ErrNotCanonical)
	case !utf8.ValidString(s):
		return nil, fmt.Errorf("%w: a string is not UTF-8", canon.ErrNotCanonical)
	case !norm.NFC.IsNormalString(s):
		return nil, fmt.Errorf("%w: a string is not in Unicode form NFC", canon.ErrNotCanonical)
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

// agree holds Check, Members and Marshal to the oracle.
func agree(t interface{ Fatalf(string, ...any) }, data []byte) {
	if len(data) > canon.MaxSize {
		return
	}
	want, got := oracleCheck(data), canon.Check(data)
	if (want == nil) != (got == nil) || got != nil && !errors.Is(got, canon.ErrNotCanonical) {
		t.Fatalf("Check(%q) = %v, the oracle says %v", data, got, want)
	}
	members, err := canon.Members(data)
	if got == nil && len(data) > 0 && data[0] == '{' {
		if err != nil {
			t.Fatalf("Members(%q) = %v", data, err)
		}
		again := []byte("{")
		for i, m := range members {
			if i > 0 {
				again = append(again, ',')
			}
			again = append(again, `"`+m.Key+`":`...)
			again = append(again, m.Value...)
			if err := canon.Check(m.Value); err != nil {
				t.Fatalf("member %s of %q: %v", m.Key, data, err)
			}
			var text string
			if have, ok := canon.String(m.Value); ok != (m.Value[0] == '"') || ok && (json.Unmarshal(m.Value, &text) != nil || text != have) {
				t.Fatalf("String(%q) = %q, %t", m.Value, have, ok)
			}
		}
		if again = append(again, '}'); !bytes.Equal(again, data) {
			t.Fatalf("Members(%q) has %q", data, again)
		}
	} else if err == nil {
		// One deeper than Check allows: a member's value counts from 0.
		if want == nil || !strings.Contains(want.Error(), "nested deeper") {
			t.Fatalf("Members(%q) takes what Check refuses: %v", data, want)
		}
	}
	if got != nil {
		return
	}
	var v any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	if again, err := canon.Marshal(v); err != nil || !bytes.Equal(again, data) {
		t.Fatalf("Marshal of %q = %q, %v", data, again, err)
	}
}

func FuzzAgainstTheOracle(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, `{"a":["x",true,{"b":9007199254740991}]}`, `"x"`, `{"a":"\u0001"}`, `{"a":"\ń"}`, `{"a":"\"́\\"}`, `{"a":"é"}`, "{\"a\":\"\u2028\u0085\u007f\"}",
		`{"a":"\u001F"}`, `{"a":"\u000a"}`, `{"a":"\/"}`, `{"a":01}`, `{"a":-0}`, `{"a":1e3}`, `{"a":tru}`, `{"a":{}}`, `{"a":1,"a":1}`, `{"a":1 }`, `[[1],[2]]`, `{"a":`, `{"a"`, `{`,
		strings.Repeat("[", 32) + "1" + strings.Repeat("]", 32), strings.Repeat("[", 33) + "1" + strings.Repeat("]", 33),
		`{"a":` + strings.Repeat("[", 32) + "1" + strings.Repeat("]", 32) + `}`, `{"a":9007199254740992}`, `{"a":99999999999999999999999}`, `{"a_1":{"b":"�"}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { agree(t, data) })
}

// Texts that are nearly canonical, which fuzzing alone takes long to find.
func TestCheckAgreesWithTheOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := jsonText(t, rapid.IntRange(0, 4).Draw(t, "depth"))
		if rapid.Bool().Draw(t, "broken") {
			i := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			text = text[:i] + rapid.SampledFrom([]string{"", " ", ",", `"`, `\`, "0", "́", "\xff", "}", "]"}).Draw(t, "with") + text[i+1:]
		}
		agree(t, []byte(text))
	})
}

func jsonText(t *rapid.T, depth int) string {
	kinds := []string{"string", "number", "true", "object", "array"}
	if depth == 0 {
		kinds = kinds[:3]
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "object":
		keys := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9_]{0,2}`), 1, 4, rapid.ID[string]).Draw(t, "keys")
		slices.Sort(keys)
		for i, k := range keys {
			keys[i] = `"` + k + `":` + jsonText(t, depth-1)
		}
		return "{" + strings.Join(keys, ",") + "}"
	case "array":
		list := make([]string, rapid.IntRange(1, 3).Draw(t, "elements"))
		for i := range list {
			list[i] = jsonText(t, depth-1)
		}
		return "[" + strings.Join(list, ",") + "]"
	case "number":
		return strconv.FormatInt(rapid.Int64Range(0, oracleInteger+1).Draw(t, "number"), 10)
	case "true":
		return "true"
	default:
		pieces := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "e", "́", "é", `\n`, `\"`, `\\`, `\u0001`, `\u001f`, " ", "😀", "�", "/", "<"}), 1, 6).Draw(t, "string")
		return `"` + strings.Join(pieces, "") + `"`
	}
}

func TestMarshalRefusesWhatIsNotUTF8(t *testing.T) {
	t.Parallel()
	for _, v := range []any{map[string]string{"a": "x\xff"}, map[string]any{"a": json.RawMessage(`"\u0041"`)}} {
		if b, err := canon.Marshal(v); !errors.Is(err, canon.ErrNotCanonical) {
			t.Errorf("Marshal(%q) = %q, %v, want ErrNotCanonical", v, b, err)
		}
	}
	if b, err := canon.Marshal(map[string]string{"a": "�"}); err != nil || string(b) != "{\"a\":\"�\"}" {
		t.Errorf("Marshal = %q, %v", b, err)
	}
}
