package certproof_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/sshcert"
)

// refusals are certificates that must not pass, with the reason. They are
// published as vectors too.
func refusals(t testing.TB) []refusal {
	t.Helper()
	good, log := issue(t)
	authority := key(t, "authority")
	signed := func(cert *ssh.Certificate, proof []byte) *ssh.Certificate {
		return sign(t, withProof(t, cert, proof), authority)
	}
	plain := template(t, ledger.Serial(index))
	proof := log.Prove(index, size, extra(t))
	_, _, commitment := facts(t)

	other := template(t, ledger.Serial(index))
	other.ValidPrincipals = []string{"ops@db-1.demo"}
	otherLog := logWith(t, "log", leafOf(t, other))

	wrongSerial := template(t, 9)
	wrongSerialLog := logWith(t, "log", leafOf(t, wrongSerial))
	noSerial := template(t, 0)
	noSerialLog := logWith(t, "log", leafOf(t, noSerial))

	otherKind := leafOf(t, plain)
	otherKind.Kind = ledger.RequestSubmit
	otherKindLog := logWith(t, "log", otherKind)

	private := logWith(t, "thief", leafOf(t, plain))
	elsewhere := ledgertest.New(t, "other.example", "log")
	for range size {
		elsewhere.Append(leafOf(t, plain))
	}

	otherAuthority := template(t, ledger.Serial(index))
	otherAuthority.SignatureKey = key(t, "thief").PublicKey()
	otherAuthority = sign(t, withProof(t, otherAuthority, proof), key(t, "thief"))

	critical := template(t, ledger.Serial(index))
	critical.CriticalOptions[sshcert.ProofExtension] = string(proof)

	early := ledger.Proof{Index: index, Extra: extra(t), Checkpoint: log.Checkpoint(index)}.Marshal()

	return []refusal{
		certRefusal("no proof", sign(t, plain, authority), certproof.ErrNoProof),
		certRefusal("empty proof", sign(t, forced(plain, ""), authority), certproof.ErrNoProof),
		certRefusal("proof as a critical option", sign(t, critical, authority), certproof.ErrNoProof),
		certRefusal("another certificate's proof", signed(plain, otherLog.Prove(index, size, extra(t))), ledger.ErrNotIncluded),
		certRefusal("another leaf's proof", signed(plain, log.Prove(index-1, size, extra(t))), ledger.ErrNotIncluded),
		certRefusal("a checkpoint before the leaf", signed(plain, early), ledger.ErrNotIncluded),
		certRefusal("private tree, same origin, other log key", signed(plain, private.Prove(index, size, extra(t))), ledger.ErrUntrusted),
		certRefusal("another log", signed(plain, elsewhere.Prove(index, size, extra(t))), ledger.ErrOrigin),
		certRefusal("principal changed after logging", signed(other, proof), ledger.ErrNotIncluded),
		certRefusal("signed by another authority that it names", otherAuthority, ledger.ErrNotIncluded),
		certRefusal("signed by another authority than it names", sign(t, good, key(t, "thief")), certproof.ErrSignature),
		certRefusal("logged under another serial", signed(wrongSerial, wrongSerialLog.Prove(index, size, extra(t))), certproof.ErrSerial),
		certRefusal("logged with serial 0", signed(noSerial, noSerialLog.Prove(index, size, extra(t))), certproof.ErrSerial),
		certRefusal("leaf of another kind", signed(plain, otherKindLog.Prove(index, size, extra(t))), ledger.ErrNotIncluded),
		certRefusal("another lineage beside the proof", signed(plain, log.Prove(index, size, certproof.Extra(canon.Digest(example("other")), commitment))), ledger.ErrNotIncluded),
		certRefusal("other facts beside the proof", signed(plain, log.Prove(index, size, certproof.Extra(lineage(), canon.Digest(example("other"))))), ledger.ErrNotIncluded),
		certRefusal("lineage and facts swapped", signed(plain, log.Prove(index, size, certproof.Extra(commitment, lineage()))), ledger.ErrNotIncluded),
		certRefusal("nothing beside the proof", signed(plain, log.Prove(index, size, nil)), certproof.ErrExtra),
		certRefusal("facts missing beside the proof", signed(plain, log.Prove(index, size, extra(t)[:32])), certproof.ErrExtra),
		certRefusal("a byte more beside the proof", signed(plain, log.Prove(index, size, append(extra(t), 0))), certproof.ErrExtra),
		certRefusal("lineage zero", signed(plain, log.Prove(index, size, certproof.Extra(canon.Digest{}, commitment))), certproof.ErrExtra),
		certRefusal("facts zero", signed(plain, log.Prove(index, size, certproof.Extra(lineage(), canon.Digest{}))), certproof.ErrExtra),
		certRefusal("proof with carriage returns", sign(t, forced(plain, strings.ReplaceAll(string(proof), "\n", "\r\n")), authority), ledger.ErrProof),
		certRefusal("proof with a line more", sign(t, forced(plain, string(proof)+"\n"), authority), ledger.ErrCheckpoint),
		certRefusal("proof too long", sign(t, forced(plain, string(proof)+strings.Repeat("x", ledger.MaxText)), authority), ledger.ErrProof),
		certRefusal("changed after signing", flipped(good), certproof.ErrSignature),
		{"extension with an empty text spelled out", respell(t, good, spellOutEmpty), sshcert.ErrNotCanonical},
		{"extensions in another order", respell(t, good, swapExtensions), sshcert.ErrCertificate},
		{"an extension twice", respell(t, good, doubleExtension), sshcert.ErrCertificate},
		{"a byte after the certificate", append(good.Marshal(), 0), sshcert.ErrCertificate},
		{"a plain key", key(t, "subject").PublicKey().Marshal(), sshcert.ErrCertificate},
		{"nothing", nil, sshcert.ErrCertificate},
	}
}

