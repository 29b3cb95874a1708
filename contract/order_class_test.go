package contract_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/contracttest"
	"github.com/sallyport/sallyport/sshcert"
)

// classRow is one change of the terms that use every key, and what it is. The change
// back is the reverse.
type classRow struct {
	path  string // with * for ids
	what  string
	class contract.Class
	do    func(*contract.Terms)
}

func operator(t *contract.Terms) *contract.Role { return roleOf(t, "prod-operator") }

func database(t *contract.Terms) *contract.Role { return roleOf(t, "pci-db") }

func roleOf(t *contract.Terms, id string) *contract.Role {
	r, _ := t.Role(id)
	return r
}

// duty is the obligation of that id.
func duty(t *contract.Terms, id string) *contract.Obligation {
	i := slices.IndexFunc(t.Obligations, func(o contract.Obligation) bool { return o.ID == id })
	return &t.Obligations[i]
}

// line is the signature line of acme's in that capacity.
func line(t *contract.Terms, capacity string) *contract.Signatory {
	i := slices.IndexFunc(t.Signatories, func(s contract.Signatory) bool { return s.Party == "acme" && s.Capacity == capacity })
	return &t.Signatories[i]
}

const (
	less  = contract.Narrowing
	more  = contract.Widening
	same  = contract.Equivalent
	mixed = contract.Mixed
)

var classRows = slices.Concat(classOfParties, classOfRoles, classOfPaths, classOfDuties)

