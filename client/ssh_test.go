package client

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/sshcert"
)

// execRecorder keeps what SSH would have become.
type execRecorder struct {
	path string
	argv []string
}

func (r *execRecorder) exec(path string, argv, _ []string) error {
	r.path, r.argv = path, argv
	return nil
}

func web1() sshcert.Principal { return sshcert.Principal{Login: "ops", Host: "web-1.demo"} }

func askWeb1() Ask {
	return Ask{Principals: []string{"ops@web-1.demo"}, For: "10m", Because: "INC-42"}
}

func TestSSHNeedsALogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: askWeb1()})
	wantExit(t, err, ExitLogin, "log in first", "sally login")
	if _, err := os.Stat(w.root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a state folder was made: %v", err)
	}
}

func TestSSHRefusesBadArgumentsBeforeAnyCall(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		ask  Ask
		want string
	}{
		{"nobody", Ask{}, "one LOGIN@HOST"},
		{"two", Ask{Principals: []string{"ops@a", "ops@b"}}, "one LOGIN@HOST"},
		{"an option", Ask{Principals: []string{"-oProxyCommand=x@web-1.demo"}}, "LOGIN@HOST"},
		{"a bad length", Ask{Principals: []string{"ops@web-1.demo"}, For: "-1m"}, "--for"},
		{"a bad reason", Ask{Principals: []string{"ops@web-1.demo"}, Because: "\x07"}, "--because"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			wantExit(t, SSH(t.Context(), SSHOptions{Env: w.Env, Ask: tt.ask}), ExitUsage, tt.want)
			if n := f.called(""); n != 0 {
				t.Errorf("the server was called %d times", n)
			}
		})
	}
}

// The whole way: request, wait, issue, files, ssh.
func TestSSHAsksWaitsAndConnects(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	polls := 0
	f.polled = func(q *api.Request) {
		if polls++; polls == 2 {
			grant(q, 5*time.Minute)
		}
	}
	run := &execRecorder{}
	err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: askWeb1(), Args: []string{"-v", "uptime"}, Exec: run.exec})
	if err != nil {
		t.Fatal(err)
	}
	a := w.account(t)
	for _, want := range []string{
		"it is decided at " + f.url + "/requests/", "waiting for leads", "granted by Bob Example for 5m0s (asked 10m0s)",
		"certificate serial 3 for ops@web-1.demo until ", "no ssh-agent runs (SSH_AUTH_SOCK is not set); the key lies in " + a.keyFile(web1()),
	} {
		if !strings.Contains(w.stderr(), want) {
			t.Errorf("no %q in %q", want, w.stderr())
		}
	}
	if w.stdout() != "" {
		t.Errorf("printed %q", w.stdout())
	}
	if i := slices.Index(run.argv, "web-1.demo"); !filepath.IsAbs(run.path) || run.argv[0] != "ssh" || i < 0 || !slices.Equal(run.argv[i+1:], []string{"-v", "uptime"}) {
		t.Errorf("became %s %q", run.path, run.argv)
	}
	for path, want := range map[string]os.FileMode{a.keyFile(web1()): 0o600, a.certFile(web1()): 0o600, filepath.Join(a.dir, knownHostsFile): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	for _, secret := range []string{f.bearer, a.session.DeviceKey} {
		if strings.Contains(w.stderr(), secret) {
			t.Error("a secret was printed")
		}
	}
}

