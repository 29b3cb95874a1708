package sshcerttest

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rand"
	"math/big"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Refused is a key that the key policy refuses.
type Refused struct {
	Name string
	Wire []byte
	Says string // in the sentence that a person reads
}

// RefusedKeys are keys that must never stand in a certificate.
func RefusedKeys(t testing.TB) []Refused {
	t.Helper()
	good := Signer(t, ssh.KeyAlgoED25519).PublicKey().Marshal()
	authority := Signer(t, ssh.KeyAlgoED25519)
	cert := &ssh.Certificate{
		Key: Signer(t, ssh.KeyAlgoED25519).PublicKey(), CertType: ssh.UserCert, ValidPrincipals: []string{"root"}, ValidBefore: ssh.CertTimeInfinity,
		SignatureKey: authority.PublicKey(),
	}
	var err error
	if cert.Signature, err = authority.Sign(rand.Reader, []byte("something else")); err != nil {
		t.Fatal(err)
	}
	const unreadable = "it cannot be read as an SSH public key"
	list := []Refused{
		{"nothing", nil, unreadable},
		{"junk", []byte("junk"), unreadable},
		{"a megabyte", make([]byte, 1<<20), "1048576 bytes, at most 4096"},
		{"4096 zero bytes", make([]byte, 4096), unreadable},
		{"a type with an escape in it", ssh.Marshal(struct{ Type string }{"ssh-\x1b[2J"}), unreadable},
		{"a type to come", ssh.Marshal(struct{ Type, Key string }{"ssh-mldsa-65", "x"}), "ssh-mldsa-65 keys are not accepted"},
		{"DSA", dsa(), "ssh-dss keys are not accepted; use ed25519, ECDSA, RSA of 3072 to 8192 bits or a FIDO key"},
		{"a signature algorithm for a type", ssh.Marshal(struct{ Type, Key string }{"rsa-sha2-512", "x"}), "rsa-sha2-512 keys are not accepted"},
		{"a certificate", cert.Marshal(), "it is a certificate, not a key; send the plain public key"},
		{"cut off", good[:len(good)-1], unreadable},
		{"a byte behind it", append(good[:len(good):len(good)], 0), unreadable},
		{"a key behind it", append(good[:len(good):len(good)], good...), unreadable},
	}
	return append(append(append(list, refusedRSA(t)...), refusedEC(t)...), refusedEd25519(t)...)
}

func dsa() []byte {
	one := big.NewInt(1)
	return ssh.Marshal(struct {
		Type       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", new(big.Int).SetBit(one, 1023, 1), new(big.Int).SetBit(one, 159, 1), big.NewInt(2), big.NewInt(5)})
}

// RSAWire is the wire form of an RSA key of any numbers.
func RSAWire(e, n *big.Int) []byte {
	return ssh.Marshal(struct {
		Type string
		E, N *big.Int
	}{ssh.KeyAlgoRSA, e, n})
}

// Modulus returns a number of exactly that many bits that no prime below 1000
// divides: what the policy can tell of it, it is an RSA modulus.
func Modulus(t testing.TB, bits int) *big.Int {
	t.Helper()
	product := new(big.Int).MulRange(1, 1000)
	for {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1)))
		if err != nil {
			t.Fatal(err)
		}
		n.SetBit(n, bits-1, 1).SetBit(n, 0, 1)
		if new(big.Int).GCD(nil, nil, n, product).Cmp(big.NewInt(1)) == 0 {
			return n
		}
	}
}

