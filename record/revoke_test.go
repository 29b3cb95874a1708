package record_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func ofGrant(r approval.Request) record.Target {
	return record.Target{Type: record.TargetGrant, ID: r.ID}
}

func ofRequest(r approval.Request) record.Target {
	return record.Target{Type: record.TargetRequest, ID: r.ID}
}

func ofPerson(u *recordtest.User) record.Target {
	return record.Target{Type: record.TargetPerson, ID: u.Person}
}

var (
	ofRole = record.Target{Type: record.TargetRole, Role: "operator"}
	ofHost = record.Target{Type: record.TargetHost, Host: "web-1.demo"}
)

// issued appends a certificate of u's under a granted request.
func issued(t *testing.T, w *recordtest.World, m *recordtest.Map, u *recordtest.User, r approval.Request) record.CertificateIssue {
	t.Helper()
	f, err := w.Issue(m, u, r, w.Key())
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(f))
	return f
}

// standing reads a request with what revoked it.
func standing(t *testing.T, w *recordtest.World, m *recordtest.Map, id canon.ID) approval.State {
	t.Helper()
	r, err := record.Standing(m, w.Request(m, id))
	if err != nil {
		t.Fatal(err)
	}
	return r.Status(m.Clock.Time()).State
}

func TestAccessRevokeRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	foreignHost(t, w, m)
	r := w.Granted(m, 0)
	waiting := asked(t, w, m, w.Alice)
	cert := issued(t, w, m, w.Alice, r)
	browser, bobs := inBrowser(t, w, m, w.Alice), inBrowser(t, w, m, w.Bob)
	browser.Claims.Snapshot = w.Alice.Claims.Snapshot
	honest := w.Revoke(m, w.Alice, w.Version, ofGrant(r))
	attested := w.Revoke(m, browser, w.Version, ofGrant(r))
	operator := w.Revoke(m, nil, w.Version, ofGrant(r))
	bend := func(d recordtest.Draft, f func(*record.AccessRevoke)) recordtest.Draft { return bent(d, f) }
	doc := func(f func(*record.RevokeDoc)) recordtest.Draft {
		return bend(honest, func(a *record.AccessRevoke) {
			d := w.RevokeDoc(*a)
			f(&d)
			a.Document = marshal(t, d)
			a.Signature = w.Signature(w.Alice.Device, sshcert.NamespaceDevice, a.Document)
		})
	}
	target := func(to record.Target) recordtest.Draft { return w.Revoke(m, nil, w.Version, to) }
	refuses(t, m, honest, []refusal{
		{"in another lineage", bend(honest, func(f *record.AccessRevoke) { f.Lineage, f.Contract = w.Other.Lineage(), w.Other.Digest }), record.ErrEvent},
		{"in a lineage that is not there", bend(honest, func(f *record.AccessRevoke) { f.Lineage = canon.Sum("x") }), record.ErrNotFound},
		{"by another version", bend(honest, func(f *record.AccessRevoke) { f.Contract = w.Other.Digest }), record.ErrNotInForce},
		{"about somebody else", bend(honest, func(f *record.AccessRevoke) { f.About = w.Bob.Person }), record.ErrEvent},
		{"about nobody", bend(honest, func(f *record.AccessRevoke) { f.About = "" }), record.ErrEvent},
		// The document and who signed it.
		{"for another server", doc(func(d *record.RevokeDoc) { d.Origin = "evil.example" }), record.ErrDocument},
		{"for another target", doc(func(d *record.RevokeDoc) { d.Target = ofGrant(waiting) }), record.ErrDocument},
		{"for another revocation", doc(func(d *record.RevokeDoc) { d.Revocation = w.ID() }), record.ErrDocument},
		{"in another person's name", doc(func(d *record.RevokeDoc) { d.Person = w.Bob.Person }), record.ErrDocument},
		{"another version of the document", doc(func(d *record.RevokeDoc) { d.V = "sallyport.revoke/v2" }), record.ErrDocument},
		{"expired", doc(func(d *record.RevokeDoc) { d.ExpiresAt = m.Clock - 1 }), record.ErrDocument},
		{"signed for another purpose", bend(honest, func(f *record.AccessRevoke) {
			f.Signature = w.Signature(w.Alice.Device, sshcert.NamespacePossession, f.Document)
		}), record.ErrDocument},
		{"signed by another device", bend(honest, func(f *record.AccessRevoke) {
			f.Signature = w.Signature(w.Key(), sshcert.NamespaceDevice, f.Document)
		}), record.ErrDocument},
		{"the server's word for a login with device key", bend(honest, func(f *record.AccessRevoke) {
			f.Assurance, f.Document, f.Signature = record.AssuranceSession, "", ""
		}), record.ErrDocument},
		{"by other means", bend(honest, func(f *record.AccessRevoke) { f.Assurance = "passkey" }), record.ErrEvent},
		// The login.
		{"by no login", bend(honest, func(f *record.AccessRevoke) { f.Claims.Login = canon.Sum("x") }), record.ErrNotFound},
		{"by another person's login", bend(honest, func(f *record.AccessRevoke) { f.Claims.Login = w.Bob.Claims.Login }), record.ErrEvent},
		{"by nobody", bend(honest, func(f *record.AccessRevoke) { f.Person = "" }), record.ErrEvent},
		{"by somebody else's word", bend(honest, func(f *record.AccessRevoke) { f.By = "auditor" }), record.ErrEvent},
	})
	refuses(t, m, attested, []refusal{
		{"by another person's browser", bend(attested, func(f *record.AccessRevoke) { f.Claims.Login = bobs.Claims.Login }), record.ErrEvent},
		{"a browser with a document", bend(attested, func(f *record.AccessRevoke) { f.Document = "{}" }), record.ErrEvent},
	})
	refuses(t, m, operator, []refusal{
		{"the operator with a name", bend(operator, func(f *record.AccessRevoke) { f.Person = w.Alice.Person }), record.ErrEvent},
		{"the operator with a login", bend(operator, func(f *record.AccessRevoke) { f.Claims = w.Alice.Claims }), record.ErrEvent},
		{"the operator with a document", bend(operator, func(f *record.AccessRevoke) { f.Document = "{}" }), record.ErrEvent},
		// The target.
		{"nothing", target(record.Target{Type: record.TargetGrant}), record.ErrEvent},
		{"something else", target(record.Target{Type: "world", ID: r.ID}), record.ErrEvent},
		{"two things", target(record.Target{Type: record.TargetGrant, ID: r.ID, Role: "operator"}), record.ErrEvent},
		{"no request", target(record.Target{Type: record.TargetRequest, ID: w.ID()}), record.ErrNotFound},
		{"a grant that is none yet", target(ofGrant(waiting)), approval.ErrNotGranted},
		{"no certificate", target(record.Target{Type: record.TargetCertificate, Serial: 999}), record.ErrNotFound},
		{"a leaf that is no certificate", target(record.Target{Type: record.TargetCertificate, Serial: 1}), record.ErrNotFound},
		{"nobody", target(record.Target{Type: record.TargetPerson, ID: w.ID()}), record.ErrNotFound},
		{"no role", target(record.Target{Type: record.TargetRole, Role: "root"}), contract.ErrRoleUnknown},
		{"no host", target(record.Target{Type: record.TargetHost, Host: "gone.demo"}), record.ErrNotFound},
		{"another contract's host", target(record.Target{Type: record.TargetHost, Host: "db-1.other"}), record.ErrEvent},
	})
	appendAll(t, m, w.Revoke(m, w.Alice, w.Version, record.Target{Type: record.TargetCertificate, Serial: cert.Serial}), honest)
	for _, tt := range []refusal{
		{"the same again", honest, record.ErrExists},
		{"the same grant", w.Revoke(m, w.Bob, w.Version, ofGrant(r)), approval.ErrSettled},
		{"the same certificate", w.Revoke(m, nil, w.Version, record.Target{Type: record.TargetCertificate, Serial: cert.Serial}), approval.ErrRevoked},
	} {
		if err := m.Check(tt.draft); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// What is over is not revoked: that would promise something.
func TestWhatIsOverIsNotRevoked(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := w.Granted(m, 0)
	cert := issued(t, w, m, w.Alice, r)
	ofCert := record.Target{Type: record.TargetCertificate, Serial: cert.Serial}
	end := r.Decisions[0].At + micros(10*time.Minute)
	m.Clock = end + micros(record.CertificateOver) - 1
	if err := m.Check(w.Revoke(m, nil, w.Version, ofCert)); err != nil {
		t.Errorf("while a late clock lets its sessions run: %v", err)
	}
	m.Clock++
	if err := m.Check(w.Revoke(m, nil, w.Version, ofCert)); !errors.Is(err, approval.ErrGrantOver) {
		t.Errorf("when no clock does: %v, want ErrGrantOver", err)
	}
	m.Clock = end - 1
	if err := m.Check(w.Revoke(m, nil, w.Version, ofGrant(r))); err != nil {
		t.Errorf("the last moment of a grant: %v", err)
	}
	m.Clock++
	if err := m.Check(w.Revoke(m, nil, w.Version, ofGrant(r))); !errors.Is(err, approval.ErrGrantOver) {
		t.Errorf("a grant that is over: %v, want ErrGrantOver", err)
	}
}

// Who may revoke what, under a contract that names offices.
func TestPromiseP03_WhoRevokes(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	w.Version = w.Officed() // operator, reviewer: owners; host-admin: leads; auditor: engineers
	m := w.NewMap()
	w.Setup(m)
	erin, frank := w.User("erin", "owners"), w.User("frank", "engineers")
	outsider, unknown := w.User("olga"), w.User("dora", "leads")
	unknown.GroupsKnown, unknown.Groups = false, nil
	logIn(t, w, m, erin, frank, outsider, unknown)
	r := w.Granted(m, 0)
	cert := issued(t, w, m, w.Alice, r)
	ofCert := record.Target{Type: record.TargetCertificate, Serial: cert.Serial}
	everybody := []*recordtest.User{w.Alice, w.Bob, w.Carol, erin, frank, outsider, unknown}
	for _, tt := range []struct {
		target record.Target
		by     []*recordtest.User
	}{
		{ofCert, []*recordtest.User{w.Alice, w.Bob, w.Carol, erin}}, // her own; he decided; she could have; the office
		{ofGrant(r), []*recordtest.User{w.Alice, w.Bob, w.Carol, erin}},
		{ofRequest(r), []*recordtest.User{w.Alice, w.Bob, w.Carol, erin}},
		{ofPerson(w.Alice), []*recordtest.User{w.Alice, w.Carol, erin}},
		{ofRole, []*recordtest.User{w.Carol, erin}},
		{ofHost, []*recordtest.User{w.Bob, w.Carol, erin}}, // leads are its host-admins
	} {
		for _, u := range everybody {
			may := false
			for _, other := range tt.by {
				may = may || other == u
			}
			err := m.Check(w.Revoke(m, u, w.Version, tt.target))
			if may && err != nil || !may && !errors.Is(err, record.ErrNotRevoker) {
				t.Errorf("%s by %s: %v, allowed: %t", tt.target, u.Name, err, may)
			}
		}
		if err := m.Check(w.Revoke(m, nil, w.Version, tt.target)); err != nil {
			t.Errorf("%s by the operator: %v", tt.target, err)
		}
	}
	// Who decided does so still when they are in no group any more.
	w.Bob.Groups = nil
	logIn(t, w, m, w.Bob)
	if err := m.Check(w.Revoke(m, w.Bob, w.Version, ofGrant(r))); err != nil {
		t.Errorf("by who approved, in no group any more: %v", err)
	}
	// A locked account revokes its own, and nothing of others.
	appendAll(t, m, w.Lock(m, erin))
	if err := m.Check(w.Revoke(m, erin, w.Version, ofGrant(r))); !errors.Is(err, record.ErrLocked) {
		t.Errorf("by a locked account: %v, want ErrLocked", err)
	}
	if err := m.Check(w.Revoke(m, erin, w.Version, ofPerson(erin))); err != nil {
		t.Errorf("one's own, locked: %v", err)
	}
}

// Revoking only takes away: it works by claims as old as a session can be.
func TestPromiseP14_RevokingNeedsNoFreshClaims(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	start := w.Bob.Claims.ClaimsAt
	m.Clock = start + micros(record.SessionLife) - micros(time.Minute)
	logIn(t, w, m, w.Alice)
	ask := w.Ask(m, w.Alice)
	appendAll(t, m, w.Submit(m, w.Alice, ask))
	r := w.Request(m, ask.Doc.Request)
	if err := m.Check(w.Decide(m, w.Bob, r, approval.Approve, 0)); !errors.Is(err, record.ErrClaimsOld) {
		t.Fatalf("approving by old claims: %v", err)
	}
	m.Clock = start + micros(record.SessionLife)
	if err := m.Check(w.Revoke(m, w.Bob, w.Version, ofRequest(r))); err != nil {
		t.Errorf("by claims of twelve hours: %v", err)
	}
	m.Clock++
	if err := m.Check(w.Revoke(m, w.Bob, w.Version, ofRequest(r))); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("by older claims: %v, want ErrClaimsOld", err)
	}
}

