package record_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// newFleets is a ledger with two contracts that have the same host admins, Bob and
// Carol.
func newFleets(t *testing.T) (*recordtest.World, *recordtest.Map, *contract.Version) {
	t.Helper()
	w, m := newFleet(t)
	other := w.Contract("harbour", "offices: {host-admin: [leads]}\n")
	w.PutInForce(m, other)
	return w, m, other
}

// TestPromiseP10_HostIsReleasedByItsContractAlone: a host leaves its contract by a
// signature of a host admin of that contract, for the one contract that they name.
func TestPromiseP10_HostIsReleasedByItsContractAlone(t *testing.T) {
	t.Parallel()
	w, m, other := newFleets(t)
	good := plain(w.Release(m, w.Bob, w.Version, "web-1.demo", other.Lineage()))
	bend := func(f func(*record.HostRelease)) recordtest.Draft { return bent(good, f) }
	refuses(t, m, good, []refusal{
		{"by the operator", bend(func(f *record.HostRelease) { f.Who = recordtest.Operator() }), record.ErrEvent},
		{"by who holds no office", plain(w.Release(m, w.Alice, w.Version, "web-1.demo", other.Lineage())), contract.ErrNotHolder},
		{"without signature", bend(func(f *record.HostRelease) { f.Who.Signature = "" }), record.ErrDocument},
		{"under another's name", bend(func(f *record.HostRelease) { f.Who.Person = w.Carol.Person }), record.ErrDocument},
		{"another host than was signed", bend(func(f *record.HostRelease) { f.Host = "web-2.demo" }), record.ErrDocument},
		{"to another contract than was signed", bend(func(f *record.HostRelease) { f.To = w.Other.Lineage() }), record.ErrDocument},
		{"to nowhere", plain(w.Release(m, w.Bob, w.Version, "web-1.demo", canon.Digest{})), record.ErrEvent},
		{"to its own contract", plain(w.Release(m, w.Bob, w.Version, "web-1.demo", w.Version.Lineage())), record.ErrEvent},
		{"by the contract that it is to go to", plain(w.Release(m, w.Bob, other, "web-1.demo", other.Lineage())), record.ErrEvent},
		{"by another contract, to a third one", plain(w.Release(m, w.Bob, other, "web-1.demo", w.Other.Lineage())), record.ErrEvent},
		{"by the contract that it is to go to, in the name of its own", bend(func(f *record.HostRelease) { f.Contract = other.Digest }), record.ErrNotInForce},
		{"a host that is none", plain(w.Release(m, w.Bob, w.Version, "db-1.demo", other.Lineage())), record.ErrNotFound},
	})
	m.Clock += micros(2 * time.Hour)
	if err := m.Check(plain(w.Release(m, w.Bob, w.Version, "web-1.demo", other.Lineage()))); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("by claims of two hours ago: %v", err)
	}
}

// TestPromiseP10_NobodyMovesAHost: without a release no contract gets another's host,
// whoever invites or adds it, and a release is for the contract that it names alone.
func TestPromiseP10_NobodyMovesAHost(t *testing.T) {
	t.Parallel()
	w, m, other := newFleets(t)
	third := w.Contract("third", "offices: {host-admin: [leads]}\n")
	w.PutInForce(m, third)
	tries := func(name string, v *contract.Version, env string, want error) {
		t.Helper()
		added := w.Join(m, "web-1.demo", env)
		added.Lineage = v.Lineage()
		for how, d := range map[string]recordtest.Draft{
			"invited by its host admin": plain(w.Invite(m, w.Carol, v, "web-1.demo", env, []byte("s"))),
			"invited by the operator":   plain(w.Invite(m, nil, v, "web-1.demo", env, []byte("s"))),
			"added by the operator":     plain(added),
		} {
			err := m.Check(d)
			if how == "added by the operator" && errors.Is(err, record.ErrExists) && want != nil {
				continue // the host is there
			}
			if !errors.Is(err, want) {
				t.Errorf("%s, %s: %v, want %v", name, how, err, want)
			}
		}
	}
	tries("unreleased", other, "demo", record.ErrHostOther)
	appendAll(t, m, plain(w.Retire(m, w.Bob, w.Version, "web-1.demo")))
	tries("retired", other, "demo", record.ErrHostOther)
	appendAll(t, m, plain(w.Release(m, w.Bob, w.Version, "web-1.demo", other.Lineage())))
	tries("released to another contract", third, "demo", record.ErrHostOther)
	tries("released, with other labels", other, "prod", nil)
	tries("released, back where it was", w.Version, "demo", nil)
	tries("released, back where it was with other labels", w.Version, "prod", record.ErrHostOther)
	if err := m.Check(plain(w.Release(m, w.Carol, w.Version, "web-1.demo", other.Lineage()))); !errors.Is(err, record.ErrExists) {
		t.Errorf("released twice: %v", err)
	}
	// Its contract may think again, as long as the host is nobody's.
	appendAll(t, m, plain(w.Release(m, w.Carol, w.Version, "web-1.demo", third.Lineage())))
	tries("released elsewhere", other, "demo", record.ErrHostOther)
	tries("released elsewhere", third, "demo", nil)
}

