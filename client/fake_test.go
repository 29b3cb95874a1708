package client

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

const testOrigin = "ledger.test/prod"

// fake is a server's HTTP side with a real CA key, a real ledger and the real
// checks of what a client signs. It decides nothing: tests tell it what happens.
// Each field that a test may change while a client runs is guarded by mu.
type fake struct {
	t        *testing.T
	ca       ssh.Signer
	log      *ledgertest.Log
	pin      Pin
	url      string
	contract api.Contract
	// pageHosts answers pages of hosts, if a test asks for it.
	pageHosts func(after string, limit int) []api.Host
	stop      func() // the server goes away

	mu       sync.Mutex
	person   canon.ID
	device   ssh.PublicKey // of the session; nil before a login
	bearer   string
	issuers  []api.Issuer
	hosts    []api.Host
	roles    []api.RoleOption
	requests map[canon.ID]*api.Request // by id
	order    []canon.ID                // oldest first
	entries  []api.EntryProof          // by index
	searches []url.Values              // what was asked of the list of entries
	ttl      time.Duration
	calls    []string // method and path, in order of arrival
	queries  []string // of the lists of requests

	// tamper changes a certificate before it is recorded and signed, finish one
	// before it is signed (its proof included), answer what is sent.
	tamper, finish func(*ssh.Certificate)
	answer         func(*api.Certificate)
	signer         ssh.Signer // another CA, if set
	proofLog       *ledgertest.Log
	polled         func(*api.Request) // at each GET of a request, under mu
	renumber       func(*api.Request) // at each POST of one, under mu
	refuse         map[string]api.Problem
	later          int                   // requests that come too soon before one is answered
	tooOld         bool                  // claims are too old to ask or to get a certificate, until a refresh
	fresh          time.Duration         // FreshUntil of sessions from now; 0: not said
	noGroups       bool                  // the provider said nothing of groups
	joined         bool                  // the hosts have leaves
	lieCancel      func(*api.Request)    // changes what a cancellation answers
	lieHosts       func([]api.Host)      // changes what GET /v1/hosts answers
	lieEntry       func(*api.EntryProof) // changes what GET of an entry answers
	lieList        func(*api.Requests)   // changes a page of requests
	lieNote        func([]byte) []byte   // changes the checkpoint
	lieSession     func(*api.Session)    // changes what is said of the session
}

func newSigner(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newID(t *testing.T) canon.ID {
	t.Helper()
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		t: t, ca: newSigner(t), log: ledgertest.New(t, testOrigin, "client"), person: newID(t), bearer: strings.Repeat("b", 43),
		requests: map[canon.ID]*api.Request{}, ttl: time.Minute, refuse: map[string]api.Problem{},
		contract: api.Contract{ID: "acme", Title: "Acme", Version: 1, Digest: canon.Sum("test", []byte("v1")), Lineage: canon.Sum("test", []byte("v1"))},
	}
	f.pin = Pin{Origin: testOrigin, LogKey: f.log.PublicKey(), CA: f.ca.PublicKey()}
	f.hosts = []api.Host{
		{Name: "web-1.demo", Address: "127.0.0.1", Port: 2222, HostKey: keyLine(newSigner(t).PublicKey()), Lineage: f.contract.Lineage},
		{Name: "web-2.demo", Address: "::1", Port: 22, HostKey: keyLine(newSigner(t).PublicKey()), Lineage: f.contract.Lineage},
	}
	f.roles = []api.RoleOption{{
		Contract: f.contract, Role: "ops", Clause: "§2", Logins: logins("deploy", "ops"), Hosts: hostsOf("web-1.demo", "web-2.demo"), MaxSeconds: 3600,
		CertSeconds: 300, Approvers: []string{"leads"}, Stages: []api.RoleStage{{Stage: "lead", Need: 1, From: []string{"leads"}, TimeoutSeconds: 900}},
	}}
	mux := http.NewServeMux()
	handle := func(pattern string, withBearer bool, h func(*http.Request) (int, any)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, withBearer, h) })
	}
	handle("GET /v1/server", false, f.getServer)
	handle("POST /v1/challenges", false, f.postChallenge)
	handle("POST /v1/sessions", false, f.postSession)
	handle("GET /v1/sessions/current", true, f.getSession)
	handle("DELETE /v1/sessions/current", true, func(*http.Request) (int, any) { return http.StatusNoContent, nil })
	handle("GET /v1/hosts", true, f.listHosts)
	handle("GET /v1/roles", true, func(*http.Request) (int, any) { return http.StatusOK, f.roles })
	mux.HandleFunc("GET /checkpoint", f.checkpoint)
	handle("POST /v1/requests", true, f.postRequest)
	handle("GET /v1/requests", true, f.listRequests)
	handle("GET /v1/requests/{id}", true, f.getRequest)
	handle("POST /v1/requests/{id}/cancel", true, f.postCancel)
	handle("POST /v1/grants/{id}/certificates", true, f.postCertificate)
	handle("GET /v1/ledger/entries", true, f.listEntries)
	handle("GET /v1/ledger/entries/{index}", true, f.getEntry)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	f.url, f.stop = s.URL, s.Close
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request, withBearer bool, h func(*http.Request) (int, any)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, r.Method+" "+r.URL.Path)
	status, body := 0, any(nil)
	p, refused := f.refuse[r.Method+" "+r.URL.Path]
	switch {
	case f.later > 0:
		f.later--
		w.Header().Set("Retry-After", "1")
		status, body = problemBody(tooMuch, http.StatusTooManyRequests, "too many")
	case refused:
		status, body = p.Status, p
	case withBearer && r.Header.Get("Authorization") != "Bearer "+f.bearer:
		status, body = problemBody("unauthenticated", http.StatusUnauthorized, "no session")
	case f.tooOld && withBearer && r.Method == http.MethodPost:
		status, body = problemBody(tooOld, http.StatusUnauthorized, "what your identity provider said about you is too old; log in again")
	default:
		status, body = h(r)
	}
	if _, ok := body.(api.Problem); ok {
		w.Header().Set("Content-Type", "application/problem+json")
	} else {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	if body != nil {
		_ = json.NewEncoder(w).Encode(body) // a client that went away is the test's business
	}
}