// After a revocation nothing that it covers is issued, decided, or cancelled; what
// is asked for later is not touched.
func TestPromiseP06_WhatIsRevokedIsIssuedNoMore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		target func(w *recordtest.World, r approval.Request) record.Target
		one    bool // of one request alone
	}{
		{"grant", func(_ *recordtest.World, r approval.Request) record.Target { return ofGrant(r) }, true},
		{"request", func(_ *recordtest.World, r approval.Request) record.Target { return ofRequest(r) }, true},
		{"person", func(w *recordtest.World, _ approval.Request) record.Target { return ofPerson(w.Alice) }, false},
		{"role", func(*recordtest.World, approval.Request) record.Target { return ofRole }, false},
		{"host", func(*recordtest.World, approval.Request) record.Target { return ofHost }, false},
	} {
		w, m := newLedger(t)
		r, waiting := w.Granted(m, 0), asked(t, w, m, w.Alice)
		early, err := w.Issue(m, w.Alice, r, w.Key())
		if err != nil {
			t.Fatal(err)
		}
		m.Clock++
		appendAll(t, m, w.Revoke(m, nil, w.Version, tt.target(w, r)))
		if _, err := w.Issue(m, w.Alice, r, w.Key()); !errors.Is(err, approval.ErrRevoked) {
			t.Errorf("%s: a certificate: %v, want ErrRevoked", tt.name, err)
		}
		late := bent(plain(early), func(f *record.CertificateIssue) { f.At = m.Clock })
		if err := m.Check(late); !errors.Is(err, approval.ErrRevoked) {
			t.Errorf("%s: a certificate that was prepared before: %v, want ErrRevoked", tt.name, err)
		}
		if got := standing(t, w, m, r.ID); got != approval.Revoked {
			t.Errorf("%s: the request is %s", tt.name, got)
		}
		for what, d := range map[string]recordtest.Draft{
			"decided": w.Decide(m, w.Bob, waiting, approval.Approve, 0), "cancelled": plain(w.Cancel(m, w.Alice, waiting)),
		} {
			if err := m.Check(d); errors.Is(err, approval.ErrSettled) == tt.one {
				t.Errorf("%s: another one that waited was %s: %v", tt.name, what, err)
			}
		}
		m.Clock++
		again := w.Granted(m, 0)
		if _, err := w.Issue(m, w.Alice, again, w.Key()); err != nil {
			t.Errorf("%s: what was asked for later: %v", tt.name, err)
		}
	}
}

