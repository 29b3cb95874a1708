package sshcert_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

var update = flag.Bool("update", false, "write the test vectors instead of comparing with them")

type keyIDVector struct {
	Text     string       `json:"text"`
	Person   canon.ID     `json:"person"`
	Request  canon.ID     `json:"request"`
	Contract canon.Digest `json:"contract"`
	End      int64        `json:"end_seconds"`
}

type tbsVector struct {
	Name        string       `json:"name"`
	Certificate string       `json:"certificate"` // as in a -cert.pub file
	TBS         string       `json:"tbs"`         // b64
	Reference   canon.Digest `json:"reference"`   // SHA-256 of the TBS: line 4 of the certificate's leaf
}

type vectors struct {
	Note          string        `json:"note"`
	KeyIDs        []keyIDVector `json:"key_ids"`
	RefusedKeyIDs []string      `json:"refused_key_ids"`
	TBS           []tbsVector   `json:"tbs"`
}

func example(what string) []byte {
	sum := sha256.Sum256([]byte("sallyport test vector: " + what))
	return sum[:]
}

func exampleSigner(t testing.TB, what string) ssh.Signer {
	t.Helper()
	signer, err := ssh.NewSignerFromSigner(ed25519.NewKeyFromSeed(example(what)))
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

func makeVectors(t *testing.T) vectors {
	t.Helper()
	v := vectors{Note: "Key IDs, and the bytes of a certificate that its ledger leaf refers to: everything before the signature, without the extension " +
		sshcert.ProofExtension + ". The proofs in these certificates are no proofs; only their place matters here."}
	for i, end := range []int64{1795000000, 9999999999, 10000000000} {
		k := sshcert.KeyID{
			Person: exampleID(t, "person"), Request: exampleID(t, "request"), Contract: canon.Digest(example("contract")), End: time.Unix(end, 0).UTC(),
		}
		if i > 0 {
			k.Contract = canon.Sum("x")
		}
		v.KeyIDs = append(v.KeyIDs, keyIDVector{k.String(), k.Person, k.Request, k.Contract, end})
	}
	good := v.KeyIDs[0].Text
	v.RefusedKeyIDs = []string{
		"", good + "\n", " " + good, good + ";x=1", good[:len(good)-2], good + "000",
		string(bytes.Replace([]byte(good), []byte("e=1"), []byte("e=01"), 1)),
		string(bytes.Replace([]byte(good), []byte("p="), []byte("P="), 1)),
		string(bytes.ToUpper([]byte(good))),
		string(bytes.Replace([]byte(good), []byte(";e="), []byte("=;e="), 1)),
		"p=aaaaaaaaaaaaaaaaaaaaaaaaab" + good[28:],
	}
	for _, c := range []struct {
		name       string
		extensions map[string]string
	}{
		{"no extension", nil},
		{"the proof alone", map[string]string{sshcert.ProofExtension: "proof"}},
		{"before the proof and behind it", map[string]string{"a-first": "", sshcert.ProofExtension: "proof", "permit-pty": ""}},
		{"permit-pty, no proof", map[string]string{"permit-pty": ""}},
	} {
		cert := &ssh.Certificate{
			Nonce: example("nonce"), Key: exampleSigner(t, "subject").PublicKey(), Serial: 7, CertType: ssh.UserCert, KeyId: good,
			ValidPrincipals: []string{"deploy@web-1.demo", "ops@web-1.demo"}, ValidAfter: 1794999000, ValidBefore: 1794999300,
			Permissions: ssh.Permissions{Extensions: c.extensions}, SignatureKey: exampleSigner(t, "authority").PublicKey(),
		}
		sig, err := exampleSigner(t, "authority").Sign(nil, sshcert.SignedBytes(cert))
		if err != nil {
			t.Fatal(err)
		}
		cert.Signature = sig
		tbs := sshcert.TBS(cert)
		v.TBS = append(v.TBS, tbsVector{
			c.name, ssh.CertAlgoED25519v01 + " " + base64.StdEncoding.EncodeToString(cert.Marshal()), canon.B64(tbs), canon.Digest(sha256.Sum256(tbs)),
		})
	}
	return v
}

func TestVectors(t *testing.T) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(makeVectors(t)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "vectors.json")
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

// TestVectorsAreTrue reads the committed file and asks the parsers, and cuts the
// TBS out of the certificate by hand where no proof is in the way.
func TestVectorsAreTrue(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	for _, k := range v.KeyIDs {
		got, err := sshcert.ParseKeyID(k.Text)
		want := sshcert.KeyID{Person: k.Person, Request: k.Request, Contract: k.Contract, End: time.Unix(k.End, 0).UTC()}
		if err != nil || got != want {
			t.Errorf("key ID %s is %+v, %v", k.Text, got, err)
		}
	}
	for _, k := range v.RefusedKeyIDs {
		if _, err := sshcert.ParseKeyID(k); err == nil {
			t.Errorf("key ID %q was read", k)
		}
	}
	references := make(map[string]canon.Digest)
	for _, c := range v.TBS {
		wire, err := base64.StdEncoding.DecodeString(c.Certificate[len(ssh.CertAlgoED25519v01)+1:])
		if err != nil {
			t.Fatal(err)
		}
		cert, err := sshcert.ParseCertificate(wire)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		tbs := sshcert.TBS(cert)
		if canon.B64(tbs) != c.TBS || canon.Digest(sha256.Sum256(tbs)) != c.Reference {
			t.Errorf("%s: another TBS", c.Name)
		}
		const signature = 4 + 4 + 11 + 4 + 64 // a string that holds "ssh-ed25519" and 64 bytes
		if _, proved := cert.Extensions[sshcert.ProofExtension]; !proved && !slices.Equal(tbs, wire[:len(wire)-signature]) {
			t.Errorf("%s: the TBS is not the certificate up to its signature", c.Name)
		}
		references[c.Name] = c.Reference
	}
	if references["no extension"] != references["the proof alone"] || references["no extension"] == references["permit-pty, no proof"] {
		t.Error("the proof changes the reference, or another extension does not")
	}
}
