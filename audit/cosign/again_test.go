package cosign_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/ledger/witness"
	"github.com/sallyport/sallyport/oidc"
)

// asks returns which leaves the cosigner asks for when it judges, and what it says.
func (w *world) asks() (list []int64, err error) {
	w.t.Helper()
	w.bend = func(p audit.FeedPage) audit.FeedPage {
		list = append(list, p.Leaves[0].Index)
		return p
	}
	defer func() { w.bend = nil }()
	err = w.judge()
	return list, err
}

// withheld has the server withhold two certificates, and returns where they are.
func (w *world) withheld() (older, newer int64) {
	w.issued()
	older = w.next() - 1
	w.pass(time.Second)
	w.issued()
	newer = w.next() - 1
	w.hide[older], w.hide[newer] = true, true
	return older, newer
}

// TestAsksAgain: what is withheld is asked for again, the newest first, and not
// before a pause that doubles up to a minute; what was accepted is not.
func TestAsksAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "asks again")
	older, newer := w.withheld()
	if err := w.judge(); !errors.Is(err, witness.ErrUnjustified) {
		t.Fatalf("two are withheld: %v", err)
	}
	for _, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		w.ahead += pause*time.Second - time.Millisecond
		if list, err := w.asks(); len(list) > 0 || !errors.Is(err, witness.ErrUnjustified) {
			t.Errorf("before %d s are over %v is asked for: %v", pause, list, err)
		}
		w.ahead += time.Millisecond
		if list, err := w.asks(); !slices.Equal(list, []int64{newer, older}) || !errors.Is(err, witness.ErrUnjustified) {
			t.Errorf("after %d s %v is asked for, want %d and %d: %v", pause, list, newer, older, err)
		}
	}
	must(t, w.c.Accept(newer))
	w.ahead += time.Minute
	if list, err := w.asks(); !slices.Equal(list, []int64{older}) || !errors.Is(err, witness.ErrUnjustified) {
		t.Errorf("%d is accepted, %v is asked for: %v", newer, list, err)
	}
	delete(w.hide, older)
	w.ahead += time.Minute
	if err := w.judge(); err != nil {
		t.Errorf("%d is shown: %v", older, err)
	}
}

// TestAsksForNothingThatIsOver: a leaf that can do no harm any more is not asked
// for, whatever it lacks.
func TestAsksForNothingThatIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "asks for nothing that is over")
	w.pass(time.Minute)
	login := w.m.Next()
	must(t, w.w.LogIn(w.m, w.w.Alice))
	w.askedFor()
	w.hide[login] = true
	if list, err := w.asks(); !slices.Contains(list, w.next()-1) || !errors.Is(err, witness.ErrUnjustified) {
		t.Fatalf("a login is withheld, %v is asked for: %v", list, err)
	}
	w.ahead = time.Hour
	if list, err := w.asks(); len(list) > 0 || err != nil {
		t.Errorf("an hour later %v is asked for: %v", list, err)
	}
}

// TestUndecidedIsNoAlarm: while a login that can't be judged yet is left alone, it
// is not told of as one that does not stand.
func TestUndecidedIsNoAlarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "undecided")
	w.issued()
	w.away = oidc.ErrUnreachable
	for range 4 {
		list, err := w.asks()
		if err == nil || errors.Is(err, witness.ErrUnjustified) || len(w.alarms) > 0 {
			t.Errorf("%v is asked for: %v, alarms %v; want no verdict", list, err, w.alarms)
		}
	}
	w.away = nil
	w.ahead = time.Minute
	if err := w.judge(); err != nil || len(w.alarms) > 0 {
		t.Errorf("it can be judged now: %v, alarms %v", err, w.alarms)
	}
}
