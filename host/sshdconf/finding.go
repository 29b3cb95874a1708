package sshdconf

import (
	"cmp"
	"slices"
	"strings"
)

// Severity says what a finding means for the promise that only the ledger opens a host.
type Severity string

// The severities, worst first.
const (
	Bypass Severity = "bypass" // a way in that does not ask the verifier
	Weak   Severity = "weak"   // a setting that is weaker than it should be, or that locks people out
	Note   Severity = "note"   // worth knowing
)

var order = []Severity{Bypass, Weak, Note}

// Finding is one thing that is not as it should be, with its mend.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Says     string   `json:"says"`            // one sentence
	Mend     string   `json:"mend"`            // what to do
	Where    []string `json:"where,omitempty"` // Match blocks and users that it holds for; empty: everybody
	Line     string   `json:"line,omitempty"`  // the line of the configuration that sets it, if one does: FILE:NUMBER
}

// Worst is the worst severity among findings, empty if there are none.
func Worst(findings []Finding) Severity {
	worst := Severity("")
	for _, f := range findings {
		if worst == "" || slices.Index(order, f.Severity) < slices.Index(order, worst) {
			worst = f.Severity
		}
	}
	return worst
}

// findings collects what is found in several places and says each thing once.
type findings struct{ list []Finding }

func (f *findings) add(where string, found ...Finding) {
	for _, one := range found {
		i := slices.IndexFunc(f.list, func(have Finding) bool { return have.ID == one.ID && have.Says == one.Says })
		switch {
		case i < 0 && where == "":
			f.list = append(f.list, one)
		case i < 0:
			one.Where = []string{where}
			f.list = append(f.list, one)
		case len(f.list[i].Where) == 0: // holds for everybody already
		case where == "":
			f.list[i].Where = nil
		case !slices.Contains(f.list[i].Where, where):
			f.list[i].Where = append(f.list[i].Where, where)
		}
	}
}

// sorted is all that was found, the worst first.
func (f *findings) sorted() []Finding {
	Sort(f.list)
	return f.list
}

// Sort puts the worst first.
func Sort(list []Finding) {
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order, a.Severity), slices.Index(order, b.Severity)),
			strings.Compare(a.ID, b.ID), strings.Compare(a.Says, b.Says),
		)
	})
}
