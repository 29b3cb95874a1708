package client

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/internal/lab/payloads"
	"github.com/sallyport/sallyport/sshcert"
)

// hostileRequest puts a text into everything of a request that somebody else
// could write, the server included, but for what makes it this request.
func hostileRequest(q *api.Request, text string) {
	q.Reason, q.ByName, q.ByAccount, q.Clause, q.URL, q.Contract.Title, q.Stage = text, text, text, text, text, text, text
	q.From = []string{text}
	for i := range q.Decisions {
		d := &q.Decisions[i]
		d.ByName, d.ByAccount, d.Words, d.Stage = text, text, text, text
	}
}

// A verb of sally that shows what others wrote, for people or as JSON.
type shower struct {
	name string
	run  func(ctx context.Context, e Env, f *fake, q api.Request, asJSON bool) error
}

func showers() []shower {
	return []shower{
		{"status", func(ctx context.Context, e Env, _ *fake, _ api.Request, j bool) error {
			return Status(ctx, StatusOptions{Env: e, JSON: j})
		}},
		{"status ID", func(ctx context.Context, e Env, _ *fake, q api.Request, j bool) error {
			return Status(ctx, StatusOptions{Env: e, ID: string(q.ID), JSON: j})
		}},
		{"wait ID", func(ctx context.Context, e Env, _ *fake, q api.Request, j bool) error {
			return Wait(ctx, WaitOptions{Env: e, ID: string(q.ID), JSON: j})
		}},
		{"request", func(ctx context.Context, e Env, _ *fake, _ api.Request, j bool) error {
			return Request(ctx, RequestOptions{Env: e, Ask: askWeb1(), NoWait: true, JSON: j})
		}},
		{"cancel", func(ctx context.Context, e Env, _ *fake, q api.Request, j bool) error {
			return Cancel(ctx, CancelOptions{Env: e, ID: string(q.ID), JSON: j})
		}},
		{"list", func(ctx context.Context, e Env, _ *fake, _ api.Request, j bool) error {
			return List(ctx, ListOptions{Env: e, Limit: 10, JSON: j})
		}},
		{"list --waiting", func(ctx context.Context, e Env, _ *fake, _ api.Request, j bool) error {
			return List(ctx, ListOptions{Env: e, Limit: 10, Waiting: true, JSON: j})
		}},
		{"hosts", func(ctx context.Context, e Env, _ *fake, _ api.Request, j bool) error {
			return Hosts(ctx, HostsOptions{Env: e, JSON: j})
		}},
		{"hosts NAME", func(ctx context.Context, e Env, _ *fake, _ api.Request, j bool) error {
			return Hosts(ctx, HostsOptions{Env: e, Name: "web-2.demo", JSON: j})
		}},
		{"whoami", func(ctx context.Context, e Env, _ *fake, _ api.Request, j bool) error {
			return Whoami(ctx, WhoamiOptions{Env: e, JSON: j})
		}},
		{"ledger show", func(ctx context.Context, e Env, f *fake, _ api.Request, j bool) error {
			return LedgerShow(ctx, LedgerShowOptions{Env: e, Leaf: "0", JSON: j})
		}},
		{"ledger list", func(ctx context.Context, e Env, f *fake, _ api.Request, j bool) error {
			return LedgerList(ctx, LedgerListOptions{Env: e, Limit: 10, JSON: j})
		}},
	}
}

