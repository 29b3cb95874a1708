package record

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/canon"
)

// SessionLife is how long a login counts, renewed or not.
const SessionLife = 12 * time.Hour

// personLogin records who an issuer vouched for. A login that only renews an
// earlier one may change nothing but the groups and the time.
func (e Event) personLogin(v View, f PersonLogin) ([]Change, error) {
	if f.Issuer == "" || f.ClaimsAt <= 0 || !sortedUnique(f.Groups) || (!f.GroupsKnown && len(f.Groups) > 0) {
		return nil, fmt.Errorf("%w: a login names its issuer, its time and its groups in order", ErrEvent)
	}
	if f.Flow != FlowCode && f.Flow != FlowRefresh {
		return nil, fmt.Errorf("%w: no login flow is called %q", ErrEvent, f.Flow)
	}
	if err := notErased(v, f.Person); err != nil {
		return nil, err
	}
	out, err := deviceOf(v, f)
	if err != nil {
		return nil, err
	}
	person, err := Person(v, f.Person)
	known := err == nil
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	if !known {
		person = PersonRow{Person: f.Person}
	}
	if err := person.vouch(f.Issuer, f.ClaimsAt); err != nil {
		return nil, err
	}
	row, err := put(TablePerson, string(f.Person), person, Index{"all", ""})
	if err != nil {
		return nil, err
	}
	out = append(out, row)
	key := ""
	switch part := e.Person.(type) {
	case LoginPerson:
		if part.Subject == "" {
			return nil, fmt.Errorf("%w: a login without subject", ErrEvent)
		}
		key = IdentityKey(f.Issuer, part.Subject)
	case KnownIdentity:
		key = string(part)
	}
	if key != "" {
		identity, err := identityOf(v, f, key, known)
		if err != nil {
			return nil, err
		}
		out = append(out, identity)
	}
	login, err := put(TableLogin, e.LeafHash.String(), LoginRow{
		Person: f.Person, Issuer: f.Issuer, Client: f.Client, DeviceKey: f.DeviceKey, ClaimsAt: f.ClaimsAt, GroupsKnown: f.GroupsKnown, Groups: f.Groups,
	}, Index{"person", string(f.Person)})
	return append(out, login), err
}

// deviceOf holds a device key to the person that first logged in with it, and a
// refresh to the login that it renews: same device key, person, issuer, client
// and sign-in, newer claims, within the login's life.
func deviceOf(v View, f PersonLogin) ([]Change, error) {
	if f.DeviceKey == "" {
		if f.Flow == FlowRefresh {
			return nil, fmt.Errorf("it has no device key: %w", ErrRefresh)
		}
		return nil, nil
	}
	if _, err := parseKey(f.DeviceKey); err != nil {
		return nil, fmt.Errorf("device key: %w", err)
	}
	row, err := Device(v, f.DeviceKey)
	known := err == nil
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, err
	case known && row.Person != f.Person:
		return nil, fmt.Errorf("%w: this device key belongs to another person", ErrEvent)
	case f.Flow == FlowRefresh:
		if err := refreshes(row, known, f); err != nil {
			return nil, err
		}
		row.ClaimsAt = f.ClaimsAt
	default:
		row = DeviceRow{Person: f.Person, Issuer: f.Issuer, Client: f.Client, LoginAt: f.At, AuthTimeAt: f.AuthTimeAt, ClaimsAt: f.ClaimsAt}
	}
	return changes(put(TableDevice, f.DeviceKey, row))
}

// refreshes returns nil if f renews the newest login with its device key.
func refreshes(row DeviceRow, known bool, f PersonLogin) error {
	switch {
	case !known:
		return fmt.Errorf("nobody has logged in with this device key: %w", ErrRefresh)
	case row.Issuer != f.Issuer || row.Client != f.Client:
		return fmt.Errorf("the login was with another identity provider or client: %w", ErrRefresh)
	case f.ClaimsAt <= row.ClaimsAt:
		return fmt.Errorf("the identity provider said nothing newer: %w", ErrRefresh)
	case f.AuthTimeAt != 0 && f.AuthTimeAt != row.AuthTimeAt:
		// OpenID Connect Core §12.2: it is the time of the original sign-in.
		return fmt.Errorf("it names another sign-in: %w", ErrRefresh)
	case f.At.Time().Sub(row.LoginAt.Time()) > SessionLife:
		return fmt.Errorf("the login was more than %s ago: %w", SessionLife, ErrRefresh)
	}
	return nil
}

// vouch notes when an issuer vouched for the person. An older word than the
// newest is refused: an ID token from before a group was taken away must not
// give it back.
func (p *PersonRow) vouch(issuer string, at canon.Micros) error {
	p.Vouched = slices.Clone(p.Vouched)
	for i, v := range p.Vouched {
		if v.Issuer != issuer {
			continue
		}
		if at < v.At {
			return fmt.Errorf("a newer login of this account is recorded; log in again: %w", ErrClaimsOld)
		}
		p.Vouched[i].At = at
		return nil
	}
	p.Vouched = append(p.Vouched, VouchedRef{Issuer: issuer, At: at})
	slices.SortFunc(p.Vouched, func(a, b VouchedRef) int { return strings.Compare(a.Issuer, b.Issuer) })
	return nil
}

// KnownIdentity is the IdentityKey of a login's issuer and subject. It stands in
// for the person part of a login in the hands of those who judged the ID token
// before and did not keep it.
type KnownIdentity string

// identityOf holds (issuer, subject) to one person: a known subject keeps its
// person, an unknown one gets a person that nobody has yet.
func identityOf(v View, f PersonLogin, key string, known bool) (Change, error) {
	row, err := get[IdentityRow](v, TableIdentity, key)
	switch {
	case err == nil && row.Person != f.Person:
		return Change{}, fmt.Errorf("%w: this account belongs to another person", ErrEvent)
	case errors.Is(err, ErrNotFound) && known:
		return Change{}, fmt.Errorf("%w: this person has another account", ErrEvent)
	case err != nil && !errors.Is(err, ErrNotFound):
		return Change{}, err
	}
	return put(TableIdentity, key, IdentityRow{Person: f.Person}, Index{"person", string(f.Person)})
}

func (e Event) personSnapshot(v View, f PersonSnapshot) ([]Change, error) {
	if err := notErased(v, f.Person); err != nil {
		return nil, err
	}
	person, err := Person(v, f.Person)
	if err != nil {
		return nil, err
	}
	login, err := Login(v, f.Login)
	if err != nil {
		return nil, err
	}
	if login.Person != f.Person || login.Issuer != f.Issuer || !sortedUnique(f.Groups) || (!f.GroupsKnown && len(f.Groups) > 0) {
		return nil, fmt.Errorf("%w: a snapshot is of the person and issuer of its login", ErrEvent)
	}
	if f.Source != SourceIDToken || !login.says(f) {
		return nil, fmt.Errorf("%w: a snapshot has the groups that its login has", ErrEvent)
	}
	person.Snapshots = slices.DeleteFunc(slices.Clone(person.Snapshots), func(s SnapshotRef) bool { return s.Issuer == f.Issuer })
	person.Snapshots = append(person.Snapshots, SnapshotRef{Issuer: f.Issuer, Leaf: e.LeafHash})
	slices.SortFunc(person.Snapshots, func(a, b SnapshotRef) int { return strings.Compare(a.Issuer, b.Issuer) })
	out, err := changes(put(TablePerson, string(f.Person), person, Index{"all", ""}))
	if err != nil {
		return nil, err
	}
	snapshot, err := put(TableSnapshot, e.LeafHash.String(), f)
	return append(out, snapshot), err
}
