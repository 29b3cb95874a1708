// Package contracttest owns random terms and random changes of them, for the
// tests of what compares, amends and judges terms. Only tests import it.
package contracttest

import (
	"reflect"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// Groups, Calendars and Logins are all that drawn terms know of.
var (
	Groups    = []string{"dba", "leads", "sre"}
	Calendars = []string{"office", "night"}
	Logins    = []sshcert.Login{"dbro", "ops"}
	days      = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
	guards    = []string{
		"grant_seconds <= 3600", "grant_seconds <= 7200", "!(grant_seconds > 3600)", "ticket", "!first_time_host && ticket",
		`"sre" in groups`, `!("sre" in groups)`, `"office" in calendars`, `!("office" in calendars) || ticket`, `"night" in calendars && hosts < 3`,
		`!("sre" in groups && ticket)`, `!("sre" in groups) || !ticket`, `reason_words >= 5`, `"ops" in logins`,
	}
)

// Clone copies terms; keys are shared, as nobody changes them.
func Clone(t *contract.Terms) *contract.Terms {
	out := *t
	separate(reflect.ValueOf(&out).Elem())
	return &out
}

// separate gives v's slices, maps and pointers memory of their own.
func separate(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				separate(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.IsNil() {
			return
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(c, v)
		for i := range c.Len() {
			separate(c.Index(i))
		}
		v.Set(c)
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		c := reflect.New(v.Type().Elem())
		c.Elem().Set(v.Elem())
		separate(c.Elem())
		v.Set(c)
	case reflect.Map:
		if v.IsNil() {
			return
		}
		c := reflect.MakeMap(v.Type())
		for it := v.MapRange(); it.Next(); {
			c.SetMapIndex(it.Key(), it.Value())
		}
		v.Set(c)
	default:
	}
}

// Terms draws the terms of a contract with one or two roles. Parties, signatories
// and issuers are those of base, which it leaves as it is.
func Terms(t *rapid.T, base *contract.Terms) *contract.Terms {
	out := Clone(base)
	issuer := out.Issuers[0].ID
	out.Groups, out.Calendars, out.Roles, out.Offices = nil, nil, nil, nil
	for _, g := range Groups {
		out.Groups = append(out.Groups, contract.Group{ID: g, Issuer: issuer, Claim: g})
	}
	for _, id := range Calendars {
		out.Calendars = append(out.Calendars, contract.Calendar{ID: id, Zone: "UTC0", Days: days[:5], From: 480, To: 1080})
	}
	out.Ceilings.Grant = 8 * time.Hour
	for _, id := range []string{"one", "two"}[:rapid.IntRange(1, 2).Draw(t, "roles")] {
		out.Roles = append(out.Roles, Role(t, id))
	}
	return out
}

// Role draws a role.
func Role(t *rapid.T, id string) contract.Role {
	r := contract.Role{
		ID: id, Clause: "§1", Who: some(t, Groups, 1), Logins: some(t, Logins, 1),
		Hosts: []contract.HostLabel{{Label: "env", Values: some(t, []string{"prod", "test"}, 1)}},
		Grant: contract.GrantLimits{Max: hours(t)},
		Cert:  contract.CertLimits{TTL: 5 * time.Minute, Extensions: some(t, []string{"permit-pty", "permit-user-rc"}, 0)},
		Request: contract.RequestLimits{
			MinWords: rapid.IntRange(1, 6).Draw(t, "words"), HostsMax: rapid.IntRange(0, 4).Draw(t, "hosts"),
			Ticket: contract.Ticket{Required: rapid.Bool().Draw(t, "ticket")},
		},
		Duties: contract.Separation{DistinctAcrossStages: rapid.Bool().Draw(t, "distinct"), NotSameManager: some(t, []string{"first", "then"}, 0)},
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "guarded") {
		r.Paths = append(r.Paths, path(t, []string{"quick", "normal"}[i], rapid.SampledFrom(guards).Draw(t, "when")))
	}
	if len(r.Paths) == 0 || rapid.Bool().Draw(t, "last") {
		r.Paths = append(r.Paths, path(t, "last", ""))
	}
	return r
}

func path(t *rapid.T, id, when string) contract.Path {
	p := contract.Path{ID: id, Clause: "§1", When: when}
	if when != "" && rapid.Bool().Draw(t, "auto") {
		p.Auto = true
		return p
	}
	for _, s := range []string{"first", "then"}[:rapid.IntRange(1, 2).Draw(t, "stages")] {
		p.Stages = append(p.Stages, Stage(t, s))
	}
	return p
}

// Stage draws a stage.
func Stage(t *rapid.T, id string) contract.Stage {
	s := contract.Stage{
		ID: id, From: some(t, Groups, 1), Quorum: rapid.IntRange(1, 2).Draw(t, "quorum"), Timeout: hours(t),
		Assurance: rapid.SampledFrom(approvals).Draw(t, "assurance"),
	}
	if rapid.IntRange(0, 3).Draw(t, "escalates") == 0 {
		s.Escalate = &contract.Escalation{To: some(t, Groups, 1), Timeout: hours(t)}
	}
	return s
}

var approvals = []contract.Approval{contract.ApprovalSession, contract.ApprovalFresh, contract.ApprovalWebAuthn, contract.ApprovalSK}

func hours(t *rapid.T) time.Duration {
	return time.Duration(rapid.IntRange(1, 4).Draw(t, "hours")) * time.Hour
}

// some draws members of all, at least so many, in their order.
func some[E any](t *rapid.T, all []E, least int) []E {
	var out []E
	for i, v := range all {
		if must := least - len(out); len(all)-i <= must || rapid.Bool().Draw(t, "member") {
			out = append(out, v)
		}
	}
	return out
}

// Mutate changes one thing of the first role, or of the calendars that its guards
// may use.
func Mutate(t *rapid.T, terms *contract.Terms) {
	r := &terms.Roles[0]
	fresh := Role(t, r.ID)
	p := &r.Paths[rapid.IntRange(0, len(r.Paths)-1).Draw(t, "path")]
	changes := []func(){
		func() { r.Who = fresh.Who },
		func() { r.Logins = fresh.Logins },
		func() { r.Hosts = fresh.Hosts },
		func() { r.Grant = fresh.Grant },
		func() { r.Cert = fresh.Cert },
		func() { r.Request.MinWords = fresh.Request.MinWords },
		func() { r.Request.HostsMax = fresh.Request.HostsMax },
		func() { r.Request.Ticket = fresh.Request.Ticket },
		func() { r.Duties.DistinctAcrossStages = fresh.Duties.DistinctAcrossStages },
		func() { r.Duties.NotSameManager = fresh.Duties.NotSameManager },
		func() { r.Paths = fresh.Paths },
		func() { r.Paths = r.Paths[:max(1, len(r.Paths)-1)] },
		func() {
			if p.When != "" {
				p.When = rapid.SampledFrom(guards).Draw(t, "when")
			}
		},
		func() {
			c := &terms.Calendars[rapid.IntRange(0, 1).Draw(t, "calendar")]
			c.From = rapid.IntRange(0, 11).Draw(t, "from") * 60
			c.Days = some(t, days, 1)
		},
		func() { terms.Roles = append(terms.Roles[:1], Role(t, "two")) },
		func() { terms.Roles = terms.Roles[:1] },
	}
	for i := range p.Stages {
		s, drawn := &p.Stages[i], Stage(t, p.Stages[i].ID)
		changes = append(
			changes,
			func() { s.From = drawn.From }, func() { s.Quorum = drawn.Quorum }, func() { s.Timeout = drawn.Timeout },
			func() { s.Escalate = drawn.Escalate }, func() { s.Assurance = drawn.Assurance },
			func() {
				if len(p.Stages) > 1 {
					p.Stages = slices.Delete(p.Stages, i, i+1)
				}
			},
		)
	}
	rapid.SampledFrom(changes).Draw(t, "change")()
}
