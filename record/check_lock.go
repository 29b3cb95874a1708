package record

import (
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/canon"
)

// Holds reports whether the account is locked.
func (l LockRef) Holds() bool { return l.At != 0 && l.UnlockedAt == 0 }

// Locked returns when an account was locked, zero if it is not. A lock of another
// account of the same human counts.
func Locked(v View, id canon.ID) (canon.Micros, error) {
	person, err := Person(v, id)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if person.Lock.Holds() {
		return person.Lock.At, nil
	}
	for _, other := range person.Linked {
		row, err := Person(v, other)
		if err != nil {
			return 0, err
		}
		if row.Lock.Holds() {
			return row.Lock.At, nil
		}
	}
	return 0, nil
}

// notLocked refuses what a locked human asks for, decides or is issued.
func notLocked(v View, id canon.ID) error {
	at, err := Locked(v, id)
	if err != nil || at == 0 {
		return err
	}
	return fmt.Errorf("%w; it is since %s", ErrLocked, at.Time().Format(time.RFC3339))
}

// personLock locks an account that is not locked.
func (e Event) personLock(v View, f PersonLock) ([]Change, error) {
	if f.By != ByOperator {
		return nil, fmt.Errorf("%w: locked by %q", ErrEvent, f.By)
	}
	if err := notErased(v, f.Person); err != nil {
		return nil, err
	}
	person, err := Person(v, f.Person)
	if err != nil {
		return nil, err
	}
	switch _, err := Revocation(v, f.Lock); {
	case err == nil:
		return nil, fmt.Errorf("lock %s: %w", f.Lock, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	if person.Lock.Holds() {
		return nil, fmt.Errorf("the lock of person %s: %w", f.Person, ErrExists)
	}
	person.Lock = LockRef{At: f.At, Leaf: e.LeafHash}
	row, err := put(TablePerson, string(f.Person), person, Index{"all", ""})
	if err != nil {
		return nil, err
	}
	mark, err := putRevocation(f.Lock, RevocationRow{At: f.At, Leaf: e.LeafHash, Target: Target{Type: TargetPerson, ID: f.Person}})
	return []Change{row, mark}, err
}

// personUnlock lets a locked account act again. What it was granted before stays
// revoked.
func (e Event) personUnlock(v View, f PersonUnlock) ([]Change, error) {
	if f.By != ByOperator {
		return nil, fmt.Errorf("%w: unlocked by %q", ErrEvent, f.By)
	}
	person, err := Person(v, f.Person)
	if err != nil {
		return nil, err
	}
	if !person.Lock.Holds() || person.Lock.Leaf != f.Lock {
		return nil, fmt.Errorf("%w: person %s is not locked by that leaf", ErrEvent, f.Person)
	}
	person.Lock.UnlockedAt, person.Lock.UnlockLeaf = f.At, e.LeafHash
	return changes(put(TablePerson, string(f.Person), person, Index{"all", ""}))
}
