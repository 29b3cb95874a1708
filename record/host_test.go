package record_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// newFleet is a ledger whose contract has host admins, Bob and Carol, and whose
// hosts have a CA.
func newFleet(t *testing.T) (*recordtest.World, *recordtest.Map) {
	t.Helper()
	w := recordtest.New(t, t.Name())
	w.Version = w.Fleet()
	m := w.NewMap()
	w.Setup(m)
	appendAll(t, m, plain(w.AddKey(m, record.KeyHostCA)))
	return w, m
}

// again has u sign what the facts of an invitation say now.
func again(w *recordtest.World, m *recordtest.Map, u *recordtest.User) func(*record.HostInvite) {
	return func(f *record.HostInvite) { f.Who = w.By(m, u, recordtest.InviteDoc(*f)) }
}

func TestHostInviteRefuses(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	good := plain(w.Invite(m, w.Bob, w.Version, "db-1.demo", "demo", []byte("secret")))
	bend := func(f func(*record.HostInvite)) recordtest.Draft { return bent(good, f) }
	signed := func(f func(*record.HostInvite)) recordtest.Draft {
		return bent(bend(f), again(w, m, w.Bob))
	}
	refuses(t, m, good, []refusal{
		{"by who holds no office", plain(w.Invite(m, w.Alice, w.Version, "db-1.demo", "demo", []byte("s"))), contract.ErrNotHolder},
		{"by another's claims", bend(func(f *record.HostInvite) { f.Who.Claims = w.Carol.Claims }), record.ErrDocument},
		{"under another's name", bend(func(f *record.HostInvite) { f.Who.Person = w.Carol.Person }), record.ErrDocument},
		{"by nobody", bend(func(f *record.HostInvite) { f.Who.By = "somebody" }), record.ErrEvent},
		{"by the operator with a signature", bend(func(f *record.HostInvite) { f.Who.By = record.ByOperator }), record.ErrEvent},
		{"without signature", bend(func(f *record.HostInvite) { f.Who.Signature = "" }), record.ErrDocument},
		{"for another name than was signed", bend(func(f *record.HostInvite) { f.Name = "db-2.demo" }), record.ErrDocument},
		{"with other labels than were signed", bend(func(f *record.HostInvite) { f.Labels = recordtest.Labels("prod") }), record.ErrDocument},
		{"with another secret than was signed", bend(func(f *record.HostInvite) { f.Secret = canon.Digest{1} }), record.ErrDocument},
		{"with another bundle than was signed", bend(func(f *record.HostInvite) { f.Bundle = canon.Digest{1} }), record.ErrDocument},
		{"for longer than was signed", bend(func(f *record.HostInvite) { f.ExpiresAt++ }), record.ErrDocument},
		{"at another address than was signed", bend(func(f *record.HostInvite) { f.Address = "192.0.2.8" }), record.ErrDocument},
		{"under another contract version", bend(func(f *record.HostInvite) { f.Contract = w.Other.Digest }), record.ErrNotInForce},
		{"in a lineage that is not in force", bend(func(f *record.HostInvite) { f.Lineage = w.Other.Lineage() }), record.ErrNotFound},
		{"a name that is none", signed(func(f *record.HostInvite) { f.Address = "DB" }), record.ErrEvent},
		{"at no port", signed(func(f *record.HostInvite) { f.Port = 0 }), record.ErrEvent},
		{"with labels out of order", signed(func(f *record.HostInvite) {
			f.Labels = []record.Label{{Name: "site", Value: "a"}, {Name: "env", Value: "demo"}}
		}), record.ErrEvent},
		{"without secret", signed(func(f *record.HostInvite) { f.Secret = canon.Digest{} }), record.ErrEvent},
		{"without bundle", signed(func(f *record.HostInvite) { f.Bundle = canon.Digest{} }), record.ErrEvent},
		{"for no time", signed(func(f *record.HostInvite) { f.ExpiresAt = f.At }), record.ErrInvitation},
		{"for ever", signed(func(f *record.HostInvite) { f.ExpiresAt = f.At + micros(record.MaxInvitation) + 1 }), record.ErrInvitation},
		{"a name with other labels", signed(func(f *record.HostInvite) { f.Name, f.Labels = "web-1.demo", recordtest.Labels("prod") }), record.ErrHostOther},
	})
	for name, d := range map[string]recordtest.Draft{
		"by the operator":      plain(w.Invite(m, nil, w.Version, "db-1.demo", "demo", []byte("s"))),
		"a host that is there": plain(w.Invite(m, w.Bob, w.Version, "web-1.demo", "demo", []byte("s"))),
	} {
		if err := m.Check(d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	stale := bend(func(f *record.HostInvite) { f.At += micros(4 * time.Minute) })
	m.Clock += micros(4 * time.Minute)
	if err := m.Check(stale); err != nil {
		t.Errorf("four minutes after it was signed: %v", err)
	}
	appendAll(t, m, good)
	if err := m.Check(good); !errors.Is(err, record.ErrExists) {
		t.Errorf("the same again: %v", err)
	}
}

// An invitation lets one host in, once, and only the one that it was made for.
func TestInvitationIsGoodOnce(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	key, other := w.Key(), w.Key()
	invite := w.Invite(m, w.Bob, w.Version, "db-1.demo", "demo", []byte("secret"))
	leaf, err := m.Append(plain(invite))
	if err != nil {
		t.Fatal(err)
	}
	good := plain(w.Accept(m, invite, leaf, key))
	bend := func(f func(*record.HostJoin)) recordtest.Draft { return bent(good, f) }
	call := func(body hostcall.Body, name sshcert.Host) recordtest.Draft {
		return bend(func(f *record.HostJoin) { f.Document, f.Signature = w.Call(m, name, key, body) })
	}
	taken := hostcall.JoinBody{Invitation: invite.Invitation, HostKey: recordtest.Wire(key.PublicKey())}
	log, err := record.Log(m)
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, m, good, []refusal{
		{"no such invitation", bend(func(f *record.HostJoin) { f.Invitation = w.ID() }), record.ErrNotFound},
		{"another leaf than the invitation's", bend(func(f *record.HostJoin) { f.InvitationLeaf = canon.Digest{1} }), record.ErrEvent},
		{"another name", bend(func(f *record.HostJoin) { f.Name = "db-2.demo" }), record.ErrInvitation},
		{"other labels", bend(func(f *record.HostJoin) { f.Labels = recordtest.Labels("prod") }), record.ErrInvitation},
		{"another address", bend(func(f *record.HostJoin) { f.Address = "192.0.2.8" }), record.ErrInvitation},
		{"another port", bend(func(f *record.HostJoin) { f.Port = 2222 }), record.ErrInvitation},
		{"another key than signs", bend(func(f *record.HostJoin) { f.HostKey = recordtest.Wire(other.PublicKey()) }), record.ErrDocument},
		{"the user CA's key", bend(func(f *record.HostJoin) { f.HostKey = log.UserCA }), record.ErrEvent},
		{"without signature", bend(func(f *record.HostJoin) { f.Signature = "" }), record.ErrDocument},
		{"without document", bend(func(f *record.HostJoin) { f.Document = "" }), record.ErrDocument},
		{"a call of another host", call(taken, "db-2.demo"), record.ErrDocument},
		{"another call", call(hostcall.CertifyBody{HostKey: taken.HostKey}, "db-1.demo"), record.ErrDocument},
		{"a call that takes another invitation", call(hostcall.JoinBody{Invitation: w.ID(), HostKey: taken.HostKey}, "db-1.demo"), record.ErrDocument},
		{"a call that names another key", call(hostcall.JoinBody{Invitation: taken.Invitation, HostKey: recordtest.Wire(other.PublicKey())}, "db-1.demo"), record.ErrDocument},
		{"an operator's with a document", bend(func(f *record.HostJoin) { f.Invitation = "" }), record.ErrEvent},
	})
	expired := bend(func(f *record.HostJoin) { f.At = invite.ExpiresAt + 1 })
	if err := m.Check(expired); !errors.Is(err, record.ErrInvitation) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired invitation: %v", err)
	}
	stale := bend(func(f *record.HostJoin) { f.At += micros(hostcall.Skew) + 1 })
	if err := m.Check(stale); !errors.Is(err, record.ErrDocument) {
		t.Errorf("a call of five minutes ago: %v", err)
	}
	appendAll(t, m, good)
	if err := m.Check(plain(w.Accept(m, invite, leaf, other))); !errors.Is(err, record.ErrInvitation) || !strings.Contains(err.Error(), "good once") {
		t.Errorf("the invitation again: %v", err)
	}
	row, err := record.Host(m, "db-1.demo")
	if err != nil || row.HostKey != taken.HostKey || !row.Invited || row.Retired() {
		t.Errorf("the host: %+v, %v", row, err)
	}
}

