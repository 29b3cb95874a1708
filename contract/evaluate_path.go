package contract

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/contract/guard"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/sshcert"
)

// compiled is a guard with the text that it was parsed from.
type compiled struct {
	source string
	expr   *guard.Expr // nil: always
}

// compile parses the guard, so that Evaluate does not. The error is a
// *guard.SyntaxError.
func (p *Path) compile() error {
	e, err := p.Guard()
	if err != nil {
		return err
	}
	p.guard = compiled{source: p.When, expr: e}
	return nil
}

// compileGuards compiles the guards of all paths. The error names none of them:
// the reader has looked at each.
func (t *Terms) compileGuards() error {
	for i := range t.Roles {
		for j := range t.Roles[i].Paths {
			if err := t.Roles[i].Paths[j].compile(); err != nil {
				return fmt.Errorf("roles.%s.paths[%d].when: %w", t.Roles[i].ID, j, err)
			}
		}
	}
	return nil
}

// Guard returns the path's guard, parsed; nil, which always holds, if it has none.
// There is no error for paths that ParseTerms made; else it is a *guard.SyntaxError.
func (p *Path) Guard() (*guard.Expr, error) {
	if p.When == "" {
		return nil, nil //nolint:nilnil // a nil *guard.Expr is the guard that always holds
	}
	if p.guard.expr != nil && p.guard.source == p.When {
		return p.guard.expr, nil
	}
	return guard.Parse(p.When)
}

// choose returns the first path of the role whose guard holds.
func (t *Terms) choose(role *Role, a Ask, s Subject) (Allowed, error) {
	var facts guard.Facts
	for i := range role.Paths {
		p := &role.Paths[i]
		e, err := p.Guard()
		if err != nil {
			return Allowed{}, p.no("path", "nothing", fmt.Errorf("%w: its guard: %w", ErrNoPath, err))
		}
		if facts, err = t.learn(facts, e, a, s); err != nil {
			return Allowed{}, p.no("path", "requests of which that is known", err)
		}
		holds, err := e.Eval(facts)
		if err != nil {
			return Allowed{}, p.no("path", "requests of which that is known", fmt.Errorf("%w: %w", ErrFactUnknown, err))
		}
		if !holds {
			continue
		}
		if p.Auto != (len(p.Stages) == 0) || p.Auto && p.When == "" {
			break // no file has such a path: it would ask nobody, and nothing lets it
		}
		return Allowed{Role: role, Path: p, Facts: facts}, nil
	}
	return Allowed{}, t.nearest(role, facts)
}

// learn adds to the facts what the guard asks about. The error names all of it
// that is not known.
func (t *Terms) learn(facts guard.Facts, e *guard.Expr, a Ask, s Subject) (guard.Facts, error) {
	var unknown []string
	var why error
	for _, name := range e.Fields() {
		if _, ok := facts[name]; ok {
			continue
		}
		v, err := t.fact(name, a, s)
		if err != nil {
			unknown = append(unknown, name)
			if why == nil {
				why = err
			}
			continue
		}
		if facts == nil {
			facts = guard.Facts{}
		}
		facts[name] = v
	}
	if unknown != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFactUnknown, strings.Join(unknown, ", "), why)
	}
	return facts, nil
}

// fact returns what is known of a request by a guard's name for it. The error
// says why nothing is; it wraps guard.ErrMissing.
func (t *Terms) fact(name string, a Ask, s Subject) (guard.Value, error) {
	switch name {
	case "grant_seconds":
		return guard.OfInt(int64(a.For / time.Second)), nil
	case "hosts":
		return guard.OfInt(int64(len(a.Hosts))), nil
	case "reason_words":
		return guard.OfInt(int64(a.ReasonWords)), nil
	case "ticket":
		return guard.OfBool(a.Ticket != "" || a.TicketUnread), nil
	case "first_time_host":
		if a.FirstTimeHost != NotKnown {
			return guard.OfBool(a.FirstTimeHost == Yes), nil
		}
	case "groups":
		if !s.GroupsKnown {
			return guard.Value{}, fmt.Errorf("%w (%w)", ErrGroupsUnknown, guard.ErrMissing)
		}
		return guard.OfSet(t.groupsOf(s)...), nil
	case "calendars":
		if a.At.IsZero() {
			break
		}
		ids, err := t.calendarsAt(a.At)
		if err != nil {
			return guard.Value{}, fmt.Errorf("%w (%w)", err, guard.ErrMissing)
		}
		return guard.OfSet(ids...), nil
	case "logins":
		names := make([]string, len(a.Logins))
		for i, l := range a.Logins {
			names[i] = string(l)
		}
		return guard.OfSet(names...), nil
	case "flow":
		if a.Flow != "" {
			return guard.OfString(string(a.Flow)), nil
		}
	case "issuer":
		for _, i := range t.Issuers {
			if i.URL == s.Issuer {
				return guard.OfString(i.ID), nil
			}
		}
	}
	return guard.Value{}, guard.ErrMissing
}