// Each verb shows each payload, from each field that a requester, an approver, an
// identity provider, a host admin, a contract's author or the server itself fills,
// as a text; and so it does with the server's refusals.
func TestPromiseP16_EveryVerbIsInert(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	q := f.granted(time.Hour, "web-1.demo")
	hold := func(verb, payload string, asJSON bool, err error) {
		t.Helper()
		ReportJSON(w.Env, err)
		Report(w.Env, err)
		for _, output := range []string{w.stdout(), w.stderr()} {
			if err := payloads.Terminal(output); err != nil {
				t.Errorf("%s, %s: %v", verb, payload, err)
			}
		}
		if out := w.stdout(); asJSON && out != "" && !json.Valid([]byte(out)) {
			t.Errorf("%s --json, %s: no JSON: %q", verb, payload, out)
		}
		w.mu.Lock()
		w.out.Reset()
		w.err.Reset()
		w.mu.Unlock()
	}
	for _, p := range payloads.All() {
		text := strings.ToValidUTF8(p.Text, "\ufffd") // so that it comes back as it was
		f.mu.Lock()
		hostileRequest(f.requests[q.ID], text)
		f.lieSession = func(s *api.Session) { s.Name, s.Email, s.Issuer, s.Groups = text, text, text, []string{text} }
		f.lieHosts = func(list []api.Host) { list[1].Labels = map[string]string{text: text} }
		f.lieEntry = func(e *api.EntryProof) {
			e.Kind, e.Person, e.Certificate, e.Facts = text, text, text, e.Facts+text
		}
		role := &f.roles[0]
		role.Clause, role.Contract.Title, role.Role, role.Approvers, role.Stages[0].From, role.Stages[0].Stage = text, text, text, []string{text}, []string{text}, text
		f.mu.Unlock()
		for _, verb := range showers() {
			for _, asJSON := range []bool{false, true} {
				err := verb.run(t.Context(), w.Env, f, q, asJSON)
				if verb.name == "list" && asJSON {
					var got requestsResult
					if err := json.Unmarshal([]byte(w.stdout()), &got); err != nil || len(got.Requests) != 1 || got.Requests[0].Reason != text {
						t.Errorf("%s: the reason came back as %+v, %v", p.Name, got, err)
					}
				}
				hold(verb.name, p.Name, asJSON, err)
			}
		}
		refusal := api.Problem{Type: "/problems/" + text, Title: text, Status: http.StatusConflict, Detail: text, Instance: text}
		f.mu.Lock()
		for _, route := range []string{"GET /v1/requests", "GET /v1/requests/" + string(q.ID), "GET /v1/sessions/current", "GET /v1/roles", "GET /v1/ledger/entries", "GET /v1/ledger/entries/0"} {
			f.refuse[route] = refusal
		}
		f.mu.Unlock()
		for _, verb := range showers() {
			hold(verb.name+", refused", p.Name, false, verb.run(t.Context(), w.Env, f, q, false))
		}
		f.mu.Lock()
		clear(f.refuse)
		f.mu.Unlock()
	}
}

var (
	fileName  = regexp.MustCompile(`^[A-Za-z0-9@+._-]+$`)
	knownHost = regexp.MustCompile(`^[a-z0-9.-]+ ssh-ed25519 [A-Za-z0-9+/=]+$`)
)

// Whatever a server says of a host, ssh starts with what a harmless one would have
// it start with or not at all; so do files in the state folder have no other names
// and lines.
func TestPromiseP16_NothingReachesSSH(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	q := f.granted(time.Hour, "web-1.demo")
	connect := func(principal string) []string {
		t.Helper()
		run := &execRecorder{}
		err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: Ask{Principals: []string{principal}}, KeyFile: true, Exec: run.exec})
		Report(w.Env, err)
		return run.argv
	}
	harmless := strings.Join(connect("ops@web-1.demo"), "\n")
	if harmless == "" {
		t.Fatal(w.stderr())
	}
	for _, p := range payloads.All() {
		f.mu.Lock()
		hostileRequest(f.requests[q.ID], p.Text)
		f.mu.Unlock()
		if argv := strings.Join(connect("ops@web-1.demo"), "\n"); argv != harmless {
			t.Errorf("%s in a request: ssh starts with %q", p.Name, argv)
		}
		for field, lie := range map[string]func(*api.Host){
			"name":     func(h *api.Host) { h.Name = sshcert.Host(p.Text) },
			"address":  func(h *api.Host) { h.Address = p.Text },
			"key":      func(h *api.Host) { h.HostKey = p.Text },
			"comment":  func(h *api.Host) { h.HostKey += " " + p.Text },
			"prefix":   func(h *api.Host) { h.HostKey = p.Text + " " + h.HostKey },
			"labels":   func(h *api.Host) { h.Labels = map[string]string{p.Text: p.Text} },
			"two keys": func(h *api.Host) { h.HostKey += "\n" + p.Text },
		} {
			f.mu.Lock()
			f.lieHosts = func(list []api.Host) { lie(&list[0]) }
			f.mu.Unlock()
			if argv := connect("ops@web-1.demo"); argv != nil {
				t.Errorf("%s as %s of a host: ssh starts with %q", p.Name, field, argv)
			}
			f.mu.Lock()
			f.lieHosts = nil
			f.mu.Unlock()
		}
		for _, principal := range []string{p.Text, p.Text + "@web-1.demo", "ops@" + p.Text} {
			if argv := connect(principal); argv != nil {
				t.Errorf("to %q ssh starts with %q", principal, argv)
			}
		}
	}
	if err := payloads.Terminal(w.stderr()); err != nil {
		t.Error(err)
	}
	a := w.account(t)
	files, err := os.ReadDir(a.dir)
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		if !fileName.MatchString(file.Name()) {
			t.Errorf("a file %q", file.Name())
		}
	}
	lines, err := os.ReadFile(filepath.Join(a.dir, knownHostsFile))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		if !knownHost.MatchString(strings.TrimSuffix(line, "\n")) {
			t.Errorf("known_hosts has the line %q", line)
		}
	}
	proved, err := os.ReadFile(filepath.Join(a.dir, hostsFile))
	if name, found := payloads.Inside(string(proved)); err != nil || found {
		t.Errorf("%s is in %s, %v", name, hostsFile, err)
	}
}
