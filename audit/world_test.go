package audit_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// fataler is what *testing.T, *testing.B and *testing.F have.
type fataler = recordtest.Fataler

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// told is a ledger that was told from beginning to end, and what a server has
// beside it.
type told struct {
	t   fataler
	w   *recordtest.World
	m   *recordtest.Map
	log *ledger.LogSigner
	// cosigners give their words on every checkpoint.
	cosigners []*ledger.CosignerSigner
}

// newTold is a ledger with what every story begins with. Its logins have ID tokens
// that say what the facts say.
func newTold(t fataler, seed string) told {
	t.Helper()
	w := recordtest.New(t, seed)
	w.SpeakIDTokens()
	m := w.NewMap()
	w.Setup(m)
	log, err := ledger.NewLogSigner(w.LogPrivate)
	must(t, err)
	return told{t: t, w: w, m: m, log: log}
}

func (b told) pass(d time.Duration) { b.m.Clock += canon.Micros(d.Microseconds()) }

func (b told) append(d recordtest.Draft) canon.Digest {
	b.t.Helper()
	hash, err := b.m.Append(d)
	must(b.t, err)
	return hash
}

// issue records a certificate of Alice's under a granted request.
func (b told) issue(r approval.Request) uint64 {
	b.t.Helper()
	f, err := b.w.Issue(b.m, b.w.Alice, r, b.w.Key())
	must(b.t, err)
	b.append(recordtest.Draft{Facts: f})
	return f.Serial
}

// wholeStory has a leaf of every kind: what is in youngStory, and a year later one
// of those who decided is erased.
func wholeStory(t fataler) told {
	t.Helper()
	b, erin := youngStory(t, told.revocations)
	b.pass(366 * 24 * time.Hour)
	b.append(recordtest.Draft{Facts: b.w.Erase(b.m, b.w.Chris, b.w.Dana, erin)})
	return b
}

// youngStory has a leaf of every kind but two: a request that three people decide
// in two stages, Erin the last of them, with a narrowed grant and two certificates,
// one of them void, a denial, a cancellation, a silence, a link, and something more
// before its end.
func youngStory(t fataler, more func(told)) (b told, erin *recordtest.User) {
	t.Helper()
	b = newTold(t, "whole story")
	w, m := b.w, b.m
	erin = w.User("erin", "owners")
	must(t, w.LogIn(m, erin))
	b.pass(20 * time.Second)
	silent := w.Ask(m, w.Alice)
	b.append(w.Submit(m, w.Alice, silent))
	denied := w.Ask(m, w.Alice)
	b.append(w.Submit(m, w.Alice, denied))
	b.append(w.Decide(m, w.Carol, w.Request(m, denied.Doc.Request), approval.Deny, 0))
	cancelled := w.Ask(m, w.Alice)
	b.append(w.Submit(m, w.Alice, cancelled))
	b.append(recordtest.Draft{Facts: w.Cancel(m, w.Alice, w.Request(m, cancelled.Doc.Request))})
	ask := w.Ask(m, w.Alice)
	ask.Doc.Role, ask.Doc.Logins, ask.Doc.Hosts = "admin", []sshcert.Login{"root"}, []sshcert.Host{"web-1.demo", "web-2.demo"}
	b.append(w.Submit(m, w.Alice, ask))
	for i, u := range []*recordtest.User{w.Bob, w.Carol, erin} {
		b.pass(time.Second)
		b.append(w.Decide(m, u, w.Request(m, ask.Doc.Request), approval.Approve, int64(400-100*i)))
	}
	b.pass(2 * time.Second)
	granted := w.Request(m, ask.Doc.Request)
	b.issue(granted)
	row, err := record.Certificate(m, b.issue(granted))
	must(t, err)
	b.append(recordtest.Draft{Facts: w.Void(m, row)})
	b.append(w.Link(m, w.Bob, w.Carol))
	more(b)
	must(t, w.LogIn(m, w.Alice))
	b.pass(16 * time.Minute)
	b.append(recordtest.Draft{Facts: w.Expire(m, w.Request(m, silent.Doc.Request))})
	return b, erin
}

