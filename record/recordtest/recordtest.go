// Package recordtest owns a small ledger for tests: fixed keys, a signed
// contract, people, and builders for honest facts of every kind. Map is the
// state that its leaves fold to, kept in memory; the same builders run over a
// store's transaction.
//
// Everything is derived from a seed, so it is the same in each run, and nothing
// to trust. The package uses package record as the product does and bends
// nothing: a test bends what it was given.
package recordtest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Fataler is the part of a test that the builders need; *testing.T and *rapid.T
// have it.
type Fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Draft is a leaf to be appended, as its maker brings it.
type Draft struct {
	Facts      record.Facts
	Person     any // the person part, nil for none
	PersonID   canon.ID
	PersonSalt ledger.Salt // zero: drawn when the leaf is appended
}

// Ledger is where the builders append and what they read: a Map, or a store's
// transaction.
type Ledger interface {
	record.View
	// Next returns the index of the next leaf.
	Next() int64
	// Now returns the ledger time that the next leaf's facts carry.
	Now() canon.Micros
	// Append adds a leaf if record.Check allows it and returns its hash.
	Append(Draft) (canon.Digest, error)
}

const (
	// Origin is the ledger's name.
	Origin = "ledger.example/test"
	// Issuer is the identity provider that the contracts name.
	Issuer = "https://login.acme.example"
)

// Start is a good ledger time to begin at; it is no whole second.
func Start() canon.Micros { return canon.At(time.Date(2026, 12, 1, 8, 0, 0, 250_001_000, time.UTC)) }

// World is what exists before the ledger: keys, contracts, people.
type World struct {
	t    Fataler
	rand io.Reader

	// Token makes the ID token of a login. Nil: it is none, only a text in its place.
	Token func(u *User, f record.PersonLogin, rz canon.Digest) string

	LogPrivate string // a signed-note signer key
	LogKey     string // its public half
	CA         ssh.Signer
	Chris      ssh.Signer // the two signatories of each contract
	Dana       ssh.Signer
	Version    *contract.Version // contract "acme": see terms
	Other      *contract.Version // contract "other", with the same rules
	Alice      *User             // an engineer
	Bob        *User             // a lead
	Carol      *User             // a lead and an owner
}

// User is somebody with an account at Issuer and a device.
type User struct {
	Name        string
	Subject     string
	Person      canon.ID
	Device      ssh.Signer
	Groups      []string // sorted
	GroupsKnown bool
	Claims      record.Claims // as of the newest LogIn
}

// New returns the world that a seed stands for.
func New(t Fataler, seed string) *World {
	t.Helper()
	w := &World{t: t, rand: &locked{r: rand.NewChaCha8(sha256.Sum256([]byte("sallyport.recordtest/v1\n" + seed)))}}
	var err error
	if w.LogPrivate, w.LogKey, err = ledger.NewLogKey(w.rand, Origin); err != nil {
		t.Fatalf("log key: %v", err)
	}
	w.CA, w.Chris, w.Dana = w.Key(), w.Key(), w.Key()
	w.Version, w.Other = w.Contract("acme", ""), w.Contract("other", "")
	w.Alice, w.Bob, w.Carol = w.User("alice", "engineers"), w.User("bob", "leads"), w.User("carol", "leads", "owners")
	return w
}

// Rand is the world's source of everything random. It is safe for concurrent
// use.
func (w *World) Rand() io.Reader { return w.rand }

// locked is a source that several writers may share.
type locked struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *locked) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}

// Key draws an ed25519 key.
func (w *World) Key() ssh.Signer {
	w.t.Helper()
	seed := make([]byte, ed25519.SeedSize)
	w.read(seed)
	signer, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		w.t.Fatalf("key: %v", err)
	}
	return signer
}

// ID draws an id.
func (w *World) ID() canon.ID {
	w.t.Helper()
	id, err := canon.NewID(w.rand)
	if err != nil {
		w.t.Fatalf("id: %v", err)
	}
	return id
}

