package contract_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
)

// Each part of the terms that nothing enforces is named by its path, and what is
// enforced is not.
func TestUnenforced(t *testing.T) {
	t.Parallel()
	terms := func(change func(*contract.Terms, *contract.Role, *contract.Stage)) *contract.Terms {
		out := &contract.Terms{Roles: []contract.Role{{ID: "prod", Paths: []contract.Path{
			{ID: "normal", Stages: []contract.Stage{{ID: "lead", Assurance: contract.ApprovalSession}, {ID: "owner"}}},
		}}}}
		change(out, &out.Roles[0], &out.Roles[0].Paths[0].Stages[1])
		return out
	}
	if got := contract.Unenforced(terms(func(_ *contract.Terms, r *contract.Role, _ *contract.Stage) {
		r.Cert.ForceCommand, r.Cert.VerifyRequired = "/usr/bin/true", true
		r.Duties = contract.Separation{DistinctAcrossStages: true, ExclusiveWith: []string{"other"}}
		r.Request = contract.RequestLimits{MinWords: 5, HostsMax: 1, Ticket: contract.Ticket{Required: true}}
	})); len(got) != 0 {
		t.Errorf("of what is enforced: %v", got)
	}
	for want, change := range map[string]func(*contract.Terms, *contract.Role, *contract.Stage){
		"roles.prod.paths[0].stages[1].escalate: ": func(_ *contract.Terms, _ *contract.Role, s *contract.Stage) {
			s.Escalate = &contract.Escalation{To: []string{"soc"}}
		},
		"roles.prod.paths[0].stages[1].delegates: ": func(_ *contract.Terms, _ *contract.Role, s *contract.Stage) { s.Delegates = []string{"soc"} },
		"roles.prod.paths[0].stages[1].assurance: ": func(_ *contract.Terms, _ *contract.Role, s *contract.Stage) { s.Assurance = contract.ApprovalSK },
		"roles.prod.break_glass: ":                  func(_ *contract.Terms, r *contract.Role, _ *contract.Stage) { r.BreakGlass = &contract.BreakGlass{} },
		"roles.prod.duties.not_same_manager: ": func(_ *contract.Terms, r *contract.Role, _ *contract.Stage) {
			r.Duties.NotSameManager = []string{"owner"}
		},
		"roles.prod.acknowledge: ": func(_ *contract.Terms, r *contract.Role, _ *contract.Stage) { r.Acknowledge = true },
		"obligations.record.else: ": func(t *contract.Terms, _ *contract.Role, _ *contract.Stage) {
			t.Obligations = []contract.Obligation{{ID: "log", Else: contract.FindingHigh}, {ID: "record", Else: contract.SuspendRole}}
		},
	} {
		got := contract.Unenforced(terms(change))
		if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) || len(got) != 1 {
			t.Errorf("%v, want one that begins with %q", got, want)
		}
	}
}