// auditedStory is the whole story, in which an auditor looks at it.
func auditedStory(t fataler) told {
	t.Helper()
	b, erin := youngStory(t, func(b told) {
		audited := b.w.Audited()
		b.w.PutInForce(b.m, audited)
		b.append(recordtest.Draft{Facts: b.w.Read(b.m, b.w.Carol, audited, 6, 8)})
		read := b.w.Read(b.m, b.w.Carol, audited, 6)
		read.How, read.Query, read.Leaves, read.First, read.Last = record.ReadExport, canon.Digest{}, nil, 0, 20
		b.append(recordtest.Draft{Facts: read})
		b.hosts()
		b.revocations()
		b.amendments()
	})
	b.pass(366 * 24 * time.Hour)
	b.append(recordtest.Draft{Facts: b.w.Erase(b.m, b.w.Chris, b.w.Dana, erin)})
	return b
}

// hosts tells of a host from its invitation to its end, and of a session on another.
func (b told) hosts() {
	b.t.Helper()
	w, m, fleet := b.w, b.m, b.w.Fleet()
	add := func(f record.Facts) canon.Digest { return b.append(recordtest.Draft{Facts: f}) }
	w.PutInForce(m, fleet)
	add(w.AddKey(m, record.KeyHostCA))
	add(w.AddKey(m, record.KeyKRL))
	key := w.Key()
	invite := w.Invite(m, w.Bob, fleet, "db-1.demo", "demo", []byte("secret"))
	add(w.Accept(m, invite, add(invite), key))
	add(w.Certify(m, "db-1.demo", key))
	change := w.ID()
	dora := w.User("dora", "leads")
	must(b.t, w.LogIn(m, dora))
	add(w.Label(m, w.Bob, fleet, "db-1.demo", change, "prod"))
	add(w.Label(m, dora, fleet, "db-1.demo", change, "prod"))
	add(w.Retire(m, dora, fleet, "db-1.demo"))
	add(w.Release(m, dora, fleet, "db-1.demo", w.Version.Lineage()))
	var serial uint64
	for _, e := range m.Entries {
		if f, ok := e.Draft.Facts.(record.CertificateIssue); ok && serial == 0 {
			serial = f.Serial
		}
	}
	enter := w.Enter(m, w.Version, "web-1.demo", serial)
	enter.Login, enter.Finding = "root", record.LoginExplained
	opened := add(enter)
	add(w.Leave(m, enter, opened))
	add(w.Refuse(m, w.Version, "web-1.demo"))
}

// revocations revokes a grant by a signed document, a person in a browser and a host
// by the operator's word; somebody is locked and unlocked, and keys for hosts are
// added.
func (b told) revocations() {
	b.t.Helper()
	w, m := b.w, b.m
	frank := w.User("frank", "engineers", "owners")
	must(b.t, w.LogIn(m, frank))
	browser := *frank
	browser.Device = nil
	must(b.t, w.LogIn(m, &browser))
	granted := w.Granted(m, 0)
	b.issue(granted)
	b.append(w.Revoke(m, w.Bob, w.Version, record.Target{Type: record.TargetGrant, ID: granted.ID}))
	b.append(w.Revoke(m, &browser, w.Version, record.Target{Type: record.TargetPerson, ID: frank.Person}))
	b.append(w.Revoke(m, nil, w.Version, record.Target{Type: record.TargetHost, Host: "web-2.demo"}))
	b.append(w.Lock(m, frank))
	b.append(w.Unlock(m, frank))
}

// wharf is version 1 of the contract that amendments tells of.
func (b told) wharf() *contract.Version {
	return b.w.Contract("wharf", "law: {terminate: {clause: §2, notice: 1h}}\n")
}

