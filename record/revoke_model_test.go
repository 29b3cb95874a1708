package record_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// In a random story a certificate is covered if and only if a plain reading says so,
// and none is issued under what was revoked.
func TestPromiseP09_CoversModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := recordtest.New(rt, fmt.Sprint(rapid.Uint64().Draw(rt, "seed")))
		m := w.NewMap()
		w.Setup(m)
		dice := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "dice"), 1)) // rapid's own numbers are mostly small, and revoking stands last
		story := w.NewStory(func(_ string, n int) int { return dice.IntN(n) })
		model := make(map[uint64]*modelled)
		for range rapid.IntRange(10, 40).Draw(rt, "steps") {
			m.Clock += 1 + micros(time.Duration(dice.IntN(40))*time.Second)
			before := len(m.Entries)
			_ = turn(dice, story, m)
			for _, e := range m.Entries[before:] {
				read(rt, w, m, e.Draft.Facts, model)
			}
		}
		for _, c := range model {
			row, err := record.Certificate(m, c.serial)
			if err != nil {
				rt.Fatal(err)
			}
			covered := false
			for _, e := range m.Entries[c.serial:] { // those behind the certificate's own
				covered = covered || record.Covers(e.Draft.Facts, row, w.Request(m, row.Grant))
			}
			if covered != c.revoked {
				rt.Fatalf("certificate %d is covered: %t, want %t", c.serial, covered, c.revoked)
			}
		}
	})
}

// turn is a step of a story in which somebody gets in and something is taken away
// again and again.
func turn(dice *rand.Rand, story *recordtest.Story, l recordtest.Ledger) error {
	switch dice.IntN(3) {
	case 0:
		return story.GetIn(l)
	case 1:
		return story.Takes(l)
	}
	return story.Step(l)
}

// read takes a leaf into the model.
func read(rt *rapid.T, w *recordtest.World, m *recordtest.Map, f record.Facts, model map[uint64]*modelled) {
	switch f := f.(type) {
	case record.CertificateIssue:
		for _, c := range model {
			if c.revoked && c.r.ID == f.Grant && w.Request(m, f.Grant).Revoked.At != 0 {
				rt.Fatalf("certificate %d is issued under a grant that is revoked", f.Serial)
			}
		}
		model[f.Serial] = &modelled{serial: f.Serial, r: w.Request(m, f.Grant)}
	case record.CertificateVoid:
		model[f.Serial].revoked = true
	case record.PersonLock:
		for _, c := range model {
			c.revoked = c.revoked || c.r.By == f.Person
		}
	case record.AccessRevoke:
		for _, c := range model {
			hit := map[record.TargetType]bool{
				record.TargetCertificate: c.serial == f.Target.Serial, record.TargetGrant: c.r.ID == f.Target.ID, record.TargetRequest: c.r.ID == f.Target.ID,
				record.TargetPerson: c.r.By == f.Target.ID, record.TargetRole: c.r.Role == f.Target.Role,
			}
			for _, h := range c.r.Hosts {
				hit[record.TargetHost] = hit[record.TargetHost] || h == f.Target.Host
			}
			c.revoked = c.revoked || hit[f.Target.Type]
		}
	}
}