// TestHostNameStaysWhatItWas: a name is never given to a host with other labels or
// of another contract, also after it was retired.
func TestHostNameStaysWhatItWas(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	w.PutInForce(m, w.Other)
	key := w.Key()
	w.Joined(m, w.Version, "db-1.demo", "demo", key)
	for _, state := range []string{"joined", "retired"} {
		for _, tt := range []struct {
			name  string
			draft recordtest.Draft
			want  error
		}{
			{"with other labels", plain(w.Invite(m, w.Bob, w.Version, "db-1.demo", "prod", []byte("s"))), record.ErrHostOther},
			{"in another contract", plain(w.Invite(m, nil, w.Other, "db-1.demo", "demo", []byte("s"))), record.ErrHostOther},
			{"as it was", plain(w.Invite(m, w.Bob, w.Version, "db-1.demo", "demo", []byte("s"))), nil},
		} {
			if err := m.Check(tt.draft); !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: %v, want %v", state, tt.name, err, tt.want)
			}
		}
		added := w.Join(m, "db-1.demo", "prod")
		want := record.ErrExists
		if state == "retired" {
			want = record.ErrHostOther
		}
		if err := m.Check(plain(added)); !errors.Is(err, want) {
			t.Errorf("%s, added by the operator with other labels: %v, want %v", state, err, want)
		}
		if state == "joined" {
			// An invitation of before does not bring back other labels either.
			old := w.Invite(m, w.Bob, w.Version, "db-1.demo", "demo", []byte("s"))
			leaf, err := m.Append(plain(old))
			if err != nil {
				t.Fatal(err)
			}
			change := w.ID()
			appendAll(t, m, plain(w.Label(m, w.Bob, w.Version, "db-1.demo", change, "test")), plain(w.Label(m, w.Carol, w.Version, "db-1.demo", change, "test")))
			if err := m.Check(plain(w.Accept(m, old, leaf, key))); !errors.Is(err, record.ErrHostOther) {
				t.Errorf("an invitation with the labels of before: %v", err)
			}
			change = w.ID()
			appendAll(t, m, plain(w.Label(m, w.Bob, w.Version, "db-1.demo", change, "demo")), plain(w.Label(m, w.Carol, w.Version, "db-1.demo", change, "demo")))
			appendAll(t, m, plain(w.Retire(m, w.Bob, w.Version, "db-1.demo")))
		}
	}
	w.Joined(m, w.Version, "db-1.demo", "demo", w.Key())
	if row, err := record.JoinedHost(m, "db-1.demo"); err != nil || row.Retired() {
		t.Errorf("joined again: %+v, %v", row, err)
	}
}

