package sshcert_test

import (
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// Each type proves possession, and each proof is for one key, namespace and
// message.
func TestPromiseP02_EachTypeProvesPossession(t *testing.T) {
	t.Parallel()
	for _, keyType := range sshcerttest.Types() {
		t.Run(keyType, func(t *testing.T) {
			t.Parallel()
			signer, other := sshcerttest.Signer(t, keyType), newSigner(t)
			sig, err := sshcert.Sign(rand.Reader, signer, sshcert.NamespacePossession, []byte("message"))
			if err != nil {
				t.Fatal(err)
			}
			if err := sshcert.Verify(signer.PublicKey(), sshcert.NamespacePossession, []byte("message"), sig); err != nil {
				t.Fatal(err)
			}
			if err := sshcert.Verify(signer.PublicKey(), sshcert.NamespacePossession, []byte("message"), sig+"\n\n"); err != nil {
				t.Errorf("with empty lines behind it: %v", err)
			}
			cert := newCertificate(t)
			cert.Key = signer.PublicKey()
			for _, tt := range []struct {
				name      string
				pub       ssh.PublicKey
				namespace string
				message   string
				sig       string
				says      string
			}{
				{"other message", signer.PublicKey(), sshcert.NamespacePossession, "massage", sig, "made over other bytes"},
				{"other namespace", signer.PublicKey(), sshcert.NamespaceDevice, "message", sig, `made in namespace "sallyport-possession", not "sallyport-device"`},
				{"other key", other.PublicKey(), sshcert.NamespacePossession, "message", sig, "made by another key (SHA256:"},
				{"certificate", cert, sshcert.NamespacePossession, "message", sig, "the key to check against is a certificate"},
				{"no signature", signer.PublicKey(), sshcert.NamespacePossession, "message", "", "no SSHSIG file"},
				{"words before it", signer.PublicKey(), sshcert.NamespacePossession, "message", "words\n" + sig, "no SSHSIG file"},
				{"words behind it", signer.PublicKey(), sshcert.NamespacePossession, "message", sig + "words\n", "no SSHSIG file"},
				{"a broken one before it", signer.PublicKey(), sshcert.NamespacePossession, "message", sig[:len(sig)/2] + "\n" + sig, "no SSHSIG file"},
				{"twice", signer.PublicKey(), sshcert.NamespacePossession, "message", sig + sig, "no SSHSIG file"},
				{"a header in it", signer.PublicKey(), sshcert.NamespacePossession, "message", strings.Replace(sig, "-----\n", "-----\nA: b\n\n", 1), "no SSHSIG file"},
				{"lines that end as on Windows, which ssh-keygen refuses", signer.PublicKey(), sshcert.NamespacePossession, "message", strings.ReplaceAll(sig, "\n", "\r\n"), "no SSHSIG file"},
				{"blanks behind its first line, which ssh-keygen refuses", signer.PublicKey(), sshcert.NamespacePossession, "message", strings.Replace(sig, "-----\n", "----- \n", 1), "no SSHSIG file"},
				{"another type of armor", signer.PublicKey(), sshcert.NamespacePossession, "message", strings.ReplaceAll(sig, "SSH SIGNATURE", "SIGNATURE"), "no SSHSIG file"},
				{"cut off", signer.PublicKey(), sshcert.NamespacePossession, "message", sig[:len(sig)/2], "no SSHSIG file"},
				{"too long", signer.PublicKey(), sshcert.NamespacePossession, "message", strings.Repeat("x", 20<<10), "over 16384 bytes"},
			} {
				if err := sshcert.Verify(tt.pub, tt.namespace, []byte(tt.message), tt.sig); !errors.Is(err, sshcert.ErrSignature) || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s: %v, want ErrSignature that says %q", tt.name, err, tt.says)
				}
			}
		})
	}
}

// forged is a signature that no tool would make, and what is said of it.
type forged struct {
	name string
	key  ssh.PublicKey
	sig  string
	says string // empty: it counts
}

