package server_test

import (
	crand "crypto/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/server"
)

// auditedTerms are the terms with auditors.
func auditedTerms() string {
	s := strings.Replace(terms, "  security: oidc:lab/security\n", "  security: oidc:lab/security\n  auditors: oidc:lab/auditors\n", 1)
	return strings.Replace(s, "ceilings:", "offices: {auditor: [auditors]}\nceilings:", 1)
}

// newAuditedWorld is a world with Ada, an auditor, and a second contract whose
// auditor nobody is.
func newAuditedWorld(t *testing.T) *world {
	t.Helper()
	return makeWorld(t, auditedTerms(), func(c *server.Config) { c.Limits.Login, c.Limits.Person = 6000, 600_000 },
		idp.Account{Username: "ada", Password: "ada-pw", Name: "Ada Auditor", Email: "ada@acme.example", Groups: []string{"auditors"}})
}

// readings returns the readings that the ledger has.
func (w *world) readings() (out []record.PersonRead) {
	w.t.Helper()
	must(w.t, w.store.Read(w.t.Context(), func(r *store.Reader) error {
		all, err := r.EntriesFrom(0, 10_000)
		for _, e := range all {
			if e.Leaf.Kind != ledger.PersonRead {
				continue
			}
			facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
			must(w.t, err)
			read, ok := facts.(record.PersonRead)
			if !ok {
				w.t.Fatalf("%T", facts)
			}
			out = append(out, read)
		}
		return err
	}))
	return out
}

// told is a small story: Alice asks twice, Bob approves one, she gets in.
func (w *world) told() (alice, bob *cli, granted api.Request, key ssh.Signer) {
	w.t.Helper()
	alice, bob = w.logIn("alice"), w.logIn("bob")
	granted = alice.submit(nil)
	b, page := w.signIn("bob", requestPath(granted.ID))
	b.press(page, granted.ID, "Approve", map[string]string{"words": "words of bob"})
	key = newKey(w.t)
	into[api.Certificate](w.t, alice.call("/v1/grants/"+string(granted.ID)+"/certificates", alice.issueBody(granted, key)), 200)
	alice.submit(func(a *ask) { a.Role, a.Logins[0] = "admin", "root" })
	return alice, bob, granted, key
}

func entries(c *cli, query string) api.Entries {
	c.w.t.Helper()
	return into[api.Entries](c.w.t, c.call("/v1/ledger/entries?"+query, nil), 200)
}

