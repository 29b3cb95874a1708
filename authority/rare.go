package authority

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// link is a leaf that says that people are one human, or that one is locked or
// unlocked.
type link struct {
	entry  store.Entry
	people []canon.ID
}

// rare are the leaves of kinds of which a ledger has few and that change what was
// said long before: links of people, and what becomes of hosts.
type rare struct {
	proven *provenRows
	links  []link                   // all of the ledger
	extra  map[sshcert.Host][]int64 // of hosts, those that are not remembered yet
	newer  int                      // links that are newer than was asked for
	size   int64                    // of the ledger
}

// of returns the leaves that changed a host's row, in order.
func (l rare) of(host sshcert.Host) []int64 {
	l.proven.mu.Lock()
	all := append(slices.Clone(l.proven.hosts[host]), l.extra[host]...)
	l.proven.mu.Unlock()
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(i int64) bool { return i >= l.size })
}

// changed reports whether a host's row was changed by a leaf from an index on.
func (l rare) changed(host sshcert.Host, since int64) bool {
	return slices.ContainsFunc(l.of(host), func(i int64) bool { return i >= since })
}

// rareAt returns those leaves of a ledger of size leaves. Each is looked for once:
// those below signed are remembered, later ones may yet be lost with their server.
func (p *provenRows) rareAt(r *store.Reader, size, since, signed int64) (rare, error) {
	p.mu.Lock()
	from, links := p.linked, slices.Clone(p.links)
	p.mu.Unlock()
	entries, err := r.Since(from, ledger.PersonLink, ledger.PersonLock, ledger.PersonUnlock, ledger.HostJoin, ledger.HostLabel, ledger.HostRetire, ledger.HostRelease)
	if err != nil {
		return rare{}, err
	}
	out := rare{proven: p, extra: make(map[sshcert.Host][]int64), size: size}
	for _, e := range entries {
		facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
		if err != nil {
			return rare{}, fmt.Errorf("leaf %d: %w", e.Index, err)
		}
		if people := peopleChanged(facts); len(people) > 0 {
			links = append(links, link{e, people})
		} else if host := hostChanged(facts); host != "" {
			out.extra[host] = append(out.extra[host], e.Index)
		}
	}
	p.remember(links, out.extra, from, min(size, signed))
	out.links = slices.DeleteFunc(links, func(l link) bool { return l.entry.Index >= size })
	for _, l := range out.links {
		if l.entry.Index >= since {
			out.newer++
		}
	}
	return out, nil
}

// remember keeps what was read from an index on, as far as until.
func (p *provenRows) remember(links []link, hosts map[sshcert.Host][]int64, from, until int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until <= p.linked || from != p.linked { // somebody else came further meanwhile
		return
	}
	p.linked = until
	p.links = slices.DeleteFunc(slices.Clone(links), func(l link) bool { return l.entry.Index >= until })
	for host, indexes := range hosts {
		for _, i := range indexes {
			if i < until {
				p.hosts[host] = append(p.hosts[host], i)
			}
		}
	}
}

// peopleChanged returns the people whose rows facts change, empty for none.
func peopleChanged(facts record.Facts) []canon.ID {
	switch f := facts.(type) {
	case record.PersonLink:
		return f.People
	case record.PersonLock:
		return []canon.ID{f.Person}
	case record.PersonUnlock:
		return []canon.ID{f.Person}
	}
	return nil
}

// hostChanged returns the host whose row facts change, empty for none.
func hostChanged(facts record.Facts) sshcert.Host {
	switch f := facts.(type) {
	case record.HostJoin:
		return f.Name
	case record.HostLabel:
		return f.Host
	case record.HostRetire:
		return f.Host
	case record.HostRelease:
		return f.Host
	}
	return ""
}