func problemBody(slug string, status int, detail string) (int, any) {
	return status, api.Problem{Type: "/problems/" + slug, Title: slug, Status: status, Detail: detail}
}

func decode[T any](r *http.Request) (T, error) {
	var v T
	err := json.NewDecoder(r.Body).Decode(&v)
	return v, err
}

func (f *fake) getServer(*http.Request) (int, any) {
	return http.StatusOK, api.Server{Origin: testOrigin, Version: "test", Now: canon.At(time.Now()), Issuers: f.issuers, Contracts: []api.Contract{f.contract}}
}

func (f *fake) postChallenge(*http.Request) (int, any) {
	return http.StatusOK, f.challenge()
}

func (f *fake) challenge() api.Challenge {
	return api.Challenge{Challenge: canon.Sum("challenge", []byte(strconv.Itoa(len(f.calls)))), ExpiresAt: canon.At(time.Now().Add(5 * time.Minute))}
}

// postSession checks the binding of person and key as the server does, but for
// the identity provider's signature.
func (f *fake) postSession(r *http.Request) (int, any) {
	body, err := decode[api.SessionRequest](r)
	if err != nil {
		return problemBody("malformed", http.StatusBadRequest, err.Error())
	}
	wire, err := canon.ParseB64(body.DeviceKey)
	if err != nil {
		return problemBody("malformed", http.StatusBadRequest, err.Error())
	}
	device, err := sshcert.ParseDeviceKey(wire)
	if err != nil {
		return problemBody("key-refused", http.StatusUnprocessableEntity, err.Error())
	}
	doc, err := record.OpenSession(body.Document, body.Signature, device)
	if err != nil || doc.Origin != testOrigin || doc.IDToken != sha256.Sum256([]byte(body.IDToken)) {
		return problemBody("unauthenticated", http.StatusUnauthorized, "session document")
	}
	if r.Header.Get("Authorization") != "" {
		return f.postRefresh(r, body, device)
	}
	rz, err := canon.ParseB64(body.RZ)
	if err != nil || len(rz) != 32 || nonceOf(body.IDToken) != oidc.DeviceNonce([32]byte(rz), wire) {
		return problemBody("unauthenticated", http.StatusUnauthorized, "nonce")
	}
	f.device = device
	s := f.sessionAnswer()
	s.Bearer = f.bearer
	return http.StatusCreated, s
}

