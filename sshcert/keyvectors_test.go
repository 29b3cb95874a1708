package sshcert_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

type keyVector struct {
	Type        string       `json:"type"`
	Key         string       `json:"key"`         // b64 of the wire form
	Signature   string       `json:"signature"`   // by ssh-keygen -Y sign
	Certificate string       `json:"certificate"` // as in a -cert.pub file
	TBS         string       `json:"tbs"`         // b64
	Reference   canon.Digest `json:"reference"`
}

type refusedVector struct {
	Name      string `json:"name"`
	Key       string `json:"key"`
	Signature string `json:"signature,omitempty"`
}

type keyVectors struct {
	Note              string          `json:"note"`
	Namespace         string          `json:"namespace"`
	Message           string          `json:"message"`
	AcceptedKeys      []keyVector     `json:"accepted_keys"`
	RefusedKeys       []refusedVector `json:"refused_keys"`
	RefusedSignatures []refusedVector `json:"refused_signatures"`
}

func keyVectorPath() string { return filepath.Join("testdata", "keys.json") }

// keygenSigns makes a key as ssh-keygen's arguments say, its files at path and
// path.pub, and has it sign.
func keygenSigns(t *testing.T, message string, args ...string) (path string, key ssh.PublicKey, armored string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "key")
	if err := lab.KeyPairOf(t.Context(), path, "", args...); err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if key, _, _, _, err = ssh.ParseAuthorizedKey(line); err != nil {
		t.Fatal(err)
	}
	provider, err := lab.FIDOProvider()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-Y", "sign", "-n", sshcert.NamespacePossession, "-f", path)
	cmd.Stdin, cmd.Env = strings.NewReader(message), append(os.Environ(), "SSH_SK_PROVIDER="+provider)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ssh-keygen -Y sign: %v", err)
	}
	return path, key, string(out)
}

func makeKeyVectors(t *testing.T) keyVectors {
	t.Helper()
	v := keyVectors{
		Note: "Keys that certificates are made for, and keys and signatures that are refused (docs/formats.md, \"Key policy\"). The keys are stock ssh-keygen's, and so" +
			" are the signatures over message in namespace. The certificates' own signatures are by an example key.",
		Namespace: sshcert.NamespacePossession, Message: "a message",
	}
	sk := []string{"-t", "ed25519-sk"}
	for _, args := range [][]string{
		{"-t", "ed25519"},
		{"-t", "ecdsa", "-b", "256"},
		{"-t", "ecdsa", "-b", "384"},
		{"-t", "ecdsa", "-b", "521"},
		{"-t", "rsa", "-b", "3072"},
		{"-t", "rsa", "-b", "8192"},
		sk,
		{"-t", "ecdsa-sk"},
		append(sk, "-O", "application=ssh:work"),
	} {
		_, key, armored := keygenSigns(t, v.Message, args...)
		cert := &ssh.Certificate{
			Nonce: example("nonce"), Key: key, Serial: 7, CertType: ssh.UserCert, KeyId: "key", ValidPrincipals: []string{"ops@web-1.demo"}, ValidAfter: 1794999000,
			ValidBefore: 1794999300, Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": "", sshcert.ProofExtension: "proof"}},
			SignatureKey: exampleSigner(t, "authority").PublicKey(),
		}
		var err error
		if cert.Signature, err = exampleSigner(t, "authority").Sign(nil, sshcert.SignedBytes(cert)); err != nil {
			t.Fatal(err)
		}
		tbs := sshcert.TBS(cert)
		v.AcceptedKeys = append(v.AcceptedKeys, keyVector{
			key.Type(), canon.B64(key.Marshal()), armored, cert.Type() + " " + base64.StdEncoding.EncodeToString(cert.Marshal()), canon.B64(tbs), canon.Digest(sha256.Sum256(tbs)),
		})
	}
	for _, r := range sshcerttest.RefusedKeys(t) {
		if len(r.Wire) < 4096 {
			v.RefusedKeys = append(v.RefusedKeys, refusedVector{Name: r.Name, Key: canon.B64(r.Wire)})
		}
	}
	for _, algorithm := range []string{"ed25519-sk", "ecdsa-sk"} {
		_, key, armored := keygenSigns(t, v.Message, "-t", algorithm, "-O", "no-touch-required")
		v.RefusedSignatures = append(v.RefusedSignatures, refusedVector{algorithm + " without touch", canon.B64(key.Marshal()), armored})
	}
	rsa := sshcerttest.RSA(t, 3072)
	sha1 := sshcerttest.Armored(t, rsa.PublicKey(), v.Namespace, []byte(v.Message), func(data []byte) (*ssh.Signature, error) {
		return rsa.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSA)
	})
	v.RefusedSignatures = append(v.RefusedSignatures, refusedVector{"RSA with SHA-1", canon.B64(rsa.PublicKey().Marshal()), sha1})
	return v
}

