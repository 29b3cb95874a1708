package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The paths of a role are one function: from what a request says to what becomes
// of it, denied, decided in stages or granted at once. Two versions are compared
// by their outcomes, so a guard written another way is no change.
//
// Stages A let no more through than stages B if B's stages are among A's, in the
// same order, each asking no more: then whoever satisfies A satisfies B. Stages of
// which neither is shown of the other can't be compared. How long a stage goes on
// counts, and how early others are asked too: what expires sooner is approved less
// often. An SLA is a promise: nobody gets in by it, but a later one owes less.

// outcome is what becomes of a request: nil is denied.
type outcome struct {
	path *Path
	role *Role
}

// String says it as a person would.
func (o outcome) String() string {
	switch {
	case o.path == nil:
		return "denied"
	case o.path.Auto:
		return "granted without asking"
	}
	var out []string
	for _, s := range o.path.Stages {
		who := fmt.Sprintf("%d of %s", s.Quorum, list(s.From, "or"))
		if s.Escalate != nil {
			who += fmt.Sprintf(" (after %s also %s)", FormatDuration(s.Timeout), list(s.Escalate.To, "or"))
		}
		out = append(out, who)
	}
	return "asks " + strings.Join(out, ", then ")
}

// within tells whether everything that o lets through p lets through too.
func (o outcome) within(p outcome) bool {
	switch {
	case o.path == nil:
		return true
	case p.path == nil:
		return false
	case p.path.Auto:
		return true
	case o.path.Auto:
		return false
	}
	// The first stage of o that is as strict as p's next is the best choice for it:
	// it leaves the most stages for those to come.
	next := 0
	for _, s := range o.path.Stages {
		if next < len(p.path.Stages) && o.asks(s).within(p.asks(p.path.Stages[next])) {
			next++
		}
	}
	return next == len(p.path.Stages)
}

// asked is a stage with what the role demands of it.
type asked struct {
	Stage
	otherManager bool // nobody decides who has the requester's manager
}

func (o outcome) asks(s Stage) asked {
	return asked{Stage: s, otherManager: slices.Contains(o.role.Duties.NotSameManager, s.ID)}
}

// within tells whether everybody who satisfies s satisfies t.
func (s asked) within(t asked) bool {
	if s.Quorum < t.Quorum || t.otherManager && !s.otherManager || !s.Assurance.covers(t.Assurance) {
		return false
	}
	if s.life() > t.life() || !isSubset(s.From, t.From) || !isSubset(s.Delegates, t.Delegates) {
		return false
	}
	if s.Escalate == nil {
		return true
	}
	for _, g := range s.Escalate.To { // they may decide from s.Timeout on
		asksToo := t.Escalate != nil && t.Timeout <= s.Timeout && slices.Contains(t.Escalate.To, g)
		if !asksToo && !slices.Contains(t.From, g) {
			return false
		}
	}
	return true
}

// life is for how long the stage can be decided.
func (s *Stage) life() time.Duration {
	if s.Escalate == nil {
		return s.Timeout
	}
	return s.Timeout + s.Escalate.Timeout
}

// covers tells whether a decision given by a is one that b asks for. The two that
// verify their user with hardware don't stand for each other.
func (a Approval) covers(b Approval) bool {
	if a == b || b == ApprovalSession || b == "" {
		return true
	}
	return b == ApprovalFresh && (a == ApprovalWebAuthn || a == ApprovalSK)
}

// paths compares the paths of one role in two versions.
func (c *comparer) paths(prefix string, a, b *Role) {
	was, is := spellPaths(a.Paths), spellPaths(b.Paths)
	if was == is {
		return
	}
	class, witness := comparePaths(a, b)
	class = class.join(promises(a.Paths, b.Paths))
	c.changes = append(c.changes, Change{Path: prefix + ".paths", Class: class, Old: was, New: is, Witness: witness})
}

// promises is the class of the SLAs of stages that both versions have. It is no
// part of an outcome.
func promises(old, new []Path) Class {
	class := Equivalent
	is := byID(new, func(p *Path) string { return p.ID })
	for i := range old {
		p, ok := is[old[i].ID]
		if !ok {
			continue
		}
		for _, a := range old[i].Stages {
			if b, ok := p.Stage(a.ID); ok {
				class = class.join(ordered(unlimited(a.SLA), unlimited(b.SLA)))
			}
		}
	}
	return class
}

func spellPaths(paths []Path) string {
	out := make([]string, len(paths))
	for i := range paths {
		out[i] = spellPath(&paths[i])
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func spellPath(p *Path) string {
	auto, when := "", ""
	if p.Auto {
		auto = "true"
	}
	if p.When != "" {
		when = "'" + strings.ReplaceAll(p.When, "'", "''") + "'"
	}
	stages := make([]string, len(p.Stages))
	for i := range p.Stages {
		stages[i] = spellStage(&p.Stages[i])
	}
	asks := ""
	if len(stages) > 0 {
		asks = "[" + strings.Join(stages, ", ") + "]"
	}
	return fields("id", p.ID, "clause", spellText(p.Clause), "when", when, "auto", auto, "stages", asks)
}

func spellStage(s *Stage) string {
	escalate := ""
	if s.Escalate != nil {
		escalate = spellEscalation(s.Escalate)
	}
	return fields("id", s.ID, "from", spellSet(s.From), "quorum", strconv.Itoa(s.Quorum), "timeout", spellDuration(s.Timeout),
		"escalate", escalate, "delegates", spellOptional(s.Delegates), "sla", spellDuration(s.SLA), "assurance", string(s.Assurance))
}

func spellEscalation(e *Escalation) string {
	return fields("to", spellSet(e.To), "timeout", spellDuration(e.Timeout))
}
