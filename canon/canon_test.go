package canon_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
)

func TestCheckRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text string }{
		{"white space", `{"a": 1}`},
		{"newline at the end", "{\"a\":1}\n"},
		{"key order", `{"b":1,"a":2}`},
		{"duplicate key", `{"a":1,"a":2}`},
		{"key in upper case", `{"A":1}`},
		{"key with a hyphen", `{"a-b":1}`},
		{"key escaped", `{"\u0061":1}`},
		{"empty key", `{"":1}`},
		{"null", `{"a":null}`},
		{"false", `{"a":false}`},
		{"empty string", `{"a":""}`},
		{"empty array", `{"a":[]}`},
		{"empty object", `{}`},
		{"empty inner object", `{"a":{}}`},
		{"float", `{"a":1.0}`},
		{"exponent", `{"a":1e3}`},
		{"negative", `{"a":-1}`},
		{"minus zero", `{"a":-0}`},
		{"leading zero", `{"a":017}`},
		{"over 2^53-1", `{"a":9007199254740992}`},
		{"needless escape", `{"a":"\u0041"}`},
		{"escaped slash", `{"a":"\/"}`},
		{"upper-case escape", `{"a":"\u001F"}`},
		{"lone surrogate", `{"a":"\ud800"}`},
		{"not NFC", "{\"a\":\"e\u0301\"}"},
		{"not UTF-8", "{\"a\":\"\xff\"}"},
		{"two values", `{"a":1}{"a":1}`},
		{"truncated", `{"a":1`},
		{"nothing", ``},
		{"comma at the end", `{"a":1,}`},
		{"too deep", strings.Repeat("[", 40) + "1" + strings.Repeat("]", 40)},
		{"too long", `{"a":"` + strings.Repeat("x", canon.MaxSize) + `"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := canon.Check([]byte(tt.text)); !errors.Is(err, canon.ErrNotCanonical) {
				t.Errorf("Check = %v, want ErrNotCanonical", err)
			}
		})
	}
}

func TestMarshal(t *testing.T) {
	t.Parallel()
	type inner struct {
		B string       `json:"b,omitempty"`
		A canon.Micros `json:"a_at,omitempty"`
	}
	got, err := canon.Marshal(struct {
		Z bool         `json:"z,omitempty"`
		Y []inner      `json:"y,omitempty"`
		D canon.Digest `json:"d,omitzero"`
		S string       `json:"s"`
	}{Y: []inner{{B: "<\u2028é\x01\"\\\n>", A: canon.At(time.Unix(1, 5000))}}, S: "x"})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"s":"x","y":[{"a_at":1000005,"b":"<` + "\u2028é" + `\u0001\"\\\n>"}]}`
	if string(got) != want {
		t.Errorf("Marshal = %s, want %s", got, want)
	}
	for _, v := range []any{struct {
		A string `json:"a"`
	}{}, struct {
		A float64 `json:"a"`
	}{1.5}, map[string]any{"a": nil}, map[string]int{"a": -1}, map[string]string{"a": "e\u0301"}} {
		if _, err := canon.Marshal(v); !errors.Is(err, canon.ErrNotCanonical) {
			t.Errorf("Marshal(%v) = %v, want ErrNotCanonical", v, err)
		}
	}
}

func TestUnmarshalRefusesUnknownFields(t *testing.T) {
	t.Parallel()
	var v struct {
		A int `json:"a"`
	}
	if err := canon.Unmarshal([]byte(`{"a":1,"b":2}`), &v); !errors.Is(err, canon.ErrNotCanonical) {
		t.Errorf("Unmarshal = %v, want ErrNotCanonical", err)
	}
	if err := canon.Unmarshal([]byte(`{"a":1}`), &v); err != nil || v.A != 1 {
		t.Errorf("Unmarshal = %v, a = %d", err, v.A)
	}
}

func TestMarshalledIsCanonical(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.MapOfN(rapid.StringMatching(`[a-z][a-z0-9_]{0,5}`), rapid.String(), 1, 5).Draw(t, "v")
		b, err := canon.Marshal(v)
		if err != nil {
			return
		}
		var back map[string]string
		if err := canon.Unmarshal(b, &back); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		again, err := canon.Marshal(back)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%s became %s (%v)", b, again, err)
		}
	})
}

func TestIDs(t *testing.T) {
	t.Parallel()
	id, err := canon.NewID(bytes.NewReader(bytes.Repeat([]byte{0xa5}, 16)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := canon.ParseID(string(id)); err != nil || got != id || len(id) != 26 {
		t.Errorf("ParseID(%q) = %q, %v", id, got, err)
	}
	for _, s := range []string{"", strings.Repeat("a", 25), strings.Repeat("a", 27), strings.Repeat("A", 26), strings.Repeat("1", 26), strings.Repeat("a", 25) + "b"} {
		if _, err := canon.ParseID(s); !errors.Is(err, canon.ErrEncoding) {
			t.Errorf("ParseID(%q) = %v, want ErrEncoding", s, err)
		}
	}
	if _, err := canon.NewID(bytes.NewReader(nil)); err == nil {
		t.Error("an id without randomness")
	}
}

func TestDigests(t *testing.T) {
	t.Parallel()
	d := canon.Sum("sallyport.test/v1", []byte("a"), []byte("b"))
	if d != canon.Sum("sallyport.test/v1", []byte("ab")) || d == canon.Sum("sallyport.test/v2", []byte("ab")) {
		t.Error("the domain must separate, the parts must join")
	}
	got, err := canon.ParseDigest(d.String())
	if err != nil || got != d {
		t.Errorf("ParseDigest = %v, %v", got, err)
	}
	for _, s := range []string{"", d.String() + "=", d.String()[:42], d.String()[:42] + "_", strings.ReplaceAll(d.String(), d.String()[:1], "+")} {
		if _, err := canon.ParseDigest(s); s != d.String() && !errors.Is(err, canon.ErrEncoding) {
			t.Errorf("ParseDigest(%q) = %v, want ErrEncoding", s, err)
		}
	}
}

// TestOneTextForBytes: no bytes have a second text.
func TestOneTextForBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(rt, "bytes")
		s := canon.B64(b)
		if got, err := canon.ParseB64(s); err != nil || !bytes.Equal(got, b) {
			rt.Fatalf("ParseB64(%q) = %x, %v", s, got, err)
		}
		at := rapid.IntRange(0, len(s)).Draw(rt, "at")
		odd := s[:at] + rapid.SampledFrom([]string{"\n", "\r", "\r\n", " ", "=", "+", "/", "-", "A", "B", "\x00"}).Draw(rt, "odd") + s[at:]
		if got, err := canon.ParseB64(odd); err == nil && canon.B64(got) != odd {
			rt.Fatalf("ParseB64(%q) = %x, whose text is %q", odd, got, canon.B64(got))
		}
	})
	for _, odd := range []string{"\n", "YQ\n", "Y\rQ", "YR", "YQ==", "Y"} {
		if _, err := canon.ParseB64(odd); !errors.Is(err, canon.ErrEncoding) {
			t.Errorf("ParseB64(%q) = %v, want ErrEncoding", odd, err)
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `{"a":["x",true,{"b":9007199254740991}]}`, `"x"`, `{"a":"\u0001"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if canon.Check(data) != nil {
			return
		}
		var v any
		if err := canon.Unmarshal(data, &v); err != nil {
			t.Fatalf("Check accepts what Unmarshal refuses: %v", err)
		}
	})
}
