// Package record owns what the ledger says: one struct for the facts of each
// leaf kind, one for each person part, the documents that clients sign, and the
// only fold over them, Check.
//
// It is pure. The server appends a leaf only if Check allows it, and an auditor
// replays an export through the same function, so both read the ledger alike.
// docs/formats.md lists reference, facts and person part of each kind.
package record

import (
	"crypto/sha256"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// Facts is the kept half of what a leaf hides: pseudonymous, canonical JSON,
// always with the ledger time at which it was written.
type Facts interface {
	// Kind returns the leaf kind that these facts belong to.
	Kind() ledger.Kind
	// When returns the ledger time that the facts carry.
	When() canon.Micros
	// Reference returns the leaf's reference line: a random id or a digest.
	Reference() string
	// InLineage returns the lineage that the leaf belongs to, zero for none.
	InLineage() canon.Digest
}

// LedgerOpen is leaf 0: whose ledger this is and which keys sign for it.
type LedgerOpen struct {
	At     canon.Micros `json:"at"`
	Ledger canon.ID     `json:"ledger"`
	Origin string       `json:"origin"`
	LogKey string       `json:"log_key"` // C2SP signed-note verifier key
	UserCA string       `json:"user_ca"` // b64 of the SSH wire form
}

// LedgerSucceed is leaf 1 of a ledger that goes on in the place of another one,
// whose newest leaves are lost or of which there are two. It is bound to it by what
// its log key has signed; what was granted there is not granted here.
type LedgerSucceed struct {
	At         canon.Micros `json:"at"`
	Succession canon.ID     `json:"succession"`
	Origin     string       `json:"origin"`  // of the other ledger
	LogKey     string       `json:"log_key"` // that its leaf 0 names, a vkey
	// Checkpoint is the newest that it is known to have signed, as a signed note.
	Checkpoint string `json:"checkpoint"`
	// Kept is the newest of which all leaves are kept, as a signed note; absent if it
	// is the same.
	Kept string `json:"kept,omitempty"`
}

// ContractPropose records a contract version: all its files, so that a replay
// needs nothing else.
type ContractPropose struct {
	At       canon.Micros   `json:"at"`
	Contract canon.Digest   `json:"contract"`
	Lineage  canon.Digest   `json:"lineage"`
	Files    []ContractFile `json:"files"` // sorted by path, manifest.json among them
}

// ContractFile is one file of a contract folder, byte for byte.
type ContractFile struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// ContractSign records one signatory's signature over a contract version.
type ContractSign struct {
	At        canon.Micros `json:"at"`
	Contract  canon.Digest `json:"contract"`
	Lineage   canon.Digest `json:"lineage"`
	Statement string       `json:"statement"` // sigs/<party>.<signer>.json
	Signature string       `json:"signature"` // its armored SSHSIG
}

// KeyAdd records a key that the authority signs with for hosts, beside those of leaf
// 0. From then on it counts; no leaf takes it back.
type KeyAdd struct {
	At       canon.Micros `json:"at"`
	Addition canon.ID     `json:"addition"`
	Purpose  KeyPurpose   `json:"purpose"`
	Key      string       `json:"key"` // b64 of the SSH wire form
}

// KeyPurpose says what a key of a KeyAdd signs, and nothing else.
type KeyPurpose string

// The purposes of keys beside those of leaf 0.
const (
	KeyHostCA KeyPurpose = "host-ca" // host certificates
	KeyKRL    KeyPurpose = "krl"     // lists of revoked certificates; ed25519
)

// Label is one label of a host. Labels are sorted by name, each name once.
type Label struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// PersonLogin records that an issuer vouched for a person.
type PersonLogin struct {
	At          canon.Micros `json:"at"`
	Login       canon.ID     `json:"login"`
	Person      canon.ID     `json:"person"`
	Issuer      string       `json:"issuer"`
	Client      string       `json:"client"`
	Flow        string       `json:"flow"`                 // FlowCode or FlowRefresh
	DeviceKey   string       `json:"device_key,omitempty"` // b64 of the SSH wire form; absent for web sessions
	ClaimsAt    canon.Micros `json:"claims_at"`            // when the issuer said so (iat)
	AuthTimeAt  canon.Micros `json:"auth_time_at,omitempty"`
	ACR         string       `json:"acr,omitempty"`
	AMR         []string     `json:"amr,omitempty"`
	GroupsKnown bool         `json:"groups_known,omitempty"`
	Groups      []string     `json:"groups,omitempty"` // sorted
}

// Flows of a PersonLogin.
const (
	FlowCode    = "code"    // the person signed in at the issuer
	FlowRefresh = "refresh" // the issuer renewed what it said at a sign-in with the same device key
)

// LoginPerson is the person part of PersonLogin.
type LoginPerson struct {
	Subject string `json:"subject"`
	Name    string `json:"name,omitempty"`
	Email   string `json:"email,omitempty"`
	Handle  string `json:"handle,omitempty"`
	IDToken string `json:"id_token"`
	RZ      string `json:"rz,omitempty"` // b64; with the ID token's nonce it binds the device key
}

// PersonSnapshot records what an issuer says of a person's groups. Unknown is
// not empty: with GroupsKnown absent nobody is a member of anything.
type PersonSnapshot struct {
	At          canon.Micros `json:"at"`
	Snapshot    canon.ID     `json:"snapshot"`
	Person      canon.ID     `json:"person"`
	Issuer      string       `json:"issuer"`
	Source      string       `json:"source"` // SourceIDToken
	Login       canon.Digest `json:"login"`  // hash of the login leaf it was read from
	GroupsKnown bool         `json:"groups_known,omitempty"`
	Groups      []string     `json:"groups,omitempty"`
}

// SourceIDToken says that a snapshot was read from the ID token of a login.
const SourceIDToken = "id_token"

// PersonLink records that two people are known to be one human. It takes away
// and never gives: they count as one where that denies (self-approval, quorums),
// and stay two everywhere else.
type PersonLink struct {
	At     canon.Micros `json:"at"`
	Link   canon.ID     `json:"link"`
	People []canon.ID   `json:"people"` // two, sorted
	By     string       `json:"by"`     // LinkedByOperator
}

// LinkedByOperator says that somebody with the server's folder made a link.
const LinkedByOperator = "operator"

// LinkPerson is the person part of PersonLink. It is about the first of the two.
type LinkPerson struct {
	Because string `json:"because"`
}

// PersonErase records that what is readable about a human was destroyed, because
// two people asked for it who sign contracts. It names nobody: the ids stay.
type PersonErase struct {
	At         canon.Micros `json:"at"`
	Erase      canon.ID     `json:"erase"`
	People     []canon.ID   `json:"people"`     // every account that is known of the human, sorted
	Document   string       `json:"document"`   // EraseDoc as signed
	Signatures []string     `json:"signatures"` // armored SSHSIGs over the document, sorted
}

// PersonRead records that an auditor was shown what the ledger holds about other
// people, or searched it. It is durable before the answer leaves.
type PersonRead struct {
	At        canon.Micros `json:"at"`
	Read      canon.ID     `json:"read"`
	Lineage   canon.Digest `json:"lineage"`
	Contract  canon.Digest `json:"contract"` // the version in force, whose auditor the reader is
	Person    canon.ID     `json:"person"`   // who read
	Claims    Claims       `json:"claims"`
	Assurance string       `json:"assurance"` // AssuranceSession
	How       string       `json:"how"`       // ReadEntry, ReadList or ReadExport
	// First and Last are the ends of what was read or searched, Count how many
	// person parts of others were shown, Leaves which; not of an export.
	First  int64   `json:"first"`
	Last   int64   `json:"last"`
	Count  int64   `json:"count"`
	Leaves []int64 `json:"leaves,omitempty"` // in order, each once
	// Query is the digest of what was searched for; zero for an entry or an export.
	Query canon.Digest `json:"query,omitzero"`
}

// How people's data was read.
const (
	ReadEntry  = "entry"  // one entry
	ReadList   = "list"   // a page of a list, or a search
	ReadExport = "export" // an export
)

// MaxRead bounds the leaves that one PersonRead names.
const MaxRead = 200

// Claims names the leaves that say who somebody was at the time: the login, the
// snapshot of groups, and when the issuer vouched for them.
type Claims struct {
	Login    canon.Digest `json:"login"`
	Snapshot canon.Digest `json:"snapshot"`
	ClaimsAt canon.Micros `json:"claims_at"`
}

// RequestSubmit records a request as its maker signed it.
type RequestSubmit struct {
	At          canon.Micros `json:"at"`
	Request     canon.ID     `json:"request"`
	Lineage     canon.Digest `json:"lineage"`
	Claims      Claims       `json:"claims"`
	Document    string       `json:"document"` // RequestDoc as signed
	Signature   string       `json:"signature"`
	ReasonWords int          `json:"reason_words"`
	Ticket      bool         `json:"ticket,omitempty"` // the person part names one
}

// RequestPerson is the person part of RequestSubmit.
type RequestPerson struct {
	Reason string `json:"reason"`
	Ticket string `json:"ticket,omitempty"`
}

// RequestDecide records one approver's verdict.
type RequestDecide struct {
	At          canon.Micros     `json:"at"`
	Decision    canon.ID         `json:"decision"`
	Lineage     canon.Digest     `json:"lineage"`
	Request     canon.ID         `json:"request"`
	RequestLeaf canon.Digest     `json:"request_leaf"` // what was decided on
	Contract    canon.Digest     `json:"contract"`     // the version that the approver saw
	Person      canon.ID         `json:"person"`
	Claims      Claims           `json:"claims"`
	Assurance   string           `json:"assurance"` // AssuranceSession
	Stage       string           `json:"stage"`
	Verdict     approval.Verdict `json:"verdict"`
	Seconds     int64            `json:"for_seconds,omitempty"`
}

// How it is known that a person did something.
const (
	AssuranceSession = "session" // the server's word that it was done in a session of theirs
	AssuranceDevice  = "device"  // a signature by the device key of their login
)

// DecidePerson is the person part of RequestDecide; it is absent when the
// approver wrote nothing.
type DecidePerson struct {
	Words string `json:"words"`
}

// RequestExpire records that silence ended a request. The request had expired
// before: its state follows from the time.
type RequestExpire struct {
	At          canon.Micros `json:"at"`
	Expiry      canon.ID     `json:"expiry"`
	Lineage     canon.Digest `json:"lineage"`
	Request     canon.ID     `json:"request"`
	RequestLeaf canon.Digest `json:"request_leaf"`
}

// RequestCancel records that the requester took a pending request back.
type RequestCancel struct {
	At           canon.Micros `json:"at"`
	Cancellation canon.ID     `json:"cancellation"`
	Lineage      canon.Digest `json:"lineage"`
	Request      canon.ID     `json:"request"`
	RequestLeaf  canon.Digest `json:"request_leaf"`
	Person       canon.ID     `json:"person"`
	Login        canon.Digest `json:"login"`     // hash of the leaf of the login that it was done with
	Assurance    string       `json:"assurance"` // AssuranceDevice, or AssuranceSession for a login without device key
	Document     string       `json:"document,omitempty"`
	Signature    string       `json:"signature,omitempty"`
}

// AccessRevoke records that what was granted counts no more: one certificate, a
// request with what it granted, or all that was asked for until then by a person,
// for a role or for a host. It is one contract's.
type AccessRevoke struct {
	At         canon.Micros `json:"at"`
	Revocation canon.ID     `json:"revocation"` // drawn by the client where a device key signs
	Lineage    canon.Digest `json:"lineage"`
	Contract   canon.Digest `json:"contract"` // the lineage's newest version, by which it is judged who may
	Target     Target       `json:"target"`
	About      canon.ID     `json:"about,omitempty"`     // whose access it was; absent of a role or a host
	By         string       `json:"by"`                  // ByPerson or ByOperator
	Person     canon.ID     `json:"person,omitempty"`    // who revoked; absent of the operator, and so is what follows
	Claims     Claims       `json:"claims,omitzero"`     // the login that it was done with
	Assurance  string       `json:"assurance,omitempty"` // AssuranceDevice, or AssuranceSession for a login without device key
	Document   string       `json:"document,omitempty"`  // RevokeDoc as signed
	Signature  string       `json:"signature,omitempty"`
}

// By whose word something was done.
const (
	ByPerson   = "person"   // somebody whom the leaf names
	ByOperator = "operator" // somebody with the server's folder
)

// RevokePerson is the person part of AccessRevoke. It is about whose access it was.
type RevokePerson struct {
	Because string `json:"because"`
}

// PersonLock records that an account asks for nothing, decides nothing and is
// issued nothing until it is unlocked, under any contract; and that what it asked
// for until then counts no more, unlocked or not.
type PersonLock struct {
	At     canon.Micros `json:"at"`
	Lock   canon.ID     `json:"lock"`
	Person canon.ID     `json:"person"`
	By     string       `json:"by"` // ByOperator
}

// PersonUnlock records that a locked account may act again.
type PersonUnlock struct {
	At     canon.Micros `json:"at"`
	Unlock canon.ID     `json:"unlock"`
	Person canon.ID     `json:"person"`
	Lock   canon.Digest `json:"lock"` // hash of the leaf that locked it
	By     string       `json:"by"`   // ByOperator
}

// LockPerson is the person part of PersonLock and of PersonUnlock.
type LockPerson struct {
	Because string `json:"because"`
}

// CertificateIssue records a certificate before anything is signed. Its
// reference is the SHA-256 of the bytes to be signed, so the leaf cannot stand
// for another certificate.
type CertificateIssue struct {
	At         canon.Micros `json:"at"`
	Lineage    canon.Digest `json:"lineage"`
	Contract   canon.Digest `json:"contract"`
	Person     canon.ID     `json:"person"`
	Grant      canon.ID     `json:"grant"`
	GrantLeaf  canon.Digest `json:"grant_leaf"` // hash of the last approval's leaf
	Claims     Claims       `json:"claims"`
	Serial     uint64       `json:"serial"`
	Nonce      string       `json:"nonce"` // b64, 32 bytes
	TBS        string       `json:"tbs"`   // b64 of the signed bytes without the proof extension
	Document   string       `json:"document"`
	DeviceSig  string       `json:"device_signature"`
	Possession string       `json:"possession_signature"`
}

// CertificateVoid records that a certificate which was recorded will never be
// signed: it took too long, or the server stopped in between, and what had
// allowed it does so no more. Its serial stays used.
type CertificateVoid struct {
	At      canon.Micros `json:"at"`
	Void    canon.ID     `json:"void"`
	Lineage canon.Digest `json:"lineage"`
	Serial  uint64       `json:"serial"`
	Leaf    canon.Digest `json:"leaf"` // hash of the certificate.issue leaf
}

// The Facts methods, kind by kind.

func (LedgerOpen) Kind() ledger.Kind       { return ledger.LedgerOpen }
func (f LedgerOpen) When() canon.Micros    { return f.At }
func (f LedgerOpen) Reference() string     { return string(f.Ledger) }
func (LedgerOpen) InLineage() canon.Digest { return canon.Digest{} }

func (LedgerSucceed) Kind() ledger.Kind       { return ledger.LedgerSucceed }
func (f LedgerSucceed) When() canon.Micros    { return f.At }
func (f LedgerSucceed) Reference() string     { return string(f.Succession) }
func (LedgerSucceed) InLineage() canon.Digest { return canon.Digest{} }

func (ContractPropose) Kind() ledger.Kind         { return ledger.ContractPropose }
func (f ContractPropose) When() canon.Micros      { return f.At }
func (f ContractPropose) Reference() string       { return f.Contract.String() }
func (f ContractPropose) InLineage() canon.Digest { return f.Lineage }

func (ContractSign) Kind() ledger.Kind    { return ledger.ContractSign }
func (f ContractSign) When() canon.Micros { return f.At }

// Reference returns the digest of the signed statement.
func (f ContractSign) Reference() string {
	return canon.Digest(sha256.Sum256([]byte(f.Statement))).String()
}
func (f ContractSign) InLineage() canon.Digest { return f.Lineage }

func (KeyAdd) Kind() ledger.Kind       { return ledger.KeyAdd }
func (f KeyAdd) When() canon.Micros    { return f.At }
func (f KeyAdd) Reference() string     { return string(f.Addition) }
func (KeyAdd) InLineage() canon.Digest { return canon.Digest{} }

func (HostJoin) Kind() ledger.Kind         { return ledger.HostJoin }
func (f HostJoin) When() canon.Micros      { return f.At }
func (f HostJoin) Reference() string       { return string(f.Join) }
func (f HostJoin) InLineage() canon.Digest { return f.Lineage }

func (PersonLogin) Kind() ledger.Kind       { return ledger.PersonLogin }
func (f PersonLogin) When() canon.Micros    { return f.At }
func (f PersonLogin) Reference() string     { return string(f.Login) }
func (PersonLogin) InLineage() canon.Digest { return canon.Digest{} }

func (PersonSnapshot) Kind() ledger.Kind       { return ledger.PersonSnapshot }
func (f PersonSnapshot) When() canon.Micros    { return f.At }
func (f PersonSnapshot) Reference() string     { return string(f.Snapshot) }
func (PersonSnapshot) InLineage() canon.Digest { return canon.Digest{} }

func (PersonLink) Kind() ledger.Kind       { return ledger.PersonLink }
func (f PersonLink) When() canon.Micros    { return f.At }
func (f PersonLink) Reference() string     { return string(f.Link) }
func (PersonLink) InLineage() canon.Digest { return canon.Digest{} }

func (PersonErase) Kind() ledger.Kind       { return ledger.PersonErase }
func (f PersonErase) When() canon.Micros    { return f.At }
func (f PersonErase) Reference() string     { return string(f.Erase) }
func (PersonErase) InLineage() canon.Digest { return canon.Digest{} }

func (PersonRead) Kind() ledger.Kind         { return ledger.PersonRead }
func (f PersonRead) When() canon.Micros      { return f.At }
func (f PersonRead) Reference() string       { return string(f.Read) }
func (f PersonRead) InLineage() canon.Digest { return f.Lineage }

func (RequestSubmit) Kind() ledger.Kind         { return ledger.RequestSubmit }
func (f RequestSubmit) When() canon.Micros      { return f.At }
func (f RequestSubmit) Reference() string       { return string(f.Request) }
func (f RequestSubmit) InLineage() canon.Digest { return f.Lineage }

func (RequestDecide) Kind() ledger.Kind         { return ledger.RequestDecide }
func (f RequestDecide) When() canon.Micros      { return f.At }
func (f RequestDecide) Reference() string       { return string(f.Decision) }
func (f RequestDecide) InLineage() canon.Digest { return f.Lineage }

func (RequestExpire) Kind() ledger.Kind         { return ledger.RequestExpire }
func (f RequestExpire) When() canon.Micros      { return f.At }
func (f RequestExpire) Reference() string       { return string(f.Expiry) }
func (f RequestExpire) InLineage() canon.Digest { return f.Lineage }

func (RequestCancel) Kind() ledger.Kind         { return ledger.RequestCancel }
func (f RequestCancel) When() canon.Micros      { return f.At }
func (f RequestCancel) Reference() string       { return string(f.Cancellation) }
func (f RequestCancel) InLineage() canon.Digest { return f.Lineage }

func (AccessRevoke) Kind() ledger.Kind         { return ledger.AccessRevoke }
func (f AccessRevoke) When() canon.Micros      { return f.At }
func (f AccessRevoke) Reference() string       { return string(f.Revocation) }
func (f AccessRevoke) InLineage() canon.Digest { return f.Lineage }

func (PersonLock) Kind() ledger.Kind       { return ledger.PersonLock }
func (f PersonLock) When() canon.Micros    { return f.At }
func (f PersonLock) Reference() string     { return string(f.Lock) }
func (PersonLock) InLineage() canon.Digest { return canon.Digest{} }

func (PersonUnlock) Kind() ledger.Kind       { return ledger.PersonUnlock }
func (f PersonUnlock) When() canon.Micros    { return f.At }
func (f PersonUnlock) Reference() string     { return string(f.Unlock) }
func (PersonUnlock) InLineage() canon.Digest { return canon.Digest{} }

func (CertificateIssue) Kind() ledger.Kind    { return ledger.CertificateIssue }
func (f CertificateIssue) When() canon.Micros { return f.At }

// Reference returns the SHA-256 of the bytes to be signed.
func (f CertificateIssue) Reference() string {
	tbs, err := canon.ParseB64(f.TBS)
	if err != nil {
		return "" // no leaf has an empty reference, so it is refused
	}
	return canon.Digest(sha256.Sum256(tbs)).String()
}
func (f CertificateIssue) InLineage() canon.Digest { return f.Lineage }

func (CertificateVoid) Kind() ledger.Kind         { return ledger.CertificateVoid }
func (f CertificateVoid) When() canon.Micros      { return f.At }
func (f CertificateVoid) Reference() string       { return string(f.Void) }
func (f CertificateVoid) InLineage() canon.Digest { return f.Lineage }
