package trust

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// Bundle is what a host pins.
type Bundle struct {
	V        string       `json:"v"`
	Origin   string       `json:"origin"`   // of the ledger
	Lineage  canon.Digest `json:"lineage"`  // of the contract that the host belongs to
	Contract canon.Digest `json:"contract"` // the version whose cosigners and roots it repeats
	Number   int64        `json:"number"`   // 1, 2, …

	MadeAt    canon.Micros `json:"made_at"`
	ExpiresAt canon.Micros `json:"expires_at"`

	LogKeys   []string   `json:"log_keys"`            // vkeys; any of them signs checkpoints
	UserCAs   []Key      `json:"user_cas"`            // sign people's certificates
	HostCAs   []Key      `json:"host_cas,omitempty"`  // sign hosts' certificates
	KRLKeys   []Key      `json:"krl_keys,omitempty"`  // sign revocation lists
	Cosigners []string   `json:"cosigners,omitempty"` // vkeys of party cosigners; all of them
	Witnesses *Witnesses `json:"witnesses,omitempty"`
	Roots     []Root     `json:"roots,omitempty"` // by party, in their order
}

// Witnesses says how many of which witnesses have to have cosigned.
type Witnesses struct {
	Need int      `json:"need"` // more than half
	Keys []string `json:"keys"` // vkeys
}

// Root is a party's word for the next bundle: Need of its Keys.
type Root struct {
	Party string     `json:"party"`
	Need  int        `json:"need"`
	Keys  []NamedKey `json:"keys"`
}

// NamedKey is a root key with the name that the contract gives it.
type NamedKey struct {
	Name string `json:"name"`
	Key  Key    `json:"key"`
}

// Make writes a bundle in canonical form, after holding it to what [ParseBundle]
// demands.
func Make(b Bundle) (string, error) {
	b.V = Version
	text, err := canon.Marshal(b)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrBundle, err)
	}
	_, err = ParseBundle(string(text))
	return string(text), err
}