// A revocation of something else takes nothing away.
func TestARevocationIsOfItsTargetAlone(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := w.Granted(m, 0)
	other := w.Granted(m, 0)
	cert := issued(t, w, m, w.Alice, r)
	m.Clock++
	appendAll(t, m,
		w.Revoke(m, nil, w.Version, ofGrant(other)),
		w.Revoke(m, nil, w.Version, record.Target{Type: record.TargetRole, Role: "admin"}),
		w.Revoke(m, nil, w.Version, record.Target{Type: record.TargetHost, Host: "web-2.demo"}),
		w.Revoke(m, nil, w.Version, ofPerson(w.Bob)),
		w.Revoke(m, nil, w.Version, record.Target{Type: record.TargetCertificate, Serial: cert.Serial}))
	if _, err := w.Issue(m, w.Alice, r, w.Key()); err != nil {
		t.Errorf("a certificate under a grant that was not revoked: %v", err)
	}
	if got := standing(t, w, m, r.ID); got != approval.Granted {
		t.Errorf("the request is %s", got)
	}
}

// Somebody may have the key of a certificate that was revoked: it gets no other.
func TestPromiseP09_ARevokedKeyGetsNoCertificate(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := w.Granted(m, 0)
	key := w.Key()
	f, err := w.Issue(m, w.Alice, r, key)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(f))
	appendAll(t, m, w.Revoke(m, nil, w.Version, record.Target{Type: record.TargetCertificate, Serial: f.Serial}))
	again, err := w.Issue(m, w.Alice, r, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Check(plain(again)); !errors.Is(err, approval.ErrRevoked) {
		t.Errorf("another certificate of the key: %v, want ErrRevoked", err)
	}
	issued(t, w, m, w.Alice, r)
}

