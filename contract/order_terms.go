package contract

import (
	"strconv"
	"strings"
	"time"
)

// terms compares everything, section by section, as they stand in terms.yaml.
func (c *comparer) terms() {
	compareRows(c, "", c.old, c.new, termsRows)
	compareEntries(c, partyEntries, c.old.Parties, c.new.Parties)
	compareEntries(c, signatoryEntries, c.old.Signatories, c.new.Signatories)
	compareRows(c, "effect", &c.old.Effect, &c.new.Effect, effectRows)
	compareEntries(c, conditionEntries, c.old.Effect.Conditions, c.new.Effect.Conditions)
	compareEntries(c, issuerEntries, c.old.Issuers, c.new.Issuers)
	c.groups()
	compareEntries(c, cosignerEntries, c.old.Cosigners, c.new.Cosigners)
	compareEntries(c, officeEntries, c.old.Offices, c.new.Offices)
	c.calendars()
	compareRows(c, "ceilings", &c.old.Ceilings, &c.new.Ceilings, ceilingRows)
	compareEntries(c, roleEntries(), c.old.Roles, c.new.Roles)
	c.roles()
	compareEntries(c, obligationEntries, c.old.Obligations, c.new.Obligations)
	compareRows(c, "review", &c.old.Review, &c.new.Review, reviewRows)
	c.recertify()
	compareRows(c, "monitoring", &c.old.Monitoring, &c.new.Monitoring, monitoringRows)
	compareEntries(c, frameworkEntries, c.old.Frameworks, c.new.Frameworks)
	compareRows(c, "law", &c.old.Law, &c.new.Law, lawRows)
	compareRows(c, "retention", &c.old.Retention, &c.new.Retention, retentionRows)
}

var termsRows = append(constitution(
	unordered("contract.id", func(t *Terms) string { return t.ID }), // it would be another contract
), metadata("contract.title", func(t *Terms) string { return spellText(t.Title) }))

// A party's name says who is bound, so all sign for a new one, though nothing
// more is allowed by it. Where its notices go is the party's own affair.
var partyRows = append(constitution(
	metadata("name", func(p *Party) string { return spellText(p.Name) }),
	metadata("capacity", func(p *Party) string { return p.Capacity }),
	unordered("roots", func(p *Party) string {
		if p.Roots == nil {
			return ""
		}
		return fields("need", strconv.Itoa(p.Roots.Need), "keys", spellKeys(p.Roots.Keys))
	}),
), metadata("notice", func(p *Party) string { return spellText(p.Notice) }))

var partyEntries = entries[Party]{
	path: "parties", constitutional: true, added: Mixed,
	id: func(p *Party) string { return p.ID }, rows: partyRows, spell: spellRows(partyRows),
}

// More people who may sign, and fewer who must, make the next amendment easier.
// The classes that a line signs can't be compared: a party none of whose lines
// signs an amendment signs it with all of them.
var signatoryRows = constitution(
	moreIsLess("need", func(s *Signatory) int { return s.Need }),
	row[Signatory]{
		path:  "of",
		spell: func(s *Signatory) string { return spellKeys(s.Of) },
		class: func(a, b *Signatory) Class { return subsets(keyLines(a.Of), keyLines(b.Of)) },
	},
	row[Signatory]{
		path:  "assurance",
		spell: func(s *Signatory) string { return string(s.Assurance) },
		class: func(a, b *Signatory) Class { return ordered(strength(b.Assurance), strength(a.Assurance)) },
	},
	unordered("only_if", func(s *Signatory) string { return spellOptional(s.OnlyIf) }),
)

var signatoryEntries = entries[Signatory]{
	path: "signatories", constitutional: true, added: Mixed,
	id: func(s *Signatory) string { return s.Party + "." + s.Capacity }, rows: signatoryRows, spell: spellRows(signatoryRows),
}

func keyLines(keys []Key) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.Name + " " + keyLine(k.PublicKey)
	}
	return out
}

