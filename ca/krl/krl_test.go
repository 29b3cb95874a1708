package krl_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/ca/krl"
)

// signer returns a key that is the same for the same number.
func signer(t testing.TB, n int) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(n)}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func marshal(t testing.TB, l *krl.List) []byte {
	t.Helper()
	text, err := l.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t testing.TB, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keygen runs the stock tool.
func keygen(t testing.TB, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", args...).CombinedOutput()
	return string(out), err
}

// dumped is what ssh-keygen reads in a list, one line for each authority, serial
// range and fingerprint, without what it says about the list.
func dumped(t testing.TB, text []byte) []string {
	t.Helper()
	out, err := keygen(t, "-Q", "-l", "-f", write(t, "krl", text))
	if err != nil {
		t.Fatalf("ssh-keygen refuses the list: %v: %s", err, out)
	}
	var lines []string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line != "" && (!strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "# CA key")) {
			lines = append(lines, line)
		}
	}
	return lines
}

// expected is the same of a list as we mean it.
func expected(l *krl.List) []string {
	var lines []string
	issued := slices.Clone(l.Issued)
	slices.SortFunc(issued, func(a, b krl.Issued) int { return bytes.Compare(a.CA.Marshal(), b.CA.Marshal()) })
	for _, i := range issued {
		lines = append(lines, fmt.Sprintf("# CA key %s %s", i.CA.Type(), ssh.FingerprintSHA256(i.CA)))
		for _, r := range i.Serials {
			if r.First == r.Last {
				lines = append(lines, fmt.Sprintf("serial: %d", r.First))
			} else {
				lines = append(lines, fmt.Sprintf("serial: %d-%d", r.First, r.Last))
			}
		}
	}
	return lines
}

// serials draws a set: dense, in runs, sparse, or near the greatest serial there is.
func serials() *rapid.Generator[[]krl.Range] {
	return rapid.Custom(func(t *rapid.T) []krl.Range {
		at := rapid.OneOf(rapid.Uint64Range(1, 3), rapid.Uint64Range(1, 1<<40), rapid.Uint64Range(1<<64-200_000, 1<<64-1)).Draw(t, "first")
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) [2]uint64 {
			gap := rapid.OneOf(rapid.Uint64Range(2, 5), rapid.Uint64Range(50, 80), rapid.Uint64Range(2, 40_000), rapid.Uint64Range(2, 1<<36)).Draw(t, "gap")
			run := rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(0, 3), rapid.Uint64Range(200, 300), rapid.Uint64Range(0, 1<<34)).Draw(t, "run")
			return [2]uint64{gap, run}
		}), 1, 60).Draw(t, "steps")
		var out []krl.Range
		for _, s := range steps {
			last := at + s[1]
			if last < at {
				last = 1<<64 - 1
			}
			out = append(out, krl.Range{First: at, Last: last})
			if at = last + s[0]; at < last || at == 0 {
				break
			}
		}
		return out
	})
}

// What we write is what OpenSSH reads, and what we read ourselves.
func TestPromiseP09_OpenSSHReadsEverySet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		list := &krl.List{Number: rapid.Uint64().Draw(rt, "number"), MadeAt: rapid.Uint64Range(1, 1<<34).Draw(rt, "made"), Comment: "of the test"}
		for n := range rapid.IntRange(1, 5).Draw(rt, "authorities") {
			list.Issued = append(list.Issued, krl.Issued{CA: signer(t, n).PublicKey(), Serials: serials().Draw(rt, "serials")})
		}
		text := marshal(t, list)
		if got, want := dumped(t, text), expected(list); !slices.Equal(got, want) {
			rt.Fatalf("ssh-keygen reads\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		back, err := krl.Parse(text)
		if err != nil {
			rt.Fatal(err)
		}
		slices.SortFunc(list.Issued, func(a, b krl.Issued) int { return bytes.Compare(a.CA.Marshal(), b.CA.Marshal()) })
		if !reflect.DeepEqual(back, list) {
			rt.Fatalf("read back as %+v, want %+v", back, list)
		}
	})
}

