package lab_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab/site"
)

// interrupt presses Ctrl-C: SIGINT to the whole process group, as a terminal sends
// it. It returns the command that the program then prints to go on with.
func interrupt(t *testing.T, ctx context.Context, task *site.Task) string {
	t.Helper()
	if _, err := task.Expect(ctx, "Ctrl-C keeps it open"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-task.PID(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	out, err := task.End(ctx, 130, "after Ctrl-C")
	if err != nil {
		t.Fatal(err)
	}
	_, last, ok := strings.Cut(out, "sally: interrupted; the request stays open until ")
	_, command, found := strings.Cut(last, "; go on with: ")
	if !ok || !found {
		t.Fatalf("no way to go on in %s", out)
	}
	return strings.TrimSuffix(command, "\n")
}

// start begins a command.
func start(t *testing.T, ctx context.Context, who *site.Person, argv ...string) *site.Task {
	t.Helper()
	task, err := who.Start(ctx, argv...)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// TestStoryCtrlCLeavesTheRequestOpen: each verb that waits is interrupted by a real
// signal, the request stays open, and the command that is printed, typed as it is,
// goes on with it.
func TestStoryCtrlCLeavesTheRequestOpen(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{})
	login := s.Principal(site.Web1)

	first := start(t, ctx, s.Alice, "sally", "request", login, "--for", "10m", "--because", "to be interrupted")
	line, err := first.Expect(ctx, "it is decided at")
	if err != nil {
		t.Fatal(err)
	}
	path, id := page(t, line)
	resume := interrupt(t, ctx, first)
	if resume != "sally wait "+id {
		t.Errorf("sally request says to go on with %q", resume)
	}
	stillOpen := func() {
		t.Helper()
		r, err := s.Alice.Must(ctx, "sally", "list", "--state", "pending")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(r.Stdout, id+"  pending until ") || strings.Count(r.Stdout, "\n") != 1 {
			t.Errorf("open are %q", r.Stdout)
		}
	}
	stillOpen()

	second := start(t, ctx, s.Alice, "sh", "-c", "exec "+resume)
	if again := interrupt(t, ctx, second); again != resume {
		t.Errorf("sally wait says to go on with %q, was %q", again, resume)
	}
	stillOpen()

	third := start(t, ctx, s.Alice, "sally", "ssh", login, "--for", "10m", "--because", "another reason", "--key-file", "--", "echo in as $(id -un)")
	if _, err := third.Expect(ctx, "joining request "+id); err != nil {
		t.Fatal(err)
	}
	resume = interrupt(t, ctx, third)
	if want := fmt.Sprintf("sally ssh %s --key-file -- 'echo in as $(id -un)'", login); resume != want {
		t.Errorf("sally ssh says to go on with %q, want %q", resume, want)
	}
	stillOpen()

	last := start(t, ctx, s.Alice, "sh", "-c", "exec "+resume)
	if _, err := last.Expect(ctx, "Ctrl-C keeps it open"); err != nil {
		t.Fatal(err)
	}
	decide(t, ctx, s, path, "approve", "")
	if out, err := last.End(ctx, 0, "sally ssh"); err != nil || !strings.Contains(out, "\nin as "+string(s.Account.Login)+"\n") {
		t.Errorf("%v\n%s", err, out)
	}
	// What was granted is not asked for again.
	r, err := s.Alice.Must(ctx, "sally", "request", login, "--for", "5m", "--because", "once more")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(r.Stdout, id+"\n") || !strings.Contains(r.Output, "using the grant of request "+id) {
		t.Errorf("a second ask answers %s", r.Output)
	}
	r, err = s.Alice.Run(ctx, "sally", "cancel", id)
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != 1 || !strings.Contains(r.Output, "is granted, so there is nothing to cancel; the grant ends by itself at ") {
		t.Errorf("cancelling the grant: exit code %d: %s", r.Code, r.Output)
	}
}

// TestStoryCancel: a request is cancelled while somebody waits for it, by the
// command and on its page; the approver is told, and --new asks again.
func TestStoryCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{})
	login := s.Principal(site.Web1)
	ask := func(argv ...string) (*site.Task, string, string) {
		t.Helper()
		task := start(t, ctx, s.Alice, append([]string{"sally", "request", login, "--for", "10m", "--because", "not for long"}, argv...)...)
		line, err := task.Expect(ctx, "it is decided at")
		if err != nil {
			t.Fatal(err)
		}
		path, id := page(t, line)
		return task, path, id
	}
	waiting, path, id := ask()
	shown, err := s.Bob.OpenPage(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Alice.Must(ctx, "sally", "cancel", id); err != nil {
		t.Fatal(err)
	}
	if out, err := waiting.End(ctx, 3, "sally request"); err != nil || !strings.Contains(out, "request "+id+" was cancelled; ask again") {
		t.Errorf("%v\n%s", err, out)
	}
	late, err := s.Bob.Submit(ctx, shown, path+"/decisions", nil, "approve")
	if err != nil {
		t.Fatal(err)
	}
	if late.Status != http.StatusConflict || !strings.Contains(late.Text(), "It was cancelled at") {
		t.Errorf("a yes to what was cancelled: %d %s", late.Status, late.Text())
	}
	if r, err := s.Alice.Run(ctx, "sally", "cancel", id); err != nil || r.Code != 0 {
		t.Errorf("once more: exit code %d, %v: %s", r.Code, err, r.Output)
	}

	waiting, path, id = ask()
	other, _, otherID := ask("--new", "--no-wait")
	if _, err := other.End(ctx, 0, "sally request --new"); err != nil || otherID == id {
		t.Errorf("--new: request %s beside %s, %v", otherID, id, err)
	}
	own, err := s.Alice.SignIn(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if own, err = s.Alice.Submit(ctx, own, path+"/cancel", nil, "Cancel this request"); err != nil {
		t.Fatal(err)
	}
	if own.Status != http.StatusOK || !strings.Contains(own.Text(), "Cancelled") {
		t.Errorf("the page answers %d: %s", own.Status, own.Text())
	}
	if out, err := waiting.End(ctx, 3, "sally request"); err != nil || !strings.Contains(out, "was cancelled") {
		t.Errorf("%v\n%s", err, out)
	}
}
