package storetest

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

func testCheckpoints(t *testing.T, f *fixture) {
	put := func(size int64, note string) {
		t.Helper()
		f.mustWrite(func(l Ledger) error {
			return l.PutCheckpoint(ledger.Checkpoint{Origin: recordtest.Origin, Size: size, Root: tlog.Hash(canon.Sum(note))}, []byte(note))
		})
	}
	put(3, "three")
	put(10, "ten")
	put(9, "nine")
	put(10, "ten again")
	f.mustRead(func(r *store.Reader) error {
		size, root, note, err := r.Checkpoint()
		if size != 10 || root != tlog.Hash(canon.Sum("ten")) || string(note) != "ten" {
			t.Errorf("checkpoint of size %d: %q, %v; want the first of size 10", size, note, err)
		}
		return nil
	})
	if size := f.head().Tree.Size; size != 0 {
		t.Errorf("a checkpoint moved the head to %d", size)
	}
}

func testCertificates(t *testing.T, f *fixture) {
	grant, other, key := f.w.ID(), f.w.ID(), canon.Sum("key")
	f.mustWrite(func(l Ledger) error {
		return errors.Join(
			l.PutCertificate(7, grant, key, []byte("seven")),
			l.PutCertificate(9, grant, key, []byte("nine")),
			l.PutCertificate(8, grant, key, []byte("eight")),
			l.PutCertificate(10, grant, canon.Sum("other key"), []byte("ten")),
			l.PutCertificate(11, other, key, []byte("eleven")),
			l.PutCertificate(7, grant, key, []byte("seven again")),
		)
	})
	f.mustRead(func(r *store.Reader) error {
		for serial, want := range map[uint64]string{7: "seven", 8: "eight", 11: "eleven"} {
			if got, err := r.SignedCertificate(serial); string(got) != want {
				t.Errorf("certificate %d is %q, %v; want %q", serial, got, err, want)
			}
		}
		_, err := r.SignedCertificate(12)
		wants(t, "a serial that was never signed", err, record.ErrNotFound)
		if got, err := r.NewestCertificate(grant, key); string(got) != "nine" {
			t.Errorf("the newest is %q, %v; want nine", got, err)
		}
		_, err = r.NewestCertificate(other, canon.Sum("other key"))
		wants(t, "another key of another grant", err, record.ErrNotFound)
		return nil
	})
	if err := f.write(func(l Ledger) error { return l.PutCertificate(0, grant, key, []byte("zero")) }); err == nil {
		t.Error("a certificate with serial 0 was kept")
	}
}

// session is one of Alice's, over at start + d.
func (f *fixture) session(kind store.SessionKind, d time.Duration) store.Session {
	return store.Session{
		Kind: kind, Person: f.w.Alice.Person, Issuer: recordtest.Issuer, Client: "sally", Login: canon.Sum("login"), Snapshot: canon.Sum("snapshot"),
		ClaimsAt: recordtest.Start(), ExpiresAt: canon.At(recordtest.Start().Time().Add(d)),
	}
}

