package record_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// named is an invitation by Bob of a host with other names.
func named(w *recordtest.World, m *recordtest.Map, v *contract.Version, name sshcert.Host, aliases ...sshcert.Host) record.HostInvite {
	f := w.Invite(m, w.Bob, v, name, "demo", []byte("secret"))
	f.Aliases = aliases
	again(w, m, w.Bob)(&f)
	return f
}

// TestPromiseP06_AHostsNamesAreNoOthers: a host's name and its other names are no
// other host's, under no contract, also after it is gone: who is let in under a name
// would be let in on both.
func TestPromiseP06_AHostsNamesAreNoOthers(t *testing.T) {
	t.Parallel()
	w, m, other := newFleets(t)
	key := w.Key()
	first := named(w, m, w.Version, "db-1.demo", "a.demo", "b.demo")
	leaf, err := m.Append(plain(first))
	if err != nil {
		t.Fatal(err)
	}
	early := named(w, m, w.Version, "db-2.demo", "b.demo") // nobody has it yet
	earlyLeaf, err := m.Append(plain(early))
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(w.Accept(m, first, leaf, key)))
	if row, err := record.JoinedHost(m, "db-1.demo"); err != nil || !slices.Equal(row.Aliases, first.Aliases) {
		t.Fatalf("%+v, %v", row, err)
	}
	added := func(v *contract.Version, name sshcert.Host, aliases ...sshcert.Host) recordtest.Draft {
		f := w.Join(m, name, "demo")
		f.Lineage, f.Aliases = v.Lineage(), aliases
		return plain(f)
	}
	var many []sshcert.Host
	for i := range record.MaxAliases + 1 {
		many = append(many, sshcert.Host(fmt.Sprintf("n%02d.demo", i)))
	}
	refused := func(when string) {
		t.Helper()
		for _, tt := range []struct {
			name  string
			draft recordtest.Draft
			want  error
		}{
			{"another host under the other name", plain(named(w, m, w.Version, "a.demo")), record.ErrAlias},
			{"the same under another contract", plain(named(w, m, other, "a.demo")), record.ErrAlias},
			{"added by the operator under the other name", added(other, "a.demo"), record.ErrAlias},
			{"another host with the same other name", plain(named(w, m, other, "db-3.demo", "b.demo")), record.ErrAlias},
			{"added by the operator with the same other name", added(w.Version, "db-3.demo", "b.demo"), record.ErrAlias},
			{"a host's name as another's other name", plain(named(w, m, other, "db-3.demo", "db-1.demo")), record.ErrAlias},
			{"joined by an invitation of before", plain(w.Accept(m, early, earlyLeaf, w.Key())), record.ErrAlias},
			{"its own name", plain(named(w, m, w.Version, "db-3.demo", "db-3.demo")), record.ErrEvent},
			{"names out of order", plain(named(w, m, w.Version, "db-3.demo", "d.demo", "c.demo")), record.ErrEvent},
			{"a name twice", plain(named(w, m, w.Version, "db-3.demo", "c.demo", "c.demo")), record.ErrEvent},
			{"too many names", plain(named(w, m, w.Version, "db-3.demo", many...)), record.ErrEvent},
			{"good", plain(named(w, m, w.Version, "db-3.demo", many[1:]...)), nil},
		} {
			if err := m.Check(tt.draft); !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: %v, want %v", when, tt.name, err, tt.want)
			}
		}
	}
	refused("while it is there")
	appendAll(t, m, plain(w.Retire(m, w.Bob, w.Version, "db-1.demo")))
	refused("retired")
	// It may come back with fewer names; those that it had stay its own.
	w.Joined(m, w.Version, "db-1.demo", "demo", key)
	refused("back")
	if err := m.Check(plain(named(w, m, w.Version, "db-1.demo", "a.demo", "c.demo"))); err != nil {
		t.Errorf("its own names again: %v", err)
	}
}

