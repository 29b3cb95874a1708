package contract

import "slices"

// CapacityRoots is the capacity in which the roots of a party sign an amendment
// that replaces lost keys.
const CapacityRoots = "roots"

// Basis says why the lines of a Way suffice.
type Basis string

// Reasons why lines suffice.
const (
	ByLines     Basis = "lines"                // the signature lines that the class of the change asks for
	ByNarrowing Basis = "unilateral-narrowing" // all lines of one party that may narrow alone
	ByRecovery  Basis = "recovery"             // roots of version 1 stand in for lines whose keys are replaced
)

// Way is one way to sign a version: every one of its lines.
type Way struct {
	Basis Basis
	Party string // whose: that narrows alone, or whose roots stand in; empty if no one party's
	Lines []Signatory
}

// Required returns the ways in which a version can be signed; any one suffices.
// The first is always the ordinary one. There is no other for version 1, which
// all lines of its own terms sign.
//
// Lines and keys of an amendment are those of the version that it amends. The
// ordinary way has the lines whose OnlyIf is empty or names the amendment's class.
// If it widens, or does both, every party is there: one of whose lines none is
// asked for signs with all of them. If it is constitutional, or no line at all is
// asked for, all sign. A narrowing that is not constitutional can also be signed by
// all lines of one of the parties in Effect.UnilateralNarrowing of the amended
// version, unless the prose changes in more than the values of terms that it says.
//
// An amendment that changes nothing but who stands in signature lines can be
// signed, in place of the lines of a party that it changes, by as many of that
// party's roots as version 1 asks for.
func (v *Version) Required() []Way {
	if v.Parent == nil {
		return []Way{{Basis: ByLines, Lines: v.lines()}}
	}
	ways := []Way{{Basis: ByLines, Lines: v.ordinary()}}
	if v.Compared.Class == Narrowing && !v.Compared.Constitutional && v.sameProse() {
		for _, party := range v.Parent.Terms.Effect.UnilateralNarrowing {
			if lines := ofParty(v.lines(), party); len(lines) > 0 {
				ways = append(ways, Way{Basis: ByNarrowing, Party: party, Lines: lines})
			}
		}
	}
	return append(ways, v.recovery()...)
}

// lines are all signature lines of the terms that say who signs the version. The
// slice is the caller's.
func (v *Version) lines() []Signatory {
	if v.Parent != nil {
		return slices.Clone(v.Parent.Terms.Signatories)
	}
	return slices.Clone(v.Terms.Signatories)
}

// ordinary are the lines that the class of an amendment asks for.
func (v *Version) ordinary() []Signatory {
	asked := func(s Signatory) bool { return len(s.OnlyIf) == 0 || slices.Contains(s.OnlyIf, v.Compared.Class) }
	all := v.lines()
	if v.Compared.Constitutional || !slices.ContainsFunc(all, asked) {
		return all
	}
	switch v.Compared.Class {
	case Equivalent, Narrowing:
		return slices.DeleteFunc(v.lines(), func(s Signatory) bool { return !asked(s) })
	case Widening, Mixed:
		return slices.DeleteFunc(v.lines(), func(s Signatory) bool {
			return !asked(s) && slices.ContainsFunc(ofParty(all, s.Party), asked)
		})
	}
	return all // nobody compared the versions
}

func ofParty(lines []Signatory, party string) []Signatory {
	return slices.DeleteFunc(slices.Clone(lines), func(s Signatory) bool { return s.Party != party })
}

// MissingSignature is a signature line that is not full yet.
type MissingSignature struct {
	Party    string
	Capacity string
	Need     int      // how many more signatures
	Of       []string // names of those who can still give one
}

// Missing returns the signature lines that have lacks, none if the version is
// signed. Of the ways in which it can be signed it is the one that lacks the fewest
// signatures, the ordinary one among equals. One person counts once in a line,
// however many statements they signed; who stands in no line does not count.
func (v *Version) Missing(have []Signed) []MissingSignature {
	var least []MissingSignature
	fewest := -1
	for _, way := range v.Required() {
		missing, n := way.missing(have)
		if fewest < 0 || n < fewest {
			least, fewest = missing, n
		}
	}
	return least
}

// missing returns the lines of a way that are not full, and how many signatures
// they lack together.
func (w Way) missing(have []Signed) ([]MissingSignature, int) {
	var out []MissingSignature
	n := 0
	for _, line := range w.Lines {
		missing := MissingSignature{Party: line.Party, Capacity: line.Capacity, Need: line.Need}
		for _, k := range line.Of {
			if slices.ContainsFunc(have, func(s Signed) bool {
				return s.Party == line.Party && s.Capacity == line.Capacity && s.Signer == k.Name
			}) {
				missing.Need--
			} else {
				missing.Of = append(missing.Of, k.Name)
			}
		}
		if missing.Need > 0 {
			out = append(out, missing)
			n += missing.Need
		}
	}
	return out, n
}
