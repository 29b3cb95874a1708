package authority

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Sign calls before first.
func (s watched) Sign(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
	if err := s.before(tbs); err != nil {
		return nil, err
	}
	return s.Signer.Sign(ctx, tbs)
}

func TestStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 300)
	key := newKey(t)
	issued, err := alice.issue(grant, key)
	if err != nil {
		t.Fatal(err)
	}
	cert := issued.Certificate
	result, err := certproof.Verify(cert, w.a.policy)
	if err != nil {
		t.Fatal(err)
	}
	if result.Lineage != w.v.Lineage() || cert.Serial != uint64(w.size()) {
		t.Errorf("proof of lineage %s, serial %d in a ledger of %d", result.Lineage, cert.Serial, w.size())
	}
	if got := strings.Join(cert.ValidPrincipals, " "); got != "ops@web-1.demo" {
		t.Errorf("principals %s", got)
	}
	if life := cert.ValidBefore - cert.ValidAfter; life > 20 {
		t.Errorf("valid for %d s, the role says 20", life)
	}
}

// What is signed has been recorded: at the moment of the signature a second
// reader of the database file finds the leaf under a signed checkpoint.
func TestPromiseP01_NothingIsSignedBeforeItIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	signed := 0
	w.a.ca = watched{w.config.CA, func(tbs []byte) error {
		signed++
		size := w.size()
		return w.config.Store.Read(t.Context(), func(r *store.Reader) error {
			entry, err := r.Entry(size - 1)
			if err != nil {
				return err
			}
			facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
			if err != nil {
				return err
			}
			f, ok := facts.(record.CertificateIssue)
			if !ok || !bytes.Contains(tbs, []byte(sshcert.ProofExtension)) || !strings.HasPrefix(canon.B64(tbs), f.TBS[:64]) {
				t.Errorf("the newest leaf is %s, and not the certificate being signed", entry.Leaf.Kind)
			}
			_, _, note, err := r.Checkpoint()
			if err != nil {
				return err
			}
			c, err := w.a.policy.OpenCheckpoint(note)
			if err != nil || c.Size < size {
				t.Errorf("checkpoint of size %d over a ledger of %d: %v", c.Size, size, err)
			}
			mark, err := w.config.Mark.Load(t.Context())
			if err != nil || !bytes.Equal(mark, note) {
				t.Errorf("the mark is not the checkpoint (%v)", err)
			}
			return nil
		})
	}}
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Fatal(err)
	}
	if signed != 1 {
		t.Errorf("signed %d times", signed)
	}
}

func TestPromiseP01_NoCheckpointNoSignature(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	if err := w.a.checkGrant(t.Context(), alice.session, grant.ID); err != nil {
		t.Fatal(err)
	}
	w.a.ca = watched{w.config.CA, func([]byte) error { t.Error("signed without a durable mark"); return nil }}
	mark, _ := w.config.Mark.(*memoryMark)
	mark.fail = io.ErrShortWrite
	if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
	mark.fail = nil
	w.a.ca = w.config.CA
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Errorf("the retry: %v", err)
	}
}

// A signer that fails, or answers with a signature over something else, releases
// nothing; the grant stays and a retry works.
func TestPromiseP14_ASignerThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, key := alice.granted(bob, 0), newKey(t)
	w.a.ca = watched{w.config.CA, func([]byte) error { return errBroken }}
	if _, err := alice.issue(grant, key); !errors.Is(err, errBroken) {
		t.Errorf("%v, want the signer's error", err)
	}
	w.a.ca = wrongBytes{w.config.CA}
	if _, err := alice.issue(grant, key); err == nil {
		t.Error("a signature over other bytes was released")
	}
	r2, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.decide(r2, approval.Deny, 0); err != nil {
		t.Errorf("denying while the signer is down: %v", err)
	}
	w.a.ca = w.config.CA
	if _, err := alice.issue(grant, key); err != nil {
		t.Errorf("the retry: %v", err)
	}
}

// wrongBytes signs something else, as a key service with a wrong setting does.
type wrongBytes struct {
	inner interface{ PublicKey() ssh.PublicKey }
}

func (s wrongBytes) PublicKey() ssh.PublicKey { return s.inner.PublicKey() }

func (s wrongBytes) Sign(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
	real, _ := s.inner.(interface {
		Sign(context.Context, []byte) (*ssh.Signature, error)
	})
	return real.Sign(ctx, append([]byte("x"), tbs...))
}

