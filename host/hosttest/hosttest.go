// Package hosttest makes what a host meets, for tests: a ledger, an authority whose
// certificates carry their proofs, a trust bundle and a host's folder. All keys can
// be derived by anybody.
package hosttest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

// Origin is the ledger's.
const Origin = "ledger.example/hosts"

// Cosigner is whose word the bundle asks for.
const Cosigner = "cosigner.acme.example"

// World is an authority with its ledger.
type World struct {
	tb      testing.TB
	Now     time.Time
	Log     *ledgertest.Log
	CA      ssh.Signer
	KRLKey  ssh.Signer
	Lineage canon.Digest
	Login   sshcert.Login
	Name    sshcert.Host
}

// New returns the world at a time, in which certificates open login on name.
func New(tb testing.TB, now time.Time, login sshcert.Login, name sshcert.Host) *World {
	tb.Helper()
	w := &World{
		tb: tb, Now: now, Log: ledgertest.New(tb, Origin, "log"), CA: Signer(tb, "user CA"), KRLKey: Signer(tb, "krl"),
		Lineage: canon.Digest(Derived("lineage")), Login: login, Name: name,
	}
	w.fill()
	return w
}

// fill appends a few leaves of others.
func (w *World) fill() {
	w.tb.Helper()
	for range 5 {
		w.Log.AppendHash([32]byte(Derived("another leaf")))
	}
}

// Derived returns 32 bytes that anybody can derive.
func Derived(what string) []byte {
	sum := sha256.Sum256([]byte("sallyport.hosttest/v1\n" + what))
	return sum[:]
}

