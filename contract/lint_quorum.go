package contract

import (
	"fmt"
	"math/bits"
	"slices"
)

// Voter is somebody who asks or decides, as far as the counting of quorums goes.
type Voter struct {
	ID      string   // one human has one
	Groups  []string // ids of groups of the terms
	Manager string   // their manager; NoManager; empty: not known, then nobody shares it
}

// Assignment says who could decide in which stage, by its id: as many as its
// quorum asks for.
type Assignment map[string][]string

// Satisfiable tells whether a request of requester could get through a path if all
// of people were there and said yes, and who would do it: each stage has its
// quorum of different people out of its groups or, once it was silent, of those it
// escalates to; nobody decides twice on a request, nor on their own, nor for who
// has their manager in a stage that forbids it. Delegates are not counted, as
// they stand in for somebody who is counted.
//
// The answer is exact: by Hall's theorem there is such an assignment unless some
// set of stages has fewer people together than its quorums have together. The
// effort is exponential in the number of stages only, as people who can decide in
// the same stages are interchangeable.
func Satisfiable(p *Path, d Separation, requester Voter, people []Voter) (Assignment, bool) {
	q := newQuorums(p)
	able := make([][]string, len(p.Stages))
	for _, v := range people {
		mask := voterMask(p, d, requester, v)
		for j := range p.Stages {
			if mask&(1<<j) != 0 {
				able[j] = append(able[j], v.ID)
			}
		}
		q.add(mask, 1)
	}
	if slack, _ := q.slack(); slack < 0 {
		return nil, false
	}
	return assign(p, able), true
}

// Resiliency returns how many people may be away at the same time, whoever they
// are, so that a request of requester could still get through: −1 if it can't even
// with everybody there. A path without stages asks nobody: then it is len(people).
func Resiliency(p *Path, d Separation, requester Voter, people []Voter) int {
	q := newQuorums(p)
	for _, v := range people {
		q.add(voterMask(p, d, requester, v), 1)
	}
	if len(p.Stages) == 0 {
		return len(people)
	}
	slack, _ := q.slack()
	return max(slack, -1)
}

// voterMask returns in which stages, one bit each, v may decide for requester.
func voterMask(p *Path, d Separation, requester, v Voter) uint32 {
	if v.ID == requester.ID {
		return 0
	}
	var mask uint32
	for j := range p.Stages {
		if slices.ContainsFunc(p.Stages[j].asked(), func(g string) bool { return slices.Contains(v.Groups, g) }) {
			mask |= 1 << j
		}
	}
	if v.Manager != "" && v.Manager != NoManager && v.Manager == requester.Manager {
		mask &^= p.managerStages(d)
	}
	return mask
}

// asked returns the groups of which a member may decide sooner or later.
func (s *Stage) asked() []string {
	if s.Escalate == nil {
		return s.From
	}
	return append(slices.Clone(s.From), s.Escalate.To...)
}

// managerStages returns the stages, one bit each, in which nobody decides who has
// the requester's manager.
func (p *Path) managerStages(d Separation) uint32 {
	var mask uint32
	for j := range p.Stages {
		if slices.Contains(d.NotSameManager, p.Stages[j].ID) {
			mask |= 1 << j
		}
	}
	return mask
}

// quorums counts people by the stages in which they can decide.
type quorums struct {
	need  []int
	count []int // by mask of stages
}

func newQuorums(p *Path) *quorums {
	q := &quorums{count: make([]int, 1<<len(p.Stages))}
	for _, s := range p.Stages {
		q.need = append(q.need, s.Quorum)
	}
	return q
}

func (q *quorums) add(mask uint32, n int) { q.count[mask] += n }

// slack returns the least of, over all sets of stages, how many people the set has
// over the quorums it has together, and the set, one bit a stage. Below 0 the
// path can't be walked; at k any k people may be away.
func (q *quorums) slack() (least int, worst uint32) {
	stages := len(q.need)
	within := slices.Clone(q.count) // people all of whose stages lie in the set
	total := 0
	for _, n := range q.count {
		total += n
	}
	for j := range stages {
		for set := range within {
			if set&(1<<j) != 0 {
				within[set] += within[set&^(1<<j)]
			}
		}
	}
	all := len(within) - 1
	for set := 1; set <= all; set++ {
		need := 0
		for rest := uint(set); rest != 0; rest &= rest - 1 {
			need += q.need[bits.TrailingZeros(rest)]
		}
		if over := total - within[all&^set] - need; worst == 0 || over < least {
			least, worst = over, uint32(set)
		}
	}
	return least, worst
}

// assign finds who could decide where by augmenting paths; it is called only if
// there is an answer.
func assign(p *Path, able [][]string) Assignment {
	var seats []int // the stage of each
	for j, s := range p.Stages {
		for range s.Quorum {
			seats = append(seats, j)
		}
	}
	sits := make(map[string]int) // by person
	var seat func(i int, tried map[string]bool) bool
	seat = func(i int, tried map[string]bool) bool {
		for _, id := range able[seats[i]] {
			if tried[id] {
				continue
			}
			tried[id] = true
			if other, taken := sits[id]; !taken || seat(other, tried) {
				sits[id] = i
				return true
			}
		}
		return false
	}
	for i := range seats {
		if !seat(i, make(map[string]bool)) {
			panic(fmt.Sprintf("contract: seat %d of %d stays empty, though Hall's condition holds", i, len(seats)))
		}
	}
	out := make(Assignment)
	for id, i := range sits {
		stage := p.Stages[seats[i]].ID
		out[stage] = append(out[stage], id)
	}
	for _, ids := range out {
		slices.Sort(ids)
	}
	return out
}
