package debpackage_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSameBytes: whoever builds the package of one source gets the same file.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	first, err := os.ReadFile(newer)
	must(t, err)
	again, err := build(t.Context(), workspace(t).Path("again"), "1.2.3", "MASK=077", "TZ=Pacific/Auckland", "LC_ALL=C.UTF-8")
	must(t, err)
	second, err := os.ReadFile(again)
	must(t, err)
	if !bytes.Equal(first, second) {
		t.Errorf("two builds of one source differ: %d and %d bytes", len(first), len(second))
	}
}

// TestPromiseP08_NoRemovalUnderARunningSSHD: while sshd asks it, the package is not removed, neither by the way nor on
// purpose, and the host goes on to hold everybody to the ledger, across an upgrade, too. When it has left, nothing of
// the package stays behind.
func TestPromiseP08_NoRemovalUnderARunningSSHD(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	before := m.settled()

	m.says(0, "dpkg", "--install", m.bring(older))
	if m.opens(m.good) {
		t.Error("the package alone, without a join, lets somebody in")
	}
	m.setUp(packaged)
	m.holds("once it is set up")
	for _, how := range []string{"--remove", "--purge"} {
		said := m.says(1, "dpkg", how, "sally-host")
		if !strings.Contains(said, "Run `sally-host leave` first") || !strings.Contains(said, "/var/lib/sally-host/setup.json") {
			t.Errorf("dpkg %s does not say why it is refused: %s", how, said)
		}
		m.holds("after dpkg " + how)
	}
	m.says(0, "dpkg", "--install", m.bring(newer))
	if version := m.says(0, "dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", "sally-host"); version != "installed 1.2.3" {
		t.Errorf("after the upgrade dpkg says %q", version)
	}
	m.holds("after the upgrade")

	m.leave(packaged)
	m.says(0, "dpkg", "--remove", "sally-host")
	if _, err := os.Stat(m.Path("/etc/default/sally-host")); err != nil {
		t.Errorf("removing has taken away what an administrator may have written: %v", err)
	}
	m.says(0, "dpkg", "--purge", "sally-host")
	for path, is := range m.settled() {
		if before[path] != is {
			t.Errorf("after purging, %s is other than before:\n%.500s\nwas\n%.500s", path, is, before[path])
		}
		delete(before, path)
	}
	for path := range before {
		t.Errorf("after purging, %s is not there any more", path)
	}
}

// TestPromiseP08_PurgingLeavesAnotherSallyHost: what a sally-host that was installed by hand has put in force since is
// not the package's to take away: sshd lets nobody in without its files.
func TestPromiseP08_PurgingLeavesAnotherSallyHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.says(0, "dpkg", "--install", m.bring(newer))
	must(t, m.Copy(m.Path(packaged), byHand, 0o755))
	m.says(0, "dpkg", "--remove", "sally-host")
	m.setUp(byHand)
	m.holds("with a sally-host by hand")
	if said := m.says(0, "dpkg", "--purge", "sally-host"); !strings.Contains(said, "Its files and its account stay") {
		t.Errorf("purging says\n%s", said)
	}
	m.holds("after purging the package")
	m.leave(byHand)
}

// TestRefusedWithPAMLine: the line for PAM alone needs the program as well, whoever has written it.
func TestRefusedWithPAMLine(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.says(0, "dpkg", "--install", m.bring(newer))
	pam, err := os.ReadFile(m.Path("/etc/pam.d/sshd"))
	must(t, err)
	line := "session required pam_exec.so quiet " + packaged + " session\n"
	must(t, m.Write("/etc/pam.d/sshd", string(pam)+line, 0o644))
	if said := m.says(1, "dpkg", "--remove", "sally-host"); !strings.Contains(said, "/etc/pam.d/sshd") {
		t.Errorf("it does not say where the line stands: %s", said)
	}
	must(t, m.Write("/etc/pam.d/sshd", string(pam)+"# "+line, 0o644))
	m.says(0, "dpkg", "--remove", "sally-host")
}

// bring puts a package into the copy.
func (m *machine) bring(file string) string {
	m.t.Helper()
	to := "/tmp/" + filepath.Base(file)
	must(m.t, m.Copy(file, to, 0o644))
	return to
}

// settled is what was changed in the copy, but for what dpkg, logins and account programs write for themselves.
func (m *machine) settled() map[string]string {
	m.t.Helper()
	all, err := m.Changed()
	must(m.t, err)
	for path := range all {
		for _, theirs := range []string{"/var/lib/dpkg/", "/var/log/", "/var/cache/man/"} {
			if strings.HasPrefix(path, theirs) {
				delete(all, path)
			}
		}
		if all[path] == "deleted" && strings.Contains(path, "sally-host") { // the machine has one since, which is not ours
			delete(all, path)
		}
		if strings.HasPrefix(path, "/etc/") && strings.HasSuffix(path, "-") { // passwd- and such, of the change before
			delete(all, path)
		}
	}
	return all
}
