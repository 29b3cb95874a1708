package contract

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// names are the ids that the terms give to things.
type names struct {
	parties, groups, calendars, roles, obligations []string
}

func namesOf(t *Terms) names {
	n := names{roles: t.roleIDs()}
	for _, p := range t.Parties {
		n.parties = append(n.parties, p.ID)
	}
	for _, g := range t.Groups {
		n.groups = append(n.groups, g.ID)
	}
	for _, c := range t.Calendars {
		n.calendars = append(n.calendars, c.ID)
	}
	for _, o := range t.Obligations {
		n.obligations = append(n.obligations, o.ID)
	}
	return n
}

// known demands that each id of a list stands in a part of the terms.
func (r *reader) known(list []string, at, kind string, ids []string, part string) {
	for _, id := range list {
		if r.err == nil && !slices.Contains(ids, id) {
			r.failAt(at, "no %s %q in %s, %s", kind, id, part, strictyaml.Hint(id, ids))
		}
	}
}

// checkTerms checks what no key can be checked for alone: references, limits
// above limits, and that one key is one person of one party.
func (r *reader) checkTerms(t *Terms) {
	r.checkIssuers(t)
	r.checkKeys(t)
	r.checkSignatories(t)
	r.checkCosigners(t)
	names := namesOf(t)
	r.checkOffices(t, names.groups)
	r.checkCeilings(t)
	for i := range t.Roles {
		r.checkRole(t, &t.Roles[i], names)
	}
	r.checkDuties(t, names)
	slices.SortFunc(t.Signatories, func(a, b Signatory) int {
		return strings.Compare(a.Party+" "+a.Capacity, b.Party+" "+b.Capacity)
	})
}

func (r *reader) checkIssuers(t *Terms) {
	ids := make([]string, len(t.Issuers))
	byURL := make(map[string]string)
	for i, iss := range t.Issuers {
		ids[i] = iss.ID
		if other, twice := byURL[iss.URL]; twice {
			r.failAt("issuers."+iss.ID+".url", "the same URL as issuers.%s.url; an issuer stands once", other)
		}
		byURL[iss.URL] = iss.ID
	}
	for _, g := range t.Groups {
		if r.err == nil && !slices.Contains(ids, g.Issuer) {
			r.failAt("groups."+g.ID, "no issuer %q in issuers, %s", g.Issuer, strictyaml.Hint(g.Issuer, ids))
		}
	}
}

// checkKeys demands that one key belongs to one name of one party, wherever it
// stands: else one person could sign as two.
func (r *reader) checkKeys(t *Terms) {
	type owner struct{ party, name, path string }
	owners := make(map[string]owner)
	claim := func(party string, k Key, path string) {
		fingerprint := ssh.FingerprintSHA256(k.PublicKey)
		o, known := owners[fingerprint]
		if known && (o.party != party || o.name != k.Name) {
			r.failAt(path, "the same key as %s; a key belongs to one person of one party", o.path)
		}
		owners[fingerprint] = owner{party, k.Name, path}
	}
	for _, p := range t.Parties {
		if p.Roots == nil {
			continue
		}
		for _, k := range p.Roots.Keys {
			claim(p.ID, k, "parties."+p.ID+".roots.keys."+k.Name)
		}
	}
	for i, s := range t.Signatories {
		for _, k := range s.Of {
			claim(s.Party, k, strictyaml.Item("signatories", i)+".of."+k.Name)
		}
	}
}

func (r *reader) checkSignatories(t *Terms) {
	parties := make([]string, len(t.Parties))
	for i, p := range t.Parties {
		parties[i] = p.ID
	}
	lines := make(map[string]string)  // party and capacity
	people := make(map[string]string) // party and name
	signs := make(map[string]bool)
	for i, s := range t.Signatories {
		path := strictyaml.Item("signatories", i)
		if r.err == nil && !slices.Contains(parties, s.Party) {
			r.failAt(path+".party", "no party %q in parties, %s", s.Party, strictyaml.Hint(s.Party, parties))
		}
		signs[s.Party] = true
		if first, twice := lines[s.Party+" "+s.Capacity]; twice {
			r.failAt(path+".capacity", "party %s signs as %s in %s already", s.Party, s.Capacity, first)
		}
		lines[s.Party+" "+s.Capacity] = path
		for _, k := range s.Of {
			if first, twice := people[s.Party+" "+k.Name]; twice {
				r.failAt(path+".of."+k.Name, "%s signs for %s in %s already; a person signs in one capacity", k.Name, s.Party, first)
			}
			people[s.Party+" "+k.Name] = path
		}
	}
	r.checkAssurances(t)
	r.checkClasses(t)
	for _, p := range parties {
		if !signs[p] {
			r.failAt("parties."+p, "no signatory signs for this party; add one to signatories or leave the party out")
		}
	}
}

// checkAssurances demands keys with which a signatory can sign as it has to.
func (r *reader) checkAssurances(t *Terms) {
	for i, s := range t.Signatories {
		for _, k := range s.Of {
			if err := CanSign(k.PublicKey, s.Assurance); err != nil {
				r.failAt(strictyaml.Item("signatories", i)+".of."+k.Name, "%v", err)
			}
		}
	}
}

// checkClasses demands that no amendment can come into force unsigned, and none
// that gives rights without every party.
func (r *reader) checkClasses(t *Terms) {
	signed := make(map[Class]map[string]bool)
	for _, s := range t.Signatories {
		for _, c := range classes {
			if len(s.OnlyIf) == 0 || slices.Contains(s.OnlyIf, c) {
				if signed[c] == nil {
					signed[c] = make(map[string]bool)
				}
				signed[c][s.Party] = true
			}
		}
	}
	for _, c := range classes {
		if len(signed[c]) == 0 {
			r.failAt("signatories", "nobody signs amendments of the class %s; leave only_if out of a line or add %s to it", c, c)
		}
	}
	for i, s := range t.Signatories {
		for _, c := range []Class{Widening, Mixed} {
			if !signed[c][s.Party] {
				r.failAt(strictyaml.Item("signatories", i)+".only_if", "nobody signs for %s what gives rights; a line of each party signs %s amendments", s.Party, c)
			}
		}
	}
}
