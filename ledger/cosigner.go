package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

// ErrCosigner says that a cosigner's key is malformed.
var ErrCosigner = errors.New("not a cosigner's key")

// ErrCosignature says that a cosignature is malformed, another cosigner's, or
// does not verify.
var ErrCosignature = errors.New("not a cosignature of this checkpoint")

// ErrMessage says that a message is not signed by the cosigner that it names.
var ErrMessage = errors.New("not a message of this cosigner")

const (
	algCosignature = 4 // C2SP tlog-cosignature: Ed25519, timestamped
	// maxCosignerName is the longest name of a cosigner, in bytes.
	maxCosignerName = 200
)

// cosignerName is how cosigners are named: C2SP says a schema-less URL; here
// without anything that a terminal or a page would read as something else.
var cosignerName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:_~/-]*$`)

// CosignerKey is the public key by which a cosigner's word is known: a vkey of
// C2SP tlog-cosignature (signature type 0x04, Ed25519).
type CosignerKey struct {
	verifier *torchwood.CosignatureVerifier
}

// ParseCosignerKey reads a vkey, strictly: what it would not write is refused.
func ParseCosignerKey(vkey string) (CosignerKey, error) {
	v, err := torchwood.NewCosignatureVerifier(vkey)
	if err != nil {
		return CosignerKey{}, fmt.Errorf("%.300q: %w: want NAME+ID+KEY of a cosigner (C2SP tlog-cosignature, Ed25519)", vkey, ErrCosigner)
	}
	if name := v.Name(); len(name) > maxCosignerName || !cosignerName.MatchString(name) {
		return CosignerKey{}, fmt.Errorf("%.300q: %w: a cosigner is named like witness.example/w1, in at most %d bytes", vkey, ErrCosigner, maxCosignerName)
	}
	if v.String() != vkey {
		return CosignerKey{}, fmt.Errorf("%.300q: %w: not in canonical form", vkey, ErrCosigner)
	}
	return CosignerKey{verifier: v}, nil
}

// Name returns what the cosigner calls itself.
func (k CosignerKey) Name() string { return k.verifier.Name() }

// String returns the vkey.
func (k CosignerKey) String() string { return k.verifier.String() }

// IsZero reports whether the key was never parsed.
func (k CosignerKey) IsZero() bool { return k.verifier == nil }

// Verify checks one cosignature line for a checkpoint and returns when the
// cosigner says it signed, to the second.
func (k CosignerKey) Verify(c Checkpoint, line string) (time.Time, error) {
	if k.IsZero() {
		return time.Time{}, fmt.Errorf("%w: no key to verify it by", ErrCosigner)
	}
	if err := checkSignatureLines(line); err != nil || strings.Count(line, "\n") != 1 {
		return time.Time{}, fmt.Errorf("%w: want one signature line", ErrCosignature)
	}
	opened, err := note.Open([]byte(c.text()+"\n"+line), note.VerifierList(k.verifier))
	if err != nil || len(opened.Sigs) != 1 {
		return time.Time{}, fmt.Errorf("%w: %s did not sign the checkpoint at size %d", ErrCosignature, k.Name(), c.Size)
	}
	seconds, err := torchwood.CosignatureTimestamp(opened.Sigs[0])
	if err != nil || seconds > math.MaxInt32*64 {
		return time.Time{}, fmt.Errorf("%w: %s gives no time", ErrCosignature, k.Name())
	}
	return time.Unix(seconds, 0), nil
}

// CosignerSigner signs checkpoints as a cosigner: it adds its word to the log's.
// It does not ask whether the checkpoint deserves it; see [CheckGrowth].
type CosignerSigner struct {
	public CosignerKey
	key    ed25519.PrivateKey
}

// NewCosignerKey draws a cosigner's key from rand, a cryptographic source.
// private is to be kept secret; public is the vkey that others pin.
func NewCosignerKey(rand io.Reader, name string) (private, public string, err error) {
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return "", "", fmt.Errorf("drawing a cosigner's key: %w", err)
	}
	s, err := cosignerSigner(name, seed[:])
	if err != nil {
		return "", "", err
	}
	_, rest, _ := strings.Cut(s.PublicKey(), "+")
	id, _, _ := strings.Cut(rest, "+")
	return keyPrefix + name + "+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{algCosignature}, seed[:]...)), s.PublicKey(), nil
}

// NewCosignerSigner reads the private key that [NewCosignerKey] returned. Its
// errors never repeat any of the key.
func NewCosignerSigner(private string) (*CosignerSigner, error) {
	rest, ok := strings.CutPrefix(private, keyPrefix)
	parts := strings.Split(rest, "+")
	if !ok || len(parts) < 3 {
		return nil, fmt.Errorf("private key: %w", ErrCosigner)
	}
	// Base64 may hold a plus sign; name and id hold none.
	name, id, text := parts[0], parts[1], strings.Join(parts[2:], "+")
	raw, err := parseStd(text)
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != algCosignature {
		return nil, fmt.Errorf("private key: %w: not a cosigner's Ed25519 key", ErrCosigner)
	}
	s, err := cosignerSigner(name, raw[1:])
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(s.PublicKey(), name+"+"+id+"+") {
		return nil, fmt.Errorf("private key: %w: its id does not belong to it", ErrCosigner)
	}
	return s, nil
}

func cosignerSigner(name string, seed []byte) (*CosignerSigner, error) {
	key := ed25519.NewKeyFromSeed(seed)
	if len(name) > maxCosignerName || !cosignerName.MatchString(name) {
		return nil, fmt.Errorf("name %.200q: %w: a cosigner is named like witness.example/w1, in at most %d bytes", name, ErrCosigner, maxCosignerName)
	}
	signer, err := torchwood.NewCosignatureSigner(name, key)
	if err != nil {
		return nil, fmt.Errorf("name %.200q: %w", name, ErrCosigner)
	}
	return &CosignerSigner{public: CosignerKey{verifier: signer.Verifier()}, key: key}, nil
}

// Key returns the public key.
func (s *CosignerSigner) Key() CosignerKey { return s.public }

// PublicKey returns the vkey to be pinned.
func (s *CosignerSigner) PublicKey() string { return s.public.String() }

// String names the signer without its key, so that no log line prints one.
func (s *CosignerSigner) String() string { return "cosigner " + s.public.Name() }

// GoString is as String, for the %#v verb.
func (s *CosignerSigner) GoString() string { return s.String() }

// Cosign returns the signature line that says: at that second this was the
// newest checkpoint of the log that the cosigner had seen (C2SP
// tlog-cosignature). torchwood's own signer reads the clock; here the time is an
// argument, and the line is verified by torchwood before it is returned.
func (s *CosignerSigner) Cosign(c Checkpoint, at time.Time) (string, error) {
	if err := c.check(); err != nil {
		return "", err
	}
	seconds := at.Unix()
	if seconds < 0 {
		return "", fmt.Errorf("%w: a time before 1970", ErrCosignature)
	}
	signature := ed25519.Sign(s.key, []byte("cosignature/v1\ntime "+strconv.FormatInt(seconds, 10)+"\n"+c.text()))
	raw := binary.BigEndian.AppendUint32(nil, s.public.verifier.KeyHash())
	raw = binary.BigEndian.AppendUint64(raw, uint64(seconds))
	line := "— " + s.public.Name() + " " + base64.StdEncoding.EncodeToString(append(raw, signature...)) + "\n"
	if signed, err := s.public.Verify(c, line); err != nil || signed.Unix() != seconds {
		return "", fmt.Errorf("cosigning the checkpoint at size %d: %w", c.Size, err)
	}
	return line, nil
}

// Message returns a signature over bytes that are no checkpoint, under a domain
// that no cosignature has: with it a cosigner proves to a server who it is.
func (s *CosignerSigner) Message(domain string, text []byte) []byte {
	return ed25519.Sign(s.key, append([]byte(domain+"\n"), text...))
}

// VerifyMessage returns nil if the cosigner made the signature by
// [CosignerSigner.Message], else an error that wraps [ErrMessage].
func (k CosignerKey) VerifyMessage(domain string, text, signature []byte) error {
	if k.IsZero() {
		return fmt.Errorf("%w: no key to verify it by", ErrMessage)
	}
	vkey := k.String()
	key, err := parseStd(vkey[strings.Index(vkey, "+")+len("+01234567+"):])
	if err != nil || len(key) != 1+ed25519.PublicKeySize {
		return fmt.Errorf("%w: no key to verify it by", ErrMessage)
	}
	if !ed25519.Verify(ed25519.PublicKey(key[1:]), append([]byte(domain+"\n"), text...), signature) {
		return fmt.Errorf("%w: %s did not sign it", ErrMessage, k.Name())
	}
	return nil
}
