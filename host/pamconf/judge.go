package pamconf

import (
	"fmt"
	"strconv"
	"strings"
)

// Finding is one thing that is wrong with the step. The ids stand in docs/hosts.md.
type Finding struct {
	ID, Says string
	Line     string // FILE:LINE, if a line is wrong
}

// Judge says what is wrong with the step in a file; nothing if sessions are kept to their
// grants.
func (f File) Judge(s Step) []Finding {
	var found []Finding
	b := f.bounds(s)
	steps := 0
	for i, l := range f.lines {
		for _, m := range l.modules {
			if !s.is(m) {
				continue
			}
			steps++
			add := func(id, says string) {
				found = append(found, Finding{ID: id, Says: "the line for PAM " + says, Line: m.where})
			}
			if id, says := s.wrong(m); id != "" {
				add(id, says)
			}
			if i < b.low || i == b.low && b.low >= 0 {
				add("session-step-misplaced", "stands in front of "+b.lowSays)
			}
			if i >= b.high {
				add("session-step-misplaced", "stands behind "+b.highSays)
			}
			if before, ok := f.skips(i); ok {
				add("session-step-skipped", fmt.Sprintf("may not be reached: %s ends or jumps over it (%s %s)", before.where, before.control, before.name))
			}
		}
	}
	switch {
	case steps == 0:
		found = append(found, Finding{ID: "session-step-missing", Says: "the line for PAM is not in " + f.Path + ", so no session ends with its grant"})
	case steps > 1:
		found = append(found, Finding{ID: "session-step-edited", Says: fmt.Sprintf("the line for PAM stands %d times in %s and what it includes", steps, f.Path)})
	}
	return found
}

// skips returns what stands in front of a line of the file and may keep PAM from coming
// to it without refusing the session.
func (f File) skips(at int) (module, bool) {
	var before []module
	for _, l := range f.lines[:at] {
		before = append(before, l.modules...)
	}
	for i, m := range before {
		if !m.apart && (ends(m.control) || jumps(m.control) > steps(before[i+1:])) {
			return m, true
		}
	}
	return module{}, false
}

// steps is how many modules a jump counts: what is in a substack is one.
func steps(list []module) int {
	n := 0
	for i, m := range list {
		if !m.apart || i == 0 || !list[i-1].apart {
			n++
		}
	}
	return n
}

// ends tells whether a control may end the stack with success.
func ends(control string) bool {
	if control == "sufficient" {
		return true
	}
	for pair := range strings.FieldsSeq(control) {
		if _, action, ok := strings.Cut(pair, "="); ok && action == "done" {
			return true
		}
	}
	return false
}

// jumps is over how many modules a control may jump.
func jumps(control string) int {
	most := 0
	for pair := range strings.FieldsSeq(control) {
		if _, action, ok := strings.Cut(pair, "="); ok {
			if n, err := strconv.Atoi(action); err == nil {
				most = max(most, n)
			}
		}
	}
	return most
}
