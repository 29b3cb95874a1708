package ledger

import (
	"errors"
	"fmt"
	"slices"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

// ErrPolicy says that a policy was never made or could trust nobody.
var ErrPolicy = errors.New("not a ledger policy")

// maxLogKeys is the most keys of one log: rotation needs two.
const maxLogKeys = 8

// Policy says which checkpoints to believe: one log's, by its origin, signed
// by any one of its keys. Several keys are for rotation only: verifiers trust
// old and new, the log signs with the new one, and the old one is dropped when
// the last certificate proved with it has expired.
//
// The zero Policy believes nothing.
type Policy struct {
	origin  string
	require torchwood.Policy
}

// NewPolicy returns the policy that believes checkpoints of the log named
// origin if at least one of logKeys signed them. Each key is a vkey as
// [NewLogKey] returns it, named like the origin: a key of another name is
// another log's.
func NewPolicy(origin string, logKeys ...string) (*Policy, error) {
	if _, err := ParseOrigin(origin); err != nil {
		return nil, err
	}
	if len(logKeys) == 0 || len(logKeys) > maxLogKeys {
		return nil, fmt.Errorf("%w: %d log keys, want 1 to %d", ErrPolicy, len(logKeys), maxLogKeys)
	}
	anyOf := make([]torchwood.Policy, 0, len(logKeys))
	ids := make([]uint32, 0, len(logKeys))
	for _, vkey := range logKeys {
		v, err := parseLogKey(origin, vkey)
		if err != nil {
			return nil, err
		}
		if slices.Contains(ids, v.KeyHash()) {
			// torchwood could not tell which of the two signed.
			return nil, fmt.Errorf("%w: two log keys with the id %08x", ErrPolicy, v.KeyHash())
		}
		ids = append(ids, v.KeyHash())
		anyOf = append(anyOf, torchwood.SingleVerifierPolicy(v))
	}
	// All of: the origin, and one of the log's keys. Cosigners and witnesses
	// become further parts of the same conjunction.
	all := []torchwood.Policy{torchwood.OriginPolicy(origin), torchwood.ThresholdPolicy(1, anyOf...)}
	return &Policy{origin: origin, require: torchwood.ThresholdPolicy(len(all), all...)}, nil
}

// Origin returns the name of the log that p believes.
func (p *Policy) Origin() string {
	if p == nil {
		return ""
	}
	return p.origin
}

// OpenCheckpoint reads a signed checkpoint and returns it if p believes it. It
// refuses with [ErrCheckpoint] what is malformed or over [MaxText], with
// [ErrOrigin] another log's, with [ErrUntrusted] what no trusted key signed or
// what carries a bad signature of one. Signatures of unknown keys are ignored.
//
// A checkpoint says what the log held when it signed, not that this is the
// newest one, nor that it shows everyone the same.
func (p *Policy) OpenCheckpoint(signed []byte) (Checkpoint, error) {
	if p == nil || p.require == nil {
		return Checkpoint{}, fmt.Errorf("%w: nothing to trust a checkpoint by", ErrPolicy)
	}
	c, err := parseSigned(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != p.origin {
		return Checkpoint{}, fmt.Errorf("checkpoint of %q: %w: want %q", c.Origin, ErrOrigin, p.origin)
	}
	opened, n, err := torchwood.VerifyCheckpoint(signed, p.require)
	if err != nil {
		return Checkpoint{}, untrusted(c, err)
	}
	// Two parsers read the same bytes; only what both read alike counts.
	same := opened.Origin == c.Origin && opened.N == c.Size && opened.Hash == c.Root
	if !same || n.Text != c.text() {
		return Checkpoint{}, fmt.Errorf("%w: it can be read in two ways", ErrCheckpoint)
	}
	return c, nil
}

func untrusted(c Checkpoint, err error) error {
	bad, isBad := errors.AsType[*note.InvalidSignatureError](err)
	switch {
	case isBad:
		return fmt.Errorf("checkpoint of %s at size %d: %w: the signature of key %08x does not verify", c.Origin, c.Size, ErrUntrusted, bad.Hash)
	case isUnverified(err):
		return fmt.Errorf("checkpoint of %s at size %d: %w", c.Origin, c.Size, ErrUntrusted)
	default:
		return fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
}

// isUnverified reports whether a note carries no signature of a known key.
func isUnverified(err error) bool {
	_, ok := errors.AsType[*note.UnverifiedNoteError](err)
	return ok
}