// TestPromiseP08_AHostAnswersToNoNameThatItHasNotSigned: whoever invites, and a server
// that was taken over, gives a host no other name than its owner has said.
func TestPromiseP08_AHostAnswersToNoNameThatItHasNotSigned(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	key := w.Key()
	invite := named(w, m, w.Version, "db-1.demo", "a.demo")
	leaf, err := m.Append(plain(invite))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]hostcall.JoinBody{
		"none":       {},
		"another":    {Aliases: []sshcert.Host{"b.demo"}},
		"one more":   {Aliases: []sshcert.Host{"a.demo", "b.demo"}},
		"as invited": {Aliases: []sshcert.Host{"a.demo"}},
	} {
		f := w.Accept(m, invite, leaf, key)
		body.Invitation, body.HostKey = invite.Invitation, f.HostKey
		f.Document, f.Signature = w.Call(m, "db-1.demo", key, body)
		if err := m.Check(plain(f)); (name == "as invited") != (err == nil) || err != nil && !errors.Is(err, record.ErrInvitation) {
			t.Errorf("the host takes %s: %v", name, err)
		}
	}
	more := w.Accept(m, invite, leaf, key)
	more.Aliases = []sshcert.Host{"a.demo", "b.demo"}
	if err := m.Check(plain(more)); !errors.Is(err, record.ErrInvitation) {
		t.Errorf("the server adds a name: %v", err)
	}
	bent := invite
	bent.Aliases = []sshcert.Host{"b.demo"}
	if err := m.Check(plain(bent)); !errors.Is(err, record.ErrDocument) {
		t.Errorf("an invitation with another name than was signed: %v", err)
	}
}

// TestPromiseP06_AHostIsAskedForByItsOwnName: a request for another name of a host is
// refused, and says which is its own; whoever may not know of the host is not told.
func TestPromiseP06_AHostIsAskedForByItsOwnName(t *testing.T) {
	t.Parallel()
	w, m, other := newFleets(t)
	for v, name := range map[*contract.Version]sshcert.Host{w.Version: "db-1.demo", other: "db-2.demo"} {
		invite := named(w, m, v, name, "www."+name)
		leaf, err := m.Append(plain(invite))
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, m, plain(w.Accept(m, invite, leaf, w.Key())))
	}
	asked := func(name sshcert.Host) error {
		ask := w.Ask(m, w.Alice)
		ask.Doc.Hosts = []sshcert.Host{name}
		return m.Check(w.Submit(m, w.Alice, ask))
	}
	if err := asked("db-1.demo"); err != nil {
		t.Errorf("by its own name: %v", err)
	}
	if err := asked("www.db-1.demo"); !errors.Is(err, contract.ErrHostNotInRole) || !strings.Contains(err.Error(), "another name of host db-1.demo; ask for db-1.demo") {
		t.Errorf("by another name: %v", err)
	}
	if err := asked("www.db-2.demo"); !errors.Is(err, contract.ErrHostNotInRole) || strings.Contains(err.Error(), "another name") {
		t.Errorf("by another name of another contract's host: %v", err)
	}
}

// A host certificate names the host by all of its names, and by no others.
func TestHostCertificateHasItsNames(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	key := w.Key()
	invite := named(w, m, w.Version, "db-1.demo", "a.demo", "www.demo")
	leaf, err := m.Append(plain(invite))
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(w.Accept(m, invite, leaf, key)))
	certify := w.Certify(m, "db-1.demo", key)
	if err := m.Check(plain(certify)); err != nil {
		t.Fatal(err)
	}
	row, err := record.JoinedHost(m, "db-1.demo")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := record.RecordedHost(m, certify, row)
	if err != nil || !slices.Equal(cert.ValidPrincipals, []string{"db-1.demo", "a.demo", "www.demo"}) {
		t.Errorf("%+v, %v", cert, err)
	}
	row.Aliases = nil
	if _, err := record.RecordedHost(m, certify, row); !errors.Is(err, record.ErrEvent) {
		t.Errorf("with names that the host has not: %v", err)
	}
}