// amendments tells of a contract that is amended, one amendment being withdrawn, of a
// grant that goes on, and of the contract's end.
func (b told) amendments() {
	b.t.Helper()
	w, m, before := b.w, b.m, b.w.Version
	w.Version = b.wharf()
	defer func() { w.Version = before }()
	w.PutInForce(m, w.Version)
	petra, quinn := w.User("petra", "engineers"), w.User("quinn", "leads")
	must(b.t, w.LogIn(m, petra))
	must(b.t, w.LogIn(m, quinn))
	w.Joined(m, w.Version, "quay-1.demo", "demo", w.Key())
	ask := w.Ask(m, petra)
	ask.Doc.Hosts = []sshcert.Host{"quay-1.demo"}
	b.append(w.Submit(m, petra, ask))
	b.append(w.Decide(m, quinn, w.Request(m, ask.Doc.Request), approval.Approve, 0))
	b.pass(time.Second)
	add := func(f record.Facts) { b.append(recordtest.Draft{Facts: f}) }
	rival := w.Amend(w.Version, grantOfAnH, "grant: {max: 2h}")
	second := w.Amend(w.Version, "issuers: {local", "effect: {conditions: {trained: {clause: §1, met_by: acme}}}\nissuers: {local")
	add(w.Propose(m, rival))
	add(w.Sign(m, rival, "chris"))
	add(w.Withdraw(m, rival, "dana"))
	w.PutInForceAgain(m, second)
	b.pass(time.Second)
	add(w.Meet(m, second, "chris", "trained"))
	add(w.Carry(m, ask.Doc.Request, second))
	f, err := w.Issue(m, petra, w.Request(m, ask.Doc.Request), w.Key())
	must(b.t, err)
	add(f)
	b.pass(time.Second)
	add(w.Terminate(m, second, "dana", false))
}

// randomStory is what people made of so many steps.
func randomStory(t fataler, seed string, steps int) told {
	t.Helper()
	b := newTold(t, seed)
	r := rand.New(rand.NewPCG(uint64(len(seed)), uint64(steps)))
	tale := b.w.NewStory(func(_ string, n int) int { return r.IntN(n) })
	for range steps {
		if r.IntN(4) == 0 {
			b.m.Clock += canon.Micros(tale.Pause().Microseconds())
		}
		_ = tale.Step(b.m) // a refused step changes nothing
	}
	return b
}

// entries are the leaves with all that they hide and that was not erased, and the
// certificates that were signed: all but the void ones.
func (b told) entries() []audit.Entry {
	b.t.Helper()
	out := make([]audit.Entry, 0, len(b.m.Entries))
	for _, e := range b.m.Entries {
		text, err := e.Leaf.Marshal()
		must(b.t, err)
		out = append(out, audit.Entry{Index: e.Index, Text: text, Opening: record.Opening{
			FactsSalt: e.Salt, Facts: e.Facts, PersonSalt: e.Draft.PersonSalt, Person: e.Person,
		}})
	}
	var gone []canon.ID
	for _, e := range b.m.Entries {
		if f, ok := e.Draft.Facts.(record.PersonErase); ok {
			gone = append(gone, f.People...)
		}
	}
	out = without(b, out, gone...)
	b.sign(out)
	return out
}

// sign makes the signed certificate of each certificate's leaf that is not void,
// as a server does that has both keys: with a proof under a checkpoint over it.
func (b told) sign(entries []audit.Entry) {
	b.t.Helper()
	h := hashesOf(b.t, entries)
	void := map[uint64]bool{}
	for _, e := range entries {
		if facts, _ := record.ParseFacts(ledger.CertificateVoid, e.Opening.Facts); facts != nil {
			if v, ok := facts.(record.CertificateVoid); ok {
				void[v.Serial] = true
			}
		}
	}
	for i, e := range entries {
		entries[i].Certificate = nil
		leaf, err := ledger.ParseLeaf(e.Text)
		if err != nil || leaf.Kind != ledger.CertificateIssue || void[ledger.Serial(e.Index)] {
			continue
		}
		size := min(e.Index+2, int64(len(entries))) // a leaf later, as when others write meanwhile
		entries[i].Certificate = b.certificate(leaf, e, size, h)
	}
}

