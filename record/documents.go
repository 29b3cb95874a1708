package record

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// ErrDocument is wrapped by every refusal of a signed document.
var ErrDocument = errors.New("signed document refused")

// Versions of the documents that a client signs. docs/formats.md lists their
// fields; a change needs a new version string.
const (
	SessionVersion = "sallyport.session/v1"
	RequestVersion = "sallyport.request/v1"
	CancelVersion  = "sallyport.cancel/v1"
	RevokeVersion  = "sallyport.revoke/v1"
	IssueVersion   = "sallyport.issue/v1"
	EraseVersion   = "sallyport.erase/v1"
)

// SessionDoc is what a device key signs to open a session: this login's ID
// token, for this authority, now.
type SessionDoc struct {
	V         string       `json:"v"`
	Origin    string       `json:"origin"`
	Server    string       `json:"server"`    // the URL that the client speaks to, so that nobody in between can pass the login on
	IDToken   canon.Digest `json:"id_token"`  // SHA-256 of the ID token's text
	Challenge canon.Digest `json:"challenge"` // 32 random bytes from the authority
}

// RequestDoc is what a device key signs to ask for a grant. It carries no free
// text: the reason is in the person part, to which Commitment commits with a
// salt that the client drew.
type RequestDoc struct {
	V          string          `json:"v"`
	Origin     string          `json:"origin"`
	Request    canon.ID        `json:"request"` // drawn by the client: a repeat is the same request
	Person     canon.ID        `json:"person"`
	Contract   canon.Digest    `json:"contract"` // the contract version that the client was shown
	Role       string          `json:"role"`
	Logins     []sshcert.Login `json:"logins"`
	Hosts      []sshcert.Host  `json:"hosts"`
	Seconds    int64           `json:"for_seconds"`
	Commitment canon.Digest    `json:"person_commitment"`
	ExpiresAt  canon.Micros    `json:"expires_at"` // the document is not accepted later
}

// CancelDoc is what a device key signs to take a request back. It holds for that
// request alone, which can't be cancelled twice, so it needs no challenge.
type CancelDoc struct {
	V         string       `json:"v"`
	Origin    string       `json:"origin"`
	Request   canon.ID     `json:"request"`
	Person    canon.ID     `json:"person"` // who made it
	ExpiresAt canon.Micros `json:"expires_at"`
}

// RevokeDoc is what a device key signs to revoke. The revocation is in the ledger
// once, so it needs no challenge.
type RevokeDoc struct {
	V          string       `json:"v"`
	Origin     string       `json:"origin"`
	Revocation canon.ID     `json:"revocation"` // drawn by the client: a repeat is the same revocation
	Person     canon.ID     `json:"person"`     // who revokes
	Lineage    canon.Digest `json:"lineage"`    // of the contract under which the target is
	Target     Target       `json:"target"`
	ExpiresAt  canon.Micros `json:"expires_at"`
}

// IssueDoc is what the device key and the new certificate key both sign to have
// a certificate made (DESIGN §5 step 1).
type IssueDoc struct {
	V         string       `json:"v"`
	Origin    string       `json:"origin"`
	Lineage   canon.Digest `json:"lineage"`
	Person    canon.ID     `json:"person"`
	Grant     canon.ID     `json:"grant"` // the id of the granted request
	Key       string       `json:"key"`   // b64 of the certificate key's SSH wire form
	Challenge canon.Digest `json:"challenge"`
	ExpiresAt canon.Micros `json:"expires_at"`
}

// ServerURL is how a server's address is spelled in a document: scheme and host
// in lower case, the port if it is not the scheme's own, nothing else.
func ServerURL(u *url.URL) string {
	host := strings.ToLower(u.Host)
	for scheme, port := range map[string]string{"https": ":443", "http": ":80"} {
		if strings.EqualFold(u.Scheme, scheme) {
			host = strings.TrimSuffix(host, port)
		}
	}
	return strings.ToLower(u.Scheme) + "://" + host
}

// OpenSession reads a session document and checks the device key's signature
// over exactly these bytes.
func OpenSession(text, signature string, device ssh.PublicKey) (SessionDoc, error) {
	var d SessionDoc
	err := open(text, &d, func() string { return d.V }, SessionVersion)
	if err != nil {
		return SessionDoc{}, err
	}
	return d, directly.verify(device, sshcert.NamespaceDevice, text, signature)
}

// OpenRequest reads a request document and checks the device key's signature.
func OpenRequest(text, signature string, device ssh.PublicKey) (RequestDoc, error) {
	return directly.openRequest(text, signature, device)
}

