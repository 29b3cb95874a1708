package contract

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

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
	Waives   []string     `json:"waives,omitempty"` // sorted
}

// Signed is a statement whose signature holds: Signer signed for Party.
type Signed struct {
	Party    string
	Capacity string
	Signer   string
	Waives   string // codes of the warnings that they let stand, sorted, a space between; empty: none
}

// StatementPath is where the statement of signer for party lies in the contract's
// folder; that of a root is PARTY.roots.SIGNER, as by RootStatementPath. Its signature lies beside it, with ".sig" at the end, as ssh-keygen
// writes it.
func StatementPath(party, signer string) string {
	return "sigs/" + party + "." + signer + ".json"
}

// Signing says whose statement is meant.
type Signing struct {
	Party    string
	Signer   string
	Capacity string   // empty: the one in which the terms name that signer
	Waives   []string // codes of the warnings that the signer has seen and lets stand, such as "W34"
}

// RootStatementPath is where the statement of a root lies: the same name may stand
// in a signature line.
func RootStatementPath(party, signer string) string {
	return StatementPath(party, CapacityRoots+"."+signer)
}

// NewStatement returns the bytes for signer of party to sign with
//
//	ssh-keygen -Y sign -n sallyport-contract -f KEY FILE
//
// where FILE holds exactly these bytes. The capacity is the one in which the
// terms name that signer; it returns ErrNotSignatory if they do not. Which terms
// these are, Required says.
func NewStatement(v *Version, party, signer string) ([]byte, error) {
	return v.StatementOf(Signing{Party: party, Signer: signer})
}

// StatementOf is NewStatement for somebody who signs as a root, though a
// signature line has them too, or who waives warnings. It returns ErrStatement if
// Waives are no codes of warnings.
func (v *Version) StatementOf(s Signing) ([]byte, error) {
	waives := slices.Clone(s.Waives)
	slices.Sort(waives)
	if err := checkWaivers(waives); err != nil {
		return nil, err
	}
	for _, line := range append(v.lines(), v.roots()...) {
		if line.Party == s.Party && (s.Capacity == "" || line.Capacity == s.Capacity) && line.names(s.Signer) {
			return canon.Marshal(v.statement(line, s.Signer, waives))
		}
	}
	return nil, v.notSignatory(statement{Party: s.Party, Capacity: s.Capacity, Signer: s.Signer})
}

// statement is the only one that signer can make in that line. The sentence is
// what a signer reads; it repeats every field, so it says nothing that the
// fields do not.
func (v *Version) statement(line Signatory, signer string, waives []string) statement {
	what := fmt.Sprintf("version %d of the access contract %s, whose digest is %s", v.Manifest.Version, v.Manifest.Contract, v.Digest)
	if v.Parent != nil {
		class := article(v.Compared.Class)
		if v.Compared.Constitutional {
			class = "a constitutional, " + string(v.Compared.Class)
		}
		what += fmt.Sprintf(", %s amendment of version %d, whose digest is %s", class, v.Parent.Manifest.Version, v.Parent.Digest)
	}
	intent := fmt.Sprintf("I, %s, sign %s, for the party %s in the capacity of %s.", signer, what, line.Party, line.Capacity)
	if len(waives) > 0 {
		intent += " I have seen these warnings and let them stand: " + strings.Join(waives, ", ") + "."
	}
	return statement{
		V: statementFormat, Contract: v.Digest, Party: line.Party, Capacity: line.Capacity, Signer: signer, Intent: intent, Waives: waives,
	}
}

// article puts the article before a class.
func article(c Class) string {
	if c == Equivalent {
		return "an " + string(c)
	}
	return "a " + string(c)
}

var waiverPattern = regexp.MustCompile(`^W[0-9]{2}$`)

// checkWaivers demands codes of warnings, in order, each once.
func checkWaivers(codes []string) error {
	for i, code := range codes {
		if !waiverPattern.MatchString(code) {
			return fmt.Errorf("%w: %q is no code of a warning, such as W34; only warnings can be waived", ErrStatement, strictyaml.Clip(code))
		}
		if i > 0 && codes[i-1] >= code {
			return fmt.Errorf("%w: the waived warnings stand in order, each once; %s does not", ErrStatement, code)
		}
	}
	return nil
}

// VerifySignature checks a statement and the armored SSHSIG over its bytes, as
// ssh-keygen -Y sign writes it beside the file. It holds only if the statement is
// about this very version, by a signatory that the terms name, in the capacity in
// which they name them, and the signature was made over these bytes in the
// namespace sallyport-contract by the plain key that the terms pin for that name,
// used as the line's assurance asks. These are the version's own terms for version 1, and for an amendment those of
// the version that it amends: none appoints its own signers. The roots of version
// 1 sign where Required says so.
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
		return Signed{}, v.otherVersion(s)
	}
	if err := checkWaivers(s.Waives); err != nil {
		return Signed{}, err
	}
	line, key, err := v.signatory(s)
	if err != nil {
		return Signed{}, err
	}
	if want := v.statement(line, s.Signer, s.Waives); s.Intent != want.Intent {
		return Signed{}, fmt.Errorf("%w: its intent is not the sentence %q", ErrStatement, want.Intent)
	}
	flags, err := sshcert.VerifyFlags(key, sshcert.NamespaceContract, statementFile, string(armored))
	if err != nil {
		return Signed{}, fmt.Errorf("%w: %s for %s: %w%s", ErrBadSignature, s.Signer, s.Party, err, v.whoseKey(s, armored))
	}
	if err := line.Assurance.met(flags); err != nil {
		if cannot := CanSign(key, line.Assurance); cannot != nil {
			err = cannot
		}
		return Signed{}, fmt.Errorf("%w: %s for %s: %w", ErrBadSignature, s.Signer, s.Party, err)
	}
	return Signed{Party: s.Party, Capacity: s.Capacity, Signer: s.Signer, Waives: strings.Join(s.Waives, " ")}, nil
}

// signatory finds the line and the key that the terms have for a statement.
func (v *Version) signatory(s statement) (Signatory, ssh.PublicKey, error) {
	for _, line := range append(v.lines(), v.roots()...) {
		if line.Party != s.Party || line.Capacity != s.Capacity {
			continue
		}
		for _, k := range line.Of {
			if k.Name == s.Signer {
				return line, k.PublicKey, nil
			}
		}
	}
	return Signatory{}, nil, v.notSignatory(s)
}

// SignatoryName returns the name under which the terms let a key sign for a party;
// false if they do not, or ask for more than a touch of it: who verifies by
// sshcert.Verify does not know more.
func (t *Terms) SignatoryName(key ssh.PublicKey) (string, bool) {
	wire := key.Marshal()
	for _, line := range t.Signatories {
		for _, k := range line.Of {
			enough := line.Assurance == AssuranceSSH || line.Assurance == AssuranceSKUP && sshcert.IsSecurityKey(k.PublicKey)
			if enough && bytes.Equal(k.PublicKey.Marshal(), wire) {
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
