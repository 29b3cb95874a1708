package authority

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// inLine is a context that tells when a write has been put in line: it is asked
// for Done only then.
type inLine struct {
	context.Context //nolint:containedctx // it is one

	once sync.Once
	now  chan struct{}
}

// Done tells, and answers as the context does.
func (c *inLine) Done() <-chan struct{} {
	c.once.Do(func() { close(c.now) })
	return c.Context.Done()
}

// While so much waits to be written that more is turned away, denying,
// cancelling and revoking are not.
func TestPromiseP14_TakingAwayIsNotTurnedAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	unwanted, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	refused, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := Shown(refused)
	if err != nil {
		t.Fatal(err)
	}
	call := alice.cancelCall(unwanted, alice.cancelDoc(unwanted))
	revocation := bob.revokeCall(record.Target{Type: record.TargetPerson, ID: bob.session.Person})

	var group sync.WaitGroup
	began, release := make(chan struct{}), make(chan struct{})
	group.Go(func() {
		err := w.config.Store.Write(t.Context(), func(*store.Tx) error {
			close(began)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-began
	flood, stop := context.WithCancel(t.Context())
	defer stop()
	const many = 2000
	busy := make(chan struct{}, many)
	for range many {
		group.Go(func() {
			if err := w.config.Store.Write(flood, func(*store.Tx) error { return nil }); errors.Is(err, store.ErrBusy) {
				busy <- struct{}{}
			}
		})
	}
	<-busy
	for name, do := range map[string]func(context.Context) error{
		"cancelling": func(ctx context.Context) error {
			_, err := w.a.Cancel(ctx, alice.session, call)
			return err
		},
		"revoking": func(ctx context.Context) error {
			_, err := w.a.Revoke(ctx, bob.session, revocation)
			return err
		},
		"denying": func(ctx context.Context) error {
			_, err := w.a.Decide(ctx, bob.session, Verdict{Request: refused.ID, Verdict: approval.Deny, Shown: shown})
			return err
		},
	} {
		ctx, answer := &inLine{Context: t.Context(), now: make(chan struct{})}, make(chan error, 1)
		group.Go(func() { answer <- do(ctx) })
		select {
		case <-ctx.now:
			defer func() { // it is written once the writer goes on
				if err := <-answer; err != nil {
					t.Errorf("%s in a flood: %v", name, err)
				}
			}()
		case err := <-answer:
			t.Errorf("%s in a flood: %v", name, err)
		}
	}
	stop() // who waits gives up, and need not be run
	close(release)
	group.Wait()
}

// Without a mark to write, as on a full disk, nothing is signed and no certificate
// is had; a request is cancelled and stays so.
func TestPromiseP14_CancellingNeedsNoCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice", []string{"engineers"})
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	mark, _ := w.config.Mark.(*memoryMark)
	mark.fail = errBroken
	if _, err := alice.cancel(r); err != nil {
		t.Fatal(err)
	}
	mark.fail = nil
	if w.a, err = Open(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	if again, err := alice.cancel(r); err != nil || again.Status(w.clock()).State != approval.Cancelled {
		t.Errorf("after a start: %+v, %v", again, err)
	}
}
