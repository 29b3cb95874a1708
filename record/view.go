package record

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// ErrNotFound is returned by a View for a row that no leaf has made.
var ErrNotFound = errors.New("not in the ledger")

// Table names one kind of state that the fold keeps. A table's rows are
// canonical JSON under a key; store and audit keep them as they are.
type Table string

// The tables of the fold.
const (
	TableLog             Table = "log"              // key "log": LogRow; key "succeeds": SuccessionRow
	TableContract        Table = "contract"         // key version digest: ContractRow
	TableLineage         Table = "lineage"          // key lineage: LineageRow
	TableContractID      Table = "contract_id"      // key contract id: LineageRow
	TableKey             Table = "key"              // key digest of the key: KeyRow
	TableHost            Table = "host"             // key host name: HostRow
	TableInvitation      Table = "invitation"       // key invitation id: InvitationRow
	TableLabelling       Table = "labelling"        // key change id: LabellingRow
	TableAlias           Table = "alias"            // key another name of a host: AliasRow
	TableRelease         Table = "release"          // key release id: ReleaseRow
	TableHostCertificate Table = "host_certificate" // key serial: HostCertificateRow
	TableSession         Table = "host_session"     // key session id: SessionRow
	TableRefusal         Table = "refusal"          // key host/minute: RefusalRow
	TablePerson          Table = "person"           // key person id: PersonRow
	TableIssuer          Table = "issuer"           // key IssuerKey: IssuerRow
	TableIdentity        Table = "identity"         // key IdentityKey: IdentityRow; from person parts
	TableLogin           Table = "login"            // key leaf hash: LoginRow
	TableDevice          Table = "device"           // key b64 of the device key: DeviceRow
	TableSnapshot        Table = "snapshot"         // key leaf hash: PersonSnapshot
	TableRequest         Table = "request"          // key request id: approval.Request
	TableExpiry          Table = "expiry"           // key request id: ExpiryRow
	TableDecision        Table = "decision"         // key request/stage/person: DecisionRow
	TableCertificate     Table = "certificate"      // key serial: CertificateRow
	TableErased          Table = "erased"           // key person id: ErasedRow
	TableRevocation      Table = "revocation"       // key revocation id: RevocationRow
	TableRevoked         Table = "revoked"          // key Target.key: RevokedRow, of what was revoked as a whole
)

// View is the state before an event. A store transaction is one, and so is the
// map of an offline replay.
type View interface {
	// Row returns the row under key, or an error that wraps ErrNotFound.
	Row(t Table, key string) ([]byte, error)
	// Version returns a contract version that a leaf proposed, or an error that
	// wraps ErrNotFound. Versions never change, so a View may keep them parsed.
	Version(d canon.Digest) (*contract.Version, error)
	// Keys returns the keys of the rows of a table that are listed under an index
	// value, sorted. A View need answer only what package record asks for.
	Keys(t Table, i Index) ([]string, error)
}

// Change is one row that an event writes.
type Change struct {
	Table Table
	Key   string
	Row   []byte // canonical JSON
	// New says that the row must not be there yet: the store's own uniqueness
	// is a second net under the fold's.
	New bool
	// Gone says that the row is taken away, with its lists; Row is nil.
	Gone bool
	// Index holds the values by which the row is looked up in lists.
	Index []Index
}

// Index is one value by which rows of a table are listed.
type Index struct{ Name, Value string }

// LogRow is the ledger's own identity.
type LogRow struct {
	Origin string `json:"origin"`
	LogKey string `json:"log_key"`
	UserCA string `json:"user_ca"`
}

// SuccessionRow says which ledger this one goes on in the place of.
type SuccessionRow struct {
	Origin string       `json:"origin"`
	LogKey string       `json:"log_key"`
	Size   int64        `json:"size"` // leaves that its log key is known to have signed for
	Root   canon.Digest `json:"root"`
	Kept   int64        `json:"kept"` // of these, how many are kept
}

