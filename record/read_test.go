package record_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// A reading stands only of somebody who held the office then.
func TestPersonReadRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	audited := w.Audited()
	w.PutInForce(m, audited)
	good := plain(w.Read(m, w.Carol, audited, 6, 8))
	bend := func(f func(*record.PersonRead)) recordtest.Draft { return bent(good, f) }
	whole := func(f *record.PersonRead) {
		f.How, f.Leaves, f.Query, f.First, f.Last = record.ReadExport, nil, canon.Digest{}, 0, 9
	}
	one := func(f *record.PersonRead) {
		f.How, f.Leaves, f.Query, f.First, f.Last, f.Count = record.ReadEntry, []int64{6}, canon.Digest{}, 6, 6, 1
	}
	refuses(t, m, good, []refusal{
		{"by who does not hold the office", plain(w.Read(m, w.Bob, audited, 6)), contract.ErrNotHolder},
		{"where nobody holds it", plain(w.Read(m, w.Carol, w.Version, 6)), contract.ErrNotHolder},
		{"in a contract that is not in force", plain(w.Read(m, w.Carol, w.Contract("later", "offices: {auditor: [owners]}\n"), 6)), record.ErrNotFound},
		{"under another version", bend(func(f *record.PersonRead) { f.Contract = w.Version.Digest }), record.ErrNotInForce},
		{"in another lineage", bend(func(f *record.PersonRead) { f.Lineage = w.Version.Lineage() }), record.ErrNotInForce},
		{"by another's claims", bend(func(f *record.PersonRead) { f.Person = w.Bob.Person }), record.ErrClaimsOld},
		{"with the auditor's name and one's own claims", bend(func(f *record.PersonRead) { f.Claims = w.Bob.Claims }), record.ErrClaimsOld},
		{"of claims at another time", bend(func(f *record.PersonRead) { f.Claims.ClaimsAt-- }), record.ErrEvent},
		{"by a device", bend(func(f *record.PersonRead) { f.Assurance = record.AssuranceDevice }), record.ErrEvent},
		{"in another way", bend(func(f *record.PersonRead) { f.How = "glance" }), record.ErrEvent},
		// What was read.
		{"the wrong way round", bend(func(f *record.PersonRead) { f.First, f.Last = f.Last, f.First }), record.ErrEvent},
		{"of itself", bend(func(f *record.PersonRead) { f.Last = m.Next() }), record.ErrEvent},
		{"of more than it names", bend(func(f *record.PersonRead) { f.Count++ }), record.ErrEvent},
		{"of fewer than it names", bend(func(f *record.PersonRead) { f.Count-- }), record.ErrEvent},
		{"out of order", bend(func(f *record.PersonRead) { f.Leaves = []int64{8, 6} }), record.ErrEvent},
		{"of one leaf twice", bend(func(f *record.PersonRead) { f.Leaves = []int64{6, 6} }), record.ErrEvent},
		{"outside what was searched", bend(func(f *record.PersonRead) { f.Leaves = []int64{6, 9} }), record.ErrEvent},
		{"an export that names leaves", bend(func(f *record.PersonRead) { whole(f); f.Leaves = []int64{6, 8} }), record.ErrEvent},
		{"an export that looks for something", bend(func(f *record.PersonRead) { whole(f); f.Query = canon.Digest{1} }), record.ErrEvent},
		{"an export of more than there is", bend(func(f *record.PersonRead) { whole(f); f.Count = 11 }), record.ErrEvent},
		{"an entry that is two", bend(func(f *record.PersonRead) { one(f); f.Last = 7 }), record.ErrEvent},
		{"an entry that is none", bend(func(f *record.PersonRead) { one(f); f.Count, f.Leaves = 0, nil }), record.ErrEvent},
		{"an entry that looks for something", bend(func(f *record.PersonRead) { one(f); f.Query = canon.Digest{1} }), record.ErrEvent},
	})
	for name, d := range map[string]recordtest.Draft{
		"an export": bend(whole), "an entry": bend(one),
		"a search that found nothing": bend(func(f *record.PersonRead) { f.Count, f.Leaves = 0, nil }),
	} {
		if err := m.Check(d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.Clock += micros(15*time.Minute + time.Second)
	stale := bend(func(f *record.PersonRead) { f.At = m.Clock })
	if err := m.Check(stale); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("with claims that are too old: %v", err)
	}
}
