package store

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// Search says which leaves are looked for: those from From up to but not
// including Before that may mention everything in Mentions.
type Search struct {
	Mentions []record.Mention
	From     int64
	Before   int64
	Oldest   bool // oldest first, else newest first
	Limit    int  // leaves to find, at most
	// Most bounds the leaves that are looked at for several mentions, or where the
	// index is not whole.
	Most int
}

// Found is what a search found.
type Found struct {
	Leaves []int64 // in the order of the search
	// Rest is what is left to be searched: From and Before of the search that goes
	// on. From is Before when nothing is left.
	From, Before int64
}

// Search looks for leaves by what they are about. Everything between the two ends
// that mentions what is looked for is in the answer or in the rest; what is in the
// answer is to be held to the facts, since an index may say too much.
func (r *Reader) Search(s Search) (Found, error) {
	size, err := r.Mentioned()
	if err != nil {
		return Found{}, err
	}
	rest := Found{From: s.From, Before: max(s.Before, s.From)}
	for rest.From < rest.Before && len(rest.Leaves) < s.Limit {
		from, before := rest.From, rest.Before
		// The index up to where it is whole, and what is behind that, one after the
		// other.
		indexed := before <= size || (s.Oldest && from < size)
		switch {
		case s.Oldest && indexed:
			before = min(before, size)
		case !indexed:
			from = max(from, size)
		}
		leaves, done, err := r.searchPart(s, from, before, s.Limit-len(rest.Leaves), indexed)
		if err != nil {
			return Found{}, err
		}
		rest.Leaves = append(rest.Leaves, leaves...)
		if s.Oldest {
			rest.From = done
		} else {
			rest.Before = done
		}
		if looked := before - from; (!indexed && looked > int64(s.Most)) || (s.Oldest && done < before) || (!s.Oldest && done > from) {
			break // the bound was reached
		}
	}
	return rest, nil
}

// searchPart searches a part that the index has whole, or not at all, and returns
// up to where it did.
func (r *Reader) searchPart(s Search, from, before int64, limit int, indexed bool) (leaves []int64, done int64, err error) {
	if !indexed || len(s.Mentions) == 0 {
		return plainRange(s, from, before, limit, indexed)
	}
	terms := termsOf(s.Mentions)
	if len(terms) > 1 {
		if from, before, err = r.bound(s, terms[0], from, before); err != nil {
			return nil, 0, err
		}
	}
	var also strings.Builder
	args := []any{terms[0], from, before}
	for i, t := range terms[1:] {
		fmt.Fprintf(&also, ` AND EXISTS (SELECT 1 FROM mention x WHERE x.term = $%d AND x.leaf = m.leaf)`, i+4)
		args = append(args, t)
	}
	query := fmt.Sprintf(`SELECT m.leaf FROM mention m WHERE m.term = $1 AND m.leaf >= $2 AND m.leaf < $3%s ORDER BY m.leaf %s LIMIT $%d`,
		also.String(), direction(s.Oldest), len(args)+1)
	rows, err := r.db.QueryContext(r.ctx, query, append(args, limit)...)
	if err != nil {
		return nil, 0, err
	}
	leaves, err = scanAll(rows, scanLeaf)
	return leaves, doneAt(s.Oldest, leaves, from, before, limit), err
}

func scanLeaf(rows *sql.Rows) (leaf int64, err error) { return leaf, rows.Scan(&leaf) }

// bound narrows a part to where s.Most leaves mention the first term.
func (r *Reader) bound(s Search, term, from, before int64) (int64, int64, error) {
	var last int64
	err := r.db.QueryRowContext(r.ctx, `SELECT leaf FROM mention WHERE term = $1 AND leaf >= $2 AND leaf < $3 ORDER BY leaf `+direction(s.Oldest)+` LIMIT 1 OFFSET $4`,
		term, from, before, s.Most-1).Scan(&last)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return from, before, nil
	case err != nil:
		return 0, 0, err
	case s.Oldest:
		return from, last + 1, nil
	}
	return last, before, nil
}

// plainRange takes each leaf: all of them are looked for, or nobody knows what they
// are about.
func plainRange(s Search, from, before int64, limit int, indexed bool) (leaves []int64, done int64, err error) {
	n := int64(limit)
	if !indexed {
		n = min(n, int64(s.Most))
	}
	n = min(n, before-from)
	for i := range n {
		if s.Oldest {
			leaves = append(leaves, from+i)
		} else {
			leaves = append(leaves, before-1-i)
		}
	}
	if s.Oldest {
		return leaves, from + n, nil
	}
	return leaves, before - n, nil
}

// doneAt returns up to where a part was searched: all of it, unless as many were
// found as were wanted.
func doneAt(oldest bool, leaves []int64, from, before int64, limit int) int64 {
	full := len(leaves) == limit
	switch {
	case full && oldest:
		return leaves[len(leaves)-1] + 1
	case full:
		return leaves[len(leaves)-1]
	case oldest:
		return before
	}
	return from
}

func direction(oldest bool) string {
	if oldest {
		return "ASC"
	}
	return "DESC"
}

// termsOf returns the terms of mentions, the rarest kind of value first.
func termsOf(mentions []record.Mention) []int64 {
	order := record.MentionNames()
	sorted := slices.Clone(mentions)
	slices.SortStableFunc(sorted, func(a, b record.Mention) int { return slices.Index(order, a.Name) - slices.Index(order, b.Name) })
	var out []int64
	for _, m := range sorted {
		if t := m.Term(); !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// EntriesAt returns the leaves at indexes, in their order. One that is not there is
// left out.
func (r *Reader) EntriesAt(indexes []int64) ([]Entry, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	marks, args := make([]string, len(indexes)), make([]any, len(indexes))
	for i, x := range indexes {
		marks[i], args[i] = fmt.Sprintf("$%d", i+1), x
	}
	list, err := r.entries(entryColumns+`WHERE l.idx IN (`+strings.Join(marks, ", ")+`)`, args...)
	if err != nil {
		return nil, err
	}
	place := make(map[int64]int, len(indexes))
	for i, x := range indexes {
		place[x] = i
	}
	slices.SortFunc(list, func(a, b Entry) int { return place[a.Index] - place[b.Index] })
	return list, nil
}

// FirstAt returns the index of the first leaf that is dated at or after a moment,
// the size of the log if there is none. Ledger time never goes back, so it is found
// by halving.
func (r *Reader) FirstAt(at canon.Micros) (int64, error) {
	head, err := r.Head()
	if err != nil {
		return 0, err
	}
	if at > head.At {
		return head.Tree.Size, nil
	}
	low, high := int64(0), head.Tree.Size // the first one is in [low, high]
	for low < high {
		middle := low + (high-low)/2
		var dated int64
		if err := r.db.QueryRowContext(r.ctx, `SELECT at_us FROM leaf WHERE idx = $1`, middle).Scan(&dated); err != nil {
			return 0, fmt.Errorf("leaf %d: %w", middle, err)
		}
		if dated < int64(at) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// MentionRow is a row of the index of mentions.
type MentionRow struct{ Term, Leaf int64 }

// EachMention calls fn with every row of the index of mentions. fn reads nothing.
func (r *Reader) EachMention(fn func(MentionRow) error) error {
	rows, err := r.db.QueryContext(r.ctx, `SELECT term, leaf FROM mention`)
	if err != nil {
		return err
	}
	return each(rows, fn, func(rows *sql.Rows) (m MentionRow, err error) { return m, rows.Scan(&m.Term, &m.Leaf) })
}
