package authority

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Decided returns the requests that a person decided on, the latest decision
// first, at most limit of them.
func Decided(r *store.Reader, person canon.ID, limit int) ([]approval.Request, error) {
	head, err := r.Head()
	if err != nil {
		return nil, err
	}
	leaves, err := r.Firsts(record.TableDecision, "by", string(person), head.Tree.Size, limit)
	if err != nil {
		return nil, err
	}
	var out []approval.Request
	for _, index := range leaves {
		entry, err := r.Entry(index)
		if err != nil {
			return nil, err
		}
		facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
		if err != nil {
			return nil, err
		}
		f, ok := facts.(record.RequestDecide)
		if !ok {
			return nil, fmt.Errorf("%w: leaf %d is no decision", record.ErrEvent, index)
		}
		q, err := record.Request(r, f.Request)
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// People returns those who have logged in, the newest first, at most limit of them.
func People(r *store.Reader, limit int) ([]canon.ID, error) {
	rows, err := r.List(record.TablePerson, "all", "", limit)
	if err != nil {
		return nil, err
	}
	out := make([]canon.ID, len(rows))
	for i, body := range rows {
		var person record.PersonRow
		if err := canon.Unmarshal(body, &person); err != nil {
			return nil, err
		}
		out[i] = person.Person
	}
	return out, nil
}

// Names returns what a person is called by their newest login: name, address and
// handle, those that it has.
func Names(r *store.Reader, person canon.ID) ([]string, error) {
	part, err := r.PersonPart(person, ledger.PersonLogin)
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	login, _ := part.(record.LoginPerson) // PersonPart parsed it by its kind
	return slices.DeleteFunc([]string{login.Name, login.Email, login.Handle}, func(s string) bool { return s == "" }), nil
}

// Seen returns who is in one of the groups, of those who have logged in here: by
// what the ledger last heard of them, the newest people first. It looks at MaxList
// people. The directory behind the identity provider may know more.
func Seen(r *store.Reader, terms *contract.Terms, groups []string) ([]canon.ID, error) {
	rows, err := r.List(record.TablePerson, "all", "", MaxList)
	if err != nil {
		return nil, err
	}
	var out []canon.ID
	for _, body := range rows {
		var person record.PersonRow
		if err := canon.Unmarshal(body, &person); err != nil {
			return nil, err
		}
		switch _, err := record.Erased(r, person.Person); {
		case err == nil:
			continue // nobody any more
		case !isNotFound(err):
			return nil, err
		}
		in, err := isIn(r, terms, groups, person)
		if err != nil {
			return nil, err
		}
		if in {
			out = append(out, person.Person)
		}
	}
	return out, nil
}

// isIn tells whether some issuer last said that a person is in one of the groups.
func isIn(r *store.Reader, terms *contract.Terms, groups []string, person record.PersonRow) (bool, error) {
	for _, ref := range person.Snapshots {
		snapshot, err := record.Snapshot(r, ref.Leaf)
		if err != nil {
			return false, err
		}
		subject := contract.Subject{Issuer: snapshot.Issuer, Groups: snapshot.Groups, GroupsKnown: snapshot.GroupsKnown}
		if in, _ := terms.Eligible(subject, contract.Stage{From: groups}); in { // an error says that it is not known
			return true, nil
		}
	}
	return false, nil
}
