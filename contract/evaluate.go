package contract

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/contract/guard"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/sshcert"
)

// Subject is what an identity provider says about a person at one moment.
type Subject struct {
	Issuer      string   // the issuer's URL, the iss claim
	Groups      []string // values of the groups claim
	GroupsKnown bool     // false: the provider did not say; that is not "none"
}

// HostLabels is a host of the inventory with the labels that selectors read.
type HostLabels struct {
	Name   sshcert.Host
	Labels map[string]string
}

// Ask is a request as far as the terms decide about it, with what is known of the
// moment and the person besides. Unknown is not "no": a guard that speaks about
// what is not known refuses the request.
type Ask struct {
	Role          string
	Logins        []sshcert.Login
	Hosts         []HostLabels
	For           time.Duration
	ReasonWords   int
	Ticket        string    // empty: none is named, or TicketUnread
	TicketUnread  bool      // one is named that can't be read any more; whoever could has judged its form
	At            time.Time // when it is made; zero: not known
	FirstTimeHost Answer    // whether the person was never granted one of Hosts before
	Flow          Flow      // the way the person logged in; empty: not known
}

// Answer is what is known about a question. The zero Answer is "not known".
type Answer int

// Answers.
const (
	NotKnown Answer = iota
	No
	Yes
)

// AnswerOf returns Yes or No.
func AnswerOf(b bool) Answer {
	if b {
		return Yes
	}
	return No
}

// Allowed says that the terms allow a request once the path's stages agree, or
// at once if Path.Auto is set.
type Allowed struct {
	Role  *Role
	Path  *Path       // the first of the role whose guard holds
	Facts guard.Facts // what the guards up to that path asked about; nil if they asked nothing
}

// Member tells whether the subject is in a group of the terms: the group's
// issuer spoke, and named the group's value. It returns ErrGroupsUnknown if that
// issuer has not said which groups the subject is in, ErrGroupUnknown for a group
// that the terms do not have.
func (t *Terms) Member(s Subject, group string) (bool, error) {
	g, ok := t.Group(group)
	if !ok {
		return false, fmt.Errorf("group %q: %w", strictyaml.Clip(group), ErrGroupUnknown)
	}
	issuer, ok := t.Issuer(g.Issuer)
	if !ok || issuer.URL != s.Issuer {
		return false, nil
	}
	if !s.GroupsKnown {
		return false, ErrGroupsUnknown
	}
	return slices.Contains(s.Groups, g.Claim), nil
}

// memberOfAny tells whether the subject is in any of the groups. If it is in
// none that is known and one is unknown, the answer is the error.
func (t *Terms) memberOfAny(s Subject, groups []string) (bool, error) {
	var unknown error
	for _, g := range groups {
		in, err := t.Member(s, g)
		if in {
			return true, nil
		}
		if err != nil && unknown == nil {
			unknown = err
		}
	}
	return false, unknown
}

// Eligible tells whether the subject may decide in a stage, as far as groups go.
func (t *Terms) Eligible(s Subject, stage Stage) (bool, error) {
	return t.memberOfAny(s, stage.From)
}

// Concerns tells whether the terms name a group that the subject is known to be
// in: as one that may ask, as one that decides, or as one that holds an office.
func (t *Terms) Concerns(s Subject) bool {
	for _, o := range t.Offices {
		if in, _ := t.memberOfAny(s, o.Groups); in { // an error says that membership is not known
			return true
		}
	}
	for i := range t.Roles {
		groups := slices.Clone(t.Roles[i].Who)
		for _, p := range t.Roles[i].Paths {
			for _, stage := range p.Stages {
				groups = append(groups, stage.From...)
			}
		}
		if in, _ := t.memberOfAny(s, groups); in { // an error says that membership is not known
			return true
		}
	}
	return false
}