var classOfParties = []classRow{
	{"contract.id", "another", mixed, func(t *contract.Terms) { t.ID = "other" }},
	{"contract.title", "another", same, func(t *contract.Terms) { t.Title = "Other" }},
	{"parties.*", "one fewer", mixed, func(t *contract.Terms) { t.Parties = t.Parties[1:] }},
	{"parties.*.name", "another", same, func(t *contract.Terms) { t.Parties[0].Name = "Other" }},
	{"parties.*.capacity", "none", same, func(t *contract.Terms) { t.Parties[0].Capacity = "" }},
	{"parties.*.notice", "none", same, func(t *contract.Terms) { t.Parties[0].Notice = "" }},
	{"parties.*.roots", "one suffices", mixed, func(t *contract.Terms) { t.Parties[0].Roots.Need = 1 }},
	{"parties.*.roots", "none", mixed, func(t *contract.Terms) { t.Parties[0].Roots = nil }},
	{"signatories.*", "one fewer", mixed, func(t *contract.Terms) { t.Signatories = t.Signatories[1:] }},
	{"signatories.*.need", "two", less, func(t *contract.Terms) { line(t, "ciso").Need = 2 }},
	{"signatories.*.of", "one fewer", less, func(t *contract.Terms) { s := line(t, "ciso"); s.Of = s.Of[:1] }},
	{"signatories.*.of", "another key", mixed, func(t *contract.Terms) { line(t, "ciso").Of[0].PublicKey = fillKey }},
	{"signatories.*.assurance", "verified", less, func(t *contract.Terms) { line(t, "dpo").Assurance = contract.AssuranceSKUV }},
	{"signatories.*.assurance", "any key", more, func(t *contract.Terms) { line(t, "dpo").Assurance = contract.AssuranceSSH }},
	{"signatories.*.assurance", "as strong", same, func(t *contract.Terms) { line(t, "ciso").Assurance = contract.AssuranceWebAuthn }},
	{"signatories.*.only_if", "every class", mixed, func(t *contract.Terms) { line(t, "dpo").OnlyIf = nil }},
	{"effect.not_before", "at once", same, func(t *contract.Terms) { t.Effect.NotBefore = time.Time{} }},
	{"effect.sign_within", "no deadline", same, func(t *contract.Terms) { t.Effect.SignWithin = 0 }},
	{"effect.in_flight", "goes on if it can", more, func(t *contract.Terms) { t.Effect.InFlight = contract.InFlightNarrowed }},
	{"effect.unilateral_narrowing", "nobody", mixed, func(t *contract.Terms) { t.Effect.UnilateralNarrowing = nil }},
	{"effect.conditions.*", "none", more, func(t *contract.Terms) { t.Effect.Conditions = nil }},
	{"effect.conditions.*.clause", "another", same, func(t *contract.Terms) { t.Effect.Conditions[0].Clause = "§9" }},
	{"effect.conditions.*.met_by", "another", mixed, func(t *contract.Terms) { t.Effect.Conditions[0].MetBy = "acme" }},
	{"issuers.*", "one fewer", less, func(t *contract.Terms) { t.Issuers = t.Issuers[:1] }},
	{"issuers.*.url", "another", mixed, func(t *contract.Terms) { t.Issuers[0].URL = "https://other.example" }},
	{"issuers.*.clients.cli", "none", mixed, func(t *contract.Terms) { t.Issuers[0].Clients.CLI = "" }},
	{"issuers.*.clients.web", "none", mixed, func(t *contract.Terms) { t.Issuers[0].Clients.Web = "" }},
	{"issuers.*.algs", "one fewer", less, func(t *contract.Terms) { t.Issuers[0].Algs = t.Issuers[0].Algs[:1] }},
	{"issuers.*.subject", "another", mixed, func(t *contract.Terms) { t.Issuers[0].Subject = "sub" }},
	{"issuers.*.groups", "another", mixed, func(t *contract.Terms) { t.Issuers[0].Groups = "groups" }},
	{"issuers.*.flows", "none", less, func(t *contract.Terms) { t.Issuers[0].Flows = nil }},
	{"groups.*", "one more", same, func(t *contract.Terms) {
		t.Groups = append(t.Groups, contract.Group{ID: "zoo", Issuer: "acme", Claim: "zoo"})
	}},
	{"groups.*", "of others", mixed, func(t *contract.Terms) { t.Groups[0].Claim = "Other" }},
	{"cosigners.*", "none", more, func(t *contract.Terms) { t.Cosigners = nil }},
	{"cosigners.*.party", "another", mixed, func(t *contract.Terms) { t.Cosigners[0].Party = "northwind" }},
	{"cosigners.*.key", "another", mixed, func(t *contract.Terms) { t.Cosigners[0].Key += "x" }},
	{"offices.*", "one fewer", less, func(t *contract.Terms) { t.Offices = t.Offices[1:] }},
	{"offices.*.groups", "one more", more, func(t *contract.Terms) { t.Offices[0].Groups = []string{"soc", "sre"} }},
	{"calendars.*", "unused hours", same, func(t *contract.Terms) { t.Calendars[1].To = 60 }},
	{"calendars.*", "ends sooner", less, func(t *contract.Terms) { t.Calendars[0].To-- }},
	{"calendars.*", "begins later", less, func(t *contract.Terms) { t.Calendars[0].From++ }},
	{"calendars.*", "a day fewer", less, func(t *contract.Terms) { t.Calendars[0].Days = t.Calendars[0].Days[1:] }},
	{"calendars.*", "no holidays", more, func(t *contract.Terms) { t.Calendars[0].Holidays = nil }},
	{"calendars.*", "elsewhere", mixed, func(t *contract.Terms) { t.Calendars[0].Zone = "UTC0" }},
	{"ceilings.grant", "shorter", less, func(t *contract.Terms) { t.Ceilings.Grant -= time.Hour }},
	{"ceilings.cert_ttl", "shorter", less, func(t *contract.Terms) { t.Ceilings.CertTTL -= time.Minute }},
	{"ceilings.break_glass", "shorter", less, func(t *contract.Terms) { t.Ceilings.BreakGlass -= time.Minute }},
	{"ceilings.break_glass", "as any grant", more, func(t *contract.Terms) { t.Ceilings.BreakGlass = 0 }},
	{"ceilings.approval_ttl", "shorter", less, func(t *contract.Terms) { t.Ceilings.ApprovalTTL -= time.Minute }},
	{"ceilings.approval_ttl", "none", more, func(t *contract.Terms) { t.Ceilings.ApprovalTTL = 0 }},
	{"ceilings.quorum", "two", less, func(t *contract.Terms) { t.Ceilings.Quorum = 2 }},
	{"ceilings.claims_max_age.decide", "shorter", less, func(t *contract.Terms) { t.Ceilings.ClaimsMaxAge.Decide -= time.Minute }},
	{"ceilings.claims_max_age.issue", "shorter", less, func(t *contract.Terms) { t.Ceilings.ClaimsMaxAge.Issue -= time.Minute }},
}