func TestHostRetireRefuses(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	good := plain(w.Retire(m, w.Bob, w.Version, "web-1.demo"))
	bend := func(f func(*record.HostRetire)) recordtest.Draft { return bent(good, f) }
	refuses(t, m, good, []refusal{
		{"a host that is none", plain(w.Retire(m, w.Bob, w.Version, "db-1.demo")), record.ErrNotFound},
		{"another host than was signed", bend(func(f *record.HostRetire) { f.Host = "web-2.demo" }), record.ErrDocument},
		{"a host that is none, to somebody without office", plain(w.Retire(m, w.Alice, w.Version, "db-1.demo")), contract.ErrNotHolder},
		{"by who holds no office", plain(w.Retire(m, w.Alice, w.Version, "web-1.demo")), contract.ErrNotHolder},
		{"in another lineage", bend(func(f *record.HostRetire) { f.Lineage = w.Other.Lineage() }), record.ErrNotFound},
		{"under no contract version", bend(func(f *record.HostRetire) { f.Contract = canon.Digest{} }), record.ErrNotInForce},
		{"by the operator, under one", bend(func(f *record.HostRetire) { f.Who = recordtest.Operator() }), record.ErrEvent},
	})
	// Taking away needs no fresh claims.
	m.Clock += micros(2 * time.Hour)
	late := plain(w.Retire(m, w.Bob, w.Version, "web-1.demo"))
	if err := m.Check(late); err != nil {
		t.Errorf("with claims of two hours ago: %v", err)
	}
	if err := m.Check(plain(w.Retire(m, nil, w.Version, "web-1.demo"))); err != nil {
		t.Errorf("by the operator: %v", err)
	}
	appendAll(t, m, late)
	if err := m.Check(plain(w.Retire(m, nil, w.Version, "web-1.demo"))); !errors.Is(err, record.ErrHostRetired) {
		t.Errorf("a second time: %v", err)
	}
}

