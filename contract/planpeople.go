package contract

import (
	"bytes"
	"slices"

	"github.com/sallyport/sallyport/canon"
)

// suffices tells whether the approvals that there were fill every stage of a
// path, each person in one of them.
func suffices(t *Terms, path *Path, approvals []PastApproval) bool {
	var seats []*Stage
	for i := range path.Stages {
		for range path.Stages[i].Quorum {
			seats = append(seats, &path.Stages[i])
		}
	}
	var people []PastApproval // each once
	for _, a := range approvals {
		if !slices.ContainsFunc(people, func(b PastApproval) bool { return b.Person == a.Person }) {
			people = append(people, a)
		}
	}
	sits := make([]int, len(people)) // the seat that each has, from 1; 0: none
	// seat finds a person for a seat, and moves others for it (an augmenting path).
	var seat func(i int, tried []bool) bool
	seat = func(i int, tried []bool) bool {
		for p := range people {
			if in, err := t.Eligible(people[p].Subject, *seats[i]); tried[p] || err != nil || !in {
				continue
			}
			tried[p] = true
			if sits[p] == 0 || seat(sits[p]-1, tried) {
				sits[p] = i + 1
				return true
			}
		}
		return false
	}
	for i := range seats {
		if !seat(i, make([]bool, len(people))) {
			return false
		}
	}
	return true
}

// powers finds who may decide where they may not now, and the reverse, and whose
// rights and duties change.
func (p *Plan) powers(in PlanInput) {
	was, is := in.Old.seats(), in.New.seats()
	changed := changedRoles(in.Old, in.New)
	for _, person := range in.People {
		if !slices.ContainsFunc(person.Subjects, func(s Subject) bool { return s.GroupsKnown }) {
			p.UnknownPeople++
			continue
		}
		affected := in.Old.concernedBy(person, changed) || in.New.concernedBy(person, changed) || !slices.Equal(in.Old.asks(person), in.New.asks(person))
		for _, where := range merged(was, is) {
			if had, has := in.Old.sits(person, was[where]), in.New.sits(person, is[where]); had != has {
				affected = true
				p.Approvers = append(p.Approvers, Power{Person: person.Person, Where: where, Gained: has})
			}
		}
		if !affected {
			continue
		}
		if p.AcknowledgeCount++; len(p.Acknowledge) < MaxPlanned {
			p.Acknowledge = append(p.Acknowledge, person.Person)
		}
	}
	slices.Sort(p.Acknowledge)
}

// sits tells whether somebody is known to be in any of the groups.
func (t *Terms) sits(p PastPerson, groups []string) bool {
	return slices.ContainsFunc(p.Subjects, func(s Subject) bool {
		in, _ := t.memberOfAny(s, groups) // an error says that it is not known, or that there is no such group
		return in
	})
}

// asks returns the ids of the roles that somebody is known to be let ask for.
func (t *Terms) asks(p PastPerson) []string {
	var out []string
	for i := range t.Roles {
		if t.sits(p, t.Roles[i].Who) {
			out = append(out, t.Roles[i].ID)
		}
	}
	return out
}

// concernedBy tells whether somebody may ask for one of the roles, or decide in it.
func (t *Terms) concernedBy(p PastPerson, roles []string) bool {
	for i := range t.Roles {
		r := &t.Roles[i]
		if !slices.Contains(roles, r.ID) {
			continue
		}
		groups := slices.Clone(r.Who)
		for _, path := range r.Paths {
			for _, stage := range path.Stages {
				groups = append(groups, stage.From...)
			}
		}
		if t.sits(p, groups) {
			return true
		}
	}
	return false
}

// changedRoles returns the ids of the roles that one of the terms has otherwise
// than the other, or not at all.
func changedRoles(old, draft *Terms) []string {
	var out []string
	for i := range draft.Roles {
		r := &draft.Roles[i]
		if before, ok := old.Role(r.ID); !ok || !sameRole(before, r) {
			out = append(out, r.ID)
		}
	}
	for i := range old.Roles {
		if _, ok := draft.Role(old.Roles[i].ID); !ok {
			out = append(out, old.Roles[i].ID)
		}
	}
	return out
}

func sameRole(a, b *Role) bool {
	x, errX := canon.Marshal(canonicalRole(a))
	y, errY := canon.Marshal(canonicalRole(b))
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// seats returns by whom each stage and office is held: groups by the place.
func (t *Terms) seats() map[string][]string {
	out := make(map[string][]string)
	for i := range t.Roles {
		for _, path := range t.Roles[i].Paths {
			for _, stage := range path.Stages {
				out["roles."+t.Roles[i].ID+".paths."+path.ID+"."+stage.ID] = stage.From
			}
		}
	}
	for _, o := range t.Offices {
		out["offices."+string(o.Office)] = o.Groups
	}
	return out
}

// merged returns the keys of both, sorted.
func merged(a, b map[string][]string) []string {
	var out []string
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		if _, both := a[k]; !both {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}
