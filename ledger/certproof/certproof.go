// Package certproof owns the one question that hosts, clients and auditors ask
// of a certificate: does the ledger hold its leaf?
//
// [Verify] answers it offline, from the certificate itself and a pinned
// [ledger.Policy]. [Embed] is how the authority puts the proof in, and
// [Included] how it makes sure before it signs. The package is pure.
package certproof

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/sshcert"
)

// Reasons why a certificate is refused, beside those of packages ledger
// ([ledger.ErrProof], [ledger.ErrUntrusted], [ledger.ErrNotIncluded], …) and
// sshcert ([sshcert.ErrCertificate], [sshcert.ErrNotCanonical]).
var (
	// ErrNoProof says that the certificate carries no ledger proof.
	ErrNoProof = errors.New("the certificate carries no ledger proof")
	// ErrExtra says that the proof does not carry lineage and facts commitment.
	ErrExtra = errors.New("the ledger proof does not name lineage and facts")
	// ErrSerial says that the serial is not the leaf's index plus one.
	ErrSerial = errors.New("the serial is not the one that the ledger gave")
	// ErrSignature says that the authority's signature does not verify.
	ErrSignature = errors.New("the certificate's own signature does not verify")
	// ErrEmbed says that a proof cannot be put into a certificate.
	ErrEmbed = errors.New("the proof cannot be embedded")
)

// ExtraSize is the length of the proof's extra data: the lineage and the facts
// commitment, 32 bytes each.
const ExtraSize = 2 * canon.DigestSize

// Result is what [Verify] proved of a certificate.
type Result struct {
	// Index is the leaf's place in the ledger, counted from 0.
	Index int64
	// Serial is the certificate's serial, Index + 1.
	Serial uint64
	// Lineage is the digest of version 1 of the contract that the leaf belongs
	// to. The caller compares it with the one it was given.
	Lineage canon.Digest
	// Facts is the commitment to the facts of the issue.
	Facts canon.Digest
	// LeafHash names the leaf, as later leaves do.
	LeafHash tlog.Hash
	// Checkpoint is the signed tree head that the leaf is under.
	Checkpoint ledger.Checkpoint
}

// Verify proves that the ledger which p believes recorded this certificate.
// It is the only function that decides so: hosts, clients and auditors call it.
// In order, each step refusing with the error named:
//
//  1. The certificate has one wire form: written and read again strictly it is
//     the same ([sshcert.ErrCertificate], [sshcert.ErrNotCanonical]). Whoever
//     has wire bytes calls [VerifyWire], which holds those bytes to it. Its subject
//     key passes the key policy ([sshcert.ErrKeyPolicy], [sshcert.ParseSubjectKey]).
//  2. Its signature, by an algorithm that stock sshd takes from an authority,
//     verifies with the authority key that it names ([ErrSignature]).
//  3. It carries a proof in the extension [sshcert.ProofExtension] ([ErrNoProof]):
//     a strict C2SP tlog-proof of at most [ledger.MaxText] bytes
//     ([ledger.ErrProof]), whose extra data is lineage || facts commitment,
//     neither of them zero ([ErrExtra]).
//  4. The leaf is rebuilt: kind certificate.issue, that lineage, the SHA-256 of
//     the signed bytes without the proof extension ([sshcert.TBS]) as
//     reference, that facts commitment, no person part.
//  5. The proof's checkpoint is one that p believes ([ledger.ErrOrigin],
//     [ledger.ErrUntrusted], [ledger.ErrCheckpoint]), and its path leads from
//     that leaf to the checkpoint's root ([ledger.ErrNotIncluded]).
//  6. The serial is the leaf's index plus one ([ErrSerial]).
//
// So after Verify: the log committed, no later than that checkpoint, to every
// signed field of this certificate (key, authority key, serial, type, key ID,
// principals, validity, options, other extensions, nonce) and to the lineage
// and facts commitment in the result.
//
// What Verify does not check, and each caller must:
//
//   - that Certificate.SignatureKey is an authority it pinned: any key can
//     sign a certificate, and the proof only shows that the log recorded which;
//   - that Result.Lineage is the contract it was given;
//   - type, principals, validity against a clock, critical options, revocation;
//   - that the leaf was justified: who asked, who decided and under which
//     contract version are in the facts, which replay judges;
//   - that the checkpoint is the newest, or that the log shows all others the
//     same tree; witnesses and monitors see to that.
func Verify(cert *ssh.Certificate, p *ledger.Policy) (Result, error) {
	wire, err := marshal(cert)
	if err != nil {
		return Result{}, err
	}
	_, result, err := VerifyWire(wire, p)
	return result, err
}

// VerifyWire reads a certificate from wire bytes, as sshd hands it over and
// files hold it in base64, and does with it what [Verify] does. It refuses
// bytes that are not the certificate's canonical form. The certificate is
// returned only if everything passed.
func VerifyWire(wire []byte, p *ledger.Policy) (*ssh.Certificate, Result, error) {
	cert, err := sshcert.ParseCertificate(wire) // step 1
	if err != nil {
		return nil, Result{}, err
	}
	if err := checkSignature(cert); err != nil { // step 2
		return nil, Result{}, err
	}
	result, err := Included(cert, p) // steps 3 to 6
	if err != nil {
		return nil, Result{}, err
	}
	return cert, result, nil
}

