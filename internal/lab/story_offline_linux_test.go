package lab_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/join"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
	"github.com/sallyport/sallyport/ledger/hostcall"
)

// TestPromiseP12_OfflineLoginsReachTheLedger: while the server is down somebody uses a
// security key that opens a host without certificate; when it is back the ledger has it,
// and an auditor finds that it is owed a review.
func TestPromiseP12_OfflineLoginsReachTheLedger(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("only root has sshd open sessions of others: run this as root")
	}
	const name = "app-1.demo"
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	h := settle(t, newHostWithoutUs(t, "pam.d"))
	s := openSite(t, ctx, site.Config{})
	must(t, s.StopServing())
	operator := func(args ...string) string {
		t.Helper()
		r, err := s.Operator.Must(ctx, append([]string{"sallyd", "--dir", s.ServerDir()}, args...)...)
		must(t, err)
		return r.Stdout
	}
	file := s.Operator.Home("bundle.json")
	operator("hosts", "keys")
	operator("hosts", "bundle", "--out", file)
	operator("hosts", "publish", file)
	invitation, err := hostcall.ParseInvitation(invitationLine.FindString(operator("hosts", "invite", name, "--addr", h.sshd.Addr(), "--label", "env=demo")))
	must(t, err)
	must(t, s.Serve(ctx))

	key := h.dir.Path("custody")
	must(t, lab.KeyPairOf(ctx, key, "custody", "-t", "ed25519-sk", "-O", "verify-required"))
	line := mustReadFile(t, key+".pub")
	keys, err := host.ParseOfflineKeys([]byte(line))
	must(t, err)
	options := join.Options{Setup: h.options, Invitation: invitation, HostKey: strings.TrimSuffix(h.sshd.HostKeyFile(), ".pub")}
	options.Setup.Config = host.Config{Name: name, Mode: host.Require, Server: s.URL(), Offline: []host.Offline{{Login: h.account.Login, Keys: keys}}}
	options.Setup.Bundle = nil
	options.Setup.Sessions, options.Setup.Machine.PAM = true, filepath.Join(h.sshd.PAM, "sshd")
	must(t, join.Run(ctx, options))

	must(t, s.StopServing())
	if !h.opensBy(key) {
		t.Fatalf("the key does not open the host\n%s", h.sshd.Log())
	}
	m := h.options.Machine
	agent, err := lab.Start(ctx, h.dir.Path("agent.log"), lab.Command{Path: m.Program, Args: []string{
		"agent", "--dir", m.Dir, "--state", m.State, "--spool", m.Spool, "--socket", h.root.Path("run", "refusals"), "--host-key", options.HostKey,
	}})
	must(t, err)
	t.Cleanup(func() { must(t, agent.Stop()) })
	waiting := func() int {
		files, err := filepath.Glob(filepath.Join(m.State, host.EventsFolder, "*.json"))
		must(t, err)
		return len(files)
	}
	must(t, lab.Poll(ctx, "the spool has the login and its end", func() (bool, error) { return len(h.sessions()) == 0 && waiting() > 0, nil }))
	must(t, s.Serve(ctx))
	must(t, lab.Poll(ctx, "the server is told", func() (bool, error) { return waiting() == 0, nil }))

	must(t, s.StopServing())
	export := s.Operator.Home("export.jsonl")
	operator("ledger", "export", "--out", export)
	text := mustReadFile(t, export)
	lineage := regexp.MustCompile(`"lineage":"([A-Za-z0-9_-]{43})"`).FindStringSubmatch(text)
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	must(t, err)
	r, err := s.Auditor.Run(ctx, "sally", "audit", "verify", export, "--pin", s.PinFile(), "--contract", lineage[1])
	must(t, err)
	want := "host " + name + " says that it let in " + string(h.account.Login) + " by the offline key " + ssh.FingerprintSHA256(public)
	if flat := strings.Join(strings.Fields(r.Output), " "); !strings.Contains(flat, want) || !strings.Contains(flat, "owed a review") {
		t.Errorf("the audit says, with exit code %d:\n%s", r.Code, r.Output)
	}
}
