package recordtest

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Open is leaf 0.
func (w *World) Open(l Ledger) record.LedgerOpen {
	return record.LedgerOpen{At: l.Now(), Ledger: w.ID(), Origin: Origin, LogKey: w.LogKey, UserCA: Wire(w.CA.PublicKey())}
}

// Succeed is leaf 1 of a ledger that goes on in the place of another one, of which
// the log key has signed for 3 leaves. So many of them are lost.
func (w *World) Succeed(l Ledger, lost int64) record.LedgerSucceed {
	w.t.Helper()
	private, public, err := ledger.NewLogKey(w.rand, "old.example")
	if err != nil {
		w.t.Fatalf("log key: %v", err)
	}
	signer, err := ledger.NewLogSigner(private)
	if err != nil {
		w.t.Fatalf("log key: %v", err)
	}
	sign := func(size int64) string {
		note, err := signer.Sign(ledger.Checkpoint{Origin: signer.Origin(), Size: size, Root: tlog.Hash(w.Digest())})
		if err != nil {
			w.t.Fatalf("signing: %v", err)
		}
		return string(note)
	}
	f := record.LedgerSucceed{At: l.Now(), Succession: w.ID(), Origin: signer.Origin(), LogKey: public, Checkpoint: sign(3)}
	if lost > 0 {
		f.Kept = sign(3 - lost)
	}
	return f
}

// AddKey is the leaf of a key for hosts.
func (w *World) AddKey(l Ledger, purpose record.KeyPurpose) record.KeyAdd {
	return record.KeyAdd{At: l.Now(), Addition: w.ID(), Purpose: purpose, Key: Wire(w.Key().PublicKey())}
}

// Propose is the leaf of a contract version.
func (w *World) Propose(l Ledger, v *contract.Version) record.ContractPropose {
	f := record.ContractPropose{At: l.Now(), Contract: v.Digest, Lineage: v.Lineage()}
	for _, path := range slices.Sorted(maps.Keys(v.Files)) {
		f.Files = append(f.Files, record.ContractFile{Path: path, Text: string(v.Files[path])})
	}
	return f
}

// Sign is the leaf of a signature by one of "chris" and "dana".
func (w *World) Sign(l Ledger, v *contract.Version, signer string) record.ContractSign {
	w.t.Helper()
	statement, err := contract.NewStatement(v, "acme", signer)
	if err != nil {
		w.t.Fatalf("statement of %s: %v", signer, err)
	}
	key := w.Chris
	if signer == "dana" {
		key = w.Dana
	}
	return record.ContractSign{
		At: l.Now(), Contract: v.Digest, Lineage: v.Lineage(), Statement: string(statement),
		Signature: w.Signature(key, sshcert.NamespaceContract, string(statement)),
	}
}

// Signature is an armored SSHSIG.
func (w *World) Signature(key ssh.Signer, namespace, text string) string {
	w.t.Helper()
	armored, err := sshcert.Sign(w.rand, key, namespace, []byte(text))
	if err != nil {
		w.t.Fatalf("signing: %v", err)
	}
	return armored
}

// Join is the leaf of a host of w.Version with the label env.
func (w *World) Join(l Ledger, name sshcert.Host, env string) record.HostJoin {
	return record.HostJoin{
		At: l.Now(), Join: w.ID(), Lineage: w.Version.Lineage(), Name: name, Address: "192.0.2.7", Port: 22,
		HostKey: Wire(w.Key().PublicKey()), Labels: []record.Label{{Name: "env", Value: env}, {Name: "site", Value: "a"}},
	}
}

