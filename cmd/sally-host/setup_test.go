package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger/trust"
)

// The command line sets a host up, finds it in order, and undoes it. Without root it says that root is needed.
func TestSetupDoctorLeave(t *testing.T) {
	t.Parallel()
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Remove(); err != nil {
			t.Error(err)
		}
	})
	if err := lab.KeyPair(t.Context(), dir.Path("host_key"), "host"); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("HostKey %s\nListenAddress 127.0.0.1:1\nUsePAM yes\n", dir.Path("host_key"))
	main, err := dir.Write(0o600, config, "sshd_config")
	if err != nil {
		t.Fatal(err)
	}
	program, err := lab.FindProgram("true")
	if err != nil {
		t.Fatal(err)
	}
	world := hosttest.New(t, time.Now(), "ops", "web-1.demo")
	text := world.BundleFile(world.Bundle())
	signed, err := trust.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := dir.Write(0o600, string(text), "bundle.json")
	if err != nil {
		t.Fatal(err)
	}
	pam, err := dir.Write(0o644, "session required pam_unix.so\n", "pam")
	if err != nil {
		t.Fatal(err)
	}
	places := []string{"--dir", dir.Path("sallyport"), "--state", dir.Path("state"), "--spool", dir.Path("spool"), "--sshd-config", main}
	call := func(code int, verb string, args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if got := run(append(append([]string{verb}, places...), args...), &stdout, &stderr); got != code {
			t.Errorf("%s: exit code %d, want %d\n%s%s", verb, got, code, &stdout, &stderr)
		}
		return stdout.String() + stderr.String()
	}
	setup := []string{
		"--bundle", bundle, "--digest", signed.Digest().String(), "--name", "web-1.demo", "--alias", "www.demo", "--server", "https://ca.example", "--mode", "require",
		"--login", "ops", "--option", "permit-pty", "--max-cert", "15m", "--reload-command", "true", "--program", program, "--user", fmt.Sprintf("sallyv-%d", os.Getpid()), "--agent", "none",
	}
	if says := call(exitFailed, "setup", setup...); !strings.Contains(says, "say with --pam-file") {
		t.Errorf("setup says %q", says)
	}
	setup = append(setup, "--pam-file", pam)
	if os.Geteuid() != 0 {
		if says := call(exitFailed, "setup", setup...); !strings.Contains(says, "run it as root") {
			t.Errorf("setup says %q", says)
		}
		return
	}
	if says := call(exitOK, "setup", setup...); !strings.HasSuffix(says, "web-1.demo is set up in mode require; log in once more before you end this session\n") {
		t.Errorf("setup says %q", says)
	}
	host, err := os.ReadFile(dir.Path("sallyport", "host.json"))
	want := fmt.Sprintf(`{"aliases":["www.demo"],"krl_max_age_seconds":0,"lineage":%q,"logins":["ops"],"max_cert_seconds":900,"mode":"require","name":"web-1.demo",`+
		`"options":["permit-pty"],"server":"https://ca.example","v":"sallyport.host/v1"}`, world.Lineage)
	if err != nil || string(host) != want {
		t.Errorf("host.json is %s (%v), want %s", host, err, want)
	}
	if text := string(mustRead(t, pam)); !strings.Contains(text, " session --dir "+dir.Path("sallyport")+" --state "+dir.Path("state")+"\n") {
		t.Errorf("the file of PAM is\n%s", text)
	}
	if says := call(exitOK, "doctor"); strings.Contains(says, "session-step") || !strings.Contains(says, "[agent-not-running]") {
		t.Errorf("doctor says %q", says)
	}
	if says := call(exitOK, "doctor"); !strings.HasPrefix(says, "web-1.demo requires the ledger's word.") {
		t.Errorf("doctor says %q", says)
	}
	if err := os.WriteFile(main, append([]byte("PasswordAuthentication yes\n"), mustRead(t, main)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if says := call(exitFailed, "doctor"); !strings.Contains(says, main+":1 [password]\n") {
		t.Errorf("doctor says %q", says)
	}
	call(exitOK, "leave", "--reload-command", "true")
	if got := string(mustRead(t, pam)); got != "session required pam_unix.so\n" {
		t.Errorf("the file of PAM is\n%s", got)
	}
	if got := string(mustRead(t, main)); got != "PasswordAuthentication yes\n"+config {
		t.Errorf("the configuration is\n%s", got)
	}
	call(exitFailed, "leave", "--reload-command", "true")
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
