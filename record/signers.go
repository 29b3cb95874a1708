package record

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	// minSigners is how many people ask for an erasure at least, maxSignatures how
	// many may.
	minSigners    = 2
	maxSignatures = 16
)

// humans tells the people apart whom contracts pin. Names and keys that stand
// together anywhere are one human's: one who has two keys, or two names, counts
// once.
type humans map[string]string

// of returns what stands for a human, by one of their names or keys.
func (h humans) of(mark string) string {
	for up, ok := h[mark]; ok && up != mark; up, ok = h[mark] {
		mark = up
	}
	return mark
}

func nameMark(name string) string       { return "name " + name }
func keyMark(key ssh.PublicKey) string  { return "key " + string(key.Marshal()) }
func (h humans) join(one, other string) { h[h.of(one)] = h.of(other) }

func humansIn(contracts []*contract.Version) humans {
	h := make(humans)
	for _, v := range contracts {
		for _, k := range v.Terms.Pinned() {
			h.join(nameMark(k.Name), keyMark(k.PublicKey))
		}
	}
	return h
}

// enoughSigners refuses an erasure for which one of the contracts has not two
// people who could sign, whatever they sign.
func enoughSigners(about, inForce []*contract.Version) error {
	if len(about) == 0 {
		return fmt.Errorf("%w: no contract is in force, so nobody can sign", ErrSigners)
	}
	all := humansIn(inForce)
	for _, v := range about {
		could := make(map[string]bool)
		for _, line := range v.Terms.Signatories {
			for _, k := range line.Of {
				could[all.of(nameMark(k.Name))] = true
			}
		}
		if len(could) < minSigners {
			return fmt.Errorf("%w: contract %s has only one; it needs a second signatory first", ErrSigners, v.Terms.ID)
		}
	}
	return nil
}

// checkSigners holds the signatures over an erase document to two people at least
// for each contract that the erasure is about: whoever brings in a contract of
// their own would be somebody else in it. inForce are all contracts in force: by
// them people are told apart.
func checkSigners(check checking, text string, signatures []string, about, inForce []*contract.Version) error {
	if len(signatures) > maxSignatures || !sortedUnique(signatures) {
		return fmt.Errorf("%w: at most %d signatures, in order, each once", ErrEvent, maxSignatures)
	}
	all, signed := humansIn(inForce), make(map[*contract.Version]map[string]bool, len(about))
	for _, v := range about {
		signed[v] = make(map[string]bool)
	}
	for _, armored := range signatures {
		key, err := sshcert.SignedBy(armored)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDocument, err)
		}
		if err := check.verify(key, sshcert.NamespaceErase, text, armored); err != nil {
			return err
		}
		known := false
		for _, v := range about {
			if _, ok := v.Terms.SignatoryName(key); ok {
				known, signed[v][all.of(keyMark(key))] = true, true
			}
		}
		if !known {
			return fmt.Errorf("%w: the key %s signs for no contract in force under which they acted: %w", ErrSigners, ssh.FingerprintSHA256(key), contract.ErrNotSignatory)
		}
	}
	for _, v := range about {
		if n := len(signed[v]); n < minSigners {
			return fmt.Errorf("%w: %d of those who sign contract %s signed, and one human counts once, whatever their keys and names; as they acted under it, have another of its signatories sign",
				ErrSigners, n, v.Terms.ID)
		}
	}
	return nil
}
