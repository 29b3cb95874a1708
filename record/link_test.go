package record_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func TestPersonLinkRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	honest := w.Link(m, w.Alice, w.Bob)
	bend := func(f func(*record.PersonLink)) recordtest.Draft {
		return bent(honest, func(l *record.PersonLink) {
			l.People = slices.Clone(l.People)
			f(l)
		})
	}
	refuses(t, m, honest, []refusal{
		{"of one", bend(func(f *record.PersonLink) { f.People = f.People[:1] }), record.ErrEvent},
		{"of three", bend(func(f *record.PersonLink) { f.People = append(f.People, w.Carol.Person) }), record.ErrEvent},
		{"with oneself", bend(func(f *record.PersonLink) { f.People[1] = f.People[0] }), record.ErrEvent},
		{"out of order", bend(func(f *record.PersonLink) { slices.Reverse(f.People) }), record.ErrEvent},
		{"by somebody else", bend(func(f *record.PersonLink) { f.By = "alice" }), record.ErrEvent},
		{"with nobody", bend(func(f *record.PersonLink) { f.People[1] = "zzzzzzzzzzzzzzzzzzzzzzzzzy" }), record.ErrNotFound},
	})
	dirk := w.User("dirk", "owners")
	logIn(t, w, m, dirk)
	appendAll(t, m, honest, w.Link(m, w.Carol, dirk), w.Link(m, w.Bob, dirk)) // two pairs, then both
	if err := m.Check(w.Link(m, w.Alice, w.Carol)); !errors.Is(err, record.ErrExists) {
		t.Errorf("linked through others: %v, want ErrExists", err)
	}
	want := []canon.ID{w.Alice.Person, w.Bob.Person, w.Carol.Person, dirk.Person}
	slices.Sort(want)
	logIn(t, w, m, w.Alice) // a login keeps the links
	for _, id := range want {
		got, err := record.Accounts(m, id)
		if slices.Sort(got); err != nil || !slices.Equal(got, want) {
			t.Errorf("accounts of %s: %v, %v; want %v", id, got, err, want)
		}
	}
}

func TestLinksOfOneHumanAreBounded(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	for range 31 {
		u := w.User("account")
		u.Subject = string(w.ID())
		logIn(t, w, m, u)
		appendAll(t, m, w.Link(m, w.Alice, u))
	}
	if err := m.Check(w.Link(m, w.Alice, w.Bob)); !errors.Is(err, record.ErrEvent) {
		t.Errorf("the 33rd account: %v", err)
	}
}

// Nobody decides on a request of their other account, whichever way around, and
// however many links lie between; the link gives neither what the other has.
func TestPromiseP03_LinkedAccounts(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	middle := w.User("middle")
	logIn(t, w, m, middle)
	ask := w.Ask(m, w.Alice)
	appendAll(t, m, w.Submit(m, w.Alice, ask))
	r := w.Request(m, ask.Doc.Request)
	by := func(u *recordtest.User, verdict approval.Verdict) recordtest.Draft {
		return w.Decide(m, u, r, verdict, 0)
	}
	appendAll(t, m, w.Link(m, w.Alice, middle))
	if err := m.Check(by(w.Bob, approval.Approve)); err != nil {
		t.Fatalf("before the link: %v", err)
	}
	appendAll(t, m, w.Link(m, middle, w.Bob))
	for _, verdict := range []approval.Verdict{approval.Approve, approval.Deny} {
		if err := m.Check(by(w.Bob, verdict)); !errors.Is(err, approval.ErrSelfApproval) {
			t.Errorf("%s by the other account: %v, want ErrSelfApproval", verdict, err)
		}
	}
	if err := m.Check(by(w.Carol, approval.Approve)); err != nil {
		t.Errorf("by somebody else: %v", err)
	}
	// Bob is a lead and no engineer, and stays so.
	if err := m.Check(w.Submit(m, w.Bob, w.Ask(m, w.Bob))); !errors.Is(err, contract.ErrNotMember) {
		t.Errorf("asking with the other account: %v, want ErrNotMember", err)
	}
}

// What was approved before two accounts became known to be one human's gives no
// certificate any more.
func TestPromiseP03_LinkedAfterTheApproval(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := w.Granted(m, 0)
	if issue, err := w.Issue(m, w.Alice, r, w.Key()); err != nil || m.Check(plain(issue)) != nil {
		t.Fatalf("before the link: %v", err)
	}
	appendAll(t, m, w.Link(m, w.Alice, w.Bob))
	if _, _, err := record.GrantAt(m, r.ID, w.Alice.Claims, m.Clock); !errors.Is(err, approval.ErrNotGranted) || errors.Is(err, approval.ErrSelfApproval) {
		t.Errorf("after it: %v, want ErrNotGranted", err)
	}
}

// Two accounts of one human are one vote, before and after that is known.
func TestPromiseP04_LinkedAccountsCountOnce(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	second, dirk := w.User("second", "leads"), w.User("dirk", "owners")
	logIn(t, w, m, second, dirk)
	file := func() approval.Request {
		ask := w.Ask(m, w.Alice)
		ask.Doc.Role, ask.Doc.Logins = "admin", []sshcert.Login{"root"}
		appendAll(t, m, w.Submit(m, w.Alice, ask))
		appendAll(t, m, w.Decide(m, w.Bob, w.Request(m, ask.Doc.Request), approval.Approve, 0))
		return w.Request(m, ask.Doc.Request)
	}
	early, late := file(), file()
	appendAll(t, m, w.Decide(m, second, early, approval.Approve, 0))
	appendAll(t, m, w.Decide(m, dirk, w.Request(m, early.ID), approval.Approve, 0))
	if _, _, err := record.GrantAt(m, early.ID, w.Alice.Claims, m.Clock); err != nil {
		t.Fatalf("granted by three accounts: %v", err)
	}
	appendAll(t, m, w.Link(m, w.Bob, second))
	if err := m.Check(w.Decide(m, second, late, approval.Approve, 0)); !errors.Is(err, approval.ErrDecidedTwice) {
		t.Errorf("the second account: %v, want ErrDecidedTwice", err)
	}
	if _, _, err := record.GrantAt(m, early.ID, w.Alice.Claims, m.Clock); !errors.Is(err, approval.ErrNotGranted) {
		t.Errorf("granted by two humans where three are needed: %v, want ErrNotGranted", err)
	}
	appendAll(t, m, w.Decide(m, w.Carol, late, approval.Approve, 0))
	appendAll(t, m, w.Decide(m, dirk, w.Request(m, late.ID), approval.Approve, 0))
	if _, _, err := record.GrantAt(m, late.ID, w.Alice.Claims, m.Clock); err != nil {
		t.Errorf("granted by three humans: %v", err)
	}
}
