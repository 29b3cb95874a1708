package canon_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/canon"
)

func BenchmarkCheck(b *testing.B) {
	text := []byte(`{"a":"` + strings.Repeat("x", 800) + `","b":[{"c":1,"d":"` + strings.Repeat(`line\n`, 200) + `"}],"e":true}`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := canon.Check(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	v := struct {
		Z string   `json:"z"`
		B []string `json:"b"`
		A int      `json:"a"`
	}{strings.Repeat("x", 800), strings.Split(strings.Repeat("line\n", 20), "i"), 7}
	for b.Loop() {
		if _, err := canon.Marshal(v); err != nil {
			b.Fatal(err)
		}
	}
}
