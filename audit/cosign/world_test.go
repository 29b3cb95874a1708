package cosign_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/cosign"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a ledger whose logins an identity provider has signed, a server that
// shows it, and a cosigner.
type world struct {
	t testing.TB
	w *recordtest.World
	m *recordtest.Map

	entries []audit.Entry // what the server shows: those of m, and what it made up
	hide    map[int64]bool
	bend    func(audit.FeedPage) audit.FeedPage
	pages   int

	dir    string
	keys   []oidc.Key // of the identity provider
	away   error      // why it can't be asked
	asked  int
	ahead  time.Duration // of the cosigner's clock before the ledger's
	alarms []cosign.Finding
	c      *cosign.Cosigner
	last   ledger.Checkpoint // cosigned
}

func newWorld(t testing.TB, seed string) *world {
	t.Helper()
	return newWorldOf(t, recordtest.New(t, seed))
}

func newWorldOf(t testing.TB, story *recordtest.World) *world {
	t.Helper()
	w := &world{t: t, w: story, hide: make(map[int64]bool), dir: t.TempDir()}
	w.keys = []oidc.Key{jwk(t, hostile.Keys().EC.Public(), "ec")}
	w.signTokens(hostile.SignEC(hostile.Keys().EC, false, 32))
	w.m = w.w.NewMap()
	w.w.Setup(w.m)
	w.open()
	return w
}

func jwk(t testing.TB, public any, id string) oidc.Key {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKey{Key: public, KeyID: id, Use: "sig"})
	must(t, err)
	key, err := oidc.ParseKey(string(text))
	must(t, err)
	return key
}

