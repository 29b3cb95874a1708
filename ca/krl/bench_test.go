package krl_test

import (
	"testing"

	"github.com/sallyport/sallyport/ca/krl"
)

// A list of a hundred thousand serials that lie far apart: the worst.
func BenchmarkHundredThousand(b *testing.B) {
	var set []uint64
	for n := range uint64(100_000) {
		set = append(set, 1+n*1237)
	}
	list := &krl.List{Issued: []krl.Issued{{CA: signer(b, 1).PublicKey(), Serials: krl.Serials(set...)}}}
	text := marshal(b, list)
	b.Run("marshal", func(b *testing.B) {
		for b.Loop() {
			marshal(b, list)
		}
	})
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := krl.Parse(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
