package lab_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// TestPromiseP09_AHostWhoseServerIsAway joins, and then goes on without the server:
// what happens is told when it is back, and what was revoked meanwhile ends the session
// then.
func TestPromiseP09_AHostWhoseServerIsAway(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{Plan: site.Plan{CertTTL: 10 * time.Second}})
	operator := func(args ...string) {
		t.Helper()
		_, err := s.Operator.Must(ctx, append(append([]string{"sallyd"}, args...), "--dir", s.ServerDir())...)
		must(t, err)
	}
	must(t, s.StopServing())
	bundle := s.Operator.Home("bundle.json")
	operator("hosts", "keys")
	operator("hosts", "bundle", "--out", bundle)
	operator("hosts", "publish", bundle)
	must(t, s.Serve(ctx))
	h, err := s.NewJoined(ctx, site.App1)
	must(t, err)
	invitation, err := h.Invite(ctx, s.Alice.Terminal)
	must(t, err)
	said, err := h.Join(ctx, invitation, "require")
	must(t, err)
	if strings.Contains(said, invitation) {
		t.Error("sally-host join repeats the invitation")
	}
	must(t, h.StartAgent(ctx))

	login := s.Principal(site.App1)
	filed, err := s.Alice.Must(ctx, "sally", "request", login, "--for", "30m", "--because", "a look at nothing", "--no-wait")
	must(t, err)
	path, id := page(t, filed.Output)
	decide(t, ctx, s, path, "approve", "")
	work := func() *site.Task {
		t.Helper()
		task, err := s.Alice.Start(ctx, "sally", "ssh", login, "--key-file", "--", "echo at work; exec sleep 600")
		must(t, err)
		_, err = task.Expect(ctx, "at work")
		must(t, err)
		return task
	}
	first := work()
	sessions, err := h.Sessions()
	must(t, err)
	if len(sessions) != 1 || sessions[0].Serial() == 0 {
		t.Fatalf("sessions on record: %+v", sessions)
	}
	ledger := func(kind string) string {
		r, err := s.Alice.Quietly(ctx, "sally", "ledger", "list", "--kind", kind)
		must(t, err)
		return r.Stdout
	}
	must(t, lab.Poll(ctx, "the first login in the ledger", func() (bool, error) { return strings.Contains(ledger("login.open"), login), nil }))

	must(t, s.StopServing())
	operator("revoke", "--request", id, "--because", "INC-7")
	waiting := filepath.Join(h.State(), host.EventsFolder)
	ended := make(chan struct{})
	go func() { <-first.Done(); close(ended) }()
	select {
	case <-ended:
		t.Error("the session ended before the host could know of the revocation")
	default:
	}
	must(t, s.Serve(ctx))
	select {
	case <-ended:
	case <-ctx.Done():
		t.Fatalf("the session goes on after the revocation: %v", context.Cause(ctx))
	}
	must(t, lab.Poll(ctx, "the end in the ledger", func() (bool, error) { return strings.Contains(ledger("login.close"), site.App1+", revoked"), nil }))
	must(t, lab.Poll(ctx, "an empty spool", func() (bool, error) {
		left, err := filepath.Glob(filepath.Join(waiting, "*.json"))
		return len(left) == 0, err
	}))
	if _, err := os.Stat(waiting); err != nil {
		t.Errorf("the spool is elsewhere, so nothing was shown: %v", err)
	}
}
