package contract

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/sshcert"
)

// otherVersion says of which version a statement is, as far as that is known.
func (v *Version) otherVersion(s statement) error {
	for old := v.Parent; old != nil; old = old.Parent {
		if old.Digest == s.Contract {
			return fmt.Errorf("%w: it names %s, which is version %d; this is version %d, %s, and a signature counts for one version; make a new statement and sign that",
				ErrOtherContract, s.Contract, old.Manifest.Version, v.Manifest.Version, v.Digest)
		}
	}
	return fmt.Errorf("%w: it names %s, this is %s; make a new statement and sign that", ErrOtherContract, s.Contract, v.Digest)
}

// notSignatory says who signs instead, and why a name that stands in another
// version does not.
func (v *Version) notSignatory(s statement) error {
	who := fmt.Sprintf("%q of party %q", strictyaml.Clip(s.Signer), strictyaml.Clip(s.Party))
	if s.Capacity != "" {
		who = fmt.Sprintf("%q as %q of party %q", strictyaml.Clip(s.Signer), strictyaml.Clip(s.Capacity), strictyaml.Clip(s.Party))
	}
	return fmt.Errorf("%s: %w; %sthese are: %s", who, ErrNotSignatory, v.whyNot(s), list(v.signers(), "and"))
}

// whyNot returns the reason why somebody whom another version names does not sign
// this one, ended by "; ". It is empty where there is none to tell.
func (v *Version) whyNot(s statement) string {
	if v.Parent == nil {
		return ""
	}
	law := v.Parent.Manifest.Version
	if s.Capacity == CapacityRoots {
		return v.whyNotRoot(s)
	}
	stands := func(t *Terms) bool {
		return slices.ContainsFunc(t.Signatories, func(l Signatory) bool {
			return l.Party == s.Party && (s.Capacity == "" || l.Capacity == s.Capacity) && l.names(s.Signer)
		})
	}
	if stands(v.Terms) {
		return fmt.Sprintf("only the amendment itself, version %d, names them, and it is signed by those whom version %d names; ", v.Manifest.Version, law)
	}
	for old := v.Parent.Parent; old != nil; old = old.Parent {
		if stands(old.Terms) {
			return fmt.Sprintf("version %d named them, version %d, which is amended, does not; ", old.Manifest.Version, law)
		}
	}
	return ""
}

func (v *Version) whyNotRoot(s statement) string {
	keys := v.first().rootsOf(s.Party)
	lost := len(ofParty(v.replaced(), s.Party)) > 0
	switch {
	case keys == nil:
		return "version 1 names no roots of that party; "
	case !lost:
		return "roots sign only an amendment that changes nothing but who stands in their party's signature lines; "
	}
	for _, k := range keys.Keys {
		if k.Name != s.Signer {
			continue
		}
		if other := v.elsewhere(s.Party, k); other != "" {
			return fmt.Sprintf("%s of %s is also %s, and one person signs for one party; ", k.Name, s.Party, other)
		}
		return ""
	}
	return "the roots that count are those of version 1; "
}

// whoseKey says whose key made a signature that was not made by the key it should
// have been, as far as the versions of the contract know it: "; ..." or nothing.
func (v *Version) whoseKey(s statement, armored []byte) string {
	key, err := sshcert.SignedBy(string(armored))
	if err != nil {
		return ""
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return "; a certificate never signs a contract, sign with the plain key (and without its -cert.pub beside it)"
	}
	for _, line := range v.lines() {
		if name, ok := line.holder(key); ok {
			if line.Party == s.Party && name == s.Signer {
				return "" // the right key: the error before says what is wrong
			}
			return fmt.Sprintf("; it is the key of %s of %s", name, line.Party)
		}
	}
	if v.Parent == nil {
		return ""
	}
	for _, line := range v.Terms.Signatories {
		if name, ok := line.holder(key); ok {
			return fmt.Sprintf("; it is a key of %s of %s that only the amendment itself introduces, and version %d says who signs it", name, line.Party, v.Parent.Manifest.Version)
		}
	}
	for old := v.Parent.Parent; old != nil; old = old.Parent {
		for _, line := range old.Terms.Signatories {
			if name, ok := line.holder(key); ok {
				return fmt.Sprintf("; it is a key that version %d had for %s of %s, and that version %d, which is amended, no longer has",
					old.Manifest.Version, name, line.Party, v.Parent.Manifest.Version)
			}
		}
	}
	return ""
}

// sameLine reports whether two lines have the same party and capacity.
func (s Signatory) sameLine(o Signatory) bool { return s.Party == o.Party && s.Capacity == o.Capacity }

// names reports whether somebody of that name stands in the line.
func (s Signatory) names(signer string) bool {
	return slices.ContainsFunc(s.Of, func(k Key) bool { return k.Name == signer })
}

// holder returns the name for which the line pins a key.
func (s Signatory) holder(key ssh.PublicKey) (string, bool) {
	for _, k := range s.Of {
		if sameKey(k.PublicKey, key) {
			return k.Name, true
		}
	}
	return "", false
}

func (k Key) is(o Key) bool { return k.Name == o.Name && sameKey(k.PublicKey, o.PublicKey) }

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// signers names everybody who can sign the version.
func (v *Version) signers() []string {
	var out []string
	for _, line := range append(v.lines(), v.roots()...) {
		for _, k := range line.Of {
			out = append(out, k.Name+" as "+line.Capacity+" of "+line.Party)
		}
	}
	return out
}