type refusal struct {
	name string
	wire []byte
	want error
}

func certRefusal(name string, cert *ssh.Certificate, want error) refusal {
	return refusal{name, cert.Marshal(), want}
}

func flipped(good *ssh.Certificate) *ssh.Certificate {
	changed := *good
	changed.ValidBefore++
	return &changed
}

// wireCertificate is an Ed25519 certificate as PROTOCOL.certkeys lays it out.
type wireCertificate struct {
	Name        string
	Nonce       []byte
	Key         []byte
	Serial      uint64
	Type        uint32
	KeyID       string
	Principals  []byte
	ValidAfter  uint64
	ValidBefore uint64
	Critical    []byte
	Extensions  []byte
	Reserved    []byte
	Authority   []byte
	Signature   []byte
}

// respell writes cert in another way, with the signature over the canonical
// bytes left in place.
func respell(t testing.TB, cert *ssh.Certificate, change func(extensions []byte) []byte) []byte {
	t.Helper()
	var w wireCertificate
	if err := ssh.Unmarshal(cert.Marshal(), &w); err != nil {
		t.Fatal(err)
	}
	before := w.Extensions
	w.Extensions = change(slices.Clone(before))
	if bytes.Equal(before, w.Extensions) {
		t.Fatal("nothing was spelled in another way")
	}
	return ssh.Marshal(w)
}

func permitPTY() []byte {
	return ssh.Marshal(struct {
		Name string
		Data []byte
	}{"permit-pty", nil})
}

func spellOutEmpty(extensions []byte) []byte {
	long := ssh.Marshal(struct {
		Name string
		Data []byte
	}{"permit-pty", make([]byte, 4)}) // the string "" inside, instead of nothing
	return bytes.Replace(extensions, permitPTY(), long, 1)
}

func swapExtensions(extensions []byte) []byte {
	return append(permitPTY(), bytes.Replace(extensions, permitPTY(), nil, 1)...)
}

func doubleExtension(extensions []byte) []byte { return append(extensions, permitPTY()...) }
