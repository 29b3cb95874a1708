package contract_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// tool is a means of signing.
type tool struct {
	name string
	key  ssh.PublicKey
	sign func(text []byte) []byte
}

// tools are a key of each type, FIDO keys and passkeys with and without a PIN.
func tools(t *testing.T) []tool {
	t.Helper()
	var out []tool
	for _, keyType := range sshcerttest.Types() {
		signer := sshcerttest.Signer(t, keyType)
		token, ok := signer.(*sshcerttest.Token)
		if !ok {
			out = append(out, tool{"ssh " + keyType, signer.PublicKey(), func(text []byte) []byte {
				armored, err := sshcert.Sign(rand.Reader, signer, sshcert.NamespaceContract, text)
				if err != nil {
					t.Error(err)
				}
				return []byte(armored)
			}})
			continue
		}
		for name, flags := range map[string]byte{"untouched": 0, "up": sshcerttest.Touched, "uv untouched": sshcerttest.Verified, "uv": sshcerttest.Touched | sshcerttest.Verified} {
			out = append(out, tool{name + " " + keyType, token.PublicKey(), func(text []byte) []byte {
				return []byte(sshcerttest.Armored(t, token.PublicKey(), sshcert.NamespaceContract, text, func(data []byte) (*ssh.Signature, error) {
					return token.SignFlags(rand.Reader, data, flags)
				}))
			}})
		}
	}
	for name, flags := range map[string]byte{"untouched": 0, "up": sshcerttest.Touched, "uv untouched": sshcerttest.Verified, "uv": sshcerttest.Touched | sshcerttest.Verified} {
		p := sshcerttest.NewPasskey(t, "sallyport.example.com", "https://sallyport.example.com")
		p.Flags = flags
		out = append(out, tool{name + " passkey", p.PublicKey(t), func(text []byte) []byte { return []byte(p.Armored(t, sshcert.NamespaceContract, text)) }})
	}
	return out
}

// signedBy is a contract whose ciso of acme signs with that key and assurance.
func signedBy(t *testing.T, key ssh.PublicKey, a contract.Assurance) *contract.Version {
	t.Helper()
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	v := makeVersion(t, strings.Replace(smallTerms, "%SIGNATORIES%", `  - {party: acme, capacity: ciso, need: 1, of: {ada: "`+line+`"}}
  - {party: other, capacity: ciso, need: 1, of: {dora: "`+newPerson(t).line()+`"}}`, 1))
	v.Terms.Signatories[0].Assurance = a
	return v
}

// Which means of signing satisfies which assurance; and stock ssh-keygen verifies
// all that we take.
func TestPromiseP10_AssuranceOfASignature(t *testing.T) {
	t.Parallel()
	ranks := []string{"ssh ", "up sk-", "uv sk-", "up passkey", "uv passkey"}
	takes := map[contract.Assurance][]bool{
		contract.AssuranceSSH:      {true, true, true, true, true},
		contract.AssuranceSKUP:     {false, true, true, true, true},
		contract.AssuranceSKUV:     {false, false, true, false, true},
		contract.AssuranceWebAuthn: {false, false, false, false, true},
		"server":                   {false, false, false, false, false},
		"":                         {false, false, false, false, false},
	}
	for _, tool := range tools(t) {
		t.Run(tool.name, func(t *testing.T) {
			t.Parallel()
			judged := false
			for assurance, row := range takes {
				want := false
				for i, prefix := range ranks {
					want = want || strings.HasPrefix(tool.name, prefix) && row[i]
				}
				v := signedBy(t, tool.key, assurance)
				text, err := contract.NewStatement(v, "acme", "ada")
				if err != nil {
					t.Fatal(err)
				}
				armored := tool.sign(text)
				signed, err := v.VerifySignature(text, armored)
				if (err == nil) != want || err != nil && (!errors.Is(err, contract.ErrBadSignature) || signed != (contract.Signed{})) {
					t.Errorf("assurance %q: %+v, %v, want ok = %t", assurance, signed, err, want)
				}
				if err == nil && contract.CanSign(tool.key, assurance) != nil {
					t.Errorf("CanSign says of a key that signed for %s: %v", assurance, contract.CanSign(tool.key, assurance))
				}
				if err == nil && !judged {
					judged = true
					keygenVerify(t, v, signed, text, armored)
				}
			}
		})
	}
}

