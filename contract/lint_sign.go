package contract

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/canon"
)

func checkE25(l *linter) {
	if l.Parent == nil {
		return
	}
	for _, s := range l.SignedBy {
		named := func(t *Terms) bool {
			return slices.ContainsFunc(t.Signatories, func(line Signatory) bool {
				return line.Party == s.Party && slices.ContainsFunc(line.Of, func(k Key) bool { return k.Name == s.Signer })
			})
		}
		root := slices.ContainsFunc(l.Parent.Terms.Parties, func(p Party) bool {
			return p.ID == s.Party && p.Roots != nil && slices.ContainsFunc(p.Roots.Keys, func(k Key) bool { return k.Name == s.Signer })
		})
		if named(l.Parent.Terms) || root {
			continue
		}
		at := "signatories"
		for _, line := range l.Terms.Signatories {
			if line.Party == s.Party && slices.ContainsFunc(line.Of, func(k Key) bool { return k.Name == s.Signer }) {
				at = l.lines.signatory(line) + ".of." + s.Signer
			}
		}
		l.say(at, fmt.Sprintf("%s signed for %s, and the version before does not name them: no version appoints its own signers", s.Signer, s.Party))
	}
}

func checkE26(l *linter) {
	for _, s := range l.Terms.Signatories {
		at := l.lines.signatory(s)
		if s.Need > len(s.Of) {
			l.say(at+".need", fmt.Sprintf("%d signatures of %d people", s.Need, len(s.Of)))
			continue
		}
		left := 0
		for _, k := range s.Of {
			if l.hasLeft(s.Party, k.Name) {
				left++
			}
		}
		if s.Need > len(s.Of)-left {
			l.say(at+".need", fmt.Sprintf("%d signatures for %s as %s, and of the %d people who could give them %d have left", s.Need, s.Party, s.Capacity, len(s.Of), left))
		}
	}
	for _, p := range l.Terms.Parties {
		if p.Roots != nil && p.Roots.Need > len(p.Roots.Keys) {
			l.say("parties."+p.ID+".roots.need", fmt.Sprintf("%d signatures of %d root keys", p.Roots.Need, len(p.Roots.Keys)))
		}
	}
	if l.People == nil {
		l.unknown("signatories", "which signatories have left is not known here", givePeople)
	}
}

func (l *linter) hasLeft(party, name string) bool {
	return l.People != nil && slices.ContainsFunc(l.People.People, func(p DirectoryPerson) bool {
		return p.Left && slices.Contains(p.Signs, Signatures{party, name})
	})
}

// checkE27: each party's signature says that somebody looked who answers to that
// party only.
func checkE27(l *linter) {
	for i, a := range l.Terms.Signatories {
		for _, b := range l.Terms.Signatories[i+1:] {
			for _, k := range a.Of {
				for _, other := range b.Of {
					if a.Party != b.Party && bytes.Equal(k.PublicKey.Marshal(), other.PublicKey.Marshal()) {
						l.say(l.lines.signatory(b)+".of."+other.Name, fmt.Sprintf("%s for %s and %s for %s sign with one key", k.Name, a.Party, other.Name, b.Party))
					}
				}
			}
		}
	}
	if len(l.Terms.Parties) < 2 || !l.people() {
		return
	}
	for _, h := range l.crowd.humans {
		var first Signatures
		for _, e := range h.entries {
			for _, s := range e.Signs {
				line, ok := l.line(s)
				switch {
				case !ok:
				case first == Signatures{}:
					first = s
				case first.Party != s.Party:
					l.say(l.lines.signatory(line)+".of."+s.Name, fmt.Sprintf("%s signs for %s and for %s", h.id(), first.Party, s.Party))
				}
			}
		}
	}
}

// line finds the signature line in which somebody signs.
func (l *linter) line(s Signatures) (Signatory, bool) {
	for _, line := range l.Terms.Signatories {
		if line.Party == s.Party && slices.ContainsFunc(line.Of, func(k Key) bool { return k.Name == s.Name }) {
			return line, true
		}
	}
	return Signatory{}, false
}