// Signer returns the key of that name.
func Signer(tb testing.TB, what string) ssh.Signer {
	tb.Helper()
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(Derived(what)))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// Key returns the public half of a key as a bundle holds it.
func Key(tb testing.TB, s ssh.Signer) trust.Key {
	tb.Helper()
	k, err := trust.KeyOf(s.PublicKey())
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func (w *World) id(what string) canon.ID {
	w.tb.Helper()
	id, err := canon.NewID(bytes.NewReader(Derived(what)))
	if err != nil {
		w.tb.Fatal(err)
	}
	return id
}

// KeyID is that of the template, of a grant with that end.
func (w *World) KeyID(end time.Time) string {
	w.tb.Helper()
	return sshcert.KeyID{Person: w.id("person"), Request: w.id("request"), Contract: canon.Digest(Derived("contract")), End: end}.String()
}

// Template returns a certificate as the authority makes it, without serial, proof
// and signature: good for five minutes, in a grant of an hour.
func (w *World) Template(subject ssh.PublicKey) *ssh.Certificate {
	w.tb.Helper()
	at := w.Now.Unix()
	return &ssh.Certificate{
		Nonce: Derived("nonce"), Key: subject, CertType: ssh.UserCert, KeyId: w.KeyID(w.Now.Add(time.Hour)),
		ValidPrincipals: []string{sshcert.Principal{Login: w.Login, Host: w.Name}.String()},
		ValidAfter:      uint64(at - 60), ValidBefore: uint64(at + 300), //nolint:gosec // a time of our days
		Permissions:  ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
		SignatureKey: w.CA.PublicKey(),
	}
}

// Issue records a certificate in the ledger, has the checkpoint cosigned, puts the
// proof in and signs it.
func (w *World) Issue(cert *ssh.Certificate) *ssh.Certificate {
	w.tb.Helper()
	return w.IssueBy(cert, w.Log, w.Lineage, Cosigner)
}

// IssueBy is Issue by any ledger, lineage and cosigners.
func (w *World) IssueBy(cert *ssh.Certificate, log *ledgertest.Log, lineage canon.Digest, cosigners ...string) *ssh.Certificate {
	w.tb.Helper()
	out := *cert
	index := log.Tree().Size
	out.Serial = ledger.Serial(index)
	return w.Sign(w.Embed(&out, w.Prove(&out, log, lineage, cosigners...)), w.CA)
}

// Prove records a certificate, which has its serial, and returns its proof.
func (w *World) Prove(cert *ssh.Certificate, log *ledgertest.Log, lineage canon.Digest, cosigners ...string) []byte {
	w.tb.Helper()
	facts := canon.Digest(Derived("facts"))
	tbs := sha256.Sum256(sshcert.TBS(cert))
	index := log.Append(ledger.Leaf{Kind: ledger.CertificateIssue, Lineage: lineage, Reference: canon.Digest(tbs).String(), Facts: facts})
	size := log.Tree().Size
	proof, err := ledger.Prove(index, size, log, w.cosigned(log, size, cosigners), certproof.Extra(lineage, facts))
	if err != nil {
		w.tb.Fatal(err)
	}
	return proof
}

func (w *World) cosigned(log *ledgertest.Log, size int64, names []string) []byte {
	w.tb.Helper()
	var list []ledger.Cosignature
	for _, name := range names {
		s := ledgertest.Cosigner(w.tb, name)
		line, err := s.Cosign(log.Head(size), w.Now)
		if err != nil {
			w.tb.Fatal(err)
		}
		list = append(list, ledger.Cosignature{Key: s.Key(), Line: line})
	}
	signed, err := ledger.AddCosignatures(log.Checkpoint(size), list...)
	if err != nil {
		w.tb.Fatal(err)
	}
	return signed
}

// Embed returns a certificate with a proof, unsigned.
func (w *World) Embed(cert *ssh.Certificate, proof []byte) *ssh.Certificate {
	w.tb.Helper()
	out := *cert
	out.Extensions, out.Signature = maps.Clone(out.Extensions), nil
	delete(out.Extensions, sshcert.ProofExtension)
	if err := certproof.Embed(&out, proof); err != nil {
		w.tb.Fatal(err)
	}
	return &out
}

// Sign returns a certificate signed as it stands, by whoever its authority is.
func (w *World) Sign(cert *ssh.Certificate, by ssh.Signer) *ssh.Certificate {
	w.tb.Helper()
	out := *cert
	out.Signature = nil
	signature, err := by.Sign(rand.Reader, sshcert.SignedBytes(&out))
	if err != nil {
		w.tb.Fatal(err)
	}
	out.Signature = signature
	return &out
}

// Bundle is what the hosts of this world pin.
func (w *World) Bundle() trust.Bundle {
	w.tb.Helper()
	return trust.Bundle{
		V: trust.Version, Origin: Origin, Lineage: w.Lineage, Contract: canon.Digest(Derived("contract")), Number: 1,
		MadeAt: canon.At(w.Now.Add(-time.Hour)), ExpiresAt: canon.At(w.Now.Add(24 * time.Hour)),
		LogKeys: []string{w.Log.PublicKey()}, UserCAs: []trust.Key{Key(w.tb, w.CA)}, KRLKeys: []trust.Key{Key(w.tb, w.KRLKey)},
		Cosigners: []string{ledgertest.Cosigner(w.tb, Cosigner).PublicKey()},
	}
}

// Config is the host's, in mode require.
func (w *World) Config() host.Config {
	return host.Config{V: host.Version, Name: w.Name, Mode: host.Require, Server: "https://ca.example", Lineage: w.Lineage}
}

// BundleFile is a bundle as a host keeps it.
func (w *World) BundleFile(b trust.Bundle) []byte {
	w.tb.Helper()
	text, err := trust.Make(b)
	if err != nil {
		w.tb.Fatal(err)
	}
	file, err := trust.Signed{Text: text}.Marshal()
	if err != nil {
		w.tb.Fatal(err)
	}
	return file
}

// SignedKRL is a statement about an empty list, made at a time, as a host keeps it.
func (w *World) SignedKRL(madeAt time.Time) []byte {
	w.tb.Helper()
	text, err := trust.MakeKRL(trust.KRL{
		Origin: Origin, Lineage: w.Lineage, Number: 7, MadeAt: canon.At(madeAt), NextAt: canon.At(madeAt.Add(time.Minute)), Size: 7,
		SHA256: canon.Digest(Derived("list")), Bytes: 44,
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	armored, err := sshcert.Sign(rand.Reader, w.KRLKey, trust.KRLNamespace, []byte(text))
	if err != nil {
		w.tb.Fatal(err)
	}
	file, err := trust.SignedKRL(text, armored)
	if err != nil {
		w.tb.Fatal(err)
	}
	return file
}

// Write puts a host's files into a folder, with the modes that they must have.
func (w *World) Write(folder string, c host.Config, b trust.Bundle) {
	w.tb.Helper()
	config, err := c.Marshal()
	if err != nil {
		w.tb.Fatal(err)
	}
	for name, text := range map[string][]byte{host.ConfigFile: config, host.BundleFile: w.BundleFile(b), host.SignedFile: w.SignedKRL(w.Now)} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			w.tb.Fatal(err)
		}
		if err := os.Chmod(path, 0o644); err != nil { //nolint:gosec // as on a host
			w.tb.Fatal(err)
		}
	}
}
