package record

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/ledger"
)

// ErrOpening says that what a leaf is said to hide is not what it commits to.
var ErrOpening = errors.New("it is not what the leaf commits to")

// Opening is what a leaf's commitments hide.
type Opening struct {
	FactsSalt  ledger.Salt
	Facts      []byte // canonical JSON
	PersonSalt ledger.Salt
	Person     []byte // canonical JSON; nil where there is none, or it was erased or is not shown
}

// Open holds an opening to its leaf and reads it. It refuses with ErrOpening what
// the leaf does not commit to, and with ErrEvent facts or a person part that are
// not those of the leaf's kind, reference and lineage. person is nil where the
// opening has no person part.
func Open(leaf ledger.Leaf, o Opening) (facts Facts, person any, err error) {
	if ledger.FactsCommitment(o.FactsSalt, o.Facts) != leaf.Facts {
		return nil, nil, fmt.Errorf("the facts: %w", ErrOpening)
	}
	if o.Person != nil && ledger.PersonCommitment(o.PersonSalt, o.Person) != leaf.Person {
		return nil, nil, fmt.Errorf("the person part: %w", ErrOpening)
	}
	if facts, err = ParseFacts(leaf.Kind, o.Facts); err != nil {
		return nil, nil, err
	}
	if facts.Reference() != leaf.Reference || facts.InLineage() != leaf.Lineage {
		return nil, nil, fmt.Errorf("%w: the facts belong to another leaf", ErrEvent)
	}
	if o.Person == nil {
		return facts, nil, nil
	}
	if person, err = ParsePerson(leaf.Kind, o.Person); err != nil {
		return nil, nil, err
	}
	return facts, person, nil
}