// TestPromiseP13_AnAuditorsReadingIsRecorded: by the contract's office an auditor
// sees the facts of everything in it; person parts about others only when asked for,
// and then the reading stands in the ledger before the answer.
func TestPromiseP13_AnAuditorsReadingIsRecorded(t *testing.T) {
	t.Parallel()
	w := newAuditedWorld(t)
	alice, _, granted, _ := w.told()
	ada := w.logIn("ada")
	list := entries(ada, "limit=200")
	own := 0
	for _, e := range list.Entries {
		checkOpening(t, e)
		if e.Facts == "" {
			t.Errorf("the auditor is not shown the facts of entry %d, %s", e.Index, e.Kind)
		}
		if e.Person != "" {
			own++
			if !strings.Contains(e.Facts, string(ada.Person)) {
				t.Errorf("without asking for it she is shown a person part: %s", e.Person)
			}
		}
	}
	if n := len(w.readings()); n != 0 || own == 0 {
		t.Fatalf("%d readings are recorded of facts alone, %d parts are her own", n, own)
	}

	before := w.size()
	list = entries(ada, "people=1&limit=200")
	var shown []int64
	for _, e := range list.Entries {
		checkOpening(t, e)
		if e.Person != "" && !strings.Contains(e.Facts, string(ada.Person)) {
			shown = append(shown, e.Index)
		}
	}
	slices.Sort(shown)
	got := w.readings()
	if len(got) != 1 || !slices.Equal(got[0].Leaves, shown) || len(shown) < 4 || got[0].How != record.ReadList ||
		got[0].Person != ada.Person || got[0].First != 0 || got[0].Last != before-1 || got[0].Count != int64(len(shown)) || got[0].Query.IsZero() {
		t.Errorf("shown are %v, recorded is %+v", shown, got)
	}

	// One entry.
	submit := slices.IndexFunc(list.Entries, func(e api.Entry) bool { return e.Kind == "request.submit" })
	index := list.Entries[submit].Index
	if one := into[api.EntryProof](t, ada.call("/v1/ledger/entries/"+itoa(index), nil), 200); one.Person != "" || one.Facts == "" {
		t.Errorf("an entry without asking for people: %q", one.Person)
	}
	if one := into[api.EntryProof](t, ada.call("/v1/ledger/entries/"+itoa(index)+"?people=1", nil), 200); !strings.Contains(one.Person, "reason") {
		t.Errorf("an entry with people: %q", one.Person)
	}
	got = w.readings()
	if last := got[len(got)-1]; len(got) != 2 || last.How != record.ReadEntry || !slices.Equal(last.Leaves, []int64{index}) {
		t.Errorf("of an entry is recorded %+v", got)
	}
	// What has no person part about anybody else is no reading.
	for _, path := range []string{"/v1/ledger/entries/0?people=1", "/v1/ledger/entries?people=1&kind=ledger.open"} {
		into[map[string]any](t, ada.call(path, nil), 200)
	}
	if n := len(w.readings()); n != 2 {
		t.Errorf("%d readings; what shows nothing of others is none", n)
	}
	// Searched in vain is a reading, too: it tells that there is none.
	if none := entries(ada, "people=1&since=1h&text=nobody-wrote-this"); len(none.Entries) != 0 {
		t.Errorf("found %+v", none)
	}
	got = w.readings()
	if last := got[len(got)-1]; len(got) != 3 || last.Count != 0 || last.Leaves != nil {
		t.Errorf("of a search in vain is recorded %+v", last)
	}
	// An export.
	r := ada.call("/v1/ledger/export?people=1", nil)
	if r.status != 200 || !strings.Contains(string(r.body), "words of bob") {
		t.Errorf("an export with people: %d", r.status)
	}
	got = w.readings()
	if last := got[len(got)-1]; len(got) != 4 || last.How != record.ReadExport || last.Count < int64(len(shown)) || last.Leaves != nil {
		t.Errorf("of an export is recorded %+v", last)
	}
	if r := ada.call("/v1/ledger/export", nil); r.status != 200 || strings.Contains(string(r.body), "words of bob") || !strings.Contains(string(r.body), string(granted.ID)) {
		t.Errorf("an export without people: %d", r.status)
	}
	if n := len(w.readings()); n != 4 {
		t.Errorf("%d readings after an export of facts", n)
	}
	// The reader sees what is recorded of her, others don't.
	seen := func(c *cli) (n int) {
		for _, e := range entries(c, "limit=200&kind=person.read").Entries {
			if e.Facts != "" {
				n++
			}
		}
		return n
	}
	if a, b := seen(ada), seen(alice); a != 4 || b != 0 {
		t.Errorf("the auditor sees %d of her readings, Alice %d", a, b)
	}
}

// TestPromiseP13_NamesInVain: that a name is several people's is told after it is
// recorded that everybody's was looked at.
func TestPromiseP13_NamesInVain(t *testing.T) {
	t.Parallel()
	w := makeWorld(t, auditedTerms(), func(c *server.Config) { c.Limits.Login, c.Limits.Person = 6000, 600_000 },
		idp.Account{Username: "ada", Password: "ada-pw", Name: "Ada Auditor", Email: "ada@acme.example", Groups: []string{"auditors"}},
		idp.Account{Username: "one", Password: "one-pw", Name: "Twin Name", Email: "one@acme.example", Groups: []string{"leads"}},
		idp.Account{Username: "two", Password: "two-pw", Name: "Twin Name", Email: "two@acme.example", Groups: []string{"leads"}})
	w.logIn("one")
	w.logIn("two")
	ada := w.logIn("ada")
	size := w.size()
	r := ada.call("/v1/ledger/entries?people=1&who=twin+name", nil)
	if r.status != 422 || !strings.Contains(string(r.body), "2 people are called that") {
		t.Errorf("a name that two people have: %d %s", r.status, r.body)
	}
	got := w.readings()
	if len(got) != 1 || got[0].First != 0 || got[0].Last != size-1 || got[0].Count != 0 || got[0].Person != ada.Person {
		t.Errorf("of it is recorded %+v", got)
	}
	// Who may not ask for others' names reads none.
	if r := ada.call("/v1/ledger/entries?who=twin+name", nil); r.status != 403 || len(w.readings()) != 1 {
		t.Errorf("without asking for people: %d %s, %d readings", r.status, r.body, len(w.readings()))
	}
}

