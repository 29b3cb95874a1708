package sshcert_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

func TestKeyPolicyAccepts(t *testing.T) {
	t.Parallel()
	f4 := big.NewInt(65537)
	list := map[string][]byte{
		"RSA 3072":              sshcerttest.RSAWire(f4, sshcerttest.Modulus(t, 3072)),
		"RSA 8192":              sshcerttest.RSAWire(f4, sshcerttest.Modulus(t, 8192)),
		"RSA of an odd length":  sshcerttest.RSAWire(f4, sshcerttest.Modulus(t, 3073)),
		"RSA with a large e":    sshcerttest.RSAWire(big.NewInt(1<<24-1), sshcerttest.Modulus(t, 3072)),
		"FIDO with a name":      sshcerttest.NewToken(t, ssh.KeyAlgoSKED25519, "ssh:work-2026").PublicKey().Marshal(),
		"FIDO with a long name": sshcerttest.NewToken(t, ssh.KeyAlgoSKECDSA256, "ssh:"+strings.Repeat("x", 60)).PublicKey().Marshal(),
	}
	for _, keyType := range sshcerttest.Types() {
		list[keyType] = sshcerttest.Signer(t, keyType).PublicKey().Marshal()
	}
	for name, wire := range list {
		key, err := sshcert.ParseSubjectKey(wire)
		if err != nil || !bytes.Equal(key.Marshal(), wire) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each refusal is one sentence that names the limit and says what would pass.
func TestPromiseP02_KeyPolicyRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range sshcerttest.RefusedKeys(t) {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			key, err := sshcert.ParseSubjectKey(tt.Wire)
			if key != nil || !errors.Is(err, sshcert.ErrKeyPolicy) || !strings.Contains(err.Error(), tt.Says) {
				t.Fatalf("%v, want a refusal that says %q", err, tt.Says)
			}
			if text := err.Error(); len(text) > 300 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("the sentence %q", text)
			}
			if key, err := sshcert.ParseDeviceKey(tt.Wire); key != nil || !errors.Is(err, sshcert.ErrKeyPolicy) {
				t.Errorf("as a device key: %v", err)
			}
		})
	}
}

func TestDeviceKeyIsEd25519(t *testing.T) {
	t.Parallel()
	for _, keyType := range sshcerttest.Types() {
		_, err := sshcert.ParseDeviceKey(sshcerttest.Signer(t, keyType).PublicKey().Marshal())
		if keyType == ssh.KeyAlgoED25519 {
			if err != nil {
				t.Errorf("%s: %v", keyType, err)
			}
			continue
		}
		if !errors.Is(err, sshcert.ErrKeyPolicy) || !strings.Contains(err.Error(), keyType+" keys are not accepted; a device key is ed25519") {
			t.Errorf("%s: %v", keyType, err)
		}
	}
}

// A certificate over a key that the policy refuses is none.
func TestCertificateOverARefusedKey(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{2048, 3072} {
		cert := newCertificate(t)
		cert.Key = sshcerttest.RSA(t, bits).PublicKey()
		_, err := sshcert.ParseCertificate(cert.Marshal())
		if refused := errors.Is(err, sshcert.ErrCertificate) && errors.Is(err, sshcert.ErrKeyPolicy); refused != (bits == 2048) {
			t.Errorf("RSA of %d bits: %v", bits, err)
		}
	}
}

// Why points of small order are refused: a signature that was made without any
// private key verifies under them.
func TestSmallOrderIsAnybodys(t *testing.T) {
	t.Parallel()
	identity := append([]byte{1}, make([]byte, 31)...)
	anybodys := append(identity, make([]byte, 32)...) // R is the identity, S is 0
	for _, point := range sshcerttest.SmallOrder() {
		y := bytes.Clone(point)
		y[31] &= 0x7f
		if point[31]&0x80 != 0 && (bytes.Equal(y, identity) || y[0] == 0xec && y[31] == 0x7f) {
			continue // x is 0: there is no such point with a sign
		}
		found := false
		for i := 0; i < 200 && !found; i++ {
			found = ed25519.Verify(point, []byte("message "+strconv.Itoa(i)), anybodys)
		}
		if !found {
			t.Errorf("%x signs nothing", point)
		}
	}
}

// A key that passes has one wire form: no other bytes are read as it.
func TestKeyPolicyReadsOneForm(t *testing.T) {
	t.Parallel()
	var wires [][]byte
	for _, keyType := range sshcerttest.Types() {
		wires = append(wires, sshcerttest.Signer(t, keyType).PublicKey().Marshal())
	}
	rapid.Check(t, func(t *rapid.T) {
		wire := bytes.Clone(rapid.SampledFrom(wires).Draw(t, "key"))
		at := rapid.IntRange(0, len(wire)).Draw(t, "at")
		switch rapid.IntRange(0, 3).Draw(t, "how") {
		case 0:
			wire = wire[:at]
		case 1:
			wire = append(wire, rapid.SliceOf(rapid.Byte()).Draw(t, "more")...)
		case 2:
			wire = append(wire[:at:at], append(rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "put in"), wire[at:]...)...)
		default:
			if at < len(wire) {
				wire[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			}
		}
		holdsPolicy(t, wire)
	})
}

// holdsPolicy checks what is true of every key that passes, by other means than
// the policy's own.
func holdsPolicy(t interface{ Fatalf(string, ...any) }, wire []byte) {
	key, err := sshcert.ParseSubjectKey(wire)
	if err != nil {
		if !errors.Is(err, sshcert.ErrKeyPolicy) || key != nil || len(err.Error()) > 400 {
			t.Fatalf("refused with %v, %v", key, err)
		}
		return
	}
	if !bytes.Equal(key.Marshal(), wire) || len(wire) > sshcert.MaxSubjectKey {
		t.Fatalf("%x is read as %x", wire, key.Marshal())
	}
	var w struct {
		Type string
		E, N []byte
		Rest []byte `ssh:"rest"`
	}
	switch err := ssh.Unmarshal(wire, &w); key.Type() {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521:
	case ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		if !bytes.Contains(wire, []byte("ssh:")) {
			t.Fatalf("a FIDO key for another application: %x", wire)
		}
	case ssh.KeyAlgoRSA:
		n, e := new(big.Int).SetBytes(w.N), new(big.Int).SetBytes(w.E)
		if err != nil || w.N[0] > 0x7f || n.BitLen() < 3072 || n.BitLen() > 8192 || e.Int64() < 65537 || e.BitLen() > 24 || e.Bit(0) != 1 || n.Bit(0) != 1 {
			t.Fatalf("RSA with modulus %x and exponent %x, %v", w.N, w.E, err)
		}
	default:
		t.Fatalf("a key of type %s", key.Type())
	}
}

func FuzzParseSubjectKey(f *testing.F) {
	for _, keyType := range sshcerttest.Types() {
		f.Add(sshcerttest.Signer(f, keyType).PublicKey().Marshal())
	}
	for _, refused := range sshcerttest.RefusedKeys(f) {
		f.Add(refused.Wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) { holdsPolicy(t, wire) })
}

func BenchmarkParseSubjectKey(b *testing.B) {
	f4 := big.NewInt(65537)
	for name, wire := range map[string][]byte{
		"ed25519": sshcerttest.Signer(b, ssh.KeyAlgoED25519).PublicKey().Marshal(),
		"rsa3072": sshcerttest.RSAWire(f4, sshcerttest.Modulus(b, 3072)),
		"rsa8192": sshcerttest.RSAWire(f4, sshcerttest.Modulus(b, 8192)),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := sshcert.ParseSubjectKey(wire); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
