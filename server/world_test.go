package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/api/apitest"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/docs"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/server"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	origin    = "server.sallyport.test"
	webSecret = "web-client-secret-canary"
)

// terms is the contract of every test: one role that one lead decides, one that
// two people decide in two stages, and one for others.
const terms = `terms: sallyport/v1
contract: {id: acme, title: "Access to <b>Acme</b>'s hosts"}
parties: {acme: {name: Acme}}
signatories: [{party: acme, capacity: owner, need: 1, of: {owner: "KEY"}}]
issuers:
  lab: {url: "ISSUER", clients: {cli: sally-cli, web: sallyport-web}, algs: [ES256]}
groups:
  engineers: oidc:lab/engineers
  leads: oidc:lab/leads
  security: oidc:lab/security
ceilings: {grant: 1h, cert_ttl: 5m, claims_max_age: {decide: 15m, issue: 60m}}
roles:
  operator:
    clause: "§1"
    who: [engineers]
    hosts: {env: [demo]}
    logins: [ops, deploy]
    grant: {max: 30m}
    cert: {ttl: 2m}
    request: {reason: {min_words: 2}}
    paths: [{id: lead, clause: "§2", stages: [{id: lead, from: [leads], quorum: 1, timeout: 15m}]}]
  admin:
    clause: "§3"
    who: [engineers]
    hosts: {env: [demo]}
    logins: [root]
    grant: {max: 10m}
    paths:
      - id: four-eyes
        clause: "§2"
        stages:
          - {id: leads, from: [leads], quorum: 2, timeout: 15m}
          - {id: security, from: [security], quorum: 1, timeout: 15m}
  auditor:
    clause: "§3"
    who: [security]
    hosts: {env: [demo]}
    logins: [audit]
    grant: {max: 10m}
    paths: [{id: lead, clause: "§2", stages: [{id: lead, from: [leads], quorum: 1, timeout: 15m}]}]
`

// prose is what people read of it.
const prose = `# §1 Operators

Engineers may work as ops & deploy
<b>here</b>.

- on hosts of the demo
- with a reason

# §2 Who decides

A lead says yes.

# §3 Others
`

// clock is the wall clock, moved on by tests.
type clock struct{ ahead atomic.Int64 }

func (c *clock) Now() time.Time                  { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) advance(d time.Duration)         { c.ahead.Add(int64(d)) }
func (c *clock) micros() canon.Micros            { return canon.At(c.Now()) }
func (c *clock) in(d time.Duration) canon.Micros { return canon.At(c.Now().Add(d)) }

// mark keeps the newest checkpoint in memory.
type mark struct {
	mu    sync.Mutex
	note  []byte
	saved func() // called after each checkpoint that is kept, if there is one
}

func (m *mark) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.note == nil {
		return nil, record.ErrNotFound
	}
	return m.note, nil
}

func (m *mark) Save(_ context.Context, old, note []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note = bytes.Clone(note)
	if m.saved != nil {
		m.saved()
	}
	return nil
}

// logs collects what the server logs.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is an installation: a provider, an authority on SQLite, and a server on
// a loopback port.
type world struct {
	owner     ssh.Signer // signs the newest contract that was added
	t         *testing.T
	idp       *idp.Server
	authority *authority.Authority
	settings  authority.Config // of it
	store     *store.Store
	engine    *sqlite.Engine
	database  string // its path
	mark      *mark
	server    *server.Server
	base      string
	clock     *clock
	logs      *logs
	version   *contract.Version
	policy    *ledger.Policy
	ca        ssh.PublicKey
	openAPI   *apitest.Validator   // every exchange below /v1 is held to the document
	change    func(*server.Config) // of the settings, before the server is made
}

