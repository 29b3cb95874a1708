package authority

import (
	"fmt"
	"slices"
	"sync"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

const (
	// laterPage is how many leaves are read at once.
	laterPage = 1000
	// maxLater bounds how many leaves are remembered by what they change, about
	// 100 bytes each; beyond it all are forgotten and read again.
	maxLater = 1 << 20
)

// laterLeaves remembers which leaves change a row that other leaves made before:
// decisions on a request and its end, newer groups of a person, revocations of what is
// more than a request, by their contract. Each leaf is read
// once, however many grants are checked. It is safe for concurrent use.
//
// Only leaves under a signed checkpoint are remembered: later ones may be lost
// with their server, and others come in their place.
type laterLeaves struct {
	mu   sync.Mutex
	span *laterSpan // guarded by mu, nil: nothing was read
}

// laterSpan is what is remembered of a run of leaves. One that is given up is left
// as it is for those who are still reading it.
type laterSpan struct {
	low, high int64                  // guarded by mu: every such leaf from low to before high is in by
	by        map[record.Key][]int64 // guarded by mu: in no order
	count     int                    // guarded by mu: of indexes in by
}

// laterRows are those leaves in a ledger of size leaves.
type laterRows struct {
	mu    *sync.Mutex
	span  *laterSpan
	extra map[record.Key][]int64 // those that the span lacked
	size  int64
}

// forget makes every leaf be read again.
func (l *laterLeaves) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.span = nil
}

// at reads what is missing from leaf from on, in a ledger of size leaves of which
// the first signed are under a signed checkpoint.
func (l *laterLeaves) at(r *store.Reader, from, size, signed int64) (laterRows, error) {
	l.mu.Lock()
	// Others may have come further than the state that r sees; what they found is
	// left out by its index. A ledger that lacks what was signed is another one.
	if l.span == nil || size < signed {
		l.span = &laterSpan{low: from, high: from, by: make(map[record.Key][]int64)}
	}
	span := l.span
	low, high := span.low, span.high
	l.mu.Unlock()
	out := laterRows{mu: &l.mu, span: span, extra: make(map[record.Key][]int64), size: size}
	if from < low {
		if err := out.read(r, from, low); err != nil {
			return laterRows{}, err
		}
	}
	if err := out.read(r, high, size); err != nil {
		return laterRows{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if span.low == low && from < low { // else somebody else came as far meanwhile
		span.remember(out.extra, from, low)
		span.low = from
	}
	if until := min(size, signed); span.high < until {
		span.remember(out.extra, span.high, until)
		span.high = until
	}
	if span.count > maxLater && l.span == span {
		l.span = nil
	}
	return out, nil
}

// read adds the leaves from an index to before another.
func (l laterRows) read(r *store.Reader, from, until int64) error {
	for from < until {
		page, err := r.SincePage(from, laterPage, ledger.RequestDecide, ledger.RequestExpire, ledger.RequestCancel, ledger.AccessRevoke,
			ledger.PersonSnapshot, ledger.ContractSign, ledger.ContractCondition, ledger.ContractTerminate, ledger.GrantCarry)
		if err != nil {
			return err
		}
		for _, e := range page {
			if e.Index >= until {
				return nil
			}
			k, err := changes(e)
			if err != nil {
				return err
			}
			if k != (record.Key{}) {
				l.extra[k] = append(l.extra[k], e.Index)
			}
			from = e.Index + 1
		}
		if len(page) < laterPage {
			return nil
		}
	}
	return nil
}

// remember keeps what was read from an index to before another.
func (s *laterSpan) remember(read map[record.Key][]int64, from, until int64) {
	for k, indexes := range read {
		for _, i := range indexes {
			if i >= from && i < until {
				s.by[k] = append(s.by[k], i)
				s.count++
			}
		}
	}
}

// of returns the leaves from an index on which change a row, in order.
func (l laterRows) of(k record.Key, from int64) []int64 {
	l.mu.Lock()
	indexes := append(slices.Clone(l.span.by[k]), l.extra[k]...)
	l.mu.Unlock()
	slices.Sort(indexes)
	return slices.DeleteFunc(slices.Compact(indexes), func(i int64) bool { return i < from || i >= l.size })
}

// changes returns the row that a leaf changes; zero for the revocation of a
// certificate by itself, which changes no grant.
func changes(e store.Entry) (record.Key, error) {
	facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
	if err != nil {
		return record.Key{}, fmt.Errorf("leaf %d: %w", e.Index, err)
	}
	switch f := facts.(type) {
	case record.RequestDecide:
		return requestKey(f.Request), nil
	case record.RequestExpire:
		return requestKey(f.Request), nil
	case record.RequestCancel:
		return requestKey(f.Request), nil
	case record.AccessRevoke:
		switch {
		case f.Target.Whole():
			return lineageKey(f.Lineage), nil
		case f.Target.Type == record.TargetCertificate:
			return record.Key{}, nil
		}
		return requestKey(f.Target.ID), nil
	case record.PersonSnapshot:
		return personKey(f.Person), nil
	case record.ContractSign:
		return lineageKey(f.Lineage), nil
	case record.ContractCondition:
		return lineageKey(f.Lineage), nil
	case record.ContractTerminate:
		return lineageKey(f.Lineage), nil
	case record.GrantCarry:
		return requestKey(f.Grant), nil
	}
	return record.Key{}, fmt.Errorf("leaf %d: %w: it changes no row", e.Index, record.ErrEvent)
}

func requestKey(id canon.ID) record.Key {
	return record.Key{Table: record.TableRequest, ID: string(id)}
}

func lineageKey(d canon.Digest) record.Key {
	return record.Key{Table: record.TableLineage, ID: d.String()}
}

func personKey(id canon.ID) record.Key {
	return record.Key{Table: record.TablePerson, ID: string(id)}
}
