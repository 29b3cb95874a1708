package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/store"
)

// The connection breaks in the moment of a commit. The write stands or is made
// again, and in either case once; who made it hears that it stands.
func TestPromiseP11_ACommitWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		reaches bool // the commit reaches the server
		runs    int
	}{{"after the server has it", true, 1}, {"before the server has it", false, 2}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := fresh(t)
			cut := newCutter(t, cluster)
			a, err := parseAddress(c.URL)
			must(t, err)
			p := newProcess(t, cut.config(a.database), time.Minute)
			p.setup()
			cut.atCommit(tt.reaches)
			ran := 0
			wants(t, "the write", p.join("cut.demo", &ran), nil)
			if n := p.hosts()["cut.demo"]; n != 1 || ran != tt.runs {
				t.Errorf("it stands %d times and was run %d times, want %d", n, ran, tt.runs)
			}
			wants(t, "the next write", p.join("next.demo", nil), nil)
		})
	}
}

// TestPromiseP11_SynchronousCommits goes through what may happen to a commit that
// waits for its standby, on one pair of servers, and ends with a failover.
func TestPromiseP11_SynchronousCommits(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	both := newPair(t)
	c := both.config()
	strict := newProcess(t, c, time.Minute)
	c.AcceptAsynchronous = true // what is promoted in the end has no standby of its own
	one, other := newProcess(t, c, time.Minute), newProcess(t, c, time.Minute)
	one.setup()
	wants(t, "a write of the other's", other.join("other.demo", nil), nil)

	for what, end := range map[string]string{"cancelled": "pg_cancel_backend", "ended": "pg_terminate_backend"} {
		acknowledged, others := one.Acknowledged().Tree.Size, other.Acknowledged().Tree.Size
		must(t, both.standby.Pause(ctx))
		ran := 0
		done := one.joining(what+".demo", &ran)
		pid, err := both.primary.WaitSyncRep(ctx, both.database)
		must(t, err)
		db, err := both.primary.Admin()
		must(t, err)
		_, err = db.ExecContext(ctx, "SELECT "+end+"($1)", pid)
		must(t, err)
		// The server has committed, and says so or closes the connection. What follows
		// is the write that settles it, which waits for the standby in its turn.
		must(t, lookFor(ctx, other, what+".demo"))
		must(t, both.waits(ctx, "SyncRep", done))
		if n := one.Acknowledged().Tree.Size; n != acknowledged {
			t.Errorf("%s: %d leaves count as acknowledged, the standby has %d", what, n, acknowledged)
		}
		if n := other.Acknowledged().Tree.Size; n != others {
			t.Errorf("%s: to the other process %d leaves count as acknowledged", what, n)
		}
		must(t, both.standby.Resume())
		wants(t, "a write that was "+what+", with the standby back", <-done, nil)
		if n := one.hosts()[what+".demo"]; n != 1 || ran != 1 || one.Acknowledged().Tree.Size <= acknowledged {
			t.Errorf("%s: it stands %d times, was run %d times", what, n, ran)
		}
	}
	must(t, both.primary.Set(ctx, "fsync", "off"))
	wants(t, "fsync=off", one.join("unsafe.demo", nil), store.ErrUnsafe)
	must(t, both.primary.Set(ctx, "fsync", "on", "synchronous_standby_names", ""))
	wants(t, "no standby is waited for", strict.join("unsafe.demo", nil), store.ErrUnsafe)
	must(t, both.primary.Synchronous(ctx, "standby"))
	wants(t, "safe again", strict.join("safe.demo", nil), nil)
	failover(t, ctx, both, one, other)
}

// failover: the primary has a commit that its standby never got, and is lost.
// Nothing was released for it, and on the standby the write is made again.
func failover(t *testing.T, ctx context.Context, both *pair, one, other *process) {
	t.Helper()
	acknowledged := one.Acknowledged().Tree.Size
	both.standby.Kill()
	ran := 0
	done := one.joining("lost.demo", &ran)
	pid, err := both.primary.WaitSyncRep(ctx, both.database)
	must(t, err)
	must(t, both.primary.Exec(ctx, "SELECT pg_cancel_backend("+itoa(pid)+")"))
	must(t, lookFor(ctx, other, "lost.demo"))
	must(t, both.waits(ctx, "SyncRep", done)) // only the old primary has it
	both.primary.Kill()
	must(t, both.standby.Restart(ctx))
	must(t, both.standby.Promote(ctx))
	must(t, both.standby.Synchronous(ctx, "")) // it has no standby of its own yet
	wants(t, "the write after the failover", <-done, nil)
	hosts := one.hosts()
	if hosts["lost.demo"] != 1 || ran != 2 || hosts["safe.demo"] != 1 || one.Acknowledged().Tree.Size <= acknowledged {
		t.Errorf("after the failover it stands %d times, was run %d times; %v", hosts["lost.demo"], ran, hosts)
	}
	wants(t, "the other process", other.join("after.demo", nil), nil)

	// The old primary comes back with its fork; nobody goes there any more.
	must(t, both.primary.Restart(ctx))
	for _, p := range []*process{one, other} {
		must(t, both.standby.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+both.database+"'"))
		wants(t, "with the old primary back", lookFor(ctx, p, "after.demo"), nil)
	}
}

// A standby took over while the old primary stood still. What a process that is
// still connected to that one writes there is never acknowledged, nor is anything
// else of it until it writes to the new one.
func TestPromiseP11_TheOldPrimaryCannotFork(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	both := newPair(t)
	c := both.config()
	c.limits, c.AcceptAsynchronous = quick, true // the promoted standby has none of its own
	old := newProcess(t, c, 100*time.Millisecond)
	old.setup()
	wants(t, "before", old.join("before.demo", nil), nil)
	acknowledged := old.Acknowledged().Tree.Size

	must(t, both.primary.Pause(ctx))
	must(t, both.standby.Promote(ctx))
	must(t, both.standby.Synchronous(ctx, ""))
	c.URL = both.standby.URL(both.database)
	next := newProcess(t, c, time.Minute)
	wants(t, "on the new primary", next.join("new.demo", nil), nil)

	must(t, both.primary.Resume())
	wants(t, "on the old primary", old.join("fork.demo", nil), store.ErrUnknownOutcome)
	// What looks for it waits until the server has ended that commit; nobody has cut
	// it off.
	must(t, both.waits(ctx, "transactionid", nil))
	if n := both.onPrimary(t, `SELECT count(*) FROM state WHERE id = 'fork.demo'`); n != 0 {
		t.Error("the old primary shows a commit that its standby does not have")
	}
	wants(t, "the next one there", old.join("also.demo", nil), store.ErrUnavailable)
	if n := old.Acknowledged().Tree.Size; n != acknowledged {
		t.Errorf("%d leaves count as acknowledged, %d are", n, acknowledged)
	}

	both.primary.Kill() // as whoever fences it does
	must(t, lookForWrite(ctx, old, "moved.demo"))
	for _, p := range []*process{old, next} {
		if hosts := p.hosts(); hosts["fork.demo"] != 0 || hosts["also.demo"] != 0 || hosts["new.demo"] != 1 || hosts["moved.demo"] != 1 || hosts["before.demo"] != 1 {
			t.Errorf("the ledger has %v", hosts)
		}
		must(t, p.Read(ctx, wholeTree))
	}
	// Once it was seen that a standby took over, the old primary is refused.
	must(t, both.primary.Restart(ctx))
	must(t, both.standby.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+both.database+"'"))
	must(t, lookForWrite(ctx, old, "still-moved.demo"))
	must(t, lookFor(ctx, next, "still-moved.demo"))
}