// TestKeyVectors reads the committed file, whose keys and signatures are
// ssh-keygen's and new at each -update, and asks the policy.
func TestKeyVectors(t *testing.T) {
	if *update {
		var buf bytes.Buffer
		enc := json.NewEncoder(&buf)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := errors.Join(enc.Encode(makeKeyVectors(t)), os.WriteFile(keyVectorPath(), buf.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(keyVectorPath())
	if err != nil {
		t.Fatal(err)
	}
	var v keyVectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	parse := func(b64 string) (ssh.PublicKey, error) {
		wire, err := base64.RawURLEncoding.DecodeString(b64)
		if err != nil {
			t.Fatal(err)
		}
		return sshcert.ParseSubjectKey(wire)
	}
	types := make(map[string]bool)
	for _, k := range v.AcceptedKeys {
		types[k.Type] = true
		key, err := parse(k.Key)
		if err != nil || key.Type() != k.Type {
			t.Fatalf("%s: %v", k.Type, err)
		}
		if err := sshcert.Verify(key, v.Namespace, []byte(v.Message), k.Signature); err != nil {
			t.Errorf("%s: %v", k.Type, err)
		}
		name, encoded, _ := strings.Cut(k.Certificate, " ")
		wire, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := sshcert.ParseCertificate(wire)
		if err != nil || cert.Type() != name || !bytes.Equal(cert.Key.Marshal(), key.Marshal()) {
			t.Fatalf("%s: its certificate: %v", k.Type, err)
		}
		if tbs := sshcert.TBS(cert); canon.B64(tbs) != k.TBS || canon.Digest(sha256.Sum256(tbs)) != k.Reference {
			t.Errorf("%s: another TBS", k.Type)
		}
	}
	for _, keyType := range sshcerttest.Types() {
		if !types[keyType] {
			t.Errorf("no example of %s", keyType)
		}
	}
	if len(v.RefusedKeys) < 50 || len(v.RefusedSignatures) != 3 {
		t.Errorf("only %d keys and %d signatures are refused", len(v.RefusedKeys), len(v.RefusedSignatures))
	}
	for _, r := range v.RefusedKeys {
		if _, err := parse(r.Key); !errors.Is(err, sshcert.ErrKeyPolicy) {
			t.Errorf("%s: %v, want ErrKeyPolicy", r.Name, err)
		}
	}
	for _, r := range v.RefusedSignatures {
		key, err := parse(r.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := sshcert.Verify(key, v.Namespace, []byte(v.Message), r.Signature); !errors.Is(err, sshcert.ErrSignature) {
			t.Errorf("%s: %v, want ErrSignature", r.Name, err)
		}
	}
}

// The TBS of each type of key is the same to a reader that shares no code with
// us.
func TestKeyVectorsCheckOutElsewhere(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "python3", filepath.Join("..", "ledger", "testdata", "check_vector.py"), keyVectorPath()).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "ok: 9 checked") {
		t.Errorf("check_vector.py: %v\n%s", err, out)
	}
}
