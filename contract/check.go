package contract

import (
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// checkTerms checks what no key can be checked for alone: references, limits
// above limits, and that one key is one person of one party.
func (r *reader) checkTerms(t *Terms) {
	r.checkIssuers(t)
	r.checkKeys(t)
	r.checkSignatories(t)
	r.checkCosigners(t)
	groups := make([]string, len(t.Groups))
	for i, g := range t.Groups {
		groups[i] = g.ID
	}
	r.checkOffices(t, groups)
	for i := range t.Roles {
		r.checkRole(t, &t.Roles[i], groups)
	}
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
	for _, p := range parties {
		if !signs[p] {
			r.failAt("parties."+p, "no signatory signs for this party; add one to signatories or leave the party out")
		}
	}
}

func (r *reader) checkRole(t *Terms, role *Role, groups []string) {
	path := "roles." + role.ID
	known := func(list []string, at string) {
		for _, g := range list {
			if r.err == nil && !slices.Contains(groups, g) {
				r.failAt(at, "no group %q in groups, %s", g, strictyaml.Hint(g, groups))
			}
		}
	}
	known(role.Who, path+".who")
	if role.Grant.Max > t.Ceilings.Grant {
		r.failAt(path+".grant.max", "%s is over ceilings.grant, %s", FormatDuration(role.Grant.Max), FormatDuration(t.Ceilings.Grant))
	}
	if role.Cert.TTL > t.Ceilings.CertTTL {
		r.failAt(path+".cert.ttl", "%s is over ceilings.cert_ttl, %s", FormatDuration(role.Cert.TTL), FormatDuration(t.Ceilings.CertTTL))
	}
	if len(role.Paths) > 1 {
		r.failAt(strictyaml.Item(path+".paths", 1), "a second path could never be reached, as the first one has no guard; write exactly one path")
	}
	for i, p := range role.Paths {
		var ids []string
		for j, s := range p.Stages {
			at := strictyaml.Item(strictyaml.Item(path+".paths", i)+".stages", j)
			if slices.Contains(ids, s.ID) {
				r.failAt(at+".id", "a stage %s stands before it; stages of a path have different ids", s.ID)
			}
			ids = append(ids, s.ID)
			known(s.From, at+".from")
		}
	}
}
