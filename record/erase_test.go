package record_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

const year = 365 * 24 * time.Hour

// agedLedger is a ledger in which Alice did everything that people do, more than
// a year ago.
func agedLedger(t *testing.T) (*recordtest.World, *recordtest.Map) {
	t.Helper()
	w, m := newLedger(t)
	issue, err := w.Issue(m, w.Alice, w.Granted(m, 0), w.Key())
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(issue))
	m.Clock += micros(year + 24*time.Hour)
	return w, m
}

func TestPromiseP13_ErasingTakesTwoPeople(t *testing.T) {
	t.Parallel()
	w, m := agedLedger(t)
	honest := plain(w.Erase(m, w.Chris, w.Dana, w.Alice))
	text := w.EraseDoc(m, w.Alice)
	by := func(signers ...ssh.Signer) recordtest.Draft { return plain(w.Erased(m, text, signers...)) }
	bend := func(f func(*record.PersonErase)) recordtest.Draft {
		return bent(honest, func(e *record.PersonErase) {
			e.Signatures, e.People = slices.Clone(e.Signatures), slices.Clone(e.People)
			f(e)
		})
	}
	other, err := record.NewEraseDoc("ledger.example/other", []canon.ID{w.Alice.Person}, record.GroundRequest, m.Clock)
	if err != nil {
		t.Fatal(err)
	}
	expires := func(d time.Duration) recordtest.Draft {
		text, err := record.NewEraseDoc(recordtest.Origin, []canon.ID{w.Alice.Person}, record.GroundOrder, m.Clock+micros(d))
		if err != nil {
			t.Fatal(err)
		}
		return plain(w.Erased(m, string(text), w.Chris, w.Dana))
	}
	refuses(t, m, honest, []refusal{
		{"by one", by(w.Chris), record.ErrSigners},
		{"by one, twice", bend(func(e *record.PersonErase) { e.Signatures[1] = e.Signatures[0] }), record.ErrEvent},
		{"by one and a stranger", by(w.Chris, w.Key()), record.ErrSigners},
		{"by one and her device key", by(w.Chris, w.Alice.Device), contract.ErrNotSignatory},
		{"by two and a stranger", by(w.Chris, w.Dana, w.Key()), contract.ErrNotSignatory},
		{"out of order", bend(func(e *record.PersonErase) { slices.Reverse(e.Signatures) }), record.ErrEvent},
		{"signed in another namespace", bend(func(e *record.PersonErase) {
			e.Signatures[0] = w.Signature(w.Chris, sshcert.NamespaceContract, text)
			e.Signatures[1] = w.Signature(w.Dana, sshcert.NamespaceContract, text)
			slices.Sort(e.Signatures)
		}), record.ErrDocument},
		{"for another person", bend(func(e *record.PersonErase) { e.People[0] = w.Bob.Person }), record.ErrDocument},
		{"for nobody", plain(w.Erased(m, w.EraseDoc(m, w.User("nobody")), w.Chris, w.Dana)), record.ErrNotFound},
		{"of another ledger", plain(w.Erased(m, string(other), w.Chris, w.Dana)), record.ErrDocument},
		{"too late", expires(-time.Second), record.ErrDocument},
		{"signed for months ahead", expires(record.EraseLife + 2*time.Minute), record.ErrDocument},
		{"no document", bend(func(e *record.PersonErase) { e.Document = "{}" }), record.ErrDocument},
		{"a document that was changed", bend(func(e *record.PersonErase) {
			e.Document = strings.ReplaceAll(e.Document, "request", "order")
		}), record.ErrDocument},
	})
	appendAll(t, m, honest)
	if err := m.Check(plain(w.Erase(m, w.Chris, w.Dana, w.Alice))); !errors.Is(err, record.ErrErased) {
		t.Errorf("a second time: %v", err)
	}
}

