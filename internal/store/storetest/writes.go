package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

var errChanged = errors.New("changed my mind")

func testRefused(t *testing.T, f *fixture) {
	f.setup()
	f.unchanged(func() {
		err := f.write(func(l Ledger) error {
			if err := l.facts(f.w.Join(l, "web-3.demo", "demo")); err != nil {
				return err
			}
			return l.facts(f.w.Join(l, "web-1.demo", "demo"))
		})
		wants(t, "a host twice, after another", err, record.ErrExists)
		err = f.write(func(l Ledger) error {
			if err := l.facts(f.w.Join(l, "web-3.demo", "demo")); err != nil {
				return err
			}
			return errChanged
		})
		wants(t, "fn's own error", err, errChanged)
	})
	f.mustRead(func(r *store.Reader) error {
		_, err := record.Host(r, "web-3.demo")
		wants(t, "the host of an undone write", err, record.ErrNotFound)
		return nil
	})
	// A refusal by the fold changes nothing, so the same write may go on.
	f.mustWrite(func(l Ledger) error {
		size := l.Next()
		wants(t, "a host twice", l.facts(f.w.Join(l, "web-1.demo", "demo")), record.ErrExists)
		if l.Next() != size {
			t.Error("the refused leaf has taken an index")
		}
		return l.facts(f.w.Join(l, "web-3.demo", "demo"))
	})
	all := f.entries()
	if int64(len(all)) != f.head().Tree.Size || all[0].Leaf.Kind != "host.join" {
		t.Errorf("%d entries, head %d", len(all), f.head().Tree.Size)
	}
}

// testUnreadable: what nobody could read back is not appended.
func testUnreadable(t *testing.T, f *fixture) {
	f.setup()
	f.unchanged(func() {
		for _, tt := range []struct {
			name string
			make func(l Ledger) recordtest.Draft
		}{
			{"a host named by a pattern", func(l Ledger) recordtest.Draft {
				return recordtest.Draft{Facts: f.w.Join(l, "*.demo", "demo")}
			}},
			{"a person that is no id", func(l Ledger) recordtest.Draft {
				d := f.w.Login(l, f.w.User("mallory"))
				login, _ := d.Facts.(record.PersonLogin)
				login.Person = "mallory"
				d.Facts = login
				return d
			}},
			{"a reference that is no id", func(l Ledger) recordtest.Draft {
				join := f.w.Join(l, "web-3.demo", "demo")
				join.Join = "web-3"
				return recordtest.Draft{Facts: join}
			}},
			{"a person part where there is none", func(l Ledger) recordtest.Draft {
				return recordtest.Draft{Facts: f.w.Join(l, "web-3.demo", "demo"), Person: record.RequestPerson{Reason: "none"}, PersonID: f.w.ID()}
			}},
			{"text in another Unicode form", func(l Ledger) recordtest.Draft {
				d := f.w.Login(l, f.w.User("mallory"))
				d.Person = record.LoginPerson{Subject: "sub", Name: "Zoe\u0308", IDToken: "x"}
				return d
			}},
		} {
			err := f.write(func(l Ledger) error {
				_, err := l.Append(tt.make(l))
				return err
			})
			if err == nil {
				t.Errorf("%s was appended", tt.name)
			}
		}
	})
}

