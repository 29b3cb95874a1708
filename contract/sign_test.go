package contract_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// twoParties is a contract that two of three people of acme and one of other
// sign.
type twoParties struct {
	v              *contract.Version
	ada, bob, cleo person // of acme, as ciso
	dora           person // of other, as officer
}

func newTwoParties(t *testing.T) twoParties {
	t.Helper()
	p := twoParties{ada: newPerson(t), bob: newPerson(t), cleo: newPerson(t), dora: newPerson(t)}
	p.v = makeVersion(t, strings.Replace(smallTerms, "%SIGNATORIES%",
		`  - {party: acme, capacity: ciso, need: 2, of: {ada: "`+p.ada.line()+`", bob: "`+p.bob.line()+`", cleo: "`+p.cleo.line()+`"}}
  - {party: other, capacity: officer, need: 1, of: {dora: "`+p.dora.line()+`"}}`, 1))
	return p
}

func (p twoParties) statement(t *testing.T, party, signer string) []byte {
	t.Helper()
	b, err := contract.NewStatement(p.v, party, signer)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// signed is the verified signature of somebody who may sign.
func (p twoParties) signed(t *testing.T, party, signer string, by person) contract.Signed {
	t.Helper()
	text := p.statement(t, party, signer)
	s, err := p.v.VerifySignature(text, by.sign(t, sshcert.NamespaceContract, text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPromiseP10_SignedByEverybodyNamed(t *testing.T) {
	t.Parallel()
	p := newTwoParties(t)
	ada, bob := p.signed(t, "acme", "ada", p.ada), p.signed(t, "acme", "bob", p.bob)
	cleo, dora := p.signed(t, "acme", "cleo", p.cleo), p.signed(t, "other", "dora", p.dora)
	stranger := contract.Signed{Party: "other", Capacity: "officer", Signer: "eve"}
	otherLine := contract.Signed{Party: "acme", Capacity: "officer", Signer: "dora"}
	acme := func(need int, of ...string) contract.MissingSignature {
		return contract.MissingSignature{Party: "acme", Capacity: "ciso", Need: need, Of: of}
	}
	other := contract.MissingSignature{Party: "other", Capacity: "officer", Need: 1, Of: []string{"dora"}}
	for _, tt := range []struct {
		name string
		have []contract.Signed
		want []contract.MissingSignature
	}{
		{"unsigned", nil, []contract.MissingSignature{acme(2, "ada", "bob", "cleo"), other}},
		{"one of two", []contract.Signed{ada, dora}, []contract.MissingSignature{acme(1, "bob", "cleo")}},
		{"one person twice", []contract.Signed{ada, ada, dora}, []contract.MissingSignature{acme(1, "bob", "cleo")}},
		{"one party only", []contract.Signed{ada, bob, cleo}, []contract.MissingSignature{other}},
		{"strangers", []contract.Signed{ada, stranger, otherLine, dora}, []contract.MissingSignature{acme(1, "bob", "cleo")}},
		{"everybody needed", []contract.Signed{ada, bob, dora}, nil},
		{"two others", []contract.Signed{dora, cleo, bob}, nil},
		{"more than needed", []contract.Signed{ada, bob, cleo, dora, dora}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := p.v.Missing(tt.have)
			if !slices.EqualFunc(got, tt.want, func(a, b contract.MissingSignature) bool {
				return a.Party == b.Party && a.Capacity == b.Capacity && a.Need == b.Need && slices.Equal(a.Of, b.Of)
			}) {
				t.Errorf("Missing = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestPromiseP10_SignatureRefused(t *testing.T) {
	t.Parallel()
	p, elsewhere := newTwoParties(t), newTwoParties(t)
	text := p.statement(t, "acme", "ada")
	signedBy := func(by person, text []byte) []byte { return by.sign(t, sshcert.NamespaceContract, text) }
	changed := func(old, with string) []byte { return replace(t, text, old, with) }
	otherVersion := elsewhere.statement(t, "acme", "ada")
	for _, tt := range []struct {
		name          string
		text, armored []byte
		is            error
		want          string
	}{
		{"no signature", text, nil, contract.ErrBadSignature, "it is no SSHSIG file"},
		{"junk for a signature", text, []byte("-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"), contract.ErrBadSignature, "it is no SSHSIG file"},
		{"a megabyte of junk", text, make([]byte, 1<<20), contract.ErrBadSignature, "over 16384 bytes"},
		{"over other bytes", text, signedBy(p.ada, append(slices.Clone(text), '\n')), contract.ErrBadSignature, "it was made over other bytes"},
		{"in the device namespace", text, p.ada.sign(t, sshcert.NamespaceDevice, text), contract.ErrBadSignature, `it was made in namespace "sallyport-device", not "sallyport-contract"`},
		{"in the namespace of files", text, p.ada.sign(t, "file", text), contract.ErrBadSignature, `it was made in namespace "file"`},
		{"by a key that is not pinned", text, signedBy(newPerson(t), text), contract.ErrBadSignature, "it was made by another key"},
		{"by another signatory", text, signedBy(p.bob, text), contract.ErrBadSignature, "it was made by another key"},
		{"by the other party", text, signedBy(p.dora, text), contract.ErrBadSignature, "it was made by another key"},
		{"by a certificate of the key", text, p.ada.signAsCertificate(t, text), contract.ErrBadSignature, "it was made by another key"},
		{"for the other party", changed(`"party":"acme"`, `"party":"other"`), signedBy(p.ada, changed(`"party":"acme"`, `"party":"other"`)), contract.ErrNotSignatory, `"ada" as "ciso" of party "other": not a signatory of the contract; these are: ada as ciso of acme, bob as ciso of acme, cleo as ciso of acme and dora as officer of other`},
		{"for a party that is not one", changed(`"party":"acme"`, `"party":"evil"`), signedBy(p.ada, text), contract.ErrNotSignatory, `of party "evil"`},
		{"in another capacity", changed(`"capacity":"ciso"`, `"capacity":"officer"`), signedBy(p.ada, text), contract.ErrNotSignatory, `as "officer"`},
		{"by a name not in the contract", changed(`"signer":"ada"`, `"signer":"eve"`), signedBy(p.ada, text), contract.ErrNotSignatory, `"eve" as "ciso"`},
		{"in another's name", changed(`"signer":"ada"`, `"signer":"bob"`), signedBy(p.bob, changed(`"signer":"ada"`, `"signer":"bob"`)), contract.ErrStatement, `its intent is not the sentence "I, bob, sign version 1`},
		{"with another intent", changed("I, ada, sign", "I, ada, do not sign"), signedBy(p.ada, changed("I, ada, sign", "I, ada, do not sign")), contract.ErrStatement, `its intent is not the sentence "I, ada, sign version 1 of the access contract small`},
		{"of another version", otherVersion, signedBy(elsewhere.ada, otherVersion), contract.ErrOtherContract, "it names " + elsewhere.v.Digest.String() + ", this is " + p.v.Digest.String()},
		{"of another version by our signatory", otherVersion, signedBy(p.ada, otherVersion), contract.ErrOtherContract, "make a new statement and sign that"},
		{"of another format", changed("sallyport.sign/v1", "sallyport.sign/v2"), signedBy(p.ada, text), contract.ErrStatement, `v is "sallyport.sign/v2"`},
		{"with a field more", changed(`"v":`, `"u":1,"v":`), signedBy(p.ada, text), contract.ErrStatement, `unknown field "u"`},
		{"not canonical", append(slices.Clone(text), '\n'), signedBy(p.ada, append(slices.Clone(text), '\n')), contract.ErrStatement, "not canonical JSON"},
		{"too long a statement", slices.Repeat(text, 20), signedBy(p.ada, text), contract.ErrStatement, "bytes, at most 4096"},
		{"no statement", nil, signedBy(p.ada, nil), contract.ErrStatement, "not canonical JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := p.v.VerifySignature(tt.text, tt.armored)
			if got != (contract.Signed{}) || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %+v, %v\nwant %v: %s", got, err, tt.is, tt.want)
			}
		})
	}
}

// TestPromiseP10_StockSignatureInOtherNamespace has ssh-keygen itself sign for
// another purpose.
func TestPromiseP10_StockSignatureInOtherNamespace(t *testing.T) {
	t.Parallel()
	v := goodVersion(t)
	text := read(t, "good/sigs/acme.a-lang.json")
	_, err := v.VerifySignature(text, keygenSign(t, "keys/acme.a-lang", "git", text))
	if !errors.Is(err, contract.ErrBadSignature) {
		t.Errorf("VerifySignature = %v, want ErrBadSignature", err)
	}
}

func TestPromiseP10_SecurityKeyHasToBeTouched(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		flags byte
		ok    bool
	}{
		{"touched", 1, true},
		{"touched, with PIN", 5, true},
		{"not touched", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := newSecurityKey(t, tt.flags)
			line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key.PublicKey())))
			v := makeVersion(t, strings.Replace(smallTerms, "%SIGNATORIES%", `  - {party: acme, capacity: ciso, need: 1, of: {ada: "`+line+`"}}
  - {party: other, capacity: ciso, need: 1, of: {dora: "`+newPerson(t).line()+`"}}`, 1))
			text, err := contract.NewStatement(v, "acme", "ada")
			if err != nil {
				t.Fatal(err)
			}
			armored, err := sshcert.Sign(rand.Reader, key, sshcert.NamespaceContract, text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = v.VerifySignature(text, []byte(armored)); (err == nil) != tt.ok || (err != nil && !errors.Is(err, contract.ErrBadSignature)) {
				t.Errorf("VerifySignature = %v, want ok = %t", err, tt.ok)
			}
		})
	}
}

func TestNewStatement(t *testing.T) {
	t.Parallel()
	p := newTwoParties(t)
	want := `{"capacity":"ciso","contract":"D","intent":"I, ada, sign version 1 of the access contract small, whose digest is D, for the party acme in the capacity of ciso.","party":"acme","signer":"ada","v":"sallyport.sign/v1"}`
	if got := p.statement(t, "acme", "ada"); string(got) != strings.ReplaceAll(want, "D", p.v.Digest.String()) {
		t.Errorf("NewStatement = %s", got)
	}
	for _, who := range [][2]string{{"other", "ada"}, {"acme", "eve"}, {"", ""}} {
		if b, err := contract.NewStatement(p.v, who[0], who[1]); b != nil || !errors.Is(err, contract.ErrNotSignatory) {
			t.Errorf("NewStatement(%q) = %s, %v", who, b, err)
		}
	}
}

// signAsCertificate signs with the person's key but presents a certificate for
// it, as ssh-keygen -Y sign does when KEY-cert.pub lies beside the key.
func (p person) signAsCertificate(t *testing.T, text []byte) []byte {
	t.Helper()
	signer, err := ssh.NewCertSigner(newCertificate(t, p), p)
	if err != nil {
		t.Fatal(err)
	}
	return person{signer}.sign(t, sshcert.NamespaceContract, text)
}