var classOfRoles = []classRow{
	{"roles.*", "one fewer", less, func(t *contract.Terms) { t.Roles = t.Roles[:1] }},
	{"roles.*.clause", "another", same, func(t *contract.Terms) { operator(t).Clause = "§9" }},
	{"roles.*.who", "one fewer", less, func(t *contract.Terms) { operator(t).Who = []string{"sre"} }},
	{"roles.*.who", "others", mixed, func(t *contract.Terms) { operator(t).Who = []string{"soc"} }},
	{"roles.*.hosts", "one value fewer", less, func(t *contract.Terms) { h := operator(t).Hosts; h[1].Values = h[1].Values[:1] }},
	{"roles.*.hosts", "one label fewer", more, func(t *contract.Terms) { operator(t).Hosts = operator(t).Hosts[:1] }},
	{"roles.*.hosts", "by another label", mixed, func(t *contract.Terms) { operator(t).Hosts[0].Label = "site" }},
	{"roles.*.hosts", "none", less, func(t *contract.Terms) { operator(t).Hosts = nil }},
	{"roles.*.logins", "one more", more, func(t *contract.Terms) { operator(t).Logins = []sshcert.Login{"deploy", "ops"} }},
	{"roles.*.grant.max", "shorter", less, func(t *contract.Terms) { operator(t).Grant.Max = time.Hour }},
	{"roles.*.cert.ttl", "shorter", less, func(t *contract.Terms) { operator(t).Cert.TTL = time.Minute }},
	{"roles.*.cert.extensions", "none", less, func(t *contract.Terms) { operator(t).Cert.Extensions = nil }},
	{"roles.*.cert.source_address", "one fewer", less, func(t *contract.Terms) { c := &operator(t).Cert; c.SourceAddress = c.SourceAddress[1:] }},
	{"roles.*.cert.source_address", "a part of it", less, prefixes("10.20.7.0/24", "2001:db8::/32")},
	{"roles.*.cert.source_address", "twice as much", more, prefixes("10.20.0.0/15", "2001:db8::/32")},
	{"roles.*.cert.source_address", "its two halves", same, prefixes("10.20.0.0/17", "10.20.128.0/17", "2001:db8::/32")},
	{"roles.*.cert.source_address", "elsewhere", mixed, prefixes("10.21.0.0/16", "2001:db8::/32")},
	{"roles.*.cert.source_address", "anywhere", more, prefixes()},
	{"roles.*.cert.force_command", "any", more, func(t *contract.Terms) { database(t).Cert.ForceCommand = "" }},
	{"roles.*.cert.force_command", "another", mixed, func(t *contract.Terms) { database(t).Cert.ForceCommand = "/bin/sh" }},
	{"roles.*.cert.keys", "one fewer", less, func(t *contract.Terms) { c := &operator(t).Cert; c.Keys = c.Keys[:1] }},
	{"roles.*.cert.keys", "any", more, func(t *contract.Terms) { operator(t).Cert.Keys = nil }},
	{"roles.*.cert.keys", "another", mixed, func(t *contract.Terms) { database(t).Cert.Keys = []string{"ssh-rsa"} }},
	{"roles.*.cert.verify_required", "off", more, func(t *contract.Terms) { database(t).Cert.VerifyRequired = false }},
	{"roles.*.request.reason.min_words", "more", less, func(t *contract.Terms) { operator(t).Request.MinWords++ }},
	{"roles.*.request.hosts_max", "fewer", less, func(t *contract.Terms) { operator(t).Request.HostsMax-- }},
	{"roles.*.request.hosts_max", "any number", more, func(t *contract.Terms) { operator(t).Request.HostsMax = 0 }},
	{"roles.*.request.ticket.required", "not", more, func(t *contract.Terms) { database(t).Request.Ticket.Required = false }},
	{"roles.*.request.ticket.pattern", "any", more, func(t *contract.Terms) { operator(t).Request.Ticket.Pattern = "" }},
	{"roles.*.request.ticket.pattern", "another", mixed, func(t *contract.Terms) { operator(t).Request.Ticket.Pattern = ".*" }},
	{"roles.*.duties.distinct_across_stages", "not", more, func(t *contract.Terms) { database(t).Duties.DistinctAcrossStages = false }},
	{"roles.*.duties.exclusive_with", "none", more, func(t *contract.Terms) { database(t).Duties.ExclusiveWith = nil }},
	{"roles.*.duties.window", "longer", less, func(t *contract.Terms) { database(t).Duties.Window *= 2 }},
	{"roles.*.duties.window", "none", more, func(t *contract.Terms) { database(t).Duties.Window = 0 }},
	{"roles.*.obligations", "one fewer", more, func(t *contract.Terms) { operator(t).Obligations = []string{"log"} }},
	{"roles.*.acknowledge", "not", more, func(t *contract.Terms) { operator(t).Acknowledge = false }},
	{"roles.*.break_glass", "none", less, func(t *contract.Terms) { database(t).BreakGlass = nil }},
	{"roles.*.break_glass.clause", "another", same, func(t *contract.Terms) { database(t).BreakGlass.Clause = "§9" }},
	{"roles.*.break_glass.who", "one more", more, func(t *contract.Terms) { database(t).BreakGlass.Who = []string{"dba", "sre"} }},
	{"roles.*.break_glass.max", "shorter", less, func(t *contract.Terms) { database(t).BreakGlass.Max -= time.Minute }},
	{"roles.*.break_glass.cap", "one", less, func(t *contract.Terms) { database(t).BreakGlass.Cap = 1 }},
	{"roles.*.break_glass.window", "longer", less, func(t *contract.Terms) { database(t).BreakGlass.Window *= 2 }},
	{"roles.*.break_glass.notify.groups", "one fewer", more, func(t *contract.Terms) { database(t).BreakGlass.Notify = []string{"soc"} }},
	{"roles.*.break_glass.notify.within", "sooner", less, func(t *contract.Terms) { database(t).BreakGlass.Within = time.Minute }},
	{"roles.*.break_glass.review.by", "one more", more, func(t *contract.Terms) { database(t).BreakGlass.Review.By = []string{"pci-owners", "soc"} }},
	{"roles.*.break_glass.review.within", "sooner", less, func(t *contract.Terms) { database(t).BreakGlass.Review.Within = time.Hour }},
	{"roles.*.break_glass.review.else", "milder", more, func(t *contract.Terms) { database(t).BreakGlass.Review.Else = contract.FindingCritical }},
}

