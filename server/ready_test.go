package server_test

import (
	"database/sql"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/server"
)

// ready asks GET /readyz as somebody whom the server does not know, a moment after
// the last answer. It returns the parts that are not well.
func (w *world) ready(status int, overall string) map[string]api.Part {
	w.t.Helper()
	w.clock.advance(5 * time.Second)
	r := w.send(http.MethodGet, "/readyz", http.Header{"Host": {"10.0.0.1"}}, nil)
	all := into[api.Readiness](w.t, r, status)
	if all.Status != overall || r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "no-store" {
		w.t.Errorf("it is %s, want %s: %s", all.Status, overall, r.body)
	}
	for _, secret := range []string{w.database, "sallyport.db", w.idp.URL(), "127.0.0.1", "acme", "sqlite", "lab"} {
		if strings.Contains(string(r.body), secret) {
			w.t.Errorf("a stranger is told %q: %s", secret, r.body)
		}
	}
	var names []string
	out := make(map[string]api.Part)
	for _, p := range all.Parts {
		names = append(names, p.Part)
		if p.Text == "" || strings.HasSuffix(p.Text, ".") {
			w.t.Errorf("part %+v has no sentence", p)
		}
		if p.Status != "ok" {
			out[p.Part] = p
		}
	}
	if want := []string{"database", "ledger", "witnesses", "signer", "clock", "contract", "identity_providers"}; !slices.Equal(names, want) {
		w.t.Errorf("parts are %v, want %v", names, want)
	}
	return out
}

// wantParts demands which parts are not well, as "name status".
func wantParts(t testing.TB, got map[string]api.Part, want ...string) {
	t.Helper()
	var have []string
	for name, p := range got {
		have = append(have, name+" "+p.Status)
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("not well are %v, want %v", have, want)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantParts(t, w.ready(http.StatusOK, "ok"))
	before := w.size()
	if r := w.send(http.MethodHead, "/readyz", nil, nil); r.status != http.StatusOK || len(r.body) != 0 {
		t.Errorf("HEAD: %d %q", r.status, r.body)
	}
	w.send(http.MethodPost, "/readyz", nil, nil) // not done this way
	wantParts(t, w.ready(http.StatusOK, "ok"))
	if w.size() != before {
		t.Error("asking left a leaf")
	}
}

func TestReadyWithoutContract(t *testing.T) {
	t.Parallel()
	w := makeWorld(t, "", func(*server.Config) {})
	wantParts(t, w.ready(http.StatusServiceUnavailable, "failed"), "contract failed")
}

// TestPromiseP14_ReadyKnowsTheDatabase takes the database away in four ways, and
// gives it back.
func TestPromiseP14_ReadyKnowsTheDatabase(t *testing.T) {
	t.Parallel()
	blind := []string{"ledger degraded", "clock degraded", "contract degraded", "identity_providers degraded"}
	for _, tt := range []struct {
		name string
		take func(t *testing.T, w *world) (giveBack func())
		log  string
		more []string // parts that can't be judged
	}{
		{"moved", func(t *testing.T, w *world) func() {
			must(t, os.Rename(w.database, w.database+".aside"))
			return func() { must(t, os.Rename(w.database+".aside", w.database)) }
		}, "not where it was opened", blind},
		{"replaced", func(t *testing.T, w *world) func() {
			must(t, os.Rename(w.database, w.database+".aside"))
			must(t, os.WriteFile(w.database, nil, 0o600))
			return func() { must(t, os.Rename(w.database+".aside", w.database)) }
		}, "not where it was opened", blind},
		{"read-only", func(t *testing.T, w *world) func() {
			tx, err := w.engine.Begin(t.Context())
			must(t, err)
			_, err = tx.ExecContext(t.Context(), "PRAGMA query_only = on") // of the one connection that writes
			must(t, err)
			must(t, tx.Rollback())
			return nil
		}, "readonly database", nil},
		{"held by another program", func(t *testing.T, w *world) func() {
			db, err := sql.Open("sqlite3", "file:"+w.database+"?_txlock=immediate")
			must(t, err)
			tx, err := db.BeginTx(t.Context(), nil)
			must(t, err)
			return func() {
				must(t, tx.Rollback())
				must(t, db.Close())
			}
		}, "did not say in time", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			wantParts(t, w.ready(http.StatusOK, "ok"))
			giveBack := tt.take(t, w)
			got := w.ready(http.StatusServiceUnavailable, "failed")
			wantParts(t, got, append(slices.Clone(tt.more), "database failed")...)
			contains(t, got["database"].Text, "nothing can be recorded now, denials included")
			contains(t, w.logs.String(), `"msg":"part is not well","part":"database","status":"failed"`, tt.log)
			if giveBack == nil {
				return
			}
			giveBack()
			w.settled(func() bool { return w.send(http.MethodGet, "/readyz", nil, nil).status == http.StatusOK })
			wantParts(t, w.ready(http.StatusOK, "ok"))
			contains(t, w.logs.String(), `"msg":"part is well again","part":"database"`)
		})
	}
}