// TestPromiseP06_RetiredHostGetsNothing: nobody asks for a host that is retired, and
// what was granted on it gives no certificate any more.
func TestPromiseP06_RetiredHostGetsNothing(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	granted := w.Granted(m, 300)
	if _, err := w.Issue(m, w.Alice, granted, w.Key()); err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(w.Retire(m, w.Bob, w.Version, "web-1.demo")))
	if _, err := w.Issue(m, w.Alice, granted, w.Key()); !errors.Is(err, contract.ErrHostNotInRole) {
		t.Errorf("a certificate for a retired host: %v", err)
	}
	if err := m.Check(w.Submit(m, w.Alice, w.Ask(m, w.Alice))); !errors.Is(err, contract.ErrHostNotInRole) {
		t.Errorf("a request for a retired host: %v", err)
	}
}

// Labels that a selector reads are changed by two host admins, who are two humans.
func TestLabelsTakeTwo(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	dave := w.User("dave", "leads")
	logIn(t, w, m, dave)
	change := w.ID()
	first := plain(w.Label(m, w.Bob, w.Version, "web-1.demo", change, "prod"))
	bend := func(f func(*record.HostLabel)) recordtest.Draft { return bent(first, f) }
	refuses(t, m, first, []refusal{
		{"by who holds no office", plain(w.Label(m, w.Alice, w.Version, "web-1.demo", change, "prod")), contract.ErrNotHolder},
		{"by the operator", bend(func(f *record.HostLabel) { f.Who = recordtest.Operator() }), record.ErrEvent},
		{"to what they are", plain(w.Label(m, w.Bob, w.Version, "web-1.demo", change, "demo")), record.ErrExists},
		{"other labels than were signed", bend(func(f *record.HostLabel) { f.Labels = recordtest.Labels("test") }), record.ErrDocument},
		{"from what they are not", bend(func(f *record.HostLabel) { f.Was = canon.Digest{1} }), record.ErrEvent},
		{"labels that are none", bend(func(f *record.HostLabel) { f.Labels = []record.Label{{Name: "A", Value: "b"}} }), record.ErrEvent},
		{"another change than was signed", bend(func(f *record.HostLabel) { f.Change = w.ID() }), record.ErrDocument},
		{"of a host that is none", bend(func(f *record.HostLabel) { f.Host = "db-1.demo" }), record.ErrNotFound},
		{"in another lineage", bend(func(f *record.HostLabel) { f.Lineage = w.Other.Lineage() }), record.ErrNotFound},
	})
	granted := w.Granted(m, 300)
	appendAll(t, m, first)
	if row, err := record.Host(m, "web-1.demo"); err != nil || row.Labels[0].Value != "demo" {
		t.Errorf("one host admin changed the labels: %+v, %v", row, err)
	}
	appendAll(t, m, w.Link(m, w.Bob, dave))
	second := plain(w.Label(m, w.Carol, w.Version, "web-1.demo", change, "prod"))
	refuses(t, m, second, []refusal{
		{"the same host admin again", plain(w.Label(m, w.Bob, w.Version, "web-1.demo", change, "prod")), record.ErrSameAdmin},
		{"another account of the same human", plain(w.Label(m, dave, w.Version, "web-1.demo", change, "prod")), record.ErrSameAdmin},
		{"to other labels", plain(w.Label(m, w.Carol, w.Version, "web-1.demo", change, "test")), record.ErrEvent},
		{"of another host", plain(w.Label(m, w.Carol, w.Version, "web-2.demo", change, "prod")), record.ErrEvent},
	})
	// Another change that was made meanwhile is not undone by it.
	other := w.ID()
	appendAll(t, m, plain(w.Label(m, w.Bob, w.Version, "web-2.demo", other, "prod")), plain(w.Label(m, w.Carol, w.Version, "web-2.demo", other, "prod")))
	late := plain(w.Label(m, w.Carol, w.Version, "web-2.demo", other, "demo"))
	if err := m.Check(late); !errors.Is(err, record.ErrExists) {
		t.Errorf("a change that is made: %v", err)
	}
	appendAll(t, m, second)
	row, err := record.Host(m, "web-1.demo")
	if err != nil || row.Labels[0].Value != "prod" || row.Labelled.IsZero() {
		t.Errorf("two host admins changed the labels: %+v, %v", row, err)
	}
	if _, err := w.Issue(m, w.Alice, granted, w.Key()); !errors.Is(err, contract.ErrHostNotInRole) {
		t.Errorf("a certificate for a host that the role does not reach any more: %v", err)
	}
}