func (b told) certificate(leaf ledger.Leaf, e audit.Entry, size int64, h hashes) []byte {
	b.t.Helper()
	facts, err := record.ParseFacts(leaf.Kind, e.Opening.Facts)
	if err != nil {
		return nil
	}
	issue, ok := facts.(record.CertificateIssue)
	tbs, err := canon.ParseB64(issue.TBS)
	if err != nil || !ok {
		return nil
	}
	cert, err := sshcert.ParseTBS(tbs)
	if err != nil {
		return nil
	}
	proof, err := ledger.Prove(e.Index, size, h, b.checkpoint(h, size), certproof.Extra(leaf.Lineage, leaf.Facts))
	must(b.t, err)
	must(b.t, certproof.Embed(cert, proof))
	cert.Signature, err = b.w.CA.Sign(b.w.Rand(), sshcert.SignedBytes(cert))
	must(b.t, err)
	return cert.Marshal()
}

func (b told) checkpoint(h hashes, size int64) []byte {
	b.t.Helper()
	root, err := tlog.TreeHash(size, h)
	must(b.t, err)
	c := ledger.Checkpoint{Origin: recordtest.Origin, Size: size, Root: root}
	note, err := b.log.Sign(c)
	must(b.t, err)
	for _, s := range b.cosigners {
		line, err := s.Cosign(c, recordtest.Start().Time())
		must(b.t, err)
		note, err = ledger.AddCosignatures(note, ledger.Cosignature{Key: s.Key(), Line: line})
		must(b.t, err)
	}
	return note
}

// bundle is a whole bundle of entries, under a checkpoint over them.
func (b told) bundle(entries []audit.Entry) []byte {
	b.t.Helper()
	var out bytes.Buffer
	w, err := audit.NewWriter(&out, b.head(int64(len(entries))))
	must(b.t, err)
	for _, e := range entries {
		must(b.t, w.Leaf(e))
	}
	_, err = w.Close(b.checkpoint(hashesOf(b.t, entries), int64(len(entries))))
	must(b.t, err)
	return out.Bytes()
}

func (b told) head(size int64) audit.Head {
	return audit.Head{LogKey: b.w.LogKey, Origin: recordtest.Origin, Size: size, UserCA: canon.B64(b.w.CA.PublicKey().Marshal())}
}

// config is what an auditor of this ledger knows.
func (b told) config() audit.Config {
	return audit.Config{
		LogKeys: []string{b.w.LogKey}, UserCA: b.w.CA.PublicKey(), Contracts: []canon.Digest{b.w.Version.Digest}, ReadToken: client.ReadIDToken,
	}
}

func (b told) verify(t *testing.T, bundle []byte, bend ...func(*audit.Config)) audit.Report {
	t.Helper()
	c := b.config()
	for _, f := range bend {
		f(&c)
	}
	report, err := audit.Verify(t.Context(), bytes.NewReader(bundle), c)
	must(t, err)
	return report
}

// hashes are the stored hashes of a tree.
type hashes []tlog.Hash

func hashesOf(t fataler, entries []audit.Entry) hashes {
	t.Helper()
	var out hashes
	tree := ledger.Tree{}
	for _, e := range entries {
		var stored []ledger.StoredHash
		var err error
		tree, stored, err = tree.Append(tlog.RecordHash(e.Text))
		must(t, err)
		for _, s := range stored {
			out = append(out, s.Hash)
		}
	}
	return out
}

// ReadHashes returns stored hashes, as tlog.HashReader says.
func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(h)) {
			return nil, fmt.Errorf("no stored hash %d", x)
		}
		out[i] = h[x]
	}
	return out, nil
}

// key is a fresh key that has nothing to do with the world.
func (b told) key() ssh.Signer { return b.w.Key() }
