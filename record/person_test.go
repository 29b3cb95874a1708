package record_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

func TestPersonLoginRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	honest := w.Login(m, w.Alice)
	bend := func(f func(*record.PersonLogin)) recordtest.Draft { return bent(honest, f) }
	part := func(f func(*record.LoginPerson)) recordtest.Draft {
		d := honest
		p, _ := d.Person.(record.LoginPerson)
		f(&p)
		d.Person = p
		return d
	}
	refuses(t, m, honest, []refusal{
		// Without a device key, which would be refused for itself.
		{"for another person's account", bend(func(f *record.PersonLogin) { f.Person, f.DeviceKey = w.Bob.Person, "" }), record.ErrEvent},
		{"a new person for a known account", bend(func(f *record.PersonLogin) { f.Person, f.DeviceKey = w.ID(), "" }), record.ErrEvent},
		{"by a flow that there is none of", bend(func(f *record.PersonLogin) { f.Flow = "device" }), record.ErrEvent},
		{"with another person's device key", bend(func(f *record.PersonLogin) { f.DeviceKey = recordtest.Wire(w.Bob.Device.PublicKey()) }), record.ErrEvent},
		{"another account of a known person", part(func(p *record.LoginPerson) { p.Subject = "sub-alice-2" }), record.ErrEvent},
		{"the account's name in another case", part(func(p *record.LoginPerson) { p.Subject = "Sub-Alice" }), record.ErrEvent},
		{"the same subject at another issuer", bend(func(f *record.PersonLogin) { f.Issuer = "https://login.other.example" }), record.ErrEvent},
		{"no issuer", bend(func(f *record.PersonLogin) { f.Issuer = "" }), canon.ErrNotCanonical},
		{"no time of the claims", bend(func(f *record.PersonLogin) { f.ClaimsAt = 0 }), record.ErrEvent},
		{"groups out of order", bend(func(f *record.PersonLogin) { f.Groups = []string{"b", "a"} }), record.ErrEvent},
		{"a group twice", bend(func(f *record.PersonLogin) { f.Groups = []string{"a", "a"} }), record.ErrEvent},
		{"groups that are not known", bend(func(f *record.PersonLogin) { f.GroupsKnown = false }), record.ErrEvent},
		{"a device key that is no key", bend(func(f *record.PersonLogin) { f.DeviceKey = "AAAA" }), record.ErrEvent},
		{"a certificate as device key", bend(func(f *record.PersonLogin) { f.DeviceKey = certificateWire(t, w) }), record.ErrEvent},
	})
	// The same checks where the text was never written.
	for name, bend := range map[string]func(*record.PersonLogin, *record.LoginPerson){
		"no issuer":  func(f *record.PersonLogin, _ *record.LoginPerson) { f.Issuer = "" },
		"no subject": func(_ *record.PersonLogin, p *record.LoginPerson) { p.Subject = "" },
	} {
		f, _ := honest.Facts.(record.PersonLogin)
		p, _ := honest.Person.(record.LoginPerson)
		bend(&f, &p)
		if _, err := record.Check(m, record.Event{Index: m.Next(), Facts: f, Person: p}); !errors.Is(err, record.ErrEvent) {
			t.Errorf("%s: %v, want ErrEvent", name, err)
		}
	}
}

// A person is (issuer, subject): a new subject is a new person, and a name,
// address or handle makes nobody the same.
func TestPromiseP03_APersonIsIssuerAndSubject(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	twin := w.User("alice")
	twin.Subject = "sub-alice-2"
	logIn(t, w, m, twin)
	for _, u := range []*recordtest.User{w.Alice, twin} {
		if got, err := record.Identity(m, recordtest.Issuer, u.Subject); err != nil || got != u.Person {
			t.Errorf("%s is %s, %v; want %s", u.Subject, got, err, u.Person)
		}
	}
	if _, err := record.Identity(m, "https://login.other.example", w.Alice.Subject); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("the subject at another issuer: %v, want ErrNotFound", err)
	}
	if record.IdentityKey("a", "b\x00c") == record.IdentityKey("a\x00b", "c") {
		t.Error("two identities have one key")
	}
}

func TestPersonSnapshotRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	honest := plain(w.Snapshot(m, w.Alice, w.Alice.Claims.Login))
	bend := func(f func(*record.PersonSnapshot)) recordtest.Draft { return bent(honest, f) }
	refuses(t, m, honest, []refusal{
		{"of nobody", bend(func(f *record.PersonSnapshot) { f.Person = w.ID() }), record.ErrNotFound},
		{"of no login", bend(func(f *record.PersonSnapshot) { f.Login = canon.Sum("x") }), record.ErrNotFound},
		{"of another person's login", bend(func(f *record.PersonSnapshot) { f.Login = w.Bob.Claims.Login }), record.ErrEvent},
		{"read from another person's snapshot", bend(func(f *record.PersonSnapshot) { f.Login = w.Alice.Claims.Snapshot }), record.ErrNotFound},
		{"of another issuer", bend(func(f *record.PersonSnapshot) { f.Issuer = "https://login.other.example" }), record.ErrEvent},
		{"groups that the login does not have", bend(func(f *record.PersonSnapshot) { f.Groups = []string{"engineers", "leads"} }), record.ErrEvent},
		{"read elsewhere", bend(func(f *record.PersonSnapshot) { f.Source = "directory" }), record.ErrEvent},
		{"groups out of order", bend(func(f *record.PersonSnapshot) { f.Groups = []string{"b", "a"} }), record.ErrEvent},
		{"a group twice", bend(func(f *record.PersonSnapshot) { f.Groups = []string{"a", "a"} }), record.ErrEvent},
		{"groups that are not known", bend(func(f *record.PersonSnapshot) { f.GroupsKnown = false }), record.ErrEvent},
	})
}

// The person's row names the newest snapshot of each issuer, and each once.
func TestSnapshotsAreKeptForEachIssuer(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	w.Alice.Groups = []string{"engineers", "leads"}
	logIn(t, w, m, w.Alice)
	person, err := record.Person(m, w.Alice.Person)
	want := []record.SnapshotRef{{Issuer: recordtest.Issuer, Leaf: w.Alice.Claims.Snapshot}}
	if err != nil || !slices.Equal(person.Snapshots, want) {
		t.Errorf("snapshots %v, %v; want %v", person.Snapshots, err, want)
	}
	if s, err := record.Snapshot(m, w.Alice.Claims.Snapshot); err != nil || !slices.Equal(s.Groups, w.Alice.Groups) {
		t.Errorf("snapshot %+v, %v", s, err)
	}
}

