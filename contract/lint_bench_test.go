package contract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
)

// crowdedTerms are the base terms with n more roles, each with guards, on hosts of
// its own, and a directory of as many people.
func crowdedTerms(t testing.TB, n int) contract.LintInput {
	t.Helper()
	var roles, recertify strings.Builder
	for i := range n {
		fmt.Fprintf(&roles, `  r%d:
    clause: §1
    who: [sre, support]
    hosts: {tier: [t%d]}
    logins: [ops]
    grant: {max: 1h}
    paths:
      - {id: quick, clause: §1, when: 'grant_seconds <= %d && ticket && "sre" in groups && "office" in calendars', auto: true}
      - {id: normal, clause: §1, stages: [{id: lead, from: [leads], quorum: 1, timeout: 15m, sla: 10m}, {id: owner, from: [owners], quorum: 1, timeout: 15m, sla: 10m}]}
`, i, i/2, 600+i)
		fmt.Fprintf(&recertify, "r%d: 90d, ", i)
	}
	e := lintEdits{Terms: [][2]string{{"\nobligations:", "\n" + roles.String() + "obligations:"}, {"recertify: {", "recertify: {" + recertify.String()}}}
	in := e.input(t)
	groups := []string{"sre", "leads", "owners", "soc"}
	for i := range n {
		in.People.People = append(in.People.People, contract.DirectoryPerson{
			ID: fmt.Sprintf("p%d", i), Manager: fmt.Sprintf("m%d", i/8),
			Accounts: []contract.Subject{{Issuer: "https://login.acme.example", Groups: groups[i%4 : i%4+1], GroupsKnown: true}},
		})
	}
	return in
}

// BenchmarkLint: a contract of 200 roles and as many people. The budget is a second.
func BenchmarkLint(b *testing.B) {
	in := crowdedTerms(b, 200)
	for b.Loop() {
		contract.Lint(in)
	}
}