func TestSSHUsesWhatThereIs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(*testing.T, *fake, *world)
		ask     Ask
		code    int
		want    string // on standard error, or in the error
		issued  int
		asked   int
	}{
		{"an open grant", func(_ *testing.T, f *fake, _ *world) { f.granted(time.Minute, "web-1.demo") }, Ask{}, ExitOK, "using the grant of request", 1, 0},
		{"a grant for more hosts", func(_ *testing.T, f *fake, _ *world) { f.granted(time.Minute, "web-1.demo", "web-2.demo") }, askWeb1(), ExitOK, "using the grant of request", 1, 0},
		{"a grant that is nearly over", func(_ *testing.T, f *fake, _ *world) { f.granted(3*time.Second, "web-1.demo") }, Ask{}, ExitUsage, "you have no open grant", 0, 0},
		{"a grant for another host", func(_ *testing.T, f *fake, _ *world) { f.granted(time.Minute, "web-2.demo") }, Ask{}, ExitUsage, "add --for 10m --because", 0, 0},
		{"a grant under another role", func(_ *testing.T, f *fake, _ *world) { f.granted(time.Minute, "web-1.demo") }, Ask{Role: "root"}, ExitUsage, "you have no open grant", 0, 0},
		{"an open request", func(t *testing.T, f *fake, _ *world) {
			q := f.granted(time.Minute, "web-1.demo")
			f.requests[q.ID].State, f.requests[q.ID].Grant = "pending", nil
			f.polled = func(q *api.Request) { grant(q, time.Minute) }
		}, askWeb1(), ExitOK, "joining request", 1, 0},
		{"an open request that is denied", func(_ *testing.T, f *fake, _ *world) {
			q := f.granted(time.Minute, "web-1.demo")
			f.requests[q.ID].State, f.requests[q.ID].Grant = "pending", nil
			f.polled = func(q *api.Request) { q.State, q.Decisions = "denied", nil }
		}, Ask{}, ExitDenied, "denied", 0, 0},
		{"nothing", func(_ *testing.T, f *fake, _ *world) { f.polled = func(q *api.Request) { grant(q, time.Minute) } }, askWeb1(), ExitOK, "asked for", 1, 1},
		{"a host that is not in the inventory", func(_ *testing.T, f *fake, _ *world) { f.hosts = f.hosts[1:] }, askWeb1(), ExitFailed, "host web-1.demo: it is not in the inventory", 0, 0},
		{"nothing that the contract allows", func(_ *testing.T, f *fake, _ *world) { f.roles = nil }, askWeb1(), ExitForbidden, "no contract in force", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			tt.prepare(t, f, w)
			tt.ask.Principals = []string{"ops@web-1.demo"}
			run := &execRecorder{}
			err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: tt.ask, Exec: run.exec})
			if code := Report(w.Env, err); code != tt.code || (run.argv != nil) != (code == ExitOK) {
				t.Errorf("exit code %d, want %d; became %q", code, tt.code, run.argv)
			}
			if !strings.Contains(w.stderr(), tt.want) {
				t.Errorf("no %q in %q", tt.want, w.stderr())
			}
			if i, q := f.called("POST /v1/grants/"), f.called("POST /v1/requests"); i != tt.issued || q != tt.asked {
				t.Errorf("%d issued, %d asked; want %d, %d", i, q, tt.issued, tt.asked)
			}
		})
	}
}

// A live certificate is used again, an ended one is swept and replaced while
// the grant lasts, and a certificate of somebody else is not used.
func TestSSHReusesALiveCertificate(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.granted(time.Hour, "web-1.demo", "web-2.demo")
	connect := func(e Env, host string) string {
		t.Helper()
		run := &execRecorder{}
		if err := SSH(t.Context(), SSHOptions{Env: e, Ask: Ask{Principals: []string{"ops@" + host}}, Exec: run.exec}); err != nil || run.argv == nil {
			t.Fatal(err)
		}
		return strings.Join(run.argv, " ")
	}
	issued := func(want int) {
		t.Helper()
		if n := f.called("POST /v1/grants/"); n != want {
			t.Errorf("%d certificates issued, want %d", n, want)
		}
	}
	first := connect(w.Env, "web-1.demo")
	if second := connect(w.Env, "web-1.demo"); second != first {
		t.Errorf("became %q, then %q", first, second)
	}
	issued(1)
	connect(w.Env, "web-2.demo") // its own entry, although one certificate would do
	issued(2)

	a := w.account(t)
	a.conn.env.Now = func() time.Time { return time.Now().Add(2 * time.Minute) } // both have ended
	if err := a.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []sshcert.Principal{web1(), {Login: "ops", Host: "web-2.demo"}} {
		for _, path := range []string{a.certFile(p), a.keyFile(p)} {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s was not swept: %v", path, err)
			}
		}
	}
	connect(w.Env, "web-1.demo")
	issued(3)

	if err := os.WriteFile(a.keyFile(web1()), []byte("junk"), 0o600); err != nil { // the key is gone
		t.Fatal(err)
	}
	connect(w.Env, "web-1.demo")
	issued(4)

	f.mu.Lock()
	f.person = newID(t) // somebody else logs in
	f.mu.Unlock()
	w.logIn(t, f)
	connect(w.Env, "web-1.demo")
	issued(5)
}