func TestPromiseP02_KeyAndGrantAreTheProvedOnes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob, carol := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"}), w.logIn("carol", []string{"engineers"})
	grant, other := alice.granted(bob, 0), carol.granted(bob, 0)
	key, stolen := newKey(t), newKey(t)
	size := w.size()
	for _, tt := range []struct {
		name               string
		bend               func(*record.IssueDoc)
		device, possession ssh.Signer
		want               error
	}{
		{"possession proved by another key", func(*record.IssueDoc) {}, alice.device, stolen, record.ErrDocument},
		{"device signature by another key", func(*record.IssueDoc) {}, stolen, key, record.ErrDocument},
		{"another server", func(d *record.IssueDoc) { d.Origin = "evil.example" }, alice.device, key, record.ErrDocument},
		{"another person", func(d *record.IssueDoc) { d.Person = carol.session.Person }, alice.device, key, record.ErrDocument},
		{"another grant", func(d *record.IssueDoc) { d.Grant = other.ID }, alice.device, key, record.ErrDocument},
		{"another lineage", func(d *record.IssueDoc) { d.Lineage = canon.Sum("x") }, alice.device, key, record.ErrDocument},
		{"a challenge never given out", func(d *record.IssueDoc) { d.Challenge = canon.Sum("x") }, alice.device, key, store.ErrNoChallenge},
		{"expired", func(d *record.IssueDoc) { d.ExpiresAt = canon.At(w.clock().Add(-time.Second)) }, alice.device, key, record.ErrDocument},
		{"from the far future", func(d *record.IssueDoc) { d.ExpiresAt = canon.At(w.clock().Add(time.Hour)) }, alice.device, key, record.ErrDocument},
		{"the device key as certificate key", func(d *record.IssueDoc) { d.Key = canon.B64(alice.device.PublicKey().Marshal()) }, alice.device, alice.device, record.ErrDocument},
		{"other version", func(d *record.IssueDoc) { d.V = "sallyport.issue/v2" }, alice.device, key, record.ErrDocument},
	} {
		doc := alice.issueDoc(grant, key)
		tt.bend(&doc)
		if _, err := alice.issueAs(grant, doc, tt.device, tt.possession); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	none := grant
	none.ID = canon.ID(strings.Repeat("a", 26))
	for name, g := range map[string]approval.Request{"somebody else's grant": grant, "a grant that there is none of": none} {
		if _, err := carol.issue(g, newKey(t)); err != ErrNotYours { //nolint:errorlint // the two must not differ in a word
			t.Errorf("%s: %v, want exactly ErrNotYours", name, err)
		}
	}
	if w.size() != size {
		t.Errorf("refused calls left %d leaves", w.size()-size)
	}
	doc := alice.issueDoc(grant, key)
	if _, err := alice.issueAs(grant, doc, alice.device, key); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.issueAs(grant, doc, alice.device, key); !errors.Is(err, store.ErrNoChallenge) {
		t.Errorf("a challenge counted twice: %v", err)
	}
}

func TestRepeatAnswersTheSameCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, key := alice.granted(bob, 0), newKey(t)
	serial := func() uint64 {
		t.Helper()
		issued, err := alice.issue(grant, key)
		if err != nil {
			t.Fatal(err)
		}
		return issued.Certificate.Serial
	}
	first := serial()
	if again := serial(); again != first {
		t.Errorf("serial %d, then %d for the same key", first, again)
	}
	w.pass(11 * time.Second)
	if later := serial(); later == first {
		t.Error("the same certificate with less than half its life left")
	}
}

func TestPromiseP03_SelfApproval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice", []string{"engineers", "leads"})
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	size := w.size()
	if _, err := alice.decide(r, approval.Approve, 0); !errors.Is(err, approval.ErrSelfApproval) {
		t.Errorf("%v, want ErrSelfApproval", err)
	}
	// The same account in another session is the same person.
	again := w.logIn("alice", []string{"engineers", "leads"})
	if again.session.Person != alice.session.Person {
		t.Fatal("a second login made a second person")
	}
	if _, err := again.decide(r, approval.Approve, 0); !errors.Is(err, approval.ErrSelfApproval) {
		t.Errorf("from another session: %v, want ErrSelfApproval", err)
	}
	if got := w.size() - size; got != 1 { // the login
		t.Errorf("%d leaves", got)
	}
}

func TestPromiseP10_NothingUnderAnUnsignedContract(t *testing.T) {
	t.Parallel()
	w := newLedger(t)
	files := w.contractFiles("20s")
	added, err := w.a.AddContract(t.Context(), files, nil)
	if err != nil || added.Row.InForceAt != 0 || len(added.Missing) != 1 {
		t.Fatalf("an unsigned contract: in force at %d, missing %v, %v", added.Row.InForceAt, added.Missing, err)
	}
	_, err = w.a.AddHost(t.Context(), NewHost{Name: "web-1.demo", Address: "127.0.0.1", Port: 22, Key: newKey(t).PublicKey()})
	if !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("a host under it: %v, want ErrNotInForce", err)
	}
	size := w.size()
	if _, err := w.a.AddContract(t.Context(), files, w.signatures(files, newKey(t))); !errors.Is(err, contract.ErrBadSignature) {
		t.Errorf("signed by a stranger: %v, want ErrBadSignature", err)
	}
	other := w.contractFiles("30s")
	if _, err := w.a.AddContract(t.Context(), files, w.signatures(other, w.signer)); !errors.Is(err, contract.ErrOtherContract) {
		t.Errorf("signed over another version: %v, want ErrOtherContract", err)
	}
	if w.size() != size {
		t.Error("a refused signature left a leaf")
	}
	w.v = added.Version
	alice := w.logIn("alice", []string{"engineers"})
	if _, err := alice.submit(alice.newRequest()); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("a request under it: %v, want ErrNotInForce", err)
	}
	if added, err = w.a.AddContract(t.Context(), files, w.signatures(files, w.signer)); err != nil || added.Row.InForceAt == 0 {
		t.Fatalf("signed: in force at %d, %v", added.Row.InForceAt, err)
	}
	size = w.size()
	if _, err = w.a.AddContract(t.Context(), files, w.signatures(files, w.signer)); err != nil || w.size() != size {
		t.Errorf("adding it again: %v, %d new leaves", err, w.size()-size)
	}
	if _, err = w.a.AddContract(t.Context(), other, w.signatures(other, w.signer)); !errors.Is(err, record.ErrExists) {
		t.Errorf("another version 1 of the same id: %v, want ErrExists", err)
	}
}

