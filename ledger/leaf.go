package ledger

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
)

// Kind says what a leaf records. It is two lower-case words joined by a dot.
type Kind string

// The kinds that this version writes and understands.
const (
	LedgerOpen        Kind = "ledger.open"
	LedgerSucceed     Kind = "ledger.succeed"
	ContractPropose   Kind = "contract.propose"
	ContractSign      Kind = "contract.sign"
	ContractWithdraw  Kind = "contract.withdraw"
	ContractCondition Kind = "contract.condition"
	ContractTerminate Kind = "contract.terminate"
	GrantCarry        Kind = "grant.carry"
	KeyAdd            Kind = "key.add"
	HostInvite        Kind = "host.invite"
	HostJoin          Kind = "host.join"
	HostCertify       Kind = "host.certify"
	HostLabel         Kind = "host.label"
	HostRetire        Kind = "host.retire"
	HostRelease       Kind = "host.release"
	LoginOpen         Kind = "login.open"
	LoginClose        Kind = "login.close"
	LoginRefuse       Kind = "login.refuse"
	LoginOffline      Kind = "login.offline"
	PersonLogin       Kind = "person.login"
	PersonSnapshot    Kind = "person.snapshot"
	PersonLock        Kind = "person.lock"
	PersonUnlock      Kind = "person.unlock"
	PersonLink        Kind = "person.link"
	PersonErase       Kind = "person.erase"
	PersonRead        Kind = "person.read"
	RequestSubmit     Kind = "request.submit"
	RequestDecide     Kind = "request.decide"
	RequestExpire     Kind = "request.expire"
	RequestCancel     Kind = "request.cancel"
	AccessRevoke      Kind = "access.revoke"
	CertificateIssue  Kind = "certificate.issue"
	CertificateVoid   Kind = "certificate.void"
)

// maxKind is the longest kind, in bytes.
const maxKind = 64

var kindPattern = regexp.MustCompile(`^[a-z]+\.[a-z]+$`)

// ParseKind reads a kind. It accepts kinds that this version does not know, so
// that an old reader can still check a newer ledger's tree; ask [Kind.Known].
func ParseKind(s string) (Kind, error) {
	if k := Kind(s); k.Known() {
		return k, nil
	}
	if len(s) > maxKind || !kindPattern.MatchString(s) {
		return "", fmt.Errorf("kind %.80q: %w: two lower-case words joined by a dot, at most %d bytes", s, ErrLeaf, maxKind)
	}
	return Kind(s), nil
}

// Known reports whether this version knows what a leaf of kind k means.
// Whoever acts on leaves must refuse to act on the others.
func (k Kind) Known() bool {
	switch k {
	case LedgerOpen, LedgerSucceed, ContractPropose, ContractSign, ContractWithdraw, ContractCondition, ContractTerminate, GrantCarry, KeyAdd, HostJoin, PersonLogin, PersonSnapshot, PersonLock, PersonUnlock, PersonLink, PersonErase, PersonRead,
		HostInvite, HostCertify, HostLabel, HostRetire, HostRelease, LoginOpen, LoginClose, LoginRefuse, LoginOffline,
		RequestSubmit, RequestDecide, RequestExpire, RequestCancel, AccessRevoke, CertificateIssue, CertificateVoid:
		return true
	default:
		return false
	}
}

const (
	leafHeader = "sallyport.ledger/v1"
	none       = "-"
	maxLeaf    = 512 // bytes; the longest leaf is 261
	leafLines  = 6

	digestChars = 43
)

// Leaf is one entry of the ledger. It holds commitments and digests only, so
// it can be published: what they hide stays in the opening beside it.
type Leaf struct {
	// Kind says what the leaf records.
	Kind Kind
	// Lineage is the digest of version 1 of the contract that the leaf belongs
	// to. Zero, written "-", for a leaf that belongs to none.
	Lineage canon.Digest
	// Reference is what the leaf is about: a random id (26 characters, see
	// [canon.ParseID]) or a digest (43 characters), never a name. For
	// [CertificateIssue] it is the SHA-256 of the certificate's signed bytes
	// without the proof extension.
	Reference string
	// Facts commits to the facts; see [FactsCommitment]. Never zero.
	Facts canon.Digest
	// Person commits to the erasable person part; see [PersonCommitment].
	// Zero, written "-", where there is none.
	Person canon.Digest
}

