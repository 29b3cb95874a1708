package certproof_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/sshcert"
)

var update = flag.Bool("update", false, "write the test vectors instead of comparing with them")

type vectors struct {
	Note        string          `json:"note"`
	Origin      string          `json:"origin"`
	LogKey      string          `json:"log_key"`
	Authority   string          `json:"authority_key"`
	Certificate string          `json:"certificate"`
	TBS         string          `json:"tbs"`
	KeyID       string          `json:"key_id"`
	Index       int64           `json:"index"`
	Serial      uint64          `json:"serial"`
	Lineage     canon.Digest    `json:"lineage"`
	Facts       opened          `json:"facts"`
	Leaf        string          `json:"leaf"`
	LeafHash    canon.Digest    `json:"leaf_hash"`
	Proof       string          `json:"proof"`
	Refused     []refusedVector `json:"refused"`
}

type opened struct {
	Salt       ledger.Salt  `json:"salt"`
	JSON       string       `json:"json"`
	Commitment canon.Digest `json:"commitment"`
}

type refusedVector struct {
	Name        string `json:"name"`
	Certificate string `json:"certificate"`
	Reason      string `json:"reason"`
}

// published names the reasons in the vectors, for readers without our code.
func published() map[string]error {
	return map[string]error{
		"not a certificate":       sshcert.ErrCertificate,
		"not canonical":           sshcert.ErrNotCanonical,
		"authority signature":     certproof.ErrSignature,
		"no proof":                certproof.ErrNoProof,
		"malformed proof":         ledger.ErrProof,
		"lineage and facts":       certproof.ErrExtra,
		"malformed checkpoint":    ledger.ErrCheckpoint,
		"another log":             ledger.ErrOrigin,
		"untrusted log key":       ledger.ErrUntrusted,
		"not in the log":          ledger.ErrNotIncluded,
		"serial is not index + 1": certproof.ErrSerial,
	}
}

func makeVectors(t testing.TB) vectors {
	t.Helper()
	cert, log := issue(t)
	salt, text, commitment := facts(t)
	leaf := leafOf(t, cert)
	leafText, err := leaf.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := leaf.Hash()
	if err != nil {
		t.Fatal(err)
	}
	v := vectors{
		Note: "A certificate with its ledger proof, as docs/formats.md describes it. Pin log_key and authority_key." +
			" tbs, salts and digests are unpadded base64url; certificates and keys are OpenSSH's one-line text." +
			" The certificates under refused must be refused, for the reason beside them or an earlier one.",
		Origin:      log.Origin(),
		LogKey:      log.PublicKey(),
		Authority:   strings.TrimSpace(string(ssh.MarshalAuthorizedKey(cert.SignatureKey))),
		Certificate: line(cert.Marshal()),
		TBS:         canon.B64(sshcert.TBS(cert)),
		KeyID:       cert.KeyId,
		Index:       index,
		Serial:      cert.Serial,
		Lineage:     lineage(),
		Facts:       opened{salt, string(text), commitment},
		Leaf:        string(leafText),
		LeafHash:    canon.Digest(hash),
		Proof:       cert.Extensions[sshcert.ProofExtension],
	}
	for _, r := range refusals(t) {
		if len(r.wire) > 4096 { // too long to publish; the limit is in the text
			continue
		}
		reason := ""
		for name, err := range published() {
			if errors.Is(r.want, err) {
				reason = name
			}
		}
		if reason == "" {
			t.Fatalf("%s: no published reason for %v", r.name, r.want)
		}
		v.Refused = append(v.Refused, refusedVector{r.name, line(r.wire), reason})
	}
	return v
}

// line writes wire bytes as a line of a -cert.pub file.
func line(wire []byte) string {
	return ssh.CertAlgoED25519v01 + " " + base64.StdEncoding.EncodeToString(wire)
}

func unline(t testing.TB, text string) []byte {
	t.Helper()
	encoded, ok := strings.CutPrefix(text, ssh.CertAlgoED25519v01+" ")
	wire, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return wire
}

func TestVectors(t *testing.T) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(makeVectors(t)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "certificate.json")
	if *update {
		if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), want) {
		t.Errorf("%s is not what the code makes. The format is frozen: mend the code, unless the change is meant (go test -update).", path)
	}
}

// TestVectorsAreTrue reads the committed file and asks the verifier, so that
// the file says what it claims, whoever wrote it.
func TestVectorsAreTrue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "certificate.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	policy, err := ledger.NewPolicy(v.Origin, v.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, got, err := certproof.VerifyWire(unline(t, v.Certificate), policy)
	if err != nil {
		t.Fatal(err)
	}
	if got.Index != v.Index || got.Serial != v.Serial || got.Lineage != v.Lineage || got.Facts != v.Facts.Commitment || canon.Digest(got.LeafHash) != v.LeafHash {
		t.Errorf("VerifyWire = %+v, the vector says %+v", got, v)
	}
	if canon.B64(sshcert.TBS(cert)) != v.TBS || cert.KeyId != v.KeyID || strings.TrimSpace(string(ssh.MarshalAuthorizedKey(cert.SignatureKey))) != v.Authority {
		t.Error("the certificate holds other bytes than the vector says")
	}
	if _, err := sshcert.ParseKeyID(v.KeyID); err != nil {
		t.Error(err)
	}
	if ledger.FactsCommitment(v.Facts.Salt, []byte(v.Facts.JSON)) != got.Facts || canon.Check([]byte(v.Facts.JSON)) != nil {
		t.Error("the facts do not open")
	}
	if len(v.Refused) < 20 {
		t.Errorf("only %d refusals are published", len(v.Refused))
	}
	for _, r := range v.Refused {
		if _, _, err := certproof.VerifyWire(unline(t, r.Certificate), policy); !errors.Is(err, published()[r.Reason]) {
			t.Errorf("%s: %v, want %s", r.Name, err, r.Reason)
		}
	}
}
