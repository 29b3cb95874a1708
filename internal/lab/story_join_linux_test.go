package lab_test

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/join"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

var invitationLine = regexp.MustCompile(`sallyport-join-1\.\S+`)

// TestPromiseP08_AHostJoinsByInvitation: a running sshd joins a real server, shows a
// host certificate, lets in whoever was approved, and refuses what the stolen
// authority key signs past the ledger.
func TestPromiseP08_AHostJoinsByInvitation(t *testing.T) {
	t.Parallel()
	const name, alias = "app-1.demo", "app.demo"
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	h := newSettled(t)
	s := openSite(t, ctx, site.Config{Plan: site.Plan{CertTTL: 2 * time.Minute}})
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
	invitation, err := hostcall.ParseInvitation(invitationLine.FindString(operator("hosts", "invite", name, "--addr", h.sshd.Addr(), "--label", "env=demo", "--alias", alias)))
	must(t, err)
	must(t, s.Serve(ctx))

	options := join.Options{Setup: h.options, Invitation: invitation, HostKey: strings.TrimSuffix(h.sshd.HostKeyFile(), ".pub")}
	options.Setup.Config = host.Config{Name: name, Aliases: []sshcert.Host{alias}, Mode: host.Require, Server: s.URL()}
	options.Setup.Bundle = nil
	other := options
	other.Setup.Config.Name = "app-2.demo"
	if err := join.Run(ctx, other); err == nil {
		t.Error("another host took the invitation")
	}
	other = options
	other.Setup.Config.Aliases = []sshcert.Host{alias, site.Web1}
	if err := join.Run(ctx, other); err == nil || !strings.Contains(err.Error(), "name them with --alias") {
		t.Errorf("it was invited by other names than it takes: %v", err)
	}
	must(t, join.Run(ctx, options))
	must(t, join.Run(ctx, options)) // and again, as after a failure
	if !strings.Contains(h.out.String(), name+" has joined") || !strings.Contains(h.inForce(), "hostcertificate ") {
		t.Errorf("%s\n%s", h.out.String(), h.inForce())
	}

	login := string(s.Account.Login) + "@" + name
	filed, err := s.Alice.Must(ctx, "sally", "request", login, "--for", "10m", "--because", "into the new host", "--no-wait")
	must(t, err)
	path, _ := page(t, filed.Output)
	decide(t, ctx, s, path, "approve", "")
	r, err := s.Alice.Must(ctx, "sally", "ssh", login, "--", "id -un")
	must(t, err)
	if strings.TrimSpace(r.Stdout) != string(s.Account.Login) {
		t.Errorf("the host answers %q\n%s", r.Output, h.sshd.Log())
	}

	// By its other name the same host is meant, and the same certificate does.
	r, err = s.Alice.Must(ctx, "sally", "ssh", string(s.Account.Login)+"@"+alias, "--", "id -un")
	must(t, err)
	if strings.TrimSpace(r.Stdout) != string(s.Account.Login) || !strings.Contains(r.Output, alias+" is another name of host "+name) {
		t.Errorf("by its other name the host answers %q\n%s", r.Output, h.sshd.Log())
	}
	shown := run(t, 0, lab.Command{Path: "ssh-keygen", Args: []string{"-L", "-f", filepath.Join(h.options.Machine.Dir, host.HostCertFile)}})
	if !regexp.MustCompile(`Principals: \n\s+` + name + `\n\s+` + alias + `\n\s+Critical`).MatchString(shown.Output) {
		t.Errorf("the host certificate:\n%s", shown.Output)
	}

	// The authority's key alone opens nothing.
	run(t, 0, lab.Command{Path: "ssh-keygen", Args: []string{
		"-q", "-s", filepath.Join(s.ServerDir(), "keys", "user-ca"), "-I", "stolen", "-n", string(h.account.Login) + "@" + name, "-V", "+5m", h.key + ".pub",
	}})
	if h.connects() {
		t.Error("a certificate that the ledger does not hold opens the host")
	}
	if log := h.says(); !strings.Contains(log, "ca-without-ledger") {
		t.Errorf("nobody is alarmed:\n%s", log)
	}
	must(t, h.leave())
}