// One human is one, whatever the keys and names that contracts know them by.
func TestPromiseP04_OneSignatoryCountsOnce(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	// A second contract knows both by other keys.
	chris, dana := w.Chris, w.Dana
	w.Chris, w.Dana = w.Key(), w.Key()
	v := w.Contract("second", "")
	appendAll(t, m, plain(w.Propose(m, v)), plain(w.Sign(m, v, "chris")), plain(w.Sign(m, v, "dana")))
	second, third := w.Chris, w.Dana
	w.Chris, w.Dana = chris, dana
	logIn(t, w, m, w.Alice)
	m.Clock += micros(year + time.Hour)
	text := w.EraseDoc(m, w.Alice)
	for name, tt := range map[string]struct {
		by   []ssh.Signer
		want error
	}{
		"one name, two keys":          {[]ssh.Signer{w.Chris, second}, record.ErrSigners},
		"the other name, two keys":    {[]ssh.Signer{w.Dana, third}, record.ErrSigners},
		"two people of one contract":  {[]ssh.Signer{w.Chris, w.Dana}, record.ErrSigners},
		"one of each":                 {[]ssh.Signer{w.Chris, third}, record.ErrSigners},
		"both with each of their own": {[]ssh.Signer{w.Chris, second, w.Dana, third}, nil},
	} {
		if err := m.Check(plain(w.Erased(m, text, tt.by...))); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// Two names and two keys that another contract puts together are one human, also
// where there is somebody else who could sign.
func TestPromiseP04_OneSignatoryUnderTwoNames(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	m := w.NewMap()
	eve := w.Key()
	withEve := func(id string) *contract.Version {
		files := maps.Clone(w.Contract(id, "").Files)
		delete(files, contract.ManifestFile)
		line := "of: {eve: " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(eve.PublicKey()))) + ", chris:"
		files[contract.TermsFile] = []byte(strings.Replace(string(files[contract.TermsFile]), "of: {chris:", line, 1))
		manifest, err := contract.NewManifest(files)
		if err != nil {
			t.Fatal(err)
		}
		files[contract.ManifestFile] = manifest
		v, err := contract.Load(files)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	w.Version = withEve("acme")
	appendAll(t, m, plain(w.Open(m)), plain(w.Propose(m, w.Version)), plain(w.Sign(m, w.Version, "chris")), plain(w.Sign(m, w.Version, "dana")))
	chris, dana := w.Chris, w.Dana
	w.Chris, w.Dana = w.Key(), chris // in the other contract Chris's key is Dana's
	other := withEve("other")
	appendAll(t, m, plain(w.Propose(m, other)), plain(w.Sign(m, other, "chris")), plain(w.Sign(m, other, "dana")))
	third := w.Chris
	logIn(t, w, m, w.Alice)
	m.Clock += micros(year + time.Hour)
	text := w.EraseDoc(m, w.Alice)
	if err := m.Check(plain(w.Erased(m, text, chris, dana, third))); !errors.Is(err, record.ErrSigners) {
		t.Errorf("by one human with three keys: %v, want ErrSigners", err)
	}
	if err := m.Check(plain(w.Erased(m, text, chris, dana, third, eve))); err != nil {
		t.Errorf("by two: %v", err)
	}
}

// Where there are not two people who could sign, nobody is asked to.
func TestErasingNeedsTwoWhoCouldSign(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	m := w.NewMap()
	appendAll(t, m, plain(w.Open(m)))
	logIn(t, w, m, w.Alice)
	if _, err := record.Erasable(m, w.Alice.Person, m.Clock); !errors.Is(err, record.ErrSigners) || !strings.Contains(err.Error(), "no contract is in force") {
		t.Errorf("without a contract: %v", err)
	}
	// Chris and Dana are one human, as another contract knows one key by both names.
	chris, dana := w.Chris, w.Dana
	v := w.Contract("acme", "")
	w.Chris, w.Dana = w.Key(), chris
	other := w.Contract("other", "")
	appendAll(t, m, plain(w.Propose(m, other)), plain(w.Sign(m, other, "chris")), plain(w.Sign(m, other, "dana")))
	w.Chris, w.Dana = chris, dana
	appendAll(t, m, plain(w.Propose(m, v)), plain(w.Sign(m, v, "chris")), plain(w.Sign(m, v, "dana")))
	m.Clock += micros(year + time.Hour)
	if _, err := record.Erasable(m, w.Alice.Person, m.Clock); !errors.Is(err, record.ErrSigners) || !strings.Contains(err.Error(), "has only one") {
		t.Errorf("with one human for both names: %v", err)
	}
	if err := m.Check(plain(w.Erase(m, w.Chris, w.Dana, w.Alice))); !errors.Is(err, record.ErrSigners) {
		t.Errorf("signed by both names: %v", err)
	}
}

// Nobody is erased before every contract lets them go, nor while what they do
// goes on; the refusal says until when.
func TestPromiseP13_NotBeforeRetention(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	try := func(what string, want ...string) {
		t.Helper()
		err := m.Check(plain(w.Erase(m, w.Chris, w.Dana, w.Alice)))
		if len(want) == 0 && err != nil || len(want) > 0 && !errors.Is(err, record.ErrRetained) {
			t.Errorf("%s: %v", what, err)
		}
		for _, text := range want {
			if err != nil && !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, want %q in it", what, err, text)
			}
		}
	}
	ask := w.Ask(m, w.Alice)
	appendAll(t, m, w.Submit(m, w.Alice, ask))
	try("while a request is open", "request "+string(ask.Doc.Request)+" is open")
	appendAll(t, m, w.Decide(m, w.Bob, w.Request(m, ask.Doc.Request), approval.Approve, 0))
	try("while a grant is active", "grant "+string(ask.Doc.Request)+" lasts until 2026-12-01T08:")
	grant, err := w.Request(m, ask.Doc.Request).Grant(w.Version.Terms)
	if err != nil {
		t.Fatal(err)
	}
	for m.Clock.Time().Before(grant.End) {
		m.Clock += micros(time.Minute)
	}
	from := grant.End.Add(year)
	try("after it", "contract acme keeps who somebody was for 365d after their last act under it (which is what a contract that says nothing asks for)",
		"until "+from.Format(time.RFC3339))
	m.Clock = canon.At(from) - 1
	try("a microsecond before", "until "+from.Format(time.RFC3339))
	m.Clock++
	try("from then on")
	logIn(t, w, m, w.Alice)
	try("after another login", "365d")
	if e, err := record.Erasable(m, w.Alice.Person, m.Clock); !errors.Is(err, record.ErrRetained) || len(e.About) != 1 || !e.From.After(from) {
		t.Errorf("%+v, %v", e, err)
	}
}

