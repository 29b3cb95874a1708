package contract

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

const maxControl = 64 // characters of a framework's control

func (r *reader) effect(n node) Effect {
	o := r.object(n, "not_before", "sign_within", "in_flight", "unilateral_narrowing", "conditions")
	e := Effect{SignWithin: r.optional(o, "sign_within"), InFlight: InFlightNarrowed}
	if n, ok := o.get("not_before"); ok {
		e.NotBefore = r.moment(n)
	}
	if n, ok := o.get("in_flight"); ok {
		e.InFlight = oneOf(r, n, inFlights)
	}
	if n, ok := o.get("unilateral_narrowing"); ok {
		e.UnilateralNarrowing = r.ids(n, "parties")
	}
	if n, ok := o.get("conditions"); ok {
		for _, c := range r.entries(n, "conditions") {
			o := r.object(c.value, "clause", "met_by")
			e.Conditions = append(e.Conditions, Condition{ID: c.id, Clause: r.clause(o.need("clause")), MetBy: r.id(o.need("met_by"))})
		}
	}
	return e
}

func (r *reader) calendar(e entry) Calendar {
	o := r.object(e.value, "zone", "days", "from", "to", "holidays")
	c := Calendar{
		ID:   e.id,
		Zone: r.zone(o.need("zone")),
		Days: inOrder(r, o.need("days"), "days", weekdays),
		To:   24 * 60,
	}
	if n, ok := o.get("from"); ok {
		c.From = r.minutes(n)
		if r.err == nil && c.From == 24*60 {
			r.fail(n, "a day's hours begin at 23:59 at the latest")
		}
	}
	if n, ok := o.get("to"); ok {
		c.To = r.minutes(n)
		if r.err == nil && c.To <= c.From {
			r.fail(n, "the hours end at %s, not after they begin, at %s; hours across midnight are two calendars", clockTime(c.To), clockTime(c.From))
		}
	}
	if n, ok := o.get("holidays"); ok {
		c.Holidays = r.set(n, "holidays", false, r.date)
	}
	return c
}

// zone reads the rules of a time zone.
func (r *reader) zone(n node) string {
	s := r.scalar(n, "the rules of a time zone")
	if _, err := ParseZone(s); r.err == nil && err != nil {
		r.fail(n, "%v", err)
	}
	return s
}

var minutesPattern = regexp.MustCompile(`^(?:[01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$`)

// minutes reads a time of day as minutes after midnight.
func (r *reader) minutes(n node) int {
	s := r.match(n, `a time of day in quotes such as "08:00"`, minutesPattern, `write hours and minutes, "00:00" to "24:00"`)
	if r.err != nil {
		return 0
	}
	digit := func(i int) int { return int(s[i] - '0') }
	return (10*digit(0)+digit(1))*60 + 10*digit(3) + digit(4)
}

// clockTime writes minutes after midnight as terms do.
func clockTime(minutes int) string {
	return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60)
}

// date reads a day.
func (r *reader) date(n node) string {
	const expected = `a date in quotes such as "2026-12-25"`
	s := r.scalar(n, expected)
	if r.err != nil {
		return ""
	}
	if t, err := time.Parse(time.DateOnly, s); err != nil || t.Format(time.DateOnly) != s || t.Year() < 2000 || t.Year() > 2200 {
		r.fail(n, "expected %s from 2000 to 2200, found %q", expected, strictyaml.Clip(s))
	}
	return s
}

// duties reads what the parties owe besides access: the keys of o from
// obligations to law.
func (r *reader) duties(o object, t *Terms) {
	if n, ok := o.get("obligations"); ok {
		for _, e := range r.entries(n, "obligations") {
			t.Obligations = append(t.Obligations, r.obligation(e))
		}
	}
	if n, ok := o.get("review"); ok {
		t.Review = r.review(n)
	}
	if n, ok := o.get("monitoring"); ok {
		t.Monitoring = r.monitoring(n)
	}
	if n, ok := o.get("frameworks"); ok {
		for _, e := range r.entries(n, "frameworks") {
			controls := r.set(e.value, "controls", false, func(n node) string { return r.text(n, maxControl) })
			t.Frameworks = append(t.Frameworks, Framework{ID: e.id, Controls: controls})
		}
	}
	if n, ok := o.get("law"); ok {
		t.Law = r.law(n)
	}
}