// What was denied, cancelled, expired or over when it could have been revoked stays
// what it was, and a later revocation does not change what an earlier one did.
func TestPromiseP07_RevokingChangesNothingThatIsSettled(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	over := w.Granted(m, 60)
	denied, gone, silent := asked(t, w, m, w.Alice), asked(t, w, m, w.Alice), asked(t, w, m, w.Alice)
	appendAll(t, m, w.Decide(m, w.Bob, denied, approval.Deny, 0), plain(w.Cancel(m, w.Alice, gone)))
	m.Clock += micros(15 * time.Minute)
	logIn(t, w, m, w.Alice, w.Bob)
	live := w.Granted(m, 0)
	m.Clock++
	appendAll(t, m, w.Revoke(m, nil, w.Version, ofRole))
	first := m.Clock
	m.Clock += micros(time.Hour)
	appendAll(t, m, w.Revoke(m, nil, w.Version, ofRole))
	for id, want := range map[canon.ID]approval.State{
		over.ID: approval.Granted, denied.ID: approval.Denied, gone.ID: approval.Cancelled, silent.ID: approval.Expired, live.ID: approval.Revoked,
	} {
		if got := standing(t, w, m, id); got != want {
			t.Errorf("it is %s, want %s", got, want)
		}
	}
	r, err := record.Standing(m, w.Request(m, live.ID))
	if err != nil || r.Revoked.At != first {
		t.Errorf("revoked at %d, %v, want %d", r.Revoked.At, err, first)
	}
	for _, r := range []approval.Request{denied, gone, silent} {
		if err := m.Check(w.Revoke(m, w.Alice, w.Version, ofRequest(r))); !errors.Is(err, approval.ErrSettled) {
			t.Errorf("revoked what was settled: %v, want ErrSettled", err)
		}
	}
}

