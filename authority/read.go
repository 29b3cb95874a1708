package authority

import (
	"errors"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// MaxList bounds how many rows a list reads.
const MaxList = 500

// maxHosts bounds the inventory that is listed at once.
const maxHosts = 100_000

func isNotFound(err error) bool { return errors.Is(err, record.ErrNotFound) }

// InForce returns every contract version in force at now, sorted by contract id.
func InForce(r *store.Reader, now canon.Micros) ([]*contract.Version, error) {
	rows, err := r.List(record.TableLineage, "all", "", MaxList)
	if err != nil {
		return nil, err
	}
	var out []*contract.Version
	for _, row := range rows {
		var l record.LineageRow
		if err := canon.Unmarshal(row, &l); err != nil {
			return nil, err
		}
		switch v, err := record.InForce(r, l.Lineage, now); {
		case err == nil:
			out = append(out, v)
		case !errors.Is(err, record.ErrNotInForce):
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b *contract.Version) int { return strings.Compare(a.Terms.ID, b.Terms.ID) })
	return out, nil
}

// Contracts returns every contract version that was recorded, newest first, in
// force or not.
func Contracts(r *store.Reader) ([]record.ContractRow, error) {
	rows, err := r.List(record.TableContract, "all", "", MaxList)
	if err != nil {
		return nil, err
	}
	out := make([]record.ContractRow, 0, len(rows))
	for _, row := range rows {
		var c record.ContractRow
		if err := canon.Unmarshal(row, &c); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// Requests returns the requests under an index value ("state"/"pending",
// "by"/person), newest first, each with what revoked it.
func Requests(r *store.Reader, index, value string) ([]approval.Request, error) {
	rows, err := r.List(record.TableRequest, index, value, MaxList)
	if err != nil {
		return nil, err
	}
	out := make([]approval.Request, 0, len(rows))
	for _, row := range rows {
		var q approval.Request
		if err := canon.Unmarshal(row, &q); err != nil {
			return nil, err
		}
		if q, err = record.Standing(r, q); err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// Listed is a request and its place in the list that it was read from.
type Listed struct {
	approval.Request
	Place int64 // where to read on: what is older lies before it
}

// RequestsBefore returns the page of such a list that begins before a place,
// newest first, each with what revoked it. Requests that come later change no page that was read.
func RequestsBefore(r *store.Reader, index, value string, before int64, limit int) ([]Listed, error) {
	rows, err := r.Before(record.TableRequest, index, value, before, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Listed, len(rows))
	for i, row := range rows {
		out[i].Place = row.Leaf
		if err := canon.Unmarshal(row.Body, &out[i].Request); err != nil {
			return nil, err
		}
		if out[i].Request, err = record.Standing(r, out[i].Request); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Host is a host and the leaves that say so.
type Host struct {
	record.HostRow
	Joined   int64 // index of the leaf; who was told about the host can ask for its proof
	Labelled int64 // index of the leaf that gave it other labels than it joined with; 0 for none
}

// Hosts returns every host that ever joined, also those that are retired, sorted by
// name.
func Hosts(r *store.Reader) ([]Host, error) {
	rows, err := r.List(record.TableHost, "all", "", maxHosts)
	if err != nil {
		return nil, err
	}
	out := make([]Host, 0, len(rows))
	for _, row := range rows {
		var host record.HostRow
		if err := canon.Unmarshal(row, &host); err != nil {
			return nil, err
		}
		h, err := hostOf(r, host)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b Host) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return out, nil
}

// JoinedHosts returns the hosts that are not retired, sorted by name.
func JoinedHosts(r *store.Reader) ([]Host, error) {
	all, err := Hosts(r)
	return slices.DeleteFunc(all, func(h Host) bool { return h.Retired() }), err
}

// hostOf finds the leaves of a host.
func hostOf(r *store.Reader, row record.HostRow) (h Host, err error) {
	h.HostRow = row
	// Most were never changed: their row's writer is the leaf that joined them.
	if row.Labelled.IsZero() && !row.Retired() {
		h.Joined, err = r.Writer(record.TableHost, string(row.Name))
		return h, err
	}
	if row.Leaf.IsZero() { // the operator's, and the first about this name
		h.Joined, err = r.First(record.TableHost, string(row.Name))
	} else {
		h.Joined, err = r.LeafIndex(row.Leaf)
	}
	if err != nil || row.Labelled.IsZero() {
		return h, err
	}
	h.Labelled, err = r.LeafIndex(row.Labelled)
	return h, err
}

// Subject returns what the ledger last heard about a session's person: the
// groups to judge by, unknown if the newest snapshot is not the session's.
func Subject(r *store.Reader, s store.Session) (contract.Subject, error) {
	snapshot, err := record.Snapshot(r, s.Snapshot)
	if err != nil {
		return contract.Subject{}, err
	}
	person, err := record.Person(r, s.Person)
	if err != nil {
		return contract.Subject{}, err
	}
	newest := record.SnapshotRef{Issuer: snapshot.Issuer, Leaf: s.Snapshot}
	if !slices.Contains(person.Snapshots, newest) {
		return contract.Subject{Issuer: snapshot.Issuer}, nil
	}
	return contract.Subject{Issuer: snapshot.Issuer, Groups: snapshot.Groups, GroupsKnown: snapshot.GroupsKnown}, nil
}

// Name returns how a person is shown: the newest name, handle or address that an
// issuer gave, or the person's id when there is none or the person was erased.
func Name(r *store.Reader, person canon.ID) (string, error) {
	part, err := r.PersonPart(person, ledger.PersonLogin)
	if isNotFound(err) {
		if _, err := record.Erased(r, person); err == nil {
			return ErasedName(person), nil
		} else if !isNotFound(err) {
			return "", err
		}
		return string(person), nil
	}
	if err != nil {
		return "", err
	}
	login, _ := part.(record.LoginPerson) // PersonPart parsed it by its kind
	for _, name := range []string{login.Name, login.Handle, login.Email} {
		if name != "" {
			return name, nil
		}
	}
	return string(person), nil
}

// ErasedName is how a person is shown who was erased.
func ErasedName(person canon.ID) string { return "erased person " + string(person) }

// Shown is the digest of what a request's page shows: a decision is taken only
// on exactly that.
func Shown(q approval.Request) (canon.Digest, error) {
	b, err := canon.Marshal(q)
	if err != nil {
		return canon.Digest{}, err
	}
	return canon.Sum("sallyport.shown/v1", b), nil
}