// strength orders assurances; the two that verify the user are equally strong.
func strength(a Assurance) int {
	switch a {
	case AssuranceSSH:
		return 1
	case AssuranceSKUP:
		return 2
	case AssuranceSKUV, AssuranceWebAuthn:
		return 3
	}
	return 0
}

// When a version comes into force allows nothing by itself: until then its parent
// is in force. What must have happened before is one thing more to wait for.
var effectRows = constitution(
	metadata("not_before", func(e *Effect) string {
		if e.NotBefore.IsZero() {
			return ""
		}
		return strconv.Quote(e.NotBefore.UTC().Format(time.RFC3339Nano))
	}),
	metadata("sign_within", func(e *Effect) string { return spellDuration(e.SignWithin) }),
	laterIsLess("in_flight", []InFlight{InFlightNarrowed, InFlightRestart}, func(e *Effect) InFlight { return e.InFlight }),
	unordered("unilateral_narrowing", func(e *Effect) string { return spellOptional(e.UnilateralNarrowing) }),
)

var conditionRows = constitution(
	clause(func(v *Condition) string { return v.Clause }),
	unordered("met_by", func(v *Condition) string { return v.MetBy }),
)

var conditionEntries = entries[Condition]{
	path: "effect.conditions", constitutional: true, added: Narrowing,
	id: func(v *Condition) string { return v.ID }, rows: conditionRows, spell: spellRows(conditionRows),
}

// clause is the reference to the prose. The prose itself is no part of the terms.
func clause[T any](get func(*T) string) row[T] {
	return metadata("clause", func(v *T) string { return spellText(get(v)) })
}

var issuerRows = constitution(
	unordered("url", func(i *Issuer) string { return spellText(i.URL) }),
	unordered("clients.cli", func(i *Issuer) string { return spellText(i.Clients.CLI) }),
	unordered("clients.web", func(i *Issuer) string { return spellText(i.Clients.Web) }),
	subsetIsLess("algs", func(i *Issuer) []string { return i.Algs }),
	unordered("subject", func(i *Issuer) string { return spellText(i.Subject) }),
	unordered("groups", func(i *Issuer) string { return spellText(i.Groups) }),
	subsetIsLess("flows", func(i *Issuer) []Flow { return i.Flows }),
)

var issuerEntries = entries[Issuer]{
	path: "issuers", constitutional: true, added: Widening,
	id: func(i *Issuer) string { return i.ID }, rows: issuerRows, spell: spellRows(issuerRows),
}

// A group that nothing uses allows nothing, whatever it is; the uses of one that
// came or went are changes of their own. One that is used and names other people
// than before can't be compared: some gain what others lose.
func (c *comparer) groups() {
	used := make(map[string]bool)
	for _, t := range []*Terms{c.old, c.new} {
		t.usedGroups(used)
	}
	compareEntries(c, entries[Group]{
		path: "groups", added: Equivalent,
		id:    func(g *Group) string { return g.ID },
		spell: spellGroup,
		rows: []row[Group]{{spell: spellGroup, class: func(a, _ *Group) Class {
			if used[a.ID] {
				return Mixed
			}
			return Equivalent
		}}},
	}, c.old.Groups, c.new.Groups)
}

func spellGroup(g *Group) string { return "oidc:" + g.Issuer + "/" + g.Claim }

// usedGroups adds the groups that the terms use anywhere.
func (t *Terms) usedGroups(used map[string]bool) {
	add := func(lists ...[]string) {
		for _, list := range lists {
			for _, g := range list {
				used[g] = true
			}
		}
	}
	for _, o := range t.Offices {
		add(o.Groups)
	}
	for i := range t.Roles {
		r := &t.Roles[i]
		add(r.Who)
		for _, p := range r.Paths {
			for _, g := range t.Groups {
				if strings.Contains(p.When, `"`+g.ID+`"`) {
					used[g.ID] = true
				}
			}
			for _, s := range p.Stages {
				add(s.From, s.Delegates)
				if s.Escalate != nil {
					add(s.Escalate.To)
				}
			}
		}
		if r.BreakGlass != nil {
			add(r.BreakGlass.Who, r.BreakGlass.Notify, r.BreakGlass.Review.By)
		}
	}
}