// What an issuer said later is not undone by what it said before: an ID token
// from before a group was taken away gives it back to nobody.
func TestPromiseP03_AnOlderWordUndoesNothing(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	m.Clock += micros(time.Minute)
	logIn(t, w, m, w.Alice)
	newest := w.Alice.Claims.ClaimsAt
	for _, tt := range []struct {
		name string
		at   canon.Micros
		want error
	}{
		{"older", newest - 1e6, record.ErrClaimsOld},
		{"of the same moment", newest, nil},
		{"newer", newest + 1e6, nil},
	} {
		d := bent(w.Login(m, w.Alice), func(f *record.PersonLogin) { f.ClaimsAt = tt.at })
		if err := m.Check(d); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	// Each person and each issuer has a newest word of its own.
	bob := bent(w.Login(m, w.Bob), func(f *record.PersonLogin) { f.ClaimsAt = newest - 1e6 })
	if err := m.Check(bob); err != nil {
		t.Errorf("another person: %v", err)
	}
}

// An ID token for a client that a contract does not name proves nothing under it.
func TestPromiseP03_OnlyTheContractsOwnClientsCount(t *testing.T) {
	t.Parallel()
	for client, want := range map[string]error{"sally": nil, "pages": nil, "theirs": record.ErrOtherLogin, "Sally": record.ErrOtherLogin} {
		w, m := newLedger(t)
		ask := w.Ask(m, w.Alice)
		appendAll(t, m, w.Submit(m, w.Alice, ask))
		login := bent(w.Login(m, w.Bob), func(f *record.PersonLogin) { f.Client = client })
		hash, err := m.Append(login)
		if err != nil {
			t.Fatal(err)
		}
		w.Bob.Claims.Login = hash
		for _, verdict := range []approval.Verdict{approval.Approve, approval.Deny} {
			if err := m.Check(w.Decide(m, w.Bob, w.Request(m, ask.Doc.Request), verdict, 0)); !errors.Is(err, want) {
				t.Errorf("%s by a login through %q: %v, want %v", verdict, client, err, want)
			}
		}
	}
}

// What renews a login is held to that login.
func TestPromiseP03_ARefreshRenewsItsLoginOnly(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	m.Clock += canon.Micros(61 * 60 * 1e6)
	renew := func(u *recordtest.User) recordtest.Draft {
		return bent(w.Login(m, u), func(f *record.PersonLogin) { f.Flow, f.AuthTimeAt = record.FlowRefresh, 0 })
	}
	honest := renew(w.Alice)
	bend := func(f func(*record.PersonLogin)) recordtest.Draft { return bent(honest, f) }
	row, err := record.Device(m, recordtest.Wire(w.Alice.Device.PublicKey()))
	if err != nil || row.AuthTimeAt == 0 {
		t.Fatalf("%+v, %v", row, err)
	}
	if err := m.Check(bend(func(f *record.PersonLogin) { f.AuthTimeAt = row.AuthTimeAt })); err != nil {
		t.Errorf("with the time of the sign-in: %v", err)
	}
	refuses(t, m, honest, []refusal{
		{"no device key", bend(func(f *record.PersonLogin) { f.DeviceKey = "" }), record.ErrRefresh},
		{"a device key that nobody logged in with", bend(func(f *record.PersonLogin) { f.DeviceKey = recordtest.Wire(w.Key().PublicKey()) }), record.ErrRefresh},
		{"another person's device key", bend(func(f *record.PersonLogin) { f.DeviceKey = recordtest.Wire(w.Bob.Device.PublicKey()) }), record.ErrEvent},
		{"another person", bend(func(f *record.PersonLogin) { f.Person = w.Bob.Person }), record.ErrEvent},
		{"another issuer", bend(func(f *record.PersonLogin) { f.Issuer = "https://login.other.example" }), record.ErrRefresh},
		{"another client", bend(func(f *record.PersonLogin) { f.Client = "web" }), record.ErrRefresh},
		{"nothing newer", bend(func(f *record.PersonLogin) { f.ClaimsAt = row.ClaimsAt }), record.ErrRefresh},
		{"something older", bend(func(f *record.PersonLogin) { f.ClaimsAt = row.ClaimsAt - 1 }), record.ErrRefresh},
		{"another sign-in", bend(func(f *record.PersonLogin) { f.AuthTimeAt = row.AuthTimeAt + 1e6 }), record.ErrRefresh},
		{"a login with another person's device key", bend(func(f *record.PersonLogin) {
			f.Flow, f.DeviceKey = record.FlowCode, recordtest.Wire(w.Bob.Device.PublicKey())
		}), record.ErrEvent},
	})
	if _, err := m.Append(honest); err != nil {
		t.Fatal(err)
	}
	m.Clock = row.LoginAt + canon.Micros(record.SessionLife.Microseconds())
	if _, err := m.Append(renew(w.Alice)); err != nil {
		t.Errorf("twelve hours after the login: %v", err)
	}
	m.Clock += 1e6
	if err := m.Check(renew(w.Alice)); !errors.Is(err, record.ErrRefresh) {
		t.Errorf("a second later: %v", err)
	}
	if _, err := m.Append(w.Login(m, w.Alice)); err != nil {
		t.Fatal(err)
	}
	m.Clock += 1e6
	if err := m.Check(renew(w.Alice)); err != nil {
		t.Errorf("after a new login: %v", err)
	}
}

// Groups that a login does not have any more count no more, also where nobody has
// recorded a snapshot of that.
func TestPromiseP03_ClaimsAreOfOneMoment(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	m.Clock += micros(time.Second)
	mover := *w.Alice
	mover.Groups = []string{"visitors"}
	login, err := m.Append(w.Login(m, &mover))
	if err != nil {
		t.Fatal(err)
	}
	mover.Claims.Login, mover.Claims.ClaimsAt = login, m.Clock-m.Clock%1e6 // and still the snapshot from before
	if err := m.Check(w.Submit(m, &mover, w.Ask(m, &mover))); !errors.Is(err, record.ErrEvent) {
		t.Errorf("%v, want ErrEvent", err)
	}
}
