package authority

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	testOrigin = "demo.sallyport.example"
	testIssuer = "https://login.demo.example"
	testServer = "https://ca.demo.example"
)

// world is a whole authority over a real SQLite file, with a clock that the test
// moves, a signed contract and two hosts. People log in by an identity that the
// test makes, as package oidc would return it after its checks.
type world struct {
	t      testing.TB
	dir    string
	config Config
	engine *losing
	a      *Authority
	v      *contract.Version
	signer ssh.Signer // the contract's signatory

	mu  sync.Mutex
	now time.Time
}

// losing is an engine that loses the next transaction when it is told to.
type losing struct {
	*sqlite.Engine
	next atomic.Bool
}

var errLost = errors.New("the test loses this transaction")

// Commit ends the writing transaction.
func (e *losing) Commit(tx *sql.Tx) error {
	if e.next.CompareAndSwap(true, false) {
		return errors.Join(errLost, tx.Rollback())
	}
	return e.Engine.Commit(tx)
}

// forgetRows has the store read every row anew, as after a restart: while it knows
// what a row says, what somebody makes of it in the database is nothing to it.
func (w *world) forgetRows() {
	w.t.Helper()
	err := w.config.Store.Write(context.Background(), func(tx *store.Tx) error {
		w.engine.next.Store(true) // this transaction, and nobody else's
		return tx.Touch()
	})
	if !errors.Is(err, errLost) {
		w.t.Errorf("%v, want a lost transaction", err)
	}
}

// memoryMark is a Mark that the test can look at and set back.
type memoryMark struct {
	mu   sync.Mutex
	note []byte
	fail error
}

func (m *memoryMark) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.note == nil {
		return nil, record.ErrNotFound
	}
	return m.note, nil
}

func (m *memoryMark) Save(_ context.Context, old, note []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if !bytes.Equal(m.note, old) {
		return ErrMarkMoved
	}
	m.note = note
	return nil
}