// A proposed change of labels does not wait for ever.
func TestLabellingExpires(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	change := w.ID()
	appendAll(t, m, plain(w.Label(m, w.Bob, w.Version, "web-1.demo", change, "prod")))
	m.Clock += micros(record.LabellingLife) + 1
	logIn(t, w, m, w.Carol)
	if err := m.Check(plain(w.Label(m, w.Carol, w.Version, "web-1.demo", change, "prod"))); !errors.Is(err, record.ErrDocument) {
		t.Errorf("after %s: %v", record.LabellingLife, err)
	}
}

// TestHostRowsFromBefore: what a database holds of a host that the operator added
// before there were invitations is still what its leaf folds to.
func TestHostRowsFromBefore(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	join := w.Join(m, "old-1.demo", "demo")
	if _, err := m.Append(plain(join)); err != nil {
		t.Fatal(err)
	}
	before, err := canon.Marshal(struct {
		At      canon.Micros   `json:"at"`
		Join    canon.ID       `json:"join"`
		Lineage canon.Digest   `json:"lineage"`
		Name    sshcert.Host   `json:"name"`
		Address string         `json:"address"`
		Port    int            `json:"port"`
		HostKey string         `json:"host_key"`
		Labels  []record.Label `json:"labels,omitempty"`
	}{join.At, join.Join, join.Lineage, join.Name, join.Address, join.Port, join.HostKey, join.Labels})
	if err != nil {
		t.Fatal(err)
	}
	if row, err := m.Row(record.TableHost, "old-1.demo"); err != nil || string(row) != string(before) {
		t.Errorf("%s, %v, want %s", row, err, before)
	}
}