// TestPromiseP10_OldInvitationsEnd: what was left over when a host joined, was retired or
// was released brings nobody in as that host.
func TestPromiseP10_OldInvitationsEnd(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(w *recordtest.World, m *recordtest.Map, other *contract.Version) recordtest.Draft{
		"it was retired": func(w *recordtest.World, m *recordtest.Map, _ *contract.Version) recordtest.Draft {
			return plain(w.Retire(m, w.Bob, w.Version, "web-1.demo"))
		},
		"it was released": func(w *recordtest.World, m *recordtest.Map, other *contract.Version) recordtest.Draft {
			return plain(w.Release(m, w.Bob, w.Version, "web-1.demo", other.Lineage()))
		},
		"it joined by another": func(w *recordtest.World, m *recordtest.Map, _ *contract.Version) recordtest.Draft {
			other := w.Invite(m, w.Bob, w.Version, "web-1.demo", "demo", []byte("t"))
			leaf, err := m.Append(plain(other))
			if err != nil {
				t.Fatal(err)
			}
			return plain(w.Accept(m, other, leaf, w.Key()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, m, other := newFleets(t)
			old := w.Invite(m, w.Bob, w.Version, "web-1.demo", "demo", []byte("s"))
			leaf, err := m.Append(plain(old))
			if err != nil {
				t.Fatal(err)
			}
			m.Clock += micros(time.Second)
			key := w.Key()
			if err := m.Check(plain(w.Accept(m, old, leaf, key))); err != nil {
				t.Fatalf("before: %v", err)
			}
			appendAll(t, m, then(w, m, other))
			if err := m.Check(plain(w.Accept(m, old, leaf, key))); !errors.Is(err, record.ErrInvitation) {
				t.Errorf("the one that was left over: %v", err)
			}
		})
	}
}

// Of two invitations for a new name the second brings nobody in when the first was used.
func TestPromiseP10_OneOfTwoInvitationsCounts(t *testing.T) {
	t.Parallel()
	w, m, _ := newFleets(t)
	first, second := w.Invite(m, w.Bob, w.Version, "db-7.demo", "demo", []byte("s")), w.Invite(m, w.Bob, w.Version, "db-7.demo", "demo", []byte("t"))
	leaf, err := m.Append(plain(first))
	if err != nil {
		t.Fatal(err)
	}
	other, err := m.Append(plain(second))
	if err != nil {
		t.Fatal(err)
	}
	m.Clock += micros(time.Second)
	if err := m.Check(plain(w.Accept(m, second, other, w.Key()))); err != nil {
		t.Fatalf("before: %v", err)
	}
	appendAll(t, m, plain(w.Accept(m, first, leaf, w.Key())))
	if err := m.Check(plain(w.Accept(m, second, other, w.Key()))); !errors.Is(err, record.ErrInvitation) {
		t.Errorf("the second: %v", err)
	}
}

// TestPromiseP06_ReleasedHostGetsNothing: a host that was released is out of its
// contract at once, and in the other one when it has joined that.
func TestPromiseP06_ReleasedHostGetsNothing(t *testing.T) {
	t.Parallel()
	w, m, other := newFleets(t)
	key := w.Key()
	w.Joined(m, w.Version, "db-1.demo", "demo", key)
	ask := w.Ask(m, w.Alice)
	ask.Doc.Hosts = []sshcert.Host{"db-1.demo"}
	appendAll(t, m, w.Submit(m, w.Alice, ask))
	appendAll(t, m, w.Decide(m, w.Bob, w.Request(m, ask.Doc.Request), "approve", 300))
	granted := w.Request(m, ask.Doc.Request)
	issue, err := w.Issue(m, w.Alice, granted, w.Key())
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(issue))
	enter := w.Enter(m, w.Version, "db-1.demo", issue.Serial)
	opened, err := m.Append(plain(enter))
	if err != nil {
		t.Fatal(err)
	}
	without := func(what string) {
		t.Helper()
		if _, err := w.Issue(m, w.Alice, granted, w.Key()); !errors.Is(err, contract.ErrHostNotInRole) {
			t.Errorf("%s: a certificate for it: %v", what, err)
		}
		again := w.Ask(m, w.Alice)
		again.Doc.Hosts = []sshcert.Host{"db-1.demo"}
		if err := m.Check(w.Submit(m, w.Alice, again)); !errors.Is(err, contract.ErrHostNotInRole) {
			t.Errorf("%s: a request for it: %v", what, err)
		}
	}
	released := plain(w.Release(m, w.Bob, w.Version, "db-1.demo", other.Lineage()))
	appendAll(t, m, released)
	without("released")
	if err := m.Check(plain(w.Certify(m, "db-1.demo", key))); !errors.Is(err, record.ErrHostRetired) || !strings.Contains(err.Error(), "released it to contract") {
		t.Errorf("a host certificate: %v", err)
	}
	if err := m.Check(plain(w.Refuse(m, w.Version, "db-1.demo"))); !errors.Is(err, record.ErrHostRetired) {
		t.Errorf("what it tells: %v", err)
	}
	w.Joined(m, other, "db-1.demo", "prod", key)
	without("moved")
	row, err := record.JoinedHost(m, "db-1.demo")
	if err != nil || row.Lineage != other.Lineage() || row.Labels[0].Value != "prod" || !row.ReleasedTo.IsZero() {
		t.Errorf("%+v, %v", row, err)
	}
	if err := m.Check(released); !errors.Is(err, record.ErrEvent) {
		t.Errorf("the release again: %v", err)
	}
	// What began under the old contract is not the new one's to tell.
	end := w.Leave(m, enter, opened)
	end.Lineage = other.Lineage()
	if err := m.Check(plain(end)); !errors.Is(err, record.ErrEvent) {
		t.Errorf("the end of a session of before: %v", err)
	}
	// And back: with the labels that it had here, and no others.
	appendAll(t, m, plain(w.Release(m, w.Carol, other, "db-1.demo", w.Version.Lineage())))
	if err := m.Check(plain(w.Invite(m, w.Bob, w.Version, "db-1.demo", "prod", []byte("s")))); !errors.Is(err, record.ErrHostOther) {
		t.Errorf("back with other labels: %v", err)
	}
	w.Joined(m, w.Version, "db-1.demo", "demo", key)
	if row, err := record.JoinedHost(m, "db-1.demo"); err != nil || row.Lineage != w.Version.Lineage() || len(row.Left) != 2 {
		t.Errorf("back: %+v, %v", row, err)
	}
	if _, err := w.Issue(m, w.Alice, granted, w.Key()); err != nil {
		t.Errorf("a certificate for it, once it is back: %v", err)
	}
}