// A certificate needs the words of all cosigners: one more is one more who can
// say no.
var cosignerRows = constitution(
	unordered("party", func(v *Cosigner) string { return v.Party }),
	unordered("key", func(v *Cosigner) string { return spellText(v.Key) }),
)

var cosignerEntries = entries[Cosigner]{
	path: "cosigners", constitutional: true, added: Narrowing,
	id: func(v *Cosigner) string { return v.ID }, rows: cosignerRows, spell: spellRows(cosignerRows),
}

// Whoever holds an office may do more than before: more holders widen.
var officeRows = []row[OfficeGroups]{
	subsetIsLess("groups", func(o *OfficeGroups) []string { return o.Groups }),
}

var officeEntries = entries[OfficeGroups]{
	path: "offices", added: Widening,
	id: func(o *OfficeGroups) string { return string(o.Office) }, rows: officeRows, spell: spellRows(officeRows),
}

var ceilingRows = []row[Ceilings]{
	shorterIsLess("grant", func(v *Ceilings) time.Duration { return v.Grant }),
	shorterIsLess("cert_ttl", func(v *Ceilings) time.Duration { return v.CertTTL }),
	{
		path:  "break_glass",
		spell: func(v *Ceilings) string { return spellDuration(v.BreakGlass) },
		class: func(a, b *Ceilings) Class { return ordered(a.breakGlass(), b.breakGlass()) },
	},
	shorterIsLess("approval_ttl", func(v *Ceilings) time.Duration { return v.ApprovalTTL }),
	moreIsLess("quorum", func(v *Ceilings) int { return v.Quorum }),
	shorterIsLess("claims_max_age.decide", func(v *Ceilings) time.Duration { return v.ClaimsMaxAge.Decide }),
	shorterIsLess("claims_max_age.issue", func(v *Ceilings) time.Duration { return v.ClaimsMaxAge.Issue }),
}

// breakGlass is the ceiling that holds if none is set for break-glass.
func (v *Ceilings) breakGlass() time.Duration {
	if v.BreakGlass == 0 {
		return v.Grant
	}
	return v.BreakGlass
}

// A duty that is owed sooner, or whose neglect costs more, is the stricter one.
var obligationRows = []row[Obligation]{
	clause(func(o *Obligation) string { return o.Clause }),
	unordered("duty", func(o *Obligation) string { return string(o.Duty) }),
	shorterIsLess("within", func(o *Obligation) time.Duration { return o.Within }),
	shorterIsLess("heartbeat", func(o *Obligation) time.Duration { return o.Heartbeat }),
	shorterIsLess("hosts", func(o *Obligation) time.Duration { return o.Hosts }),
	unordered("party", func(o *Obligation) string { return o.Party }),
	laterIsLess("else", consequences, func(o *Obligation) Consequence { return o.Else }),
}

var obligationEntries = entries[Obligation]{
	path: "obligations", added: Narrowing,
	id: func(o *Obligation) string { return o.ID }, rows: obligationRows, spell: spellRows(obligationRows),
}

// What is looked at again sooner, and by fewer, lasts less long unseen.
var reviewRows = []row[Review]{
	shorterIsLess("contract", func(v *Review) time.Duration { return v.Contract }),
	shorterIsLess("due", func(v *Review) time.Duration { return v.Due }),
	laterIsLess("undecided", []string{"keep", "revoke"}, func(v *Review) string { return v.Undecided }),
	shorterIsLess("unused_for", func(v *Review) time.Duration { return v.UnusedFor }),
	supersetIsLess("reviewer_not", func(v *Review) []string { return v.ReviewerNot }),
}

