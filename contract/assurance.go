package contract

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/sshcert"
)

// CanSign returns nil if a key can sign a line of an assurance at all, else what
// kind of key could.
func CanSign(key ssh.PublicKey, a Assurance) error {
	switch a {
	case AssuranceSSH:
		return nil
	case AssuranceSKUP, AssuranceSKUV:
		if sshcert.IsSecurityKey(key) {
			return nil
		}
		return fmt.Errorf("assurance %s: a %s key lies in no FIDO token; pin a key of ssh-keygen -t ed25519-sk -O verify-required", a, key.Type())
	case AssuranceWebAuthn:
		if sshcert.IsPasskey(key) {
			return nil
		}
		return fmt.Errorf("assurance %s: a %s key of that kind is no passkey; pin one of type %s whose application is the website's name", a, key.Type(), ssh.KeyAlgoSKECDSA256)
	}
	return fmt.Errorf("assurance %q is not known", a)
}

// met says whether a signature whose key was used that way is strong enough. A
// passkey that verified its user is a FIDO key that did, so it signs every line; a
// line that asks for a passkey takes no other key: its signer read the statement on
// the website that the key names.
func (a Assurance) met(f sshcert.Flags) error {
	switch a {
	case AssuranceSSH:
		return nil
	case AssuranceSKUP:
		if f.Touched {
			return nil
		}
		return fmt.Errorf("assurance %s: no FIDO key was touched for it", a)
	case AssuranceSKUV:
		if f.Touched && f.Verified {
			return nil
		}
		return fmt.Errorf("assurance %s: the FIDO key did not verify its user; sign with a key of ssh-keygen -O verify-required and enter its PIN", a)
	case AssuranceWebAuthn:
		switch {
		case !f.Passkey:
			return fmt.Errorf("assurance %s: it is not the signature of a passkey in a browser", a)
		case !f.Touched || !f.Verified:
			return fmt.Errorf("assurance %s: the passkey did not verify its user; ask for userVerification: required", a)
		}
		return nil
	}
	return fmt.Errorf("assurance %q is not known", a)
}

// PasskeyChallenge is the challenge with which a browser has a passkey sign a
// statement, raw: navigator.credentials.get({publicKey: {challenge, rpId,
// userVerification: "required"}}).
func PasskeyChallenge(statement []byte) []byte {
	return sshcert.PasskeyChallenge(sshcert.NamespaceContract, statement)
}

// PasskeySignature makes the .sig file of a statement out of what the browser
// answers to its PasskeyChallenge: clientDataJSON, authenticatorData and signature
// as they are, and the key that the terms pin. It returns ErrBadSignature for what
// VerifySignature would refuse, but for which statement it is of.
func PasskeySignature(clientDataJSON, authenticatorData, signature []byte, key ssh.PublicKey) (armored []byte, err error) {
	text, err := sshcert.PasskeySignature(key, sshcert.NamespaceContract, clientDataJSON, authenticatorData, signature)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadSignature, err)
	}
	return []byte(text), nil
}

// AllowedSigners returns an allowed_signers file (ssh-keygen(1)) of all who can
// sign the version, by PARTY.SIGNER, and PARTY.roots.SIGNER where roots can, so
// that stock ssh-keygen checks a signature:
//
//	ssh-keygen -Y verify -n sallyport-contract -f allowed_signers -I PARTY.SIGNER -s STATEMENT.sig < STATEMENT
//
// It knows nothing of assurances: ssh-keygen does not ask whether a FIDO key was
// touched or verified its user, nor for which website a passkey signed.
func AllowedSigners(v *Version) []byte {
	var out []byte
	add := func(who string, k Key) {
		out = fmt.Appendf(out, "%s namespaces=\"%s\" %s\n", who, sshcert.NamespaceContract, keyLine(k.PublicKey))
	}
	for _, line := range v.lines() {
		for _, k := range line.Of {
			add(line.Party+"."+k.Name, k)
		}
	}
	for _, line := range v.roots() {
		for _, k := range line.Of {
			add(line.Party+"."+CapacityRoots+"."+k.Name, k)
		}
	}
	return out
}