// Login is the leaf of a login with u's device key, in a browser if u has none.
func (w *World) Login(l Ledger, u *User) Draft {
	f := record.PersonLogin{
		At: l.Now(), Login: w.ID(), Person: u.Person, Issuer: Issuer, Client: "sally", Flow: "code",
		ClaimsAt: whole(l.Now()), AuthTimeAt: whole(l.Now()), AMR: []string{"pwd"}, GroupsKnown: u.GroupsKnown, Groups: u.Groups,
	}
	part := record.LoginPerson{
		Subject: u.Subject, Name: strings.ToUpper(u.Name[:1]) + u.Name[1:], Email: u.Name + "@acme.example", Handle: u.Name,
		IDToken: "header.payload-of-" + u.Name + ".signature",
	}
	rz := w.Digest()
	if u.Device != nil {
		f.DeviceKey, part.RZ = Wire(u.Device.PublicKey()), canon.B64(rz[:])
	}
	if w.Token != nil {
		part.IDToken = w.Token(u, f, rz)
	}
	return Draft{Facts: f, PersonID: u.Person, Person: part}
}

// Snapshot is the leaf of u's groups, read at a login.
func (w *World) Snapshot(l Ledger, u *User, login canon.Digest) record.PersonSnapshot {
	return record.PersonSnapshot{
		At: l.Now(), Snapshot: w.ID(), Person: u.Person, Issuer: Issuer, Source: record.SourceIDToken, Login: login,
		GroupsKnown: u.GroupsKnown, Groups: u.Groups,
	}
}

// Link is the leaf that makes two people one human.
func (w *World) Link(l Ledger, one, other *User) Draft {
	people := []canon.ID{one.Person, other.Person}
	slices.Sort(people)
	return Draft{
		Facts:  record.PersonLink{At: l.Now(), Link: w.ID(), People: people, By: record.LinkedByOperator},
		Person: record.LinkPerson{Because: "both badges have one photo"}, PersonID: people[0],
	}
}

// EraseDoc is what two people sign to have somebody erased.
func (w *World) EraseDoc(l Ledger, users ...*User) string {
	w.t.Helper()
	var people []canon.ID
	for _, u := range users {
		people = append(people, u.Person)
	}
	slices.Sort(people)
	text, err := record.NewEraseDoc(Origin, people, record.GroundRequest, later(l.Now(), 24*time.Hour))
	if err != nil {
		w.t.Fatalf("erase document: %v", err)
	}
	return string(text)
}

// Erase is the leaf with which two signatories have a human erased.
func (w *World) Erase(l Ledger, one, other ssh.Signer, users ...*User) record.PersonErase {
	w.t.Helper()
	return w.Erased(l, w.EraseDoc(l, users...), one, other)
}

// Erased is the leaf of an erase document with the signatures of signers.
func (w *World) Erased(l Ledger, text string, signers ...ssh.Signer) record.PersonErase {
	w.t.Helper()
	doc, err := record.ParseEraseDoc([]byte(text))
	if err != nil {
		w.t.Fatalf("erase document: %v", err)
	}
	f := record.PersonErase{At: l.Now(), Erase: w.ID(), People: doc.People, Document: text}
	for _, s := range signers {
		f.Signatures = append(f.Signatures, w.Signature(s, sshcert.NamespaceErase, text))
	}
	slices.Sort(f.Signatures)
	return f
}

// LogIn appends a login and a snapshot of u's groups, and sets u.Claims.
func (w *World) LogIn(l Ledger, u *User) error {
	login, err := l.Append(w.Login(l, u))
	if err != nil {
		return err
	}
	snapshot, err := l.Append(Draft{Facts: w.Snapshot(l, u, login)})
	if err != nil {
		return err
	}
	u.Claims = record.Claims{Login: login, Snapshot: snapshot, ClaimsAt: whole(l.Now())}
	return nil
}

// Ask is a request before its maker signs it.
type Ask struct {
	Doc    record.RequestDoc
	Reason string
	Ticket string // empty: none
	Salt   ledger.Salt
}

// Ask is u's honest request for ops@web-1.demo.
func (w *World) Ask(l Ledger, u *User) Ask {
	return Ask{
		Doc: record.RequestDoc{
			V: record.RequestVersion, Origin: Origin, Request: w.ID(), Person: u.Person, Contract: w.Version.Digest, Role: "operator",
			Logins: []sshcert.Login{"ops"}, Hosts: []sshcert.Host{"web-1.demo"}, Seconds: 600, ExpiresAt: later(l.Now(), 5*time.Minute),
		},
		Reason: "INC-42 checkout latency", Salt: w.Salt(),
	}
}