// ContractRow is a contract version and the signatures it has.
type ContractRow struct {
	Contract canon.Digest `json:"contract"`
	Lineage  canon.Digest `json:"lineage"`
	ID       string       `json:"id"`
	Version  int64        `json:"version"`
	Signed   []SignedRow  `json:"signed,omitempty"`
	// InForceAt is from when on it is in force; absent until every required signature
	// is there, and every condition met.
	InForceAt canon.Micros `json:"in_force_at,omitempty"`
	Parent    canon.Digest `json:"parent,omitzero"` // the version that it amends; absent of version 1
	// ProposedAt is absent of a version 1 that may be signed at any time.
	ProposedAt canon.Micros `json:"proposed_at,omitempty"`
	// SignedAt is when the last required signature came; absent until then, and of a
	// version 1 that waits for nothing else.
	SignedAt  canon.Micros `json:"signed_at,omitempty"`
	Met       []MetRow     `json:"met,omitempty"`      // conditions that are met, in the order of the leaves
	Withdrawn WithdrawnRow `json:"withdrawn,omitzero"` // never of one that has InForceAt
}

// WithdrawnRow says that a version was withdrawn.
type WithdrawnRow struct {
	At   canon.Micros `json:"at"`
	Leaf canon.Digest `json:"leaf"` // hash of the contract.withdraw leaf
}

// MetRow says that a condition of a version is met.
type MetRow struct {
	Condition string       `json:"condition"`
	At        canon.Micros `json:"at"`
	Leaf      canon.Digest `json:"leaf"`
}

// SignedRow is one signature over a contract version.
type SignedRow struct {
	Party    string       `json:"party"`
	Capacity string       `json:"capacity"`
	Signer   string       `json:"signer"`
	At       canon.Micros `json:"at"`
	Leaf     canon.Digest `json:"leaf"` // hash of the contract.sign leaf
}

// LineageRow names the version of a lineage that was signed last. It may come into
// force later: InForce says which one is.
type LineageRow struct {
	Lineage canon.Digest `json:"lineage"`
	Current canon.Digest `json:"current,omitzero"` // absent until a version is signed
	// Revoked is the newest revocation of a person, role or host under it: what was
	// asked for later is touched by none.
	Revoked approval.Revocation `json:"revoked,omitzero"`
	// Terminated says how the contract ends, absent as long as nobody has ended it.
	Terminated TerminatedRow `json:"terminated,omitzero"`
}

// TerminatedRow says when a contract ends.
type TerminatedRow struct {
	At     canon.Micros `json:"at"`
	EndsAt canon.Micros `json:"ends_at"`
	Leaf   canon.Digest `json:"leaf"` // hash of the contract.terminate leaf
}

// PersonRow is what the ledger knows of a person, without a name.
type PersonRow struct {
	Person    canon.ID      `json:"person"`
	Snapshots []SnapshotRef `json:"snapshots,omitempty"` // newest for each issuer, sorted by issuer
	Vouched   []VouchedRef  `json:"vouched,omitempty"`   // newest for each issuer, sorted by issuer
	Linked    []canon.ID    `json:"linked,omitempty"`    // everybody else who is known to be the same human, sorted
	Lock      LockRef       `json:"lock,omitzero"`       // the newest
}

// LockRef says when an account was locked, and unlocked.
type LockRef struct {
	At         canon.Micros `json:"at"`
	Leaf       canon.Digest `json:"leaf"`
	UnlockedAt canon.Micros `json:"unlocked_at,omitempty"`
	UnlockLeaf canon.Digest `json:"unlock_leaf,omitzero"`
}

// VouchedRef says when an issuer last vouched for a person.
type VouchedRef struct {
	Issuer string       `json:"issuer"`
	At     canon.Micros `json:"at"`
}

