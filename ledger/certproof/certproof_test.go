package certproof_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

const (
	origin = "ledger.example/certproof"
	index  = 4 // of the certificate's leaf, among size
	size   = 7
)

// example derives the bytes that a real authority would draw at random.
func example(what string) []byte {
	sum := sha256.Sum256([]byte("sallyport test vector: " + what))
	return sum[:]
}

func key(t testing.TB, what string) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(example(what)))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func exampleID(t testing.TB, what string) canon.ID {
	t.Helper()
	id, err := canon.NewID(bytes.NewReader(example(what)))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func lineage() canon.Digest { return canon.Digest(example("lineage")) }

func facts(t testing.TB) (ledger.Salt, []byte, canon.Digest) {
	t.Helper()
	salt, err := ledger.NewSalt(bytes.NewReader(example("salt of the certificate's facts")))
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(`{"at":1795000000000000,"serial":5}`)
	return salt, text, ledger.FactsCommitment(salt, text)
}

// template returns an unsigned certificate as the authority makes one.
func template(t testing.TB, serial uint64) *ssh.Certificate {
	t.Helper()
	end := time.Unix(1795000600, 0).UTC()
	return &ssh.Certificate{
		Nonce:           example("nonce"),
		Key:             key(t, "subject").PublicKey(),
		Serial:          serial,
		CertType:        ssh.UserCert,
		KeyId:           sshcert.KeyID{Person: exampleID(t, "person"), Request: exampleID(t, "request"), Contract: canon.Digest(example("contract")), End: end}.String(),
		ValidPrincipals: []string{"ops@web-1.demo", "ops@web-2.demo"},
		ValidAfter:      1794999940,
		ValidBefore:     1795000300,
		Permissions: ssh.Permissions{
			CriticalOptions: map[string]string{"source-address": "192.0.2.0/24"},
			Extensions:      map[string]string{"permit-pty": ""},
		},
		SignatureKey: key(t, "authority").PublicKey(),
	}
}

// leafOf is the leaf that the authority appends for an unsigned certificate.
func leafOf(t testing.TB, cert *ssh.Certificate) ledger.Leaf {
	t.Helper()
	_, _, commitment := facts(t)
	tbs := sha256.Sum256(sshcert.TBS(cert))
	return ledger.Leaf{Kind: ledger.CertificateIssue, Lineage: lineage(), Reference: canon.Digest(tbs).String(), Facts: commitment}
}

func otherLeaf(t testing.TB, i int) ledger.Leaf {
	t.Helper()
	return ledger.Leaf{Kind: ledger.RequestSubmit, Lineage: lineage(), Reference: string(exampleID(t, "request")), Facts: canon.Digest(example("leaf " + string(rune('0'+i))))}
}

// logWith returns a log of size leaves with leaf at index.
func logWith(t testing.TB, seed string, leaf ledger.Leaf) *ledgertest.Log {
	t.Helper()
	log := ledgertest.New(t, origin, seed)
	for i := range size {
		if i == index {
			log.Append(leaf)
		} else {
			log.Append(otherLeaf(t, i))
		}
	}
	return log
}

func extra(t testing.TB) []byte {
	t.Helper()
	_, _, commitment := facts(t)
	return certproof.Extra(lineage(), commitment)
}

// sign signs cert as it stands with the authority's key.
func sign(t testing.TB, cert *ssh.Certificate, authority ssh.Signer) *ssh.Certificate {
	t.Helper()
	signed := *cert
	signed.Signature = nil
	signature, err := authority.Sign(rand.Reader, sshcert.SignedBytes(&signed))
	if err != nil {
		t.Fatal(err)
	}
	signed.Signature = signature
	return &signed
}

// withProof returns cert with proof in its extension, unsigned.
func withProof(t testing.TB, cert *ssh.Certificate, proof []byte) *ssh.Certificate {
	t.Helper()
	out := *cert
	out.Extensions = maps.Clone(out.Extensions)
	delete(out.Extensions, sshcert.ProofExtension)
	out.Signature = nil
	if err := certproof.Embed(&out, proof); err != nil {
		t.Fatal(err)
	}
	return &out
}

// forced sets the extension without asking Embed.
func forced(cert *ssh.Certificate, proof string) *ssh.Certificate {
	out := *cert
	out.Extensions = maps.Clone(out.Extensions)
	out.Extensions[sshcert.ProofExtension] = proof
	out.Signature = nil
	return &out
}

// issue returns a certificate that verifies, and the log that holds its leaf.
func issue(t testing.TB) (*ssh.Certificate, *ledgertest.Log) {
	t.Helper()
	cert := template(t, ledger.Serial(index))
	log := logWith(t, "log", leafOf(t, cert))
	return sign(t, withProof(t, cert, log.Prove(index, size, extra(t))), key(t, "authority")), log
}

func TestPromiseP08_AProvedCertificateVerifies(t *testing.T) {
	t.Parallel()
	cert, log := issue(t)
	_, _, commitment := facts(t)
	leafHash, err := leafOf(t, cert).Hash()
	if err != nil {
		t.Fatal(err)
	}
	want := certproof.Result{
		Index: index, Serial: 5, Lineage: lineage(), Facts: commitment, LeafHash: leafHash, Checkpoint: log.Head(size),
	}
	got, err := certproof.Verify(cert, log.Policy())
	if err != nil || got != want {
		t.Errorf("Verify = %+v, %v, want %+v", got, err, want)
	}
	back, got, err := certproof.VerifyWire(cert.Marshal(), log.Policy())
	if err != nil || got != want || !bytes.Equal(back.Marshal(), cert.Marshal()) {
		t.Errorf("VerifyWire = %+v, %+v, %v", back, got, err)
	}
	// A later checkpoint proves it as well: the proof may be renewed before signing.
	for range 30 {
		log.Append(otherLeaf(t, 9))
	}
	later := sign(t, withProof(t, cert, log.Prove(index, size+30, extra(t))), key(t, "authority"))
	if got, err := certproof.Verify(later, log.Policy()); err != nil || got.Index != index || got.Checkpoint.Size != size+30 {
		t.Errorf("Verify with a later checkpoint = %+v, %v", got, err)
	}
}

func TestOtherAuthorityKeys(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert := template(t, ledger.Serial(index))
	cert.SignatureKey = authority.PublicKey()
	log := logWith(t, "log", leafOf(t, cert))
	cert = withProof(t, cert, log.Prove(index, size, extra(t)))
	for algorithm, want := range map[string]error{
		ssh.KeyAlgoRSASHA512: nil, ssh.KeyAlgoRSASHA256: nil, ssh.KeyAlgoRSA: certproof.ErrSignature,
	} {
		signer, ok := authority.(ssh.AlgorithmSigner)
		if !ok {
			t.Fatal("an RSA signer without a choice of algorithms")
		}
		signed := *cert
		if signed.Signature, err = signer.SignWithAlgorithm(rand.Reader, sshcert.SignedBytes(cert), algorithm); err != nil {
			t.Fatal(err)
		}
		if _, err := certproof.Verify(&signed, log.Policy()); !errors.Is(err, want) {
			t.Errorf("%s: Verify = %v, want %v", algorithm, err, want)
		}
	}
}

// TestPromiseP08_ChangedAfterLogging changes each signed field after the leaf
// was logged and has the right authority sign the result.
func TestPromiseP08_ChangedAfterLogging(t *testing.T) {
	t.Parallel()
	good, log := issue(t)
	for _, tt := range []struct {
		name   string
		change func(*ssh.Certificate)
	}{
		{"nonce", func(c *ssh.Certificate) { c.Nonce = example("another nonce") }},
		{"subject key", func(c *ssh.Certificate) { c.Key = key(t, "another subject").PublicKey() }},
		{"serial", func(c *ssh.Certificate) { c.Serial++ }},
		{"type", func(c *ssh.Certificate) { c.CertType = ssh.HostCert }},
		{"key ID", func(c *ssh.Certificate) { c.KeyId = strings.Replace(c.KeyId, "e=1", "e=2", 1) }},
		{"a principal changed", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root@web-1.demo", "ops@web-2.demo"} }},
		{"a principal more", func(c *ssh.Certificate) {
			c.ValidPrincipals = append(slices.Clone(c.ValidPrincipals), "root@web-1.demo")
		}},
		{"no principals", func(c *ssh.Certificate) { c.ValidPrincipals = nil }},
		{"valid after", func(c *ssh.Certificate) { c.ValidAfter-- }},
		{"valid before", func(c *ssh.Certificate) { c.ValidBefore++ }},
		{"critical option dropped", func(c *ssh.Certificate) { c.CriticalOptions = nil }},
		{"critical option changed", func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "0.0.0.0/0"} }},
		{"extension more", func(c *ssh.Certificate) { c.Extensions["permit-agent-forwarding"] = "" }},
		{"extension dropped", func(c *ssh.Certificate) { delete(c.Extensions, "permit-pty") }},
		{"reserved", func(c *ssh.Certificate) { c.Reserved = []byte("x") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			changed := *good
			changed.Extensions = maps.Clone(good.Extensions)
			tt.change(&changed)
			if got, err := certproof.Verify(sign(t, &changed, key(t, "authority")), log.Policy()); !errors.Is(err, ledger.ErrNotIncluded) {
				t.Errorf("Verify = %+v, %v, want ErrNotIncluded", got, err)
			}
		})
	}
}