// Submit is the leaf of a request, signed by u's device. A commitment that is
// missing in the document is put in.
func (w *World) Submit(l Ledger, u *User, a Ask) Draft {
	w.t.Helper()
	part := record.RequestPerson{Reason: a.Reason, Ticket: a.Ticket}
	if a.Doc.Commitment.IsZero() {
		a.Doc.Commitment = ledger.PersonCommitment(a.Salt, w.text(part))
	}
	text := string(w.text(a.Doc))
	f := record.RequestSubmit{
		At: l.Now(), Request: a.Doc.Request, Lineage: w.Version.Lineage(), Claims: u.Claims, Document: text,
		Signature: w.Signature(u.Device, sshcert.NamespaceDevice, text), ReasonWords: record.CountWords(a.Reason),
		Ticket: a.Ticket != "",
	}
	return Draft{Facts: f, Person: part, PersonID: u.Person, PersonSalt: a.Salt}
}

// Decide is the leaf of u's verdict on a request in the stage that waits.
func (w *World) Decide(l Ledger, u *User, r approval.Request, verdict approval.Verdict, seconds int64) Draft {
	f := record.RequestDecide{
		At: l.Now(), Decision: w.ID(), Lineage: r.Lineage, Request: r.ID, RequestLeaf: r.Leaf, Contract: r.Contract, Person: u.Person,
		Claims: u.Claims, Assurance: "session", Verdict: verdict, Seconds: seconds, Stage: r.Stages[0].ID,
	}
	if stage, ok := r.Waiting(l.Now().Time()); ok {
		f.Stage = stage.ID
	}
	return Draft{Facts: f, Person: record.DecidePerson{Words: "seen the ticket"}, PersonID: u.Person}
}

// Expire is the leaf that silence ended a request.
func (w *World) Expire(l Ledger, r approval.Request) record.RequestExpire {
	return record.RequestExpire{At: l.Now(), Expiry: w.ID(), Lineage: r.Lineage, Request: r.ID, RequestLeaf: r.Leaf}
}

// CancelDoc is what u signs to take a request back.
func (w *World) CancelDoc(l Ledger, u *User, r approval.Request) record.CancelDoc {
	return record.CancelDoc{V: record.CancelVersion, Origin: Origin, Request: r.ID, Person: u.Person, ExpiresAt: later(l.Now(), 5*time.Minute)}
}

// Cancel is the leaf of u's cancellation of a request: signed by u's device, or in
// a browser if u has none.
func (w *World) Cancel(l Ledger, u *User, r approval.Request) record.RequestCancel {
	w.t.Helper()
	f := record.RequestCancel{
		At: l.Now(), Cancellation: w.ID(), Lineage: r.Lineage, Request: r.ID, RequestLeaf: r.Leaf, Person: u.Person,
		Login: u.Claims.Login, Assurance: record.AssuranceSession,
	}
	if u.Device != nil {
		f.Assurance, f.Document = record.AssuranceDevice, string(w.text(w.CancelDoc(l, u, r)))
		f.Signature = w.Signature(u.Device, sshcert.NamespaceDevice, f.Document)
	}
	return f
}

// IssueDoc is what u signs to have a certificate for key made.
func (w *World) IssueDoc(l Ledger, u *User, r approval.Request, key ssh.Signer) record.IssueDoc {
	return record.IssueDoc{
		V: record.IssueVersion, Origin: Origin, Lineage: r.Lineage, Person: u.Person, Grant: r.ID, Key: Wire(key.PublicKey()),
		Challenge: w.Digest(), ExpiresAt: later(l.Now(), 5*time.Minute),
	}
}