func (c checking) openRequest(text, signature string, device ssh.PublicKey) (RequestDoc, error) {
	var d RequestDoc
	err := open(text, &d, func() string { return d.V }, RequestVersion)
	if err != nil {
		return RequestDoc{}, err
	}
	return d, c.verify(device, sshcert.NamespaceDevice, text, signature)
}

// OpenCancel reads a cancel document and checks the device key's signature.
func OpenCancel(text, signature string, device ssh.PublicKey) (CancelDoc, error) {
	return directly.openCancel(text, signature, device)
}

func (c checking) openCancel(text, signature string, device ssh.PublicKey) (CancelDoc, error) {
	var d CancelDoc
	err := open(text, &d, func() string { return d.V }, CancelVersion)
	if err != nil {
		return CancelDoc{}, err
	}
	return d, c.verify(device, sshcert.NamespaceDevice, text, signature)
}

// OpenRevoke reads a revoke document and checks the device key's signature.
func OpenRevoke(text, signature string, device ssh.PublicKey) (RevokeDoc, error) {
	return directly.openRevoke(text, signature, device)
}

func (c checking) openRevoke(text, signature string, device ssh.PublicKey) (RevokeDoc, error) {
	var d RevokeDoc
	err := open(text, &d, func() string { return d.V }, RevokeVersion)
	if err != nil {
		return RevokeDoc{}, err
	}
	return d, c.verify(device, sshcert.NamespaceDevice, text, signature)
}

// OpenIssue reads an issue document and checks both signatures: the device
// key's, and that of the key which the certificate is for. It returns that key,
// held to the key policy.
func OpenIssue(text, deviceSig, possessionSig string, device ssh.PublicKey) (IssueDoc, ssh.PublicKey, error) {
	return directly.openIssue(text, deviceSig, possessionSig, device)
}

func (c checking) openIssue(text, deviceSig, possessionSig string, device ssh.PublicKey) (IssueDoc, ssh.PublicKey, error) {
	var d IssueDoc
	if err := open(text, &d, func() string { return d.V }, IssueVersion); err != nil {
		return IssueDoc{}, nil, err
	}
	wire, err := canon.ParseB64(d.Key)
	if err != nil {
		return IssueDoc{}, nil, fmt.Errorf("%w: key: %w", ErrDocument, err)
	}
	key, err := sshcert.ParseSubjectKey(wire)
	if err != nil {
		return IssueDoc{}, nil, err
	}
	if err := c.verify(device, sshcert.NamespaceDevice, text, deviceSig); err != nil {
		return IssueDoc{}, nil, err
	}
	if err := c.verify(key, sshcert.NamespacePossession, text, possessionSig); err != nil {
		return IssueDoc{}, nil, err
	}
	return d, key, nil
}

// Fresh reports whether a document that expires at the given moment is still
// accepted at now, and not dated further ahead than life.
func Fresh(expires canon.Micros, now time.Time, life time.Duration) error {
	switch at := expires.Time(); {
	case now.After(at):
		return fmt.Errorf("%w: it expired at %s; try again", ErrDocument, at.Format(time.RFC3339))
	case at.After(now.Add(life + time.Minute)):
		return fmt.Errorf("%w: it expires more than %s ahead; check this machine's clock", ErrDocument, life)
	}
	return nil
}

func open(text string, doc any, version func() string, want string) error {
	if err := parseExactly([]byte(text), doc); err != nil {
		return fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if version() != want {
		return fmt.Errorf("%w: its version is %q, not %q", ErrDocument, version(), want)
	}
	return nil
}

// SignatureVerifier is a View that checks signatures itself, because it remembers
// which ones were checked already. Its Verify answers what [sshcert.Verify] does.
type SignatureVerifier interface {
	View
	Verify(key ssh.PublicKey, namespace string, message []byte, armored string) error
}

// checking is how signatures are checked.
type checking struct {
	with func(key ssh.PublicKey, namespace string, message []byte, armored string) error
}

// directly checks each signature when it is asked for.
var directly = checking{sshcert.Verify}

// checkingOf returns how a view has signatures checked.
func checkingOf(v View) checking {
	if s, ok := v.(SignatureVerifier); ok {
		return checking{s.Verify}
	}
	return directly
}

func (c checking) verify(key ssh.PublicKey, namespace, text, signature string) error {
	if err := c.with(key, namespace, []byte(text), signature); err != nil {
		return fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return nil
}
