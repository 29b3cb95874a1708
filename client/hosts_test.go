package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Whatever the server says of a host, ssh is started only with what the pinned
// ledger says.
func TestPromiseP12_AHostIsWhatTheLedgerSays(t *testing.T) {
	t.Parallel()
	lieEntry := func(lie func(*fake, *api.EntryProof)) func(*testing.T, *fake) {
		return func(_ *testing.T, f *fake) { f.lieEntry = func(e *api.EntryProof) { lie(f, e) } }
	}
	lieHost := func(lie func(*fake, *api.Host)) func(*testing.T, *fake) {
		return func(_ *testing.T, f *fake) { f.lieHosts = func(list []api.Host) { lie(f, &list[0]) } }
	}
	tests := []struct {
		name string
		lie  func(*testing.T, *fake)
		want string
	}{
		{"another name", lieHost(func(f *fake, h *api.Host) { *h = f.hosts[1]; h.Name = "web-1.demo" }), "another name"},
		{"another address", lieHost(func(_ *fake, h *api.Host) { h.Address = "192.0.2.7" }), "another address"},
		{"another port", lieHost(func(_ *fake, h *api.Host) { h.Port++ }), "another port"},
		{"another host key", lieHost(func(f *fake, h *api.Host) { h.HostKey = f.hosts[1].HostKey }), "another host key"},
		{"another label", lieHost(func(_ *fake, h *api.Host) { h.Labels = map[string]string{"env": "prod"} }), "another set of labels"},
		{"another other name", lieHost(func(_ *fake, h *api.Host) { h.Aliases = []sshcert.Host{"www.demo"} }), "another set of other names"},
		{"a label less", lieHost(func(_ *fake, h *api.Host) { h.Labels = nil }), "another set of labels"},
		{"another contract", lieHost(func(_ *fake, h *api.Host) { h.Lineage = canon.Sum("x", nil) }), "another contract"},
		{"another host's leaf", lieHost(func(_ *fake, h *api.Host) { h.Leaf++ }), "another name"},
		{"a leaf that is no host's", lieHost(func(_ *fake, h *api.Host) { h.Leaf += 2 }), "not the joining of a host"},
		{"a leaf that is not there", lieHost(func(_ *fake, h *api.Host) { h.Leaf = 99 }), "cannot be checked"},
		{"no leaf", lieHost(func(_ *fake, h *api.Host) { h.Leaf = -1 }), "cannot be checked"},
		{"another entry in its place", lieEntry(func(f *fake, e *api.EntryProof) { *e = f.entry(1) }), "answer: asked for entry 0"},
		{"the facts are kept back", lieEntry(func(_ *fake, e *api.EntryProof) { e.Facts, e.FactsSalt = "", "" }), "facts: they are not shown to you"},
		{"facts that the leaf does not hide", lieEntry(func(_ *fake, e *api.EntryProof) {
			e.Facts = strings.Replace(e.Facts, `"port":2222`, `"port":2223`, 1)
		}), "facts: they are not what the leaf commits to"},
		{"a leaf of nobody's ledger", lieEntry(func(_ *fake, e *api.EntryProof) { e.Leaf = changeLine(e.Leaf, 4, canon.Sum("x", nil).String()) }), "inclusion: "},
		{"no proof", lieEntry(func(_ *fake, e *api.EntryProof) { e.Proof = "" }), "inclusion: "},
		{"another log key", func(t *testing.T, f *fake) { // leaf, facts and proof are consistent, and not the pinned log's
			f.lieHosts = func(list []api.Host) { list[0].HostKey = f.hosts[1].HostKey }
			f.lieEntry = func(e *api.EntryProof) {
				evil, lied := ledgertest.New(t, testOrigin, "evil"), f.hosts[0]
				lied.HostKey = f.hosts[1].HostKey
				f.join(f.log, lied) // its leaf and opening; the honest log never showed it
				*e = f.entries[len(f.entries)-1]
				leaf, err := ledger.ParseLeaf([]byte(e.Leaf))
				if err != nil {
					t.Error(err)
				}
				evil.Append(leaf)
				e.Index, e.Proof = 0, string(evil.Prove(0, 1, nil))
			}
		}, "inclusion: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			f.granted(time.Hour, "web-1.demo")
			f.hosts[0].Labels = map[string]string{"env": "demo"}
			f.listHosts(nil) // entries 0 and 1
			f.append(f.log, record.LedgerOpen{At: 1, Ledger: newID(t), Origin: testOrigin, LogKey: f.pin.LogKey, UserCA: "-"}, nil)
			tt.lie(t, f)
			run := &execRecorder{}
			err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: askWeb1(), Exec: run.exec})
			wantExit(t, err, ExitFailed, "web-1.demo", tt.want)
			if run.argv != nil {
				t.Error("ssh was started")
			}
			if text, err := os.ReadFile(filepath.Join(w.account(t).dir, knownHostsFile)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("known_hosts holds %q, %v", text, err)
			}
		})
	}
}