// AskedBy returns the roles that the subject is known to be let ask for. The error
// says that for another role it is not known.
func (t *Terms) AskedBy(s Subject) ([]*Role, error) {
	var out []*Role
	var unknown error
	for i := range t.Roles {
		switch in, err := t.memberOfAny(s, t.Roles[i].Who); {
		case in:
			out = append(out, &t.Roles[i])
		case err != nil && unknown == nil:
			unknown = err
		}
	}
	return out, unknown
}

// Evaluate answers whether the terms allow the request of a subject, and by which
// path it is decided: the first whose guard holds. If a guard that is tried speaks
// about anything that is not known, the request is refused (ErrFactUnknown) and no
// later path is tried: nobody gets an easier path by holding something back. Every refusal is a *ClauseError that names the field, the
// clause and what would pass.
func (t *Terms) Evaluate(a Ask, s Subject) (Allowed, error) {
	role, ok := t.Role(a.Role)
	if !ok {
		return Allowed{}, &ClauseError{Field: "role", Limit: list(t.roleIDs(), "or"), Err: fmt.Errorf("%q is %w", strictyaml.Clip(a.Role), ErrRoleUnknown)}
	}
	in, err := t.memberOfAny(s, role.Who)
	if err == nil && !in {
		err = ErrNotMember
	}
	if err != nil {
		return Allowed{}, role.no("who", "members of "+list(role.Who, "or"), err)
	}
	for _, check := range []func(Ask) error{
		role.checkLogins, role.checkHosts, role.checkDuration(t.Ceilings.Grant), role.checkReason, role.checkTicket,
	} {
		if err := check(a); err != nil {
			return Allowed{}, err
		}
	}
	return t.choose(role, a, s)
}

// RolesFor returns the ids, sorted, of the roles that have the login and a
// selector that matches a host with these labels.
func (t *Terms) RolesFor(login sshcert.Login, labels map[string]string) []string {
	var out []string
	for i := range t.Roles {
		if r := &t.Roles[i]; slices.Contains(r.Logins, login) && r.Matches(labels) {
			out = append(out, r.ID)
		}
	}
	return out
}

// Matches tells whether a host with these labels is one of the role's: every
// label that the role selects by is there with one of the values.
func (r *Role) Matches(labels map[string]string) bool {
	for _, h := range r.Hosts {
		value, ok := labels[h.Label]
		if !ok || !slices.Contains(h.Values, value) {
			return false
		}
	}
	return len(r.Hosts) > 0 // a selector of nothing is no selector of everything
}

