package contract

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/sshcert"
)

// roleRows are the paths within a role but for its paths to a decision and its
// break-glass, which may be absent.
var roleRows = []row[Role]{
	clause(func(r *Role) string { return r.Clause }),
	subsetIsLess("who", func(r *Role) []string { return r.Who }),
	{path: "hosts", spell: spellHosts, class: func(a, b *Role) Class { return within(b.hostsWithin(a), a.hostsWithin(b)) }},
	subsetIsLess("logins", func(r *Role) []sshcert.Login { return r.Logins }),
	shorterIsLess("grant.max", func(r *Role) time.Duration { return r.Grant.Max }),
	shorterIsLess("cert.ttl", func(r *Role) time.Duration { return r.Cert.TTL }),
	subsetIsLess("cert.extensions", func(r *Role) []string { return r.Cert.Extensions }),
	{
		path:  "cert.source_address",
		spell: func(r *Role) string { return spellPrefixes(r.Cert.SourceAddress) },
		class: func(a, b *Role) Class {
			was, is := merge(a.Cert.SourceAddress), merge(b.Cert.SourceAddress)
			return within(covers(was, is), covers(is, was))
		},
	},
	setIsLess("cert.force_command", func(r *Role) string { return r.Cert.ForceCommand }),
	{
		path:  "cert.keys",
		spell: func(r *Role) string { return spellOptional(r.Cert.Keys) },
		class: func(a, b *Role) Class {
			was, is := a.Cert.Keys, b.Cert.Keys
			return within(anyKey(was) || !anyKey(is) && isSubset(is, was), anyKey(is) || !anyKey(was) && isSubset(was, is))
		},
	},
	trueIsLess("cert.verify_required", func(r *Role) bool { return r.Cert.VerifyRequired }),
	moreIsLess("request.reason.min_words", func(r *Role) int { return r.Request.MinWords }),
	fewerIsLess("request.hosts_max", func(r *Role) int { return r.Request.HostsMax }),
	trueIsLess("request.ticket.required", func(r *Role) bool { return r.Request.Ticket.Required }),
	setIsLess("request.ticket.pattern", func(r *Role) string { return r.Request.Ticket.Pattern }),
	trueIsLess("duties.distinct_across_stages", func(r *Role) bool { return r.Duties.DistinctAcrossStages }),
	supersetIsLess("duties.not_same_manager", func(r *Role) []string { return r.Duties.NotSameManager }),
	supersetIsLess("duties.exclusive_with", func(r *Role) []string { return r.Duties.ExclusiveWith }),
	longerIsLess("duties.window", func(r *Role) time.Duration { return r.Duties.Window }),
	supersetIsLess("obligations", func(r *Role) []string { return r.Obligations }),
	trueIsLess("acknowledge", func(r *Role) bool { return r.Acknowledge }),
}

var breakGlassRows = []row[BreakGlass]{
	clause(func(b *BreakGlass) string { return b.Clause }),
	subsetIsLess("who", func(b *BreakGlass) []string { return b.Who }),
	shorterIsLess("max", func(b *BreakGlass) time.Duration { return b.Max }),
	{
		path:  "cap",
		spell: func(b *BreakGlass) string { return strconv.Itoa(b.Cap) },
		class: func(a, b *BreakGlass) Class { return ordered(a.Cap, b.Cap) },
	},
	longerIsLess("window", func(b *BreakGlass) time.Duration { return b.Window }), // the same budget for longer
	supersetIsLess("notify.groups", func(b *BreakGlass) []string { return b.Notify }),
	shorterIsLess("notify.within", func(b *BreakGlass) time.Duration { return b.Within }),
	subsetIsLess("review.by", func(b *BreakGlass) []string { return b.Review.By }),
	shorterIsLess("review.within", func(b *BreakGlass) time.Duration { return b.Review.Within }),
	laterIsLess("review.else", consequences, func(b *BreakGlass) Consequence { return b.Review.Else }),
}

func roleEntries() entries[Role] {
	return entries[Role]{
		path: "roles", added: Widening, id: roleID, spell: spellRole,
		rows:    withWitness(roleRows, "who", "logins", "grant.max", "request.reason.min_words", "request.hosts_max", "request.ticket.required"),
		witness: func(_ *comparer, added *Role) *Witness { return example(nil, added) },
	}
}

