package record

import (
	"fmt"

	"github.com/sallyport/sallyport/canon"
)

// SealedFor returns whose key the person part of a leaf with these facts is sealed
// under: the first of those whom it is about. Facts without a person part are refused
// with ErrEvent.
func SealedFor(facts Facts) (canon.ID, error) {
	switch f := facts.(type) {
	case PersonLogin:
		return f.Person, nil
	case PersonLink:
		if len(f.People) == 0 {
			return "", fmt.Errorf("%w: a link of nobody", ErrEvent)
		}
		return f.People[0], nil
	case RequestSubmit:
		var doc RequestDoc
		if err := canon.Unmarshal([]byte(f.Document), &doc); err != nil {
			return "", fmt.Errorf("%w: %w", ErrEvent, err)
		}
		return doc.Person, nil
	case RequestDecide:
		return f.Person, nil
	case AccessRevoke:
		return f.sealedFor(), nil
	case PersonLock:
		return f.Person, nil
	case PersonUnlock:
		return f.Person, nil
	default:
		return "", fmt.Errorf("%w: %s has no person part", ErrEvent, facts.Kind())
	}
}