// A live certificate of one role is not used where another was named: what is
// allowed on the host, and who is asked, differ. Which role it is the server
// knows, so without it such a certificate is not used.
func TestSSHUsesNoCertificateOfAnotherRole(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	q := f.granted(time.Hour, "web-1.demo")
	contract := q.Contract.ID
	for _, tt := range []struct {
		name   string
		ask    Ask
		code   int
		issued int
	}{
		{"whatever there is", Ask{}, ExitOK, 1},
		{"its role", Ask{Role: "ops"}, ExitOK, 1},
		{"its contract", Ask{Contract: contract}, ExitOK, 1},
		{"another role", Ask{Role: "root"}, ExitUsage, 1},
		{"another contract", Ask{Role: "ops", Contract: "other"}, ExitUsage, 1},
	} {
		tt.ask.Principals = []string{"ops@web-1.demo"}
		run := &execRecorder{}
		err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: tt.ask, Exec: run.exec})
		if ExitCode(err) != tt.code || (run.argv != nil) != (err == nil) {
			t.Errorf("%s: %v, became %q", tt.name, err, run.argv)
		}
		if n := f.called("POST /v1/grants/"); n != tt.issued {
			t.Errorf("%s: %d certificates issued, want %d", tt.name, n, tt.issued)
		}
	}
	other := f.granted(time.Hour, "web-1.demo")
	f.requests[other.ID].Role = "root"
	run := &execRecorder{}
	if err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: Ask{Principals: []string{"ops@web-1.demo"}, Role: "root"}, Exec: run.exec}); err != nil {
		t.Error(err)
	}
	cert, err := w.account(t).readCert(web1())
	if err != nil || !strings.Contains(cert.KeyId, string(other.ID)) {
		t.Errorf("the certificate is %v, %v; want one of request %s", cert, err, other.ID)
	}
	f.refuse["GET /v1/requests/"+string(other.ID)] = api.Problem{Type: "/problems/unavailable", Status: 503, Detail: "starting"}
	for role, code := range map[string]int{"": ExitOK, "root": ExitUnreachable} {
		run := &execRecorder{}
		err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: Ask{Principals: []string{"ops@web-1.demo"}, Role: role}, Exec: run.exec})
		if ExitCode(err) != code || (run.argv != nil) != (code == ExitOK) {
			t.Errorf("without the server, role %q: %v, became %q", role, err, run.argv)
		}
	}
}

func TestSweepLeavesTheLivingAndTheLocked(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.granted(time.Hour, "web-1.demo")
	if err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: Ask{Principals: []string{"ops@web-1.demo"}}, Exec: (&execRecorder{}).exec}); err != nil {
		t.Fatal(err)
	}
	a := w.account(t)
	if err := a.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok := a.live(t.Context(), web1(), keyChoice{}, false); !ok {
		t.Fatal("a live certificate was swept")
	}
	unlock, err := lock(t.Context(), a.lockFile(web1()), nil)
	if err != nil {
		t.Fatal(err)
	}
	a.conn.env.Now = func() time.Time { return time.Now().Add(time.Hour) }
	if err := a.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.certFile(web1())); err != nil {
		t.Errorf("another run's certificate was swept: %v", err)
	}
	unlock()
	if err := a.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.certFile(web1())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an ended certificate stays: %v", err)
	}
}