// Who decided on a request that is open stays known: with another account they
// would count again.
func TestPromiseP04_WhoDecidedIsKnownWhileItCounts(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	m.Clock += micros(year)
	logIn(t, w, m, w.Alice, w.Bob, w.Carol)
	ask := w.Ask(m, w.Alice)
	ask.Doc.Role, ask.Doc.Logins = "admin", []sshcert.Login{"root"}
	appendAll(t, m, w.Submit(m, w.Alice, ask))
	appendAll(t, m, w.Decide(m, w.Bob, w.Request(m, ask.Doc.Request), approval.Approve, 0))
	err := m.Check(plain(w.Erase(m, w.Chris, w.Dana, w.Bob)))
	if !errors.Is(err, record.ErrRetained) || !strings.Contains(err.Error(), "on which they decided, is open") {
		t.Errorf("%v", err)
	}
}

// Every account that is known of a human goes at once.
func TestPromiseP03_LinkedAccountsAreErasedTogether(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	appendAll(t, m, w.Link(m, w.Alice, w.Bob))
	m.Clock += micros(year + time.Hour)
	if err := m.Check(plain(w.Erase(m, w.Chris, w.Dana, w.Alice))); !errors.Is(err, record.ErrAccounts) {
		t.Errorf("one of two: %v", err)
	}
	if err := m.Check(plain(w.Erase(m, w.Chris, w.Dana, w.Alice, w.Bob, w.Carol))); !errors.Is(err, record.ErrAccounts) {
		t.Errorf("with somebody else: %v", err)
	}
	appendAll(t, m, plain(w.Erase(m, w.Chris, w.Dana, w.Alice, w.Bob)))
	if err := m.Check(w.Link(m, w.Alice, w.Carol)); !errors.Is(err, record.ErrErased) {
		t.Errorf("a link to somebody erased: %v", err)
	}
}

// Somebody erased does nothing any more, and their account is somebody new's.
func TestPromiseP13_ErasedIsForGood(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	// The claims of the login are still good when its retention is over.
	w.Version = w.Contract("quick", "retention: {clause: §1, period: 10s}\n")
	m := w.NewMap()
	w.Setup(m)
	old := *w.Alice
	key := record.IdentityKey(recordtest.Issuer, w.Alice.Subject)
	if _, err := m.Row(record.TableIdentity, key); err != nil {
		t.Fatal(err)
	}
	ask := w.Ask(m, w.Alice)
	appendAll(t, m, w.Submit(m, w.Alice, ask))
	appendAll(t, m, plain(w.Cancel(m, w.Alice, w.Request(m, ask.Doc.Request))))
	m.Clock += micros(11 * time.Second)
	link := w.Link(m, w.Alice, w.Bob)
	appendAll(t, m, plain(w.Erase(m, w.Chris, w.Dana, w.Alice)))
	if _, err := m.Row(record.TableIdentity, key); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("the account is still known: %v", err)
	}
	if keys, err := m.Keys(record.TableIdentity, record.Index{Name: "person", Value: string(old.Person)}); err != nil || len(keys) != 0 {
		t.Errorf("it is still listed: %q, %v", keys, err)
	}
	for name, d := range map[string]recordtest.Draft{
		"logs in": w.Login(m, &old), "asks": w.Submit(m, &old, w.Ask(m, &old)), "is linked": link,
		"has groups": plain(w.Snapshot(m, &old, old.Claims.Login)),
	} {
		if err := m.Check(d); !errors.Is(err, record.ErrErased) {
			t.Errorf("somebody erased %s: %v", name, err)
		}
	}
	again := *w.Alice
	again.Person, again.Device = w.ID(), w.Key()
	if err := w.LogIn(m, &again); err != nil {
		t.Errorf("the account, as somebody new: %v", err)
	}
	if id, err := record.Identity(m, recordtest.Issuer, again.Subject); err != nil || id != again.Person {
		t.Errorf("it is %s, %v", id, err)
	}
}