func testSessions(t *testing.T, f *fixture) {
	cli, web := canon.Sum("cli"), canon.Sum("web")
	f.mustWrite(func(l Ledger) error {
		return errors.Join(l.PutSession(cli, f.session(store.CLI, store.MaxSession)), l.PutSession(web, f.session(store.Web, store.MaxSession)))
	})
	opens := func(secret canon.Digest, kind store.SessionKind, after time.Duration) error {
		return f.s.Read(t.Context(), func(r *store.Reader) error {
			s, seen, err := r.Session(secret, kind, canon.At(recordtest.Start().Time().Add(after)))
			if err == nil && (s != f.session(kind, store.MaxSession) || seen > canon.At(f.clock())) {
				t.Errorf("session %+v, seen at %d", s, seen)
			}
			return err
		})
	}
	for _, tt := range []struct {
		name   string
		secret canon.Digest
		kind   store.SessionKind
		after  time.Duration
		want   error
	}{
		{"cli", cli, store.CLI, 0, nil},
		{"web", web, store.Web, 0, nil},
		{"a bearer as cookie", cli, store.Web, 0, store.ErrNoSession},
		{"a cookie as bearer", web, store.CLI, 0, store.ErrNoSession},
		{"no such kind", web, "", 0, store.ErrNoSession},
		{"another secret", canon.Sum("x"), store.CLI, 0, store.ErrNoSession},
		{"web, almost idle", web, store.Web, 15*time.Minute - time.Microsecond, nil},
		{"web, idle", web, store.Web, 15 * time.Minute, store.ErrNoSession},
		{"cli, almost over", cli, store.CLI, 12*time.Hour - time.Microsecond, nil},
		{"cli, over", cli, store.CLI, 12 * time.Hour, store.ErrNoSession},
	} {
		wants(t, tt.name, opens(tt.secret, tt.kind, tt.after), tt.want)
	}
	// Each use starts the idle time anew, up to the absolute end.
	f.pass(10 * time.Minute)
	f.mustWrite(func(l Ledger) error { return l.TouchSession(web) })
	wants(t, "used after 10 minutes, at 20", opens(web, store.Web, 20*time.Minute), nil)
	wants(t, "used after 10 minutes, at 25", opens(web, store.Web, 25*time.Minute), store.ErrNoSession)
	f.pass(store.MaxSession - 10*time.Minute)
	f.mustWrite(func(l Ledger) error { return l.TouchSession(web) })
	wants(t, "used at its end", opens(web, store.Web, store.MaxSession), store.ErrNoSession)

	f.pass(-store.MaxSession)
	f.mustWrite(func(l Ledger) error { return errors.Join(l.EndSession(cli), l.EndSession(canon.Sum("nobody"))) })
	wants(t, "ended", opens(cli, store.CLI, 0), store.ErrNoSession)
	err := f.write(func(l Ledger) error { return l.PutSession(web, f.session(store.Web, time.Hour)) })
	wants(t, "a secret that is taken", err, store.ErrConflict)
}

func testChallenges(t *testing.T, f *fixture) {
	expires := canon.At(f.clock().Add(5 * time.Minute))
	a, b := canon.Sum("a"), canon.Sum("b")
	f.mustWrite(func(l Ledger) error {
		return errors.Join(l.PutChallenge(a, "issue", expires), l.PutChallenge(b, "issue", expires))
	})
	take := func(c canon.Digest, purpose string) error {
		return f.write(func(l Ledger) error { return l.TakeChallenge(c, purpose) })
	}
	wants(t, "another purpose", take(a, "session"), store.ErrNoChallenge)
	wants(t, "never given out", take(canon.Sum("x"), "issue"), store.ErrNoChallenge)
	err := f.write(func(l Ledger) error { return errors.Join(l.TakeChallenge(a, "issue"), errChanged) })
	wants(t, "a write that is undone", err, errChanged)
	wants(t, "after the undone write", take(a, "issue"), nil)
	wants(t, "a second time", take(a, "issue"), store.ErrNoChallenge)
	err = f.write(func(l Ledger) error { return errors.Join(l.TakeChallenge(b, "issue"), l.TakeChallenge(b, "issue")) })
	wants(t, "twice in one write", err, store.ErrNoChallenge)
	f.pass(5 * time.Minute)
	wants(t, "too late", take(b, "issue"), store.ErrNoChallenge)
}

func testFlows(t *testing.T, f *fixture) {
	expires := canon.At(f.clock().Add(10 * time.Minute))
	state, late := store.SecretHash("state"), store.SecretHash("late")
	f.mustWrite(func(l Ledger) error {
		return errors.Join(l.PutFlow(state, []byte("verifier"), expires), l.PutFlow(late, []byte("verifier"), expires))
	})
	take := func(state canon.Digest) (body []byte, err error) {
		err = f.write(func(l Ledger) error {
			body, err = l.TakeFlow(state)
			return err
		})
		return body, err
	}
	_, err := take(store.SecretHash("x"))
	wants(t, "not started here", err, store.ErrNoFlow)
	if body, err := take(state); err != nil || string(body) != "verifier" {
		t.Errorf("the flow is %q, %v", body, err)
	}
	_, err = take(state)
	wants(t, "a second time", err, store.ErrNoFlow)
	f.pass(10 * time.Minute)
	_, err = take(late)
	wants(t, "too late", err, store.ErrNoFlow)
}

