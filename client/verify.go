package client

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Result is what a check of a ledger entry came to.
type Result string

// The results. Unknown is not Passed: something that the check needs is not
// shown to this person.
const (
	Passed  Result = "passed"
	Failed  Result = "failed"
	Unknown Result = "unknown"
)

// Check is one check of a ledger entry, in a sentence.
type Check struct {
	Name   string `json:"name"`
	Result Result `json:"result"`
	Text   string `json:"text"`
}

// verification checks one entry against a pin and nothing else: what the
// server says of it is what is being checked.
type verification struct {
	pin      Pin
	entry    api.EntryProof
	index    int64 // the entry that was asked for
	bySerial bool  // as a certificate
	checks   []Check
	leaf     ledger.Leaf
	hash     tlog.Hash
}

func (v *verification) pass(name, format string, args ...any) {
	v.checks = append(v.checks, Check{name, Passed, fmt.Sprintf(format, args...)})
}

func (v *verification) fail(name, format string, args ...any) {
	v.checks = append(v.checks, Check{name, Failed, fmt.Sprintf(format, args...)})
}

func (v *verification) unknown(name, format string, args ...any) {
	v.checks = append(v.checks, Check{name, Unknown, fmt.Sprintf(format, args...)})
}

func (v *verification) count(r Result) int {
	n := 0
	for _, c := range v.checks {
		if c.Result == r {
			n++
		}
	}
	return n
}

// run makes all checks. Its error means that they could not be made.
func (v *verification) run() error {
	policy, err := v.pin.policy()
	if err != nil {
		return err
	}
	v.leaf, err = ledger.ParseLeaf([]byte(v.entry.Leaf))
	if err != nil {
		v.fail("leaf", "it is not in the ledger's form: %s", err)
		return nil // there is nothing that the other checks could be about
	}
	v.pass("leaf", "six lines in the ledger's one form, kind %s", v.leaf.Kind)
	v.hash = tlog.RecordHash([]byte(v.entry.Leaf))
	v.checkAnswer()
	v.checkInclusion(policy)
	v.checkFacts()
	v.checkPerson()
	if v.leaf.Kind == ledger.CertificateIssue {
		v.checkCertificate(policy)
	}
	return nil
}

// checkAnswer compares what was asked for with what the server says it is.
func (v *verification) checkAnswer() {
	switch {
	case v.entry.Index != v.index:
		v.fail("answer", "asked for entry %d, the server answered entry %d", v.index, v.entry.Index)
	case v.entry.Kind != string(v.leaf.Kind):
		v.fail("answer", "the server calls it %s, the leaf says %s", v.entry.Kind, v.leaf.Kind)
	case v.bySerial && v.leaf.Kind != ledger.CertificateIssue:
		v.fail("answer", "serial %d is no certificate's: entry %d is a %s", ledger.Serial(v.index), v.index, v.leaf.Kind)
	default:
		v.pass("answer", "entry %d, as asked for", v.index)
	}
}

func (v *verification) checkInclusion(policy *ledger.Policy) {
	proved, err := policy.VerifyProof([]byte(v.entry.Proof), v.hash)
	switch {
	case err != nil:
		v.fail("inclusion", "%s", err)
	case proved.Index != v.index:
		v.fail("inclusion", "the proof is for entry %d", proved.Index)
	default:
		v.pass("inclusion", "hash %s is leaf %d of the %d under a checkpoint of %s, signed by the pinned log key",
			canon.B64(v.hash[:]), proved.Index, proved.Checkpoint.Size, proved.Checkpoint.Origin)
	}
}

// checkFacts opens the facts commitment.
func (v *verification) checkFacts() {
	if v.entry.Facts == "" {
		v.unknown("facts", "they are not shown to you")
		return
	}
	salt, err := ledger.ParseSalt(v.entry.FactsSalt)
	if err != nil {
		v.fail("facts", "%s", err)
		return
	}
	if ledger.FactsCommitment(salt, []byte(v.entry.Facts)) != v.leaf.Facts {
		v.fail("facts", "they are not what the leaf commits to")
		return
	}
	if err := canon.Check([]byte(v.entry.Facts)); err != nil {
		v.fail("facts", "%s", err)
		return
	}
	var common struct {
		At canon.Micros `json:"at"`
	}
	if err := json.Unmarshal([]byte(v.entry.Facts), &common); err != nil || common.At != v.entry.At {
		v.fail("facts", "they are dated otherwise than the server says")
		return
	}
	v.pass("facts", "they are what the leaf commits to, dated %s", common.At.Time().Format("2006-01-02T15:04:05.000000Z"))
}

