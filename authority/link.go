package authority

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// LinkPeople records that two people are one human, and returns all accounts
// that are known of that human now.
func (a *Authority) LinkPeople(ctx context.Context, one, other canon.ID, because string) ([]canon.ID, error) {
	because = strings.TrimSpace(because)
	if because == "" {
		return nil, fmt.Errorf("because: %w: it is empty; say how you know", ErrField)
	}
	if err := checkText("because", because); err != nil {
		return nil, err
	}
	if one == other {
		return nil, fmt.Errorf("person %s: %w: it stands twice; name two people", one, ErrField)
	}
	id, err := canon.NewID(a.rand)
	if err != nil {
		return nil, err
	}
	people := []canon.ID{one, other}
	slices.Sort(people)
	var all []canon.ID
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		_, err := tx.Append(store.Draft{
			Facts:  record.PersonLink{At: tx.Now(), Link: id, People: people, By: record.LinkedByOperator},
			Person: record.LinkPerson{Because: because}, PersonID: people[0],
		})
		if err != nil {
			return err
		}
		all, err = record.Accounts(tx, people[0])
		return err
	})
	if err != nil {
		return nil, err
	}
	a.settle(ctx)
	slices.Sort(all)
	return all, nil
}