// What is signed right, but by an algorithm that does not count, or in a form
// that only looks like it.
func TestPromiseP02_SignaturesThatDoNotCount(t *testing.T) {
	t.Parallel()
	message := []byte("message")
	armored := func(key ssh.PublicKey, sign func([]byte) (*ssh.Signature, error)) string {
		return sshcerttest.Armored(t, key, sshcert.NamespacePossession, message, sign)
	}
	r := sshcerttest.RSA(t, 3072)
	rsa := func(algorithm string) string {
		return armored(r.PublicKey(), func(data []byte) (*ssh.Signature, error) { return r.SignWithAlgorithm(rand.Reader, data, algorithm) })
	}
	list := []forged{
		{"RSA with SHA-512", r.PublicKey(), rsa(ssh.KeyAlgoRSASHA512), ""},
		{"RSA with SHA-256", r.PublicKey(), rsa(ssh.KeyAlgoRSASHA256), ""},
		{"RSA with SHA-1", r.PublicKey(), rsa(ssh.KeyAlgoRSA), `made by "ssh-rsa"; an RSA key has to sign by rsa-sha2-512 or rsa-sha2-256`},
	}
	for _, keyType := range []string{ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256} {
		token := sshcerttest.NewToken(t, keyType, "ssh:")
		with := func(flags byte) string {
			return armored(token.PublicKey(), func(data []byte) (*ssh.Signature, error) {
				return token.SignFlags(rand.Reader, data, flags)
			})
		}
		const untouched = "the security key was not touched for it; touch it when it blinks"
		list = append(
			list,
			forged{keyType + " touched", token.PublicKey(), with(sshcerttest.Touched), ""},
			forged{keyType + " touched, with PIN", token.PublicKey(), with(sshcerttest.Touched | sshcerttest.Verified), ""},
			forged{keyType + " untouched", token.PublicKey(), with(0), untouched},
			forged{keyType + " untouched, with PIN", token.PublicKey(), with(sshcerttest.Verified), untouched},
			forged{keyType + " untouched, all other flags", token.PublicKey(), with(0xfe), untouched},
			forged{keyType + " without flags", token.PublicKey(), armored(token.PublicKey(), func(data []byte) (*ssh.Signature, error) {
				sig, err := token.Sign(rand.Reader, data)
				sig.Rest = nil
				return sig, err
			}), "no flags and counter of a security key"},
			forged{keyType + " with flags that were not signed", token.PublicKey(), armored(token.PublicKey(), func(data []byte) (*ssh.Signature, error) {
				sig, err := token.SignFlags(rand.Reader, data, 0)
				sig.Rest[0] = sshcerttest.Touched
				return sig, err
			}), "made over other bytes"},
			forged{keyType + " as of a website", token.PublicKey(), armored(token.PublicKey(), func(data []byte) (*ssh.Signature, error) {
				sig, err := token.Sign(rand.Reader, data)
				sig.Format = "webauthn-sk-ecdsa-sha2-nistp256@openssh.com"
				return sig, err
			}), "it was made by"},
		)
	}
	plain := newSigner(t)
	list = append(list, forged{"bytes behind it", plain.PublicKey(), armored(plain.PublicKey(), func(data []byte) (*ssh.Signature, error) {
		sig, err := plain.Sign(rand.Reader, data)
		sig.Rest = []byte{sshcerttest.Touched, 0, 0, 0, 1}
		return sig, err
	}), "there are bytes behind its end"})
	for _, tt := range list {
		err := sshcert.Verify(tt.key, sshcert.NamespacePossession, message, tt.sig)
		if tt.says == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if !errors.Is(err, sshcert.ErrSignature) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want ErrSignature that says %q", tt.name, err, tt.says)
		}
	}
}