// IssuerRow is how the contracts in force read an issuer. One account must be
// one person under all of them, so they must agree.
type IssuerRow struct {
	URL     string   `json:"url"`
	Subject string   `json:"subject"`
	Groups  string   `json:"groups"`
	Algs    []string `json:"algs"`
}

// SnapshotRef names a person's newest snapshot from one issuer.
type SnapshotRef struct {
	Issuer string       `json:"issuer"`
	Leaf   canon.Digest `json:"leaf"`
}

// IdentityRow says which person an issuer's subject is.
type IdentityRow struct {
	Person canon.ID `json:"person"`
}

// LoginRow is a login as far as later leaves rest on it.
type LoginRow struct {
	Person      canon.ID     `json:"person"`
	Issuer      string       `json:"issuer"`
	Client      string       `json:"client"`
	DeviceKey   string       `json:"device_key,omitempty"`
	ClaimsAt    canon.Micros `json:"claims_at"`
	GroupsKnown bool         `json:"groups_known,omitempty"`
	Groups      []string     `json:"groups,omitempty"`
}

// says reports whether a snapshot has the groups that the login has.
func (l LoginRow) says(s PersonSnapshot) bool {
	return l.GroupsKnown == s.GroupsKnown && slices.Equal(l.Groups, s.Groups)
}

// DeviceRow says whose a device key is, and what its newest login said. A device
// key belongs to the person of its first login for good.
type DeviceRow struct {
	Person     canon.ID     `json:"person"`
	Issuer     string       `json:"issuer"`
	Client     string       `json:"client"`
	LoginAt    canon.Micros `json:"login_at"` // ledger time of the newest login that was no refresh
	AuthTimeAt canon.Micros `json:"auth_time_at,omitempty"`
	ClaimsAt   canon.Micros `json:"claims_at"`
}

// ExpiryRow says that a request's expiry has been recorded.
type ExpiryRow struct {
	At canon.Micros `json:"at"`
}

// DecisionRow marks that a person decided in a stage.
type DecisionRow struct {
	Leaf canon.Digest `json:"leaf"`
}

// CertificateRow is a recorded certificate, signed or not.
type CertificateRow struct {
	Serial   uint64       `json:"serial"`
	Person   canon.ID     `json:"person"`
	Grant    canon.ID     `json:"grant"`
	Contract canon.Digest `json:"contract"`
	Key      string       `json:"key"` // b64 of the subject key's SSH wire form
	Before   canon.Micros `json:"valid_before_at"`
	Leaf     canon.Digest `json:"leaf"` // hash of the certificate.issue leaf
	Void     bool         `json:"void,omitempty"`
	// Revoked is the revocation of this certificate alone. What revokes it with
	// others does not stand here.
	Revoked approval.Revocation `json:"revoked,omitzero"`
}

// RevocationRow is a revocation, or the lock of a person: then it is of no lineage.
type RevocationRow struct {
	At      canon.Micros `json:"at"`
	Leaf    canon.Digest `json:"leaf"` // hash of the access.revoke or person.lock leaf
	Lineage canon.Digest `json:"lineage,omitzero"`
	Target  Target       `json:"target"`
}

// RevokedRow says when a person, a role or a host was revoked as a whole, oldest
// first; of many the newest maxRevoked.
type RevokedRow struct {
	Times []approval.Revocation `json:"times"`
}

// ErasedRow says that what was readable about a person is destroyed. Nothing
// brings the person back: who logs in with the account again is somebody new.
type ErasedRow struct {
	At   canon.Micros `json:"at"`
	Leaf canon.Digest `json:"leaf"` // hash of the person.erase leaf
}

// IdentityKey is the key of TableIdentity. It is a digest so that the key
// itself shows no name; the row goes when the person is erased.
func IdentityKey(issuer, subject string) string {
	of := canon.Sum("sallyport.issuer/v1", []byte(issuer)) // of fixed length, so that no two pairs read alike
	return canon.Sum("sallyport.identity/v1", of[:], []byte(subject)).String()
}