// settled waits until something that goes on beside the test is so, moving the
// clock on each time.
func (w *world) settled(is func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); w.clock.advance(5 * time.Second) {
		if time.Now().After(deadline) {
			w.t.Fatal("it stays as it is")
		}
	}
}

// TestPromiseP14_ReadyKnowsTheProviders: a provider that went away is told of as
// soon as what was fetched before is no longer fresh, and when that can't be used
// any more.
func TestPromiseP14_ReadyKnowsTheProviders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantParts(t, w.ready(http.StatusOK, "ok"))
	alice := w.logIn("alice")
	must(t, w.idp.Close())
	wantParts(t, w.ready(http.StatusOK, "ok")) // nobody has asked it since
	w.clock.advance(16 * time.Minute)
	got := w.ready(http.StatusOK, "degraded")
	wantParts(t, got, "identity_providers degraded")
	contains(t, got["identity_providers"].Text, "who can't log in anew can go on until their claims are too old")
	if r := alice.call("/v1/requests", alice.requestBody(nil)); r.status != http.StatusCreated {
		t.Errorf("Alice goes on: %d %s", r.status, r.body)
	}
	w.clock.advance(7 * time.Hour)
	wantParts(t, w.ready(http.StatusOK, "degraded"), "identity_providers failed")
	contains(t, w.logs.String(), `"part":"identity_providers","status":"degraded"`, `"part":"identity_providers","status":"failed"`)

	never := newWorld(t)
	must(t, never.idp.Close())
	wantParts(t, never.ready(http.StatusOK, "degraded"), "identity_providers failed")

	const one = `  lab: {url: "ISSUER", clients: {cli: sally-cli, web: sallyport-web}, algs: [ES256]}`
	two := newWorldOf(t, strings.Replace(terms, one, one+"\n"+`  other: {url: "http://127.0.0.1:1", clients: {web: sallyport}, algs: [RS256]}`, 1))
	wantParts(t, two.ready(http.StatusOK, "degraded"), "identity_providers degraded")
}

// TestPromiseP14_ReadyKnowsTheClock sets the clock back behind the newest entry.
func TestPromiseP14_ReadyKnowsTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wantParts(t, w.ready(http.StatusOK, "ok"))
	w.logIn("alice")
	w.clock.advance(-2 * time.Minute)
	got := w.ready(http.StatusServiceUnavailable, "failed")
	wantParts(t, got, "clock failed", "database degraded", "contract failed") // which is in force later
	contains(t, got["clock"].Text, "nothing is recorded")
	w.clock.advance(2 * time.Minute)
	wantParts(t, w.ready(http.StatusOK, "ok"))
}

// TestPromiseP14_ReadyKnowsTheLedger: without the mark nothing is ready, and
// denying works all the same.
func TestPromiseP14_ReadyKnowsTheLedger(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	b, page := w.signIn("bob", requestPath(q.ID))
	good, err := w.mark.Load(t.Context())
	must(t, err)
	for name, note := range map[string][]byte{"gone": nil, "another": []byte("x")} {
		w.mark.set(note)
		got := w.ready(http.StatusServiceUnavailable, "failed")
		wantParts(t, got, "ledger failed")
		contains(t, got["ledger"].Text, "denying goes on")
		w.mark.set(good)
		if wantParts(t, w.ready(http.StatusOK, "ok")); t.Failed() {
			t.Fatal(name)
		}
	}
	// The database goes back to an earlier state behind the server's back.
	tx, err := w.engine.Begin(t.Context())
	must(t, err)
	_, err = tx.ExecContext(t.Context(), `UPDATE node SET hash = zeroblob(32)`)
	must(t, err)
	must(t, tx.Commit())
	form := url.Values{}
	for name, v := range yes(t, page, q.ID) {
		form[name] = v
	}
	form.Set("verdict", "deny")
	if r := b.post(decisionsPath(q.ID), form, w.ownPage()); r.status != http.StatusSeeOther || w.decisions(q.ID) != 1 {
		t.Errorf("denying: %d %s", r.status, r.body)
	}
	wantParts(t, w.ready(http.StatusServiceUnavailable, "failed"), "ledger failed")
}

// set replaces what is kept, behind the authority's back.
func (m *mark) set(note []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note = note
}