// A release counts once: by the same signed document nothing is released a second time.
func TestReleaseCountsOnce(t *testing.T) {
	t.Parallel()
	w, m, other := newFleets(t)
	key := w.Key()
	w.Joined(m, w.Version, "db-1.demo", "demo", key)
	release := w.Release(m, w.Bob, w.Version, "db-1.demo", other.Lineage())
	appendAll(t, m, plain(release))
	w.Joined(m, w.Version, "db-1.demo", "demo", key)
	release.At = m.Now()
	if err := m.Check(plain(release)); !errors.Is(err, record.ErrExists) {
		t.Errorf("a release that is done: %v", err)
	}
}

// An invitation from before the host was released opens no way back into a contract
// that it has left for another.
func TestOldInvitationAfterRelease(t *testing.T) {
	t.Parallel()
	w, m, other := newFleets(t)
	key := w.Key()
	w.Joined(m, w.Version, "db-1.demo", "demo", key)
	old := w.Invite(m, w.Bob, w.Version, "db-1.demo", "demo", []byte("old"))
	leaf, err := m.Append(plain(old))
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(w.Release(m, w.Bob, w.Version, "db-1.demo", other.Lineage())))
	w.Joined(m, other, "db-1.demo", "demo", key)
	if err := m.Check(plain(w.Accept(m, old, leaf, key))); !errors.Is(err, record.ErrHostOther) {
		t.Errorf("an invitation of the old contract: %v", err)
	}
}
