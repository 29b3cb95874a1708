package lab_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/pamconf"
	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/internal/lab"
)

// sessions are those that were recorded.
func (s *settled) sessions() []session.Session {
	s.t.Helper()
	folder, err := session.OpenFolder(filepath.Join(s.options.Machine.State, host.SessionsFolder))
	if err != nil {
		s.t.Fatal(err)
	}
	ids, _, err := folder.IDs()
	if err != nil {
		s.t.Fatal(err)
	}
	var list []session.Session
	for _, id := range ids {
		r, err := folder.Read(id)
		if err != nil {
			s.t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// recorded counts those by certificates, and those by anything else.
func (s *settled) recorded() (certificates, others int) {
	s.t.Helper()
	for _, r := range s.sessions() {
		if r.Cert != nil {
			certificates++
		} else {
			others++
		}
	}
	return certificates, others
}

// forget forgets them, as the agent does when they are over.
func (s *settled) forget() {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.options.Machine.State, host.SessionsFolder)); err != nil {
		s.t.Fatal(err)
	}
}

// With the file of PAM as the distribution has it, setup alone brings a running sshd to put sessions by certificates into
// cgroups of their own, and to refuse those that can't be recorded; leave makes the file what it was.
func TestPromiseP09_SetupHasPAMKeepSessions(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("only root has sshd open sessions of others: run this as root")
	}
	v := newHostWithoutUs(t, "pam.d")
	s := settle(t, v)
	file := filepath.Join(v.sshd.PAM, "sshd")
	s.options.Sessions, s.options.Machine.PAM = true, file
	good := s.world.Issue(s.template())
	before := mustReadFile(t, file)

	if err := host.Setup(t.Context(), s.options); err != nil {
		t.Fatalf("%v\n%s", err, s.out.String())
	}
	step := "session required pam_exec.so quiet " + s.options.Machine.Program + " session "
	lines := slices.Collect(strings.Lines(mustReadFile(t, file)))
	at := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, step) })
	if at < 2 || lines[at-1] != pamconf.Comment+"\n" || lines[at-2] != "@include common-session\n" {
		t.Errorf("the file is\n%s", strings.Join(lines, ""))
	}
	if !s.knockWith(good) {
		t.Fatalf("the ledger's certificate does not open the host\n%s\n%s", s.says(), s.sshd.Log())
	}
	if certificates, others := s.recorded(); certificates != 1 || others != 0 {
		t.Errorf("%d sessions by certificates are recorded, and %d others", certificates, others)
	}
	h, err := host.Examine(t.Context(), s.options.Machine)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range h.Findings {
		if strings.HasPrefix(f.ID, "session-step") || f.ID == "cis-5.1.22" {
			t.Errorf("%+v", f)
		}
	}

	// What can't be recorded is refused.
	sessions := filepath.Join(s.options.Machine.State, host.SessionsFolder)
	s.forget()
	if err := os.Mkdir(sessions, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(sessions, 0o777); err != nil {
		t.Fatal(err)
	}
	if s.knockWith(good) {
		t.Error("a session that can't be recorded is opened")
	}
	// Where somebody makes the line optional, it is opened, and doctor has said so.
	optional := strings.Replace(strings.Join(lines, ""), step, strings.Replace(step, "required", "optional", 1), 1)
	if err := os.WriteFile(file, []byte(optional), 0o644); err != nil {
		t.Fatal(err)
	}
	if !s.knockWith(good) {
		t.Error("PAM does not read the file: this shows nothing")
	}
	s.forget()

	if err := s.leave(); err != nil {
		t.Errorf("%v\n%s", err, s.out.String())
	}
	if after := mustReadFile(t, file); after != before {
		t.Errorf("the file was\n%s\nand is\n%s", before, after)
	}
	if _, err := os.Stat(s.options.Machine.State); !os.IsNotExist(err) {
		t.Errorf("the state is still there: %v", err)
	}
}

