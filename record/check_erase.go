package record

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// Reasons why somebody is not erased, and why somebody erased does nothing any
// more.
var (
	ErrErased   = errors.New("this person was erased")
	ErrRetained = errors.New("it is too early to erase this person")
	ErrSigners  = errors.New("erasing somebody needs two people who sign contracts")
	ErrAccounts = errors.New("a human is erased with every account that is known of them")
)

// Erasure is what erasing somebody now depends on.
type Erasure struct {
	People []canon.ID          // every account that is known of the human, sorted
	About  []*contract.Version // whose signatories have to ask for it, one of each at least
	// From is when every contract lets them go, zero if none says anything.
	From time.Time

	inForce []*contract.Version
}

// Erasable returns what erasing a person at now takes besides signatures. Its
// error is ErrErased, ErrRetained, ErrNotFound, or ErrSigners where there are not
// two who could sign; with ErrRetained and ErrSigners the rest stands.
func Erasable(v View, id canon.ID, now canon.Micros) (Erasure, error) {
	if err := notErased(v, id); err != nil {
		return Erasure{}, err
	}
	person, err := Person(v, id)
	if err != nil {
		return Erasure{}, err
	}
	e := Erasure{People: append([]canon.ID{id}, person.Linked...)}
	slices.Sort(e.People)
	did, err := actsOf(v, e.People, now)
	if err != nil {
		return Erasure{}, err
	}
	e.inForce = did.inForce
	if e.About, err = did.about(); err != nil {
		return Erasure{}, err
	}
	from, by, err := did.erasableFrom()
	if err != nil {
		return Erasure{}, err
	}
	e.From = from
	switch {
	case len(did.open) > 0:
		return e, fmt.Errorf("%w: %s", ErrRetained, strings.Join(did.open[:min(len(did.open), 3)], ", "))
	case now.Time().Before(from):
		return e, tooEarly(from, by)
	}
	return e, enoughSigners(e.About, e.inForce)
}

func tooEarly(from time.Time, by *contract.Version) error {
	rule := by.Terms.Retention
	clause := "which is what a contract that says nothing asks for"
	if rule.Clause != "" {
		clause = "clause " + rule.Clause
	}
	return fmt.Errorf("%w: contract %s keeps who somebody was for %s after their last act under it (%s), this one's until %s; erase them then",
		ErrRetained, by.Terms.ID, contract.FormatDuration(rule.Period), clause, from.Format(time.RFC3339))
}

// notErased refuses whatever is said to be done by somebody who was erased.
func notErased(v View, id canon.ID) error {
	switch row, err := Erased(v, id); {
	case err == nil:
		return fmt.Errorf("person %s: %w at %s", id, ErrErased, row.At.Time().Format(time.RFC3339))
	case errors.Is(err, ErrNotFound):
		return nil
	default:
		return err
	}
}

// personErase records that a human is gone. Every account that is known of them
// goes at once: with one of them left, what was known of the other would be
// forgotten where it denies.
func (e Event) personErase(v View, f PersonErase) ([]Change, error) {
	log, err := Log(v)
	if err != nil {
		return nil, err
	}
	doc, err := ParseEraseDoc([]byte(f.Document))
	switch {
	case err != nil:
		return nil, err
	case doc.Origin != log.Origin:
		return nil, fmt.Errorf("%w: it was signed for %q", ErrDocument, doc.Origin)
	case !slices.Equal(doc.People, f.People):
		return nil, fmt.Errorf("%w: it was signed for others", ErrDocument)
	}
	if err := Fresh(doc.ExpiresAt, f.At.Time(), EraseLife); err != nil {
		return nil, err
	}
	erasure, err := Erasable(v, f.People[0], f.At)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(erasure.People, f.People) {
		return nil, fmt.Errorf("%w: the document is for %d, %d are known; make a new one", ErrAccounts, len(f.People), len(erasure.People))
	}
	if err := checkSigners(checkingOf(v), f.Document, f.Signatures, erasure.About, erasure.inForce); err != nil {
		return nil, err
	}
	var out []Change
	for _, id := range f.People {
		row, err := fresh(put(TableErased, string(id), ErasedRow{At: f.At, Leaf: e.LeafHash}, Index{"all", ""}))
		if err != nil {
			return nil, err
		}
		out = append(out, row)
		// Who logs in with the account again is somebody new: nothing says that it
		// was this one.
		keys, err := v.Keys(TableIdentity, Index{"person", string(id)})
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			out = append(out, Change{Table: TableIdentity, Key: key, Gone: true, Index: []Index{{"person", string(id)}}})
		}
	}
	return out, nil
}

// About returns whom the person part of a leaf is about: when one of them is
// erased, it is destroyed. What an approver wrote to somebody is about both.
func About(v View, f Facts) ([]canon.ID, error) {
	switch f := f.(type) {
	case PersonLogin:
		return []canon.ID{f.Person}, nil
	case PersonLink:
		return f.People, nil
	case RequestSubmit:
		r, err := Request(v, f.Request)
		return []canon.ID{r.By}, err
	case RequestDecide:
		r, err := Request(v, f.Request)
		return []canon.ID{f.Person, r.By}, err
	case AccessRevoke:
		if f.About != "" {
			return []canon.ID{f.About}, nil
		}
		if f.Person != "" {
			return []canon.ID{f.Person}, nil
		}
	case PersonLock:
		return []canon.ID{f.Person}, nil
	case PersonUnlock:
		return []canon.ID{f.Person}, nil
	}
	return nil, nil
}