// Only the newest revocations of one thing are told apart; older ones are as good.
func TestManyRevocationsOfOneThing(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := w.Granted(m, 0)
	for range 40 {
		m.Clock++
		appendAll(t, m, w.Revoke(m, nil, w.Version, ofRole))
	}
	if got := standing(t, w, m, r.ID); got != approval.Revoked {
		t.Errorf("the request is %s", got)
	}
}

// A locked account asks for nothing, decides nothing and is issued nothing; nor does
// another account of the same human. What was granted before stays revoked when it
// is unlocked.
func TestPromiseP03_ALockedPersonDoesNothing(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	second := w.User("alice2", "engineers")
	logIn(t, w, m, second)
	r, waiting := w.Granted(m, 0), asked(t, w, m, w.Alice)
	appendAll(t, m, w.Link(m, w.Alice, second))
	m.Clock++
	appendAll(t, m, w.Lock(m, w.Alice), w.Lock(m, w.Bob))
	if _, err := w.Issue(m, w.Alice, r, w.Key()); !errors.Is(err, approval.ErrRevoked) {
		t.Errorf("a certificate: %v, want ErrRevoked", err)
	}
	for name, d := range map[string]recordtest.Draft{
		"a request": w.Submit(m, w.Alice, w.Ask(m, w.Alice)), "a request of the other account": w.Submit(m, second, w.Ask(m, second)),
		"an approval": w.Decide(m, w.Bob, waiting, approval.Approve, 0), "a denial": w.Decide(m, w.Bob, waiting, approval.Deny, 0),
	} {
		if err := m.Check(d); !errors.Is(err, record.ErrLocked) {
			t.Errorf("%s: %v, want ErrLocked", name, err)
		}
	}
	if err := m.Check(w.Decide(m, w.Carol, waiting, approval.Approve, 0)); !errors.Is(err, approval.ErrSettled) {
		t.Errorf("an approval of what waited: %v, want ErrSettled", err)
	}
	if err := m.Check(w.Lock(m, w.Alice)); !errors.Is(err, record.ErrExists) {
		t.Errorf("locked twice: %v, want ErrExists", err)
	}
	appendAll(t, m, w.Unlock(m, w.Alice), w.Unlock(m, w.Bob))
	if err := m.Check(w.Unlock(m, w.Alice)); !errors.Is(err, record.ErrEvent) {
		t.Errorf("unlocked twice: %v, want ErrEvent", err)
	}
	if _, err := w.Issue(m, w.Alice, r, w.Key()); !errors.Is(err, approval.ErrRevoked) {
		t.Errorf("unlocked, a certificate under the grant from before: %v, want ErrRevoked", err)
	}
	m.Clock++
	again := w.Granted(m, 0)
	if _, err := w.Issue(m, w.Alice, again, w.Key()); err != nil {
		t.Errorf("unlocked, asked again: %v", err)
	}
}

func TestLockRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	lock := w.Lock(m, w.Alice)
	refuses(t, m, lock, []refusal{
		{"nobody", bent(lock, func(f *record.PersonLock) { f.Person = w.ID() }), record.ErrNotFound},
		{"by somebody", bent(lock, func(f *record.PersonLock) { f.By = record.ByPerson }), record.ErrEvent},
	})
	appendAll(t, m, lock)
	unlock := w.Unlock(m, w.Alice)
	refuses(t, m, unlock, []refusal{
		{"nobody", bent(unlock, func(f *record.PersonUnlock) { f.Person = w.ID() }), record.ErrNotFound},
		{"somebody else", bent(unlock, func(f *record.PersonUnlock) { f.Person = w.Bob.Person }), record.ErrEvent},
		{"by another lock", bent(unlock, func(f *record.PersonUnlock) { f.Lock = canon.Sum("x") }), record.ErrEvent},
		{"by somebody", bent(unlock, func(f *record.PersonUnlock) { f.By = record.ByPerson }), record.ErrEvent},
	})
}

// modelled is what a plain reading of the rules says about one certificate.
type modelled struct {
	serial  uint64
	r       approval.Request
	revoked bool
}