// checkE28: those who decide under a role are also all who could give it more.
func checkE28(l *linter) {
	if !l.people() {
		return
	}
	signs := make(map[Signatures]int) // the human, by the name they sign with
	for i, h := range l.crowd.humans {
		for _, e := range h.entries {
			for _, s := range e.Signs {
				signs[s] = i
			}
		}
	}
	l.eachRole(func(r *Role) {
		certain, possible := l.crowd.none(), l.crowd.none()
		for i := range r.Paths {
			for j := range r.Paths[i].Stages {
				certain.or(l.crowd.of(r.Paths[i].Stages[j].asked(), false))
				possible.or(l.crowd.of(r.Paths[i].Stages[j].asked(), true))
			}
		}
		sure, signers := true, 0
		for _, line := range l.Terms.Signatories {
			if len(line.OnlyIf) > 0 && !slices.Contains(line.OnlyIf, Widening) {
				continue
			}
			for _, k := range line.Of {
				human, known := signs[Signatures{line.Party, k.Name}]
				switch {
				case l.hasLeft(line.Party, k.Name):
					continue
				case !known:
					sure = false
				case !possible.has(human):
					return // somebody else has a say
				case !certain.has(human):
					sure = false
				}
				signers++
			}
		}
		if signers > 0 {
			l.judge(sure, rolePath(r), fmt.Sprintf("everybody who could sign an amendment that widens role %s decides under it", r.ID))
		}
	})
}

func checkE30(l *linter) {
	switch {
	case l.Parent == nil && l.ParentNamed != canon.Digest{}:
		l.unknown("", "the version before is not at hand", "lint again with the folder of the version that this one amends")
	case l.Parent == nil:
	case l.ParentNamed != l.Parent.Digest:
		l.say("", fmt.Sprintf("the amendment names %s as the version that it amends, and that is %s", l.ParentNamed, l.Parent.Digest))
	case l.Parent.Terms.ID != l.Terms.ID:
		l.say("contract.id", fmt.Sprintf("the amendment is about the contract %s, and amends a version of %s", l.Terms.ID, l.Parent.Terms.ID))
	}
}

func checkE31(l *linter) {
	from := l.Terms.Effect.NotBefore
	switch {
	case from.IsZero(), l.InForce, l.Parent != nil && l.Parent.Terms.Effect.NotBefore.Equal(from):
	case l.Now.IsZero():
		l.unknown("effect.not_before", "what time it is, is not known", "lint again with the time")
	case from.Before(l.Now):
		l.say("effect.not_before", fmt.Sprintf("%s is past, and nothing comes into force before it is signed", from.UTC().Format(timeForm)))
	}
}

func checkI50(l *linter) {
	if l.Parent == nil {
		return
	}
	if l.Compared == nil {
		l.unknown("", "what the amendment changes was not compared", "lint again with the folder of the version that this one amends")
		return
	}
	for _, c := range l.Compared.Changes {
		if c.Class != Widening && c.Class != Mixed {
			continue
		}
		message := "allows more: " + c.Path
		if c.Class == Mixed {
			message = "may allow more: " + c.Path
		}
		switch {
		case c.Old == "":
			message += " is new: " + c.New
		case c.New == "":
			message += " is gone, it was " + c.Old
		default:
			message += " was " + c.Old + " and is " + c.New
		}
		if w := c.Witness; w != nil {
			message += fmt.Sprintf("; a request for role %s was %s and is %s", w.Role, w.Old, w.New)
		}
		l.say(c.Path, message)
	}
}

func checkI51(l *linter) {
	switch {
	case l.Parent == nil, l.Prose == nil, bytes.Equal(l.Prose, l.Parent.Files[ProseFile]):
	case l.Compared == nil:
		l.unknown("", "what the amendment changes was not compared", "lint again with the folder of the version that this one amends")
	case len(l.Compared.Changes) == 0:
		l.say("", "the amendment changes what people read, and nothing of what programs do")
	}
}
