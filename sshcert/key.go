package sshcert

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// ErrKeyPolicy is wrapped by every refusal of a key.
var ErrKeyPolicy = errors.New("key refused")

// MaxSubjectKey is the largest subject key read, in wire bytes. The largest that
// passes, RSA of MaxRSABits, has about 1050.
const MaxSubjectKey = 4096

// maxApplication is the longest application of a FIDO key, in bytes.
const maxApplication = 64

// subjectTypes are the types that a subject key may have. What is not here (DSA,
// certificates, types to come) is refused.
var subjectTypes = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
}

// ParseSubjectKey reads the public key that a certificate is to be made for and
// holds it to the key policy (docs/formats.md, "Key policy"). Each refusal says
// in a sentence what would pass.
//
// The ledger is replayed with it: what has passed once must pass for ever, and
// so must what was refused, unless the issue document gets a new version.
func ParseSubjectKey(wire []byte) (ssh.PublicKey, error) {
	return parseKey(wire, subjectTypes, "use ed25519, ECDSA, RSA of 3072 to 8192 bits or a FIDO key, such as ssh-keygen -t ed25519 makes")
}

// ParseDeviceKey reads the public key that a login is bound to. It passes the
// policy for subject keys and is ed25519: the client makes it, and nobody
// chooses its type.
func ParseDeviceKey(wire []byte) (ssh.PublicKey, error) {
	return parseKey(wire, []string{ssh.KeyAlgoED25519}, "a device key is ed25519, as sally login makes it")
}

// parseKey reads a key of one of the given types. otherwise says what to use
// where the type is another.
func parseKey(wire []byte, types []string, otherwise string) (ssh.PublicKey, error) {
	if len(wire) > MaxSubjectKey {
		return nil, fmt.Errorf("%w: %d bytes, at most %d; make one with ssh-keygen -t ed25519", ErrKeyPolicy, len(wire), MaxSubjectKey)
	}
	switch name := typeName(wire); {
	case name == "":
		return nil, unreadable()
	case strings.Contains(name, "-cert-"):
		return nil, fmt.Errorf("%w: it is a certificate, not a key; send the plain public key that it was made for", ErrKeyPolicy)
	case !slices.Contains(types, name):
		return nil, fmt.Errorf("%w: %s keys are not accepted; %s", ErrKeyPolicy, name, otherwise)
	case name == ssh.KeyAlgoRSA: // first: the library has bounds of its own, without a sentence
		if err := checkRSAWire(wire); err != nil {
			return nil, err
		}
	}
	key, err := ssh.ParsePublicKey(wire) // ECDSA: the curve is the type's, the point lies on it
	if err != nil {
		return nil, unreadable()
	}
	if !bytes.Equal(key.Marshal(), wire) {
		return nil, fmt.Errorf("%w: it is not written in its one canonical form; send what stands in the .pub file, or make a key with ssh-keygen -t ed25519", ErrKeyPolicy)
	}
	if err := checkKey(key, wire); err != nil {
		return nil, err
	}
	return key, nil
}

// checkKey holds a key that could be read to what is left of the policy.
func checkKey(key ssh.PublicKey, wire []byte) error {
	public, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return unreadable()
	}
	if point, ok := public.CryptoPublicKey().(ed25519.PublicKey); ok {
		if err := checkPoint(point); err != nil {
			return err
		}
	}
	switch key.Type() {
	case ssh.KeyAlgoSKED25519:
		var w struct {
			Name, Point, Application string
		}
		return errors.Join(ssh.Unmarshal(wire, &w), checkApplication(w.Application))
	case ssh.KeyAlgoSKECDSA256:
		var w struct {
			Name, Curve, Point, Application string
		}
		return errors.Join(ssh.Unmarshal(wire, &w), checkApplication(w.Application))
	}
	return nil
}

var typeNamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9@.-]{0,63}$`)

// typeName returns the name that a key's wire form begins with, "" if it begins
// with none.
func typeName(wire []byte) string {
	var w struct {
		Name string
		Rest []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(wire, &w); err != nil || !typeNamePattern.MatchString(w.Name) {
		return ""
	}
	return w.Name
}

func unreadable() error {
	return fmt.Errorf("%w: it cannot be read as an SSH public key: cut off, with bytes behind its end, or no point of its curve; make one with ssh-keygen -t ed25519", ErrKeyPolicy)
}

// smallOrder are the y coordinates (little-endian, sign bit clear) of the eight
// points of ed25519's curve whose order divides 8. Under such a key a signature
// that anybody can make up verifies (RFC 8032 §5.1.7, cofactor 8).
var smallOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p - 1
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
}

// checkPoint refuses the ed25519 keys that are nobody's: points of small order,
// and encodings that are not reduced modulo p = 2^255 - 19, which readers take
// for different keys.
func checkPoint(point ed25519.PublicKey) error {
	y := slices.Clone(point)
	y[31] &= 0x7f
	reduced := y[0] < 0xed
	for i := 1; i < 32 && !reduced; i++ {
		limit := byte(0xff)
		if i == 31 {
			limit = 0x7f
		}
		reduced = y[i] != limit
	}
	if !reduced || slices.Contains(smallOrder, hex.EncodeToString(y)) {
		return fmt.Errorf("%w: it is an ed25519 key that anybody can sign with; make another with ssh-keygen -t ed25519", ErrKeyPolicy)
	}
	return nil
}

// checkApplication refuses FIDO keys that were made for something else than SSH:
// an assertion for a website must prove nothing here. ssh-keygen demands the
// same of -O application.
func checkApplication(application string) error {
	plain := !strings.ContainsFunc(application, func(r rune) bool { return r <= ' ' || r > '~' })
	if !strings.HasPrefix(application, "ssh:") || len(application) > maxApplication || !plain {
		return fmt.Errorf("%w: it is a FIDO key for the application %+.80q; it has to begin with ssh: and have at most %d printable ASCII characters, as ssh-keygen -t ed25519-sk makes it",
			ErrKeyPolicy, application, maxApplication)
	}
	return nil
}
