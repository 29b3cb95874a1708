package client

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// ErrCertificate is wrapped by every refusal of a certificate that the server
// answered: it is not what was asked for, or not what the pin file vouches for.
var ErrCertificate = errors.New("the server's certificate is refused and not used")

// issued is a certificate that passed every check, with its key.
type issued struct {
	cert *ssh.Certificate
	key  crypto.Signer // nil for a key that the person keeps
}

// issue has a certificate for key made under the grant of r (DESIGN §5 step 1):
// one document signed by the device key and by that key, and an answer that is
// believed only after checkCertificate.
func (a *account) issue(ctx context.Context, r api.Request, p sshcert.Principal, key subject) (issued, error) {
	a.freshen(ctx)
	var challenge api.Challenge
	if err := a.conn.post(ctx, "/v1/challenges", api.ChallengeRequest{Purpose: "issue"}, &challenge); err != nil {
		return issued{}, err
	}
	body, err := a.signIssue(ctx, r, key, challenge.Challenge)
	if err != nil {
		return issued{}, err
	}
	var answer api.Certificate
	if err := a.conn.post(ctx, "/v1/grants/"+string(r.ID)+"/certificates", body, &answer); err != nil {
		return issued{}, err
	}
	cert, err := a.checkCertificate(answer, r, key.public, p)
	if err != nil {
		return issued{}, err
	}
	return issued{cert: cert, key: key.private}, nil
}

func (a *account) signIssue(ctx context.Context, r api.Request, key subject, challenge canon.Digest) (api.CertificateRequest, error) {
	document, err := canon.Marshal(record.IssueDoc{
		V: record.IssueVersion, Origin: a.at.pin.Origin, Lineage: r.Contract.Lineage, Person: a.session.Person, Grant: r.ID,
		Key: canon.B64(key.public.Marshal()), Challenge: challenge, ExpiresAt: canon.At(a.conn.now().Add(documentLife)),
	})
	if err != nil {
		return api.CertificateRequest{}, err
	}
	device, err := sshcert.Sign(a.env.Rand, a.device, sshcert.NamespaceDevice, document)
	if err != nil {
		return api.CertificateRequest{}, err
	}
	possession, err := key.prove(ctx, document)
	if err != nil {
		return api.CertificateRequest{}, err
	}
	return api.CertificateRequest{Document: string(document), DeviceSignature: device, PossessionSignature: possession}, nil
}

// checkCertificate reads the server's certificate as a stranger's: one
// canonical form, signed by the pinned CA, for our key and person and this
// grant, for principals that were granted and p among them, within the grant's
// time, and proved to be in the pinned ledger.
func (a *account) checkCertificate(answer api.Certificate, r api.Request, key ssh.PublicKey, p sshcert.Principal) (*ssh.Certificate, error) {
	cert, err := parseCertificateLine(answer.Certificate)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	id, err := sshcert.ParseKeyID(cert.KeyId)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	now, before := a.conn.now(), unixTime(cert.ValidBefore)
	for _, check := range []struct {
		what string
		ok   bool
	}{
		{"it is not a user certificate", cert.CertType == ssh.UserCert},
		{"it is signed by another CA than the pin file's", sameKey(cert.SignatureKey, a.at.pin.CA)},
		{"it is for another key", sameKey(cert.Key, key)},
		{"its key ID names another person", id.Person == a.session.Person},
		{"its key ID names another request", id.Request == r.ID},
		{"its serial is not the one that the answer names", cert.Serial == answer.Serial},
		{"it is not valid for " + p.String(), slices.Contains(cert.ValidPrincipals, p.String())},
		{"it is valid for more than what was granted", granted(cert.ValidPrincipals, r)},
		{"it is not valid any more", before.After(now)},
		{"it outlives the grant", r.Grant == nil || !before.After(r.Grant.End.Time())},
	} {
		if !check.ok {
			return nil, fmt.Errorf("%w: %s", ErrCertificate, check.what)
		}
	}
	policy, err := a.at.pin.policy()
	if err != nil {
		return nil, err
	}
	proved, err := certproof.Verify(cert, policy)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if proved.Lineage != r.Contract.Lineage {
		return nil, fmt.Errorf("%w: it was recorded under another contract than the request", ErrCertificate)
	}
	return cert, nil
}

// granted reports whether each principal is a login of r on a host of r.
func granted(principals []string, r api.Request) bool {
	for _, s := range principals {
		p, err := sshcert.ParsePrincipal(s)
		if err != nil || !covers(r, p) {
			return false
		}
	}
	return true
}

// covers reports whether r asks for the principal.
func covers(r api.Request, p sshcert.Principal) bool {
	return slices.Contains(r.Logins, p.Login) && slices.Contains(r.Hosts, p.Host)
}

// parseCertificateLine reads "TYPE BASE64", the form of a -cert.pub file,
// without comment or options.
func parseCertificateLine(line string) (*ssh.Certificate, error) {
	const most = sshcert.MaxCertificate*4/3 + 200
	line = strings.TrimSuffix(line, "\n")
	name, text, ok := strings.Cut(line, " ")
	if len(line) > most || !ok {
		return nil, fmt.Errorf("%w: not one line TYPE BASE64 of at most %d characters", sshcert.ErrCertificate, most)
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(wire) != text {
		return nil, fmt.Errorf("%w: not canonical base64", sshcert.ErrCertificate)
	}
	cert, err := sshcert.ParseCertificate(wire)
	if err != nil {
		return nil, err
	}
	if cert.Type() != name {
		return nil, fmt.Errorf("%w: the line says %.60q, the certificate %s", sshcert.ErrCertificate, name, cert.Type())
	}
	return cert, nil
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// unixTime reads a certificate's time. "Forever" becomes the year 9999.
func unixTime(s uint64) time.Time {
	const last = 253402300799
	return time.Unix(int64(min(s, last)), 0)
}