func TestPromiseP08_CertificatesWithoutTheirOwnProofAreRefused(t *testing.T) {
	t.Parallel()
	_, log := issue(t)
	for _, tt := range refusals(t) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cert, got, err := certproof.VerifyWire(tt.wire, log.Policy())
			if !errors.Is(err, tt.want) {
				t.Errorf("VerifyWire = %+v, %v, want %v", got, err, tt.want)
			}
			if cert != nil || got != (certproof.Result{}) {
				t.Errorf("a refused certificate came back: %v, %+v", cert, got)
			}
		})
	}
}

func TestPromiseP08_NoPolicyAdmitsNobody(t *testing.T) {
	t.Parallel()
	cert, _ := issue(t)
	for name, p := range map[string]*ledger.Policy{"nil": nil, "zero": {}} {
		if _, err := certproof.Verify(cert, p); !errors.Is(err, ledger.ErrPolicy) {
			t.Errorf("%s: Verify = %v, want ErrPolicy", name, err)
		}
	}
}

func TestPromiseP01_WithoutALeafNoCertificateVerifies(t *testing.T) {
	t.Parallel()
	cert, log := issue(t)
	// The same certificate before its leaf was covered: the proof cannot be
	// made, and a signed certificate without one is refused.
	if _, err := ledger.Prove(index, index, log, log.Checkpoint(index), extra(t)); !errors.Is(err, ledger.ErrNotIncluded) {
		t.Errorf("Prove = %v, want ErrNotIncluded", err)
	}
	delete(cert.Extensions, sshcert.ProofExtension)
	if _, err := certproof.Verify(sign(t, cert, key(t, "authority")), log.Policy()); !errors.Is(err, certproof.ErrNoProof) {
		t.Errorf("Verify = %v, want ErrNoProof", err)
	}
}

