package client

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// show prints the dashboard and returns it by line, and what it is as JSON.
func (w *world) show(t *testing.T, code int) (string, dashboard) {
	t.Helper()
	w.out.Reset()
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env}), code)
	text := w.stdout()
	w.out.Reset()
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env, JSON: true}), code)
	var d dashboard
	if err := json.Unmarshal([]byte(w.stdout()), &d); err != nil {
		t.Fatalf("%v in %s", err, w.stdout())
	}
	w.out.Reset()
	return text, d
}

// TestDashboard: one look answers whether sally ssh works now, and if not, why.
func TestDashboard(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	w.keepRefresh(t)

	text, d := w.show(t, ExitOK)
	if !strings.HasPrefix(text, "ssh now  no: nothing is granted to you; ask for it: sally ssh LOGIN@HOST") || len(d.SSHNow.Principals) != 0 || d.SSHNow.Why == "" {
		t.Errorf("at the start:\n%s%+v", text, d)
	}
	for _, want := range []string{"who      Alice Example <alice@acme.example>\n", "session  until ", "11h59m", "server   " + f.url + " (ledger.test/prod)\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}

	q := pending(time.Now())
	q.ID, q.By, q.Logins, q.Hosts = newID(t), f.person, logins("ops"), hostsOf("web-2.demo")
	f.add(&q)
	text, d = w.show(t, ExitOK)
	if !strings.HasPrefix(text, "ssh now  no: leads must decide about ops@web-2.demo first; wait for it: sally wait "+string(q.ID)) || len(d.Requests) != 1 {
		t.Errorf("with an open request:\n%s%+v", text, d)
	}

	g := f.granted(time.Hour, "web-1.demo")
	text, d = w.show(t, ExitOK)
	if !strings.HasPrefix(text, "ssh now  yes: ops@web-1.demo\n") || len(d.Grants) != 1 || d.Grants[0].ID != g.ID || !strings.Contains(text, "\ngrant    ops@web-1.demo until ") {
		t.Errorf("with a grant:\n%s%+v", text, d)
	}

	a := w.account(t)
	if _, err := a.certificate(t.Context(), sshcert.Principal{Login: "ops", Host: "web-1.demo"}, wanted{logins: logins("ops"), hosts: hostsOf("web-1.demo")}, keyChoice{fresh: keyTypes[0]}, SSHOptions{Env: w.Env, KeyFile: true}); err != nil {
		t.Fatal(err)
	}
	text, d = w.show(t, ExitOK)
	if len(d.Certificates) != 1 || d.Certificates[0].Key != "file" || !strings.Contains(text, "certificate  ops@web-1.demo until ") || !strings.Contains(text, "serial 1, with its key in a file\n") {
		t.Errorf("with a certificate:\n%s%+v", text, d)
	}

	f.stop()
	text, d = w.show(t, ExitUnreachable)
	if !strings.HasPrefix(text, "ssh now      yes: ops@web-1.demo\n") || d.Server.Answers || d.Requests != nil || !strings.Contains(text, "(ledger.test/prod), does not answer\n") {
		t.Errorf("without the server:\n%s%+v", text, d)
	}
	if err := os.Remove(filepath.Join(a.dir, "key+ops@web-1.demo")); err != nil {
		t.Fatal(err)
	}
	text, d = w.show(t, ExitUnreachable)
	if !strings.HasPrefix(text, "ssh now      no: the server does not answer, and no certificate here is good\n") || d.Certificates[0].Key != "" || !strings.Contains(text, "that sally does not keep") {
		t.Errorf("without server and key:\n%s%+v", text, d)
	}
}

// keepRefresh says of the kept login that it can be renewed.
func (w *world) keepRefresh(t *testing.T) {
	t.Helper()
	a := w.account(t)
	a.session.Refresh = "refresh"
	if err := saveSession(a.dir, a.session); err != nil {
		t.Fatal(err)
	}
}

// A login that is too old and that nothing renews stands between a grant and a
// certificate.
func TestDashboardLoginTooOld(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.fresh = -time.Minute
	f.granted(time.Hour, "web-1.demo")
	text, d := w.show(t, ExitOK)
	if !strings.HasPrefix(text, "ssh now  no: your login is too old") || !strings.Contains(text, "over, then log in again\n") || d.Session.Renews {
		t.Errorf("without a refresh token:\n%s%+v", text, d)
	}
	w.keepRefresh(t)
	text, d = w.show(t, ExitOK)
	if !strings.HasPrefix(text, "ssh now  yes: ops@web-1.demo") || !strings.Contains(text, "then sally renews it\n") || !d.Session.Renews {
		t.Errorf("with one:\n%s%+v", text, d)
	}
	f.noGroups = true
	text, d = w.show(t, ExitOK)
	if !strings.HasPrefix(text, "ssh now  no: it is not known which groups you are in") || d.SSHNow.Why == "" {
		t.Errorf("with unknown groups:\n%s%+v", text, d)
	}
	f.bearer = "another"
	w.out.Reset()
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env}), ExitLogin, "log in")
	if w.stdout() != "" {
		t.Errorf("over at the server, it printed %q", w.stdout())
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Now()
	w.Env.Now = func() time.Time { return now }
	if got := w.until(canon.At(now.Add(90*time.Second + time.Millisecond))); !strings.HasSuffix(got, ", 1m30s left") {
		t.Errorf("got %q", got)
	}
	if got := w.until(canon.At(now)); !strings.HasSuffix(got, ", over") {
		t.Errorf("got %q", got)
	}
}
