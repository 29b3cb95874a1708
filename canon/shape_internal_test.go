package canon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// shapely has everything that shapes know.
type shapely struct {
	Name    string           `json:"name"`
	Short   string           `json:"short,omitempty"`
	Digest  Digest           `json:"digest"`
	Maybe   Digest           `json:"maybe,omitzero"`
	By      *Digest          `json:"by,omitempty"`
	ID      ID               `json:"id"`
	At      Micros           `json:"at"`
	Count   uint16           `json:"count"`
	Small   int8             `json:"small,omitempty"`
	Yes     bool             `json:"yes,omitempty"`
	Names   []string         `json:"names,omitempty"`
	Inner   inner            `json:"inner"`
	Many    []inner          `json:"many,omitempty"`
	Far     *inner           `json:"far,omitempty"`
	By2     map[string]inner `json:"by_name,omitempty"`
	Skipped string           `json:"-"`
	hidden  string
}

type inner struct {
	B []ID   `json:"b,omitempty"`
	A string `json:"a"`
	Z zeroed `json:"z,omitzero"`
}

// zeroed says itself what its zero is.
type zeroed struct {
	N int `json:"n"`
}

func (z zeroed) IsZero() bool { return z.N%7 == 0 }

// TestShapesReadAndWriteAsJSON holds shapes to encoding/json: they write what it
// writes, read what it reads, and give up where it refuses.
func TestShapesReadAndWriteAsJSON(t *testing.T) {
	t.Parallel()
	odd := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "e\u0301", "\ufffd", "\xff"}))
	even := rapid.OneOf(rapid.StringMatching(`[a-z"\\ ]{1,6}`), rapid.SampledFrom([]string{"\n\t\x01\x1f\x7f", "é", "\u2028", "<&>"}))
	texts := rapid.Custom(func(rt *rapid.T) string {
		if rapid.IntRange(0, 19).Draw(rt, "odd") == 0 {
			return odd.Draw(rt, "text")
		}
		return even.Draw(rt, "text")
	})
	inners := rapid.Custom(func(rt *rapid.T) inner {
		return inner{
			B: rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) ID { return ID(rapid.StringMatching(`[0-9a-z]{26}`).Draw(rt, "id")) }), 0, 2).Draw(rt, "b"),
			A: texts.Draw(rt, "a"), Z: zeroed{rapid.IntRange(0, 20).Draw(rt, "n")},
		}
	})
	written := 0
	rapid.Check(t, func(rt *rapid.T) {
		v := shapely{
			Name: texts.Draw(rt, "name"), Short: texts.Draw(rt, "short"), Digest: Sum(texts.Draw(rt, "digest")),
			ID: "01arz3ndektsv4rrffq69g5fav", At: Micros(rapid.Int64().Draw(rt, "at")), Count: rapid.Uint16().Draw(rt, "count"),
			Small: rapid.Int8().Draw(rt, "small"), Yes: rapid.Bool().Draw(rt, "yes"), Names: rapid.SliceOfN(texts, 0, 3).Draw(rt, "names"),
			Inner: inners.Draw(rt, "inner"), Many: rapid.SliceOfN(inners, 0, 3).Draw(rt, "many"),
			By2: rapid.MapOfN(rapid.StringMatching(`[a-z][a-z0-9_]{0,3}`), inners, 0, 3).Draw(rt, "by name"), Skipped: "never", hidden: "never",
		}
		if rapid.Bool().Draw(rt, "has pointers") {
			v.By, v.Far = &v.Digest, &v.Inner
		}
		if rapid.IntRange(0, 3).Draw(rt, "in bounds") > 0 {
			v.At, v.Small = v.At&maxInteger, v.Small&0x7f
		}
		if compare(rt, v) {
			written++
		}
	})
	if written < 10 {
		t.Errorf("only %d of the values have a canonical form", written)
	}
}