// recertify compares how often roles are looked at again. What comes or goes with
// its role is no change of its own.
func (c *comparer) recertify() {
	a, b := c.old.Review.Recertify, c.new.Review.Recertify
	for _, role := range sortedKeys(a, b) {
		r := shorterIsLess(role, func(m *map[string]time.Duration) time.Duration { return (*m)[role] })
		if _, was := c.old.Role(role); !was {
			r = metadata(role, r.spell)
		} else if _, stays := c.new.Role(role); !stays {
			r = metadata(role, r.spell)
		}
		compareRows(c, "review.recertify", &a, &b, []row[map[string]time.Duration]{r})
	}
}

var monitoringRows = []row[Monitoring]{
	setIsLess("checks", func(v *Monitoring) string { return v.Checks }),
	shorterIsLess("triage.critical", func(v *Monitoring) time.Duration { return v.TriageCritical }),
	shorterIsLess("triage.high", func(v *Monitoring) time.Duration { return v.TriageHigh }),
	setIsLess("outliers", func(v *Monitoring) string { return v.Outliers }),
}

var frameworkRows = []row[Framework]{
	metadata("controls", func(f *Framework) string { return spellSet(f.Controls) }),
}

var frameworkEntries = entries[Framework]{
	path: "frameworks", added: Equivalent,
	id:    func(f *Framework) string { return f.ID },
	spell: func(f *Framework) string { return spellSet(f.Controls) },
	rows:  frameworkRows,
}

// How the contract ends can't be compared: what is easier for who ends it is
// harder for the other.
var lawRows = []row[Law]{
	metadata("governing", func(v *Law) string { return spellText(v.Governing) }),
	metadata("precedence", func(v *Law) string { return spellText(v.Precedence) }),
	metadata("severable", func(v *Law) string { return spellSwitch(v.Severable) }),
	{
		path:  "terminate.clause",
		spell: func(v *Law) string { return spellText(v.Terminate.Clause) },
		class: func(a, b *Law) Class {
			if a.Terminate.Clause != "" && b.Terminate.Clause != "" {
				return Equivalent // only the reference to the prose
			}
			return Mixed
		},
	},
	unordered("terminate.notice", func(v *Law) string { return spellDuration(v.Terminate.Notice) }),
	unordered("terminate.for_cause", func(v *Law) string { return spellSwitch(v.Terminate.Cause) }),
}

// Who someone was that acted is evidence: the sooner it is erased, the less those
// who act have to answer for, so longer is the stricter.
var retentionRows = []row[Retention]{
	clause(func(v *Retention) string { return v.Clause }),
	longerIsLess("period", func(v *Retention) time.Duration { return v.Period }),
}

// calendars compares the hours of calendars. Unless a guard uses it, a calendar
// allows nothing.
func (c *comparer) calendars() {
	compareEntries(c, entries[Calendar]{
		path: "calendars", added: Equivalent,
		id:    func(v *Calendar) string { return v.ID },
		spell: spellCalendar,
		rows: []row[Calendar]{{
			spell:   spellCalendar,
			class:   func(a, b *Calendar) Class { class, _ := c.calendar(a, b); return class },
			witness: func(c *comparer, a, b *Calendar) *Witness { _, w := c.calendar(a, b); return w },
		}},
	}, c.old.Calendars, c.new.Calendars)
}

func spellCalendar(v *Calendar) string {
	return fields("zone", strconv.Quote(v.Zone), "days", spellSet(v.Days),
		"from", spellMinutes(v.From), "to", spellMinutes(v.To), "holidays", spellDates(v.Holidays))
}

func spellMinutes(m int) string { return strconv.Quote(clockTime(m)) }

func spellDates(dates []string) string {
	if len(dates) == 0 {
		return ""
	}
	quoted := make([]string, len(dates))
	for i, d := range dates {
		quoted[i] = strconv.Quote(d)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// hours is the class of the hours that a calendar has, as a set.
func (v *Calendar) hours(to *Calendar) Class {
	if v.Zone != to.Zone {
		return Mixed
	}
	inside := func(a, b *Calendar) bool {
		return isSubset(a.Days, b.Days) && a.From >= b.From && a.To <= b.To && isSubset(b.Holidays, a.Holidays)
	}
	return within(inside(to, v), inside(v, to))
}

func roleID(r *Role) string { return r.ID }