// A setup that fails after the line was put in takes it out again: a login that others open goes on as before.
func TestPromiseP09_AFailedSetupTakesTheLineOut(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("only root has sshd open sessions of others: run this as root")
	}
	v := newHostWithoutUs(t, "pam.d")
	s := settle(t, v)
	file := filepath.Join(v.sshd.PAM, "sshd")
	before := mustReadFile(t, file)
	s.options.Sessions, s.options.Machine.PAM = true, file
	s.options.Reload = host.Reload{Command: "false"}
	s.options.Now = time.Now
	if err := host.Setup(t.Context(), s.options); err == nil {
		t.Error("sshd could not be told, and setup succeeds")
	}
	if after := mustReadFile(t, file); after != before {
		t.Errorf("the file was\n%s\nand is\n%s", before, after)
	}
}

// opensBy tells whether a key without a certificate opens the account.
func (s *settled) opensBy(key string) bool {
	s.t.Helper()
	provider, err := lab.FIDOProvider()
	if err != nil {
		s.t.Fatal(err)
	}
	known, err := s.sshd.KnownHosts()
	if err != nil {
		s.t.Fatal(err)
	}
	file, err := s.dir.Write(0o600, known, "known_hosts")
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	r, err := lab.Run(ctx, lab.Command{Path: "ssh", Args: []string{
		"-F", "none", "-i", key, "-p", strconv.Itoa(s.sshd.Port()), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + file, "-o", "HostKeyAlias=" + s.sshd.Name, "-o", "SecurityKeyProvider=" + provider,
		string(s.account.Login) + "@127.0.0.1", "echo", "opened",
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Code == 0 && strings.Contains(r.Output, "opened")
}

// A security key that is listed opens its login when everything else is down, with touch and PIN, and the use is
// recorded; nothing else does.
func TestPromiseP08_OfflineKeysOnARealSSHD(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Fatal("only root has sshd open sessions of others: run this as root")
	}
	v := newHostWithoutUs(t, "pam.d")
	s := settle(t, v)
	s.options.Sessions, s.options.Machine.PAM = true, filepath.Join(v.sshd.PAM, "sshd")
	listed := map[string]bool{}
	var lines []byte
	for name, args := range map[string][]string{
		"listed":         {"-t", "ed25519-sk", "-O", "verify-required"},
		"listed-ecdsa":   {"-t", "ecdsa-sk", "-O", "verify-required"},
		"listed-no-pin":  {"-t", "ed25519-sk"},
		"another":        {"-t", "ed25519-sk", "-O", "verify-required"},
		"another-a-file": {"-t", "ed25519"},
	} {
		if err := lab.KeyPairOf(t.Context(), s.dir.Path(name), name, args...); err != nil {
			t.Fatal(err)
		}
		listed[name] = name == "listed" || name == "listed-ecdsa"
		if strings.HasPrefix(name, "listed") {
			lines = append(lines, mustReadFile(t, s.dir.Path(name)+".pub")...)
		}
	}
	keys, err := host.ParseOfflineKeys(lines)
	if err != nil {
		t.Fatal(err)
	}
	s.options.Config.Offline = []host.Offline{{Login: s.account.Login, Keys: keys}}
	if err := host.Setup(t.Context(), s.options); err != nil {
		t.Fatalf("%v\n%s", err, s.out.String())
	}
	for name, opens := range listed {
		if got := s.opensBy(s.dir.Path(name)); got != opens {
			t.Errorf("that the key %q opens the host is %t\n%s", name, got, lab.Tail(s.sshd.Log(), 10))
		}
	}
	found := map[string]bool{}
	for _, r := range s.sessions() {
		found[r.OfflineKey] = true
	}
	for name, opens := range listed {
		public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(mustReadFile(t, s.dir.Path(name)+".pub")))
		if err != nil {
			t.Fatal(err)
		}
		if key := canon.B64(public.Marshal()); found[key] != opens {
			t.Errorf("that the use of %q is recorded is %t: %v", name, found[key], found)
		}
	}
	h, err := host.Examine(t.Context(), s.options.Machine)
	if err != nil || sshdconf.Worst(h.Findings) == sshdconf.Bypass {
		t.Errorf("%v %+v", err, h.Findings)
	}
	// Taken back, they open nothing.
	s.options.Config.Offline = nil
	if err := host.Setup(t.Context(), s.options); err != nil {
		t.Fatal(err)
	}
	if s.opensBy(s.dir.Path("listed")) {
		t.Error("an offline key that was taken back opens the host")
	}
}

func mustReadFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
