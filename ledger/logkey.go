package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// MaxOrigin is the longest origin, in bytes.
const MaxOrigin = 100

var originPattern = regexp.MustCompile(
	`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(/[a-z0-9][a-z0-9._~-]*)*$`)

// reservedOrigin is what torchwood probes policies with: as a log's name it
// would make each policy look as if it did not check the origin.
const reservedOrigin = "check.invalid"

// ParseOrigin reads a log's name, which is chosen once and stands in each
// checkpoint: a lower-case DNS name, optionally followed by path segments, such
// as "ledger.example/prod"; at most [MaxOrigin] bytes. That is C2SP
// tlog-checkpoint's schema-less URL without ports, upper case or anything else
// that could be spelled in two ways. The name need not resolve.
func ParseOrigin(s string) (string, error) {
	if len(s) > MaxOrigin || !originPattern.MatchString(s) {
		return "", fmt.Errorf("origin %.120q: %w: a lower-case DNS name and optional path, at most %d bytes, such as ledger.example/prod",
			s, ErrOrigin, MaxOrigin)
	}
	if s == reservedOrigin {
		return "", fmt.Errorf("origin %q: %w: the name is reserved; choose another", s, ErrOrigin)
	}
	return s, nil
}

const (
	algEd25519 = 1 // C2SP signed-note signature type
	keyPrefix  = "PRIVATE+KEY+"
)

// NewLogKey draws an Ed25519 log key for origin from rand, which must be a
// cryptographic source. private is a signed-note signer key, to be kept secret;
// public is the vkey that hosts, clients and auditors pin.
func NewLogKey(rand io.Reader, origin string) (private, public string, err error) {
	if _, err := ParseOrigin(origin); err != nil {
		return "", "", err
	}
	private, public, err = note.GenerateKey(rand, origin)
	if err != nil {
		return "", "", fmt.Errorf("drawing a log key: %w", err)
	}
	return private, public, nil
}

// LogSigner signs a log's checkpoints. It does not remember what it signed:
// that a checkpoint never contradicts an earlier one is the caller's duty (see
// [CheckConsistency]).
type LogSigner struct {
	origin string
	public string
	signer note.Signer
}

// NewLogSigner reads the private key that [NewLogKey] returned. Its errors
// never repeat any of the key.
func NewLogSigner(private string) (*LogSigner, error) {
	signer, err := note.NewSigner(private)
	if err != nil {
		return nil, fmt.Errorf("private log key: %w: %w", ErrLogKey, err)
	}
	origin, err := ParseOrigin(signer.Name())
	if err != nil {
		return nil, fmt.Errorf("private log key: %w: %w", ErrLogKey, err)
	}
	_, text, _ := strings.Cut(strings.TrimPrefix(private, keyPrefix+origin+"+"), "+")
	key, err := parseStd(text)
	if err != nil || len(key) != 1+ed25519.SeedSize || key[0] != algEd25519 ||
		private != fmt.Sprintf("%s%s+%08x+%s", keyPrefix, origin, signer.KeyHash(), text) {
		return nil, fmt.Errorf("private log key: %w: not in canonical form", ErrLogKey)
	}
	pub, ok := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("private log key: %w: not an Ed25519 key", ErrLogKey)
	}
	public, err := note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		return nil, fmt.Errorf("private log key: %w: %w", ErrLogKey, err)
	}
	return &LogSigner{origin: origin, public: public, signer: signer}, nil
}

// Origin returns the log's name, which is also the key's name.
func (s *LogSigner) Origin() string { return s.origin }

// PublicKey returns the vkey to be pinned.
func (s *LogSigner) PublicKey() string { return s.public }

// String names the signer without its key, so that no log line prints one.
func (s *LogSigner) String() string { return "log signer " + s.origin }

// GoString is as String, for the %#v verb.
func (s *LogSigner) GoString() string { return s.String() }

// parseLogKey reads a vkey, strictly, for a log named origin.
func parseLogKey(origin, vkey string) (note.Verifier, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("log key %.200q: %w: %w", vkey, ErrLogKey, err)
	}
	if v.Name() != origin {
		return nil, fmt.Errorf("log key %.200q: %w: it is named %.120q, the log %q", vkey, ErrLogKey, v.Name(), origin)
	}
	_, text, _ := strings.Cut(strings.TrimPrefix(vkey, origin+"+"), "+")
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != algEd25519 {
		return nil, fmt.Errorf("log key %.200q: %w: not an Ed25519 key", vkey, ErrLogKey)
	}
	if again, err := note.NewEd25519VerifierKey(origin, key[1:]); err != nil || again != vkey {
		return nil, fmt.Errorf("log key %.200q: %w: not in canonical form", vkey, ErrLogKey)
	}
	return v, nil
}