func prefixes(list ...string) func(*contract.Terms) {
	return func(t *contract.Terms) {
		c := &operator(t).Cert
		c.SourceAddress = nil
		for _, p := range list {
			c.SourceAddress = append(c.SourceAddress, netip.MustParsePrefix(p))
		}
	}
}

// lead is the one stage of the operator's second path, which escalates; peer the
// first of two of the database's only path.
func lead(t *contract.Terms) *contract.Stage { return &operator(t).Paths[1].Stages[0] }

func peer(t *contract.Terms) *contract.Stage { return &database(t).Paths[0].Stages[0] }

// All of them are of roles.*.paths, but for what a role's duties say of stages.
var classOfPaths = []classRow{
	{"roles.*.paths", "the last goes", less, func(t *contract.Terms) { operator(t).Paths = operator(t).Paths[:1] }},
	// A request of which the guard asks something unknown was denied, and is decided now.
	{"roles.*.paths", "the first goes", mixed, func(t *contract.Terms) { operator(t).Paths = operator(t).Paths[1:] }},
	{"roles.*.paths", "a guard that holds for longer", more, guardOf("3600", "7200")},
	{"roles.*.paths", "a guard that asks for less", more, guardOf(" && ticket", "")},
	{"roles.*.paths", "a guard for other days", mixed, guardOf(`"de-business"`, `"weekend"`)},
	{"roles.*.paths", "a guard written another way", same, guardOf("grant_seconds <= 3600", "!(grant_seconds > 3600)")},
	{"roles.*.paths", "another name", same, func(t *contract.Terms) { operator(t).Paths[1].ID = "usual" }},
	{"roles.*.paths", "another clause", same, func(t *contract.Terms) { operator(t).Paths[1].Clause = "§9" }},
	{"roles.*.paths", "a stage fewer", more, func(t *contract.Terms) { p := &database(t).Paths[0]; p.Stages = p.Stages[:1] }},
	{"roles.*.paths", "the stages swapped", mixed, func(t *contract.Terms) { slices.Reverse(database(t).Paths[0].Stages) }},
	{"roles.*.paths", "one more asked", more, func(t *contract.Terms) { peer(t).From = []string{"dba", "soc", "sre-leads"} }},
	{"roles.*.paths", "others asked", mixed, func(t *contract.Terms) { peer(t).From = []string{"soc"} }},
	{"roles.*.paths", "a quorum of two", less, func(t *contract.Terms) { peer(t).Quorum = 2 }},
	{"roles.*.paths", "more, of more", mixed, func(t *contract.Terms) { s := peer(t); s.Quorum, s.From = 2, []string{"dba", "soc", "sre-leads"} }},
	{"roles.*.paths", "expires sooner", less, func(t *contract.Terms) { peer(t).Timeout -= time.Minute }},
	{"roles.*.paths", "escalates sooner", mixed, func(t *contract.Terms) { lead(t).Timeout -= time.Minute }},
	{"roles.*.paths", "escalates to one more", more, func(t *contract.Terms) { lead(t).Escalate.To = []string{"dba", "soc"} }},
	{"roles.*.paths", "expires sooner after it escalated", less, func(t *contract.Terms) { lead(t).Escalate.Timeout -= time.Minute }},
	{"roles.*.paths", "does not escalate", less, func(t *contract.Terms) { lead(t).Escalate = nil }},
	{"roles.*.paths", "no delegates", less, func(t *contract.Terms) { lead(t).Delegates = nil }},
	{"roles.*.paths", "one more delegate", more, func(t *contract.Terms) { lead(t).Delegates = []string{"soc", "sre"} }},
	{"roles.*.paths", "a first decision sooner", less, func(t *contract.Terms) { lead(t).SLA = time.Minute }},
	{"roles.*.paths", "no first decision promised", more, func(t *contract.Terms) { lead(t).SLA = 0 }},
	{"roles.*.paths", "decided in any session", more, func(t *contract.Terms) { lead(t).Assurance = contract.ApprovalSession }},
	{"roles.*.paths", "decided by a passkey", less, func(t *contract.Terms) { lead(t).Assurance = contract.ApprovalWebAuthn }},
	{"roles.*.paths", "a passkey for a FIDO key", mixed, func(t *contract.Terms) { peer(t).Assurance = contract.ApprovalSK }},
	{"roles.*.paths", "nobody asked, if it is known how many hosts", mixed, func(t *contract.Terms) {
		p := &operator(t).Paths[1]
		p.When, p.Auto, p.Stages = "hosts >= 1", true, nil
	}},
}