// Accounts of every world. Passwords are NAME-pw.
func accounts() []idp.Account {
	return []idp.Account{
		{Username: "alice", Password: "alice-pw", Name: "Alice Ampère", Email: "alice@acme.test", Groups: []string{"engineers", "leads"}},
		{Username: "bob", Password: "bob-pw", Name: "Bob", Email: "bob@acme.test", Groups: []string{"leads"}},
		{Username: "carol", Password: "carol-pw", Name: "Carol", Groups: []string{"leads"}},
		{Username: "sam", Password: "sam-pw", Name: "Sam", Groups: []string{"security"}},
		{Username: "eve", Password: "eve-pw", Name: "Eve", Groups: []string{"visitors"}},
		{Username: "mallory", Password: "mallory-pw", Name: "Alice Ampère", Groups: []string{"engineers"}}, // calls herself like another
		{Username: "nil", Password: "nil-pw", Name: "Nil"},                                                 // the provider says nothing of groups
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, terms)
}

// newWorldOf is newWorld under another contract.
func newWorldOf(t *testing.T, terms string) *world {
	t.Helper()
	// All people of a test share one address.
	return makeWorld(t, terms, func(c *server.Config) { c.Limits.Login = 6000 })
}

// makeWorld is newWorld with other settings and more accounts; without terms there
// is no contract.
func makeWorld(t *testing.T, terms string, change func(*server.Config), more ...idp.Account) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{}, logs: &logs{}, mark: &mark{}, change: change}
	var err error
	w.openAPI, err = apitest.NewValidator(docs.OpenAPI)
	must(t, err)
	w.idp, err = idp.Start(t.Context(), idp.Config{Accounts: append(accounts(), more...), WebSecret: webSecret, Algorithm: "ES256"})
	must(t, err)
	t.Cleanup(func() { must(t, w.idp.Close()) })
	w.openAuthority()
	if terms != "" {
		w.addContract(terms)
		w.addHosts()
	}
	w.serve()
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) openAuthority() {
	t := w.t
	w.database = filepath.Join(t.TempDir(), "sallyport.db")
	var err error
	w.engine, err = sqlite.Open(t.Context(), w.database)
	must(t, err)
	w.store, err = store.New(store.Config{Engine: w.engine, Now: w.clock.Now, Rand: rand.Reader})
	must(t, err)
	t.Cleanup(func() { must(t, w.store.Close()) })
	signer, err := softkey.Create(filepath.Join(t.TempDir(), "user_ca"), "", rand.Reader)
	must(t, err)
	w.ca = signer.PublicKey()
	private, public, err := ledger.NewLogKey(rand.Reader, origin)
	must(t, err)
	w.policy, err = ledger.NewPolicy(origin, public)
	must(t, err)
	logSigner, err := ledger.NewLogSigner(private)
	must(t, err)
	w.settings = authority.Config{
		Store: w.store, CA: signer, KRL: newKey(t), Log: logSigner, Mark: w.mark, Now: w.clock.Now, Rand: rand.Reader,
		Secrets: func(string) string { return webSecret }, Logger: slog.New(slog.NewJSONHandler(w.logs, nil)),
	}
	w.authority, err = authority.Create(t.Context(), w.settings)
	must(t, err)
}

func (w *world) addContract(terms string) {
	t := w.t
	owner := newKey(t)
	w.owner = owner
	text := strings.NewReplacer("KEY", line(owner.PublicKey()), "ISSUER", w.idp.URL()).Replace(terms)
	files := map[string][]byte{contract.TermsFile: []byte(text), contract.ProseFile: []byte(prose)}
	manifest, err := contract.NewManifest(files)
	must(t, err)
	files[contract.ManifestFile] = manifest
	w.version, err = contract.Load(files)
	must(t, err)
	statement, err := contract.NewStatement(w.version, "acme", "owner")
	must(t, err)
	armored, err := sshcert.Sign(rand.Reader, owner, sshcert.NamespaceContract, statement)
	must(t, err)
	added, err := w.authority.AddContract(t.Context(), files, []authority.Signature{{Statement: statement, Armored: []byte(armored)}})
	must(t, err)
	if len(added.Missing) > 0 {
		t.Fatalf("signatures are missing: %+v", added.Missing)
	}
}

