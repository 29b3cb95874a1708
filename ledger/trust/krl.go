package trust

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/sshcert"
)

// KRLVersion is what a statement about a revocation list says that it is.
const KRLVersion = "sallyport.krl/v1"

// KRLNamespace is that of the SSHSIG signature of such a statement.
const KRLNamespace = "sallyport-krl"

// MaxKRLFile is the largest file with a signed statement, in bytes.
const MaxKRLFile = 16 << 10

// Reasons why a statement about a revocation list is refused.
var (
	// ErrKRL says that a text is no statement about a revocation list.
	ErrKRL = errors.New("not a statement about a revocation list")
	// ErrKRLSigner says that none of the bundle's keys signed a statement.
	ErrKRLSigner = errors.New("the revocation list is not signed by a key of the trust bundle")
	// ErrKRLOther says that a list is not the one of a statement.
	ErrKRLOther = errors.New("the revocation list is not the one of its statement")
)

// KRL is what is signed about a revocation list of OpenSSH, which has no signature
// of its own that sshd would read.
type KRL struct {
	V       string       `json:"v"`
	Origin  string       `json:"origin"`
	Lineage canon.Digest `json:"lineage"`
	Number  int64        `json:"number"` // also in the list; a host never takes a lower one
	MadeAt  canon.Micros `json:"made_at"`
	NextAt  canon.Micros `json:"next_at"` // when the next one is there at the latest
	Size    int64        `json:"size"`    // of the ledger that the list was made from
	SHA256  canon.Digest `json:"sha256"`  // of the list's bytes
	Bytes   int64        `json:"bytes"`   // how many there are
}

// krlFile is a statement with its signature, as a host keeps it.
type krlFile struct {
	Statement string `json:"statement"`
	Signature string `json:"signature"` // armored SSHSIG over the statement
}

// MakeKRL writes a statement in canonical form.
func MakeKRL(k KRL) (string, error) {
	k.V = KRLVersion
	text, err := canon.Marshal(k)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrKRL, err)
	}
	_, err = ParseKRL(string(text))
	return string(text), err
}

// ParseKRL reads a statement, strictly.
func ParseKRL(text string) (KRL, error) {
	var k KRL
	if len(text) > MaxKRLFile {
		return KRL{}, fmt.Errorf("%w: %d bytes, at most %d", ErrKRL, len(text), MaxKRLFile)
	}
	if err := canon.Unmarshal([]byte(text), &k); err != nil {
		return KRL{}, fmt.Errorf("%w: %w", ErrKRL, err)
	}
	if again, err := canon.Marshal(k); err != nil || string(again) != text {
		return KRL{}, fmt.Errorf("%w: a member is missing", ErrKRL)
	}
	if _, err := ledger.ParseOrigin(k.Origin); err != nil {
		return KRL{}, fmt.Errorf("%w: %w", ErrKRL, err)
	}
	switch {
	case k.V != KRLVersion:
		return KRL{}, fmt.Errorf("%w: it says that it is %.60q, want %s", ErrKRL, k.V, KRLVersion)
	case k.Lineage.IsZero() || k.SHA256.IsZero():
		return KRL{}, fmt.Errorf("%w: lineage or sha256 is zero", ErrKRL)
	case k.Number < 1 || k.Size < 1 || k.Bytes < 1:
		return KRL{}, fmt.Errorf("%w: number, size and bytes are 1 or more", ErrKRL)
	case k.MadeAt < 1 || k.NextAt <= k.MadeAt:
		return KRL{}, fmt.Errorf("%w: the next one is due before it was made", ErrKRL)
	}
	return k, nil
}

// SignedKRL writes a statement with its signature, as a host keeps it.
func SignedKRL(statement, signature string) ([]byte, error) {
	file, err := canon.Marshal(krlFile{Statement: statement, Signature: signature})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKRL, err)
	}
	return file, nil
}

// OpenKRL reads what [SignedKRL] wrote, and returns the statement if one of the
// bundle's keys signed it for the bundle's ledger and lineage.
func (b Bundle) OpenKRL(file []byte) (KRL, error) {
	var f krlFile
	if len(file) > MaxKRLFile {
		return KRL{}, fmt.Errorf("%w: %d bytes, at most %d", ErrKRL, len(file), MaxKRLFile)
	}
	if err := canon.Unmarshal(file, &f); err != nil {
		return KRL{}, fmt.Errorf("%w: %w", ErrKRL, err)
	}
	k, err := ParseKRL(f.Statement)
	if err != nil {
		return KRL{}, err
	}
	signer, err := sshcert.SignedBy(f.Signature)
	switch {
	case err != nil:
		return KRL{}, fmt.Errorf("%w: %w", ErrKRLSigner, err)
	case !b.SignsLists(signer):
		return KRL{}, fmt.Errorf("%w: it is signed by %s", ErrKRLSigner, ssh.FingerprintSHA256(signer))
	}
	if err := sshcert.Verify(signer, KRLNamespace, []byte(f.Statement), f.Signature); err != nil {
		return KRL{}, fmt.Errorf("%w: %w", ErrKRLSigner, err)
	}
	if k.Origin != b.Origin || k.Lineage != b.Lineage {
		return KRL{}, fmt.Errorf("%w: it is of %s and lineage %s", ErrOther, k.Origin, k.Lineage)
	}
	return k, nil
}

// Covers returns nil if a revocation list is the one that the statement is about.
func (k KRL) Covers(list []byte) error {
	if int64(len(list)) != k.Bytes || canon.Digest(sha256.Sum256(list)) != k.SHA256 {
		return fmt.Errorf("%w: number %d has %d bytes and the SHA-256 %s", ErrKRLOther, k.Number, k.Bytes, k.SHA256)
	}
	return nil
}