// compare holds the quick way to the slow one, for one value, and reports whether
// it has a canonical form.
func compare(rt *rapid.T, v any) bool {
	want, refused := marshalOdd(v)
	have, ok := encode(nil, reflect.ValueOf(v), shapeOf(reflect.TypeOf(v)), 0)
	if ok != (refused == nil) || ok && !bytes.Equal(have, want) {
		rt.Fatalf("a shape writes %q, %v; encoding/json %q, %v", have, ok, want, refused)
	}
	if !ok {
		return false
	}
	quick, slow := reflect.New(reflect.TypeOf(v)), reflect.New(reflect.TypeOf(v))
	refused = unmarshalOdd(want, slow.Interface())
	d := decoder{text: want}
	ok = d.decode(quick.Elem(), shapeOf(reflect.TypeOf(v))) && d.at == len(want)
	if ok != (refused == nil) || ok && !reflect.DeepEqual(quick.Interface(), slow.Interface()) {
		rt.Fatalf("of %q a shape reads %+v, %v; encoding/json %+v, %v", want, quick.Interface(), ok, slow.Interface(), refused)
	}
	return true
}

// TestShapesReadOtherTexts: whatever canonical text is read into a type, the answer
// is encoding/json's.
func TestShapesReadOtherTexts(t *testing.T) {
	t.Parallel()
	base, err := Marshal(shapely{Name: "n", ID: "01arz3ndektsv4rrffq69g5fav", Count: 3, Inner: inner{A: "a", Z: zeroed{1}}, By2: map[string]inner{"k": {A: "b"}}, Yes: true})
	if err != nil {
		t.Fatal(err)
	}
	values := []string{`"text"`, `7`, `70000`, `9007199254740991`, `true`, `["a"]`, `[1]`, `{"a":"x"}`, `{"n":1}`, `{"x":1}`, `[{"a":"x"}]`, `{"k":{"a":"x"}}`, `[["a"]]`}
	members, err := Members(base)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range members {
		for _, value := range values {
			var parts []string
			for j, m := range members {
				text := string(m.Value)
				if i == j {
					text = value
				}
				parts = append(parts, fmt.Sprintf("%q:%s", m.Key, text))
			}
			text := []byte("{" + strings.Join(parts, ",") + "}")
			if err := Check(text); err != nil {
				t.Fatal(err)
			}
			var quick, slow shapely
			have, want := Unmarshal(text, &quick), unmarshalOdd(text, &slow)
			if (have == nil) != (want == nil) || have == nil && !reflect.DeepEqual(quick, slow) || have != nil && !errors.Is(have, ErrNotCanonical) {
				t.Errorf("%s: %+v, %v; encoding/json %+v, %v", text, quick, have, slow, want)
			}
			n++
		}
	}
	if n < 100 {
		t.Errorf("only %d texts", n)
	}
	for _, text := range []string{`{"name":"n","nane":"x"}`, `{"zzz":1}`, `[1]`, `"x"`, `7`} {
		if err := Unmarshal([]byte(text), new(shapely)); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Types that shapes do not know are written and read by encoding/json alone.
type (
	embeds  struct{ inner }
	untaged struct{ Name string }
	raw     struct {
		Raw json.RawMessage `json:"raw"`
	}
	bytesIn struct {
		Bytes []byte `json:"bytes"`
	}
	quoted struct {
		N int `json:"n,string"`
	}
	dynamic struct {
		Any any `json:"any"`
	}
	itself struct {
		Next *itself `json:"next,omitempty"`
		A    string  `json:"a"`
	}
)

func TestOddTypes(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		embeds{inner{A: "a"}},
		untaged{"n"},
		raw{json.RawMessage(`{"a":1}`)},
		bytesIn{[]byte("bytes")},
		quoted{7},
		dynamic{"x"},
		itself{A: "a", Next: &itself{A: "b"}},
		map[string]any{"b": 1, "a": "x"},
		[]any{1, "x"},
		1.0, json.Number("7"),
	} {
		want, refused := marshalOdd(v)
		have, err := Marshal(v)
		if (err == nil) != (refused == nil) || !bytes.Equal(have, want) {
			t.Errorf("%T: %q, %v; encoding/json %q, %v", v, have, err, want, refused)
		}
		if err != nil {
			continue
		}
		quick, slow := reflect.New(reflect.TypeOf(v)), reflect.New(reflect.TypeOf(v))
		err, refused = Unmarshal(have, quick.Interface()), unmarshalOdd(have, slow.Interface())
		if (err == nil) != (refused == nil) || err == nil && !reflect.DeepEqual(quick.Interface(), slow.Interface()) {
			t.Errorf("%T: %+v, %v; encoding/json %+v, %v", v, quick, err, slow, refused)
		}
	}
	if _, err := Marshal(nil); !errors.Is(err, ErrNotCanonical) {
		t.Errorf("nil: %v", err)
	}
}
