package contract

import (
	"bytes"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	statementFormat = "sallyport.sign/v1"
	maxStatement    = 4 << 10
)

// statement is the file that a signatory signs, sigs/<party>.<signer>.json.
type statement struct {
	V        string       `json:"v"`
	Contract canon.Digest `json:"contract"` // digest of the version
	Party    string       `json:"party"`
	Capacity string       `json:"capacity"`
	Signer   string       `json:"signer"`
	Intent   string       `json:"intent"`
}

// Signed is a statement whose signature holds: Signer signed for Party.
type Signed struct {
	Party    string
	Capacity string
	Signer   string
}

// MissingSignature is a signature line that is not full yet.
type MissingSignature struct {
	Party    string
	Capacity string
	Need     int      // how many more signatures
	Of       []string // names of those who can still give one
}

// StatementPath is where the statement of signer for party lies in the contract's
// folder. Its signature lies beside it, with ".sig" at the end, as ssh-keygen
// writes it.
func StatementPath(party, signer string) string {
	return "sigs/" + party + "." + signer + ".json"
}

// NewStatement returns the bytes for signer of party to sign with
//
//	ssh-keygen -Y sign -n sallyport-contract -f KEY FILE
//
// where FILE holds exactly these bytes. The capacity is the one in which the
// terms name that signer; it returns ErrNotSignatory if they do not.
func NewStatement(v *Version, party, signer string) ([]byte, error) {
	for _, line := range v.Terms.Signatories {
		if line.Party == party && slices.ContainsFunc(line.Of, func(k Key) bool { return k.Name == signer }) {
			return canon.Marshal(v.statement(line, signer))
		}
	}
	return nil, fmt.Errorf("%q for party %q: %w; these are: %s", strictyaml.Clip(signer), strictyaml.Clip(party), ErrNotSignatory, list(v.signers(), "and"))
}

// statement is the only one that signer can make in that line. The sentence is
// what a signer reads; it repeats every field, so it says nothing that the
// fields do not.
func (v *Version) statement(line Signatory, signer string) statement {
	return statement{
		V: statementFormat, Contract: v.Digest, Party: line.Party, Capacity: line.Capacity, Signer: signer,
		Intent: fmt.Sprintf("I, %s, sign version %d of the access contract %s, whose digest is %s, for the party %s in the capacity of %s.",
			signer, v.Manifest.Version, v.Manifest.Contract, v.Digest, line.Party, line.Capacity),
	}
}

// VerifySignature checks a statement and the armored SSHSIG over its bytes, as
// ssh-keygen -Y sign writes it beside the file. It holds only if the statement is
// about this very version, by a signatory that the terms name, in the capacity in
// which they name them, and the signature was made over these bytes in the
// namespace sallyport-contract by the plain key that the terms pin for that name.
//
// It returns ErrStatement, ErrOtherContract, ErrNotSignatory or ErrBadSignature.
func (v *Version) VerifySignature(statementFile, armored []byte) (Signed, error) {
	if len(statementFile) > maxStatement {
		return Signed{}, fmt.Errorf("%w: %d bytes, at most %d", ErrStatement, len(statementFile), maxStatement)
	}
	var s statement
	if err := canon.Unmarshal(statementFile, &s); err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	if s.V != statementFormat {
		return Signed{}, fmt.Errorf("%w: v is %q, this release reads %s", ErrStatement, strictyaml.Clip(s.V), statementFormat)
	}
	if s.Contract != v.Digest {
		return Signed{}, fmt.Errorf("%w: it names %s, this is %s; make a new statement and sign that", ErrOtherContract, s.Contract, v.Digest)
	}
	line, key, err := v.signatory(s)
	if err != nil {
		return Signed{}, err
	}
	if want := v.statement(line, s.Signer); s != want {
		return Signed{}, fmt.Errorf("%w: its intent is not the sentence %q", ErrStatement, want.Intent)
	}
	if err := sshcert.Verify(key, sshcert.NamespaceContract, statementFile, string(armored)); err != nil {
		return Signed{}, fmt.Errorf("%w: %s for %s: %w", ErrBadSignature, s.Signer, s.Party, err)
	}
	return Signed{Party: s.Party, Capacity: s.Capacity, Signer: s.Signer}, nil
}

// signatory finds the line and the key that the terms have for a statement.
func (v *Version) signatory(s statement) (Signatory, ssh.PublicKey, error) {
	for _, line := range v.Terms.Signatories {
		if line.Party != s.Party || line.Capacity != s.Capacity {
			continue
		}
		for _, k := range line.Of {
			if k.Name != s.Signer {
				continue
			}
			switch line.Assurance {
			case AssuranceSSH:
				return line, k.PublicKey, nil
			default:
				return Signatory{}, nil, fmt.Errorf("%w: assurance %q is not known", ErrBadSignature, line.Assurance)
			}
		}
	}
	return Signatory{}, nil, fmt.Errorf("%q as %q of party %q: %w; these are: %s",
		strictyaml.Clip(s.Signer), strictyaml.Clip(s.Capacity), strictyaml.Clip(s.Party), ErrNotSignatory, list(v.signers(), "and"))
}

// SignatoryName returns the name under which the terms let a key sign for a party;
// false if they do not.
func (t *Terms) SignatoryName(key ssh.PublicKey) (string, bool) {
	wire := key.Marshal()
	for _, line := range t.Signatories {
		for _, k := range line.Of {
			if line.Assurance == AssuranceSSH && bytes.Equal(k.PublicKey.Marshal(), wire) {
				return k.Name, true
			}
		}
	}
	return "", false
}

// Pinned returns every key that the terms pin, with its name: those of signatories
// and roots.
func (t *Terms) Pinned() []Key {
	var out []Key
	for _, p := range t.Parties {
		if p.Roots != nil {
			out = append(out, p.Roots.Keys...)
		}
	}
	for _, line := range t.Signatories {
		out = append(out, line.Of...)
	}
	return out
}

// signers names everybody whom the terms let sign.
func (v *Version) signers() []string {
	var out []string
	for _, line := range v.Terms.Signatories {
		for _, k := range line.Of {
			out = append(out, k.Name+" as "+line.Capacity+" of "+line.Party)
		}
	}
	return out
}

// Missing returns the signature lines that have lacks, none if the version is
// signed by everybody it names. One person counts once in a line, however many
// statements they signed; who stands in no line does not count.
func (v *Version) Missing(have []Signed) []MissingSignature {
	var out []MissingSignature
	for _, line := range v.Terms.Signatories {
		missing := MissingSignature{Party: line.Party, Capacity: line.Capacity, Need: line.Need}
		for _, k := range line.Of {
			if slices.Contains(have, Signed{Party: line.Party, Capacity: line.Capacity, Signer: k.Name}) {
				missing.Need--
			} else {
				missing.Of = append(missing.Of, k.Name)
			}
		}
		if missing.Need > 0 {
			out = append(out, missing)
		}
	}
	return out
}