func guardOf(old, with string) func(*contract.Terms) {
	return func(t *contract.Terms) {
		p := &operator(t).Paths[0]
		p.When = strings.Replace(p.When, old, with, 1)
	}
}

var classOfDuties = []classRow{
	{"roles.*.duties.not_same_manager", "none", more, func(t *contract.Terms) { database(t).Duties.NotSameManager = nil }},
	{"obligations.*", "one fewer", more, func(t *contract.Terms) { t.Obligations = t.Obligations[1:] }},
	{"obligations.*.clause", "another", same, func(t *contract.Terms) { duty(t, "log").Clause = "§9" }},
	{"obligations.*.duty", "another", mixed, func(t *contract.Terms) { duty(t, "log").Duty = contract.DutyRecord }},
	{"obligations.*.within", "sooner", less, func(t *contract.Terms) { duty(t, "log").Within = time.Second }},
	{"obligations.*.heartbeat", "none", more, func(t *contract.Terms) { duty(t, "log").Heartbeat = 0 }},
	{"obligations.*.hosts", "sooner", less, func(t *contract.Terms) { duty(t, "revoke").Hosts = time.Minute }},
	{"obligations.*.party", "another", mixed, func(t *contract.Terms) { duty(t, "tell-acme").Party = "northwind" }},
	{"obligations.*.else", "harder", less, func(t *contract.Terms) { duty(t, "log").Else = contract.SuspendRole }},
	{"obligations.*.else", "milder", more, func(t *contract.Terms) { duty(t, "revoke").Else = contract.FindingHigh }},
	{"review.contract", "never", more, func(t *contract.Terms) { t.Review.Contract = 0 }},
	{"review.recertify.*", "sooner", less, func(t *contract.Terms) { t.Review.Recertify["pci-db"] = time.Hour }},
	{"review.recertify.*", "never", more, func(t *contract.Terms) { delete(t.Review.Recertify, "pci-db") }},
	{"review.due", "sooner", less, func(t *contract.Terms) { t.Review.Due = time.Hour }},
	{"review.undecided", "revoked", less, func(t *contract.Terms) { t.Review.Undecided = "revoke" }},
	{"review.unused_for", "never", more, func(t *contract.Terms) { t.Review.UnusedFor = 0 }},
	{"review.reviewer_not", "one fewer", more, func(t *contract.Terms) { t.Review.ReviewerNot = []string{"subject"} }},
	{"monitoring.checks", "none", more, func(t *contract.Terms) { t.Monitoring.Checks = "" }},
	{"monitoring.triage.critical", "sooner", less, func(t *contract.Terms) { t.Monitoring.TriageCritical = time.Hour }},
	{"monitoring.triage.high", "none", more, func(t *contract.Terms) { t.Monitoring.TriageHigh = 0 }},
	{"monitoring.outliers", "none", more, func(t *contract.Terms) { t.Monitoring.Outliers = "" }},
	{"frameworks.*", "one fewer", same, func(t *contract.Terms) { t.Frameworks = t.Frameworks[1:] }},
	{"frameworks.*.controls", "one fewer", same, func(t *contract.Terms) { f := &t.Frameworks[0]; f.Controls = f.Controls[1:] }},
	{"law.governing", "another", same, func(t *contract.Terms) { t.Law.Governing = "FR" }},
	{"law.precedence", "none", same, func(t *contract.Terms) { t.Law.Precedence = "" }},
	{"law.severable", "not", same, func(t *contract.Terms) { t.Law.Severable = false }},
	{"law.terminate.clause", "another", same, func(t *contract.Terms) { t.Law.Terminate.Clause = "§9" }},
	{"law.terminate.clause", "none", mixed, func(t *contract.Terms) { t.Law.Terminate.Clause = "" }},
	{"law.terminate.notice", "shorter", mixed, func(t *contract.Terms) { t.Law.Terminate.Notice = time.Hour }},
	{"law.terminate.for_cause", "not", mixed, func(t *contract.Terms) { t.Law.Terminate.Cause = false }},
	{"retention.clause", "another", same, func(t *contract.Terms) { t.Retention.Clause = "§9" }},
	{"retention.period", "longer", less, func(t *contract.Terms) { t.Retention.Period *= 2 }},
}