func refusedRSA(t testing.TB) []Refused {
	t.Helper()
	f4, n := big.NewInt(65537), Modulus(t, 3072)
	var list []Refused
	for _, bits := range []int{1024, 2048, 3071} {
		list = append(list, Refused{"RSA " + big.NewInt(int64(bits)).String(), RSAWire(f4, Modulus(t, bits)), "bits, at least 3072; ssh-keygen -t rsa -b 3072, or better ssh-keygen -t ed25519"})
	}
	for _, bits := range []int{8193, 16384, 32000} {
		list = append(list, Refused{"RSA " + big.NewInt(int64(bits)).String(), RSAWire(f4, Modulus(t, bits)), "bits, at most 8192; ssh-keygen -t rsa -b 3072"})
	}
	for _, e := range []int64{-65537, -1, 0, 1, 3, 17, 37, 65535, 65538, 1 << 24, 1<<24 + 1} {
		list = append(list, Refused{"RSA with e = " + big.NewInt(e).String(), RSAWire(big.NewInt(e), n), "which has to be odd and from 65537 to 16777215"})
	}
	const weak = "an RSA key whose secret can be worked out from its public half"
	small := new(big.Int).Mul(Modulus(t, 3072), big.NewInt(997))
	prime := nextPrime(Modulus(t, 1600))
	return append(
		list,
		Refused{"RSA with a huge e", RSAWire(n, n), "which has to be odd and from 65537"},
		Refused{"RSA with a negative modulus", RSAWire(f4, new(big.Int).Neg(n)), "it cannot be read"},
		Refused{"RSA with a modulus of zero", RSAWire(f4, new(big.Int)), "it cannot be read"},
		Refused{"RSA with an even modulus", RSAWire(f4, new(big.Int).Sub(n, big.NewInt(1))), weak},
		Refused{"RSA with a small factor", RSAWire(f4, small), weak},
		Refused{"RSA with a square modulus", RSAWire(f4, new(big.Int).Mul(prime, prime)), weak},
		Refused{"RSA with neighbours as factors", RSAWire(f4, new(big.Int).Mul(prime, nextPrime(new(big.Int).Add(prime, big.NewInt(2))))), weak},
		Refused{"RSA of CVE-2017-15361", RSAWire(f4, new(big.Int).Mul(rocaPrime(t), rocaPrime(t))), weak},
		Refused{"RSA with a leading zero", bytes.Join([][]byte{ssh.Marshal(struct{ Type, E string }{ssh.KeyAlgoRSA, "\x01\x00\x01"}), ssh.Marshal(struct{ N string }{string(append([]byte{0, 0}, n.Bytes()...))})}, nil), "not written in its one canonical form"},
		Refused{"RSA with bytes behind it", append(RSAWire(f4, n), 0), "it cannot be read"},
	)
}

func nextPrime(n *big.Int) *big.Int {
	p := new(big.Int).SetBit(n, 0, 1)
	for !p.ProbablyPrime(1) {
		p.Add(p, big.NewInt(2))
	}
	return p
}

// rocaPrime draws a prime as the library of CVE-2017-15361 did: k*M + 65537^a mod
// M, where M is the product of the primes up to 167.
func rocaPrime(t testing.TB) *big.Int {
	t.Helper()
	m := big.NewInt(1)
	for p := int64(2); p <= 167; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			m.Mul(m, big.NewInt(p))
		}
	}
	for {
		a, err := rand.Int(rand.Reader, m)
		if err != nil {
			t.Fatal(err)
		}
		k, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 1400))
		if err != nil {
			t.Fatal(err)
		}
		p := new(big.Int).Exp(big.NewInt(65537), a, m)
		p.Add(p, k.SetBit(k, 1399, 1).Mul(k, m))
		if p.Bit(0) == 1 && p.ProbablyPrime(1) {
			return p
		}
	}
}

func ecWire(keyType, curve string, point []byte) []byte {
	return ssh.Marshal(struct{ Type, Curve, Point string }{keyType, curve, string(point)})
}

