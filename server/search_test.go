package server_test

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// TestSearch finds a request's entries by everything that they are about.
func TestSearch(t *testing.T) {
	t.Parallel()
	w := newAuditedWorld(t)
	alice, bob, granted, key := w.told()
	ada := w.logIn("ada")
	issue := entries(ada, "kind=certificate.issue").Entries
	if len(issue) != 1 {
		t.Fatalf("%d certificates", len(issue))
	}
	serial := ledger.Serial(issue[0].Index)
	for _, tt := range []struct{ query, want string }{
		{"request=" + string(granted.ID), "certificate.issue request.decide request.submit"},
		{"person=" + string(alice.Person) + "&login=root", "request.submit"},
		{"person=" + string(bob.Person) + "&host=web-1.demo", "request.decide"},
		{"key=" + url.QueryEscape(ssh.FingerprintSHA256(key.PublicKey())), "certificate.issue"},
		{"serial=" + strconv.FormatUint(serial, 10), "certificate.issue"},
		{"serial=" + strconv.FormatUint(serial-1, 10) + "&kind=certificate.issue", ""},
		{"contract=" + granted.Contract.Digest.String() + "&role=operator&kind=request.decide", "request.decide"},
		{"host=web-2.demo&login=root", ""},
		{"role=admin", "request.submit"},
		{"role=admin&kind=certificate.issue", ""},
		{"kind=request.submit&since=1h&order=oldest", "request.submit request.submit"},
		{"kind=request.submit&until=1h", ""},
		{"since=1h&kind=request.submit&text=ADMIN", "request.submit"}, // in the facts, large or small
		{"since=1h&text=words+of+bob", ""},                            // she has not asked for people
		{"since=1h&text=words+of+bob&people=1", "request.decide"},
		{"since=1h&text=words%25bob&people=1", ""}, // % is no wildcard
		{"since=1h&text=words_of_bob&people=1", ""},
		{"who=ALICE@acme.test&people=1&kind=certificate.issue", "certificate.issue"},
		{"who=nobody@acme.example&people=1", ""},
	} {
		var kinds []string
		for _, e := range entries(ada, tt.query).Entries {
			kinds = append(kinds, e.Kind)
		}
		if got := strings.Join(kinds, " "); got != tt.want {
			t.Errorf("%s finds %q, want %q", tt.query, got, tt.want)
		}
	}
	if n := len(entries(alice, "who=alice@acme.test&kind=request.submit").Entries); n != 2 {
		t.Errorf("Alice finds %d requests by her own address", n)
	}
	if n := len(entries(alice, "since=1h&text=words+of+bob").Entries); n != 0 {
		t.Errorf("Alice finds %d entries by the words of Bob", n)
	}
	if n := len(entries(bob, "person=me&kind=request.decide").Entries); n != 1 {
		t.Errorf("Bob finds %d decisions of his", n)
	}
	for _, tt := range []struct{ query, want string }{
		{"text=a&since=1h", "2 to 200 characters"},
		{"text=abc", "so say since when"},
		{"since=yesterday", "how long ago as 90m"},
		{"since=2026-01-02&until=2026-01-01", "ends before it begins"},
		{"host=A%20b", "a host's name"},
		{"serial=0", "from 1"},
		{"order=up", "newest or oldest"},
		{"key=MD5:00", "ssh-keygen -l"},
		{"contract=x", "digest"},
		{"person=alice", "who= takes a name"},
		{"who=a&person=me", "one of them"},
		{"cursor=abc", "none of this server's"},
		{"cursor=" + entries(ada, "limit=1").Next + "&host=web-1.demo", "of another search"},
		{"host=", "leave it out"},
		{"kind=Host", "a kind of entry"},
		{"role=A", "role's id"},
		{"request=1", "request's id"},
		{"login=", "leave it out"},
		{"limit=201", "1 to 200"},
		{"cursor=" + entries(ada, "limit=1").Next + "&before=3", "says it all"},
	} {
		if r := ada.call("/v1/ledger/entries?"+tt.query, nil); r.status != 422 || !strings.Contains(string(r.body), tt.want) {
			t.Errorf("%s: %d %s, want %s", tt.query, r.status, r.body, tt.want)
		}
	}
}

