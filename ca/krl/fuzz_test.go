package krl_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/krl"
)

// What is read is written so that it reads the same again, and nothing panics.
func FuzzParse(f *testing.F) {
	ca, other := signer(f, 1).PublicKey(), signer(f, 2).PublicKey()
	f.Add(marshal(f, &krl.List{Number: 1}))
	f.Add(marshal(f, &krl.List{Number: 2, MadeAt: 3, Comment: "c", Issued: []krl.Issued{
		{CA: ca, Serials: krl.Serials(1, 2, 3, 4, 9, 11, 13, 15, 17, 19, 21, 1000, 1<<64-1)}, {CA: other, Serials: []krl.Range{{First: 5, Last: 5000}}},
	}}))
	f.Add(marshal(f, &krl.List{Keys: []ssh.PublicKey{ca}, Hashes: [][32]byte{{1}}}))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := krl.Parse(text)
		if err != nil {
			if !errors.Is(err, krl.ErrList) {
				t.Fatal(err)
			}
			return
		}
		again, err := l.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := krl.Parse(again)
		if err != nil {
			t.Fatal(err)
		}
		third, err := back.Marshal()
		if err != nil || !bytes.Equal(third, again) {
			t.Fatalf("written twice, it differs: %v", err)
		}
		if len(l.Issued) == 1 && len(l.Issued[0].Serials) > 0 && !reflect.DeepEqual(back.Issued, l.Issued) {
			t.Fatalf("read %v, and again %v", l.Issued, back.Issued)
		}
	})
}
