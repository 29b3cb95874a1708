package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// errUndone undoes a write.
var errUndone = errors.New("the test undoes it")

// tale plays a random story, the same in each run, until it has so many leaves. Now
// and then somebody gets in.
func (f *fixture) tale(leaves int64) {
	f.t.Helper()
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same in each run
	tale := f.w.NewStory(func(_ string, n int) int { return r.IntN(n) })
	for n := 0; f.head().Tree.Size < leaves; n++ {
		f.pass(tale.Pause() + time.Microsecond) // what is asked for at the moment of a revocation is revoked
		if n%40 == 0 {
			f.mustWrite(f.episode)
			continue
		}
		_ = f.write(func(l Ledger) error { return tale.Step(l) }) // what the fold refuses is not in the story
	}
}

// episode: Alice asks, Bob approves, a certificate is recorded, and the next one
// given up.
func (f *fixture) episode(l Ledger) error {
	for _, u := range []*recordtest.User{f.w.Alice, f.w.Bob} {
		if err := f.w.LogIn(l, u); err != nil {
			return err
		}
		if row, err := record.Person(l, u.Person); err != nil || row.Lock.Holds() {
			if _, err := l.Append(f.w.Unlock(l, u)); err != nil {
				return err
			}
		}
	}
	granted := f.w.Granted(l, 300)
	for range 2 {
		issue, err := f.w.Issue(l, f.w.Alice, granted, f.w.Key())
		if err != nil {
			return err
		}
		if err := l.facts(issue); err != nil {
			return err
		}
	}
	row, err := record.Certificate(l, uint64(l.Next())) //nolint:gosec // the serial of the newest leaf
	if err != nil {
		return err
	}
	return l.facts(f.w.Void(l, row))
}

// known is a leaf and what it mentions, from its facts.
type known struct {
	index    int64
	at       canon.Micros
	mentions []record.Mention
}

// oracle reads every leaf, oldest first.
func (f *fixture) oracle() (out []known) {
	f.t.Helper()
	f.mustRead(func(r *store.Reader) error {
		all, err := r.EntriesFrom(0, 100_000)
		if err != nil {
			return err
		}
		for _, e := range all {
			facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
			if err != nil {
				return err
			}
			mentions, err := record.Mentions(r, facts)
			if err != nil {
				return err
			}
			out = append(out, known{e.Index, e.At, mentions})
		}
		return nil
	})
	return out
}

// testSearch holds searches, read page by page, to a look at every leaf: with the
// index whole, with a part of it missing as after a program that knows none, and
// after that was filled in.
func testSearch(t *testing.T, f *fixture) {
	f.setup()
	f.tale(150)
	f.searches("whole")
	size := f.head().Tree.Size
	for _, upTo := range []int64{size - 20, 60, 0} {
		f.unmention(upTo)
		f.searches(fmt.Sprintf("up to leaf %d", upTo))
		if upTo > 0 {
			f.mustWrite(func(l Ledger) error { return l.facts(f.w.Join(l, f.host(), "demo")) })
			f.indexed("after a write")
		}
	}
	f.searches("after everything")
}

// host is a new host's name.
func (f *fixture) host() (name sshcert.Host) {
	return sshcert.Host(fmt.Sprintf("web-%d.demo", 100+f.head().Tree.Size))
}

// testMentions holds the index to the facts, row by row, and an undone append to
// leaving nothing in it.
func testMentions(t *testing.T, f *fixture) {
	f.setup()
	f.indexed("after the beginning")
	err := f.write(func(l Ledger) error {
		if err := l.facts(f.w.Join(l, "web-9.demo", "demo")); err != nil {
			return err
		}
		return errUndone
	})
	wants(t, "a write that is undone", err, errUndone)
	f.indexed("after an undone write")
	f.tale(100)
	f.indexed("after a story")
}

// indexed holds the whole index to the facts.
func (f *fixture) indexed(when string) {
	f.t.Helper()
	want := map[store.MentionRow]bool{}
	for _, k := range f.oracle() {
		for _, m := range k.mentions {
			want[store.MentionRow{Term: m.Term(), Leaf: k.index}] = true
		}
	}
	f.mustRead(func(r *store.Reader) error {
		size, err := r.Mentioned()
		if head := f.head().Tree.Size; size != head {
			f.t.Errorf("%s: the index is whole up to leaf %d of %d", when, size, head)
		}
		if err != nil {
			return err
		}
		rows := 0
		err = r.EachMention(func(m store.MentionRow) error {
			if rows++; !want[m] {
				f.t.Errorf("%s: the index has %+v, which no leaf says", when, m)
			}
			return nil
		})
		if rows != len(want) {
			f.t.Errorf("%s: the index has %d rows, want %d", when, rows, len(want))
		}
		return err
	})
}

