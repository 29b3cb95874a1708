package contract

import (
	"bytes"
	"fmt"
	"slices"
)

// recovery returns the ways in which roots stand in: for each party by itself, and
// for all together.
func (v *Version) recovery() []Way {
	lost, roots := v.replaced(), v.roots()
	instead := func(of ...Signatory) []Signatory {
		lines := slices.DeleteFunc(v.lines(), func(s Signatory) bool {
			return len(ofParty(of, s.Party)) > 0 && slices.ContainsFunc(lost, s.sameLine)
		})
		return append(lines, of...)
	}
	var out []Way
	for _, r := range roots {
		out = append(out, Way{Basis: ByRecovery, Party: r.Party, Lines: instead(r)})
	}
	if len(roots) > 1 {
		out = append(out, Way{Basis: ByRecovery, Lines: instead(roots...)})
	}
	return out
}

// replaced returns the lines of the amended version in which an amendment replaces
// people or keys, if it does nothing else: the prose is the same, and no line comes,
// goes, or asks for more or fewer. Of any other amendment it returns none.
func (v *Version) replaced() []Signatory {
	if v.Parent == nil || !bytes.Equal(v.Files[ProseFile], v.Parent.Files[ProseFile]) {
		return nil
	}
	old, now := v.Parent.Terms.Signatories, v.Terms.Signatories
	if len(old) != len(now) {
		return nil
	}
	var out []Signatory
	for i, s := range old {
		n := now[i]
		if !s.sameLine(n) || s.Need != n.Need || len(s.Of) != len(n.Of) || s.Assurance != n.Assurance || !slices.Equal(s.OnlyIf, n.OnlyIf) {
			return nil
		}
		if !slices.EqualFunc(s.Of, n.Of, Key.is) {
			out = append(out, s)
		}
	}
	rest := *v.Terms
	rest.Signatories = old
	was, err := v.Parent.Terms.Canonical()
	if err != nil {
		return nil
	}
	is, err := rest.Canonical()
	if err != nil || !bytes.Equal(was, is) {
		return nil
	}
	return out
}

// roots returns the lines of roots that can stand in, one for each party of which
// the amendment replaces a key. They are those of version 1, whatever an amendment
// made of them later: who got hold of a party's signatories can't make its roots.
// A root that another party has in its lines by now does not count, as one person
// signs for one party.
func (v *Version) roots() []Signatory {
	var out []Signatory
	for _, lost := range v.replaced() {
		keys := v.first().rootsOf(lost.Party)
		named := slices.ContainsFunc(v.lines(), Signatory{Party: lost.Party, Capacity: CapacityRoots}.sameLine)
		if keys == nil || named || len(ofParty(out, lost.Party)) > 0 {
			continue
		}
		line := Signatory{Party: lost.Party, Capacity: CapacityRoots, Need: keys.Need, Assurance: AssuranceSSH}
		for _, k := range keys.Keys {
			if v.elsewhere(lost.Party, k) == "" {
				line.Of = append(line.Of, k)
			}
		}
		if len(line.Of) >= line.Need {
			out = append(out, line)
		}
	}
	return out
}

// elsewhere says as whom a key of a party is pinned for another party, by the
// amendment or the version that it amends; empty if it is not.
func (v *Version) elsewhere(party string, key Key) string {
	for _, t := range []*Terms{v.Parent.Terms, v.Terms} {
		for _, line := range t.Signatories {
			for _, k := range line.Of {
				if line.Party != party && sameKey(k.PublicKey, key.PublicKey) {
					return fmt.Sprintf("%s as %s of %s", k.Name, line.Capacity, line.Party)
				}
			}
		}
		for _, p := range t.Parties {
			if p.ID == party || p.Roots == nil {
				continue
			}
			for _, k := range p.Roots.Keys {
				if sameKey(k.PublicKey, key.PublicKey) {
					return fmt.Sprintf("%s, a root of %s", k.Name, p.ID)
				}
			}
		}
	}
	return ""
}

// first returns the terms of the contract's version 1.
func (v *Version) first() *Terms {
	for v.Parent != nil {
		v = v.Parent
	}
	return v.Terms
}

// rootsOf returns the roots of a party, nil if it keeps none.
func (t *Terms) rootsOf(party string) *Roots {
	if p, ok := t.Party(party); ok {
		return p.Roots
	}
	return nil
}
