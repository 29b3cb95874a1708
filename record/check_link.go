package record

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
)

// maxLinked bounds how many accounts one human is known to have.
const maxLinked = 32

// personLink joins two people, and with them everybody whom they were linked to
// before.
func (e Event) personLink(v View, f PersonLink) ([]Change, error) {
	if len(f.People) != 2 || f.People[0] >= f.People[1] || f.By != LinkedByOperator {
		return nil, fmt.Errorf("%w: a link is of two people in order, and says who made it", ErrEvent)
	}
	var all []canon.ID
	for _, id := range f.People {
		if err := notErased(v, id); err != nil {
			return nil, err
		}
		person, err := Person(v, id)
		if err != nil {
			return nil, err
		}
		all = append(append(all, id), person.Linked...)
	}
	slices.Sort(all)
	humans := slices.Compact(slices.Clone(all))
	switch {
	case len(humans) < len(all):
		return nil, fmt.Errorf("the two are linked: %w", ErrExists)
	case len(humans) > maxLinked:
		return nil, fmt.Errorf("%w: %d accounts of one human, at most %d", ErrEvent, len(humans), maxLinked)
	}
	var out []Change
	for _, id := range humans {
		person, err := Person(v, id)
		if err != nil {
			return nil, err
		}
		person.Linked = slices.DeleteFunc(slices.Clone(humans), func(other canon.ID) bool { return other == id })
		c, err := put(TablePerson, string(id), person, Index{"all", ""})
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// Accounts returns everybody who is known to be the same human as a person, the
// person included. Somebody whom the ledger does not know is alone.
func Accounts(v View, id canon.ID) ([]canon.ID, error) {
	person, err := Person(v, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	return append([]canon.ID{id}, person.Linked...), nil
}

// CheckDecider returns nil unless the request, or a decision on it, is by the
// same human as a person.
func CheckDecider(v View, r approval.Request, by canon.ID) error {
	accounts, err := Accounts(v, by)
	if err != nil {
		return err
	}
	return r.CheckAccounts(accounts)
}

// checkHumans holds a granted request to what became known since: approvals by
// the requester's other account, or by one human twice, grant nothing.
func checkHumans(v View, r approval.Request) error {
	for i, d := range r.Decisions {
		before := r
		before.Decisions = r.Decisions[:i]
		accounts, err := Accounts(v, d.By)
		if err != nil {
			return err
		}
		if err := before.CheckAccounts(accounts); err != nil {
			return fmt.Errorf("since it was approved, two accounts became known to be one human's (%s); ask again: %w", err.Error(), approval.ErrNotGranted)
		}
	}
	return nil
}
