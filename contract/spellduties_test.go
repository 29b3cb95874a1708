package contract_test

import (
	"fmt"
	"reflect"
	"time"

	"github.com/sallyport/sallyport/contract"
)

// set adds a key unless its value is the one that an absent key has.
func (m mapping) set(key string, value any) {
	switch v := value.(type) {
	case time.Duration:
		if v != 0 {
			m[key] = contract.FormatDuration(v)
		}
	case string:
		if v != "" {
			m[key] = v
		}
	case int:
		if v != 0 {
			m[key] = v
		}
	case bool:
		if v {
			m[key] = v
		}
	default:
		list := reflect.ValueOf(value)
		var out set
		for i := range list.Len() {
			out = append(out, fmt.Sprint(list.Index(i)))
		}
		if out != nil {
			m[key] = out
		}
	}
}

func treeOfClients(c contract.Clients) mapping {
	m := mapping{}
	m.set("cli", c.CLI)
	m.set("web", c.Web)
	return m
}

// treeOfDuties adds what stands outside of roles.
func treeOfDuties(root mapping, terms *contract.Terms) {
	effect := mapping{"in_flight": string(terms.Effect.InFlight)}
	if !terms.Effect.NotBefore.IsZero() {
		effect["not_before"] = terms.Effect.NotBefore.Format("2006-01-02T15:04:05Z")
	}
	effect.set("sign_within", terms.Effect.SignWithin)
	effect.set("unilateral_narrowing", terms.Effect.UnilateralNarrowing)
	byID := func(under mapping, key string, members mapping) {
		if len(members) > 0 {
			under[key] = members
		}
	}
	conditions, calendars, obligations, frameworks, recertify := mapping{}, mapping{}, mapping{}, mapping{}, mapping{}
	for _, c := range terms.Effect.Conditions {
		conditions[c.ID] = mapping{"clause": c.Clause, "met_by": c.MetBy}
	}
	byID(effect, "conditions", conditions)
	root["effect"] = effect
	for _, c := range terms.Calendars {
		m := mapping{"zone": c.Zone, "days": set(c.Days), "from": fmt.Sprintf("%02d:%02d", c.From/60, c.From%60), "to": fmt.Sprintf("%02d:%02d", c.To/60, c.To%60)}
		m.set("holidays", c.Holidays)
		calendars[c.ID] = m
	}
	byID(root, "calendars", calendars)
	for _, o := range terms.Obligations {
		m := mapping{"clause": o.Clause, "duty": string(o.Duty), "within": contract.FormatDuration(o.Within), "else": string(o.Else)}
		m.set("heartbeat", o.Heartbeat)
		m.set("hosts", o.Hosts)
		m.set("party", o.Party)
		obligations[o.ID] = m
	}
	byID(root, "obligations", obligations)
	for _, f := range terms.Frameworks {
		frameworks[f.ID] = set(f.Controls)
	}
	byID(root, "frameworks", frameworks)
	review := mapping{}
	review.set("contract", terms.Review.Contract)
	review.set("due", terms.Review.Due)
	review.set("undecided", terms.Review.Undecided)
	review.set("unused_for", terms.Review.UnusedFor)
	review.set("reviewer_not", terms.Review.ReviewerNot)
	for role, every := range terms.Review.Recertify {
		recertify.set(role, every)
	}
	byID(review, "recertify", recertify)
	root["review"] = review
	monitoring, triage := mapping{}, mapping{}
	monitoring.set("checks", terms.Monitoring.Checks)
	monitoring.set("outliers", terms.Monitoring.Outliers)
	triage.set("critical", terms.Monitoring.TriageCritical)
	triage.set("high", terms.Monitoring.TriageHigh)
	monitoring["triage"] = triage
	root["monitoring"] = monitoring
	law := mapping{"severable": terms.Law.Severable}
	law.set("governing", terms.Law.Governing)
	law.set("precedence", terms.Law.Precedence)
	if end := terms.Law.Terminate; end.Clause != "" {
		law["terminate"] = mapping{"clause": end.Clause, "notice": contract.FormatDuration(end.Notice), "for_cause": end.Cause}
	}
	root["law"] = law
}
