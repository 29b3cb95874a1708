package contract_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// vectors are the published values of testdata/good. They are frozen: a change
// of this test's expectations is a change of the formats.
type vectors struct {
	Version    canon.Digest    `json:"version_digest"`
	Lineage    canon.Digest    `json:"lineage"`
	Terms      canon.Digest    `json:"terms_digest"`
	Files      []contract.File `json:"files"`
	Signatures []struct {
		Statement, Signature, Party, Capacity, Signer string
	} `json:"signatures"`
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	var v vectors
	if err := json.Unmarshal(read(t, "vectors.json"), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func sha256Digest(b []byte) canon.Digest { return canon.Digest(sha256.Sum256(b)) }

func TestVectors(t *testing.T) {
	t.Parallel()
	want, v := readVectors(t), goodVersion(t)
	if v.Digest != want.Version || v.Lineage() != want.Lineage || v.Manifest.Terms != want.Terms {
		t.Errorf("digests %s, %s, %s; want %s, %s, %s", v.Digest, v.Lineage(), v.Manifest.Terms, want.Version, want.Lineage, want.Terms)
	}
	for i, f := range want.Files {
		if v.Manifest.Files[i] != f {
			t.Errorf("file %+v, want %+v", v.Manifest.Files[i], f)
		}
	}
	canonical, err := v.Terms.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(canonical, read(t, "terms.canonical.json")) {
		t.Errorf("canonical terms are\n%s", canonical)
	}
	files := goodFiles(t)
	delete(files, contract.ManifestFile)
	manifest, err := contract.NewManifest(files)
	if err != nil || !bytes.Equal(manifest, read(t, "good/manifest.json")) {
		t.Errorf("NewManifest = %s, %v", manifest, err)
	}
}

// TestVectorDigestsByHand recomputes the digests from the words of
// docs/formats.md with the standard library alone.
func TestVectorDigestsByHand(t *testing.T) {
	t.Parallel()
	want := readVectors(t)
	for _, tt := range []struct {
		name, domain, file string
		want               canon.Digest
	}{
		{"version", "sallyport.manifest/v1\n", "good/manifest.json", want.Version},
		{"terms", "sallyport.terms/v1\n", "terms.canonical.json", want.Terms},
	} {
		sum := sha256.Sum256(append([]byte(tt.domain), read(t, tt.file)...))
		if got := base64.RawURLEncoding.EncodeToString(sum[:]); got != tt.want.String() {
			t.Errorf("%s digest = %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestVectorSignatures verifies the published signatures with our code and with
// the machine's own ssh-keygen, and signs anew with ssh-keygen.
func TestVectorSignatures(t *testing.T) {
	t.Parallel()
	want, v := readVectors(t), goodVersion(t)
	if len(want.Signatures) != 3 {
		t.Fatalf("%d signatures in the vectors, want 3", len(want.Signatures))
	}
	for _, s := range want.Signatures {
		t.Run(s.Signer, func(t *testing.T) {
			t.Parallel()
			text, armored := read(t, "good/"+s.Statement), read(t, "good/"+s.Signature)
			expected := contract.Signed{Party: s.Party, Capacity: s.Capacity, Signer: s.Signer}
			if got, err := v.VerifySignature(text, armored); err != nil || got != expected {
				t.Errorf("VerifySignature = %+v, %v", got, err)
			}
			if path := contract.StatementPath(s.Party, s.Signer); path != s.Statement || path+".sig" != s.Signature {
				t.Errorf("StatementPath = %s, want %s", path, s.Statement)
			}
			again, err := contract.NewStatement(v, s.Party, s.Signer)
			if err != nil || !bytes.Equal(again, text) {
				t.Errorf("NewStatement = %s, %v", again, err)
			}
			keygenVerify(t, v, expected, text, armored)
			fresh := keygenSign(t, "keys/"+s.Party+"."+s.Signer, sshcert.NamespaceContract, text)
			if got, err := v.VerifySignature(text, fresh); err != nil || got != expected {
				t.Errorf("VerifySignature of a fresh signature = %+v, %v", got, err)
			}
		})
	}
}

// keygenVerify has stock ssh-keygen check the signature against the key that the
// terms pin, and refuse it over other bytes and for anybody else.
func keygenVerify(t *testing.T, v *contract.Version, s contract.Signed, text, armored []byte) {
	t.Helper()
	identity := s.Party + "." + s.Signer
	if !stockKeygenVerifies(t, v, identity, text, armored) {
		t.Errorf("ssh-keygen -Y verify refuses the signature of %s", identity)
	}
	if stockKeygenVerifies(t, v, identity, append(bytes.Clone(text), '\n'), armored) {
		t.Error("ssh-keygen -Y verify takes the signature for other bytes")
	}
	if stockKeygenVerifies(t, v, identity+"x", text, armored) {
		t.Error("ssh-keygen -Y verify takes the signature for another person's")
	}
}

// stockKeygenVerifies asks ssh-keygen, who signs as AllowedSigners says.
func stockKeygenVerifies(t *testing.T, v *contract.Version, identity string, text, armored []byte) bool {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "allowed_signers"), contract.AllowedSigners(v))
	write(t, filepath.Join(dir, "statement.sig"), armored)
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-n", "sallyport-contract",
		"-f", filepath.Join(dir, "allowed_signers"), "-I", identity, "-s", filepath.Join(dir, "statement.sig"))
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.CombinedOutput()
	t.Logf("ssh-keygen: %s", out)
	return err == nil
}

// keygenSign signs with stock ssh-keygen and a key of testdata.
func keygenSign(t *testing.T, key, namespace string, text []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	private, file := filepath.Join(dir, "key"), filepath.Join(dir, "statement.json")
	write(t, private, read(t, key)) // a copy: ssh-keygen refuses the mode that git gives it
	write(t, file, text)
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "sign", "-n", namespace, "-f", private, file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen -Y sign: %v: %s", err, out)
	}
	armored, err := os.ReadFile(file + ".sig")
	if err != nil {
		t.Fatal(err)
	}
	return armored
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