// What ssh-keygen writes, we read.
func TestParseWhatOpenSSHWrites(t *testing.T) {
	t.Parallel()
	ca := signer(t, 1).PublicKey()
	caFile := write(t, "ca.pub", ssh.MarshalAuthorizedKey(ca))
	rapid.Check(t, func(rt *rapid.T) {
		want := serials().Draw(rt, "serials")
		var spec strings.Builder
		for _, r := range want {
			if r.First == r.Last {
				fmt.Fprintf(&spec, "serial: %d\n", r.First)
			} else {
				fmt.Fprintf(&spec, "serial: %d-%d\n", r.First, r.Last)
			}
		}
		fmt.Fprintf(&spec, "key: %s", ssh.MarshalAuthorizedKey(signer(t, 2).PublicKey()))
		fmt.Fprintf(&spec, "hash: %s\n", ssh.FingerprintSHA256(signer(t, 3).PublicKey()))
		out := filepath.Join(t.TempDir(), "krl")
		if said, err := keygen(t, "-q", "-k", "-f", out, "-s", caFile, "-z", "42", write(t, "spec", []byte(spec.String()))); err != nil {
			rt.Fatalf("%v: %s", err, said)
		}
		text, err := os.ReadFile(out)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := krl.Parse(text)
		if err != nil {
			rt.Fatalf("%v, of %x", err, text)
		}
		if got.Number != 42 || len(got.Issued) != 1 || !reflect.DeepEqual(got.Issued[0], krl.Issued{CA: ca, Serials: want}) {
			rt.Fatalf("read %+v, want %v", got, want)
		}
		if !got.RevokesKey(signer(t, 2).PublicKey()) || !got.RevokesKey(signer(t, 3).PublicKey()) || got.RevokesKey(ca) {
			rt.Fatalf("of keys it reads %d and %d fingerprints", len(got.Keys), len(got.Hashes))
		}
	})
}

// certificate makes one as far as a list is concerned with it.
func certificate(t testing.TB, ca, subject ssh.Signer, serial uint64) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{Key: subject.PublicKey(), Serial: serial, CertType: ssh.UserCert, ValidPrincipals: []string{"ops@web-1"}, ValidBefore: ssh.CertTimeInfinity}
	if err := c.SignCert(zeros{}, ca); err != nil {
		t.Fatal(err)
	}
	return c
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// Revokes answers what ssh-keygen -Q answers.
func TestPromiseP09_RevokesAsOpenSSHDoes(t *testing.T) {
	t.Parallel()
	ca, other, subject, gone := signer(t, 1), signer(t, 2), signer(t, 3), signer(t, 4)
	serials := []krl.Range{{First: 7, Last: 7}, {First: 10, Last: 600}, {First: 1000, Last: 1001}, {First: 1 << 63, Last: 1<<64 - 1}}
	of := func(l krl.List) *krl.List { l.Number = 1; return &l }
	issued := of(krl.List{Issued: []krl.Issued{{CA: ca.PublicKey(), Serials: serials}}})
	for _, tt := range []struct {
		name string
		list *krl.List
		cert *ssh.Certificate
		want bool
	}{
		{"a serial by itself", issued, certificate(t, ca, subject, 7), true},
		{"the serial before", issued, certificate(t, ca, subject, 6), false},
		{"the first of a range", issued, certificate(t, ca, subject, 10), true},
		{"the last of a range", issued, certificate(t, ca, subject, 600), true},
		{"after a range", issued, certificate(t, ca, subject, 601), false},
		{"the greatest", issued, certificate(t, ca, subject, 1<<64-1), true},
		{"no serial", issued, certificate(t, ca, subject, 0), false},
		{"another authority's", issued, certificate(t, other, subject, 7), false},
		{"an authority that is revoked", of(krl.List{Keys: []ssh.PublicKey{ca.PublicKey()}}), certificate(t, ca, subject, 5), true},
		{"an authority that is revoked by its fingerprint", of(krl.List{Hashes: [][32]byte{sha256.Sum256(ca.PublicKey().Marshal())}}), certificate(t, ca, subject, 5), true},
		{"a key that is revoked", of(krl.List{Keys: []ssh.PublicKey{gone.PublicKey()}}), certificate(t, ca, gone, 5), true},
		{"another key", of(krl.List{Keys: []ssh.PublicKey{gone.PublicKey()}}), certificate(t, ca, subject, 5), false},
		{"an empty list", of(krl.List{}), certificate(t, ca, subject, 7), false},
	} {
		if got := tt.list.Revokes(tt.cert); got != tt.want {
			t.Errorf("%s: revoked %t, want %t", tt.name, got, tt.want)
		}
		out, err := keygen(t, "-Q", "-f", write(t, "krl", marshal(t, tt.list)), write(t, "key-cert.pub", ssh.MarshalAuthorizedKey(tt.cert)))
		if got := strings.Contains(out, "REVOKED"); got != tt.want || (err != nil) != tt.want {
			t.Errorf("%s: ssh-keygen says %q, %v", tt.name, out, err)
		}
	}
}