func TestVerifyRefusesIncompleteCertificates(t *testing.T) {
	t.Parallel()
	good, log := issue(t)
	for name, change := range map[string]func(*ssh.Certificate){
		"no key":           func(c *ssh.Certificate) { c.Key = nil },
		"no authority key": func(c *ssh.Certificate) { c.SignatureKey = nil },
		"no signature":     func(c *ssh.Certificate) { c.Signature = nil },
		"nested":           func(c *ssh.Certificate) { c.Key = good },
	} {
		cert := *good
		change(&cert)
		if _, err := certproof.Verify(&cert, log.Policy()); !errors.Is(err, sshcert.ErrCertificate) {
			t.Errorf("%s: Verify = %v, want ErrCertificate", name, err)
		}
		if _, err := certproof.Included(&cert, log.Policy()); cert.Signature != nil && !errors.Is(err, sshcert.ErrCertificate) {
			t.Errorf("%s: Included = %v, want ErrCertificate", name, err)
		}
	}
	if _, err := certproof.Verify(nil, log.Policy()); !errors.Is(err, sshcert.ErrCertificate) {
		t.Errorf("nil: Verify = %v, want ErrCertificate", err)
	}
	if _, err := certproof.Included(nil, log.Policy()); !errors.Is(err, sshcert.ErrCertificate) {
		t.Errorf("nil: Included = %v, want ErrCertificate", err)
	}
}