// TestPromiseP13_AShortLedgerTellsNothing: in a ledger that is no longer than one
// window, too, a search for somebody of whom much is hidden is answered as one for
// nobody.
func TestPromiseP13_AShortLedgerTellsNothing(t *testing.T) {
	t.Parallel()
	w := newAuditedWorld(t)
	w.logIn("alice")
	ada, bob := w.logIn("ada"), w.logIn("bob")
	entries(ada, "people=1")
	again := w.readings()[0]
	must(t, w.store.Write(t.Context(), func(tx *store.Tx) error { // more of Ada than a page looks at
		for range 1100 {
			id, err := canon.NewID(crand.Reader)
			if err != nil {
				return err
			}
			again.Read, again.At = id, tx.Now()
			if _, err := tx.Append(store.Draft{Facts: again}); err != nil {
				return err
			}
		}
		return nil
	}))
	for _, order := range []string{"", "&order=oldest&before=" + itoa(w.size())} {
		somebody, nobody := entries(bob, "person="+string(ada.Person)+order), entries(bob, "person="+strings.Repeat("a", 26)+order)
		if len(somebody.Entries) != 0 || somebody.Searched != nobody.Searched || somebody.Next != "" || nobody.Next != "" {
			t.Errorf("%q: of Ada he is told %d entries up to %d, next %q; of nobody up to %d, next %q", order,
				len(somebody.Entries), somebody.Searched, somebody.Next, nobody.Searched, nobody.Next)
		}
	}
}

// TestPromiseP13_FollowingIsNoReadingOfItself: who follows the ledger for a text has
// recorded what people wrote meanwhile, not that the last look was recorded.
func TestPromiseP13_FollowingIsNoReadingOfItself(t *testing.T) {
	t.Parallel()
	w := newAuditedWorld(t)
	alice, ada := w.logIn("alice"), w.logIn("ada")
	query := "people=1&since=1h&text=nobody-wrote-this&order=oldest"
	page := entries(ada, query+"&limit=200")
	if n := len(w.readings()); n != 1 || page.Next == "" {
		t.Fatalf("%d readings of a search in vain, next %q", n, page.Next)
	}
	look := func() {
		size := w.size()
		for page = entries(ada, query+"&cursor="+page.Next); page.Searched < size; {
			page = entries(ada, query+"&cursor="+page.Next)
		}
	}
	for range 5 {
		look()
	}
	if n := len(w.readings()); n != 1 {
		t.Errorf("%d readings after five looks at nothing of anybody", n)
	}
	alice.submit(nil)
	for range 5 {
		look()
	}
	if got := w.readings(); len(got) != 2 || got[1].Count != 0 {
		t.Errorf("of one more request, looked at in vain, is recorded %+v", got)
	}
}

