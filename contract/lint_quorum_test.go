package contract_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/contract"
)

// quorumCase draws a path of up to three stages and a few people.
func quorumCase(t *rapid.T) (contract.Path, contract.Separation, contract.Voter, []contract.Voter) {
	groups := []string{"a", "b", "c"}
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(groups), 0, 3, rapid.ID[string])
	var p contract.Path
	var d contract.Separation
	for j := range rapid.IntRange(1, 3).Draw(t, "stages") {
		s := contract.Stage{ID: fmt.Sprintf("s%d", j), From: some.Draw(t, "from"), Quorum: rapid.IntRange(1, 2).Draw(t, "quorum")}
		if rapid.Bool().Draw(t, "escalates") {
			s.Escalate = &contract.Escalation{To: some.Draw(t, "to")}
		}
		if rapid.Bool().Draw(t, "apart") {
			d.NotSameManager = append(d.NotSameManager, s.ID)
		}
		p.Stages = append(p.Stages, s)
	}
	var people []contract.Voter
	for i := range rapid.IntRange(1, 6).Draw(t, "people") {
		people = append(people, contract.Voter{
			ID: fmt.Sprintf("p%d", i), Groups: some.Draw(t, "groups"),
			Manager: rapid.SampledFrom([]string{"", contract.NoManager, "m", "n"}).Draw(t, "manager"),
		})
	}
	return p, d, rapid.SampledFrom(people).Draw(t, "requester"), people
}

// mayDecide is the rule of one vote, written again.
func mayDecide(s contract.Stage, d contract.Separation, requester, v contract.Voter) bool {
	if v.ID == requester.ID {
		return false
	}
	if slices.Contains(d.NotSameManager, s.ID) && v.Manager == requester.Manager && v.Manager != "" && v.Manager != contract.NoManager {
		return false
	}
	in := func(g string) bool { return slices.Contains(v.Groups, g) }
	return slices.ContainsFunc(s.From, in) || s.Escalate != nil && slices.ContainsFunc(s.Escalate.To, in)
}

// tryAll fills seat after seat with everybody who may take it.
func tryAll(p contract.Path, d contract.Separation, requester contract.Voter, people []contract.Voter, stage, seat int, used map[string]bool) bool {
	if stage == len(p.Stages) {
		return true
	}
	if seat == p.Stages[stage].Quorum {
		return tryAll(p, d, requester, people, stage+1, 0, used)
	}
	for _, v := range people {
		if !used[v.ID] && mayDecide(p.Stages[stage], d, requester, v) {
			used[v.ID] = true
			ok := tryAll(p, d, requester, people, stage, seat+1, used)
			used[v.ID] = false
			if ok {
				return true
			}
		}
	}
	return false
}

// TestSatisfiable: the answer is that of trying every assignment, and the witness
// is one.
func TestSatisfiable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, d, requester, people := quorumCase(t)
		want := tryAll(p, d, requester, people, 0, 0, map[string]bool{})
		who, got := contract.Satisfiable(&p, d, requester, people)
		if got != want {
			t.Fatalf("satisfiable: %t, trying all says %t", got, want)
		}
		if !got {
			return
		}
		used := make(map[string]bool)
		for _, s := range p.Stages {
			if len(who[s.ID]) != s.Quorum {
				t.Fatalf("stage %s: %v, quorum %d", s.ID, who[s.ID], s.Quorum)
			}
			for _, id := range who[s.ID] {
				i := slices.IndexFunc(people, func(v contract.Voter) bool { return v.ID == id })
				if used[id] || i < 0 || !mayDecide(s, d, requester, people[i]) {
					t.Fatalf("stage %s: %s may not decide there", s.ID, id)
				}
				used[id] = true
			}
		}
	})
}

// TestResiliency: whoever of that many people is away, a request gets through; and
// of one more there are some without whom it does not.
func TestResiliency(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, d, requester, people := quorumCase(t)
		want := -1
		for k := 0; k <= len(people) && everyAbsence(p, d, requester, people, k); k++ {
			want = k
		}
		if got := contract.Resiliency(&p, d, requester, people); got != want {
			t.Fatalf("resiliency %d, trying all says %d", got, want)
		}
	})
}

// everyAbsence tells whether a request gets through whichever k people are away.
func everyAbsence(p contract.Path, d contract.Separation, requester contract.Voter, people []contract.Voter, k int) bool {
	if k == 0 {
		return tryAll(p, d, requester, people, 0, 0, map[string]bool{})
	}
	for i := range people {
		if !everyAbsence(p, d, requester, slices.Delete(slices.Clone(people), i, i+1), k-1) {
			return false
		}
	}
	return true
}