func TestRefusedLists(t *testing.T) {
	t.Parallel()
	ca := signer(t, 1).PublicKey()
	cert := certificate(t, signer(t, 1), signer(t, 2), 1)
	for _, tt := range []struct {
		name string
		list krl.List
	}{
		{"serial 0", krl.List{Issued: []krl.Issued{{CA: ca, Serials: krl.Serials(0)}}}},
		{"a range that ends before it begins", krl.List{Issued: []krl.Issued{{CA: ca, Serials: []krl.Range{{First: 5, Last: 4}}}}}},
		{"an authority twice", krl.List{Issued: []krl.Issued{{CA: ca}, {CA: ca}}}},
		{"no authority", krl.List{Issued: []krl.Issued{{Serials: krl.Serials(1)}}}},
		{"a certificate as authority", krl.List{Issued: []krl.Issued{{CA: cert}}}},
		{"a certificate as key", krl.List{Keys: []ssh.PublicKey{cert}}},
		{"a comment of two lines", krl.List{Comment: "a\nb"}},
		{"a long comment", krl.List{Comment: strings.Repeat("a", 2000)}},
	} {
		if _, err := tt.list.Marshal(); !errors.Is(err, krl.ErrList) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestRefusedTexts(t *testing.T) {
	t.Parallel()
	ca := signer(t, 1).PublicKey()
	good := marshal(t, &krl.List{Number: 3, Issued: []krl.Issued{{CA: ca, Serials: krl.Serials(5, 900, 1_000_000)}}, Keys: []ssh.PublicKey{ca}})
	for n := range good {
		if l, err := krl.Parse(good[:n]); err == nil && n != len(good) {
			// What is cut between two sections is a list, of less.
			if reflect.DeepEqual(l.Keys, []ssh.PublicKey{ca}) {
				t.Errorf("a list cut off after %d bytes is read whole", n)
			}
		} else if err != nil && !errors.Is(err, krl.ErrList) {
			t.Errorf("cut off after %d bytes: %v", n, err)
		}
	}
	with := func(section string) []byte { return append(slices.Clone(good), section...) }
	wire := string(ca.Marshal())
	certificates := func(inner string) []byte {
		data := length(wire) + wire + "\x00\x00\x00\x00" + inner
		return with("\x01" + length(data) + data)
	}
	for _, tt := range []struct {
		name string
		text []byte
	}{
		{"nothing", nil},
		{"another magic", append([]byte("X"), good[1:]...)},
		{"another version", append(append(slices.Clone(good[:11]), 2), good[12:]...)},
		{"flags", append(append(slices.Clone(good[:35]), 1), good[36:]...)},
		{"a signature", with("\x04\x00\x00\x00\x00")},
		{"SHA-1 fingerprints", with("\x03\x00\x00\x00\x00")},
		{"an extension", with("\xff\x00\x00\x00\x00")},
		{"a fingerprint of two bytes", with("\x05\x00\x00\x00\x06\x00\x00\x00\x02ab")},
		{"a section that is longer than the list", with("\x02\x00\x00\x00\x01")},
		{"a section for every authority", with("\x01\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00")},
		{"key ids", certificates("\x23\x00\x00\x00\x00")},
		{"an extension of certificates", certificates("\x39\x00\x00\x00\x00")},
		{"half a serial", certificates("\x20\x00\x00\x00\x04\x00\x00\x00\x01")},
		{"serial 0", certificates("\x20\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00")},
		{"a range backwards", certificates("\x21\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x04")},
		{"a range and more", certificates("\x21\x00\x00\x00\x11\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x06x")},
		{"a negative bitmap", certificates("\x22\x00\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x01\x80")},
		{"a bitmap beyond the greatest serial", certificates("\x22\x00\x00\x00\x0d\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x01\x03")},
		{"a bitmap that is too wide", certificates("\x22" + length(strings.Repeat("x", 12+3000)) + "\x00\x00\x00\x00\x00\x00\x00\x05" + length(strings.Repeat("x", 3000)) + strings.Repeat("\x01", 3000))},
	} {
		if _, err := krl.Parse(tt.text); !errors.Is(err, krl.ErrList) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// length is how the SSH protocol says how long a text is.
func length(s string) string {
	n := len(s)
	return string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// A list of a hundred thousand serials stays small however they lie, and OpenSSH
// reads it.
func TestHundredThousandSerials(t *testing.T) {
	t.Parallel()
	ca := signer(t, 1).PublicKey()
	for _, tt := range []struct {
		name string
		step func(n uint64) uint64 // to the next serial
		most int
	}{
		{"all", func(uint64) uint64 { return 1 }, 200},
		{"every third", func(uint64) uint64 { return 3 }, 41_000},
		{"every tenth or so", func(n uint64) uint64 { return 5 + n*n%11 }, 140_000},
		{"far apart", func(n uint64) uint64 { return 1000 + n%977 }, 801_000},
	} {
		set, at := make([]uint64, 100_000), uint64(1)
		for n := range set {
			set[n] = at
			at += tt.step(uint64(n))
		}
		list := &krl.List{Number: 1, MadeAt: 1, Issued: []krl.Issued{{CA: ca, Serials: krl.Serials(set...)}}}
		text := marshal(t, list)
		t.Logf("%s: %d bytes", tt.name, len(text))
		if len(text) > tt.most {
			t.Errorf("%s: %d bytes, at most %d", tt.name, len(text), tt.most)
		}
		if got, want := dumped(t, text), expected(list); !slices.Equal(got, want) {
			t.Errorf("%s: ssh-keygen reads %d lines, want %d", tt.name, len(got), len(want))
		}
	}
}
