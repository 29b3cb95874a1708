package approval_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
)

func cancelled(at time.Time) approval.Cancellation {
	return approval.Cancellation{At: canon.At(at), Leaf: canon.Sum("test", []byte("cancel"))}
}

func TestCancelRefuses(t *testing.T) {
	t.Parallel()
	tt := terms(t, oneLead)
	r := newRequest(t, tt, time.Hour)
	soon := start.Add(time.Minute)
	decide := func(v approval.Verdict) approval.Request {
		next, err := r.Decide(tt, decision(1, "lead", v, 0, soon), in("leads"))
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	gone, err := r.Cancel(r.By, cancelled(soon))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		request approval.Request
		by      int
		at      time.Time
		want    error
		words   string
	}{
		{"somebody else's", r, 1, soon, approval.ErrNotRequester, "by the account that made it"},
		{"somebody else's, granted", decide(approval.Approve), 1, soon, approval.ErrNotRequester, ""},
		{"granted", decide(approval.Approve), 0, soon, approval.ErrSettled, "it was granted at 2026-12-01T08:01:00Z, and a grant is not cancelled, it ends by itself"},
		{"denied", decide(approval.Deny), 0, soon, approval.ErrSettled, "it was denied"},
		{"cancelled", gone, 0, soon, approval.ErrSettled, "it was cancelled"},
		{"at the deadline", r, 0, start.Add(15 * time.Minute), approval.ErrSettled, "it expired at"},
		{"before it was made", r, 0, start.Add(-time.Second), approval.ErrDecision, "it is dated before"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := c.request.Cancel(id(c.by), cancelled(c.at))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%v, want %v and %q", err, c.want, c.words)
			}
		})
	}
}

// A cancellation of somebody who left every group still counts: it only takes
// away. What is given back is the request that was there, and that alone.
func TestCancelChangesNothingElse(t *testing.T) {
	t.Parallel()
	r := newRequest(t, terms(t, oneLead), time.Hour)
	c := cancelled(start.Add(time.Minute))
	gone, err := r.Cancel(r.By, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status(start).State != approval.Pending {
		t.Error("the request that was cancelled changed in its caller's hands")
	}
	if s := gone.Status(start.Add(time.Hour)); s.State != approval.Cancelled || !s.At.Equal(c.At.Time()) {
		t.Errorf("an hour later it is %+v", s)
	}
	if _, waits := gone.Waiting(start); waits {
		t.Error("a stage waits for decisions")
	}
	gone.Cancelled = approval.Cancellation{}
	if !reflect.DeepEqual(gone, r) {
		t.Errorf("without its cancellation it is %+v, was %+v", gone, r)
	}
}

// TestPromiseP07_ACancelledRequestIsFinal walks random decisions and
// cancellations by anybody through a two-stage path: the requester alone cancels,
// only while it is pending, and nothing happens to the request after that.
func TestPromiseP07_ACancelledRequestIsFinal(t *testing.T) {
	t.Parallel()
	tt := terms(t, `{id: s0, from: [leads], quorum: 2, timeout: 10m}, {id: s1, from: [owners], quorum: 1, timeout: 10m}`)
	rapid.Check(t, func(t *rapid.T) {
		r, now := newRequest(t, tt, time.Hour), start
		for range rapid.IntRange(1, 14).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "pause")) * time.Second)
			by, before := rapid.IntRange(0, 4).Draw(t, "by"), r.Status(now)
			if rapid.IntRange(0, 2).Draw(t, "cancels") == 0 {
				next, err := r.Cancel(id(by), cancelled(now))
				if allowed := id(by) == r.By && before.State == approval.Pending; (err == nil) != allowed {
					t.Fatalf("person %d cancels what is %s: %v", by, before.State, err)
				}
				if err == nil {
					checkCancelled(t, next, now)
					r = next
				}
				continue
			}
			stage := rapid.SampledFrom([]string{"s0", "s1"}).Draw(t, "stage")
			verdict := rapid.SampledFrom([]approval.Verdict{approval.Approve, approval.Approve, approval.Deny}).Draw(t, "verdict")
			next, err := r.Decide(tt, decision(by, stage, verdict, 0, now), in("leads", "owners"))
			if err == nil && before.State != approval.Pending {
				t.Fatalf("a request that was %s took a decision", before.State)
			}
			if err == nil {
				r = next
			}
		}
		if r.Cancelled.At != 0 {
			checkCancelled(t, r, now)
		}
	})
}

func checkCancelled(t *rapid.T, r approval.Request, now time.Time) {
	for _, at := range []time.Time{start, now, now.Add(100 * time.Hour)} {
		if s := r.Status(at); s.State != approval.Cancelled || !s.At.Equal(r.Cancelled.At.Time()) {
			t.Fatalf("at %s it is %+v", at, s)
		}
	}
}

// Nothing is granted by a cancelled request, even one that carries every
// approval: no row that somebody put together gives a grant.
func TestPromiseP07_CancelledOutweighsApprovals(t *testing.T) {
	t.Parallel()
	tt := terms(t, oneLead)
	r, err := newRequest(t, tt, time.Hour).Decide(tt, decision(1, "lead", approval.Approve, 0, start), in("leads"))
	if err != nil {
		t.Fatal(err)
	}
	r.Cancelled = cancelled(start)
	if g, err := r.Grant(tt); !errors.Is(err, approval.ErrNotGranted) {
		t.Errorf("grant %+v, %v; want ErrNotGranted", g, err)
	}
	if err := r.MayDecide(tt, id(2), in("leads"), start); !errors.Is(err, approval.ErrSettled) {
		t.Errorf("deciding on it: %v, want ErrSettled", err)
	}
}