func (w *world) addHosts() {
	for name, env := range map[sshcert.Host]string{"web-1.demo": "demo", "web-2.demo": "demo", "db-1.demo": "prod"} {
		_, err := w.authority.AddHost(w.t.Context(), authority.NewHost{
			Name: name, Address: "127.0.0.1", Port: 22, Key: newKey(w.t).PublicKey(), Labels: map[string]string{"env": env},
		})
		must(w.t, err)
	}
}

// serve starts the server on a free loopback port.
func (w *world) serve() {
	t := w.t
	var listen net.ListenConfig
	ln, err := listen.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	must(t, err)
	w.base = "http://" + ln.Addr().String()
	w.idp.AllowRedirect(w.base + "/callback")
	c := server.Config{
		Authority: w.authority, BaseURL: w.base, Now: w.clock.Now, Rand: rand.Reader, Version: "test",
		Logger: slog.New(slog.NewJSONHandler(w.logs, nil)),
	}
	w.change(&c)
	w.server, err = server.New(c)
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- w.server.Serve(ctx, ln, nil) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	signer, err := ssh.NewSignerFromSigner(private)
	must(t, err)
	return signer
}

func line(key ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) }

// size is how many leaves the ledger has.
func (w *world) size() int64 {
	w.t.Helper()
	var size int64
	must(w.t, w.store.Read(w.t.Context(), func(r *store.Reader) error {
		head, err := r.Head()
		size = head.Tree.Size
		return err
	}))
	return size
}

// request reads a request's row.
func (w *world) decisions(id canon.ID) int {
	w.t.Helper()
	n := 0
	must(w.t, w.store.Read(w.t.Context(), func(r *store.Reader) error {
		q, err := record.Request(r, id)
		n = len(q.Decisions)
		return err
	}))
	return n
}

// reply is what a server answered.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) problem(t testing.TB) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(r.body, &p); err != nil || r.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("no problem document but %d %s: %.200s", r.status, r.header.Get("Content-Type"), r.body)
	}
	if p.Status != r.status || p.Instance == "" || p.Title == "" {
		t.Fatalf("status %d, problem %+v", r.status, p)
	}
	return p
}

// wantProblem demands a problem of a slug and status, and words of its detail.
func (r reply) wantProblem(t testing.TB, status int, slug string, words ...string) {
	t.Helper()
	p := r.problem(t)
	if p.Status != status || p.Type != "/problems/"+slug {
		t.Errorf("got %d %s (%s), want %d %s", p.Status, p.Type, p.Detail, status, slug)
	}
	for _, word := range words {
		if !strings.Contains(p.Detail, word) {
			t.Errorf("detail %q does not say %q", p.Detail, word)
		}
	}
}

func into[T any](t testing.TB, r reply, status int) T {
	t.Helper()
	var v T
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	must(t, json.Unmarshal(r.body, &v))
	return v
}

// send makes one raw request, without following redirects.
func (w *world) send(method, path string, header http.Header, body io.Reader) reply {
	w.t.Helper()
	var sent bytes.Buffer
	if body != nil {
		body = io.TeeReader(body, &sent)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, body)
	must(w.t, err)
	for name, values := range header {
		req.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	must(w.t, err)
	content, err := io.ReadAll(resp.Body)
	must(w.t, errors.Join(err, resp.Body.Close()))
	if strings.HasPrefix(path, "/v1/") {
		err := w.openAPI.Check(apitest.Exchange{
			Method: method, Target: path, Sent: sent.Bytes(), Status: resp.StatusCode, Header: resp.Header, Body: content,
		})
		if err != nil {
			w.t.Errorf("not as in docs/openapi.json: %v", err)
		}
	}
	return reply{resp.StatusCode, resp.Header, content}
}
