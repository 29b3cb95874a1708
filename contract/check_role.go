package contract

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract/guard"
	"github.com/sallyport/sallyport/contract/strictyaml"
)

func (r *reader) checkCeilings(t *Terms) {
	if most := t.Ceilings.Grant; t.Ceilings.BreakGlass > most {
		r.failAt("ceilings.break_glass", "%s is over ceilings.grant, %s", FormatDuration(t.Ceilings.BreakGlass), FormatDuration(most))
	}
}

func (r *reader) checkRole(t *Terms, role *Role, n names) {
	path := "roles." + role.ID
	r.known(role.Who, path+".who", "group", n.groups, "groups")
	r.known(role.Obligations, path+".obligations", "obligation", n.obligations, "obligations")
	if role.Grant.Max > t.Ceilings.Grant {
		r.failAt(path+".grant.max", "%s is over ceilings.grant, %s", FormatDuration(role.Grant.Max), FormatDuration(t.Ceilings.Grant))
	}
	r.checkCert(t, &role.Cert, path+".cert")
	r.checkPaths(t, role, n)
	r.checkSeparation(role, n)
	if role.BreakGlass != nil {
		r.checkBreakGlass(t, role.BreakGlass, path+".break_glass", n)
	}
}

func (r *reader) checkCert(t *Terms, c *CertLimits, path string) {
	if c.TTL > t.Ceilings.CertTTL {
		r.failAt(path+".ttl", "%s is over ceilings.cert_ttl, %s", FormatDuration(c.TTL), FormatDuration(t.Ceilings.CertTTL))
	}
	if !c.VerifyRequired {
		return
	}
	if len(c.Keys) == 0 {
		r.failAt(path+".verify_required", "only FIDO keys verify their user; allow no others by keys: [sk-ssh-ed25519@openssh.com]")
	}
	for _, k := range c.Keys {
		if !fido(k) {
			r.failAt(path+".keys", "a key of type %s can't verify its user, as verify_required demands; leave it out", k)
		}
	}
}

func (r *reader) checkPaths(t *Terms, role *Role, n names) {
	list := "roles." + role.ID + ".paths"
	if len(role.Paths) > maxPaths {
		r.failAt(list, "%d paths; at most %d", len(role.Paths), maxPaths)
	}
	var ids []string
	for i := range role.Paths {
		p, at := &role.Paths[i], strictyaml.Item(list, i)
		if slices.Contains(ids, p.ID) {
			r.failAt(at+".id", "a path %s stands before it; paths of a role have different ids", p.ID)
		}
		ids = append(ids, p.ID)
		if p.When == "" && i+1 < len(role.Paths) {
			r.failAt(strictyaml.Item(list, i+1), "a path that is never reached, as %s before it has no guard; write when in %s or put it last", p.ID, p.ID)
		}
		r.checkGuard(p, at, n)
		r.checkStages(t, p, at, n)
	}
}

// guardWords are the words of a guard in its canonical form: strings, names and
// the rest.
var guardWords = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[A-Za-z0-9_]+|[^ ]`)

// checkGuard demands that groups and calendars that a guard names are there: a
// slip in a name would make it false for good.
func (r *reader) checkGuard(p *Path, path string, n names) {
	if p.When == "" || r.err != nil {
		return
	}
	expr, err := guard.Parse(p.When)
	if err != nil {
		r.failAt(path+".when", "not a guard: %v", err)
		return
	}
	words := guardWords.FindAllString(expr.String(), -1)
	for i := 2; i < len(words); i++ {
		if words[i-1] != "in" || words[i-2][0] != '"' {
			continue
		}
		id := []string{strings.Trim(words[i-2], `"`)}
		switch words[i] {
		case "groups":
			r.known(id, path+".when", "group", n.groups, "groups")
		case "calendars":
			r.known(id, path+".when", "calendar", n.calendars, "calendars")
		}
	}
}

func (r *reader) checkStages(t *Terms, p *Path, path string, n names) {
	var ids []string
	for j, s := range p.Stages {
		at := strictyaml.Item(path+".stages", j)
		if slices.Contains(ids, s.ID) {
			r.failAt(at+".id", "a stage %s stands before it; stages of a path have different ids", s.ID)
		}
		ids = append(ids, s.ID)
		r.known(s.From, at+".from", "group", n.groups, "groups")
		r.known(s.Delegates, at+".delegates", "group", n.groups, "groups")
		if s.Escalate != nil {
			r.known(s.Escalate.To, at+".escalate.to", "group", n.groups, "groups")
		}
		if s.Quorum < t.Ceilings.Quorum {
			r.failAt(at+".quorum", "%d is under ceilings.quorum, %d", s.Quorum, t.Ceilings.Quorum)
		}
	}
}

func (r *reader) checkSeparation(role *Role, n names) {
	path := "roles." + role.ID + ".duties"
	var stages []string
	for _, p := range role.Paths {
		for _, s := range p.Stages {
			stages = append(stages, s.ID)
		}
	}
	r.known(role.Duties.NotSameManager, path+".not_same_manager", "stage", stages, "the role's paths")
	r.known(role.Duties.ExclusiveWith, path+".exclusive_with", "role", n.roles, "roles")
	if slices.Contains(role.Duties.ExclusiveWith, role.ID) {
		r.failAt(path+".exclusive_with", "the role itself; name the roles that nobody holds together with it")
	}
}

func (r *reader) checkBreakGlass(t *Terms, b *BreakGlass, path string, n names) {
	r.known(b.Who, path+".who", "group", n.groups, "groups")
	r.known(b.Notify, path+".notify.groups", "group", n.groups, "groups")
	r.known(b.Review.By, path+".review.by", "group", n.groups, "groups")
	key, most := "ceilings.break_glass", t.Ceilings.BreakGlass
	if most == 0 {
		key, most = "ceilings.grant", t.Ceilings.Grant
	}
	if b.Max > most {
		r.failAt(path+".max", "%s is over %s, %s", FormatDuration(b.Max), key, FormatDuration(most))
	}
}

// checkDuties resolves what stands outside of roles.
func (r *reader) checkDuties(t *Terms, n names) {
	r.known(t.Effect.UnilateralNarrowing, "effect.unilateral_narrowing", "party", n.parties, "parties")
	for _, c := range t.Effect.Conditions {
		r.known([]string{c.MetBy}, "effect.conditions."+c.ID+".met_by", "party", n.parties, "parties")
	}
	for _, o := range t.Obligations {
		if o.Party != "" {
			r.known([]string{o.Party}, "obligations."+o.ID+".party", "party", n.parties, "parties")
		}
	}
	for _, role := range slices.Sorted(maps.Keys(t.Review.Recertify)) {
		r.known([]string{role}, "review.recertify."+role, "role", n.roles, "roles")
	}
}