// ParseBundle reads the text of a bundle, strictly: what [Make] would not write is
// refused with [ErrBundle].
func ParseBundle(text string) (Bundle, error) {
	var b Bundle
	if len(text) > MaxText {
		return Bundle{}, fmt.Errorf("%w: %d bytes, at most %d", ErrBundle, len(text), MaxText)
	}
	if err := canon.Unmarshal([]byte(text), &b); err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	// A member that is left out where it must stand would be written again.
	if again, err := canon.Marshal(b); err != nil || string(again) != text {
		return Bundle{}, fmt.Errorf("%w: a member is missing, or it says what is left out otherwise", ErrBundle)
	}
	if err := b.check(); err != nil {
		return Bundle{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return b, nil
}

// Policy returns which checkpoints to believe: the ledger's, signed by any of its
// keys, with the cosignatures of each party cosigner and of enough witnesses.
func (b Bundle) Policy() (*ledger.Policy, error) {
	policy, err := ledger.NewPolicy(b.Origin, b.LogKeys...)
	if err != nil {
		return nil, err
	}
	var c ledger.Cosigners
	if c.All, err = cosignerKeys(b.Cosigners); err != nil {
		return nil, err
	}
	if b.Witnesses != nil {
		c.Need = b.Witnesses.Need
		if c.Witnesses, err = cosignerKeys(b.Witnesses.Keys); err != nil {
			return nil, err
		}
	}
	return policy.WithCosigners(c)
}

func cosignerKeys(vkeys []string) ([]ledger.CosignerKey, error) {
	list := make([]ledger.CosignerKey, 0, len(vkeys))
	for _, vkey := range vkeys {
		key, err := ledger.ParseCosignerKey(vkey)
		if err != nil {
			return nil, err
		}
		list = append(list, key)
	}
	return list, nil
}

// SignsUsers reports whether a key is an authority's for people's certificates.
func (b Bundle) SignsUsers(public ssh.PublicKey) bool { return oneOf(b.UserCAs, public) }

// SignsHosts reports whether a key is an authority's for hosts' certificates.
func (b Bundle) SignsHosts(public ssh.PublicKey) bool { return oneOf(b.HostCAs, public) }

// SignsLists reports whether a key signs revocation lists.
func (b Bundle) SignsLists(public ssh.PublicKey) bool { return oneOf(b.KRLKeys, public) }

func oneOf(keys []Key, public ssh.PublicKey) bool {
	for _, k := range keys {
		if k.Is(public) {
			return true
		}
	}
	return false
}

// Expired reports whether the bundle's time is over.
func (b Bundle) Expired(now time.Time) bool { return canon.At(now) >= b.ExpiresAt }

func (b Bundle) check() error {
	switch {
	case b.V != Version:
		return fmt.Errorf("it says that it is %.60q, want %s", b.V, Version)
	case b.Lineage.IsZero() || b.Contract.IsZero():
		return errors.New("lineage or contract is zero")
	case b.Number < 1:
		return errors.New("bundles are numbered from 1")
	case b.MadeAt < 1 || b.ExpiresAt <= b.MadeAt:
		return errors.New("it expires before it was made")
	case len(b.LogKeys) > maxLogKeys:
		return fmt.Errorf("%d log keys, at most %d", len(b.LogKeys), maxLogKeys)
	case len(b.UserCAs) < 1:
		return errors.New("no key that signs people's certificates")
	case len(b.UserCAs) > maxKeys || len(b.HostCAs) > maxKeys || len(b.KRLKeys) > maxKeys:
		return fmt.Errorf("more than %d keys of a kind", maxKeys)
	case b.Witnesses != nil && len(b.Witnesses.Keys) == 0:
		return errors.New("a number of witnesses without their keys")
	}
	if err := b.checkKRLKeys(); err != nil {
		return err
	}
	if err := b.checkRoots(); err != nil {
		return err
	}
	if err := b.checkDistinct(); err != nil {
		return err
	}
	_, err := b.Policy()
	return err
}

func (b Bundle) checkKRLKeys() error {
	for _, k := range b.KRLKeys {
		if public, err := k.Public(); err != nil || public.Type() != ssh.KeyAlgoED25519 {
			return errors.New("a key of revocation lists is not ed25519")
		}
	}
	return nil
}

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`) // as the terms of a contract name parties and keys

func (b Bundle) checkRoots() error {
	if len(b.Roots) > maxParties {
		return fmt.Errorf("roots of %d parties, at most %d", len(b.Roots), maxParties)
	}
	for i, r := range b.Roots {
		switch {
		case !namePattern.MatchString(r.Party):
			return fmt.Errorf("party %.80q: not an id of a contract", r.Party)
		case i > 0 && b.Roots[i-1].Party >= r.Party:
			return fmt.Errorf("party %s: parties stand once each, in the order of their ids", r.Party)
		case len(r.Keys) > maxRootKeys:
			return fmt.Errorf("party %s: %d roots, at most %d", r.Party, len(r.Keys), maxRootKeys)
		case r.Need < 1 || r.Need > len(r.Keys):
			return fmt.Errorf("party %s: %d of %d roots", r.Party, r.Need, len(r.Keys))
		}
		for j, k := range r.Keys {
			if !namePattern.MatchString(k.Name) || j > 0 && r.Keys[j-1].Name >= k.Name {
				return fmt.Errorf("party %s, root %.80q: names are ids of a contract, once each and in order", r.Party, k.Name)
			}
		}
	}
	return nil
}

// checkDistinct demands that each SSH key stands once: whoever holds one has one
// power, and counts once.
func (b Bundle) checkDistinct() error {
	seen := map[Key]bool{}
	add := func(keys ...Key) error {
		for _, k := range keys {
			if seen[k] {
				return errors.New("a key stands twice; each has one purpose and one holder")
			}
			seen[k] = true
		}
		return nil
	}
	for _, list := range [][]Key{b.UserCAs, b.HostCAs, b.KRLKeys} {
		if err := add(list...); err != nil {
			return err
		}
	}
	for _, r := range b.Roots {
		for _, k := range r.Keys {
			if err := add(k.Key); err != nil {
				return err
			}
		}
	}
	return nil
}