func (r *reader) obligation(e entry) Obligation {
	o := r.object(e.value, "clause", "duty", "within", "heartbeat", "hosts", "party", "else")
	ob := Obligation{
		ID:        e.id,
		Clause:    r.clause(o.need("clause")),
		Duty:      oneOf(r, o.need("duty"), duties),
		Within:    r.duration(o.need("within"), MinGrant),
		Heartbeat: r.optional(o, "heartbeat"),
		Hosts:     r.optional(o, "hosts"),
		Else:      oneOf(r, o.need("else"), consequences),
	}
	if n, ok := o.get("party"); ok {
		ob.Party = r.id(n)
	}
	for _, only := range []struct {
		key  string
		duty Duty
	}{{"heartbeat", DutyLog}, {"hosts", DutyRevoke}, {"party", DutyNotify}} {
		if n, ok := o.get(only.key); ok && ob.Duty != only.duty {
			r.fail(n, "%s belongs to the duty %s; this one is %s", only.key, only.duty, ob.Duty)
		}
	}
	if ob.Duty == DutyNotify && r.err == nil {
		o.need("party")
	}
	return ob
}

// undecideds is what becomes of access that nobody has decided about when a
// review is due.
var undecideds = []string{"revoke", "keep"}

func (r *reader) review(n node) Review {
	o := r.object(n, "contract", "recertify", "due", "undecided", "unused_for", "reviewer_not")
	v := Review{Contract: r.optional(o, "contract"), Due: r.optional(o, "due"), UnusedFor: r.optional(o, "unused_for")}
	if n, ok := o.get("recertify"); ok {
		v.Recertify = make(map[string]time.Duration)
		for _, e := range r.entries(n, "roles") {
			v.Recertify[e.id] = r.duration(e.value, MinGrant)
		}
		v.Undecided = undecideds[0]
		o.need("due")
	}
	if n, ok := o.get("undecided"); ok {
		v.Undecided = r.oneOf(n, undecideds)
	}
	if n, ok := o.get("reviewer_not"); ok {
		v.ReviewerNot = r.set(n, "reviewers", false, func(n node) string { return r.oneOf(n, []string{"subject", "sole-approver"}) })
	}
	for _, key := range []string{"due", "undecided", "reviewer_not"} {
		if n, ok := o.get(key); ok && v.Recertify == nil {
			r.fail(n, "%s belongs to recertify; name the roles that are reviewed", key)
		}
	}
	return v
}

func (r *reader) monitoring(n node) Monitoring {
	o := r.object(n, "checks", "triage", "outliers")
	var m Monitoring
	if n, ok := o.get("checks"); ok {
		m.Checks = r.oneOf(n, []string{"daily"})
	}
	if n, ok := o.get("triage"); ok {
		triage := r.object(n, "critical", "high")
		m.TriageCritical, m.TriageHigh = r.optional(triage, "critical"), r.optional(triage, "high")
	}
	if n, ok := o.get("outliers"); ok {
		m.Outliers = r.oneOf(n, []string{"default-v1"})
	}
	return m
}

func (r *reader) law(n node) Law {
	o := r.object(n, "governing", "precedence", "severable", "terminate")
	l := Law{Severable: r.flag(o, "severable")}
	if n, ok := o.get("governing"); ok {
		l.Governing = r.text(n, maxText)
	}
	if n, ok := o.get("precedence"); ok {
		l.Precedence = r.oneOf(n, []string{"amendment-over-base"})
	}
	if n, ok := o.get("terminate"); ok {
		end := r.object(n, "clause", "notice", "for_cause")
		l.Terminate = Termination{
			Clause: r.clause(end.need("clause")),
			Notice: r.duration(end.need("notice"), MinGrant),
			Cause:  r.flag(end, "for_cause"),
		}
	}
	return l
}

// ids reads a set of one or more ids.
func (r *reader) ids(n node, what string) []string { return r.set(n, what, false, r.id) }

// optional reads a duration that may be left out: it is 0 then.
func (r *reader) optional(o object, key string) time.Duration {
	n, ok := o.get(key)
	if !ok {
		return 0
	}
	return r.duration(n, MinGrant)
}

// flag reads a truth value that may be left out: it is false then.
func (r *reader) flag(o object, key string) bool {
	n, ok := o.get(key)
	return ok && r.boolean(n)
}

// oneOf reads one of known words.
func oneOf[T ~string](r *reader, n node, known []T) T {
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = string(k)
	}
	return T(r.oneOf(n, words))
}

// inOrder reads a set of known words and returns it in their order.
func inOrder[T ~string](r *reader, n node, what string, known []T) []T {
	named := r.set(n, what, false, func(n node) string { return string(oneOf(r, n, known)) })
	var out []T
	for _, k := range known {
		if slices.Contains(named, string(k)) {
			out = append(out, k)
		}
	}
	return out
}
