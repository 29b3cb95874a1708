package record

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

// SessionRow is a session on a host, as the host told of it.
type SessionRow struct {
	Session  canon.ID      `json:"session"`
	Host     sshcert.Host  `json:"host"`
	Lineage  canon.Digest  `json:"lineage"`
	Login    sshcert.Login `json:"login"`
	Serial   uint64        `json:"serial,omitempty"`
	Person   canon.ID      `json:"person,omitempty"` // whose certificate it is
	Finding  LoginFinding  `json:"finding,omitempty"`
	Key      string        `json:"key,omitempty"` // of a login by a security key of its own, b64
	OpenedAt canon.Micros  `json:"opened_at"`
	Leaf     canon.Digest  `json:"leaf"` // of login.open or login.offline
	How      hostcall.How  `json:"how,omitempty"`
	ClosedAt canon.Micros  `json:"closed_at,omitempty"`
}

// RefusalRow says that the refusals of a host within a minute are recorded.
type RefusalRow struct {
	Leaf canon.Digest `json:"leaf"`
}

// HostSession returns a session on a host.
func HostSession(v View, id canon.ID) (SessionRow, error) {
	return get[SessionRow](v, TableSession, string(id))
}

// outside is how far a login may lie outside of its certificate's validity: hosts'
// clocks are off by no more than their calls may be.
const outside = hostcall.Skew

// telling returns the host that tells something, which must be in the inventory.
// What a host tells is its word: it is recorded, and nothing is granted by it.
func telling(v View, name sshcert.Host, lineage, call canon.Digest) (HostRow, error) {
	row, err := JoinedHost(v, name)
	if err != nil {
		return HostRow{}, err
	}
	if row.Lineage != lineage || call.IsZero() {
		return HostRow{}, fmt.Errorf("%w: host %s is another contract's, or no call of it is named", ErrEvent, name)
	}
	return row, nil
}

// loginOpen records a login. One that the ledger can't explain is recorded with what
// is wrong with it: to refuse it would hide it.
func (e Event) loginOpen(v View, f LoginOpen) ([]Change, error) {
	if _, err := telling(v, f.Host, f.Lineage, f.Call); err != nil {
		return nil, err
	}
	if f.OpenedAt <= 0 || f.OpenedAt.Time().Sub(f.At.Time()) > hostcall.Skew {
		return nil, fmt.Errorf("%w: a login that is still to come", ErrEvent)
	}
	found, err := ExplainLogin(v, f)
	if err != nil {
		return nil, err
	}
	if found.Finding == LoginUnknown && !f.Certificate.IsZero() {
		_, err := Certificate(v, f.Serial) // it names a leaf: whoever can't read that can't tell
		return nil, err
	}
	if found.Finding != f.Finding || found.Certificate != f.Certificate {
		return nil, fmt.Errorf("%w: what is wrong with the login is %q, not %q", ErrEvent, found.Finding, f.Finding)
	}
	if err := newSession(v, f.Session); err != nil {
		return nil, err
	}
	return changes(fresh(putSession(SessionRow{
		Session: f.Session, Host: f.Host, Lineage: f.Lineage, Login: f.Login, Serial: f.Serial, Person: found.Person,
		Finding: f.Finding, OpenedAt: f.OpenedAt, Leaf: e.LeafHash,
	})))
}