// Included does steps 3 to 6 of [Verify] and looks at no signature: the
// authority calls it on a certificate that carries its proof and is not signed
// yet, so that it never signs what the ledger does not hold. Everybody else
// calls [Verify].
func Included(cert *ssh.Certificate, p *ledger.Policy) (Result, error) {
	if err := complete(cert); err != nil {
		return Result{}, err
	}
	text, lineage, facts, err := readProof(cert) // step 3
	if err != nil {
		return Result{}, err
	}
	tbs := sha256.Sum256(sshcert.TBS(cert))
	leaf := ledger.Leaf{ // step 4
		Kind:      ledger.CertificateIssue,
		Lineage:   lineage,
		Reference: canon.Digest(tbs).String(),
		Facts:     facts,
	}
	hash, err := leaf.Hash()
	if err != nil {
		return Result{}, err
	}
	proved, err := p.VerifyProof(text, hash) // step 5
	if err != nil {
		return Result{}, fmt.Errorf("certificate with serial %d: %w", cert.Serial, err)
	}
	if want := ledger.Serial(proved.Index); cert.Serial != want { // step 6
		return Result{}, fmt.Errorf("%w: it is %d, the leaf at index %d gives %d", ErrSerial, cert.Serial, proved.Index, want)
	}
	return Result{
		Index:      proved.Index,
		Serial:     cert.Serial,
		Lineage:    lineage,
		Facts:      facts,
		LeafHash:   hash,
		Checkpoint: proved.Checkpoint,
	}, nil
}

// Extra returns the extra data of a certificate's proof: what a verifier
// cannot know but needs to rebuild the leaf.
func Extra(lineage, facts canon.Digest) []byte {
	return slices.Concat(lineage[:], facts[:])
}

// Embed puts proof, a C2SP tlog-proof text, into the certificate's extension
// [sshcert.ProofExtension]. The certificate must not be signed yet, since the
// signature covers the proof, and must not carry another one. Embed replaces
// cert.Extensions and leaves the old map alone. It does not verify the proof:
// [Verify] does, once the certificate is signed.
func Embed(cert *ssh.Certificate, proof []byte) error {
	if cert == nil {
		return fmt.Errorf("%w: no certificate", ErrEmbed)
	}
	if cert.Signature != nil {
		return fmt.Errorf("%w: the certificate is signed already", ErrEmbed)
	}
	if _, there := cert.Extensions[sshcert.ProofExtension]; there {
		return fmt.Errorf("%w: the certificate carries one already", ErrEmbed)
	}
	if _, err := ledger.ParseProof(proof); err != nil {
		return fmt.Errorf("%w: %w", ErrEmbed, err)
	}
	extensions := maps.Clone(cert.Extensions)
	if extensions == nil {
		extensions = make(map[string]string, 1)
	}
	extensions[sshcert.ProofExtension] = string(proof)
	cert.Extensions = extensions
	return nil
}

// readProof returns the proof text and what its extra data claims.
func readProof(cert *ssh.Certificate) (text []byte, lineage, facts canon.Digest, err error) {
	value, ok := cert.Extensions[sshcert.ProofExtension]
	if !ok || value == "" {
		return nil, lineage, facts, fmt.Errorf("%w: it has no extension %s, so it was signed outside the ledger",
			ErrNoProof, sshcert.ProofExtension)
	}
	proof, err := ledger.ParseProof([]byte(value))
	if err != nil {
		return nil, lineage, facts, fmt.Errorf("certificate with serial %d: %w", cert.Serial, err)
	}
	if len(proof.Extra) != ExtraSize {
		return nil, lineage, facts, fmt.Errorf("%w: %d bytes of extra data, want %d", ErrExtra, len(proof.Extra), ExtraSize)
	}
	lineage = canon.Digest(proof.Extra[:canon.DigestSize])
	facts = canon.Digest(proof.Extra[canon.DigestSize:])
	if lineage.IsZero() || facts.IsZero() {
		return nil, canon.Digest{}, canon.Digest{}, fmt.Errorf("%w: one of them is zero", ErrExtra)
	}
	return []byte(value), lineage, facts, nil
}

// checkSignature checks the authority's signature with the authority key that
// the certificate names, by the algorithms of OpenSSH's default
// CASignatureAlgorithms (sshd_config(5)): no DSA, no RSA with SHA-1.
func checkSignature(cert *ssh.Certificate) error {
	switch cert.Signature.Format {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512:
	default:
		return fmt.Errorf("%w: algorithm %.60q is not accepted", ErrSignature, cert.Signature.Format)
	}
	if err := cert.SignatureKey.Verify(sshcert.SignedBytes(cert), cert.Signature); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// marshal writes a certificate that may have been put together by hand.
func marshal(cert *ssh.Certificate) ([]byte, error) {
	if err := complete(cert); err != nil {
		return nil, err
	}
	if cert.Signature == nil {
		return nil, fmt.Errorf("%w: it is not signed", sshcert.ErrCertificate)
	}
	return cert.Marshal(), nil
}

// complete refuses certificates that the ssh package would panic on.
func complete(cert *ssh.Certificate) error {
	if cert == nil || cert.Key == nil || cert.SignatureKey == nil {
		return fmt.Errorf("%w: it lacks its key or its authority key", sshcert.ErrCertificate)
	}
	if _, nested := cert.Key.(*ssh.Certificate); nested {
		return fmt.Errorf("%w: its subject key is itself a certificate", sshcert.ErrCertificate)
	}
	return nil
}