// signTokens has the ID tokens from now on signed in that way.
func (w *world) signTokens(sign func([]byte) []byte) {
	w.w.SpeakIDTokens()
	speak := w.w.Token
	w.w.Token = func(u *recordtest.User, f record.PersonLogin, rz canon.Digest) string {
		payload := strings.Split(speak(u, f, rz), ".")[1]
		input := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"ec"}`)) + "." + payload
		return input + "." + canon.B64(sign([]byte(input)))
	}
}

func (w *world) open() {
	w.t.Helper()
	if w.c != nil {
		must(w.t, w.c.Close())
	}
	c, err := cosign.Open(w.config())
	must(w.t, err)
	w.c = c
	w.t.Cleanup(func() { _ = c.Close() }) // some are closed before
}

func (w *world) config() cosign.Config {
	return cosign.Config{
		Dir: w.dir, Origin: recordtest.Origin, Lineage: w.w.Version.Lineage(), LogKeys: []string{w.w.LogKey}, UserCA: recordtest.Wire(w.w.CA.PublicKey()), Feed: w, Now: func() time.Time { return w.m.Clock.Time().Add(w.ahead) },
		Keys: func(context.Context, oidc.Issuer) ([]oidc.Key, error) {
			w.asked++
			return w.keys, w.away
		},
		Alarm: func(f cosign.Finding) { w.alarms = append(w.alarms, f) },
	}
}

// Page shows leaves as a server does: the lineage's opened, and what they rest on.
func (w *world) Page(_ context.Context, from, to int64) (audit.FeedPage, error) {
	w.pages++
	if from >= int64(len(w.entries)) {
		return audit.FeedPage{}, errors.New("there are no such leaves")
	}
	shown := make(map[int64]bool)
	var show func(e audit.Entry)
	show = func(e audit.Entry) {
		shown[e.Index] = true
		leaf, err := ledger.ParseLeaf(e.Text)
		must(w.t, err)
		facts, err := record.ParseFacts(leaf.Kind, e.Opening.Facts)
		must(w.t, err)
		for _, hash := range record.Named(facts) {
			for _, named := range w.entries {
				if l, _ := ledger.ParseLeaf(named.Text); canon.Digest(tlog.RecordHash(named.Text)) == hash && l.Lineage.IsZero() {
					show(named)
				}
			}
		}
		if at := w.renewed(e.Index, facts); at >= 0 {
			show(w.entries[at])
		}
	}
	to = min(to, from+7, int64(len(w.entries)))
	for _, e := range w.entries[from:to] {
		if leaf, err := ledger.ParseLeaf(e.Text); err == nil && (e.Index == 0 || leaf.Kind == ledger.KeyAdd || leaf.Lineage == w.w.Version.Lineage()) {
			show(e)
		}
	}
	var p audit.FeedPage
	for _, e := range w.entries[:to] {
		if !shown[e.Index] || w.hide[e.Index] {
			e.Opening = record.Opening{}
		}
		switch {
		case e.Index >= from:
			p.Leaves = append(p.Leaves, e)
		case shown[e.Index]:
			p.Named = append(p.Named, e)
		}
	}
	if w.bend != nil {
		p = w.bend(p)
	}
	return p, nil
}

// sync has the server show what the ledger has.
func (w *world) sync() {
	w.t.Helper()
	for _, e := range w.m.Entries[min(len(w.entries), len(w.m.Entries)):] {
		text, err := e.Leaf.Marshal()
		must(w.t, err)
		w.entries = append(w.entries, audit.Entry{Index: e.Index, Text: text, Opening: record.Opening{
			FactsSalt: e.Salt, Facts: e.Facts, PersonSalt: e.Draft.PersonSalt, Person: e.Person,
		}})
	}
}

// checkpoint is what the log signs over what the server shows.
func (w *world) checkpoint() ledger.Checkpoint {
	w.t.Helper()
	tree := ledger.Tree{}
	for _, e := range w.entries {
		var err error
		tree, _, err = tree.Append(tlog.RecordHash(e.Text))
		must(w.t, err)
	}
	root, err := tree.Root()
	must(w.t, err)
	return ledger.Checkpoint{Origin: recordtest.Origin, Size: tree.Size, Root: root}
}

// judge has the cosigner judge what the server shows now.
func (w *world) judge() error {
	w.t.Helper()
	c := w.checkpoint()
	err := w.c.Judge(w.t.Context(), w.last, c)
	if err == nil {
		w.last = c
	}
	return err
}

func (w *world) pass(d time.Duration) { w.m.Clock += canon.Micros(d.Microseconds()) }

func (w *world) append(d recordtest.Draft) canon.Digest {
	w.t.Helper()
	hash, err := w.m.Append(d)
	must(w.t, err)
	return hash
}

// issued is an honest certificate of Alice's, from her request on.
func (w *world) issued() record.CertificateIssue {
	w.t.Helper()
	f, err := w.w.Issue(w.m, w.w.Alice, w.w.Granted(w.m, 0), w.w.Key())
	must(w.t, err)
	w.append(recordtest.Draft{Facts: f})
	w.sync()
	return f
}

func (w *world) next() int64 { return int64(len(w.entries)) }

// force appends a leaf without asking anybody, as somebody can who has the
// database and the log key.
func (w *world) force(d recordtest.Draft) canon.Digest {
	w.t.Helper()
	e := audit.Entry{Index: w.next(), Opening: record.Opening{FactsSalt: w.w.Salt(), PersonSalt: d.PersonSalt}}
	var err error
	e.Opening.Facts, err = canon.Marshal(d.Facts)
	must(w.t, err)
	leaf := ledger.Leaf{
		Kind: d.Facts.Kind(), Lineage: d.Facts.InLineage(), Reference: d.Facts.Reference(), Facts: ledger.FactsCommitment(e.Opening.FactsSalt, e.Opening.Facts),
	}
	if d.Person != nil {
		e.Opening.Person, err = canon.Marshal(d.Person)
		must(w.t, err)
		if e.Opening.PersonSalt.IsZero() {
			e.Opening.PersonSalt = w.w.Salt()
		}
		leaf.Person = ledger.PersonCommitment(e.Opening.PersonSalt, e.Opening.Person)
	}
	e.Text, err = leaf.Marshal()
	must(w.t, err)
	w.entries = append(w.entries, e)
	return canon.Digest(tlog.RecordHash(e.Text))
}

// asked is a request of Alice's that is in the ledger, and nothing more.
func (w *world) askedFor() approval.Request {
	w.t.Helper()
	ask := w.w.Ask(w.m, w.w.Alice)
	w.append(w.w.Submit(w.m, w.w.Alice, ask))
	w.sync()
	return w.w.Request(w.m, ask.Doc.Request)
}

// decided forces a decision of u.
func (w *world) decided(u *recordtest.User, r approval.Request) canon.Digest {
	return w.force(w.w.Decide(w.m, u, r, approval.Approve, 0))
}

// made forces a certificate of u's under a request, with honest signatures of u's
// device and of a key.
func (w *world) made(u *recordtest.User, r approval.Request, leaf canon.Digest, bend ...func(*approval.Grant)) {
	w.t.Helper()
	g := approval.Grant{
		ID: r.ID, Person: r.By, Contract: r.Contract, Lineage: r.Lineage, Logins: r.Logins, Hosts: r.Hosts,
		Start: w.m.Clock.Time(), End: w.m.Clock.Time().Add(10 * time.Minute), TTL: 5 * time.Minute, Extensions: []string{"permit-pty"},
	}
	for _, b := range bend {
		b(&g)
	}
	key := w.w.Key()
	text, err := canon.Marshal(w.w.IssueDoc(w.m, u, r, key))
	must(w.t, err)
	nonce := w.w.Digest()
	cert, err := w.w.Certificate(g, key.PublicKey(), w.next(), nonce[:], w.m.Clock.Time())
	must(w.t, err)
	w.force(recordtest.Draft{Facts: record.CertificateIssue{
		At: w.m.Clock, Lineage: g.Lineage, Contract: g.Contract, Person: u.Person, Grant: r.ID, GrantLeaf: leaf, Claims: u.Claims,
		Serial: cert.Serial, Nonce: canon.B64(nonce[:]), TBS: canon.B64(sshcert.TBS(cert)), Document: string(text),
		DeviceSig: w.w.Signature(u.Device, sshcert.NamespaceDevice, string(text)), Possession: w.w.Signature(key, sshcert.NamespacePossession, string(text)),
	}})
}

// forgedLogin forces a login of somebody whom nobody knows, and the groups in it.
func (w *world) forgedLogin(u *recordtest.User) {
	w.t.Helper()
	login := w.w.Login(w.m, u)
	facts, ok := login.Facts.(record.PersonLogin)
	if !ok {
		w.t.Fatal("no login")
	}
	at := w.force(login)
	u.Claims = record.Claims{Login: at, Snapshot: w.force(recordtest.Draft{Facts: w.w.Snapshot(w.m, u, at)}), ClaimsAt: facts.ClaimsAt}
}
