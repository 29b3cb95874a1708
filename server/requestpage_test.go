package server_test

import (
	"crypto/rand"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// TestForeseenCertificate compares what the page says of the certificate that
// would be signed with the one that is.
func TestForeseenCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(func(a *ask) { a.Hosts = append(a.Hosts, "web-2.demo") })
	bob, page := w.signIn("bob", requestPath(q.ID))
	before := page.Text()
	bob.press(page, q.ID, "Approve", map[string]string{"minutes": "10"})
	into[api.Certificate](t, alice.call("/v1/grants/"+string(q.ID)+"/certificates", alice.issueBody(q, newKey(t))), 200)
	issued := into[api.Certificate](t, alice.call("/v1/grants/"+string(q.ID)+"/certificates", alice.issueBody(q, newKey(t))), 200)
	parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(issued.Certificate))
	must(t, err)
	cert := parsed.(*ssh.Certificate)

	said, err := sshcert.ParseKeyID(regexp.MustCompile(`p=\S+;e=\d+`).FindString(before))
	must(t, err)
	is, err := sshcert.ParseKeyID(cert.KeyId)
	must(t, err)
	if d := is.End.Sub(said.End); d < 0 || d > time.Minute { // it was approved a moment later
		t.Errorf("the grant ends %s later than the page said", d)
	}
	if said.End = is.End; said != is {
		t.Errorf("the page said %s, it is %s", said, is)
	}
	contains(t, before, append(slices.Sorted(maps.Keys(cert.Extensions)), cert.ValidPrincipals...)...)
	contains(t, before, "Critical options\nnone", "2 minutes at most, renewed while the grant lasts", ssh.FingerprintSHA256(w.ca))

	after := bob.open(requestPath(q.ID))
	contains(t, after.Text(), "Certificates\nserial "+itoa(int64(issued.Serial)), "a certificate is on record", "What each certificate says")
	if n := strings.Count(after.Text(), "serial "+itoa(int64(issued.Serial))); n != 1 || strings.Count(after.Text(), "valid ") < 2 {
		t.Errorf("not two certificates, the newest first:\n%s", after.Text())
	}
	to, err := bob.Follow(t.Context(), after, "serial "+itoa(int64(issued.Serial)))
	must(t, err)
	contains(t, to.Text(), "Ledger entry "+itoa(int64(issued.Serial)-1), "certificate.issue", issued.Certificate, "sally ledger show --leaf "+itoa(int64(issued.Serial)-1))
	must(t, w.store.Write(t.Context(), func(tx *store.Tx) error {
		row, err := record.Certificate(tx, issued.Serial)
		if err != nil {
			return err
		}
		_, err = tx.Append(store.Draft{Facts: record.CertificateVoid{At: tx.Now(), Void: newCanonID(t), Lineage: w.version.Lineage(), Serial: issued.Serial, Leaf: row.Leaf}})
		return err
	}))
	contains(t, bob.open(requestPath(q.ID)).Text(), "never signed")
}

func newCanonID(t testing.TB) canon.ID {
	t.Helper()
	id, err := canon.NewID(rand.Reader)
	must(t, err)
	return id
}

// TestPageSaysUnderWhat: the clauses are there with the contract's own prose, as
// text.
func TestPageSaysUnderWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.logIn("alice").submit(nil)
	_, page := w.signIn("bob", requestPath(q.ID))
	contains(t, page.Text(), "Under which contract", "Access to <b>Acme</b>'s hosts (acme), version 1", "§1 Operators", "Engineers may work as ops & deploy <b>here</b>.",
		"- on hosts of the demo", "§2 Who decides", "A lead says yes.")
	admin := w.logIn("alice").submit(func(a *ask) { a.Role, a.Logins[0] = "admin", "root" })
	_, page = w.signIn("bob", requestPath(admin.ID))
	contains(t, page.Text(), "§3 Others", "The contract says no more under this heading.", "Stage leads 0 of 2 approvals", "Stage security 0 of 1 approvals",
		"It is asked when the stage before it has agreed.")
}

// TestWhoElseDecides: members of the stage's groups are named once they have
// signed in, those who can't decide are not.
func TestWhoElseDecides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice") // a lead, too
	q := alice.submit(func(a *ask) { a.Role, a.Logins[0] = "admin", "root" })
	bob, page := w.signIn("bob", requestPath(q.ID))
	contains(t, page.Text(), "Who else may decide: nobody else of leads has signed in here yet.")
	carol, _ := w.signIn("carol", "/")
	w.signIn("eve", "/")
	contains(t, bob.open(requestPath(q.ID)).Text(), "Who else may decide: Carol (user carol), of those who have signed in here.")
	own, _ := w.signIn("alice", requestPath(q.ID))
	contains(t, own.open(requestPath(q.ID)).Text(), "Who else may decide: Carol (user carol), Bob (bob@acme.test), of those")
	carol.press(carol.open(requestPath(q.ID)), q.ID, "Approve", nil)
	contains(t, bob.open(requestPath(q.ID)).Text(), "1 of 2 approvals", "nobody else of leads")
	contains(t, own.open(requestPath(q.ID)).Text(), "Who else may decide: Bob (bob@acme.test), of those")
	_, err := w.authority.LinkPeople(t.Context(), personOf(w, "bob"), alice.Person, "one desk")
	must(t, err)
	contains(t, own.open(requestPath(q.ID)).Text(), "nobody else of leads")
}