// TestPromiseP13_NoNameIsKeptOfASearch: what is recorded of a search says where was
// looked, not for which name or text: that could be guessed, also of somebody erased.
func TestPromiseP13_NoNameIsKeptOfASearch(t *testing.T) {
	t.Parallel()
	w := newAuditedWorld(t)
	w.told()
	ada := w.logIn("ada")
	queries := []string{
		"people=1&who=alice%40acme.test", "people=1&who=bob%40acme.test", "people=1&since=1h&text=words+of+bob", "people=1&since=1h&text=incident",
	}
	for _, query := range queries {
		entries(ada, query)
	}
	got := w.readings()
	if len(got) != len(queries) {
		t.Fatalf("%d readings of %d searches", len(got), len(queries))
	}
	for i, want := range []string{"people=1&who=%2A", "people=1&who=%2A", "people=1&since=1h&text=%2A", "people=1&since=1h&text=%2A"} {
		if got[i].Query != canon.Sum("sallyport.query/v1", []byte(want)) {
			t.Errorf("of %s is recorded another digest than of %s", queries[i], want)
		}
	}
	// A cursor is of one search all the same.
	next := entries(ada, "people=1&since=1h&text=acme&limit=1").Next
	if r := ada.call("/v1/ledger/entries?people=1&since=1h&text=other&limit=1&cursor="+next, nil); next == "" || r.status != 422 {
		t.Errorf("with the cursor of another text, %q: %d %s", next, r.status, r.body)
	}
}

// TestPromiseP13_AnExportIsWrittenAsItIsRecorded: who takes an export is settled
// once, so what is written is what was recorded, whatever time it is by then.
func TestPromiseP13_AnExportIsWrittenAsItIsRecorded(t *testing.T) {
	t.Parallel()
	w := newAuditedWorld(t)
	w.told()
	ada := w.logIn("ada")
	if r := ada.call("/v1/ledger/export", nil); r.status != 200 { // a checkpoint is signed over everything
		t.Fatalf("%d %s", r.status, r.body)
	}
	w.mark.mu.Lock()
	w.mark.saved = func() { w.clock.advance(20 * time.Minute) } // her claims are too old as soon as the reading is recorded
	w.mark.mu.Unlock()
	r := ada.call("/v1/ledger/export?people=1", nil)
	got := w.readings()
	if len(got) != 1 || got[0].How != record.ReadExport || got[0].Count == 0 {
		t.Fatalf("of an export is recorded %+v", got)
	}
	if w.clock.ahead.Load() == 0 {
		t.Error("no time went by while it was recorded")
	}
	if r.status != 200 || !strings.Contains(string(r.body), "words of bob") {
		t.Errorf("%d parts are recorded as shown, and she is answered %d %.200s", got[0].Count, r.status, r.body)
	}
}

// TestPromiseP13_NobodyElseReadsPeople: who holds no office, holds it no more, or
// has old claims is told so, sees nothing of others, and nothing is recorded.
func TestPromiseP13_NobodyElseReadsPeople(t *testing.T) {
	t.Parallel()
	w := newAuditedWorld(t)
	alice, bob, _, _ := w.told()
	ada := w.logIn("ada")
	none := w.logIn("nil")
	for name, c := range map[string]*cli{"alice": alice, "bob": bob, "none": none} {
		for _, path := range []string{"entries?people=1", "entries/3?people=1", "export?people=1", "entries?people=1&who=ada@acme.example", "entries?who=sam"} {
			if r := c.call("/v1/ledger/"+path, nil); r.status != 403 {
				t.Errorf("%s asks for %s: %d %s", name, path, r.status, r.body)
			}
		}
	}
	for _, path := range []string{"entries?people=2", "entries?people=", "entries/3?people=yes", "export?people=1&people=1", "export?since=1h"} {
		if r := ada.call("/v1/ledger/"+path, nil); r.status != 422 && r.status != 400 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	w.clock.advance(15*time.Minute + 5*time.Second)
	for _, path := range []string{"entries?people=1", "entries/3?people=1", "export?people=1", "export", "entries?host=web-1.demo"} {
		if r := ada.call("/v1/ledger/"+path, nil); r.status != 401 || !strings.Contains(string(r.body), "login-too-old") {
			t.Errorf("with old claims, %s: %d %s", path, r.status, r.body)
		}
	}
	for _, e := range entries(ada, "limit=200").Entries { // what everybody may see is there
		if e.Person != "" && !strings.Contains(e.Facts, string(ada.Person)) || e.Kind == "request.submit" && e.Facts != "" {
			t.Errorf("with old claims she is shown entry %d: %s", e.Index, e.Person)
		}
	}
	if n := len(w.readings()); n != 0 {
		t.Errorf("%d readings of nothing", n)
	}
}