func testTime(t *testing.T, f *fixture) {
	f.setup()
	at := func() (now canon.Micros) {
		t.Helper()
		f.mustWrite(func(l Ledger) error {
			now = l.Now()
			return nil
		})
		return now
	}
	f.pass(time.Hour + 1999*time.Nanosecond)
	f.mustWrite(func(l Ledger) error { return l.facts(f.w.Join(l, "web-3.demo", "demo")) })
	newest := recordtest.Start() + canon.Micros(time.Hour.Microseconds()) + 1
	if got := f.head().At; got != newest {
		t.Errorf("head at %d, want %d: whole microseconds, rounded down", got, newest)
	}
	f.pass(-20 * time.Second)
	if got := at(); got != newest {
		t.Errorf("after the clock was set back a write is at %d, want %d", got, newest)
	}
	f.mustWrite(func(l Ledger) error { return l.facts(f.w.Join(l, "web-4.demo", "demo")) })
	if got := f.head().At; got != newest {
		t.Errorf("head at %d, want %d", got, newest)
	}
	f.unchanged(func() {
		for _, off := range []canon.Micros{-1, 1} {
			err := f.write(func(l Ledger) error {
				join := f.w.Join(l, "web-5.demo", "demo")
				join.At += off
				return l.facts(join)
			})
			wants(t, fmt.Sprintf("facts %d µs off", off), err, record.ErrEvent)
		}
		f.pass(-11 * time.Second) // 31 s behind the newest leaf: no clock to date by
		err := f.write(func(l Ledger) error { return l.facts(f.w.Join(l, "web-5.demo", "demo")) })
		wants(t, "a clock behind the ledger", err, store.ErrClock)
	})
	f.pass(32 * time.Second)
	if got := at(); got != newest+1e6 {
		t.Errorf("later the time is %d, want %d", got, newest+1e6)
	}
}

// testApart: a clock that is over 5 s from the database's dates nothing; as soon as
// both agree it does.
func testApart(t *testing.T, f *fixture) {
	f.setup()
	for _, d := range []time.Duration{5 * time.Second, -5 * time.Second} {
		f.setApart(d)
		f.mustWrite(func(l Ledger) error { return l.facts(f.w.Join(l, sshcert.Host(fmt.Sprintf("web%d.demo", d)), "demo")) })
	}
	f.unchanged(func() {
		for _, d := range []time.Duration{5001 * time.Millisecond, -5001 * time.Millisecond, time.Hour} {
			f.setApart(d)
			err := f.write(func(l Ledger) error { return l.facts(f.w.Join(l, "web-3.demo", "demo")) })
			wants(t, fmt.Sprintf("the database's clock %s away", d), err, store.ErrClock)
		}
	})
	f.setApart(0)
	f.mustWrite(func(l Ledger) error { return l.facts(f.w.Join(l, "web-3.demo", "demo")) })
}

// testConflict moves the head inside the transaction, as a second writer would
// that the lock did not keep out.
func testConflict(t *testing.T, f *fixture) {
	f.setup()
	f.unchanged(func() {
		err := f.write(func(l Ledger) error {
			if err := l.facts(f.w.Join(l, "web-3.demo", "demo")); err != nil {
				return err
			}
			return f.moveHead()
		})
		wants(t, "the head moved meanwhile", err, store.ErrConflict)
	})
	f.mustWrite(func(l Ledger) error { return l.facts(f.w.Join(l, "web-3.demo", "demo")) })
}

// testSecondRow puts rows where the fold has none, as if it had been wrong. The
// database refuses the second one, and nothing of that write stands, even if
// the caller does not listen.
func testSecondRow(t *testing.T, f *fixture) {
	f.setup()
	f.pass(time.Minute)
	var granted, pending approval.Request
	f.mustWrite(func(l Ledger) error {
		granted = f.w.Granted(l, 0)
		ask := f.w.Ask(l, f.w.Alice)
		_, err := l.Append(f.w.Submit(l, f.w.Alice, ask))
		pending = f.w.Request(l, ask.Doc.Request)
		return err
	})
	f.plant(record.TableDecision, string(pending.ID)+"/lead/"+string(f.w.Bob.Person))
	for _, tt := range []struct {
		name, host string
		append     func(Ledger) error
	}{
		{"a decision", "beside-decision", func(l Ledger) error {
			_, err := l.Append(f.w.Decide(l, f.w.Bob, pending, approval.Approve, 0))
			return err
		}},
		{"a serial", "beside-serial", func(l Ledger) error {
			issue, err := f.w.Issue(l, f.w.Alice, granted, f.w.Key())
			if err != nil {
				return err
			}
			return l.facts(issue)
		}},
	} {
		size := f.head().Tree.Size
		for serial := size + 1; serial <= size+2; serial++ { // alone, and behind somebody else's leaf
			f.plant(record.TableCertificate, fmt.Sprintf("%020d", serial))
		}
		f.unchanged(func() {
			wants(t, tt.name, f.write(tt.append), store.ErrConflict)
			err := f.write(func(l Ledger) error {
				_ = tt.append(l)
				_ = l.facts(f.w.Join(l, "web-3.demo", "demo"))
				_, _ = l.Entry(l.Next() - 1) // which has what waits written
				return nil
			})
			wants(t, tt.name+", by a caller who does not listen", err, store.ErrConflict)
		})
		out := f.together([]write{{name: "good-1", do: f.join(tt.host + "-1.demo")}, {name: "second", do: tt.append}, {name: "good-2", do: f.join(tt.host + "-2.demo")}})
		wants(t, tt.name+", beside others", out.errs["second"], store.ErrConflict)
		wants(t, "the one before", out.errs["good-1"], nil)
		wants(t, "the one after", out.errs["good-2"], nil)
		if got := f.head().Tree.Size - size; got != 2 {
			t.Errorf("%s: %d leaves, want those of the two others", tt.name, got)
		}
	}
}