// TestPromiseP10_ClassOfEachTerm says for every path of the terms which way allows
// less, and that the way back is the reverse.
func TestPromiseP10_ClassOfEachTerm(t *testing.T) {
	t.Parallel()
	full := fullTerms(t)
	for _, tt := range classRows {
		t.Run(tt.path+" "+tt.what, func(t *testing.T) {
			t.Parallel()
			changed := contracttest.Clone(full)
			tt.do(changed)
			back := map[contract.Class]contract.Class{less: more, more: less, same: same, mixed: mixed}[tt.class]
			for _, way := range []struct {
				name     string
				from, to *contract.Terms
				want     contract.Class
			}{{"there", full, changed, tt.class}, {"back", changed, full, back}} {
				got := contract.Compare(way.from, way.to)
				if got.Class != way.want || len(got.Changes) != 1 || starred(got.Changes[0].Path) != tt.path || got.Constitutional != constitutional(tt.path) {
					t.Errorf("%s: %+v, want %s at %s", way.name, got, way.want, tt.path)
				}
			}
		})
	}
}

// A role takes with it how often it is looked at again: one party that may narrow
// alone can take a role away.
func TestPromiseP10_RoleGoesWithItsReview(t *testing.T) {
	t.Parallel()
	full := fullTerms(t)
	fewer := contracttest.Clone(full)
	fewer.Roles = slices.DeleteFunc(fewer.Roles, func(r contract.Role) bool { return r.ID == "pci-db" })
	delete(fewer.Review.Recertify, "pci-db")
	if there, back := contract.Compare(full, fewer), contract.Compare(fewer, full); there.Class != less || back.Class != more || len(there.Changes) != 2 {
		t.Errorf("%+v, back %+v", there, back)
	}
	// That of the other role is none of its business.
	delete(fewer.Review.Recertify, "prod-operator")
	if got := contract.Compare(full, fewer); got.Class != mixed {
		t.Errorf("%+v", got)
	}
}

