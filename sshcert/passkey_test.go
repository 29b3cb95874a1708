package sshcert_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

const (
	relyingParty = "sallyport.example.com"
	website      = "https://sallyport.example.com"
)

// stockVerifies asks the machine's own ssh-keygen.
func stockVerifies(t *testing.T, key ssh.PublicKey, namespace string, message []byte, armored string) bool {
	t.Helper()
	dir := t.TempDir()
	allowed, sig := filepath.Join(dir, "allowed"), filepath.Join(dir, "sig")
	for file, text := range map[string]string{allowed: "me " + string(ssh.MarshalAuthorizedKey(key)), sig: armored} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-f", allowed, "-I", "me", "-n", namespace, "-s", sig)
	cmd.Stdin = bytes.NewReader(message)
	out, err := cmd.CombinedOutput()
	if good := bytes.Contains(out, []byte("Good")); good != (err == nil) {
		t.Fatalf("ssh-keygen says %q, %v", out, err)
	}
	return err == nil
}

// What passkeys sign, and what they are refused for. Stock ssh-keygen verifies all
// that we take; stricter than it we are where it is told.
func TestPromiseP10_Passkeys(t *testing.T) {
	t.Parallel()
	message := []byte("message")
	const said = `{"type":"webauthn.get","challenge":"%CHALLENGE%","origin":"%ORIGIN%"`
	for _, tt := range []struct {
		name string
		bend func(*sshcerttest.Passkey)
		says string // empty: it counts
	}{
		{"as browsers do", func(*sshcerttest.Passkey) {}, ""},
		{"at a port", func(p *sshcerttest.Passkey) { p.Origin += ":8443" }, ""},
		{"at a host below", func(p *sshcerttest.Passkey) { p.Origin = "https://eu.sallyport.example.com" }, ""},
		{"on the own machine", func(p *sshcerttest.Passkey) { p.RP, p.Origin = "localhost", "http://localhost:8080" }, ""},
		{"on the own machine by name", func(p *sshcerttest.Passkey) { p.RP, p.Origin = "localhost", "http://sally.localhost" }, ""},
		{"with a counter", func(p *sshcerttest.Passkey) { p.Counter = 0xfffffffe }, ""},
		{"backed up", func(p *sshcerttest.Passkey) { p.Flags |= 0x18 }, ""},
		{"with extensions", func(p *sshcerttest.Passkey) { p.Flags |= 0x80; p.Extensions = "\xa1\x63\x66\x6f\x6f\x01" }, ""},
		{"with words to come", func(p *sshcerttest.Passkey) {
			p.ClientData = said + `,"crossOrigin":false,"other_keys_can_be_added_here":"do not compare clientDataJSON against a template"}`
		}, ""},
		{"without crossOrigin", func(p *sshcerttest.Passkey) { p.ClientData = said + `}` }, ""},

		{"not touched", func(p *sshcerttest.Passkey) { p.Flags = sshcerttest.Verified }, "the passkey was not touched"},
		{"extensions not said", func(p *sshcerttest.Passkey) { p.Extensions = "\xa0" }, "it says of its extensions what is not so"},
		{"extensions said and not there", func(p *sshcerttest.Passkey) { p.Flags |= 0x80 }, "it says of its extensions what is not so"},
		{"a registration", func(p *sshcerttest.Passkey) { p.Flags |= 0x40 }, "as only registrations have"},
		{"of a registration's type", func(p *sshcerttest.Passkey) {
			p.ClientData = strings.Replace(said, "webauthn.get", "webauthn.create", 1) + `}`
		}, "does not begin with the type webauthn.get"},
		{"in another order", func(p *sshcerttest.Passkey) {
			p.ClientData = `{"challenge":"%CHALLENGE%","type":"webauthn.get","origin":"%ORIGIN%"}`
		}, "does not begin with the type webauthn.get"},
		{"of another challenge", func(p *sshcerttest.Passkey) {
			p.ClientData = strings.Replace(said, "%CHALLENGE%", "AAAA", 1) + `}`
		}, "its challenge is not of these bytes"},
		{"of a padded challenge", func(p *sshcerttest.Passkey) {
			p.ClientData = strings.Replace(said, "%CHALLENGE%", "%CHALLENGE%=", 1) + `}`
		}, "its challenge is not of these bytes"},
		{"for another website", func(p *sshcerttest.Passkey) { p.Origin = "https://evil.example" }, "for the website https://evil.example, which is not under sallyport.example.com"},
		{"for a website that only ends like it", func(p *sshcerttest.Passkey) { p.Origin = "https://evilsallyport.example.com" }, "which is not under"},
		{"for the website above", func(p *sshcerttest.Passkey) { p.Origin = "https://example.com" }, "which is not under"},
		{"without TLS", func(p *sshcerttest.Passkey) { p.Origin = "http://sallyport.example.com" }, "without TLS"},
		{"with a path", func(p *sshcerttest.Passkey) { p.Origin += "/" }, "is no website"},
		{"with a user", func(p *sshcerttest.Passkey) { p.Origin = "https://evil@sallyport.example.com" }, "is no website"},
		{"for an app", func(p *sshcerttest.Passkey) { p.Origin = "android:apk-key-hash:AAAA" }, "is no website"},
		{"without a website", func(p *sshcerttest.Passkey) { p.Origin = "" }, "is no website"},
		{"another website in the client data", func(p *sshcerttest.Passkey) {
			p.ClientData = strings.Replace(said, "%ORIGIN%", "https://evil.example", 1) + `}`
		}, "names another origin"},
		{"a longer website in the client data", func(p *sshcerttest.Passkey) {
			p.ClientData = strings.Replace(said, `%ORIGIN%"`, `%ORIGIN%"x`, 1) + `}`
		}, "names another origin"},
		{"inside another's page", func(p *sshcerttest.Passkey) { p.ClientData = said + `,"crossOrigin":true}` }, "in a page inside another website's"},
		{"inside another's page, by name", func(p *sshcerttest.Passkey) {
			p.ClientData = said + `,"crossOrigin":false,"topOrigin":"https://evil.example"}`
		}, "in a page inside another website's"},
		{"two origins", func(p *sshcerttest.Passkey) { p.ClientData = said + `,"origin":"https://evil.example"}` }, `"origin" stands in it twice`},
		{"two types, one in disguise", func(p *sshcerttest.Passkey) { p.ClientData = said + `,"typ\u0065":"webauthn.create"}` }, `"type" stands in it twice`},
		{"two objects", func(p *sshcerttest.Passkey) { p.ClientData = said + `}{}` }, "something stands behind it"},
		{"cut off", func(p *sshcerttest.Passkey) { p.ClientData = said + `,"a":` }, "no JSON object"},
		{"no UTF-8", func(p *sshcerttest.Passkey) { p.ClientData = said + ",\"a\":\"\xff\"}" }, "no UTF-8"},
		{"too long", func(p *sshcerttest.Passkey) { p.ClientData = said + `,"a":"` + strings.Repeat("x", 4096) + `"}` }, "over 4096 bytes"},
		{"a key for SSH", func(p *sshcerttest.Passkey) { p.RP = "ssh:" }, `of the application "ssh:", which is no website`},
		{"a top-level domain", func(p *sshcerttest.Passkey) { p.RP, p.Origin = "com", "https://sallyport.com" }, `of the application "com", which is no website`},
		{"an address", func(p *sshcerttest.Passkey) { p.RP, p.Origin = "192.0.2.1", "https://192.0.2.1" }, "which is no website"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := sshcerttest.NewPasskey(t, relyingParty, website)
			tt.bend(p)
			armored := p.Armored(t, sshcert.NamespaceContract, message)
			key := p.PublicKey(t)
			flags, err := sshcert.VerifyFlags(key, sshcert.NamespaceContract, message, armored)
			if tt.says != "" {
				if !errors.Is(err, sshcert.ErrSignature) || !strings.Contains(err.Error(), tt.says) || flags != (sshcert.Flags{}) {
					t.Errorf("%+v, %v, want ErrSignature that says %q", flags, err, tt.says)
				}
				return
			}
			if want := (sshcert.Flags{Touched: true, Verified: true, Passkey: true}); err != nil || flags != want {
				t.Fatalf("%+v, %v, want %+v", flags, err, want)
			}
			if !stockVerifies(t, key, sshcert.NamespaceContract, message, armored) {
				t.Error("ssh-keygen refuses it")
			}
			for name, err := range map[string]error{
				"where passkeys do not count": sshcert.Verify(key, sshcert.NamespaceContract, message, armored),
				"other bytes":                 verifyFlags(key, sshcert.NamespaceContract, "massage", armored),
				"other namespace":             verifyFlags(key, sshcert.NamespaceErase, "message", armored),
				"another's key":               verifyFlags(sshcerttest.NewPasskey(t, relyingParty, website).PublicKey(t), sshcert.NamespaceContract, "message", armored),
			} {
				if !errors.Is(err, sshcert.ErrSignature) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func verifyFlags(key ssh.PublicKey, namespace, message, armored string) error {
	_, err := sshcert.VerifyFlags(key, namespace, []byte(message), armored)
	return err
}

// What a passkey says that it did not sign.
func TestPromiseP10_PasskeyWordsAreSigned(t *testing.T) {
	t.Parallel()
	message := []byte("message")
	p := sshcerttest.NewPasskey(t, relyingParty, website)
	for name, bend := range map[string]func(data []byte) *ssh.Signature{
		"verified, not so": func(data []byte) *ssh.Signature {
			other := *p
			other.Flags = sshcerttest.Touched
			sig := other.Wire(t, data)
			sig.Rest[0] |= sshcerttest.Verified
			return sig
		},
		"another counter": func(data []byte) *ssh.Signature { sig := p.Wire(t, data); sig.Rest[4]++; return sig },
		"a client data later": func(data []byte) *ssh.Signature {
			sig := p.Wire(t, data)
			sig.Rest = bytes.Replace(sig.Rest, []byte(":false"), []byte(":  false")[:6], 1)
			sig.Rest = bytes.Replace(sig.Rest, []byte("false}"), []byte("false\n")[:6], 1)
			return sig
		},
		"a byte behind it":          func(data []byte) *ssh.Signature { sig := p.Wire(t, data); sig.Rest = append(sig.Rest, 0); return sig },
		"no client data":            func(data []byte) *ssh.Signature { sig := p.Wire(t, data); sig.Rest = sig.Rest[:5]; return sig },
		"a byte behind the numbers": func(data []byte) *ssh.Signature { sig := p.Wire(t, data); sig.Blob = append(sig.Blob, 0); return sig },
		"numbers padded": func(data []byte) *ssh.Signature {
			sig := p.Wire(t, data)
			sig.Blob[3]++
			sig.Blob = append(append(bytes.Clone(sig.Blob[:4]), 0), sig.Blob[4:]...)
			return sig
		},
		"no numbers": func(data []byte) *ssh.Signature { sig := p.Wire(t, data); sig.Blob = nil; return sig },
		"zeros": func(data []byte) *ssh.Signature {
			sig := p.Wire(t, data)
			sig.Blob = make([]byte, 8)
			return sig
		},
	} {
		armored := sshcerttest.Armored(t, p.PublicKey(t), sshcert.NamespaceContract, message, func(data []byte) (*ssh.Signature, error) { return bend(data), nil })
		if _, err := sshcert.VerifyFlags(p.PublicKey(t), sshcert.NamespaceContract, message, armored); !errors.Is(err, sshcert.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The flags of each kind of key.
func TestVerifyFlags(t *testing.T) {
	t.Parallel()
	message := []byte("message")
	for _, keyType := range sshcerttest.Types() {
		for _, pin := range []bool{false, true} {
			signer := sshcerttest.Signer(t, keyType)
			want := sshcert.Flags{}
			sign := func(data []byte) (*ssh.Signature, error) { return signer.Sign(rand.Reader, data) }
			if token, ok := signer.(*sshcerttest.Token); ok {
				want = sshcert.Flags{Touched: true, Verified: pin}
				flags := byte(sshcerttest.Touched)
				if pin {
					flags |= sshcerttest.Verified
				}
				sign = func(data []byte) (*ssh.Signature, error) { return token.SignFlags(rand.Reader, data, flags) }
			}
			if keyType == ssh.KeyAlgoRSA {
				sign = func(data []byte) (*ssh.Signature, error) {
					return sshcerttest.RSA(t, 3072).SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
				}
			}
			armored := sshcerttest.Armored(t, signer.PublicKey(), sshcert.NamespaceContract, message, sign)
			if got, err := sshcert.VerifyFlags(signer.PublicKey(), sshcert.NamespaceContract, message, armored); err != nil || got != want {
				t.Errorf("%s, PIN %t: %+v, %v, want %+v", keyType, pin, got, err, want)
			}
			if err := verifyFlags(signer.PublicKey(), sshcert.NamespaceErase, "message", armored); err == nil {
				t.Errorf("%s counts in another namespace", keyType)
			}
		}
	}
	token := sshcerttest.NewToken(t, ssh.KeyAlgoSKED25519, "ssh:")
	untouched := sshcerttest.Armored(t, token.PublicKey(), sshcert.NamespaceContract, message, func(data []byte) (*ssh.Signature, error) {
		return token.SignFlags(rand.Reader, data, sshcerttest.Verified)
	})
	if flags, err := sshcert.VerifyFlags(token.PublicKey(), sshcert.NamespaceContract, message, untouched); err == nil || flags != (sshcert.Flags{}) {
		t.Errorf("untouched: %+v, %v", flags, err)
	}
}

// The way of a statement through a browser and back.
func TestPasskeySignature(t *testing.T) {
	t.Parallel()
	message := []byte("statement")
	p := sshcerttest.NewPasskey(t, relyingParty, website)
	p.Flags |= 0x80
	p.Extensions = "\xa0"
	spki, err := x509.MarshalPKIXPublicKey(p.Public())
	if err != nil {
		t.Fatal(err)
	}
	key, err := sshcert.PasskeyKey(relyingParty, spki)
	if err != nil || !bytes.Equal(key.Marshal(), p.PublicKey(t).Marshal()) || !sshcert.IsPasskey(key) {
		t.Fatalf("PasskeyKey = %v, %v", key, err)
	}
	clientData, authenticatorData, signature := p.Answer(t, sshcert.PasskeyChallenge(sshcert.NamespaceContract, message))
	armored, err := sshcert.PasskeySignature(key, sshcert.NamespaceContract, clientData, authenticatorData, signature)
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := sshcert.VerifyFlags(key, sshcert.NamespaceContract, message, armored); err != nil || !flags.Passkey || !flags.Verified {
		t.Errorf("VerifyFlags = %+v, %v", flags, err)
	}
	if !stockVerifies(t, key, sshcert.NamespaceContract, message, armored) {
		t.Error("ssh-keygen refuses it")
	}
	flip := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 1; return b }
	otherNamespace, _, _ := p.Answer(t, sshcert.PasskeyChallenge(sshcert.NamespaceErase, message))
	rawChallenge, _, _ := p.Answer(t, message)
	for name, tt := range map[string]struct {
		key              ssh.PublicKey
		client, auth, rs []byte
		says             string
	}{
		"nothing":                {key, nil, nil, nil, "0 bytes, at least 37"},
		"another relying party":  {key, clientData, flip(authenticatorData, 0), signature, "for another relying party than sallyport.example.com"},
		"other flags":            {key, clientData, flip(authenticatorData, 32), signature, "was not touched"},
		"another counter":        {key, clientData, flip(authenticatorData, 36), signature, "over other bytes"},
		"no JSON":                {key, []byte("{"), authenticatorData, signature, "its client data is no JSON"},
		"no challenge of ours":   {key, rawChallenge, authenticatorData, signature, "its challenge is not one to sign a statement with"},
		"for another purpose":    {key, otherNamespace, authenticatorData, signature, "its challenge is not one to sign a statement with in namespace sallyport-contract"},
		"no signature":           {key, clientData, authenticatorData, nil, "it is no ECDSA signature"},
		"bytes behind signature": {key, clientData, authenticatorData, append(bytes.Clone(signature), 0), "it is no ECDSA signature"},
		"by another":             {sshcerttest.NewPasskey(t, relyingParty, website).PublicKey(t), clientData, authenticatorData, signature, "over other bytes"},
		"an ed25519 passkey":     {sshcerttest.NewToken(t, ssh.KeyAlgoSKED25519, relyingParty).PublicKey(), clientData, authenticatorData, signature, "OpenSSH has no form for the signature of an ed25519 passkey"},
		"no passkey":             {newSigner(t).PublicKey(), clientData, authenticatorData, signature, "a \"ssh-ed25519\" key is no passkey"},
	} {
		if got, err := sshcert.PasskeySignature(tt.key, sshcert.NamespaceContract, tt.client, tt.auth, tt.rs); got != "" || !errors.Is(err, sshcert.ErrSignature) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %q, %v, want ErrSignature that says %q", name, got, err, tt.says)
		}
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		rp   string
		spki []byte
		says string
	}{
		"ed25519": {relyingParty, ed, "another algorithm than ES256"}, "junk": {relyingParty, []byte("junk"), "SubjectPublicKeyInfo"},
		"no website": {"ssh:", spki, "no relying party's id"}, "upper case": {"Sallyport.Example.com", spki, "no relying party's id"},
	} {
		if key, err := sshcert.PasskeyKey(tt.rp, tt.spki); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, %v", name, key, err)
		}
	}
}

// Whatever stands in a passkey's signature: no panic, and none but the passkey's
// own words count.
func FuzzPasskey(f *testing.F) {
	message := []byte("message")
	p := sshcerttest.NewPasskey(f, relyingParty, website)
	key := p.PublicKey(f)
	challenge := sshcert.PasskeyChallenge(sshcert.NamespaceContract, message)
	clientData, authenticatorData, signature := p.Answer(f, challenge)
	f.Add(clientData, authenticatorData, signature)
	p.Extensions, p.Flags = "\xa0", p.Flags|0x80
	more, auth, sig := p.Answer(f, challenge)
	f.Add(more, auth, sig)
	f.Add([]byte(`{"type":"webauthn.get","challenge":"","origin":"`+website+`"}`), authenticatorData, signature)
	f.Add(bytes.Replace(clientData, []byte("false"), []byte("true"), 1), authenticatorData, signature)
	f.Fuzz(func(t *testing.T, client, auth, rs []byte) {
		armored, err := sshcert.PasskeySignature(key, sshcert.NamespaceContract, client, auth, rs)
		if err != nil {
			if !errors.Is(err, sshcert.ErrSignature) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(client, clientData) && !bytes.Equal(client, more) {
			t.Fatalf("took %q", client)
		}
		if _, err := sshcert.VerifyFlags(key, sshcert.NamespaceContract, message, armored); err != nil {
			t.Fatal(err)
		}
	})
}