// A host that was proved is not proved again while the server says the same of
// it; what was proved under another log key, or by an older sally, counts for
// nothing.
func TestAProvedHostIsKept(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.granted(time.Hour, "web-1.demo", "web-2.demo")
	a := w.account(t)
	use := func(name sshcert.Host, proofs int) {
		t.Helper()
		if _, err := a.host(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if n := f.called("GET /v1/ledger/entries/"); n != proofs {
			t.Errorf("%d proofs were asked for, want %d", n, proofs)
		}
	}
	use("web-1.demo", 1)
	use("web-1.demo", 1)
	use("web-2.demo", 2)
	use("web-1.demo", 2)
	text, err := os.ReadFile(filepath.Join(a.dir, knownHostsFile))
	if err != nil || strings.Count(string(text), "\n") != 2 {
		t.Errorf("known_hosts is %q, %v", text, err)
	}
	path := filepath.Join(a.dir, hostsFile)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	for i, old := range []any{f.hosts, provenHosts{LogKey: "another", Hosts: f.hosts}} {
		b, err := json.Marshal(old)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		use("web-1.demo", 3+i)
	}
	f.lieHosts = func(list []api.Host) { list[0].Port++ }
	if _, err := a.host(t.Context(), "web-1.demo"); !errors.Is(err, ErrHost) {
		t.Errorf("a host that changed: %v, want ErrHost", err)
	}
}

func TestKnownHosts(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	text, err := knownHosts(f.hosts)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, h := range f.hosts { // stock ssh-keygen finds each host under its name
		out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-F", string(h.Name), "-f", path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), string(h.Name)+" "+h.HostKey) {
			t.Errorf("ssh-keygen -F %s: %v %s", h.Name, err, out)
		}
	}
	tests := []struct {
		name   string
		change func(*api.Host)
	}{
		{"a pattern as the name", func(h *api.Host) { h.Name = "*" }},
		{"a marker in the name", func(h *api.Host) { h.Name = "@cert-authority" }},
		{"two names", func(h *api.Host) { h.Name = "a,b" }},
		{"an option as the address", func(h *api.Host) { h.Address = "-oProxyCommand=x" }},
		{"a command in the address", func(h *api.Host) { h.Address = "$(id).demo" }},
		{"a % in the address", func(h *api.Host) { h.Address = "%h.evil.example" }},
		{"a space in the address", func(h *api.Host) { h.Address = "a b" }},
		{"no address", func(h *api.Host) { h.Address = "" }},
		{"no port", func(h *api.Host) { h.Port = 0 }},
		{"too high a port", func(h *api.Host) { h.Port = 65536 }},
		{"no key", func(h *api.Host) { h.HostKey = "" }},
		{"a key with a second line", func(h *api.Host) { h.HostKey += "\n* " + h.HostKey }},
		{"a key with options", func(h *api.Host) { h.HostKey = "cert-authority " + h.HostKey }},
		{"a key with a comment", func(h *api.Host) { h.HostKey += " x" }},
		{"a certificate", func(h *api.Host) { h.HostKey = keyLine(f.bareCertificate()) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list := slices.Clone(f.hosts)
			tt.change(&list[1])
			if text, err := knownHosts(list); !errors.Is(err, ErrHost) {
				t.Errorf("got %q, %v; want ErrHost", text, err)
			}
		})
	}
}

// The client asks for one page after the other, and does not turn in circles with a
// server that does.
func TestAllHosts(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	var fleet []api.Host
	for i := range 2*hostsPage + 1 {
		h := f.hosts[0]
		h.Name = sshcert.Host(fmt.Sprintf("h%05d.demo", i))
		fleet = append(fleet, h)
	}
	a := w.account(t)
	f.pageHosts = func(after string, limit int) []api.Host {
		at := slices.IndexFunc(fleet, func(h api.Host) bool { return string(h.Name) > after })
		if at < 0 {
			return nil
		}
		return fleet[at:min(at+limit, len(fleet))]
	}
	list, err := a.allHosts(t.Context())
	if err != nil || len(list) != len(fleet) || f.called("GET /v1/hosts") != 3 {
		t.Errorf("%d hosts in %d pages, %v", len(list), f.called("GET /v1/hosts"), err)
	}
	f.pageHosts = func(_ string, limit int) []api.Host { return fleet[:limit] }
	if _, err := a.allHosts(t.Context()); err == nil || !strings.Contains(err.Error(), "does not come to an end") {
		t.Errorf("a server that begins again: %v", err)
	}
	f.pageHosts = func(string, int) []api.Host { return fleet } // one of before
	if list, err := a.allHosts(t.Context()); err != nil || len(list) != len(fleet) {
		t.Errorf("a server without pages: %d hosts, %v", len(list), err)
	}
}