// withWitness returns the rows, those of the paths with a request for witness that
// the new role lets through and the old one does not.
func withWitness(rows []row[Role], paths ...string) []row[Role] {
	out := slices.Clone(rows)
	for i := range out {
		if slices.Contains(paths, out[i].path) {
			out[i].witness = func(_ *comparer, a, b *Role) *Witness { return example(a, b) }
		}
	}
	return out
}

func spellRole(r *Role) string {
	glass := ""
	if r.BreakGlass != nil {
		glass = spellRows(breakGlassRows)(r.BreakGlass)
	}
	rows := spellRows(roleRows)(r)
	return strings.TrimSuffix(rows, "}") + ", paths: " + spellPaths(r.Paths) + optional(", break_glass: ", glass) + "}"
}

func optional(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

// roles compares what the rows of a role leave out: its paths and its break-glass.
func (c *comparer) roles() {
	is := byID(c.new.Roles, roleID)
	for i := range c.old.Roles {
		a := &c.old.Roles[i]
		b, ok := is[a.ID]
		if !ok {
			continue
		}
		prefix := "roles." + a.ID
		c.paths(prefix, a, b)
		switch glass := prefix + ".break_glass"; {
		case a.BreakGlass != nil && b.BreakGlass != nil:
			compareRows(c, glass, a.BreakGlass, b.BreakGlass, breakGlassRows)
		case a.BreakGlass != nil:
			c.changes = append(c.changes, Change{Path: glass, Class: Narrowing, Old: spellRows(breakGlassRows)(a.BreakGlass)})
		case b.BreakGlass != nil:
			c.changes = append(c.changes, Change{Path: glass, Class: Widening, New: spellRows(breakGlassRows)(b.BreakGlass)})
		}
	}
}

// hostsWithin tells whether every host of the role is one of the other's.
func (r *Role) hostsWithin(other *Role) bool {
	if len(r.Hosts) == 0 {
		return true // it matches none
	}
	if len(other.Hosts) == 0 {
		return false
	}
	for _, want := range other.Hosts {
		i := slices.IndexFunc(r.Hosts, func(h HostLabel) bool { return h.Label == want.Label && isSubset(h.Values, want.Values) })
		if i < 0 {
			return false
		}
	}
	return true
}

func spellHosts(r *Role) string {
	var pairs []string
	for _, h := range r.Hosts {
		pairs = append(pairs, h.Label, spellSet(h.Values))
	}
	return fields(pairs...)
}

func anyKey(keys []string) bool { return len(keys) == 0 }

func spellPrefixes(list []netip.Prefix) string {
	words := make([]string, len(list))
	for i, p := range list {
		words[i] = strconv.Quote(p.String())
	}
	if len(words) == 0 {
		return ""
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// merge returns the fewest prefixes that cover the same addresses, so that two
// halves are known to be the whole. Nil, from anywhere, stays nil.
func merge(list []netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, p := range list {
		out[i] = p.Masked()
	}
	for merged := true; merged; {
		merged = false
		slices.SortFunc(out, func(a, b netip.Prefix) int {
			if c := a.Addr().Compare(b.Addr()); c != 0 {
				return c
			}
			return a.Bits() - b.Bits()
		})
		var next []netip.Prefix
		for _, p := range out {
			if n := len(next); n > 0 {
				last := next[n-1]
				if last.Bits() <= p.Bits() && last.Contains(p.Addr()) {
					merged = true
					continue
				}
				if last.Bits() == p.Bits() && p.Bits() > 0 {
					if both, err := p.Addr().Prefix(p.Bits() - 1); err == nil && both.Contains(last.Addr()) {
						next[n-1] = both
						merged = true
						continue
					}
				}
			}
			next = append(next, p)
		}
		out = next
	}
	if len(list) == 0 {
		return nil
	}
	return out
}

// covers tells whether every address of part is one of whole; both are merged and
// none is every address.
func covers(whole, part []netip.Prefix) bool {
	if len(whole) == 0 || len(part) == 0 {
		return len(whole) == 0
	}
	for _, p := range part {
		if !slices.ContainsFunc(whole, func(w netip.Prefix) bool { return w.Bits() <= p.Bits() && w.Contains(p.Addr()) }) {
			return false
		}
	}
	return true
}