func (m *memoryMark) set(note []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note = note
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// testStart is when most tests' clocks begin.
var testStart = time.Date(2026, 12, 1, 8, 0, 0, 250000000, time.UTC)

// newLedger is a world without contract.
func newLedger(t testing.TB) *world {
	t.Helper()
	return newLedgerAt(t, testStart)
}

// newLedgerAt is a world whose clock stands at now.
func newLedgerAt(t testing.TB, now time.Time) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), now: now, signer: newKey(t)}
	signer, err := softkey.Create(filepath.Join(w.dir, "user-ca"), "", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, _, err := ledger.NewLogKey(rand.Reader, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	log, err := ledger.NewLogSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	w.config = Config{CA: signer, Log: log, Mark: &memoryMark{}, Now: w.clock, Rand: rand.Reader}
	w.openStore("ledger.db")
	if w.a, err = Create(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) openStore(file string) {
	w.t.Helper()
	opened, err := sqlite.Open(w.t.Context(), filepath.Join(w.dir, file))
	if err != nil {
		w.t.Fatal(err)
	}
	w.engine = &losing{Engine: opened}
	engine := w.engine
	w.t.Cleanup(func() { _ = engine.Close() }) // may be closed by the test already
	if w.config.Store, err = store.New(store.Config{Engine: w.engine, Now: w.clock, Rand: rand.Reader}); err != nil {
		w.t.Fatal(err)
	}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, testStart, "20s")
}

// newWorldAt is a whole world whose clock stands at now.
func newWorldAt(t testing.TB, now time.Time) *world {
	t.Helper()
	return newWorldOf(t, now, "20s")
}

// newWorldOf is one whose certificates live for ttl.
func newWorldOf(t testing.TB, now time.Time, ttl string) *world {
	t.Helper()
	w := newLedgerAt(t, now)
	files := w.contractFiles(ttl)
	added, err := w.a.AddContract(t.Context(), files, w.signatures(files, w.signer))
	if err != nil {
		t.Fatal(err)
	}
	if added.Row.InForceAt == 0 {
		t.Fatal("the contract is signed and not in force")
	}
	w.v = added.Version
	for _, name := range []sshcert.Host{"web-1.demo", "web-2.demo"} {
		w.addHost(name, map[string]string{"env": "demo"})
	}
	return w
}

func (w *world) addHost(name sshcert.Host, labels map[string]string) {
	w.t.Helper()
	_, err := w.a.AddHost(w.t.Context(), NewHost{Name: name, Address: "127.0.0.1", Port: 22, Key: newKey(w.t).PublicKey(), Labels: labels})
	if err != nil {
		w.t.Fatal(err)
	}
}

// contractFiles is a contract whose signatory is w.signer.
func (w *world) contractFiles(ttl string) map[string][]byte {
	w.t.Helper()
	files := map[string][]byte{
		contract.ProseFile: []byte("# §1 Operators\n\nEngineers may operate demo hosts when a lead agrees.\n"),
		contract.TermsFile: []byte(`terms: sallyport/v1
contract: {id: demo, title: Demo}
parties: {demo: {name: Demo}}
signatories: [{party: demo, capacity: owner, need: 1, of: {chris: ` + string(ssh.MarshalAuthorizedKey(w.signer.PublicKey()))[:80] + `}, assurance: ssh}]
issuers: {local: {url: "` + testIssuer + `", clients: {cli: cli, web: web}, algs: [ES256], flows: [code]}}
groups: {engineers: "oidc:local/engineers", leads: "oidc:local/leads"}
offices: {host-admin: [leads]}
ceilings: {grant: 2h, cert_ttl: 15m}
roles:
  operator:
    clause: §1
    who: [engineers]
    hosts: {env: [demo]}
    logins: [ops, deploy]
    grant: {max: 1h}
    cert: {ttl: ` + ttl + `}
    request: {reason: {min_words: 2}}
    paths: [{id: normal, clause: §1, stages: [{id: lead, from: [leads], quorum: 1, timeout: 15m}]}]
`),
	}
	manifest, err := contract.NewManifest(files)
	if err != nil {
		w.t.Fatal(err)
	}
	files[contract.ManifestFile] = manifest
	return files
}

func (w *world) signatures(files map[string][]byte, key ssh.Signer) []Signature {
	w.t.Helper()
	v, err := contract.Load(files)
	if err != nil {
		w.t.Fatal(err)
	}
	statement, err := contract.NewStatement(v, "demo", "chris")
	if err != nil {
		w.t.Fatal(err)
	}
	armored, err := sshcert.Sign(rand.Reader, key, sshcert.NamespaceContract, statement)
	if err != nil {
		w.t.Fatal(err)
	}
	return []Signature{{Statement: statement, Armored: []byte(armored)}}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// user is somebody logged in with a device key.
type user struct {
	w       *world
	device  ssh.Signer
	session store.Session
}

// logIn logs name in with the groups that the issuer says, unknown if nil.
func (w *world) logIn(name string, groups []string) user {
	w.t.Helper()
	u := user{w: w, device: newKey(w.t)}
	id := oidc.Identity{
		Issuer: testIssuer, Client: "cli", Flow: "code", Subject: "sub-" + name, Name: name, Groups: groups, GroupsKnown: groups != nil,
		IssuedAt: w.clock().Truncate(time.Second), AuthTime: w.clock().Truncate(time.Second), Raw: "header.payload." + name,
	}
	var err error
	u.session, _, err = w.a.logIn(w.t.Context(), id, store.CLI, canon.B64(u.device.PublicKey().Marshal()), "", func(*store.Tx) error { return nil })
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

func (w *world) size() int64 {
	w.t.Helper()
	var size int64
	err := w.config.Store.Read(w.t.Context(), func(r *store.Reader) error {
		head, err := r.Head()
		size = head.Tree.Size
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return size
}

// request is what a test may bend before it is signed.
type request struct {
	doc    record.RequestDoc
	reason string
	salt   ledger.Salt
}

func (u user) newRequest() request {
	u.w.t.Helper()
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		u.w.t.Fatal(err)
	}
	salt, err := ledger.NewSalt(rand.Reader)
	if err != nil {
		u.w.t.Fatal(err)
	}
	return request{
		doc: record.RequestDoc{
			V: record.RequestVersion, Origin: testOrigin, Request: id, Person: u.session.Person, Contract: u.w.v.Digest, Role: "operator",
			Logins: []sshcert.Login{"ops"}, Hosts: []sshcert.Host{"web-1.demo"}, Seconds: 600, ExpiresAt: canon.At(u.w.clock().Add(5 * time.Minute)),
		},
		reason: "INC-42 checkout latency", salt: salt,
	}
}

func (u user) submit(q request) (approval.Request, error) {
	u.w.t.Helper()
	part, err := canon.Marshal(record.RequestPerson{Reason: q.reason})
	if err != nil {
		u.w.t.Fatal(err)
	}
	if q.doc.Commitment.IsZero() {
		q.doc.Commitment = ledger.PersonCommitment(q.salt, part)
	}
	text, err := canon.Marshal(q.doc)
	if err != nil {
		u.w.t.Fatal(err)
	}
	return u.submitText(string(text), q)
}

func (u user) submitText(text string, q request) (approval.Request, error) {
	u.w.t.Helper()
	sig, err := sshcert.Sign(rand.Reader, u.device, sshcert.NamespaceDevice, []byte(text))
	if err != nil {
		u.w.t.Fatal(err)
	}
	r, _, err := u.w.a.Submit(u.w.t.Context(), u.session, Ask{Document: text, Signature: sig, PersonSalt: q.salt.String(), Reason: q.reason})
	return r, err
}

func (u user) decide(r approval.Request, verdict approval.Verdict, seconds int64) (approval.Request, error) {
	u.w.t.Helper()
	shown, err := Shown(r)
	if err != nil {
		u.w.t.Fatal(err)
	}
	return u.w.a.Decide(u.w.t.Context(), u.session, Verdict{Request: r.ID, Verdict: verdict, Seconds: seconds, Shown: shown})
}

// granted is a request of u that lead approved.
func (u user) granted(lead user, seconds int64) approval.Request {
	u.w.t.Helper()
	r, err := u.submit(u.newRequest())
	if err != nil {
		u.w.t.Fatal(err)
	}
	if r, err = lead.decide(r, approval.Approve, seconds); err != nil {
		u.w.t.Fatal(err)
	}
	return r
}

// issueDoc is the honest document for a grant and key.
func (u user) issueDoc(grant approval.Request, key ssh.Signer) record.IssueDoc {
	u.w.t.Helper()
	challenge, expires, err := u.w.a.Challenge(u.w.t.Context(), PurposeIssue)
	if err != nil {
		u.w.t.Fatal(err)
	}
	return record.IssueDoc{
		V: record.IssueVersion, Origin: testOrigin, Lineage: grant.Lineage, Person: u.session.Person, Grant: grant.ID,
		Key: canon.B64(key.PublicKey().Marshal()), Challenge: challenge, ExpiresAt: expires,
	}
}

func (u user) issue(grant approval.Request, key ssh.Signer) (Issued, error) {
	u.w.t.Helper()
	return u.issueAs(grant, u.issueDoc(grant, key), u.device, key)
}

func (u user) issueAs(grant approval.Request, doc record.IssueDoc, device, possession ssh.Signer) (Issued, error) {
	u.w.t.Helper()
	text, err := canon.Marshal(doc)
	if err != nil {
		u.w.t.Fatal(err)
	}
	deviceSig, err := sshcert.Sign(rand.Reader, device, sshcert.NamespaceDevice, text)
	if err != nil {
		u.w.t.Fatal(err)
	}
	possessionSig, err := sshcert.Sign(rand.Reader, possession, sshcert.NamespacePossession, text)
	if err != nil {
		u.w.t.Fatal(err)
	}
	return u.w.a.Issue(u.w.t.Context(), u.session, IssueCall{Grant: grant.ID, Document: string(text), DeviceSig: deviceSig, Possession: possessionSig})
}

// watched is a Signer that a test looks over the shoulder of.
type watched struct {
	ca.Signer
	before func(tbs []byte) error
}

var errBroken = errors.New("the key service is sealed")