// postRefresh takes a newer ID token for the session of a bearer.
func (f *fake) postRefresh(r *http.Request, body api.SessionRequest, device ssh.PublicKey) (int, any) {
	if r.Header.Get("Authorization") != "Bearer "+f.bearer || !sameKey(device, f.device) || body.Issuer != "acme/lab" {
		return problemBody("unauthenticated", http.StatusUnauthorized, "this does not renew the login")
	}
	f.tooOld = false
	return http.StatusOK, f.sessionAnswer()
}

// nonceOf reads the nonce out of an ID token whose signature nobody checked.
func nonceOf(idToken string) string {
	parts := strings.Split(idToken, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := canon.ParseB64(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Nonce string `json:"nonce"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Nonce
}

func (f *fake) sessionAnswer() api.Session {
	var fresh canon.Micros
	if f.fresh != 0 {
		fresh = canon.At(time.Now().Add(f.fresh))
	}
	s := api.Session{
		FreshUntil: fresh,
		Person:     f.person, Name: "Alice Example", Email: "alice@acme.example", Issuer: "acme/lab", Groups: []string{"engineers"}, GroupsKnown: !f.noGroups,
		ClaimsAt: canon.At(time.Now()), ExpiresAt: canon.At(time.Now().Add(12 * time.Hour)),
	}
	if f.lieSession != nil {
		f.lieSession(&s)
	}
	return s
}

func (f *fake) getSession(*http.Request) (int, any) { return http.StatusOK, f.sessionAnswer() }

func (f *fake) postRequest(r *http.Request) (int, any) {
	body, err := decode[api.RequestRequest](r)
	if err != nil {
		return problemBody("malformed", http.StatusBadRequest, err.Error())
	}
	doc, err := record.OpenRequest(body.Document, body.Signature, f.device)
	if err != nil {
		return problemBody("malformed", http.StatusBadRequest, err.Error())
	}
	salt, err := ledger.ParseSalt(body.PersonSalt)
	if err != nil {
		return problemBody("malformed", http.StatusBadRequest, err.Error())
	}
	part, err := canon.Marshal(record.RequestPerson{Reason: body.Reason, Ticket: body.Ticket})
	if err != nil || ledger.PersonCommitment(salt, part) != doc.Commitment || doc.Origin != testOrigin || doc.Person != f.person {
		return problemBody("malformed", http.StatusBadRequest, "commitment")
	}
	if known, ok := f.requests[doc.Request]; ok {
		return http.StatusOK, known
	}
	q := &api.Request{
		ID: doc.Request, State: "pending", By: doc.Person, ByName: "Alice Example", Contract: f.contract, Role: doc.Role, Clause: "§2",
		Logins: doc.Logins, Hosts: doc.Hosts, Seconds: doc.Seconds, Reason: body.Reason, Ticket: body.Ticket,
		SubmittedAt: canon.At(time.Now()), ExpiresAt: canon.At(time.Now().Add(30 * time.Minute)),
		Stage: "lead", Need: 1, From: []string{"leads"}, URL: f.url + "/requests/" + string(doc.Request),
	}
	f.add(q)
	if f.renumber != nil {
		f.renumber(q)
	}
	return http.StatusCreated, q
}

func (f *fake) add(q *api.Request) {
	f.requests[q.ID] = q
	f.order = append(f.order, q.ID)
}

// grant settles a request; the grant runs from now.
func grant(q *api.Request, length time.Duration) {
	now := time.Now()
	q.State, q.Stage, q.Need = "granted", "", 0
	q.Decisions = []api.Decision{{By: "mzxw6ytboi4dknrzgq2tmnzxgi", ByName: "Bob Example", Stage: "lead", Verdict: "approve", At: canon.At(now)}}
	q.Grant = &api.Grant{Start: canon.At(now), End: canon.At(now.Add(length)), Active: true}
}

// listRequests lists everything that passes the filters, two at a time, so that
// whoever lists reads on.
func (f *fake) listRequests(r *http.Request) (int, any) {
	query := r.URL.Query()
	f.queries = append(f.queries, r.URL.RawQuery)
	out := api.Requests{Requests: []api.Request{}}
	before, err := strconv.Atoi(query.Get("before"))
	if err != nil {
		before = len(f.order) + 1
	}
	for place := before - 1; place > 0; place-- {
		q := *f.requests[f.order[place-1]]
		if state := query.Get("state"); state != "" && state != q.State {
			continue
		}
		if host := query.Get("host"); host != "" && !slices.Contains(q.Hosts, sshcert.Host(host)) {
			continue
		}
		out.Requests = append(out.Requests, q)
		if strconv.Itoa(len(out.Requests)) == query.Get("limit") || len(out.Requests) == 2 {
			out.Next = int64(place)
			break
		}
	}
	if f.lieList != nil {
		f.lieList(&out)
	}
	return http.StatusOK, out
}

func (f *fake) getRequest(r *http.Request) (int, any) {
	q, ok := f.requests[canon.ID(r.PathValue("id"))]
	if !ok {
		return problemBody("not-found", http.StatusNotFound, "there is no such request for you")
	}
	if f.polled != nil {
		f.polled(q)
	}
	return http.StatusOK, q
}

func (f *fake) postCancel(r *http.Request) (int, any) {
	q, ok := f.requests[canon.ID(r.PathValue("id"))]
	if !ok {
		return problemBody("not-found", http.StatusNotFound, "no such request")
	}
	body, err := decode[api.CancelRequest](r)
	if err != nil {
		return problemBody("malformed", http.StatusBadRequest, err.Error())
	}
	doc, err := record.OpenCancel(body.Document, body.Signature, f.device)
	if err != nil || doc.Request != q.ID || doc.Origin != testOrigin || doc.Person != f.person {
		return problemBody("field-refused", http.StatusUnprocessableEntity, "cancel document")
	}
	switch q.State {
	case "pending":
		q.State, q.Stage, q.Need, q.From, q.CancelledAt = "cancelled", "", 0, nil, canon.At(time.Now())
	case "cancelled":
	default:
		return problemBody("settled", http.StatusConflict, "this request is settled")
	}
	answer := *q
	if f.lieCancel != nil {
		f.lieCancel(&answer)
	}
	return http.StatusOK, answer
}

func (f *fake) postCertificate(r *http.Request) (int, any) {
	q, ok := f.requests[canon.ID(r.PathValue("id"))]
	if !ok || q.Grant == nil {
		return problemBody("not-granted", http.StatusConflict, "this request is not granted")
	}
	body, err := decode[api.CertificateRequest](r)
	if err != nil {
		return problemBody("malformed", http.StatusBadRequest, err.Error())
	}
	doc, key, err := record.OpenIssue(body.Document, body.DeviceSignature, body.PossessionSignature, f.device)
	if err != nil || doc.Grant != q.ID || doc.Origin != testOrigin || doc.Person != f.person || doc.Lineage != q.Contract.Lineage {
		return problemBody("malformed", http.StatusBadRequest, "issue document")
	}
	cert := f.issue(q, key)
	a := api.Certificate{
		Certificate: keyLine(cert), Serial: cert.Serial,
		ValidAfter: canon.At(unixTime(cert.ValidAfter)), ValidBefore: canon.At(unixTime(cert.ValidBefore)),
		GrantEnd: q.Grant.End, Challenge: f.challenge(),
	}
	if f.answer != nil {
		f.answer(&a)
	}
	return http.StatusCreated, a
}

// called counts the calls whose method and path start with prefix.
func (f *fake) called(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, c := range f.calls {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

func logins(names ...string) []sshcert.Login {
	out := make([]sshcert.Login, len(names))
	for i, n := range names {
		out[i] = sshcert.Login(n)
	}
	return out
}

func hostsOf(names ...string) []sshcert.Host {
	out := make([]sshcert.Host, len(names))
	for i, n := range names {
		out[i] = sshcert.Host(n)
	}
	return out
}

// open adds a pending request for ops on the hosts.
func (f *fake) open(hosts ...string) api.Request {
	f.t.Helper()
	q := f.granted(10*time.Minute, hosts...)
	f.mu.Lock()
	defer f.mu.Unlock()
	kept := f.requests[q.ID]
	kept.State, kept.Grant, kept.Decisions, kept.Stage, kept.Need, kept.Reason = "pending", nil, nil, "lead", 1, "INC-42"
	kept.SubmittedAt = canon.At(time.Now())
	return *kept
}

// granted adds an active grant for ops on the hosts.
func (f *fake) granted(length time.Duration, hosts ...string) api.Request {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	q := pending(time.Now())
	q.ID, q.By, q.Contract, q.Role, q.Seconds = newID(f.t), f.person, f.contract, "ops", int64(length/time.Second)
	q.Logins, q.Hosts, q.URL = logins("ops"), hostsOf(hosts...), f.url+"/requests/"+string(q.ID)
	grant(&q, length)
	f.add(&q)
	return q
}
