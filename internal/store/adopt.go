package store

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Adopt appends a leaf that this ledger had and has lost, as it was: the same
// bytes, the same salts, the same time. The fold is asked as it was then. A person
// part is sealed anew: the key that it was sealed with may be lost as well.
//
// An opening that is not the leaf's is refused with record.ErrOpening, and so is
// one without the person part that the leaf commits to, unless that is gone:
// destroyed with somebody who was erased.
func (tx *Tx) Adopt(leaf ledger.Leaf, o record.Opening, gone bool) (Appended, error) {
	if tx.stopped != nil {
		return Appended{}, tx.stopped
	}
	facts, person, err := record.Open(leaf, o)
	if err != nil {
		return Appended{}, err
	}
	if leaf.Person.IsZero() != (o.Person == nil) && !(gone && o.Person == nil) {
		return Appended{}, fmt.Errorf("the person part: %w", record.ErrOpening)
	}
	if facts.When() > canon.At(tx.now.Time().Add(maxJump)) {
		return Appended{}, fmt.Errorf("%w (it shows %s, the entry is of %s)", ErrClock, tx.now.Time().Format(time.RFC3339), facts.When().Time().Format(time.RFC3339))
	}
	opening := Opening{FactsSalt: o.FactsSalt, Facts: o.Facts}
	if o.Person != nil {
		opening.Person, opening.PersonSalt = o.Person, o.PersonSalt
		if opening.PersonID, err = record.SealedFor(facts); err != nil {
			return Appended{}, err
		}
	}
	return tx.append(leaf, opening, facts, person)
}

// EndEverything forgets every session, challenge and login that is under way. In a
// restored backup there are some that were ended or used up since.
func (tx *Tx) EndEverything() error {
	for _, query := range []string{`DELETE FROM session`, `DELETE FROM challenge`, `DELETE FROM login_flow`} {
		if err := tx.exec(query); err != nil {
			return err
		}
	}
	return nil
}