// IssuerKey is the key of TableIssuer.
func IssuerKey(url string) string { return canon.Sum("sallyport.issuer/v1", []byte(url)).String() }

// Log returns the ledger's identity.
func Log(v View) (LogRow, error) { return get[LogRow](v, TableLog, "log") }

// Succeeds returns which ledger this one goes on in the place of, or an error that
// wraps ErrNotFound.
func Succeeds(v View) (SuccessionRow, error) { return get[SuccessionRow](v, TableLog, "succeeds") }

// Contract returns the signatures of a contract version.
func Contract(v View, d canon.Digest) (ContractRow, error) {
	return get[ContractRow](v, TableContract, d.String())
}

// Lineage returns which version of a lineage was signed last.
func Lineage(v View, d canon.Digest) (LineageRow, error) {
	return get[LineageRow](v, TableLineage, d.String())
}

// Host returns a host that joined, also one that is retired.
func Host(v View, name sshcert.Host) (HostRow, error) {
	return get[HostRow](v, TableHost, string(name))
}

// Person returns a person.
func Person(v View, id canon.ID) (PersonRow, error) {
	return get[PersonRow](v, TablePerson, string(id))
}

// Identity returns the person that an issuer's subject is.
func Identity(v View, issuer, subject string) (canon.ID, error) {
	row, err := get[IdentityRow](v, TableIdentity, IdentityKey(issuer, subject))
	return row.Person, err
}

// Erased returns how a person was erased, or an error that wraps ErrNotFound.
func Erased(v View, id canon.ID) (ErasedRow, error) {
	return get[ErasedRow](v, TableErased, string(id))
}

// Login returns the login that a leaf recorded.
func Login(v View, leaf canon.Digest) (LoginRow, error) {
	return get[LoginRow](v, TableLogin, leaf.String())
}

// Device returns whose a device key is.
func Device(v View, key string) (DeviceRow, error) {
	return get[DeviceRow](v, TableDevice, key)
}

// Snapshot returns the snapshot that a leaf recorded.
func Snapshot(v View, leaf canon.Digest) (PersonSnapshot, error) {
	return get[PersonSnapshot](v, TableSnapshot, leaf.String())
}

// Request returns a request with its decisions.
func Request(v View, id canon.ID) (approval.Request, error) {
	return get[approval.Request](v, TableRequest, string(id))
}

// Certificate returns a recorded certificate.
func Certificate(v View, serial uint64) (CertificateRow, error) {
	return get[CertificateRow](v, TableCertificate, serialKey(serial))
}

// Revocation returns a revocation.
func Revocation(v View, id canon.ID) (RevocationRow, error) {
	return get[RevocationRow](v, TableRevocation, string(id))
}

// decoded is a View that keeps rows as they were read, so that the same one is not
// read again. Rules change nothing in what they were given.
type decoded interface {
	decodedRow(k Key) any
	keepDecoded(k Key, row any)
}

func get[T any](v View, t Table, key string) (T, error) {
	var out T
	kept, keeps := v.(decoded)
	if keeps {
		if known, ok := kept.decodedRow(Key{t, key}).(T); ok {
			return known, nil
		}
	}
	row, err := v.Row(t, key)
	if err != nil {
		return out, fmt.Errorf("%s %s: %w", t, key, err)
	}
	if err := canon.Unmarshal(row, &out); err != nil {
		return out, fmt.Errorf("%s %s: %w", t, key, err)
	}
	if keeps {
		kept.keepDecoded(Key{t, key}, out)
	}
	return out, nil
}

func put(t Table, key string, row any, index ...Index) (Change, error) {
	b, err := canon.Marshal(row)
	if err != nil {
		return Change{}, fmt.Errorf("%s %s: %w", t, key, err)
	}
	return Change{Table: t, Key: key, Row: b, Index: index}, nil
}

func serialKey(serial uint64) string {
	return fmt.Sprintf("%020s", strconv.FormatUint(serial, 10))
}
