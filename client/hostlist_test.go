package client

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.roles = append(f.roles, api.RoleOption{
		Contract: f.contract, Role: "admin", Clause: "§3", Logins: logins("root"), Hosts: hostsOf("db-1.demo", "web-1.demo"), MaxSeconds: 600,
		Stages: []api.RoleStage{{Stage: "leads", Need: 2, From: []string{"leads", "owners"}}, {Stage: "security", Need: 1, From: []string{"security"}}},
	})
	if err := Hosts(t.Context(), HostsOptions{Env: w.Env}); err != nil {
		t.Fatal(err)
	}
	want := `db-1.demo   root        acme/admin  §3  10m0s   2 of leads or owners, then security
web-1.demo  deploy,ops  acme/ops    §2  1h0m0s  leads
web-1.demo  root        acme/admin  §3  10m0s   2 of leads or owners, then security
web-2.demo  deploy,ops  acme/ops    §2  1h0m0s  leads
`
	if w.stdout() != want {
		t.Errorf("printed\n%swant\n%s", w.stdout(), want)
	}
	w.out.Reset()
	if err := Hosts(t.Context(), HostsOptions{Env: w.Env, JSON: true}); err != nil {
		t.Fatal(err)
	}
	var got hostsResult
	if err := json.Unmarshal([]byte(w.stdout()), &got); err != nil || len(got.Hosts) != 3 || len(got.Hosts[1].Roles) != 2 || got.Hosts[1].Roles[1].Hosts != nil {
		t.Errorf("printed %s, %v", w.stdout(), err)
	}
	f.roles = nil
	w.out.Reset()
	if err := Hosts(t.Context(), HostsOptions{Env: w.Env}); err != nil || w.stdout() != "" || !strings.Contains(w.stderr(), "no contract in force lets you ask") {
		t.Errorf("%q, %q, %v", w.stdout(), w.stderr(), err)
	}
	wantExit(t, Hosts(t.Context(), HostsOptions{Env: w.Env, Name: "WEB"}), ExitUsage, "NAME: ", "lower-case")
	wantExit(t, Hosts(t.Context(), HostsOptions{Env: w.Env, Name: "web-9.demo"}), ExitFailed, "web-9.demo", "not in the inventory")
}

// One host is shown with what the pinned ledger says of it; where that is something
// else than the server says, the answer is no.
func TestHostIsHeldToTheLedger(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.hosts[0].Labels = map[string]string{"tier": "web", "env": "demo"}
	if err := Hosts(t.Context(), HostsOptions{Env: w.Env, Name: "web-1.demo"}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"host      web-1.demo\naddress   127.0.0.1 port 2222\nhost key  ssh-ed25519 SHA256:", "labels    env=demo, tier=web\njoined    entry 0 of the ledger\n",
		"role      acme/ops §2: deploy, ops for at most 1h0m0s, decided by leads; a certificate lasts 5m0s\n",
		"\n✓ leaf: ", "\n✓ inclusion: ", "\n✓ facts: ", "\n✓ host: web-1.demo joined there with these names, address, port, key, labels and contract\n",
	} {
		if !strings.Contains(w.stdout(), want) {
			t.Errorf("no %q in\n%s", want, w.stdout())
		}
	}
	f.lieHosts = func(list []api.Host) { list[0].Port = 22 }
	w.out.Reset()
	wantExit(t, Hosts(t.Context(), HostsOptions{Env: w.Env, Name: "web-1.demo"}), ExitFailed, "entry 0 of the ledger does not say what the server says", "another port")
	if !strings.Contains(w.stdout(), "\n✗ host: it has another port\n") {
		t.Errorf("printed\n%s", w.stdout())
	}
	f.lieHosts, f.lieEntry = nil, func(e *api.EntryProof) { e.Facts, e.FactsSalt = "", "" }
	w.out.Reset()
	wantExit(t, Hosts(t.Context(), HostsOptions{Env: w.Env, Name: "web-1.demo", JSON: true}), ExitFailed, "facts: they are not shown to you")
	var got hostResult
	if err := json.Unmarshal([]byte(w.stdout()), &got); err != nil || got.OK || got.Host.Name != "web-1.demo" || len(got.Roles) != 1 {
		t.Errorf("printed %s, %v", w.stdout(), err)
	}
}