// unmention does what a program without the index leaves behind: nothing of it from
// a leaf on.
func (f *fixture) unmention(from int64) {
	f.t.Helper()
	tx, err := f.engine.Begin(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for _, statement := range []string{`DELETE FROM mention WHERE leaf >= $1`, `UPDATE mentioned SET size = $1 WHERE id = 1`} {
		if _, err := tx.ExecContext(f.t.Context(), statement, from); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := f.engine.Commit(tx); err != nil {
		f.t.Fatal(err)
	}
}

// searches compares random searches with the oracle.
func (f *fixture) searches(when string) {
	f.t.Helper()
	all := f.oracle()
	size := int64(len(all))
	pool := []record.Mention{{Name: record.MentionHost, Value: "nowhere.demo"}}
	for _, k := range all {
		pool = append(pool, k.mentions...)
	}
	rapid.Check(f.t, func(rt *rapid.T) {
		s := store.Search{
			From: rapid.Int64Range(0, size).Draw(rt, "from"), Oldest: rapid.Bool().Draw(rt, "oldest first"),
			Limit: rapid.IntRange(1, 20).Draw(rt, "limit"), Most: rapid.IntRange(1, 50).Draw(rt, "most"),
		}
		s.Before = rapid.Int64Range(s.From, size).Draw(rt, "before")
		if rapid.Bool().Draw(rt, "of one leaf") { // such that they go together
			k := rapid.SampledFrom(all).Draw(rt, "leaf")
			s.Mentions = rapid.SliceOfN(rapid.SampledFrom(k.mentions), 0, 4).Draw(rt, "mentions")
		} else {
			s.Mentions = rapid.SliceOfN(rapid.SampledFrom(pool), 0, 3).Draw(rt, "mentions")
		}
		var want []int64
		for _, k := range all {
			if k.index >= s.From && k.index < s.Before && k.has(s.Mentions) {
				want = append(want, k.index)
			}
		}
		if !s.Oldest {
			slices.Reverse(want)
		}
		if got := f.readOn(rt, s, all); !slices.Equal(got, want) {
			rt.Fatalf("%s: %+v finds %v, want %v", when, s, got, want)
		}
	})
}

func (k known) has(mentions []record.Mention) bool {
	for _, m := range mentions {
		if !slices.Contains(k.mentions, m) {
			return false
		}
	}
	return true
}

// readOn reads a search to its end, and holds what it finds to the facts as every
// caller does.
func (f *fixture) readOn(rt *rapid.T, s store.Search, all []known) (out []int64) {
	for calls := 0; s.From < s.Before; calls++ {
		if calls > 2*len(all) {
			rt.Fatalf("it does not end: %+v", s)
		}
		var found store.Found
		f.mustRead(func(r *store.Reader) (err error) {
			found, err = r.Search(s)
			return err
		})
		if len(found.Leaves) > s.Limit {
			rt.Fatalf("%d leaves, at most %d were asked for", len(found.Leaves), s.Limit)
		}
		for _, leaf := range found.Leaves {
			if all[leaf].has(s.Mentions) {
				out = append(out, leaf)
			}
		}
		s.From, s.Before = found.From, found.Before
	}
	return out
}

// testFirstAt finds moments among leaves that share one, and between them.
func testFirstAt(t *testing.T, f *fixture) {
	f.setup()
	f.tale(60)
	all := f.oracle()
	for _, k := range all {
		for _, at := range []canon.Micros{k.at - 1, k.at, k.at + 1} {
			want := int64(slices.IndexFunc(all, func(o known) bool { return o.at >= at }))
			if want < 0 {
				want = int64(len(all))
			}
			f.mustRead(func(r *store.Reader) error {
				got, err := r.FirstAt(at)
				if got != want {
					t.Errorf("the first leaf at %d is %d, want %d", at, got, want)
				}
				return err
			})
		}
	}
	f.mustRead(func(r *store.Reader) error {
		list, err := r.EntriesAt([]int64{7, 3, 1 << 40, 5})
		if len(list) != 3 || list[0].Index != 7 || list[1].Index != 3 || list[2].Index != 5 {
			t.Errorf("entries at 7, 3 and 5: %d, %v", len(list), err)
		}
		if list, err := r.EntriesAt(nil); list != nil || err != nil {
			t.Errorf("entries at nothing: %v, %v", list, err)
		}
		return err
	})
	if at := canon.At(f.clock().Add(time.Hour)); at > all[len(all)-1].at {
		f.mustRead(func(r *store.Reader) error {
			got, err := r.FirstAt(at)
			if got != int64(len(all)) {
				t.Errorf("nothing is dated later, and %d is found", got)
			}
			return err
		})
	}
}