// No path is left out above: whatever field of the terms changes.
func TestClassRowsAreAllPaths(t *testing.T) {
	t.Parallel()
	has := make(map[string]bool)
	for _, row := range classRows {
		has[row.path] = true
	}
	full := everyField()
	eachField(t, full, func(at string, changed *contract.Terms) {
		for _, change := range contract.Compare(full, changed).Changes {
			if path := starred(change.Path); !has[path] {
				t.Errorf("%s: no row for %s", at, path)
			}
		}
	})
}

// starred writes a path with * for the ids in it.
func starred(path string) string {
	parts := strings.Split(path, ".")
	switch {
	case parts[0] == "signatories":
		parts = slices.Replace(parts, 1, 3, "*")
	case len(parts) > 2 && (parts[1] == "conditions" || parts[1] == "recertify"):
		parts[2] = "*"
	case len(parts) > 1 && slices.Contains([]string{"parties", "issuers", "groups", "cosigners", "offices", "calendars", "roles", "obligations", "frameworks"}, parts[0]):
		parts[1] = "*"
	}
	return strings.Join(parts, ".")
}

// constitutional says which paths are who the parties are, who signs, and whose word
// counts.
func constitutional(path string) bool {
	section, _, _ := strings.Cut(path, ".")
	return path == "contract.id" || path != "parties.*.notice" &&
		slices.Contains([]string{"parties", "signatories", "effect", "issuers", "cosigners"}, section)
}