func testUseOnce(t *testing.T, f *fixture) {
	a := canon.Sum("a")
	use := func(hash canon.Digest) error {
		return f.write(func(l Ledger) error { return l.UseOnce(hash, l.Now()+1e6) })
	}
	err := f.write(func(l Ledger) error { return errors.Join(l.UseOnce(a, l.Now()+1e6), errChanged) })
	wants(t, "a write that is undone", err, errChanged)
	wants(t, "the first time", use(a), nil)
	wants(t, "a second time", use(a), store.ErrUsed)
	wants(t, "another", use(canon.Sum("b")), nil)
	err = f.write(func(l Ledger) error {
		return errors.Join(l.UseOnce(canon.Sum("c"), l.Now()+1e6), l.UseOnce(canon.Sum("c"), l.Now()+1e6))
	})
	wants(t, "twice in one write", err, store.ErrUsed)
	// It is remembered until it is swept, whatever the clock says.
	f.pass(2 * time.Second)
	wants(t, "after its time", use(a), store.ErrUsed)
	f.mustWrite(func(l Ledger) error { return l.Sweep() })
	wants(t, "after the sweep", use(a), nil)
}

// testOnceInParallel: of fifty redemptions at the same time exactly one counts.
func testOnceInParallel(t *testing.T, f *fixture) {
	expires := canon.At(f.clock().Add(time.Minute))
	challenge, state := canon.Sum("challenge"), canon.Sum("state")
	f.mustWrite(func(l Ledger) error {
		return errors.Join(l.PutChallenge(challenge, "issue", expires), l.PutFlow(state, []byte("body"), expires))
	})
	for _, tt := range []struct {
		name string
		take func(Ledger) error
		none error
	}{
		{"challenge", func(l Ledger) error { return l.TakeChallenge(challenge, "issue") }, store.ErrNoChallenge},
		{"flow", func(l Ledger) error {
			_, err := l.TakeFlow(state)
			return err
		}, store.ErrNoFlow},
		{"ID token", func(l Ledger) error { return l.UseOnce(canon.Sum("id token"), expires) }, store.ErrUsed},
	} {
		var group sync.WaitGroup
		var taken atomic.Int32
		start := make(chan struct{})
		for range 50 {
			group.Go(func() {
				<-start
				switch err := f.write(tt.take); {
				case err == nil:
					taken.Add(1)
				case !errors.Is(err, tt.none) && !errors.Is(err, store.ErrConflict):
					t.Errorf("%s: %v", tt.name, err)
				}
			})
		}
		close(start)
		group.Wait()
		if n := taken.Load(); n != 1 {
			t.Errorf("%s: used %d times", tt.name, n)
		}
	}
}

func testSweep(t *testing.T, f *fixture) {
	now := canon.At(f.clock())
	short, long := now+1e6, now+600e6
	f.mustWrite(func(l Ledger) error {
		return errors.Join(
			l.PutSession(canon.Sum("short"), f.session(store.CLI, time.Second)), l.PutSession(canon.Sum("long"), f.session(store.CLI, 10*time.Minute)),
			l.PutChallenge(canon.Sum("short"), "issue", short), l.PutChallenge(canon.Sum("long"), "issue", long),
			l.PutFlow(canon.Sum("short"), []byte("x"), short), l.PutFlow(canon.Sum("long"), []byte("x"), long),
			l.UseOnce(canon.Sum("short"), short), l.UseOnce(canon.Sum("long"), long),
		)
	})
	f.pass(time.Second)
	f.mustWrite(func(l Ledger) error { return l.Sweep() })
	// What was swept is gone for good: its key is free again, the others' are not.
	for name, free := range map[string]bool{"short": true, "long": false} {
		for what, put := range map[string]func(Ledger) error{
			"session":   func(l Ledger) error { return l.PutSession(canon.Sum(name), f.session(store.CLI, time.Hour)) },
			"challenge": func(l Ledger) error { return l.PutChallenge(canon.Sum(name), "issue", long) },
			"flow":      func(l Ledger) error { return l.PutFlow(canon.Sum(name), []byte("x"), long) },
			"used mark": func(l Ledger) error { return l.UseOnce(canon.Sum(name), long) },
		} {
			if err := f.write(put); (err == nil) != free {
				t.Errorf("the %s %s can be put again: %v", name, what, err)
			}
		}
	}
}
