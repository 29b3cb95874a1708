package trust_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/trust"
)

var update = flag.Bool("update", false, "write the test vectors instead of comparing with them")

// vectors are the published examples of the formats.
type vectors struct {
	Note    string       `json:"note"`
	At      canon.Micros `json:"at"`
	First   string       `json:"first"`
	Digest  canon.Digest `json:"digest"`
	Next    string       `json:"next"`
	KRL     string       `json:"krl"`
	List    string       `json:"list"`
	Refused []refused    `json:"refused"`
}

// refused is a file that a host which pins first does not take.
type refused struct {
	Name   string `json:"name"`
	File   string `json:"file"`
	Reason string `json:"reason"`
}

var reasons = map[string]error{
	"not a bundle": trust.ErrBundle, "another ledger or contract": trust.ErrOther, "not the next number": trust.ErrNumber, "expired": trust.ErrExpired,
	"too few roots": trust.ErrUnsigned, "not a root's signature": trust.ErrSigner,
}

func makeVectors(t testing.TB) vectors {
	t.Helper()
	first := bundle(t)
	next := following(first, func(b *trust.Bundle) { b.UserCAs = append(b.UserCAs, key(t, "next user CA")) })
	swapped := following(first, func(b *trust.Bundle) {
		b.UserCAs, b.Roots = []trust.Key{key(t, "thief")}, []trust.Root{root(t, "acme", 1, "eve"), root(t, "bank", 1, "eve")}
	})
	v := vectors{
		Note: "Trust bundles and a statement about a revocation list, as docs/formats.md describes them. A host that pins first takes next at the time at, and none of refused. Signatures are deterministic (Ed25519).",
		At:   canon.At(now), First: string(file(t, first)), Digest: trust.Digest(text(t, first)), Next: string(file(t, next, everybody...)),
		KRL: string(krlFile(t, statement(), "krl", trust.KRLNamespace)), List: string(list),
	}
	late := following(first, func(b *trust.Bundle) { b.ExpiresAt = canon.At(now) })
	skipped := following(next, nil)
	elsewhere := following(first, func(b *trust.Bundle) { b.Lineage = canon.Digest(example("other")) })
	for _, r := range []struct {
		name, reason string
		file         []byte
	}{
		{"white space", "not a bundle", append([]byte(" "), v.Next...)},
		{"nobody signed", "too few roots", file(t, next)},
		{"one party signed", "too few roots", file(t, next, "acme/ada", "acme/cleo")},
		{"one root signed twice", "too few roots", file(t, next, "acme/ada", "acme/ada", "bank/dora")},
		{"another key signed", "not a root's signature", file(t, next, "acme/ada", "acme/cleo/2", "bank/dora")},
		{"new roots sign for themselves", "too few roots", file(t, swapped, "acme/eve", "bank/eve")},
		{"a number left out", "not the next number", file(t, skipped, everybody...)},
		{"the first once more", "not the next number", file(t, first, everybody...)},
		{"another lineage", "another ledger or contract", file(t, elsewhere, everybody...)},
		{"expired", "expired", file(t, late, everybody...)},
	} {
		v.Refused = append(v.Refused, refused{Name: r.name, File: string(r.file), Reason: r.reason})
	}
	return v
}

func TestVectors(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "bundles.json")
	want, err := json.MarshalIndent(makeVectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != string(want) {
		t.Fatalf("%s is not what the code makes: go test ./ledger/trust -update; %v", path, err)
	}
	var v vectors
	if err := json.Unmarshal(got, &v); err != nil {
		t.Fatal(err)
	}
	first, err := trust.First([]byte(v.First), v.Digest, v.At.Time())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Next(first.Bundle, []byte(v.Next), v.At.Time()); err != nil {
		t.Error(err)
	}
	krl, err := first.Bundle.OpenKRL([]byte(v.KRL))
	if err != nil || krl.Covers([]byte(v.List)) != nil {
		t.Errorf("%+v, %v", krl, err)
	}
	for _, r := range v.Refused {
		if _, err := trust.Next(first.Bundle, []byte(r.File), v.At.Time()); reasons[r.Reason] == nil || !errors.Is(err, reasons[r.Reason]) {
			t.Errorf("%s: Next: %v, want %s", r.Name, err, r.Reason)
		}
	}
}