// groupsOf returns the ids of the groups that the subject, whose groups are known,
// is in.
func (t *Terms) groupsOf(s Subject) []string {
	urls := make(map[string]string, len(t.Issuers))
	for _, i := range t.Issuers {
		urls[i.ID] = i.URL
	}
	var ids []string
	for _, g := range t.Groups {
		if url, ok := urls[g.Issuer]; ok && url == s.Issuer && slices.Contains(s.Groups, g.Claim) {
			ids = append(ids, g.ID)
		}
	}
	return ids
}

func (p *Path) no(field, limit string, err error) *ClauseError {
	return &ClauseError{Clause: p.Clause, Field: field, Limit: limit, Err: err}
}

// changeable are the facts of guards in the order in which people can do something
// about them, with the field of the request that each is about.
var changeable = []struct{ fact, field string }{
	{"grant_seconds", "for"},
	{"hosts", "hosts"},
	{"reason_words", "reason"},
	{"ticket", "ticket"},
	{"logins", "logins"},
	{"calendars", "path"},
	{"flow", "path"},
	{"groups", "path"},
	{"first_time_host", "path"},
	{"issuer", "path"},
}

// nearest is the refusal of a request for which no guard of the role holds. It
// says which single change would have a path, if there is one.
func (t *Terms) nearest(role *Role, facts guard.Facts) error {
	best := len(changeable)
	var refusal *ClauseError
	var last *Path
	for i := range role.Paths {
		p := &role.Paths[i]
		e, err := p.Guard()
		if err != nil || e == nil {
			continue
		}
		last = p
		for _, c := range e.Near(facts) {
			limit, ok := t.passes(role, c, facts[c.Field])
			rank := slices.IndexFunc(changeable, func(f struct{ fact, field string }) bool { return f.fact == c.Field })
			if ok && rank >= 0 && rank < best {
				best = rank
				refusal = p.no(changeable[rank].field, limit+", by path "+p.ID, ErrNoPath)
			}
		}
	}
	switch {
	case refusal != nil:
		return refusal
	case last != nil:
		return last.no("path", "requests where "+strictyaml.Clip(last.When), ErrNoPath)
	}
	return role.no("role", "nothing", ErrNoPath)
}

// passes says what would pass in words, and whether the rest of the role lets it.
func (t *Terms) passes(role *Role, c guard.Change, was guard.Value) (string, bool) {
	n := c.Value.Int()
	switch c.Field {
	case "grant_seconds":
		d := time.Duration(n) * time.Second
		return FormatDuration(d), MinGrant <= d && d <= min(role.Grant.Max, t.Ceilings.Grant)
	case "hosts":
		if n == 1 {
			return "1 host", true
		}
		return strconv.FormatInt(n, 10) + " hosts", role.Request.HostsMax == 0 || n <= int64(role.Request.HostsMax)
	case "reason_words":
		return "a reason of " + strconv.FormatInt(n, 10) + " words", n >= int64(role.Request.MinWords)
	case "ticket":
		if c.Value.Bool() {
			return "a request that names a ticket", true
		}
		return "a request without a ticket", !role.Request.Ticket.Required
	case "first_time_host":
		if c.Value.Bool() {
			return "a request with a host that the person was never granted", true
		}
		return "hosts that the person was granted before", true
	case "logins":
		for _, m := range c.Value.Members() {
			if !slices.ContainsFunc(role.Logins, func(l sshcert.Login) bool { return string(l) == m }) {
				return "", false
			}
		}
		return "logins " + list(c.Value.Members(), "and"), len(c.Value.Members()) > 0
	case "groups", "calendars":
		for _, m := range c.Value.Members() {
			if !slices.Contains(was.Members(), m) {
				return map[string]string{"groups": "members of ", "calendars": "the hours of calendar "}[c.Field] + m, true
			}
		}
		for _, m := range was.Members() {
			if !slices.Contains(c.Value.Members(), m) {
				return map[string]string{"groups": "who is not in ", "calendars": "hours outside of calendar "}[c.Field] + m, true
			}
		}
	case "flow", "issuer":
		_, known := t.Issuer(c.Value.Text())
		if c.Field == "flow" && c.Value.Text() == string(FlowCode) || c.Field == "issuer" && known {
			return "the " + c.Field + " " + c.Value.Text(), true
		}
		return "another " + c.Field + " than " + was.Text(), true
	}
	return "", false
}