// checkPerson opens the person commitment.
func (v *verification) checkPerson() {
	switch {
	case v.leaf.Person.IsZero() && v.entry.Person == "" && v.entry.PersonSalt == "":
		v.pass("person", "the leaf has no person part")
	case v.leaf.Person.IsZero():
		v.fail("person", "the server shows a person part that the leaf does not commit to")
	case v.entry.Person == "":
		v.unknown("person", "the person part is not shown to you, or was erased")
	default:
		salt, err := ledger.ParseSalt(v.entry.PersonSalt)
		switch {
		case err != nil:
			v.fail("person", "%s", err)
		case ledger.PersonCommitment(salt, []byte(v.entry.Person)) != v.leaf.Person:
			v.fail("person", "the person part is not what the leaf commits to")
		default:
			v.pass("person", "the person part is what the leaf commits to")
		}
	}
}

// checkCertificate compares a certificate.issue leaf with the facts and the
// certificate that the server shows for it.
func (v *verification) checkCertificate(policy *ledger.Policy) {
	if v.entry.Facts != "" {
		v.checkIssueFacts()
	}
	if v.entry.Certificate == "" {
		v.unknown("certificate", "it is not shown to you, or was never signed")
		return
	}
	cert, err := parseCertificateLine(v.entry.Certificate)
	if err != nil {
		v.fail("certificate", "%s", err)
		return
	}
	v.pass("certificate", "one canonical form: %s", describeCertificate(cert))
	if tbs := canon.Digest(sha256.Sum256(sshcert.TBS(cert))); tbs.String() != v.leaf.Reference {
		v.fail("reference", "the certificate's signed bytes without the proof have digest %s, the leaf names %s", tbs, v.leaf.Reference)
	} else {
		v.pass("reference", "it is the SHA-256 of the certificate's signed bytes without the proof")
	}
	if cert.Serial != ledger.Serial(v.index) {
		v.fail("serial", "the certificate has serial %d, entry %d gives %d", cert.Serial, v.index, ledger.Serial(v.index))
	} else {
		v.pass("serial", "%d, the entry's index plus one", cert.Serial)
	}
	if !sameKey(cert.SignatureKey, v.pin.CA) {
		v.fail("authority", "the certificate is signed by %s, not by the pinned CA", ssh.FingerprintSHA256(cert.SignatureKey))
	} else {
		v.pass("authority", "the certificate is signed by the pinned CA %s", ssh.FingerprintSHA256(cert.SignatureKey))
	}
	proved, err := certproof.Verify(cert, policy)
	switch {
	case err != nil:
		v.fail("proof", "the proof inside the certificate: %s", err)
	case proved.LeafHash != v.hash || proved.Index != v.index:
		v.fail("proof", "the proof inside the certificate is for another leaf, at %d", proved.Index)
	default:
		v.pass("proof", "the certificate itself carries a proof that this leaf is under a signed checkpoint of %d leaves", proved.Checkpoint.Size)
	}
}

// checkIssueFacts reads the facts as those of a certificate.
func (v *verification) checkIssueFacts() {
	var f record.CertificateIssue
	if err := canon.Unmarshal([]byte(v.entry.Facts), &f); err != nil {
		v.fail("recorded", "the facts are not those of a certificate: %s", err)
		return
	}
	switch {
	case f.Reference() != v.leaf.Reference:
		v.fail("recorded", "the bytes recorded in the facts are not those that the leaf names")
	case f.Lineage != v.leaf.Lineage:
		v.fail("recorded", "the facts name another contract than the leaf")
	case f.Serial != ledger.Serial(v.index):
		v.fail("recorded", "the facts name serial %d, entry %d gives %d", f.Serial, v.index, ledger.Serial(v.index))
	default:
		v.pass("recorded", "the facts hold the bytes that were to be signed, for person %s under request %s", f.Person, f.Grant)
	}
}

func describeCertificate(c *ssh.Certificate) string {
	const layout = "2006-01-02T15:04:05Z"
	return fmt.Sprintf("%s from %s to %s, key ID %s", strings.Join(c.ValidPrincipals, ", "),
		unixTime(c.ValidAfter).UTC().Format(layout), unixTime(c.ValidBefore).UTC().Format(layout), c.KeyId)
}
