package ca_test

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/sshcert"
)

// hostIssue is everything around one host certificate.
type hostIssue struct {
	*issuance
	template ca.HostTemplate
}

func newHostIssue(t *testing.T) hostIssue {
	t.Helper()
	i := newIssuance(t)
	return hostIssue{i, ca.HostTemplate{Host: "web-1.demo", Lineage: i.grant.Lineage, Key: i.key.PublicKey(), Issued: i.now, Life: ca.HostLife}}
}

func (i hostIssue) certificate() *ssh.Certificate {
	i.t.Helper()
	nonce := make([]byte, ca.NonceSize)
	if _, err := rand.Read(nonce); err != nil {
		i.t.Fatal(err)
	}
	cert, err := i.template.Certificate(ledger.Serial(i.log.Tree().Size), nonce, i.authority.PublicKey())
	if err != nil {
		i.t.Fatal(err)
	}
	return cert
}

// recordHost appends the certificate's leaf, of some kind, and returns it with its
// proof.
func (i hostIssue) recordHost(cert *ssh.Certificate, kind ledger.Kind) (ledger.Leaf, []byte) {
	i.t.Helper()
	leaf := ledger.Leaf{
		Kind: kind, Lineage: i.template.Lineage, Reference: canon.Digest(sha256.Sum256(sshcert.SignedBytes(cert))).String(), Facts: canon.Sum("facts"),
	}
	index := i.log.Append(leaf)
	return leaf, i.log.Prove(index, index+1, nil)
}

