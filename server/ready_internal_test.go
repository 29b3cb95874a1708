package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/authority"
)

// world of parts that a test makes: each says what it was told to.
type fakeParts struct {
	mu    sync.Mutex
	err   []error         // by part
	hold  []chan struct{} // by part; not nil: it answers when that is closed
	asked []atomic.Int64  // by part
	log   bytes.Buffer
	r     *readiness
}

func newFakeParts(vital ...bool) *fakeParts {
	f := &fakeParts{err: make([]error, len(vital)), hold: make([]chan struct{}, len(vital)), asked: make([]atomic.Int64, len(vital))}
	f.r = &readiness{now: time.Now, logger: slog.New(slog.NewJSONHandler(&f.log, nil)), asking: make([]atomic.Bool, len(vital))}
	for i, v := range vital {
		f.r.parts = append(f.r.parts, part{name: fmt.Sprintf("part-%d", i), vital: v, ok: "well", degraded: "unwell", failed: "down", check: func(*authority.Authority, context.Context) error {
			f.asked[i].Add(1)
			f.mu.Lock()
			err, hold := f.err[i], f.hold[i]
			f.mu.Unlock()
			if hold != nil {
				<-hold
			}
			return err
		}})
	}
	return f
}

func (f *fakeParts) set(i int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err[i] = err
}

// say is the whole answer in words.
func (f *fakeParts) say(t *testing.T) string {
	t.Helper()
	out, err := f.r.get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text := out.Status
	for _, p := range out.Parts {
		text += " " + p.Part + "=" + p.Status + "/" + p.Text
	}
	return text
}

func TestReadinessIsAsBadAsItsParts(t *testing.T) {
	t.Parallel()
	down, unwell := errors.New("secret-detail at 10.0.0.1"), fmt.Errorf("%w: secret-detail", authority.ErrDegraded)
	for _, tt := range []struct {
		name         string
		vital, other error
		want         string
	}{
		{"all well", nil, nil, "ok part-0=ok/well part-1=ok/well"},
		{"a vital one is unwell", unwell, nil, "degraded part-0=degraded/unwell part-1=ok/well"},
		{"a vital one is down", down, nil, "failed part-0=failed/down part-1=ok/well"},
		{"another is down", nil, down, "degraded part-0=ok/well part-1=failed/down"},
		{"both", unwell, down, "degraded part-0=degraded/unwell part-1=failed/down"},
		{"both down", down, down, "failed part-0=failed/down part-1=failed/down"},
		{"the vital one down, the other unwell", down, unwell, "failed part-0=failed/down part-1=degraded/unwell"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeParts(true, false)
			f.set(0, tt.vital)
			f.set(1, tt.other)
			if got := f.say(t); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			// What went wrong is for the log, once for each part that changed.
			if n, want := strings.Count(f.log.String(), "secret-detail"), strings.Count(tt.want, "part-")-strings.Count(tt.want, "=ok"); n != want {
				t.Errorf("logged %d times, want %d: %s", n, want, f.log.String())
			}
		})
	}
}

// TestPromiseP14_ReadinessIsNoAmplifier: however many ask, each part is asked
// once in five seconds, and never while its last answer is owed.
func TestPromiseP14_ReadinessIsNoAmplifier(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeParts(true, false)
		for range 3 {
			var all sync.WaitGroup
			for range 1000 {
				all.Go(func() {
					if got := f.say(t); !strings.HasPrefix(got, "ok") {
						t.Error(got)
					}
				})
			}
			all.Wait()
			time.Sleep(readyLife - time.Nanosecond)
			f.say(t)
			time.Sleep(time.Nanosecond)
		}
		if a, b := f.asked[0].Load(), f.asked[1].Load(); a != 3 || b != 3 {
			t.Errorf("the parts were asked %d and %d times, want 3", a, b)
		}
		// A part that hangs is down for as long; who asks waits no longer than that.
		f.hold[0] = make(chan struct{})
		begin := time.Now()
		for range 10 {
			if got := f.say(t); got != "failed part-0=failed/down part-1=ok/well" {
				t.Error(got)
			}
			time.Sleep(readyLife)
		}
		if took := time.Since(begin); took > 10*readyLife+readyTimeout {
			t.Errorf("it took %s", took)
		}
		if n := f.asked[0].Load(); n != 4 {
			t.Errorf("a part that hangs was asked %d times, want once more", n)
		}
		close(f.hold[0])
		synctest.Wait()
		f.hold[0] = nil
		if got := f.say(t); !strings.HasPrefix(got, "ok") {
			t.Error(got)
		}
		if log := f.log.String(); strings.Count(log, "not well") != 1 || strings.Count(log, "well again") != 1 || !strings.Contains(log, errSlow.Error()) {
			t.Errorf("the log is %s", log)
		}
	})
}

// TestReadinessServesTheOthers: one who leaves does not take the answer away.
func TestReadinessServesTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFakeParts(true)
		f.hold[0] = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := f.r.get(ctx)
			left <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		go close(f.hold[0])
		if got := f.say(t); !strings.HasPrefix(got, "ok") || f.asked[0].Load() != 1 {
			t.Errorf("%s, asked %d times", got, f.asked[0].Load())
		}
	})
}