func TestCanSign(t *testing.T) {
	t.Parallel()
	passkey := sshcerttest.NewPasskey(t, "sallyport.example.com", "https://sallyport.example.com").PublicKey(t)
	plain, sk, ec := newPerson(t).PublicKey(), sshcerttest.Signer(t, ssh.KeyAlgoSKED25519).PublicKey(), sshcerttest.Signer(t, ssh.KeyAlgoSKECDSA256).PublicKey()
	for _, tt := range []struct {
		key       ssh.PublicKey
		assurance contract.Assurance
		says      string // empty: it can
	}{
		{plain, contract.AssuranceSSH, ""},
		{sk, contract.AssuranceSSH, ""},
		{passkey, contract.AssuranceSSH, ""},
		{plain, contract.AssuranceSKUP, "a ssh-ed25519 key lies in no FIDO token"},
		{sk, contract.AssuranceSKUP, ""},
		{passkey, contract.AssuranceSKUP, ""},
		{plain, contract.AssuranceSKUV, "lies in no FIDO token"},
		{ec, contract.AssuranceSKUV, ""},
		{passkey, contract.AssuranceSKUV, ""},
		{plain, contract.AssuranceWebAuthn, "is no passkey"},
		{sk, contract.AssuranceWebAuthn, "is no passkey"},
		{ec, contract.AssuranceWebAuthn, "is no passkey"},
		{passkey, contract.AssuranceWebAuthn, ""},
		{passkey, "server", `assurance "server" is not known`},
	} {
		err := contract.CanSign(tt.key, tt.assurance)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("CanSign(%s, %s) = %v, want %q", tt.key.Type(), tt.assurance, err, tt.says)
		}
	}
}

// A browser's answer becomes a signature of the contract.
func TestContractPasskeySignature(t *testing.T) {
	t.Parallel()
	p := sshcerttest.NewPasskey(t, "sallyport.example.com", "https://sallyport.example.com")
	v := signedBy(t, p.PublicKey(t), contract.AssuranceWebAuthn)
	text, err := contract.NewStatement(v, "acme", "ada")
	if err != nil {
		t.Fatal(err)
	}
	clientData, authenticatorData, signature := p.Answer(t, contract.PasskeyChallenge(text))
	armored, err := contract.PasskeySignature(clientData, authenticatorData, signature, p.PublicKey(t))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := v.VerifySignature(text, armored)
	if err != nil || signed != (contract.Signed{Party: "acme", Capacity: "ciso", Signer: "ada"}) {
		t.Errorf("VerifySignature = %+v, %v", signed, err)
	}
	keygenVerify(t, v, signed, text, armored)
	if other := signedBy(t, p.PublicKey(t), contract.AssuranceWebAuthn); true {
		otherText, err := contract.NewStatement(other, "acme", "ada")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.VerifySignature(otherText, armored); !errors.Is(err, contract.ErrBadSignature) || !strings.Contains(err.Error(), "its challenge is not of these bytes") {
			t.Errorf("of another statement: %v", err)
		}
	}
	clientData[len(clientData)-2] = 'E'
	if _, err := contract.PasskeySignature(clientData, authenticatorData, signature, p.PublicKey(t)); !errors.Is(err, contract.ErrBadSignature) {
		t.Errorf("bent: %v", err)
	}
}

