package lab_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// TestStockSSHDByStaticFiles: a real sshd without sally-host lets in whoever was
// approved by the files of `sally hosts config`, is shown as not enforcing, and refuses
// what is revoked once it has been brought the newer list.
func TestStockSSHDByStaticFiles(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{Plan: site.Plan{CertTTL: 3 * time.Minute}})
	must(t, s.StopServing())
	bundle := s.Operator.Home("bundle.json")
	for _, args := range [][]string{{"keys"}, {"bundle", "--out", bundle}, {"publish", bundle}} {
		_, err := s.Operator.Must(ctx, append([]string{"sallyd", "--dir", s.ServerDir(), "hosts"}, args...)...)
		must(t, err)
	}
	must(t, s.Serve(ctx))
	h := s.Hosts[site.Web1]
	at := filepath.Join(h.Dir(), "sallyport") // which its sshd_config includes
	must(t, os.RemoveAll(at))                 // sallyd's own files are not what is tried
	config := func() {
		t.Helper()
		r, err := s.Alice.Must(ctx, "sally", "hosts", "config", site.Web1, "--out", at)
		must(t, err)
		if !strings.Contains(r.Output, "the fleet shows it as not enforcing") || !strings.Contains(r.Output, "wrote "+at+"/krl") {
			t.Errorf("%s", r.Output)
		}
	}
	config()
	run(t, 0, lab.Command{Path: "/usr/sbin/sshd", Args: []string{"-t", "-f", filepath.Join(h.Dir(), "sshd_config")}})
	skip := len(h.Log())
	must(t, syscall.Kill(h.PID(), syscall.SIGHUP))
	_, err := h.WaitLogAfter(ctx, skip, "Server listening")
	must(t, err)
	in := run(t, 0, lab.Command{Path: "/usr/sbin/sshd", Args: []string{"-T", "-f", filepath.Join(h.Dir(), "sshd_config")}})
	for _, want := range []string{"trustedusercakeys " + at + "/user-ca.pub", "authorizedprincipalsfile " + at + "/principals/%u", "revokedkeys " + at + "/krl"} {
		if !slices.Contains(strings.Split(in.Output, "\n"), want) {
			t.Errorf("sshd does not say %q", want)
		}
	}

	login := s.Principal(site.Web1)
	filed, err := s.Alice.Must(ctx, "sally", "request", login, "--for", "10m", "--because", "a host without sally-host", "--no-wait")
	must(t, err)
	path, id := page(t, filed.Output)
	decide(t, ctx, s, path, "approve", "")
	r, err := s.Alice.Must(ctx, "sally", "ssh", login, "--key-file", "--", "id -un")
	must(t, err)
	if r.Stdout != string(s.Account.Login)+"\n" {
		t.Errorf("the host answers %q\n%s", r.Output, h.Log())
	}
	if r, err = s.Alice.Must(ctx, "sally", "hosts", "list"); err != nil || !strings.Contains(r.Stdout, "not enforcing") {
		t.Errorf("%s, %v", r.Output, err)
	}

	// With stock ssh and the certificate as it lies there, past sally.
	state := filepath.Join(s.Alice.Home(), ".local", "state", "sallyport")
	direct := func() bool {
		t.Helper()
		kept := s.Alice.Home("kept")
		r, err := s.Alice.Run(ctx, "ssh", "-F", "none", "-p", strings.TrimPrefix(h.Addr(), "127.0.0.1:"), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-i", kept, "-o", "CertificateFile="+kept+"-cert.pub", string(s.Account.Login)+"@127.0.0.1", "true")
		must(t, err)
		return r.Code == 0
	}
	_, err = s.Alice.Must(ctx, "sh", "-c", "cp -p $(find "+state+" -name 'key+*') "+s.Alice.Home("kept")+" && cp $(find "+state+" -name '*-cert.pub') "+s.Alice.Home("kept-cert.pub"))
	must(t, err)
	if !direct() {
		t.Fatalf("stock ssh does not get in:\n%s", h.Log())
	}
	_, err = s.Alice.Must(ctx, "sally", "revoke", "--grant", id, "--because", "done early")
	must(t, err)
	if !direct() {
		t.Error("the host knows of a revocation that nobody has brought it")
	}
	config()
	if direct() {
		t.Error("a revoked certificate opens the host that has the newer list")
	}
	if log := h.Log(); !strings.Contains(log, "revoked") {
		t.Errorf("sshd does not say that it is revoked:\n%s", log)
	}
}