// LoginsOn returns the logins that any role names on a host with these labels, sorted.
func (t *Terms) LoginsOn(labels map[string]string) []sshcert.Login {
	var out []sshcert.Login
	for i := range t.Roles {
		if role := &t.Roles[i]; role.Matches(labels) {
			out = append(out, role.Logins...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r *Role) no(field, limit string, err error) *ClauseError {
	return &ClauseError{Clause: r.Clause, Field: field, Limit: limit, Err: err}
}

func (r *Role) checkLogins(a Ask) error {
	names := make([]string, len(r.Logins))
	for i, l := range r.Logins {
		names[i] = string(l)
	}
	limit := list(names, "or")
	if len(a.Logins) == 0 {
		return r.no("logins", limit, ErrNoLogin)
	}
	for i, l := range a.Logins {
		switch {
		case !slices.Contains(r.Logins, l):
			return r.no("logins", limit, fmt.Errorf("%q is %w", strictyaml.Clip(string(l)), ErrLoginNotInRole))
		case slices.Contains(a.Logins[:i], l):
			return r.no("logins", "each once", fmt.Errorf("%q is %w", strictyaml.Clip(string(l)), ErrRepeated))
		}
	}
	return nil
}

func (r *Role) checkHosts(a Ask) error {
	if len(a.Hosts) == 0 {
		return r.no("hosts", r.selector(), ErrNoHost)
	}
	if n := len(a.Hosts) * len(a.Logins); n > sshcert.MaxPrincipals {
		return r.no("hosts", fmt.Sprintf("at most %d pairs of login and host in one request", sshcert.MaxPrincipals),
			fmt.Errorf("%d pairs of login and host are %w", n, ErrTooMany))
	}
	if most := r.Request.HostsMax; most > 0 && len(a.Hosts) > most {
		return r.no("hosts", fmt.Sprintf("at most %d in one request", most), fmt.Errorf("%d hosts are %w", len(a.Hosts), ErrTooManyHosts))
	}
	seen := make(map[sshcert.Host]bool)
	for _, h := range a.Hosts {
		if _, err := sshcert.ParseHost(string(h.Name)); err != nil {
			return r.no("hosts", r.selector(), fmt.Errorf("%q is %w: %w", strictyaml.Clip(string(h.Name)), ErrHostNotInRole, err))
		}
		if seen[h.Name] {
			return r.no("hosts", "each once", fmt.Errorf("%s is %w", h.Name, ErrRepeated))
		}
		seen[h.Name] = true
		if !r.Matches(h.Labels) {
			return r.no("hosts", r.selector(), fmt.Errorf("%s is %w", h.Name, ErrHostNotInRole))
		}
	}
	return nil
}

// selector says which hosts the role is about.
func (r *Role) selector() string {
	parts := make([]string, len(r.Hosts))
	for i, h := range r.Hosts {
		parts[i] = h.Label + "=" + list(h.Values, "or")
	}
	return "hosts labelled " + list(parts, "and")
}

func (r *Role) checkDuration(ceiling time.Duration) func(Ask) error {
	return func(a Ask) error {
		most := min(r.Grant.Max, ceiling)
		limit := FormatDuration(MinGrant) + " to " + FormatDuration(most)
		switch {
		case a.For < MinGrant:
			return r.no("for", limit, fmt.Errorf("%s is %w", spell(a.For), ErrTooShort))
		case a.For > most:
			return r.no("for", limit, fmt.Errorf("%s is %w", spell(a.For), ErrTooLong))
		case a.For%time.Second != 0:
			return r.no("for", "whole seconds", fmt.Errorf("%s is %w", spell(a.For), ErrNotSeconds))
		}
		return nil
	}
}

// spell writes a duration that somebody asked for, sensible or not.
func spell(d time.Duration) string {
	if d >= time.Second && d%time.Second == 0 {
		return FormatDuration(d)
	}
	return d.String()
}

func (r *Role) checkReason(a Ask) error {
	if a.ReasonWords < r.Request.MinWords {
		return r.no("reason", fmt.Sprintf("reasons of %d or more words", r.Request.MinWords),
			fmt.Errorf("%w: %d", ErrReasonTooShort, a.ReasonWords))
	}
	return nil
}

func (r *Role) checkTicket(a Ask) error {
	rule := r.Request.Ticket
	limit := "any ticket"
	if rule.Pattern != "" {
		limit = "tickets that match " + rule.Pattern
	}
	switch {
	case a.TicketUnread:
		return nil
	case a.Ticket == "" && rule.Required:
		return r.no("ticket", limit, ErrNoTicket)
	case a.Ticket == "" || rule.Pattern == "":
		return nil
	}
	pattern, err := regexp.Compile(rule.Pattern)
	if err != nil {
		return r.no("ticket", "nothing", fmt.Errorf("%w: %w", ErrTicket, err))
	}
	pattern.Longest() // the whole ticket is matched if anything from its start is
	if at := pattern.FindStringIndex(a.Ticket); at == nil || at[0] != 0 || at[1] != len(a.Ticket) {
		return r.no("ticket", limit, fmt.Errorf("%q is %w", strictyaml.Clip(a.Ticket), ErrTicket))
	}
	return nil
}

func (t *Terms) roleIDs() []string {
	ids := make([]string, len(t.Roles))
	for i := range t.Roles {
		ids[i] = t.Roles[i].ID
	}
	return ids
}

// list joins words for a sentence: "a, b or c".
func list(words []string, last string) string {
	n := len(words)
	if n < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:n-1], ", ") + " " + last + " " + words[n-1]
}
