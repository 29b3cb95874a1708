package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// testSeesWhatWaits: what functions of a batch append is written at its end, and
// whoever asks before sees it all the same: their own, and that of those before who
// did not fail.
func testSeesWhatWaits(t *testing.T, f *fixture) {
	f.setup()
	before := f.head().Tree.Size
	hosts := func(l Ledger) (names []string, err error) {
		return l.Keys(record.TableHost, record.Index{Name: "all"})
	}
	sees := func(who string, l Ledger, want ...string) error {
		have, err := hosts(l)
		there := make(map[string]bool)
		for _, name := range have {
			there[name] = true
		}
		for _, name := range want {
			if !there[name] {
				t.Errorf("%s misses %s", who, name)
			}
		}
		if there["failing.demo"] {
			t.Errorf("%s sees a host of a function that failed", who)
		}
		return err
	}
	out := f.together([]write{
		{name: "first", do: f.join("first.demo")},
		{name: "asks", do: func(l Ledger) error {
			if err := sees("the second", l, "first.demo"); err != nil {
				return err
			}
			return f.join("second.demo")(l)
		}},
		{name: "fails", do: func(l Ledger) error {
			if err := f.join("failing.demo")(l); err != nil {
				return err
			}
			entry, err := l.Entry(l.Next() - 1)
			if err != nil {
				return err
			}
			hash, err := entry.Leaf.Hash()
			if err != nil {
				return err
			}
			if index, err := l.LeafIndex(canon.Digest(hash)); err != nil || index != l.Next()-1 {
				t.Errorf("its own leaf is at %d, %v", index, err)
			}
			return errChanged
		}},
		{name: "last", do: func(l Ledger) error {
			if err := sees("the last", l, "first.demo", "second.demo"); err != nil {
				return err
			}
			_, err := record.Host(l, "failing.demo")
			wants(t, "the failed one's host", err, record.ErrNotFound)
			return f.join("last.demo")(l)
		}},
		{name: "again", do: f.join("first.demo")},
	})
	for name, want := range map[string]error{"first": nil, "asks": nil, "fails": errChanged, "last": nil, "again": record.ErrExists} {
		wants(t, name, out.errs[name], want)
	}
	if len(out.order) != 5 {
		t.Errorf("they did not share a batch: %v", out.order)
	}
	if got := f.head().Tree.Size - before; got != 3 {
		t.Errorf("%d leaves, want 3", got)
	}
	f.consistent()
	f.folded()
}

// testHalfALeaf: nothing of a write stands in which an append broke off in the
// middle, even if the caller does not listen.
func testHalfALeaf(t *testing.T, f *fixture) {
	f.setup()
	f.unchanged(func() {
		for reads := range int64(4) { // two salts, the key of a new person, a nonce
			f.random.left.Store(reads)
			err := f.write(func(l Ledger) error {
				u := f.w.User(fmt.Sprintf("new-%d", reads), "engineers")
				if err := f.w.LogIn(l, u); !errors.Is(err, errRandom) {
					t.Errorf("after %d reads: %v", reads, err)
				}
				f.random.left.Store(-1)
				if reads < 2 {
					return errChanged // it had not begun
				}
				_ = l.facts(f.w.Join(l, "web-3.demo", "demo"))
				return nil
			})
			f.random.left.Store(-1)
			if reads < 2 {
				wants(t, "before the leaf", err, errChanged)
			} else {
				wants(t, fmt.Sprintf("after %d reads", reads), err, errRandom)
			}
		}
	})
	f.mustWrite(f.join("web-3.demo"))
	f.folded()
}