// Marshal returns the leaf's one text form: six lines, each ended by "\n".
// It returns [ErrLeaf] for a leaf that has none.
func (l Leaf) Marshal() ([]byte, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, line := range []string{
		leafHeader, string(l.Kind), optional(l.Lineage), l.Reference, l.Facts.String(), optional(l.Person),
	} {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.Bytes(), nil
}

// ParseLeaf reads what [Leaf.Marshal] writes and returns [ErrLeaf] for
// everything else: other line ends, a seventh line, padding, upper-case ids, a
// zero digest spelled out. A well-formed kind passes even if it is unknown.
func ParseLeaf(text []byte) (Leaf, error) {
	if len(text) > maxLeaf {
		return Leaf{}, fmt.Errorf("%w: %d bytes, at most %d", ErrLeaf, len(text), maxLeaf)
	}
	body, ended := strings.CutSuffix(string(text), "\n")
	lines := strings.Split(body, "\n")
	if !ended || len(lines) != leafLines {
		return Leaf{}, fmt.Errorf("%w: a leaf is %d lines, each ended by a newline", ErrLeaf, leafLines)
	}
	if lines[0] != leafHeader {
		return Leaf{}, fmt.Errorf("%w: line 1 is %.80q, want %q", ErrLeaf, lines[0], leafHeader)
	}
	kind, err := ParseKind(lines[1])
	if err != nil {
		return Leaf{}, fmt.Errorf("line 2: %w", err)
	}
	l := Leaf{Kind: kind, Reference: lines[3]}
	for _, field := range []struct {
		line int
		into *canon.Digest
	}{{3, &l.Lineage}, {5, &l.Facts}, {6, &l.Person}} {
		if *field.into, err = parseOptional(lines[field.line-1]); err != nil {
			return Leaf{}, fmt.Errorf("line %d: %w: %w", field.line, ErrLeaf, err)
		}
	}
	if err := l.check(); err != nil {
		return Leaf{}, err
	}
	return l, nil
}

// Hash returns the leaf's RFC 6962 record hash, SHA-256(0x00 || text). Later
// leaves name this one by it.
func (l Leaf) Hash() (tlog.Hash, error) {
	text, err := l.Marshal()
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.RecordHash(text), nil
}

func (l Leaf) check() error {
	if _, err := ParseKind(string(l.Kind)); err != nil {
		return err
	}
	digest, err := parseReference(l.Reference)
	if err != nil {
		return fmt.Errorf("reference %.80q: %w: %w", l.Reference, ErrLeaf, err)
	}
	if l.Facts.IsZero() {
		return fmt.Errorf("%w: no facts commitment; each leaf has facts", ErrLeaf)
	}
	if l.Kind == CertificateIssue || l.Kind == HostCertify {
		switch {
		case !digest:
			return fmt.Errorf("%w: %s refers to a digest, not to an id", ErrLeaf, l.Kind)
		case l.Lineage.IsZero():
			return fmt.Errorf("%w: %s belongs to a contract; its lineage is missing", ErrLeaf, l.Kind)
		case !l.Person.IsZero():
			// A verifier rebuilds this leaf from the certificate alone, which
			// carries no person commitment.
			return fmt.Errorf("%w: %s has no person part", ErrLeaf, l.Kind)
		}
	}
	return nil
}

// parseReference reports whether the well-formed reference s is a digest.
func parseReference(s string) (digest bool, err error) {
	if len(s) == digestChars {
		d, err := canon.ParseDigest(s)
		if err == nil && d.IsZero() {
			return false, fmt.Errorf("%w: the zero digest stands for nothing", canon.ErrEncoding)
		}
		if err == nil {
			return true, nil
		}
	} else if _, err := canon.ParseID(s); err == nil {
		return false, nil
	}
	return false, fmt.Errorf("%w: neither an id of 26 characters nor a digest of 43", canon.ErrEncoding)
}

func optional(d canon.Digest) string {
	if d.IsZero() {
		return none
	}
	return d.String()
}

func parseOptional(s string) (canon.Digest, error) {
	if s == none {
		return canon.Digest{}, nil
	}
	d, err := canon.ParseDigest(s)
	if err != nil {
		return canon.Digest{}, err
	}
	if d.IsZero() {
		return canon.Digest{}, fmt.Errorf("%w: the zero digest is written %q", canon.ErrEncoding, none)
	}
	return d, nil
}