// A restored backup is noticed at the next start and while running: nothing is
// signed over it.
func TestPromiseP11_ARestoredBackupIsNotSignedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	if err := w.engine.Close(); err != nil {
		t.Fatal(err)
	}
	backup, err := os.ReadFile(filepath.Join(w.dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	w.openStore("ledger.db")
	if w.a, err = Open(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	alice.granted(bob, 0)
	if err := os.WriteFile(filepath.Join(w.dir, "old.db"), backup, 0o600); err != nil {
		t.Fatal(err)
	}
	w.openStore("old.db")
	if _, err := Open(t.Context(), w.config); !errors.Is(err, ErrHalted) {
		t.Errorf("an old backup: %v, want ErrHalted", err)
	}
	// A backup that has grown again past the mark is a fork, not the ledger. It
	// grows under an authority that has lost its mark.
	forked := w.config
	forked.Mark = &memoryMark{}
	_, _, note, err := checkpointOf(t, w.config.Store)
	if err != nil {
		t.Fatal(err)
	}
	if err := forked.Mark.Save(t.Context(), nil, note); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), forked)
	if err != nil {
		t.Fatal(err)
	}
	honest := w.a
	w.a = a
	alice.granted(bob, 0)
	alice.granted(bob, 0)
	w.a = honest
	if _, err := Open(t.Context(), w.config); !errors.Is(err, ErrHalted) {
		t.Errorf("a backup that grew again: %v, want ErrHalted", err)
	}
	lost := w.config
	lost.Mark = &memoryMark{}
	if _, err := Open(t.Context(), lost); !errors.Is(err, ErrHalted) {
		t.Errorf("no mark: %v, want ErrHalted", err)
	}
}

func checkpointOf(t *testing.T, s *store.Store) (size int64, root [32]byte, note []byte, err error) {
	t.Helper()
	err = s.Read(t.Context(), func(r *store.Reader) error {
		var hash [32]byte
		size, hash, note, err = r.Checkpoint()
		root = hash
		return err
	})
	return size, root, note, err
}

func TestOpenRefusesOtherKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := newLedger(t)
	c := w.config
	c.CA = other.config.CA
	if _, err := Open(t.Context(), c); !errors.Is(err, ErrHalted) {
		t.Errorf("another CA key: %v, want ErrHalted", err)
	}
	c = w.config
	c.Log = other.config.Log
	if _, err := Open(t.Context(), c); !errors.Is(err, ErrHalted) {
		t.Errorf("another log key: %v, want ErrHalted", err)
	}
}

// A row edited behind the ledger's back issues nothing: before the first
// certificate of a grant its leaves are folded again and compared.
func TestPromiseP06_AnEditedTableIssuesNothing(t *testing.T) {
	t.Parallel()
	for _, edit := range []struct{ name, old, new string }{
		{"another host", `"hosts":["web-1.demo"]`, `"hosts":["web-2.demo"]`},
		{"another login", `"logins":["ops"]`, `"logins":["deploy"]`},
		{"more time", `"for_seconds":600`, `"for_seconds":3600`},
		{"denied made approved", `"verdict":"deny"`, `"verdict":"approve"`},
	} {
		t.Run(edit.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
			r, err := alice.submit(alice.newRequest())
			if err != nil {
				t.Fatal(err)
			}
			verdict := approval.Approve
			if strings.Contains(edit.old, "deny") {
				verdict = approval.Deny
			}
			if r, err = bob.decide(r, verdict, 0); err != nil {
				t.Fatal(err)
			}
			tx, err := w.engine.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			result, err := tx.ExecContext(t.Context(), `UPDATE state SET body = CAST(replace(CAST(body AS TEXT), $1, $2) AS BLOB) WHERE tbl = 'request' AND CAST(body AS TEXT) LIKE '%' || $1 || '%'`, edit.old, edit.new)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := result.RowsAffected(); err != nil || n != 1 {
				t.Fatalf("%d rows edited, %v", n, err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			size := w.size()
			if _, err := alice.issue(r, newKey(t)); !errors.Is(err, ErrHalted) {
				t.Errorf("%v, want ErrHalted", err)
			}
			if w.size() != size {
				t.Error("a leaf was appended all the same")
			}
		})
	}
}
