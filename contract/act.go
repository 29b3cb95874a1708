package contract

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/sshcert"
)

// actFormat is the "v" of an Act.
const actFormat = "sallyport.act/v1"

// ErrNotTerminable says that the contract has no such end.
var ErrNotTerminable = errors.New("the contract is not ended so")

// ActKind says what a signatory does about a contract beside signing a version.
type ActKind string

// What a signatory does about a contract.
const (
	ActWithdraw  ActKind = "withdraw"  // a version that is not in force and shall not be
	ActCondition ActKind = "condition" // something that a version waits for has happened
	ActTerminate ActKind = "terminate" // the contract ends
)

// Act is a signatory's word about a contract version, as they sign it: what a
// statement is for a signature over the version.
type Act struct {
	V         string       `json:"v"` // "sallyport.act/v1"
	Act       ActKind      `json:"act"`
	Contract  canon.Digest `json:"contract"` // digest of the version; of ActTerminate the one in force
	Party     string       `json:"party"`
	Capacity  string       `json:"capacity"`
	Signer    string       `json:"signer"`
	Condition string       `json:"condition,omitempty"` // its id; of ActCondition alone
	Cause     bool         `json:"cause,omitempty"`     // at once, for cause; of ActTerminate alone
	Intent    string       `json:"intent"`
}

// appoints returns the terms that name who signs about a version: those of the one
// that it amends, its own of version 1.
func (v *Version) appoints() *Terms {
	if v.Parent != nil {
		return v.Parent.Terms
	}
	return v.Terms
}

// actTerms returns the terms that name who acts. Who ends a contract is named by the
// version that is in force, who withdraws one or says what it waits for by those who
// signed before it.
func (v *Version) actTerms(kind ActKind) *Terms {
	if kind == ActTerminate {
		return v.Terms
	}
	return v.appoints()
}

// NewAct returns the bytes for signer of party to sign as they sign a statement, see
// NewStatement. condition and cause say what the kind of act needs. It returns
// ErrNotSignatory, ErrStatement for a condition that the version has not, and
// ErrNotTerminable.
func NewAct(v *Version, kind ActKind, party, signer, condition string, cause bool) ([]byte, error) {
	for _, line := range v.actTerms(kind).Signatories {
		if line.Party == party && slices.ContainsFunc(line.Of, func(k Key) bool { return k.Name == signer }) {
			a := Act{V: actFormat, Act: kind, Contract: v.Digest, Party: party, Capacity: line.Capacity, Signer: signer, Condition: condition, Cause: cause}
			a.Intent = v.intent(a)
			if err := v.checkAct(a); err != nil {
				return nil, err
			}
			return canon.Marshal(a)
		}
	}
	return nil, fmt.Errorf("%q for party %q: %w", strictyaml.Clip(signer), strictyaml.Clip(party), ErrNotSignatory)
}

// intent is the sentence that a signer reads; it says nothing that the fields do not.
func (v *Version) intent(a Act) string {
	of := fmt.Sprintf("version %d of the access contract %s, whose digest is %s", v.Manifest.Version, v.Manifest.Contract, v.Digest)
	what := "withdraw " + of
	switch {
	case a.Act == ActCondition:
		what = fmt.Sprintf("say that the condition %s of %s is met", a.Condition, of)
	case a.Act == ActTerminate && a.Cause:
		what = "terminate the contract at once, for cause; in force is " + of
	case a.Act == ActTerminate:
		what = "give notice that the contract ends; in force is " + of
	}
	return fmt.Sprintf("I, %s, %s, for the party %s in the capacity of %s.", a.Signer, what, a.Party, a.Capacity)
}

// checkAct holds an act to what the version lets be done.
func (v *Version) checkAct(a Act) error {
	if a.Act != ActCondition && a.Condition != "" || a.Act != ActTerminate && a.Cause {
		return fmt.Errorf("%w: a condition goes with %s, cause with %s", ErrStatement, ActCondition, ActTerminate)
	}
	switch a.Act {
	case ActWithdraw:
		return nil
	case ActCondition:
		for _, c := range v.Terms.Effect.Conditions {
			if c.ID != a.Condition {
				continue
			}
			if c.MetBy != a.Party {
				return fmt.Errorf("%w: clause %s has the party %s say whether the condition %s is met", ErrNotSignatory, c.Clause, c.MetBy, c.ID)
			}
			return nil
		}
		return fmt.Errorf("%w: version %d waits for no condition %q", ErrStatement, v.Manifest.Version, strictyaml.Clip(a.Condition))
	case ActTerminate:
		switch end := v.Terms.Law.Terminate; {
		case end.Clause == "":
			return fmt.Errorf("%w: its terms name no way; it can be amended", ErrNotTerminable)
		case a.Cause && !end.Cause:
			return fmt.Errorf("%w: clause %s ends it with a notice of %s, not for cause", ErrNotTerminable, end.Clause, FormatDuration(end.Notice))
		}
		return nil
	}
	return fmt.Errorf("%w: nothing is done by %q; it is one of withdraw, condition and terminate", ErrStatement, strictyaml.Clip(string(a.Act)))
}

// VerifyAct checks an act of a kind and the armored SSHSIG over its bytes: it is about
// this very version, by a signatory who may do that, and signed by their key as
// VerifySignature demands it. It returns ErrStatement, ErrOtherContract,
// ErrNotSignatory, ErrBadSignature or ErrNotTerminable.
func (v *Version) VerifyAct(kind ActKind, text, armored []byte) (Act, error) {
	var a Act
	if len(text) > maxStatement {
		return Act{}, fmt.Errorf("%w: %d bytes, at most %d", ErrStatement, len(text), maxStatement)
	}
	if err := canon.Unmarshal(text, &a); err != nil {
		return Act{}, fmt.Errorf("%w: %w", ErrStatement, err)
	}
	switch {
	case a.V != actFormat:
		return Act{}, fmt.Errorf("%w: v is %q, this release reads %s", ErrStatement, strictyaml.Clip(a.V), actFormat)
	case a.Act != kind:
		return Act{}, fmt.Errorf("%w: it says %q, not %s", ErrStatement, strictyaml.Clip(string(a.Act)), kind)
	case a.Contract != v.Digest:
		return Act{}, fmt.Errorf("%w: it names %s, this is %s", ErrOtherContract, a.Contract, v.Digest)
	}
	if err := v.checkAct(a); err != nil {
		return Act{}, err
	}
	if want := v.intent(a); a.Intent != want {
		return Act{}, fmt.Errorf("%w: its intent is not the sentence %q", ErrStatement, want)
	}
	for _, line := range v.actTerms(kind).Signatories {
		if line.Party != a.Party || line.Capacity != a.Capacity {
			continue
		}
		for _, k := range line.Of {
			if k.Name != a.Signer {
				continue
			}
			flags, err := sshcert.VerifyFlags(k.PublicKey, sshcert.NamespaceContract, text, string(armored))
			if err == nil {
				err = line.Assurance.met(flags)
			}
			if err != nil {
				return Act{}, fmt.Errorf("%w: %s for %s: %w", ErrBadSignature, a.Signer, a.Party, err)
			}
			return a, nil
		}
	}
	return Act{}, fmt.Errorf("%q as %q of party %q: %w", strictyaml.Clip(a.Signer), strictyaml.Clip(a.Capacity), strictyaml.Clip(a.Party), ErrNotSignatory)
}