// newSession refuses a session that is recorded already.
func newSession(v View, id canon.ID) error {
	switch _, err := HostSession(v, id); {
	case err == nil:
		return fmt.Errorf("session %s: %w", id, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return err
	}
	return nil
}

// loginOffline records a login by a key that opens the host when everything else is
// down. Whether the contract lists the key, its terms do not say yet: which keys open a
// host, the host pins.
func (e Event) loginOffline(v View, f LoginOffline) ([]Change, error) {
	if _, err := telling(v, f.Host, f.Lineage, f.Call); err != nil {
		return nil, err
	}
	if f.OpenedAt <= 0 || f.OpenedAt.Time().Sub(f.At.Time()) > hostcall.Skew {
		return nil, fmt.Errorf("%w: a login that is still to come", ErrEvent)
	}
	if _, err := hostcall.ParseOfflineKey(f.Key); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	if err := newSession(v, f.Session); err != nil {
		return nil, err
	}
	return changes(fresh(putSession(SessionRow{
		Session: f.Session, Host: f.Host, Lineage: f.Lineage, Login: f.Login, Key: f.Key, OpenedAt: f.OpenedAt, Leaf: e.LeafHash,
	})))
}

func putSession(row SessionRow) (Change, error) {
	open := string(row.Host)
	if row.ClosedAt != 0 {
		open = "-"
	}
	return put(TableSession, string(row.Session), row, Index{"host", string(row.Host)}, Index{"open", open}, Index{"person", string(row.Person)})
}

// Explained is what the ledger says of a login.
type Explained struct {
	Finding     LoginFinding
	Certificate canon.Digest // leaf; zero if there is none
	Person      canon.ID
}

// Words say what is wrong with a login by a certificate with that serial.
func (l LoginFinding) Words(serial uint64) string {
	switch l {
	case LoginExplained:
		return "nothing is wrong with it"
	case LoginNoSerial:
		return "it was by no certificate"
	case LoginUnknown:
		return fmt.Sprintf("no entry records a certificate with serial %d", serial)
	case LoginVoid:
		return fmt.Sprintf("certificate %d was given up, so nobody should have it", serial)
	case LoginElsewhere:
		return fmt.Sprintf("certificate %d is not for this login on this host", serial)
	case LoginOutside:
		return fmt.Sprintf("certificate %d was not valid then", serial)
	}
	return string(l)
}

// ExplainLogin holds a login to the certificate by which it came about.
func ExplainLogin(v View, f LoginOpen) (Explained, error) {
	if f.Serial == 0 {
		return Explained{Finding: LoginNoSerial}, nil
	}
	cert, err := Certificate(v, f.Serial)
	if errors.Is(err, ErrNotFound) {
		return Explained{Finding: LoginUnknown}, nil
	}
	if err != nil {
		return Explained{}, err
	}
	r, err := Request(v, cert.Grant)
	if err != nil {
		return Explained{}, err
	}
	granted := r.At
	for _, d := range r.Decisions {
		granted = max(granted, d.At)
	}
	out := Explained{Certificate: cert.Leaf, Person: cert.Person}
	switch {
	case cert.Void:
		out.Finding = LoginVoid
	case r.Lineage != f.Lineage || !slices.Contains(r.Hosts, f.Host) || !slices.Contains(r.Logins, f.Login):
		out.Finding = LoginElsewhere
	case f.OpenedAt.Time().After(cert.Before.Time().Add(outside)), f.OpenedAt.Time().Before(granted.Time().Add(-outside)):
		out.Finding = LoginOutside
	}
	return out, nil
}

// loginClose ends a session that its host has opened.
func (e Event) loginClose(v View, f LoginClose) ([]Change, error) {
	if _, err := telling(v, f.Host, f.Lineage, f.Call); err != nil {
		return nil, err
	}
	if err := f.How.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	row, err := HostSession(v, f.Session)
	if err != nil {
		return nil, err
	}
	switch {
	case row.Host != f.Host || row.Leaf != f.Open:
		return nil, fmt.Errorf("%w: the session is another host's", ErrEvent)
	case row.Lineage != f.Lineage:
		return nil, fmt.Errorf("%w: the session began under a contract that has released the host since", ErrEvent)
	case row.ClosedAt != 0:
		return nil, fmt.Errorf("the end of session %s: %w", f.Session, ErrExists)
	case f.ClosedAt < row.OpenedAt || f.ClosedAt.Time().Sub(f.At.Time()) > hostcall.Skew:
		return nil, fmt.Errorf("%w: a session ends after it began, and not later than now", ErrEvent)
	}
	row.How, row.ClosedAt = f.How, f.ClosedAt
	return changes(putSession(row))
}

// loginRefuse records the refusals of a minute, once.
func (e Event) loginRefuse(v View, f LoginRefuse) ([]Change, error) {
	if _, err := telling(v, f.Host, f.Lineage, f.Call); err != nil {
		return nil, err
	}
	if err := hostcall.CheckCounts(f.MinuteAt, f.Counts); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	if f.MinuteAt.Time().Sub(f.At.Time()) > hostcall.Skew {
		return nil, fmt.Errorf("%w: a minute that is still to come", ErrEvent)
	}
	key := string(f.Host) + "/" + strconv.FormatInt(int64(f.MinuteAt), 10)
	switch _, err := get[RefusalRow](v, TableRefusal, key); {
	case err == nil:
		return nil, fmt.Errorf("the refusals of host %s at %s: %w", f.Host, f.MinuteAt.Time().Format(time.RFC3339), ErrExists)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	return changes(fresh(put(TableRefusal, key, RefusalRow{Leaf: e.LeafHash})))
}