// TestPromiseP01_TheAuthorityAsksTheLedgerBeforeItSigns holds Included, which
// looks at no signature, to what Verify says of the signed certificate.
func TestPromiseP01_TheAuthorityAsksTheLedgerBeforeItSigns(t *testing.T) {
	t.Parallel()
	good, log := issue(t)
	want, err := certproof.Verify(good, log.Policy())
	if err != nil {
		t.Fatal(err)
	}
	unsigned := *good
	unsigned.Signature = nil
	if got, err := certproof.Included(&unsigned, log.Policy()); err != nil || got != want {
		t.Errorf("Included = %+v, %v, want %+v", got, err, want)
	}
	for _, tt := range refusals(t) {
		cert, err := sshcert.ParseCertificate(tt.wire)
		if err != nil || errors.Is(tt.want, certproof.ErrSignature) {
			continue // what a signature or wire bytes are wrong about
		}
		cert.Signature = nil
		if got, err := certproof.Included(cert, log.Policy()); !errors.Is(err, tt.want) || got != (certproof.Result{}) {
			t.Errorf("%s: Included = %+v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func TestEmbed(t *testing.T) {
	t.Parallel()
	_, log := issue(t)
	proof := log.Prove(index, size, extra(t))
	cert := template(t, ledger.Serial(index))
	extensions := cert.Extensions
	before := sshcert.TBS(cert)
	if err := certproof.Embed(cert, proof); err != nil {
		t.Fatal(err)
	}
	if cert.Extensions[sshcert.ProofExtension] != string(proof) || len(extensions) != 1 || !bytes.Equal(sshcert.TBS(cert), before) {
		t.Error("Embed must set the extension, leave the old map alone and not change the recorded bytes")
	}
	bare := template(t, 1)
	bare.Extensions = nil
	if err := certproof.Embed(bare, proof); err != nil || len(bare.Extensions) != 1 {
		t.Errorf("Embed without extensions: %v, %v", bare.Extensions, err)
	}
	for name, err := range map[string]error{
		"nothing":          certproof.Embed(nil, proof),
		"signed already":   certproof.Embed(sign(t, template(t, 1), key(t, "authority")), proof),
		"embedded already": certproof.Embed(cert, proof),
		"no proof":         certproof.Embed(template(t, 1), nil),
		"too long":         certproof.Embed(template(t, 1), append(slices.Clone(proof), make([]byte, ledger.MaxText)...)),
	} {
		if !errors.Is(err, certproof.ErrEmbed) {
			t.Errorf("%s: Embed = %v, want ErrEmbed", name, err)
		}
	}
}

// TestNoBitOfACertificateIsFree flips single bits of the signed bytes, proof
// included, and has the right authority sign the result.
func TestNoBitOfACertificateIsFree(t *testing.T) {
	t.Parallel()
	cert, log := issue(t)
	policy, authority := log.Policy(), key(t, "authority")
	signedBytes := sshcert.SignedBytes(cert)
	rapid.Check(t, func(t *rapid.T) {
		bit := rapid.IntRange(0, 8*len(signedBytes)-1).Draw(t, "bit")
		changed := bytes.Clone(signedBytes)
		changed[bit/8] ^= 1 << (bit % 8)
		signature, err := authority.Sign(rand.Reader, changed)
		if err != nil {
			t.Fatal(err)
		}
		wire := append(changed, ssh.Marshal(struct{ S []byte }{ssh.Marshal(signature)})...)
		if _, got, err := certproof.VerifyWire(wire, policy); err == nil {
			t.Fatalf("bit %d flipped and signed again, yet proved: %+v", bit, got)
		}
	})
}

// TestPromiseP08_TheSubjectKeyPassesThePolicy: a proved certificate for any type
// of the profile verifies; one for a key that the policy refuses does not, though
// the ledger holds it and the right authority signed it.
func TestPromiseP08_TheSubjectKeyPassesThePolicy(t *testing.T) {
	t.Parallel()
	prove := func(subject ssh.PublicKey) error {
		cert := template(t, ledger.Serial(index))
		cert.Key = subject
		log := logWith(t, "log", leafOf(t, cert))
		_, err := certproof.Verify(sign(t, withProof(t, cert, log.Prove(index, size, extra(t))), key(t, "authority")), log.Policy())
		return err
	}
	for _, keyType := range sshcerttest.Types() {
		if err := prove(sshcerttest.Signer(t, keyType).PublicKey()); err != nil {
			t.Errorf("%s: %v", keyType, err)
		}
	}
	if err := prove(sshcerttest.RSA(t, 2048).PublicKey()); !errors.Is(err, sshcert.ErrKeyPolicy) || !errors.Is(err, sshcert.ErrCertificate) {
		t.Errorf("RSA of 2048 bits: %v, want ErrKeyPolicy", err)
	}
}