// Parallel runs, as ansible's forks, make one request and one certificate.
func TestParallelRunsShareOneIssuance(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	polls := 0
	f.polled = func(q *api.Request) {
		if polls++; polls == 2 {
			grant(q, time.Hour)
		}
	}
	var group sync.WaitGroup
	runs := make([]execRecorder, 6)
	for i := range runs {
		group.Go(func() {
			if err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: askWeb1(), Exec: runs[i].exec}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for i := range runs {
		if runs[i].argv == nil || !slices.Equal(runs[i].argv, runs[0].argv) {
			t.Errorf("run %d became %q", i, runs[i].argv)
		}
	}
	if q, c := f.called("POST /v1/requests"), f.called("POST /v1/grants/"); q != 1 || c != 1 {
		t.Errorf("%d requests and %d certificates for 6 runs", q, c)
	}
}

// While the server is away a certificate that is still good works.
func TestSSHWithoutTheServer(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.granted(time.Hour, "web-1.demo")
	connect := func(host string) (*execRecorder, error) {
		run := &execRecorder{}
		return run, SSH(t.Context(), SSHOptions{Env: w.Env, Ask: Ask{Principals: []string{"ops@" + host}}, Exec: run.exec})
	}
	if _, err := connect("web-1.demo"); err != nil {
		t.Fatal(err)
	}
	f.stop()
	if run, err := connect("web-1.demo"); err != nil || run.argv == nil || !strings.Contains(w.stderr(), "using what it proved about hosts last") {
		t.Errorf("with a live certificate: %v, said %q", err, w.stderr())
	}
	run, err := connect("web-2.demo") // never proved
	wantExit(t, err, ExitUnreachable, "does not answer", "a retry is safe")
	if run.argv != nil {
		t.Error("ssh was started without a certificate")
	}
}

func TestCtrlCWhileWaitingStartsNothing(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	f.polled = func(*api.Request) { cancel() }
	run := &execRecorder{}
	err := SSH(ctx, SSHOptions{Env: w.Env, Ask: askWeb1(), Exec: run.exec})
	wantExit(t, err, ExitInterrupted, "the request stays open", "go on with: sally ssh ops@web-1.demo")
	if run.argv != nil {
		t.Error("ssh was started")
	}
}

// What stock ssh makes of the arguments, with a configuration that wants the
// opposite of each, and without one.
func TestSSHArgsHoldAgainstAnyConfiguration(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "with space and 100%h")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	hostile := filepath.Join(dir, "config")
	text := `Host *
  HostName evil.example
  Port 99
  User root
  HostKeyAlias evil
  UserKnownHostsFile /evil
  GlobalKnownHostsFile /evil
  StrictHostKeyChecking no
  VerifyHostKeyDNS yes
  NoHostAuthenticationForLocalhost yes
  CheckHostIP yes
  UpdateHostKeys yes
  CanonicalizeHostname always
  ControlMaster auto
  ControlPath /evil-%C
  PreferredAuthentications password
  IdentitiesOnly no
`
	if err := os.WriteFile(hostile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	known := filepath.Join(dir, "known_hosts")
	host := api.Host{Name: "web-1.demo", Address: "::1", Port: 2222}
	common := []string{
		"hostname ::1", "port 2222", "user ops", "hostkeyalias web-1.demo", "userknownhostsfile " + known, "globalknownhostsfile /dev/null",
		"stricthostkeychecking true", "verifyhostkeydns false", "nohostauthenticationforlocalhost no", "checkhostip no",
		"updatehostkeys false", "canonicalizehostname false", "controlmaster false", "preferredauthentications publickey", "identitiesonly yes",
	}
	tests := []struct {
		name string
		id   identity
		want []string
	}{
		{"held by the agent", identity{certFile: filepath.Join(dir, "c-cert.pub")}, []string{
			"identityagent SSH_AUTH_SOCK", "identityfile " + filepath.Join(dir, "c-cert.pub"),
		}},
		{"in files", identity{certFile: filepath.Join(dir, "c-cert.pub"), keyFile: filepath.Join(dir, "k")}, []string{
			"identityfile " + filepath.Join(dir, "k"), "certificatefile " + filepath.Join(dir, "c-cert.pub"),
		}},
	}
	for _, tt := range tests {
		for _, config := range []string{hostile, "none"} {
			t.Run(tt.name+", "+filepath.Base(config), func(t *testing.T) {
				t.Parallel()
				args := append([]string{"-G", "-F", config}, sshArgs(web1(), host, tt.id, known, nil)...)
				out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				// ssh prints paths as given, before it expands %.
				lines := strings.Split(strings.ReplaceAll(string(out), "%%", "%"), "\n")
				for _, want := range append(slices.Clone(common), tt.want...) {
					if !slices.Contains(lines, want) {
						t.Errorf("no line %q in\n%s", want, out)
					}
				}
				if strings.Contains(string(out), "evil") {
					t.Errorf("the configuration got through:\n%s", out)
				}
			})
		}
	}
}

func TestUsableMargin(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	q := f.granted(time.Hour, "web-1.demo")
	a := w.account(t)
	now := time.Now()
	a.conn.env.Now = func() time.Time { return now }
	tests := []struct {
		name string
		life time.Duration // with a minute before now
		want bool
	}{
		{"plenty", time.Minute, true},
		{"a moment", 2 * time.Second, false},
		{"ended", -time.Second, false},
		{"a short one", 15 * time.Second, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cert := *f.bareCertificate()
			cert.KeyId = sshcert.KeyID{Person: f.person, Request: q.ID, Contract: q.Contract.Digest, End: now}.String()
			cert.ValidAfter, cert.ValidBefore = uint64(now.Add(-time.Minute).Unix()), uint64(now.Add(tt.life).Unix())
			if got := a.usable(&cert, web1()); got != tt.want {
				t.Errorf("usable = %t", got)
			}
			cert.CertType = ssh.HostCert
			if a.usable(&cert, web1()) {
				t.Error("a host certificate is usable")
			}
		})
	}
}
