package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
)

// MaxCosigners is how many cosigners a policy names at most: with them a proof
// still fits into [MaxText].
const MaxCosigners = 32

// Cosigners says whose word a checkpoint needs beside the log's own. The zero
// value asks for nobody's.
type Cosigners struct {
	// All have to have cosigned: the party cosigners of a contract.
	All []CosignerKey
	// Need of Witnesses have to have cosigned. It is more than half of them, so
	// that two quorums always share a witness: a log that shows two faces needs
	// one that lies.
	Need      int
	Witnesses []CosignerKey
}

// Empty reports whether nobody's word is asked for.
func (c Cosigners) Empty() bool { return len(c.All) == 0 && len(c.Witnesses) == 0 }

// Keys returns all keys that c names.
func (c Cosigners) Keys() []CosignerKey { return slices.Concat(c.All, c.Witnesses) }

// check holds c to what a reader can tell apart.
func (c Cosigners) check() error {
	keys := c.Keys()
	switch {
	case len(keys) > MaxCosigners:
		return fmt.Errorf("%w: %d cosigners, at most %d", ErrPolicy, len(keys), MaxCosigners)
	case c.Need < 0 || c.Need > len(c.Witnesses):
		return fmt.Errorf("%w: %d of %d witnesses", ErrPolicy, c.Need, len(c.Witnesses))
	case len(c.Witnesses) > 0 && 2*c.Need <= len(c.Witnesses):
		return fmt.Errorf("%w: %d of %d witnesses; more than half are needed, else two halves could be shown two ledgers", ErrPolicy, c.Need, len(c.Witnesses))
	}
	for i, k := range keys {
		if k.IsZero() {
			return fmt.Errorf("%w: a cosigner without key", ErrPolicy)
		}
		if slices.ContainsFunc(keys[:i], func(o CosignerKey) bool { return o.Name() == k.Name() }) {
			return fmt.Errorf("%w: two cosigners are named %s", ErrPolicy, k.Name())
		}
	}
	return nil
}

// WithCosigners returns a policy that asks for cosignatures beside what p asks
// for.
func (p *Policy) WithCosigners(c Cosigners) (*Policy, error) {
	if p == nil || p.require == nil {
		return nil, fmt.Errorf("%w: nothing to add cosigners to", ErrPolicy)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Empty() {
		return p, nil
	}
	all := []torchwood.Policy{p.require}
	for _, k := range c.All {
		all = append(all, torchwood.SingleVerifierPolicy(k.verifier))
	}
	if len(c.Witnesses) > 0 {
		some := make([]torchwood.Policy, 0, len(c.Witnesses))
		for _, k := range c.Witnesses {
			some = append(some, torchwood.SingleVerifierPolicy(k.verifier))
		}
		all = append(all, torchwood.ThresholdPolicy(c.Need, some...))
	}
	return &Policy{origin: p.origin, require: torchwood.ThresholdPolicy(len(all), all...)}, nil
}

// Cosignature is one cosigner's word for a checkpoint.
type Cosignature struct {
	Key  CosignerKey
	Line string    // as it stands in the signed checkpoint
	At   time.Time // when it was given, by the cosigner's clock
}

// AddCosignatures returns a signed checkpoint with the lines added, in the order
// of the cosigners' names, whatever order they came in. It verifies each and
// takes none of a key that has signed already.
func AddCosignatures(signed []byte, list ...Cosignature) ([]byte, error) {
	c, err := parseSigned(signed)
	if err != nil {
		return nil, err
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Cosignature) int { return strings.Compare(a.Key.Name(), b.Key.Name()) })
	out := string(signed)
	for _, s := range list {
		if _, err := s.Key.Verify(c, s.Line); err != nil {
			return nil, err
		}
		if out += s.Line; len(out) > MaxText {
			return nil, fmt.Errorf("%w: over %d bytes with its cosignatures", ErrCheckpoint, MaxText)
		}
	}
	_, err = parseSigned([]byte(out)) // refuses a key that signs twice
	return []byte(out), err
}

// Cosignatures returns the cosignatures of the keys that a signed checkpoint
// carries. It says nothing about the log's own signature, and leaves out keys
// that did not sign; a cosignature that does not verify is an error.
func Cosignatures(signed []byte, keys ...CosignerKey) ([]Cosignature, error) {
	c, err := parseSigned(signed)
	if err != nil {
		return nil, err
	}
	_, lines, _ := strings.Cut(string(signed), "\n\n")
	var out []Cosignature
	for line := range strings.SplitAfterSeq(strings.TrimSuffix(lines, "\n"), "\n") {
		line = strings.TrimSuffix(line, "\n") + "\n"
		opened, err := note.Open([]byte(c.text()+"\n"+line), verifiers(keys))
		switch {
		case isUnverified(err):
			continue // of a key that nobody asked about
		case err != nil:
			return nil, untrusted(c, err)
		}
		for _, k := range keys {
			if k.Name() != opened.Sigs[0].Name {
				continue
			}
			at, err := k.Verify(c, line)
			if err != nil {
				return nil, err
			}
			out = append(out, Cosignature{Key: k, Line: line, At: at})
		}
	}
	return out, nil
}

func verifiers(keys []CosignerKey) note.Verifiers {
	list := make([]note.Verifier, 0, len(keys))
	for _, k := range keys {
		list = append(list, k.verifier)
	}
	return note.VerifierList(list...)
}