// TestSearchPages reads random searches page by page, as everybody, while the ledger
// grows, and compares them with a look at every entry that the person may see.
func TestSearchPages(t *testing.T) {
	t.Parallel()
	w := newAuditedWorld(t)
	alice, bob, granted, key := w.told()
	ada, eve := w.logIn("ada"), w.logIn("eve")
	size := w.size()
	pool := map[string][]string{
		"person": {string(alice.Person), string(bob.Person), "me"}, "host": {"web-1.demo", "web-2.demo"}, "login": {"ops", "root"},
		"role": {"operator", "admin"}, "request": {string(granted.ID)}, "contract": {granted.Contract.Digest.String()},
		"key":  {ssh.FingerprintSHA256(key.PublicKey()), ssh.FingerprintSHA256(alice.device.PublicKey())},
		"kind": {"request.submit", "request.decide", "person.login", "host.join"}, "text": {"ops", "alice", "web-1", "Words"}, "order": {"oldest", "newest"},
	}
	names := []string{"person", "host", "login", "role", "request", "contract", "key", "kind", "text", "order"}
	r := rand.New(rand.NewPCG(3, 4)) // the same in each run
	people := map[string]*cli{"ada": ada, "alice": alice, "eve": eve}
	for n := range 60 {
		name := []string{"ada", "alice", "eve"}[n%3]
		c := people[name]
		values := url.Values{"limit": {strconv.Itoa(1 + r.IntN(4))}, "until": {w.clock.Now().Add(time.Second).UTC().Format(time.RFC3339Nano)}}
		for range r.IntN(4) {
			k := names[r.IntN(len(names))]
			values.Set(k, pool[k][r.IntN(len(pool[k]))])
		}
		if values.Has("text") {
			values.Set("since", "1h")
		}
		want := w.naive(c, values, size)
		var got []int64
		for calls := 0; ; calls++ {
			page := entries(c, values.Encode())
			for _, e := range page.Entries {
				if e.Index < size {
					got = append(got, e.Index)
				}
			}
			if calls == 1 {
				w.clock.advance(time.Second)
				w.logIn("carol") // the ledger grows between two pages
			}
			if values.Set("cursor", page.Next); page.Next == "" || calls > 200 {
				break
			}
		}
		if !slices.Equal(got, want) {
			values.Del("cursor")
			t.Errorf("%s reads %s: %v, want %v", name, values.Encode(), got, want)
		}
	}
}

// naive is a search by a look at everything that a person is shown.
func (w *world) naive(c *cli, values url.Values, size int64) (out []int64) {
	w.t.Helper()
	narrows := slices.ContainsFunc([]string{"person", "host", "login", "role", "request", "contract", "key", "text"}, values.Has)
	before := size
	for before > 0 {
		page := entries(c, fmt.Sprintf("limit=200&before=%d", before))
		for _, e := range page.Entries {
			before = e.Index
			if e.Facts == "" && narrows || !w.says(c, e, values) {
				continue
			}
			out = append(out, e.Index)
		}
	}
	if values.Get("order") == "oldest" {
		slices.Reverse(out)
	}
	return out
}

func (w *world) says(c *cli, e api.Entry, values url.Values) (ok bool) {
	w.t.Helper()
	ok = true
	must(w.t, w.store.Read(w.t.Context(), func(r *store.Reader) error {
		stored, err := r.Entry(e.Index)
		must(w.t, err)
		facts, err := record.ParseFacts(stored.Leaf.Kind, stored.Opening.Facts)
		must(w.t, err)
		said, err := record.Mentions(r, facts)
		for _, name := range record.MentionNames() {
			value := values.Get(string(name))
			if value == "me" {
				value = string(c.Person)
			}
			ok = ok && (value == "" || slices.Contains(said, record.Mention{Name: name, Value: value}))
		}
		return err
	}))
	text := strings.ToLower(values.Get("text"))
	person := e.Person
	if i := strings.Index(person, `"id_token"`); i >= 0 { // not among what is searched, nor is what is sorted behind it
		rest := person[i:]
		person = person[:i] + rest[strings.Index(rest, `,"name"`)+1:]
	}
	return ok && (strings.Contains(strings.ToLower(e.Facts), text) || strings.Contains(strings.ToLower(person), text))
}

// TestSearchForwards follows a ledger that grows: each entry once, in order, also
// with a cursor that was at the end.
func TestSearchForwards(t *testing.T) {
	t.Parallel()
	w := newAuditedWorld(t)
	ada := w.logIn("ada")
	next := entries(ada, "order=oldest&limit=200").Next
	from := w.size()
	var got []int64
	for range 3 {
		w.logIn("alice")
		for {
			page := entries(ada, "order=oldest&limit=1&cursor="+next)
			if page.Next == "" {
				t.Fatal("a search without an end ended")
			}
			next = page.Next
			if len(page.Entries) == 0 {
				break
			}
			got = append(got, page.Entries[0].Index)
		}
	}
	for i, index := range got {
		if index != from+int64(i) {
			t.Fatalf("it follows %v, from %d on", got, from)
		}
	}
	if end := w.size(); from+int64(len(got)) != end {
		t.Errorf("it followed up to %d of %d", from+int64(len(got)), end)
	}
}