// Issue is the leaf of the certificate for key under u's granted request.
func (w *World) Issue(l Ledger, u *User, r approval.Request, key ssh.Signer) (record.CertificateIssue, error) {
	w.t.Helper()
	grant, version, err := record.GrantAt(l, r.ID, u.Claims, l.Now())
	if err != nil {
		return record.CertificateIssue{}, err
	}
	text := string(w.text(w.IssueDoc(l, u, r, key)))
	f := record.CertificateIssue{
		At: l.Now(), Lineage: grant.Lineage, Contract: version.Digest, Person: u.Person, Grant: r.ID,
		GrantLeaf: r.GrantLeaf(), Claims: u.Claims, Document: text,
		DeviceSig:  w.Signature(u.Device, sshcert.NamespaceDevice, text),
		Possession: w.Signature(key, sshcert.NamespacePossession, text),
	}
	nonce := w.Digest()
	cert, err := w.Certificate(grant, key.PublicKey(), l.Next(), nonce[:], l.Now().Time())
	if err != nil {
		return record.CertificateIssue{}, err
	}
	f.Serial, f.Nonce, f.TBS = cert.Serial, canon.B64(nonce[:]), canon.B64(sshcert.TBS(cert))
	return f, nil
}

// Void is the leaf that a recorded certificate will never be signed.
func (w *World) Void(l Ledger, row record.CertificateRow) record.CertificateVoid {
	w.t.Helper()
	r := w.Request(l, row.Grant)
	return record.CertificateVoid{At: l.Now(), Void: w.ID(), Lineage: r.Lineage, Serial: row.Serial, Leaf: row.Leaf}
}

// Certificate is the unsigned certificate under a grant whose leaf is at index.
func (w *World) Certificate(g approval.Grant, key ssh.PublicKey, index int64, nonce []byte, now time.Time) (*ssh.Certificate, error) {
	template, err := ca.NewTemplate(g, key, now)
	if err != nil {
		return nil, err
	}
	return template.Certificate(ledger.Serial(index), nonce, w.CA.PublicKey())
}

// Setup appends what every story begins with: the ledger, the contract in force,
// two hosts, and Alice, Bob and Carol logged in.
func (w *World) Setup(l Ledger) {
	w.t.Helper()
	for _, f := range []record.Facts{
		w.Open(l), w.Propose(l, w.Version), w.Sign(l, w.Version, "chris"), w.Sign(l, w.Version, "dana"),
		w.Join(l, "web-1.demo", "demo"), w.Join(l, "web-2.demo", "demo"),
	} {
		if _, err := l.Append(Draft{Facts: f}); err != nil {
			w.t.Fatalf("%s: %v", f.Kind(), err)
		}
	}
	for _, u := range []*User{w.Alice, w.Bob, w.Carol} {
		if err := w.LogIn(l, u); err != nil {
			w.t.Fatalf("login of %s: %v", u.Name, err)
		}
	}
}

// Granted appends a request of Alice and Bob's approval for so many seconds.
func (w *World) Granted(l Ledger, seconds int64) approval.Request {
	w.t.Helper()
	ask := w.Ask(l, w.Alice)
	w.must(l.Append(w.Submit(l, w.Alice, ask)))
	w.must(l.Append(w.Decide(l, w.Bob, w.Request(l, ask.Doc.Request), approval.Approve, seconds)))
	return w.Request(l, ask.Doc.Request)
}

// Request reads a request.
func (w *World) Request(v record.View, id canon.ID) approval.Request {
	w.t.Helper()
	r, err := record.Request(v, id)
	if err != nil {
		w.t.Fatalf("request %s: %v", id, err)
	}
	return r
}

func (w *World) must(_ canon.Digest, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

func (w *World) text(v any) []byte {
	w.t.Helper()
	b, err := canon.Marshal(v)
	if err != nil {
		w.t.Fatalf("%T: %v", v, err)
	}
	return b
}

// TokenDigest is how a session document names an ID token.
func TokenDigest(idToken string) canon.Digest { return sha256.Sum256([]byte(idToken)) }

// whole is the second that a moment lies in: identity providers know no less.
func whole(m canon.Micros) canon.Micros { return m - m%1e6 }

func later(m canon.Micros, d time.Duration) canon.Micros { return m + canon.Micros(d.Microseconds()) }