// The envelope has one form, too.
func TestSSHSIGEnvelope(t *testing.T) {
	t.Parallel()
	signer, message := newSigner(t), []byte("message")
	data := append([]byte("SSHSIG"), ssh.Marshal(struct{ Namespace, Reserved, Algorithm, Hash string }{sshcert.NamespaceDevice, "", "sha512", sshcerttest.SHA512(message)})...)
	sig, err := signer.Sign(rand.Reader, data)
	if err != nil {
		t.Fatal(err)
	}
	good := sshcerttest.Blob{
		Magic: [6]byte([]byte("SSHSIG")), Version: 1, PublicKey: string(signer.PublicKey().Marshal()), Namespace: sshcert.NamespaceDevice, Hash: "sha512", Signature: string(ssh.Marshal(sig)),
	}
	dsaKey := sshcerttest.RefusedKeys(t)
	for name, bend := range map[string]func(*sshcerttest.Blob){
		"good":                 func(*sshcerttest.Blob) {},
		"another magic":        func(b *sshcerttest.Blob) { b.Magic[5] = 'X' },
		"version 0":            func(b *sshcerttest.Blob) { b.Version = 0 },
		"version 2":            func(b *sshcerttest.Blob) { b.Version = 2 },
		"reserved data":        func(b *sshcerttest.Blob) { b.Reserved = "x" },
		"SHA-1":                func(b *sshcerttest.Blob) { b.Hash = "sha1" },
		"no hash":              func(b *sshcerttest.Blob) { b.Hash = "" },
		"no key":               func(b *sshcerttest.Blob) { b.PublicKey = "" },
		"a key that is none":   func(b *sshcerttest.Blob) { b.PublicKey = string(dsaKey[1].Wire) },
		"no signature":         func(b *sshcerttest.Blob) { b.Signature = "" },
		"a signature cut off":  func(b *sshcerttest.Blob) { b.Signature = b.Signature[:len(b.Signature)-1] },
		"a signature of zeros": func(b *sshcerttest.Blob) { b.Signature = string(make([]byte, len(b.Signature))) },
	} {
		b := good
		bend(&b)
		err := sshcert.Verify(signer.PublicKey(), sshcert.NamespaceDevice, message, sshcerttest.Envelope(b))
		if (err == nil) != (name == "good") || err != nil && !errors.Is(err, sshcert.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Stock ssh-keygen is the judge of our signatures, and we of its and of its
// keys, of each type.
func TestSSHSIGWithSSHKeygen(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"ed25519": {"-t", "ed25519"}, "ecdsa 256": {"-t", "ecdsa", "-b", "256"}, "ecdsa 384": {"-t", "ecdsa", "-b", "384"}, "ecdsa 521": {"-t", "ecdsa", "-b", "521"},
		"rsa 3072": {"-t", "rsa", "-b", "3072"}, "ed25519-sk": {"-t", "ed25519-sk"}, "ecdsa-sk": {"-t", "ecdsa-sk"},
		"ed25519-sk for work": {"-t", "ed25519-sk", "-O", "application=ssh:work"}, "ed25519-sk untouched": {"-t", "ed25519-sk", "-O", "no-touch-required"},
		"ecdsa-sk untouched": {"-t", "ecdsa-sk", "-O", "no-touch-required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, key, armored := keygenSigns(t, "message", args...)
			if _, err := sshcert.ParseSubjectKey(key.Marshal()); err != nil {
				t.Fatal(err)
			}
			err := sshcert.Verify(key, sshcert.NamespacePossession, []byte("message"), armored)
			if strings.HasSuffix(name, "untouched") {
				if !errors.Is(err, sshcert.ErrSignature) || !strings.Contains(err.Error(), "was not touched") {
					t.Errorf("%v, want a refusal that asks for a touch", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(name, "sk") { // a token does not give its private key
				keygenVerifies(t, path)
			}
		})
	}
}

// keygenVerifies has ssh-keygen verify what we sign with the private key at path.
func keygenVerifies(t *testing.T, path string) {
	t.Helper()
	private, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := sshcert.Sign(rand.Reader, signer, sshcert.NamespacePossession, []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{".ours": ours, ".allowed": "me " + string(ssh.MarshalAuthorizedKey(signer.PublicKey()))} {
		if err := os.WriteFile(path+file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-f", path+".allowed", "-I", "me", "-n", sshcert.NamespacePossession, "-s", path+".ours")
	cmd.Stdin = strings.NewReader("message")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Good") {
		t.Errorf("ssh-keygen says %q, %v", out, err)
	}
}

func FuzzVerify(f *testing.F) {
	message := []byte("message")
	keys := make(map[string]ssh.PublicKey)
	for _, keyType := range sshcerttest.Types() {
		signer := sshcerttest.Signer(f, keyType)
		armored, err := sshcert.Sign(rand.Reader, signer, sshcert.NamespaceDevice, message)
		if err != nil {
			f.Fatal(err)
		}
		keys[keyType] = signer.PublicKey()
		f.Add(keyType, armored)
	}
	f.Fuzz(func(t *testing.T, keyType, armored string) {
		key, ok := keys[keyType]
		if !ok {
			return
		}
		if err := sshcert.Verify(key, sshcert.NamespacePossession, message, armored); err == nil {
			t.Fatal("a signature for another purpose counts")
		}
	})
}