func personOf(w *world, username string) canon.ID { return w.logIn(username).Person }

// TestDecidedLately: the inbox lists what one decided, the latest first, with how
// it stands now.
func TestDecidedLately(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	bob, inbox := w.signIn("bob", "/")
	contains(t, inbox.Text(), "Waiting for you\nNothing.", "Decided by you lately\nNothing yet.")
	ids := make([]canon.ID, 12)
	for i := range ids {
		ids[i] = alice.submit(func(a *ask) { a.reason = "number " + itoa(int64(i)) }).ID
		verdict := "Approve"
		if i%2 == 1 {
			verdict = "Deny"
		}
		bob.press(bob.open(requestPath(ids[i])), ids[i], verdict, map[string]string{"minutes": "5"})
	}
	inbox = bob.open("/")
	_, lately, _ := strings.Cut(inbox.Body, "Decided by you lately")
	at := -1
	for i := len(ids) - 1; i >= 2; i-- {
		next := strings.Index(lately, requestPath(ids[i]))
		if next <= at {
			t.Errorf("number %d stands at %d, after %d", i, next, at)
		}
		at = next
	}
	if strings.Contains(lately, requestPath(ids[1])) {
		t.Error("more than ten are listed")
	}
	contains(t, inbox.Text(), "you approved 5 minutes, ", "you denied, ", "granted", "denied")
	_, other := w.signIn("carol", "/")
	contains(t, other.Text(), "Decided by you lately\nNothing yet.")
	w.clock.advance(6 * time.Minute)
	contains(t, bob.open("/").Text(), "over since ")
}

// TestPageCursor: pages that renew themselves say where, and what they show.
func TestPageCursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	q := w.logIn("alice").submit(nil)
	bob, page := w.signIn("bob", requestPath(q.ID))
	want := func(page, live, say string) {
		t.Helper()
		contains(t, page, `<main id="main" tabindex="-1" data-live="`+live+`" data-after="`+itoa(w.size()-1)+`" data-say="`+say+`">`, `role="status"`)
	}
	want(page.Body, requestPath(q.ID), "Your decision is asked for. 0 of 1 approvals, from leads.")
	want(bob.open("/").Body, "/", "1 request waits for you.")
	form := yes(t, page, q.ID)
	form.Set("minutes", "99")
	refused := bob.post(decisionsPath(q.ID), form, w.ownPage())
	if refused.status != http.StatusUnprocessableEntity {
		t.Fatalf("%d", refused.status)
	}
	want(string(refused.body), requestPath(q.ID), "Your decision is asked for. 0 of 1 approvals, from leads.")
	for _, path := range []string{"/logout", "/requests/x", "/ledger/0"} {
		if other := bob.open(path); strings.Contains(other.Body, "data-live") {
			t.Errorf("%s renews itself", path)
		}
	}
}

// TestEntryPage: an entry is shown as far as it is for the reader, and never what
// it hides about somebody else.
func TestEntryPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	alice.submit(nil)
	own, _ := w.signIn("alice", "/")
	eve, _ := w.signIn("eve", "/")
	for index := range w.size() {
		path := "/ledger/" + itoa(index)
		for name, b := range map[string]*browser{"alice": own, "eve": eve} {
			_, text, _ := strings.Cut(b.open(path).Text(), "← Ledger")
			contains(t, text, "Ledger entry "+itoa(index), "sallyport.ledger/v1", "Proof", "server.sallyport.test")
			secrets := []string{"eyJ", alice.bearer}
			if name == "eve" { // Alice's own words are for her alone
				secrets = append(secrets, "INC-42", "Ampère", "alice@acme.test")
			}
			for _, secret := range secrets {
				if strings.Contains(text, secret) || strings.Contains(b.open(path).Body, secret) && secret != "Ampère" {
					t.Errorf("%s reads %q in entry %d", name, secret, index)
				}
			}
			if !strings.Contains(text, "request.submit,") {
				continue
			}
			if told := strings.Contains(text, `"reason_words": 3`) && strings.Contains(text, "of this request"); told != (name == "alice") {
				t.Errorf("%s is told the facts: %t\n%s", name, told, text)
			}
			if refused := strings.Contains(text, "They are not for you to see."); refused != (name == "eve") {
				t.Errorf("%s is told that there are some: %t\n%s", name, refused, text)
			}
		}
	}
	for path, status := range map[string]int{
		"/ledger/x": 404, "/ledger/-1": 404, "/ledger/00": 404, "/ledger/" + itoa(w.size()): 404, "/ledger/99999999999999999999": 404, "/ledger/": 404,
	} {
		if page := own.open(path); page.Status != status {
			t.Errorf("%s: %d", path, page.Status)
		}
	}
	if r := w.send(http.MethodGet, "/ledger/0", nil, nil); r.status != http.StatusSeeOther {
		t.Errorf("without a session: %d", r.status)
	}
}
