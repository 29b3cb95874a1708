package killloop_test

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// TestPromiseP11_KilledWhileAdopting restores an old backup and kills sallyd ledger
// adopt in the middle of its work, again and again. What is there then is always a
// beginning of the ledger, nobody serves from it, and the last run ends with the
// whole: leaf for leaf what clients had read, and every certificate that they hold.
func TestPromiseP11_KilledWhileAdopting(t *testing.T) {
	t.Parallel()
	l := newLoop(t, open(t, site.Config{}), plan{engine: "sqlite"}, 1)
	dir := l.ServerDir()
	saved, bundle := l.Dir.Path("saved.db"), l.Dir.Path("ledger.jsonl")
	must(t, l.data.with(l.ctx, func(db *sql.DB) error {
		_, err := db.ExecContext(l.ctx, `VACUUM INTO $1`, saved)
		return err
	}))
	for range 600 {
		must(t, l.issuer[0].cycle(l.ctx))
	}
	must(t, l.people.cycle(l.ctx))
	l.book.catchUp(l.ctx, l.people.account.Load())
	_, err := l.Operator.Must(l.ctx, "sallyd", "ledger", "export", "--out", bundle, "--dir", dir)
	must(t, err)
	must(t, l.StopServing())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	a := &adopting{loop: l, bundle: bundle, whole: int64(len(l.book.copy.leaves)), draw: rand.New(rand.NewPCG(seed, 0))}
	for try := 0; a.parts == 0 && try < 5; try++ { // a kill may come too late each time
		a.restore(saved)
		a.kills()
	}
	t.Logf("%d kills, of which %d left a part of %d leaves", a.killed, a.parts, a.whole)
	if a.parts == 0 {
		t.Error("no kill came in the middle: that proves nothing")
	}
	r, err := l.Operator.Run(l.ctx, "sallyd", "ledger", "adopt", bundle, "--dir", dir)
	must(t, err)
	if r.Code != 0 {
		t.Fatalf("the last run: exit code %d: %s", r.Code, r.Output)
	}
	if r, err = l.Operator.Run(l.ctx, "sallyd", "ledger", "fsck", "--dir", dir); err != nil || r.Code != 0 {
		t.Errorf("fsck: exit code %d, %v: %s", r.Code, err, r.Output)
	}
	l.book.compareDatabase(l.ctx, l.data)
}

// adopting is sallyd ledger adopt, which is killed.
type adopting struct {
	*loop
	bundle        string
	whole         int64 // leaves
	draw          *rand.Rand
	killed, parts int
}

// restore puts the old backup in place of the database.
func (a *adopting) restore(saved string) {
	a.t.Helper()
	for _, name := range []string{"ledger.db-wal", "ledger.db-shm"} {
		if err := os.Remove(filepath.Join(a.ServerDir(), name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			a.t.Fatal(err)
		}
	}
	must(a.t, os.WriteFile(filepath.Join(a.ServerDir(), "ledger.db"), readFile(a.t, saved), 0o600))
}

// kills runs and kills it until everything is there, or often enough: at any moment,
// or as soon as something of it is there. Nobody serves from a part.
func (a *adopting) kills() {
	a.t.Helper()
	have := a.committed(a.t)
	for n := 0; have < a.whole && n < 12; n++ {
		task, err := a.Operator.Start(a.ctx, "sallyd", "ledger", "adopt", a.bundle, "--dir", a.ServerDir())
		must(a.t, err)
		if n%2 == 0 {
			time.Sleep(time.Duration(a.draw.Int64N(int64(600 * time.Millisecond))))
		} else {
			a.grown(have, task)
		}
		task.Kill()
		a.killed++
		now := a.committed(a.t)
		switch {
		case now < have || now > a.whole:
			a.t.Fatalf("after a kill there are %d leaves, there were %d of %d", now, have, a.whole)
		case now > have && now < a.whole:
			a.parts++
			r, err := a.Operator.Run(a.ctx, "sallyd", "serve", "--dir", a.ServerDir())
			must(a.t, err)
			if r.Code != 1 || !strings.Contains(r.Output, "this database is not the one that was signed for") {
				a.t.Fatalf("served with %d of %d leaves: exit code %d: %s", now, a.whole, r.Code, r.Output)
			}
		}
		have = now
	}
}

// grown returns when the database has more leaves than that, or the task ended.
func (a *adopting) grown(than int64, task *site.Task) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.ctx, 20*time.Second)
	defer cancel()
	must(a.t, lab.Poll(ctx, "a leaf to be adopted", func() (bool, error) {
		select {
		case <-task.Done():
			return true, nil
		default:
			return a.committed(a.t) > than, nil
		}
	}))
}

// committed is how many leaves the database has.
func (l *loop) committed(t *testing.T) (size int64) {
	t.Helper()
	must(t, l.data.with(context.WithoutCancel(l.ctx), func(db *sql.DB) error {
		return db.QueryRowContext(l.ctx, `SELECT size FROM head`).Scan(&size)
	}))
	return size
}