// Salt draws a salt.
func (w *World) Salt() ledger.Salt {
	w.t.Helper()
	salt, err := ledger.NewSalt(w.rand)
	if err != nil {
		w.t.Fatalf("salt: %v", err)
	}
	return salt
}

// Digest draws 32 bytes, as a challenge is.
func (w *World) Digest() canon.Digest {
	w.t.Helper()
	var d canon.Digest
	w.read(d[:])
	return d
}

func (w *World) read(b []byte) {
	w.t.Helper()
	if _, err := io.ReadFull(w.rand, b); err != nil {
		w.t.Fatalf("randomness: %v", err)
	}
}

// User draws somebody new who is in the given groups.
func (w *World) User(name string, groups ...string) *User {
	w.t.Helper()
	return &User{Name: name, Subject: "sub-" + name, Person: w.ID(), Device: w.Key(), Groups: groups, GroupsKnown: true}
}

// Wire is a public key as facts carry it.
func Wire(key ssh.PublicKey) string { return canon.B64(key.Marshal()) }

// terms are rules with a quick way and a thorough one.
const terms = `terms: sallyport/v1
contract: {id: CONTRACT, title: Access to the demo hosts}
parties: {acme: {name: Acme}}
signatories: [{party: acme, capacity: owner, need: 2, of: {chris: CHRIS, dana: DANA}, assurance: ssh}]
issuers: {local: {url: "` + Issuer + `", clients: {cli: sally, web: pages}, algs: [ES256], flows: [code]}}
groups: {engineers: "oidc:local/engineers", leads: "oidc:local/leads", owners: "oidc:local/owners"}
ceilings: {grant: 2h, cert_ttl: 15m}
roles:
  operator:
    clause: §1
    who: [engineers]
    hosts: {env: [demo]}
    logins: [deploy, ops]
    grant: {max: 1h}
    cert: {ttl: 5m}
    request: {reason: {min_words: 2}}
    paths: [{id: normal, clause: §1, stages: [{id: lead, from: [leads], quorum: 1, timeout: 15m}]}]
  admin:
    clause: §2
    who: [engineers, leads]
    hosts: {env: [demo, prod]}
    logins: [root]
    grant: {max: 30m}
    cert: {ttl: 2m, extensions: [permit-pty, permit-port-forwarding]}
    paths: [{id: normal, clause: §2, stages: [{id: lead, from: [leads], quorum: 2, timeout: 10m}, {id: owner, from: [owners], quorum: 1, timeout: 10m}]}]
`

// Contract is version 1 of a contract with our terms and more lines of terms.
func (w *World) Contract(id, more string) *contract.Version {
	w.t.Helper()
	return w.version(id, terms+more)
}

// ContractOf is version 1 of a contract with our terms, each old text in them replaced
// by the new one that follows it.
func (w *World) ContractOf(id string, oldnew ...string) *contract.Version {
	w.t.Helper()
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(terms, oldnew[i]) {
			w.t.Fatalf("our terms don't say %q", oldnew[i])
		}
	}
	return w.version(id, strings.NewReplacer(oldnew...).Replace(terms))
}

func (w *World) version(id, text string) *contract.Version {
	w.t.Helper()
	line := func(key ssh.Signer) string {
		return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	}
	text = strings.NewReplacer("CONTRACT", id, "CHRIS", line(w.Chris), "DANA", line(w.Dana)).Replace(text)
	files := map[string][]byte{
		contract.TermsFile: []byte(text),
		contract.ProseFile: []byte("# §1 Operators\n\nEngineers operate demo hosts when a lead agrees.\n\n# §2 Administrators\n\nTwo leads and an owner agree.\n"),
	}
	manifest, err := contract.NewManifest(files)
	if err != nil {
		w.t.Fatalf("contract %s: %v", id, err)
	}
	files[contract.ManifestFile] = manifest
	v, err := contract.Load(files)
	if err != nil {
		w.t.Fatalf("contract %s: %v", id, err)
	}
	return v
}
