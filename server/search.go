package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

const (
	// maxLooked bounds the entries that one page of a search opens, maxNarrowed
	// those that the index goes over for it. A page may be short, even empty; its
	// cursor says up to where it has searched.
	maxLooked   = 1000
	maxNarrowed = 20_000
	// window is how many entries one page goes over for somebody who may not see
	// all of them: so its end tells nothing of what they may not see.
	window = 2000
	// maxCalled bounds the people that are looked at for a name.
	maxCalled = 5000
)

// listEntries answers GET /v1/ledger/entries.
func (s *Server) listEntries(w http.ResponseWriter, r *http.Request, session store.Session) error {
	values, err := query(r, searchNames...)
	if err != nil {
		return err
	}
	q, err := parseSearch(values, session, s.now())
	if err != nil {
		return err
	}
	out, err := s.search(r.Context(), session, q)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// search reads one page of a search. What of others it shows by an office is
// recorded before it returns.
func (s *Server) search(ctx context.Context, session store.Session, q searchQuery) (api.Entries, error) {
	p, err := s.searchFor(ctx, session, q)
	if err != nil {
		return api.Entries{}, err
	}
	return p.out, nil
}

// searchFor is search with what the entries are about.
func (s *Server) searchFor(ctx context.Context, session store.Session, q searchQuery) (*searching, error) {
	var p *searching
	err := s.store.Read(ctx, func(reader *store.Reader) error {
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		p = &searching{q: q, r: reader, who: who, shown: make(map[canon.Digest]authority.ShownParts), held: make(map[canon.Digest]bool), said: make(map[int64][]record.Mention)}
		return p.run()
	})
	if err != nil {
		return nil, err
	}
	if err := s.authority.RecordReading(ctx, session, p.reading()); err != nil {
		return nil, err
	}
	return p, p.refused
}

// searching is one page of a search as it is put together.
type searching struct {
	q           searchQuery
	r           *store.Reader
	who         person
	mentions    []record.Mention
	first, last int64 // of what was searched; last < first if nothing was
	out         api.Entries
	bytes       int
	shown       map[canon.Digest]authority.ShownParts
	held        map[canon.Digest]bool      // the lineages by whose office person parts of others were looked at
	said        map[int64][]record.Mention // what the entries on the page mention, of those whose facts are shown
	refused     error                      // what a name came to that is not one person's: that tells something, too
}

func (p *searching) run() error {
	head, err := p.r.Head()
	if err != nil {
		return err
	}
	p.out = api.Entries{Size: head.Tree.Size, Entries: []api.Entry{}}
	if err := p.may(); err != nil {
		return err
	}
	p.mentions = p.q.mentions
	if p.q.who != "" {
		id, err := p.named()
		if errors.Is(err, authority.ErrField) {
			p.refused = err // once it is recorded that others' names were read
			return nil
		}
		if err != nil {
			return err
		}
		p.mentions = append(slices.Clone(p.mentions), record.Mention{Name: record.MentionPerson, Value: string(id)})
		if id == "" { // nobody is called that
			return nil
		}
	}
	start, err := p.start(head.Tree.Size)
	if err != nil {
		return err
	}
	rest, err := p.read(start, p.bounded(start))
	if err != nil {
		return err
	}
	p.searched(start, rest)
	return nil
}

// may refuses what somebody can't have, rather than leave it out in silence.
func (p *searching) may() error {
	if err := p.who.ask(p.q.people); err != nil {
		return err
	}
	if p.who.stale != nil && p.narrows() {
		return p.who.stale // they would be shown less than what is theirs to see
	}
	return nil
}

// narrows reports whether what is found depends on what somebody may see.
func (p *searching) narrows() bool {
	return p.q.text != "" || p.q.who != "" || slices.ContainsFunc(p.q.mentions, hidden)
}

// hidden reports whether only the facts say what a mention says.
func hidden(m record.Mention) bool { return m.Name != record.MentionKind }

// start returns where the search begins and ends.
func (p *searching) start(size int64) (c cursor, err error) {
	if p.q.cursor != nil {
		if c = *p.q.cursor; c.before == open || c.before > size {
			c.before = size
		}
		c.from = min(c.from, c.before)
		return c, nil
	}
	c = cursor{before: size, query: p.q.digest}
	if p.q.since != 0 {
		if c.from, err = p.r.FirstAt(p.q.since); err != nil {
			return c, err
		}
	}
	if p.q.until != 0 {
		if c.before, err = p.r.FirstAt(p.q.until); err != nil {
			return c, err
		}
	}
	c.from = max(c.from, p.q.from)
	if p.q.before != open {
		c.before = min(c.before, p.q.before)
	}
	if p.q.serial != 0 { // a serial is its leaf's index plus one
		c.from, c.before = max(c.from, p.q.serial-1), min(c.before, p.q.serial)
	}
	c.from = min(c.from, c.before)
	return c, nil
}

// blind reports whether some of what is looked for may be hidden from the reader:
// then neither where a page ends nor how much is looked at may depend on what is
// found.
func (p *searching) blind() bool {
	own := slices.Contains(p.mentions, record.Mention{Name: record.MentionPerson, Value: string(p.who.id)})
	return p.narrows() && !p.who.all && !own
}

// bounded is where this page ends at the latest.
func (p *searching) bounded(c cursor) cursor {
	if !p.blind() {
		return c
	}
	if p.q.oldest {
		c.before = min(c.before, c.from+window)
	} else {
		c.from = max(c.from, c.before-window)
	}
	return c
}

// read goes from one end of a part towards the other until the page is full or
// enough was looked at, and returns what is left.
func (p *searching) read(c, part cursor) (cursor, error) {
	left := maxLooked
	if p.blind() {
		left = window // all that can be in one
	}
	for left > 0 && part.from < part.before {
		found, err := p.r.Search(store.Search{
			Mentions: p.mentions, From: part.from, Before: part.before, Oldest: p.q.oldest, Limit: min(left, p.wanted()), Most: maxNarrowed,
		})
		if err != nil {
			return c, err
		}
		entries, err := p.r.EntriesAt(found.Leaves)
		if err != nil {
			return c, err
		}
		left -= len(entries)
		for _, e := range entries {
			fits, err := p.take(e)
			if err != nil {
				return c, err
			}
			if !fits { // it is the next page's first
				return p.rest(c, e.Index, e.Index+1), nil
			}
			if len(p.out.Entries) == p.q.limit {
				return p.rest(c, e.Index+1, e.Index), nil
			}
		}
		part.from, part.before = found.From, found.Before
		if len(found.Leaves) == 0 {
			break // the index was gone over far enough
		}
	}
	return p.rest(c, part.from, part.before), nil
}

// wanted is how many entries to look at at once.
func (p *searching) wanted() int {
	if p.narrows() {
		return 200 // some may not be shown, or not match
	}
	return p.q.limit - len(p.out.Entries)
}

// rest is what is left of c behind an entry, by the order of the search.
func (p *searching) rest(c cursor, from, before int64) cursor {
	if p.q.oldest {
		c.from = from
	} else {
		c.before = before
	}
	return c
}

// take adds an entry to the page if it is what is looked for and may be shown.
// It does not fit if the page would be too large with it.
func (p *searching) take(e store.Entry) (fits bool, err error) {
	one, office, err := openEntry(p.r, e, p.who)
	if err != nil {
		return false, err
	}
	if !office.IsZero() {
		p.held[office] = true
	}
	if ok, err := p.matches(e, one); err != nil || !ok {
		return true, err
	}
	size := len(one.Facts) + len(one.Person)
	if size > maxListed {
		one.Facts, one.FactsSalt, one.Person, one.PersonSalt, size = "", "", "", "", 0
		office = canon.Digest{}
	}
	if p.bytes+size > maxListed && len(p.out.Entries) > 0 {
		return false, nil
	}
	p.bytes += size
	p.out.Entries = append(p.out.Entries, one)
	if !office.IsZero() {
		shown := p.shown[office]
		shown.Count, shown.Leaves = shown.Count+1, append(shown.Leaves, e.Index)
		p.shown[office] = shown
	}
	return true, nil
}

// matches holds an entry to what is looked for, as far as the reader may see it.
func (p *searching) matches(e store.Entry, one api.Entry) (bool, error) {
	if p.narrows() && one.Facts == "" {
		return false, nil
	}
	if len(p.mentions) > 0 || one.Facts != "" {
		facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
		if err != nil {
			return false, err
		}
		said, err := record.Mentions(p.r, facts)
		if err != nil {
			return false, err
		}
		if one.Facts != "" {
			p.said[e.Index] = said
		}
		for _, m := range p.mentions {
			if !slices.Contains(said, m) {
				return false, nil
			}
		}
	}
	return p.q.text == "" || contains(one, p.q.text), nil
}

// contains looks for a text in what is shown of an entry: the facts, and what
// people wrote. % and _ in it are what they are.
func contains(e api.Entry, text string) bool {
	if strings.Contains(strings.ToLower(e.Facts), text) {
		return true
	}
	for _, words := range written(e) {
		if strings.Contains(strings.ToLower(words), text) {
			return true
		}
	}
	return false
}

// searched notes what was searched, and where to go on.
func (p *searching) searched(start, rest cursor) {
	p.first, p.last = rest.before, start.before-1
	if p.q.oldest {
		p.first, p.last = start.from, rest.from-1
	}
	more := rest.from < rest.before
	if p.q.oldest {
		// Who reads forwards can go on when there is more.
		endless := p.q.cursor == nil && p.q.until == 0 && p.q.serial == 0 && p.q.before == open || p.q.cursor != nil && p.q.cursor.before == open
		if endless {
			rest.before, more = open, true
		}
	}
	p.out.Searched = rest.before
	if p.q.oldest {
		p.out.Searched = rest.from
	}
	if more {
		rest.query = p.q.digest
		p.out.Next = rest.String()
	}
}

// reading is what is to be recorded of the page.
func (p *searching) reading() authority.Reading {
	out := authority.Reading{How: record.ReadList, First: p.first, Last: p.last, Query: p.q.recorded, Shown: p.shown}
	if p.q.people { // that nothing is found tells something, too, where there was something to be looked at
		for _, v := range p.who.audits {
			lineage := v.Lineage()
			if _, ok := p.shown[lineage]; !ok && (p.q.who != "" || p.q.text != "" && p.held[lineage]) {
				p.shown[lineage] = authority.ShownParts{}
			}
		}
	}
	if p.q.who != "" { // every login was looked at
		out.First, out.Last = 0, p.out.Size-1
	}
	if out.Last < out.First { // nothing was there to be searched
		out.Shown = nil
	}
	for lineage, shown := range out.Shown {
		slices.Sort(shown.Leaves)
		out.Shown[lineage] = shown
	}
	return out
}

// named returns whom a name, address or handle is of: the reader's own, or anybody's
// for who reads others' data by an office. It is empty if nobody is called that.
func (p *searching) named() (canon.ID, error) {
	if !p.q.people {
		name, err := p.isCalled(p.who.id)
		if err != nil || name {
			return p.who.id, err
		}
		return "", fmt.Errorf("who: what others are called is shown to auditors who ask for it by people=1, and each reading is recorded: %w", contract.ErrNotHolder)
	}
	people, err := authority.People(p.r, maxCalled)
	if err != nil {
		return "", err
	}
	var found []canon.ID
	for _, id := range people {
		is, err := p.isCalled(id)
		if err != nil {
			return "", err
		}
		if is {
			found = append(found, id)
		}
	}
	switch {
	case len(found) > 1:
		return "", fmt.Errorf("who: %w: %d people are called that; give the id of one as person=, each login of theirs has it", authority.ErrField, len(found))
	case len(found) == 0 && len(people) == maxCalled:
		return "", fmt.Errorf("who: %w: nobody of the %d newest people is called that; give an id as person=", authority.ErrField, maxCalled)
	case len(found) == 0:
		return "", nil
	}
	return found[0], nil
}

func (p *searching) isCalled(id canon.ID) (bool, error) {
	names, err := authority.Names(p.r, id)
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, p.q.who) }), err
}
