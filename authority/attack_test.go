package authority

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
)

// otherContract is a signed contract of the same signatory with changed terms.
func (w *world) otherContract(replace ...string) error {
	w.t.Helper()
	files := w.contractFiles("20s")
	delete(files, contract.ManifestFile)
	text := strings.NewReplacer(append([]string{"contract: {id: demo,", "contract: {id: other,"}, replace...)...).Replace(string(files[contract.TermsFile]))
	files[contract.TermsFile] = []byte(text)
	manifest, err := contract.NewManifest(files)
	if err != nil {
		w.t.Fatal(err)
	}
	files[contract.ManifestFile] = manifest
	_, err = w.a.AddContract(w.t.Context(), files, w.signatures(files, w.signer))
	return err
}

// Two contracts that read one issuer differently would make one account two
// people: the second does not come into force.
func TestPromiseP03_OneIssuerIsReadInOneWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, add string }{
		{"another subject claim", "subject: preferred_username, flows"},
		{"another groups claim", "groups: roles, flows"},
	} {
		w := newWorld(t)
		if err := w.otherContract("flows", tt.add); !errors.Is(err, record.ErrIssuerRead) {
			t.Errorf("%s: %v, want ErrIssuerRead", tt.name, err)
		}
	}
	w := newWorld(t)
	if err := w.otherContract("algs: [ES256]", "algs: [ES256, RS256]"); !errors.Is(err, record.ErrIssuerRead) {
		t.Errorf("other algorithms: %v, want ErrIssuerRead", err)
	}
	w = newWorld(t)
	if err := w.otherContract(); err != nil {
		t.Errorf("read in the same way: %v", err)
	}
}

// An ID token that was made for another contract's client decides nothing here:
// whoever runs that client could have had it made.
func TestPromiseP03_AnotherContractsClientProvesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.otherContract("cli: cli", "cli: theirs"); err != nil {
		t.Fatal(err)
	}
	alice := w.logIn("alice", []string{"engineers"})
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	id := oidc.Identity{
		Issuer: testIssuer, Client: "theirs", Flow: "code", Subject: "sub-bob", Groups: []string{"leads"}, GroupsKnown: true,
		IssuedAt: w.clock().Truncate(time.Second), Raw: "a.b.c",
	}
	bob := user{w: w, device: newKey(t)}
	if bob.session, _, err = w.a.logIn(t.Context(), id, store.CLI, canon.B64(bob.device.PublicKey().Marshal()), "", func(*store.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for _, verdict := range []approval.Verdict{approval.Approve, approval.Deny} {
		if _, err := bob.decide(r, verdict, 0); !errors.Is(err, record.ErrOtherLogin) {
			t.Errorf("%s: %v, want ErrOtherLogin", verdict, err)
		}
	}
	if _, err := bob.submit(bob.newRequest()); !errors.Is(err, record.ErrOtherLogin) {
		t.Errorf("submit: %v, want ErrOtherLogin", err)
	}
}

// An ID token from before a group was taken away does not give it back.
func TestPromiseP03_AnOlderIDTokenGivesNoGroupBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := oidc.Identity{
		Issuer: testIssuer, Client: "cli", Flow: "code", Subject: "sub-bob", Groups: []string{"leads"}, GroupsKnown: true,
		IssuedAt: w.clock().Truncate(time.Second), Raw: "a.b.c",
	}
	w.pass(time.Minute)
	w.logIn("bob", []string{"others"})
	_, _, err := w.a.logIn(t.Context(), old, store.Web, "", "", func(*store.Tx) error { return nil })
	if !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("%v, want ErrClaimsOld", err)
	}
}

// While the identity provider is away nobody's claims get fresher: approving
// stops, denying does not.
func TestPromiseP14_DenyingNeedsNoFreshClaims(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	w.pass(16 * time.Minute)
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.decide(r, approval.Approve, 0); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("approving by claims of 16 minutes: %v, want ErrClaimsOld", err)
	}
	if r, err = bob.decide(r, approval.Deny, 0); err != nil || r.Status(w.clock()).State != approval.Denied {
		t.Errorf("denying: %v, %s", err, r.Status(w.clock()).State)
	}
}

// What is decided on too late is told so.
func TestDecidingTooLateSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	w.pass(15 * time.Minute)
	for _, verdict := range []approval.Verdict{approval.Approve, approval.Deny} {
		if _, err := bob.decide(r, verdict, 0); !errors.Is(err, approval.ErrSettled) {
			t.Errorf("%s: %v, want ErrSettled", verdict, err)
		}
	}
	if n, err := w.a.Sweep(t.Context()); n != 1 || err != nil {
		t.Errorf("Sweep = %d, %v", n, err)
	}
	if n, err := w.a.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("a second Sweep = %d, %v", n, err)
	}
}

// editing is a Mark that edits a row while the checkpoint of the check is saved.
type editing struct {
	Mark
	edit func()
}

func (m editing) Save(ctx context.Context, old, next []byte) error {
	m.edit()
	return m.Mark.Save(ctx, old, next)
}

// A row that changes between the check of a grant and the write is noticed.
func TestPromiseP06_TheCheckedRowIsTheOneThatIssues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 60)
	edited := false
	w.a.proven.forget()
	w.a.signing.Lock()
	w.a.last = signedHead{} // so that the check signs again, and the row changes meanwhile
	w.a.signing.Unlock()
	w.a.mark = editing{w.config.Mark, func() {
		if edited {
			return
		}
		edited = true
		db, err := w.engine.Begin(context.Background())
		if err != nil {
			t.Error(err)
			return
		}
		_, err = db.ExecContext(t.Context(), `UPDATE state SET body = CAST(replace(CAST(body AS TEXT), '"for_seconds":60,', '') AS BLOB) WHERE tbl = 'request'`)
		if err := errors.Join(err, db.Commit()); err != nil {
			t.Error(err)
		}
		w.forgetRows()
	}}
	if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, ErrHalted) {
		t.Errorf("%v, want ErrHalted", err)
	}
	if !edited {
		t.Error("the row was not edited in between")
	}
}
