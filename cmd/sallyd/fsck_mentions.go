package main

import (
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// mentionSums is the index of mentions as the leaves give it and as the database
// has it, as a sum for each leaf: there are many rows, and which leaf is found
// wrongly is all that matters.
type mentionSums struct {
	want, have []uint64
	rows       int64
	beyond     int64 // rows of leaves that are not there
}

// mixed spreads a term over all bits, so that sums of others do not come out alike
// (the finalizer of SplitMix64).
func mixed(term int64) uint64 {
	x := uint64(term) + 0x9e3779b97f4a7c15 //nolint:gosec // any 64 bits are a term
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// mention notes what a leaf that was replayed is found by. What can't be read is
// found by nothing, and told elsewhere.
func (f *fsck) mention(o audit.Opened) error {
	sum := uint64(0)
	if facts := o.Facts(); facts != nil {
		list, err := record.Mentions(f.replay.State(), facts)
		if err != nil {
			return err
		}
		for _, m := range list {
			sum += mixed(m.Term())
		}
	}
	f.mentions.want = append(f.mentions.want, sum)
	return nil
}

// index compares the index of mentions.
func (f *fsck) index() error {
	m := &f.mentions
	size := int64(len(m.want))
	m.have = make([]uint64, size)
	err := f.r.EachMention(func(row store.MentionRow) error {
		m.rows++
		if row.Leaf < 0 || row.Leaf >= size {
			m.beyond++
			return nil
		}
		m.have[row.Leaf] += mixed(row.Term)
		return nil
	})
	if err != nil {
		return err
	}
	whole, err := f.r.Mentioned()
	if err != nil {
		return err
	}
	if whole > size {
		f.differ("index: it is said to be whole up to leaf %d, and there are %d leaves", whole, size)
	}
	if m.beyond > 0 {
		f.differ("index: %d rows are of leaves that are not there", m.beyond)
	}
	for leaf := range m.want {
		if later := int64(leaf) >= whole && m.have[leaf] == 0; m.have[leaf] != m.want[leaf] && !later { // a leaf that the index has not come to yet is searched all the same
			f.differ("leaf %d: it is not found by what it is about", leaf)
		}
	}
	return nil
}
