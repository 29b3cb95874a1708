package ca_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/sshcert"
)

func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newAuthority(t testing.TB) *softkey.Signer {
	t.Helper()
	s, err := softkey.Create(filepath.Join(t.TempDir(), "user-ca"), "test", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start is no whole second: a grant begins when somebody clicked.
func start() time.Time { return time.Date(2026, 12, 1, 8, 0, 0, 700_000_000, time.UTC) }

// goodGrant is ten minutes for two logins on two hosts.
func goodGrant() approval.Grant {
	return approval.Grant{
		ID: "mzxw6ytboi2dqmrvgm4tanrwge", Person: "aaaaaaaaaaaaaaaaaaaaaaaaae", Contract: canon.Sum("contract"), Lineage: canon.Sum("lineage"),
		Logins: []sshcert.Login{"deploy", "ops"}, Hosts: []sshcert.Host{"web-1.demo", "web-2.demo"},
		Start: start(), End: start().Add(10 * time.Minute), TTL: 5 * time.Minute, Extensions: []string{"permit-port-forwarding", "permit-pty"},
	}
}

// issuance is everything around one certificate: grant, key, authority and a
// ledger of real leaves.
type issuance struct {
	t         testing.TB
	grant     approval.Grant
	key       ssh.Signer
	authority *softkey.Signer
	log       *ledgertest.Log
	now       time.Time
}

func newIssuance(t testing.TB) *issuance {
	t.Helper()
	i := &issuance{
		t: t, grant: goodGrant(), key: newKey(t), authority: newAuthority(t), log: ledgertest.New(t, "ledger.example/ca", t.Name()),
		now: start().Add(2 * time.Minute),
	}
	for n := range 5 { // the certificate is not the first thing in the ledger
		i.log.AppendHash(sha256.Sum256([]byte{byte(n)}))
	}
	return i
}

// unsigned is the certificate that is due at the log's next index.
func (i *issuance) unsigned() *ssh.Certificate {
	i.t.Helper()
	template, err := ca.NewTemplate(i.grant, i.key.PublicKey(), i.now)
	if err != nil {
		i.t.Fatal(err)
	}
	nonce := make([]byte, ca.NonceSize)
	if _, err := rand.Read(nonce); err != nil {
		i.t.Fatal(err)
	}
	cert, err := template.Certificate(ledger.Serial(i.log.Tree().Size), nonce, i.authority.PublicKey())
	if err != nil {
		i.t.Fatal(err)
	}
	return cert
}

// record appends the certificate's leaf and returns its proof.
func (i *issuance) record(cert *ssh.Certificate) []byte {
	i.t.Helper()
	facts := canon.Sum("facts")
	reference := canon.Digest(sha256.Sum256(sshcert.TBS(cert)))
	index := i.log.Append(ledger.Leaf{Kind: ledger.CertificateIssue, Lineage: i.grant.Lineage, Reference: reference.String(), Facts: facts})
	return i.log.Prove(index, index+1, certproof.Extra(i.grant.Lineage, facts))
}

// sign signs whatever stands in the certificate.
func (i *issuance) sign(s ca.Signer, cert *ssh.Certificate) *ssh.Certificate {
	i.t.Helper()
	sig, err := s.Sign(context.Background(), sshcert.SignedBytes(cert))
	if err != nil {
		i.t.Fatal(err)
	}
	signed := *cert
	signed.Signature = sig
	return &signed
}

// finished is a good certificate, all the way.
func (i *issuance) finished() *ssh.Certificate {
	i.t.Helper()
	cert := i.unsigned()
	done, err := ca.Finish(context.Background(), i.authority, cert, i.record(cert), i.log.Policy())
	if err != nil {
		i.t.Fatal(err)
	}
	return done
}

// bent is a certificate that was changed before the ledger recorded it: its
// proof and its signature hold, and it is not the one that was granted.
func (i *issuance) bent(s ca.Signer, bend func(*ssh.Certificate)) *ssh.Certificate {
	i.t.Helper()
	cert := i.unsigned()
	bend(cert)
	if err := certproof.Embed(cert, i.record(cert)); err != nil {
		i.t.Fatal(err)
	}
	return i.sign(s, cert)
}

// lint asks for the certificate of the log's newest leaf.
func (i *issuance) lint(cert *ssh.Certificate) error {
	return ca.Lint(cert.Marshal(), i.grant, i.key.PublicKey(), i.authority.PublicKey(), ledger.Serial(i.log.Tree().Size-1), i.now, i.log.Policy())
}

// changed is a copy of a finished certificate with something changed after it
// was recorded, signed anew by the right authority.
func (i *issuance) changed(cert *ssh.Certificate, change func(*ssh.Certificate)) *ssh.Certificate {
	i.t.Helper()
	again := *cert
	again.ValidPrincipals = slices.Clone(cert.ValidPrincipals)
	again.Extensions = make(map[string]string)
	for name, value := range cert.Extensions {
		again.Extensions[name] = value
	}
	change(&again)
	return i.sign(i.authority, &again)
}
