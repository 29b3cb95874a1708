package lab_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// teller keeps the story for the log of a failing test.
type teller struct{ t *testing.T }

// Typed logs a command.
func (l teller) Typed(who, what string) { l.t.Logf("%s $ %s", who, what) }

// Answered logs an answer.
func (l teller) Answered(text string) { l.t.Log(text) }

// openSite is an installation that serves, with Alice logged in and Bob signed
// in at the pages.
func openSite(t *testing.T, ctx context.Context, cfg site.Config) *site.Site {
	t.Helper()
	cfg.Bin, cfg.Tell = t.TempDir(), teller{t}
	if err := site.Build(ctx, cfg.Bin); err != nil {
		t.Fatal(err)
	}
	s, err := site.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, l := range s.Logs(60) {
				t.Logf("--- log of %s\n%s", l.Name, l.Text)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left := s.Running(context.Background()); len(left) > 0 {
			t.Errorf("still there: %s", strings.Join(left, ", "))
		}
	})
	if err := s.SetUp(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Alice.LogIn(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bob.SignIn(ctx, "/"); err != nil {
		t.Fatal(err)
	}
	return s
}

var requestURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+(/requests/([a-z2-7]{26}))`)

// page finds the page of the request that an answer names.
func page(t *testing.T, answer string) (path, id string) {
	t.Helper()
	m := requestURL.FindStringSubmatch(answer)
	if m == nil {
		t.Fatalf("no request's page in %q", answer)
	}
	return m[1], m[2]
}

// decide is what Bob does on a request's page.
func decide(t *testing.T, ctx context.Context, s *site.Site, path, verdict, words string) {
	t.Helper()
	p, err := s.Bob.OpenPage(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	p, err = s.Bob.Submit(ctx, p, path+"/decisions", map[string]string{"words": words}, verdict)
	if err != nil {
		t.Fatal(err)
	}
	if p.Status != http.StatusOK {
		t.Fatalf("%s: the page answers %d: %s", verdict, p.Status, p.Text())
	}
}

// TestStoryAgentDenialAndTwoRequests: the certificate lives in a real ssh-agent
// and its key in no file; a second ssh needs no second decision; of two requests
// at once the approved one opens its host and the denied one nothing.
func TestStoryAgentDenialAndTwoRequests(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{Plan: site.Plan{CertTTL: 2 * time.Minute}})
	agent, err := lab.StartAgent(ctx, s.Dir, "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agent.Stop(); err != nil {
			t.Error(err)
		}
	})
	s.Alice.Setenv("SSH_AUTH_SOCK", agent.Socket())

	// Two requests wait in the inbox at once; neither waits for the other.
	first, err := s.Alice.Must(ctx, "sally", "request", s.Principal(site.Web1), "--for", "10m", "--because", "first of two", "--no-wait")
	if err != nil {
		t.Fatal(err)
	}
	second, err := s.Alice.Must(ctx, "sally", "request", s.Principal(site.Web2), "--for", "10m", "--because", "second of two", "--no-wait")
	if err != nil {
		t.Fatal(err)
	}
	path1, _ := page(t, first.Output)
	path2, id2 := page(t, second.Output)
	inbox, err := s.Bob.OpenPage(ctx, "/")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(inbox.Body, path1) || !strings.Contains(inbox.Body, path2) {
		t.Errorf("the inbox does not show both requests: %s", inbox.Text())
	}
	decide(t, ctx, s, path1, "approve", "")
	decide(t, ctx, s, path2, "deny", "not today")

	// The approved one: in, through the agent.
	r, err := s.Alice.Must(ctx, "sally", "ssh", s.Principal(site.Web1), "--", "id -un")
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(r.Stdout) != string(s.Account.Login) {
		t.Errorf("the host answers %q", r.Stdout)
	}
	listed, err := s.Alice.Must(ctx, "ssh-add", "-l")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(listed.Stdout, "\n") != 1 || !strings.Contains(listed.Stdout, "(ED25519-CERT)") || !strings.Contains(listed.Stdout, s.Principal(site.Web1)) {
		t.Errorf("the agent lists %q, want one certificate for %s", listed.Stdout, s.Principal(site.Web1))
	}
	noCertificateKeyOnDisk(t, s.Alice.Home())

	// Once more: same certificate, no new decision.
	again, err := s.Alice.Must(ctx, "sally", "ssh", s.Principal(site.Web1), "--", "id -un")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(again.Output, "certificate serial") || strings.Contains(again.Output, "asked for") {
		t.Errorf("a certificate that is good for minutes was not used again: %s", again.Output)
	}

	// The denied one: settled, and it opens nothing.
	r, err = s.Alice.Run(ctx, "sally", "status", "--wait", id2)
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != 3 || !strings.Contains(r.Output, "denied by Bob Example: not today") {
		t.Errorf("status of the denied request: exit code %d: %s", r.Code, r.Output)
	}
	denied, err := s.Alice.Start(ctx, "sally", "ssh", s.Principal(site.Web2), "--for", "10m", "--because", "please, once more", "--", "id -un")
	if err != nil {
		t.Fatal(err)
	}
	line, err := denied.Expect(ctx, "it is decided at")
	if err != nil {
		t.Fatal(err)
	}
	path3, _ := page(t, line)
	decide(t, ctx, s, path3, "deny", "still no")
	if out, err := denied.End(ctx, 3, "sally ssh"); err != nil || !strings.Contains(out, "denied by Bob Example: still no") {
		t.Errorf("%v\n%s", err, out)
	}
	if log := s.Hosts[site.Web2].Log(); strings.Contains(log, "Accepted") || strings.Contains(log, "serial") {
		t.Errorf("%s saw a certificate:\n%s", site.Web2, log)
	}
}

// TestStoryHostFilesUnderAStrictUmask: a host whose root has umask 077 still lets
// people in. sshd reads the principals file as the user who logs in.
func TestStoryHostFilesUnderAStrictUmask(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{Umask: "077"})
	task, err := s.Alice.Start(ctx, "sally", "ssh", s.Principal(site.Web1), "--for", "10m", "--because", "a strict umask", "--", "id -un")
	if err != nil {
		t.Fatal(err)
	}
	line, err := task.Expect(ctx, "it is decided at")
	if err != nil {
		t.Fatal(err)
	}
	path, _ := page(t, line)
	decide(t, ctx, s, path, "approve", "")
	if out, err := task.End(ctx, 0, "sally ssh"); err != nil || !strings.Contains(out, "\n"+string(s.Account.Login)+"\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// noCertificateKeyOnDisk looks for private keys under a home: the device key of
// the session is the only one.
func noCertificateKeyOnDisk(t *testing.T, home string) {
	t.Helper()
	err := filepath.WalkDir(home, func(path string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err == nil && e.Name() != "session.json" && bytes.Contains(text, []byte("PRIVATE KEY")) {
			t.Errorf("a private key lies in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