// plant writes a row of the fold behind its back.
func (f *fixture) plant(table record.Table, id string) {
	f.t.Helper()
	tx, err := f.engine.Begin(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	_, err = tx.ExecContext(f.t.Context(), `INSERT INTO state (tbl, id, body, leaf) VALUES ($1, $2, $3, $4)`, string(table), id, []byte(`{}`), 0)
	if err := errors.Join(err, tx.Commit()); err != nil {
		f.t.Fatal(err)
	}
}

func testParallelWriters(t *testing.T, f *fixture) {
	f.setup()
	before := f.head().Tree.Size
	const writers, each = 8, 5
	var group sync.WaitGroup
	var mu sync.Mutex
	taken := make(map[int64]sshcert.Host)
	for n := range writers {
		group.Go(func() {
			for i := range each {
				name := sshcert.Host(fmt.Sprintf("web-%d-%d.demo", n, i))
				var a store.Appended
				// A conflict says that trying again is safe, so the writer does.
				err := store.ErrConflict
				for tries := 0; errors.Is(err, store.ErrConflict) && tries < 100; tries++ {
					err = f.write(func(l Ledger) (err error) {
						join := f.w.Join(l, name, "demo") // the world draws; the lock is the transaction's
						a, err = l.Tx.Append(store.Draft{Facts: join})
						return err
					})
				}
				mu.Lock()
				if other, twice := taken[a.Index]; err != nil || twice {
					t.Errorf("%s at index %d, where %q is: %v", name, a.Index, other, err)
				}
				taken[a.Index] = name
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if got := f.head().Tree.Size - before; got != writers*each || len(taken) != writers*each {
		t.Errorf("%d leaves at %d indexes, want %d", got, len(taken), writers*each)
	}
	for _, e := range f.entries() {
		if name, mine := taken[e.Index]; mine {
			facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
			if join, ok := facts.(record.HostJoin); !ok || join.Name != name {
				t.Errorf("leaf %d is of %+v, want %s (%v)", e.Index, facts, name, err)
			}
		}
	}
}

func testSnapshot(t *testing.T, f *fixture) {
	f.setup()
	f.mustRead(func(r *store.Reader) error {
		before, err := r.Head()
		if err != nil {
			return err
		}
		f.mustWrite(func(l Ledger) error { return l.facts(f.w.Join(l, "web-3.demo", "demo")) })
		after, err := r.Head()
		if err != nil {
			return err
		}
		if after.Tree.Size != before.Tree.Size {
			t.Errorf("the head went from %d to %d during one read", before.Tree.Size, after.Tree.Size)
		}
		_, err = record.Host(r, "web-3.demo")
		wants(t, "a host that joined during the read", err, record.ErrNotFound)
		_, err = r.Entry(before.Tree.Size)
		wants(t, "its leaf", err, record.ErrNotFound)
		return nil
	})
	f.mustRead(func(r *store.Reader) error {
		_, err := record.Host(r, "web-3.demo")
		return err
	})
}

func testDurable(t *testing.T, f *fixture) {
	f.setup()
	var granted approval.Request
	session := store.Session{Kind: store.CLI, Person: f.w.Alice.Person, Issuer: recordtest.Issuer, Client: "sally", ExpiresAt: recordtest.Start() + 1e9}
	session.Login, session.Snapshot, session.ClaimsAt = f.w.Alice.Claims.Login, f.w.Alice.Claims.Snapshot, f.w.Alice.Claims.ClaimsAt
	f.mustWrite(func(l Ledger) error {
		granted = f.w.Granted(l, 300)
		return errors.Join(l.PutSession(canon.Sum("secret"), session), l.PutChallenge(canon.Sum("challenge"), "issue", l.Now()+1e6))
	})
	before, root, entries := f.head(), f.root(f.head()), f.entries()
	f.reopen()
	if after := f.head(); after.Tree.Size != before.Tree.Size || after.At != before.At || f.root(after) != root {
		t.Errorf("head of size %d at %d before, %d at %d after", before.Tree.Size, before.At, after.Tree.Size, after.At)
	}
	again := f.entries()
	if len(again) != len(entries) {
		t.Fatalf("%d entries before, %d after", len(entries), len(again))
	}
	for i, e := range entries {
		if string(again[i].Text) != string(e.Text) || string(again[i].Opening.Facts) != string(e.Opening.Facts) || string(again[i].Opening.Person) != string(e.Opening.Person) {
			t.Errorf("entry %d changed", e.Index)
		}
	}
	f.mustRead(func(r *store.Reader) error {
		if _, err := r.Version(f.w.Version.Digest); err != nil {
			t.Errorf("contract version: %v", err)
		}
		if got, _, err := r.Session(canon.Sum("secret"), store.CLI, recordtest.Start()); err != nil || got != session {
			t.Errorf("session %+v, %v", got, err)
		}
		return nil
	})
	f.mustWrite(func(l Ledger) error {
		if err := l.TakeChallenge(canon.Sum("challenge"), "issue"); err != nil {
			return err
		}
		issue, err := f.w.Issue(l, f.w.Alice, granted, f.w.Key())
		if err != nil {
			return err
		}
		return l.facts(issue)
	})
}

func testCancelled(t *testing.T, f *fixture) {
	f.setup()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.unchanged(func() {
		err := f.s.Write(ctx, func(tx *store.Tx) error {
			t.Error("the write ran")
			return Ledger{tx}.facts(f.w.Join(Ledger{tx}, "web-3.demo", "demo"))
		})
		wants(t, "cancelled before", err, context.Canceled)
	})
	f.unchanged(func() {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := f.s.Write(ctx, func(tx *store.Tx) error {
			l := Ledger{tx}
			if err := l.facts(f.w.Join(l, "web-3.demo", "demo")); err != nil {
				return err
			}
			cancel()
			return nil
		})
		if err == nil {
			t.Error("a write that was cancelled before its end was made")
		}
	})
	if err := f.s.Read(ctx, func(*store.Reader) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled read: %v", err)
	}
	f.mustWrite(func(l Ledger) error { return l.facts(f.w.Join(l, "web-3.demo", "demo")) })
}

// testVersions: a version is there as soon as its leaf is, is parsed once, and is
// not there if its leaf is not.
func testVersions(t *testing.T, f *fixture) {
	f.mustWrite(func(l Ledger) error { return l.facts(f.w.Open(l)) })
	digest := f.w.Version.Digest
	err := f.write(func(l Ledger) error {
		if err := l.facts(f.w.Propose(l, f.w.Version)); err != nil {
			return err
		}
		if v, err := l.Version(digest); err != nil || v.Digest != digest {
			t.Errorf("inside the write that proposes it: %v", err)
		}
		return errChanged
	})
	wants(t, "fn's own error", err, errChanged)
	f.mustRead(func(r *store.Reader) error {
		_, err := r.Version(digest)
		wants(t, "a version whose write was undone", err, record.ErrNotFound)
		return nil
	})
	f.mustWrite(func(l Ledger) error { return l.facts(f.w.Propose(l, f.w.Version)) })
	f.mustRead(func(r *store.Reader) error {
		first, err := r.Version(digest)
		if err != nil {
			return err
		}
		second, err := r.Version(digest)
		if first != second || first.Terms.ID != "acme" {
			t.Errorf("the version was parsed twice, or is another (%v)", err)
		}
		return nil
	})
}