// Stock ssh-keygen signs with FIDO keys of OpenSSH's own test provider, with and
// without a PIN.
func TestStockFIDOSignatures(t *testing.T) {
	t.Parallel()
	provider, err := lab.FIDOProvider()
	if err != nil {
		t.Fatal(err)
	}
	askpass := filepath.Join(t.TempDir(), "askpass")
	if err := os.WriteFile(askpass, []byte("#!/bin/sh\necho 0000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name    string
		options []string
		meets   []contract.Assurance
	}{
		{"touched", nil, []contract.Assurance{contract.AssuranceSSH, contract.AssuranceSKUP}},
		{"verify-required", []string{"-O", "verify-required"}, []contract.Assurance{contract.AssuranceSSH, contract.AssuranceSKUP, contract.AssuranceSKUV}},
		{"no-touch-required", []string{"-O", "no-touch-required"}, nil},
	} {
		for _, keyType := range []string{"ed25519-sk", "ecdsa-sk"} {
			t.Run(tt.name+" "+keyType, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "key")
				keygen := func(stdin []byte, args ...string) []byte {
					cmd := exec.CommandContext(t.Context(), "ssh-keygen", args...)
					cmd.Stdin = bytes.NewReader(stdin)
					cmd.Env = append(os.Environ(), "SSH_SK_PROVIDER="+provider, "SSH_ASKPASS="+askpass, "SSH_ASKPASS_REQUIRE=force")
					out, err := cmd.Output()
					if err != nil {
						t.Fatalf("ssh-keygen %q: %v", args, err)
					}
					return out
				}
				keygen(nil, append([]string{"-q", "-t", keyType, "-N", "", "-f", path}, tt.options...)...)
				line, err := os.ReadFile(path + ".pub")
				if err != nil {
					t.Fatal(err)
				}
				key, _, _, _, err := ssh.ParseAuthorizedKey(line)
				if err != nil {
					t.Fatal(err)
				}
				for _, assurance := range []contract.Assurance{contract.AssuranceSSH, contract.AssuranceSKUP, contract.AssuranceSKUV, contract.AssuranceWebAuthn} {
					v := signedBy(t, key, assurance)
					text, err := contract.NewStatement(v, "acme", "ada")
					if err != nil {
						t.Fatal(err)
					}
					armored := keygen(text, "-q", "-Y", "sign", "-n", sshcert.NamespaceContract, "-f", path)
					signed, err := v.VerifySignature(text, armored)
					want := false
					for _, a := range tt.meets {
						want = want || a == assurance
					}
					if (err == nil) != want {
						t.Errorf("assurance %s: %v, want ok = %t", assurance, err, want)
					}
					if err == nil {
						keygenVerify(t, v, signed, text, armored)
					}
				}
			})
		}
	}
}

// AllowedSigners lists the keys of the version that says who signs, and of roots
// where they can.
func TestAllowedSigners(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	v2 := c.amend(t, c.v1, contract.Comparison{Class: contract.Mixed, Constitutional: true}, "%ada%", "%new%", `emil: "%emil%"`, `zoe: "%new-root%"`)
	text := string(contract.AllowedSigners(v2))
	var want strings.Builder
	for _, who := range []string{"acme.ada", "acme.bob", "acme.cleo", "other.dora", "other.emil", "acme.roots.r1", "acme.roots.r2", "acme.roots.r3", "other.roots.s1"} {
		want.WriteString(who + ` namespaces="sallyport-contract" ` + c.people[who[strings.LastIndex(who, ".")+1:]].line() + "\n")
	}
	if text != want.String() {
		t.Errorf("AllowedSigners =\n%swant\n%s", text, want.String())
	}
	root, err := v2.StatementOf(contract.Signing{Party: "acme", Capacity: contract.CapacityRoots, Signer: "r1"})
	if err != nil {
		t.Fatal(err)
	}
	armored := c.people["r1"].sign(t, sshcert.NamespaceContract, root)
	if !stockKeygenVerifies(t, v2, "acme.roots.r1", root, armored) || stockKeygenVerifies(t, v2, "acme.ada", root, armored) {
		t.Error("ssh-keygen does not tell a root by its allowed_signers")
	}
	if path := contract.RootStatementPath("acme", "r1"); path != "sigs/acme.roots.r1.json" {
		t.Errorf("RootStatementPath = %s", path)
	}
}
