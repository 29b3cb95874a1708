package server

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

const (
	openingsPath = "/v1/ledger/openings"
	// maxOpenings is how many bytes of openings are collected before an answer
	// ends, those of leaves that others name among them; the leaf with which it is
	// full is in it. That keeps an answer below what a cosigner reads.
	maxOpenings = 2 << 20
	// maxLogins is how many logins of a person are looked through for the one that
	// another renews: a session has no more in its life.
	maxLogins = 1000
)

// openings answers POST /v1/ledger/openings: leaves, for a party cosigner that a
// contract in force names. It is known by its signature; there is no session.
func (s *Server) openings(w http.ResponseWriter, r *http.Request) error {
	var body api.OpeningsRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	ask, err := audit.ParseFeedRequest(body.Document)
	if err != nil {
		return err
	}
	if ask.Origin != s.authority.Origin() {
		return fmt.Errorf("%w: it is signed for another ledger", ledger.ErrMessage)
	}
	if err := record.Fresh(ask.ExpiresAt, s.now(), audit.FeedLife); err != nil {
		return err
	}
	var page []byte
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		version, err := record.InForce(reader, ask.Lineage, canon.At(s.now()))
		if err != nil {
			return fmt.Errorf("%w: no contract of that lineage is in force", ledger.ErrMessage)
		}
		if err := s.checkCosigner(r, ask, body, version.Terms.CosignerKeys()); err != nil {
			return err
		}
		shown, err := openFor(reader, ask, maxOpenings)
		if err != nil {
			return err
		}
		page, err = shown.Append(nil)
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", mediaLines)
	_, _ = w.Write(page) // a client that went away needs no answer
	return nil
}

// checkCosigner holds a request to the keys that the contract names. Who signed it
// counts for itself from then on, and not for its address.
func (s *Server) checkCosigner(r *http.Request, ask audit.FeedRequest, body api.OpeningsRequest, keys []string) error {
	for _, vkey := range keys {
		key, err := ledger.ParseCosignerKey(vkey)
		if err != nil {
			return err
		}
		if key.Name() != ask.Cosigner {
			continue
		}
		if err := ask.Verify(key, body.Document, body.Signature); err != nil {
			return err
		}
		traceOf(r.Context()).stranger = false
		return s.countCosigner(vkey)
	}
	return fmt.Errorf("%w: the contract in force names no such cosigner", ledger.ErrMessage)
}

// showing collects what a cosigner of one lineage may see.
type showing struct {
	r       *store.Reader // lives as long as the function it was given to
	lineage canon.Digest
	named   map[int64]audit.Entry // leaves about people, with their openings
	size    int                   // bytes of all openings
}

// openFor returns leaves from where a cosigner asked on, until their openings have
// more than most bytes. Opened are those of its lineage, leaf 0, the keys for hosts, and the logins and
// snapshots on which those of its lineage in this answer rest; nothing else.
func openFor(r *store.Reader, ask audit.FeedRequest, most int) (audit.FeedPage, error) {
	limit := min(ask.To-ask.From, audit.MaxFeedLeaves)
	entries, err := r.EntriesFrom(ask.From, int(limit))
	if err != nil {
		return audit.FeedPage{}, err
	}
	if len(entries) == 0 {
		return audit.FeedPage{}, fmt.Errorf("leaf %d: %w", ask.From, record.ErrNotFound)
	}
	s := showing{r: r, lineage: ask.Lineage, named: make(map[int64]audit.Entry)}
	var page audit.FeedPage
	for _, e := range entries {
		out := audit.Entry{Index: e.Index, Text: e.Text}
		if e.Index == 0 || e.Leaf.Kind == ledger.KeyAdd || e.Leaf.Lineage == ask.Lineage {
			out.Opening = s.opening(e)
			if err := s.rests(e); err != nil {
				return audit.FeedPage{}, err
			}
		}
		page.Leaves = append(page.Leaves, out)
		if s.size > most {
			break
		}
	}
	for _, index := range slices.Sorted(maps.Keys(s.named)) {
		switch at := index - ask.From; {
		case at < 0:
			page.Named = append(page.Named, s.named[index])
		case at < int64(len(page.Leaves)):
			page.Leaves[at] = s.named[index]
		}
	}
	return page, nil
}

// opening is what a leaf is shown with. It counts.
func (s *showing) opening(e store.Entry) record.Opening {
	s.size += len(e.Opening.Facts) + len(e.Opening.Person)
	return record.Opening{FactsSalt: e.Opening.FactsSalt, Facts: e.Opening.Facts, PersonSalt: e.Opening.PersonSalt, Person: e.Opening.Person}
}

// rests adds the leaves about people that a leaf names, and those that they rest
// on.
func (s *showing) rests(e store.Entry) error {
	facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
	if errors.Is(err, record.ErrEvent) {
		return nil // whoever reads it will say so
	}
	if err != nil {
		return err
	}
	for _, hash := range record.Named(facts) {
		index, err := s.r.LeafIndex(hash)
		if errors.Is(err, record.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.add(index); err != nil {
			return err
		}
	}
	return nil
}

// add adds a login or a snapshot. A leaf of a lineage is shown in its own place, or
// not here.
func (s *showing) add(index int64) error {
	if _, done := s.named[index]; done {
		return nil
	}
	e, err := s.r.Entry(index)
	if err != nil {
		return err
	}
	if !e.Leaf.Lineage.IsZero() || e.Leaf.Kind != ledger.PersonLogin && e.Leaf.Kind != ledger.PersonSnapshot {
		return nil
	}
	s.named[index] = audit.Entry{Index: e.Index, Text: e.Text, Opening: s.opening(e)}
	if e.Leaf.Kind == ledger.PersonSnapshot {
		return s.rests(e)
	}
	return s.renewed(e)
}

// renewed adds the login that a refresh renews: the newest before it with the same
// device key in which the person signed in.
func (s *showing) renewed(e store.Entry) error {
	facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
	if err != nil {
		return nil //nolint:nilerr // whoever reads it will say so
	}
	f, ok := facts.(record.PersonLogin)
	if !ok || f.Flow != record.FlowRefresh {
		return nil
	}
	before, err := s.r.Firsts(record.TableLogin, "person", string(f.Person), e.Index, maxLogins)
	if err != nil {
		return err
	}
	for _, index := range before {
		e, err := s.r.Entry(index)
		if err != nil {
			return err
		}
		facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
		if err != nil {
			return err
		}
		if l, ok := facts.(record.PersonLogin); ok && l.DeviceKey == f.DeviceKey && l.Flow == record.FlowCode {
			return s.add(index)
		}
	}
	return nil
}