func refusedEC(t testing.TB) []Refused {
	t.Helper()
	var w struct{ Type, Curve, Point string }
	if err := ssh.Unmarshal(Signer(t, ssh.KeyAlgoECDSA256).PublicKey().Marshal(), &w); err != nil {
		t.Fatal(err)
	}
	point := []byte(w.Point)
	off := bytes.Clone(point)
	off[len(off)-1] ^= 1
	compressed := append([]byte{2 + point[64]&1}, point[1:33]...)
	hybrid := append([]byte{6 + point[64]&1}, point[1:]...)
	wide := bytes.Clone(point)
	copy(wide[1:33], elliptic.P256().Params().P.Bytes()) // x = p, another writing of x = 0
	const unreadable = "it cannot be read as an SSH public key"
	list := []Refused{
		{"ECDSA on another curve than its type's", ecWire(ssh.KeyAlgoECDSA256, "nistp384", point), unreadable},
		{"ECDSA with a point of another curve", ecWire(ssh.KeyAlgoECDSA384, "nistp384", point), unreadable},
		{"ECDSA on a Bitcoin curve", ecWire("ecdsa-sha2-secp256k1", "secp256k1", point), "ecdsa-sha2-secp256k1 keys are not accepted"},
		{"ECDSA with a point off its curve", ecWire(ssh.KeyAlgoECDSA256, "nistp256", off), unreadable},
		{"ECDSA with the point at infinity", ecWire(ssh.KeyAlgoECDSA256, "nistp256", []byte{0}), unreadable},
		{"ECDSA with zeros for a point", ecWire(ssh.KeyAlgoECDSA256, "nistp256", append([]byte{4}, make([]byte, 64)...)), unreadable},
		{"ECDSA with a compressed point", ecWire(ssh.KeyAlgoECDSA256, "nistp256", compressed), unreadable},
		{"ECDSA with a hybrid point", ecWire(ssh.KeyAlgoECDSA256, "nistp256", hybrid), unreadable},
		{"ECDSA with a coordinate that is not reduced", ecWire(ssh.KeyAlgoECDSA256, "nistp256", wide), unreadable},
		{"ECDSA with bytes behind it", append(ecWire(ssh.KeyAlgoECDSA256, "nistp256", point), 0), unreadable},
	}
	for _, app := range []string{"", "ssh", "https://acme.example", " ssh:", "SSH:", "ssh:a b", "ssh:\n", "ssh:\u00e9", "ssh:" + string(bytes.Repeat([]byte("x"), 61))} {
		list = append(
			list,
			Refused{"FIDO ECDSA for " + app, ssh.Marshal(struct{ Type, Curve, Point, Application string }{ssh.KeyAlgoSKECDSA256, "nistp256", string(point), app}), "it has to begin with ssh:"},
			Refused{"FIDO ed25519 for " + app, SKEd25519(bytes.Repeat([]byte{9}, 32), app), "it has to begin with ssh:"},
		)
	}
	return append(
		list,
		Refused{"FIDO ECDSA on another curve", ssh.Marshal(struct{ Type, Curve, Point, Application string }{ssh.KeyAlgoSKECDSA256, "nistp384", string(point), "ssh:"}), unreadable},
		Refused{"FIDO ECDSA with a point off its curve", ssh.Marshal(struct{ Type, Curve, Point, Application string }{ssh.KeyAlgoSKECDSA256, "nistp256", string(off), "ssh:"}), unreadable},
		Refused{"FIDO ECDSA without application", ecWire(ssh.KeyAlgoSKECDSA256, "nistp256", point), unreadable},
		Refused{"a WebAuthn type", ecWire("webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", point), "keys are not accepted"},
	)
}

// SmallOrder are the ed25519 points under which anybody can sign, in their
// canonical writing, with either sign.
func SmallOrder() [][]byte {
	var list [][]byte
	for _, y := range []string{
		"\x00", "\x01", "\xec" + string(bytes.Repeat([]byte{0xff}, 30)) + "\x7f",
		"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
		"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
	} {
		point := make([]byte, 32)
		copy(point, y)
		list = append(list, point, append(bytes.Clone(point[:31]), point[31]|0x80))
	}
	return list
}

func refusedEd25519(t testing.TB) []Refused {
	t.Helper()
	wire := func(point []byte) []byte {
		return ssh.Marshal(struct{ Type, Point string }{ssh.KeyAlgoED25519, string(point)})
	}
	const anybody = "an ed25519 key that anybody can sign with"
	var list []Refused
	for i, point := range SmallOrder() {
		list = append(
			list,
			Refused{"ed25519 of small order " + string(rune('0'+i)), wire(point), anybody},
			Refused{"FIDO ed25519 of small order " + string(rune('0'+i)), SKEd25519(point, "ssh:"), anybody},
		)
	}
	for i := range 19 { // y = p + i, for y = i
		point := append([]byte{byte(0xed + i)}, bytes.Repeat([]byte{0xff}, 31)...)
		point[31] = 0x7f
		list = append(list, Refused{"ed25519 that is not reduced", wire(point), anybody})
	}
	return append(
		list,
		Refused{"ed25519 of 31 bytes", wire(make([]byte, 31)), "it cannot be read"},
		Refused{"ed25519 of 33 bytes", wire(make([]byte, 33)), "it cannot be read"},
	)
}