// testBatchesFold plays a random story in batches, in which functions ask for what
// waits, fail after they have appended, and change what others of the batch have
// changed. The tables are what the leaves fold to.
func testBatchesFold(t *testing.T, f *fixture) {
	f.setup()
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same in each run
	tale := f.w.NewStory(func(_ string, n int) int { return r.IntN(n) })
	for batch := range 30 {
		f.pass(tale.Pause())
		var jobs []write
		for n := range 1 + r.IntN(12) {
			undone := r.IntN(4) == 0
			jobs = append(jobs, write{name: fmt.Sprintf("%d of batch %d", n, batch), do: func(l Ledger) error {
				for range 1 + r.IntN(4) {
					if r.IntN(4) == 0 {
						if err := look(l, r.IntN(4)); err != nil {
							t.Error(err)
						}
					}
					if r.IntN(8) == 0 { // plain rows are written as they come
						if err := l.PutChallenge(canon.Sum("challenge", []byte(strconv.FormatUint(r.Uint64(), 10))), "issue", l.Now()+1e6); err != nil {
							return err
						}
					}
					if !undone {
						_ = tale.Step(l) // what the fold refuses is not in the story
						continue
					}
					alice := *f.w.Alice // the story goes on as if she had not
					err := f.w.LogIn(l, f.w.Alice)
					*f.w.Alice = alice
					if err != nil {
						return err
					}
				}
				if undone {
					return errUndone
				}
				return nil
			}})
		}
		for name, err := range f.together(jobs).errs {
			if err != nil && !errors.Is(err, errUndone) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if batch%10 == 9 {
			f.mustWrite(f.episode)
		}
	}
	if size := f.head().Tree.Size; size < 150 {
		t.Errorf("the story has %d leaves", size)
	}
	f.consistent()
	f.folded()
	f.indexed("after batches")
}

// look asks for rows that may wait to be written.
func look(l Ledger, which int) error {
	var err error
	switch which {
	case 0:
		_, err = l.List(record.TableRequest, "state", "open", 10)
	case 1:
		_, err = l.Keys(record.TableHost, record.Index{Name: "all"})
	case 2:
		_, err = l.Entry(l.Next() - 1)
	default:
		_, err = l.Entries(l.Next(), 3)
	}
	return err
}

// folded holds the fold's tables to what the leaves fold to.
func (f *fixture) folded() {
	f.t.Helper()
	memory := record.NewMemory()
	writer := make(map[record.Key]int64)
	lists := make(map[store.IndexRow]bool)
	first := make(map[[2]string]int64)
	f.mustRead(func(r *store.Reader) error {
		all, err := r.EntriesFrom(0, 1<<20)
		if err != nil {
			return err
		}
		for _, e := range all {
			facts, person, err := record.Open(e.Leaf, record.Opening{
				FactsSalt: e.Opening.FactsSalt, Facts: e.Opening.Facts, PersonSalt: e.Opening.PersonSalt, Person: e.Opening.Person,
			})
			if err != nil {
				return err
			}
			hash, err := e.Leaf.Hash()
			if err != nil {
				return err
			}
			changes, err := memory.Fold(memory, record.Event{Index: e.Index, LeafHash: canon.Digest(hash), Facts: facts, Person: person, PersonCommitment: e.Leaf.Person})
			if err != nil {
				return fmt.Errorf("leaf %d: %w", e.Index, err)
			}
			for _, c := range changes {
				k := record.Key{Table: c.Table, ID: c.Key}
				writer[k] = e.Index
				for _, i := range c.Index {
					place := [2]string{fmt.Sprint(k), i.Name}
					if _, ok := first[place]; !ok {
						first[place] = e.Index
					}
					maps.DeleteFunc(lists, func(l store.IndexRow, _ bool) bool { return l.Key == k && l.Name == i.Name })
					lists[store.IndexRow{Key: k, Name: i.Name, Value: i.Value, Leaf: first[place]}] = true
				}
			}
		}
		rows := 0
		if err := r.EachStateRow(func(s store.StateRow) error {
			rows++
			if string(memory.Rows[s.Key]) != string(s.Body) || writer[s.Key] != s.Leaf {
				f.t.Errorf("row %v of leaf %d is %s; the leaves say %s, of leaf %d", s.Key, s.Leaf, s.Body, memory.Rows[s.Key], writer[s.Key])
			}
			return nil
		}); err != nil {
			return err
		}
		if rows != len(memory.Rows) {
			f.t.Errorf("%d rows, the leaves make %d", rows, len(memory.Rows))
		}
		listed := 0
		if err := r.EachIndexRow(func(i store.IndexRow) error {
			listed++
			if !lists[i] {
				f.t.Errorf("no leaf lists %v", i)
			}
			return nil
		}); err != nil {
			return err
		}
		if listed != len(lists) {
			f.t.Errorf("%d entries in lists, the leaves make %d", listed, len(lists))
		}
		return nil
	})
}

// testOthersWrite: two stores on one database each see what the other has written,
// whatever they know.
func testOthersWrite(t *testing.T, f *fixture) {
	f.setup()
	mine := f.s
	f.s = nil
	f.reopen()
	theirs := f.s
	defer func() {
		if err := mine.Close(); err != nil {
			t.Error(err)
		}
	}()
	for n := range 6 {
		f.s = []*store.Store{mine, theirs}[n%2]
		f.mustWrite(f.episode) // it changes the rows of people who logged in at the other one
	}
	// A request that one has filed and the other has decided.
	f.s = theirs
	var ask recordtest.Ask
	f.mustWrite(func(l Ledger) error {
		ask = f.w.Ask(l, f.w.Alice)
		_, err := l.Append(f.w.Submit(l, f.w.Alice, ask))
		return err
	})
	f.s = mine
	f.mustWrite(func(l Ledger) error {
		_, err := l.Append(f.w.Decide(l, f.w.Bob, f.w.Request(l, ask.Doc.Request), approval.Approve, 0))
		return err
	})
	f.s = theirs
	f.mustWrite(func(l Ledger) error {
		issue, err := f.w.Issue(l, f.w.Alice, f.w.Request(l, ask.Doc.Request), f.w.Key())
		if err != nil {
			return err
		}
		return l.facts(issue)
	})
	f.consistent()
	f.folded()
}