// TestPromiseP01_HostCertificateIsProvedFirst: the host CA signs what the ledger holds
// as a host certificate, and nothing else; the user CA signs no host.
func TestPromiseP01_HostCertificateIsProvedFirst(t *testing.T) {
	t.Parallel()
	i := newHostIssue(t)
	cert := i.certificate()
	leaf, proof := i.recordHost(cert, ledger.HostCertify)
	signed, err := ca.FinishHost(t.Context(), i.authority, cert, leaf, proof, i.log.Policy())
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.LintHost(signed.Marshal(), i.template, i.authority.PublicKey(), cert.Serial); err != nil {
		t.Error(err)
	}
	bent := func(bend func(*ssh.Certificate)) *ssh.Certificate {
		c := *cert
		bend(&c)
		return &c
	}
	next := func() uint64 { return ledger.Serial(i.log.Tree().Size) }
	user := bent(func(c *ssh.Certificate) { c.CertType, c.Serial = ssh.UserCert, next() })
	userLeaf, userProof := i.recordHost(user, ledger.HostCertify)
	issue := bent(func(c *ssh.Certificate) { c.Serial = next() })
	issueLeaf, issueProof := i.recordHost(issue, ledger.CertificateIssue)
	shifted := bent(func(c *ssh.Certificate) { c.Serial = next() + 1 })
	shiftedLeaf, shiftedProof := i.recordHost(shifted, ledger.HostCertify)
	other := newHostIssue(t)
	other.log = ledgertest.New(t, "other.example", "another")
	foreign, foreignProof := other.recordHost(cert, ledger.HostCertify)
	late := leaf
	late.Facts = canon.Sum("other facts")
	for _, tt := range []struct {
		name  string
		cert  *ssh.Certificate
		leaf  ledger.Leaf
		proof []byte
		want  error
	}{
		{"a certificate for people", user, userLeaf, userProof, ca.ErrLint},
		{"a leaf of another kind", issue, issueLeaf, issueProof, ca.ErrLint},
		{"another serial than the leaf's", shifted, shiftedLeaf, shiftedProof, ca.ErrLint},
		{"a leaf that is not there", cert, late, proof, ca.ErrLint},
		{"no proof", cert, leaf, nil, ca.ErrLint},
		{"another ledger's proof", cert, foreign, foreignProof, ca.ErrLint},
		{"another name", bent(func(c *ssh.Certificate) { c.ValidPrincipals = []string{"web-2.demo"} }), leaf, proof, ca.ErrLint},
		{"an extension more", bent(func(c *ssh.Certificate) { c.Extensions = map[string]string{sshcert.ProofExtension: "x"} }), leaf, proof, ca.ErrLint},
	} {
		if got, err := ca.FinishHost(t.Context(), i.authority, tt.cert, tt.leaf, tt.proof, i.log.Policy()); !errors.Is(err, tt.want) || got != nil {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if got, err := ca.FinishHost(t.Context(), newAuthority(t), cert, leaf, proof, i.log.Policy()); !errors.Is(err, ca.ErrSigner) || got != nil {
		t.Errorf("by another host CA: %v", err)
	}
	// The user CA's way refuses a host's certificate, whatever proof it brings.
	asHost := newIssuance(t)
	mine := asHost.unsigned()
	mine.CertType = ssh.HostCert
	if got, err := ca.Finish(t.Context(), asHost.authority, mine, asHost.record(mine), asHost.log.Policy()); !errors.Is(err, ca.ErrLint) || got != nil {
		t.Errorf("the user CA signed a host: %v", err)
	}
}

func TestLintHostFinds(t *testing.T) {
	t.Parallel()
	i := newHostIssue(t)
	other := newKey(t)
	for _, tt := range []struct {
		name string
		bend func(*ssh.Certificate)
		want string
	}{
		{"for people", func(c *ssh.Certificate) { c.CertType = ssh.UserCert }, "not a host certificate"},
		{"another serial", func(c *ssh.Certificate) { c.Serial++ }, "serial"},
		{"another key", func(c *ssh.Certificate) { c.Key = other.PublicKey() }, "key is not the host's"},
		{"a second name", func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "web-2.demo") }, "exactly this host"},
		{"no name", func(c *ssh.Certificate) { c.ValidPrincipals = nil }, "exactly this host"},
		{"another key ID", func(c *ssh.Certificate) { c.KeyId = "h=web-2.demo" }, "key ID"},
		{"an extension", func(c *ssh.Certificate) { c.Extensions = map[string]string{"permit-pty": ""} }, "option"},
		{"an option", func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "x"} }, "option"},
		{"longer", func(c *ssh.Certificate) { c.ValidBefore += 3600 }, "too long"},
		{"for ever", func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }, "ends before"},
		{"from yesterday on", func(c *ssh.Certificate) { c.ValidAfter -= 86400 }, "before it was issued"},
		{"from tomorrow on", func(c *ssh.Certificate) { c.ValidAfter += 86400 }, "before it was issued"},
		{"a short nonce", func(c *ssh.Certificate) { c.Nonce = c.Nonce[:16] }, "nonce"},
	} {
		cert := i.certificate()
		tt.bend(cert)
		err := ca.LintHost(i.sign(i.authority, cert).Marshal(), i.template, i.authority.PublicKey(), ledger.Serial(i.log.Tree().Size))
		if !errors.Is(err, ca.ErrLint) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestHostTemplateRefuses(t *testing.T) {
	t.Parallel()
	i := newHostIssue(t)
	nonce := make([]byte, ca.NonceSize)
	for _, tt := range []struct {
		name string
		bend func(*ca.HostTemplate)
	}{
		{"no name", func(h *ca.HostTemplate) { h.Host = "" }},
		{"every name", func(h *ca.HostTemplate) { h.Host = "*" }},
		{"for a minute", func(h *ca.HostTemplate) { h.Life = time.Minute }},
		{"for a year", func(h *ca.HostTemplate) { h.Life = 365 * 24 * time.Hour }},
	} {
		h := i.template
		tt.bend(&h)
		if _, err := h.Certificate(1, nonce, i.authority.PublicKey()); !errors.Is(err, ca.ErrTemplate) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	cert := i.sign(i.authority, i.certificate())
	if _, err := i.template.Certificate(1, nonce, cert); !errors.Is(err, ca.ErrTemplate) {
		t.Errorf("a certificate as host CA: %v", err)
	}
}

// Stock ssh-keygen reads a host certificate as what it is.
func TestHostCertificateElsewhere(t *testing.T) {
	t.Parallel()
	i := newHostIssue(t)
	cert := i.certificate()
	leaf, proof := i.recordHost(cert, ledger.HostCertify)
	signed, err := ca.FinishHost(t.Context(), i.authority, cert, leaf, proof, i.log.Policy())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "host-cert.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(signed), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-L", "-f", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"ssh-ed25519-cert-v01@openssh.com host certificate", "web-1.demo", "Critical Options: (none)", "Extensions: (none)", `Key ID: "h=web-1.demo;l=`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it lacks %q:\n%s", want, out)
		}
	}
}
