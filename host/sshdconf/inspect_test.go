package sshdconf

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/lab"
)

// host is a folder with all that doctor looks at, and a real sshd to ask, which never runs.
type host struct {
	dir   *lab.Dir
	in    Inspection
	key   ssh.PublicKey // the authority's
	other ssh.PublicKey
}

func newKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func line(key ssh.PublicKey) string { return string(ssh.MarshalAuthorizedKey(key)) }

func newHost(t *testing.T) *host {
	t.Helper()
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Remove(); err != nil {
			t.Error(err)
		}
	})
	sshd, err := lab.FindProgram("sshd")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{dir: dir, key: newKey(t), other: newKey(t)}
	if err := lab.KeyPair(t.Context(), dir.Path("host_key"), "host"); err != nil {
		t.Fatal(err)
	}
	h.in = Inspection{
		SSHD: SSHD{Path: sshd, Config: dir.Path("sshd_config")}, Fragment: dir.Path("d", FragmentName),
		Authorities: [][]byte{h.key.Marshal()}, Owner: uint32(os.Geteuid()), Passwd: dir.Path("passwd"), Nsswitch: dir.Path("nsswitch.conf"),
	}
	h.in.Wanted = Wanted{
		Program: dir.Path("sally-host"), Args: []string{"principals"}, User: "sally-verify", CAKeys: dir.Path("user-ca.pub"), RevokedKeys: dir.Path("deep", "krl"),
		BreakGlass: dir.Path("break-glass"), Require: true,
	}
	if h.in.Wanted.OpenSSH, err = h.in.SSHD.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		id, path string
		severity Severity
	}{{"program-open", h.in.Wanted.Program, Weak}, {"revoked-open", h.in.Wanted.RevokedKeys, Bypass}} {
		h.in.Places = append(h.in.Places, Place{ID: p.id, Path: p.path, Severity: p.severity, Means: "others decide", Runs: p.path == h.in.Wanted.Program})
	}
	fragment, err := h.in.Wanted.Fragment()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"sshd_config": "HostKey " + dir.Path("host_key") + "\nInclude " + dir.Path("d", "*.conf") + "\nUsePAM yes\n", "d/" + FragmentName: fragment,
		"user-ca.pub": line(h.key), "deep/krl": string(krlMagic) + "rest", "sally-host": "", "break-glass/root": "", "nsswitch.conf": "passwd: files\n",
		"passwd": "root:x:0:0:root:" + dir.Path("home/root") + ":/bin/bash\ndeploy:x:1000:1000::" + dir.Path("home/deploy") + ":/bin/sh\n" +
			"sally-verify:x:900:900::/nonexistent:/usr/sbin/nologin\n",
	} {
		h.write(t, name, text)
	}
	mode("sally-host", 0o755)(t, h)
	return h
}

func (h *host) write(t *testing.T, name, text string) {
	t.Helper()
	if _, err := h.dir.Mkdir(0o755, strings.Split(filepath.Dir(name), "/")...); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(0o644)
	if name == "sshd_config" {
		mode = 0o600
	}
	if _, err := h.dir.Write(mode, text, strings.Split(name, "/")...); err != nil {
		t.Fatal(err)
	}
}

// edit changes a file's text.
func (h *host) edit(t *testing.T, name string, change func(text string) string) {
	t.Helper()
	text, err := os.ReadFile(h.dir.Path(strings.Split(name, "/")...))
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, name, change(string(text)))
}

// before puts lines in front of all others, after behind them.
func before(lines string) func(*testing.T, *host) {
	return func(t *testing.T, h *host) {
		t.Helper()
		h.edit(t, "sshd_config", func(text string) string { return h.fill(lines) + text })
	}
}

func after(lines string) func(*testing.T, *host) {
	return func(t *testing.T, h *host) {
		t.Helper()
		h.edit(t, "sshd_config", func(text string) string { return text + h.fill(lines) })
	}
}

func file(name, text string) func(*testing.T, *host) {
	return func(t *testing.T, h *host) {
		t.Helper()
		h.write(t, name, h.fill(text))
	}
}

// fill puts in what is known only now.
func (h *host) fill(text string) string {
	return strings.NewReplacer("DIR", h.dir.Path(), "OTHER", strings.TrimSpace(line(h.other)), "OWN", strings.TrimSpace(line(h.key))).Replace(text)
}

// What is set up and not tampered with is clean: nobody would read findings that are always there.
func TestInspectFindsNoWayAroundWhereThereIsNone(t *testing.T) {
	t.Parallel()
	report, err := Inspect(t.Context(), newHost(t).in)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Severity == Bypass || f.Severity == Weak && !strings.HasPrefix(f.ID, "cis-") && f.ID != "weak-authority-signature" {
			t.Errorf("%+v", f)
		}
	}
	if len(report.Asked) != 0 || report.OpenSSH == "" {
		t.Errorf("asked about %v, OpenSSH %q", report.Asked, report.OpenSSH)
	}
}

// Each way around the verifier that somebody may open is named, with where it is and a mend; sshd is a real one.
func TestPromiseP08_InspectNamesEachWayAround(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		plant func(*testing.T, *host)
		id    string
		says  string // part of the sentence
		where string // part of the place; empty: everybody
		line  string // the end of where it is set
	}{
		{"passwords", before("PasswordAuthentication yes\n"), "password", "nobody's approval", "", "/sshd_config:1"},
		{"PAM's questions", before("KbdInteractiveAuthentication yes\n"), "keyboard-interactive", "PAM", "", "/sshd_config:1"},
		{"PAM's questions by the old name", before("ChallengeResponseAuthentication yes\n"), "keyboard-interactive", "PAM", "", "/sshd_config:1"},
		{"host-based", before("HostbasedAuthentication yes\n"), "hostbased", "another host", "", "/sshd_config:1"},
		{"empty passwords", before("PasswordAuthentication yes\nPermitEmptyPasswords yes\n"), "empty-password", "everybody", "", "/sshd_config:2"},
		{"one list of methods without a key", before("AuthenticationMethods publickey,password password\nPasswordAuthentication yes\n"), "password", "", "", ":2"},
		{"principals file", before("AuthorizedPrincipalsFile %h/.ssh/principals\n"), "principals-file", "%h/.ssh/principals", "", ":1"},
		{"another verifier first and last", both("AuthorizedPrincipalsCommand /usr/bin/other %u\n"), "other-verifier", "/usr/bin/other", "", ""},
		{"no verifier", without("AuthorizedPrincipalsCommand "), "verifier-off", "not asked", "", ""},
		{"another authority's file", before("TrustedUserCAKeys DIR/other.pub\n"), "other-authority", "other.pub", "", ":1"},
		{"another authority in our file", file("user-ca.pub", "OWN\n# note\nOTHER comment\n"), "foreign-authority", "SHA256:", "", ""},
		{"an unknown line in our file", file("user-ca.pub", "OWN\nssh-new AAAA\n"), "foreign-authority", "ssh-new", "", ""},
		{"nothing is revoked", before("RevokedKeys none\n"), "revocation-off", "", "", ":1"},
		{"another list of revoked keys", before("RevokedKeys DIR/other-krl\n"), "other-revocation", "other-krl", "", ":1"},
		{"keys by command", after("AuthorizedKeysCommand /bin/true\nAuthorizedKeysCommandUser nobody\n"), "keys-command", "/bin/true", "", ""},
		{"users' own keys", before("AuthorizedKeysFile .ssh/authorized_keys\n"), "keys-file", ".ssh/authorized_keys", "", ":1"},
		{"Match for a user", after("Match User deploy\nPasswordAuthentication yes\n"), "password", "", "Match User deploy (", ":5"},
		{"Match for a user, by name", after("Match User deploy\nPasswordAuthentication yes\n"), "password", "", "the user deploy", ""},
		{"Match for an address", after("Match Address 10.0.0.0/8\n\tAuthorizedKeysFile .ssh/authorized_keys\n"), "keys-file", "", "Match Address 10.0.0.0/8 (", ":5"},
		{"Match behind another", after("Match Group wheel\nBanner none\nMatch LocalPort 2222\nPasswordAuthentication yes\n"), "password", "", "Match LocalPort 2222 (", ":7"},
		{"Match hidden by another", after("Match User deploy\nPasswordAuthentication no\nMatch User deploy Address 10.0.0.0/8\nPasswordAuthentication yes\n"), "password", "", "Match User deploy Address 10.0.0.0/8 (", ":7"},
		{"Match in an included file", file("d/50-x.conf", "Match Host *.example\nAuthorizedPrincipalsFile /etc/p\n"), "principals-file", "", "50-x.conf:1", "50-x.conf:2"},
		{"Match with another verifier", after("Match User root\nAuthorizedPrincipalsCommand /usr/bin/other\n"), "other-verifier", "", "Match User root (", ""},
		{"Match with another authority", after("Match User root\nTrustedUserCAKeys /etc/ca\n"), "other-authority", "", "Match User root (", ""},
		{"Match without a list", after("Match User root\nRevokedKeys none\n"), "revocation-off", "", "Match User root (", ""},
		{"a fragment in front of ours", file("d/00-a.conf", "PasswordAuthentication yes\n"), "password", "", "", "00-a.conf:1"},
		{"our fragment is not read", without("Include "), "fragment-not-read", "00-sallyport.conf", "", ""},
		{"authority in the owner's way", file("break-glass/root", "cert-authority,principals=\"x\" OTHER\n"), "cert-authority", "as root", "", ""},
		{"the list of revoked keys is everybody's", mode("deep/krl", 0o666), "revoked-open", "0666", "", ""},
		{"a folder above it is everybody's", mode(".", 0o777), "revoked-open", "0777", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			tt.plant(t, h)
			report, err := Inspect(t.Context(), h.in)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(report.Findings, func(f Finding) bool {
				return f.ID == tt.id && f.Severity == Bypass && strings.Contains(f.Says, tt.says) && f.Mend != "" && strings.HasSuffix(f.Line, tt.line) &&
					(tt.where == "" && len(f.Where) == 0 || tt.where != "" && strings.Contains(strings.Join(f.Where, "; "), tt.where))
			}) {
				t.Errorf("no bypass %s about %q at %q set at %q in %s", tt.id, tt.says, tt.where, tt.line, list(report.Findings))
			}
			if Worst(report.Findings) != Bypass {
				t.Error("the worst is no bypass")
			}
		})
	}
}

func both(lines string) func(*testing.T, *host) {
	return func(t *testing.T, h *host) {
		t.Helper()
		before(lines)(t, h)
		after(lines)(t, h)
	}
}

// without removes the lines that begin so, from the configuration and the fragment.
func without(start string) func(*testing.T, *host) {
	return func(t *testing.T, h *host) {
		t.Helper()
		for _, name := range []string{"sshd_config", "d/" + FragmentName} {
			h.edit(t, name, func(text string) string {
				var b strings.Builder
				for line := range strings.Lines(text) {
					if !strings.HasPrefix(line, start) {
						b.WriteString(line)
					}
				}
				return b.String()
			})
		}
	}
}

func mode(name string, mode os.FileMode) func(*testing.T, *host) {
	return func(t *testing.T, h *host) {
		t.Helper()
		if err := os.Chmod(h.dir.Path(name), mode); err != nil {
			t.Fatal(err)
		}
	}
}

func list(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "\n%s %s: %s %v %s", f.Severity, f.ID, f.Says, f.Where, f.Line)
	}
	return b.String()
}

// Plain keys and authorities in the files that users write themselves are named one by one.
func TestPromiseP08_InspectReadsUsersKeys(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	before("AuthorizedKeysFile .ssh/authorized_keys %h/.ssh/authorized_keys2 DIR/by-id/%U DIR/by-%%/%u DIR/%k\n")(t, h)
	for name, text := range map[string]string{
		"home/root/.ssh/authorized_keys": "# none\n\nOWN\nfrom=\"a,cert-authority\" OTHER x\nssh-new AAAA\n", "home/deploy/.ssh/authorized_keys2": "restrict,CERT-AUTHORITY OTHER\n",
		"by-id/1000": strings.Repeat("ssh-new AAAA\n", 7) + "cert-authority ssh-new AAAA\n", "by-%/root": "environment=\"A=\\\"x\" OWN\n",
	} {
		h.write(t, name, h.fill(text))
	}
	report, err := Inspect(t.Context(), h.in)
	if err != nil {
		t.Fatal(err)
	}
	own, other := ssh.FingerprintSHA256(h.key), ssh.FingerprintSHA256(h.other)
	for _, want := range []Finding{
		{ID: "plain-keys", Says: h.dir.Path("home/root/.ssh/authorized_keys") + " lets 3 in as root with a plain key: " + own + ", " + other + ", a line that is no key known here"},
		{ID: "plain-keys", Says: h.dir.Path("by-%/root") + " lets 1 in as root with a plain key: " + own},
		{ID: "plain-keys", Says: h.dir.Path("by-id/1000") + " lets 7 in as deploy with a plain key: " + strings.Repeat("a line that is no key known here, ", 3) + "a line that is no key known here and 3 more"},
		{ID: "cert-authority", Says: h.dir.Path("home/deploy/.ssh/authorized_keys2") + " trusts a certificate authority of its own, whose certificates let people in as deploy without the verifier: " + other},
		{ID: "cert-authority", Says: h.dir.Path("by-id/1000") + " trusts a certificate authority of its own, whose certificates let people in as deploy without the verifier: a line that is no key known here"},
	} {
		if !slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.ID == want.ID && f.Says == want.Says && f.Severity == Bypass }) {
			t.Errorf("no %s: %s in %s", want.ID, want.Says, list(report.Findings))
		}
	}
}

// What can't be looked at is no better than a way in: a pipe in place of a file, a file as large as a disk.
func TestInspectIsNotHeldUp(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	before("AuthorizedKeysFile .ssh/authorized_keys\n")(t, h)
	h.write(t, "home/root/.ssh/authorized_keys", "")
	h.write(t, "home/deploy/.ssh/authorized_keys", strings.Repeat("#", maxOutput+1))
	path := h.dir.Path("home/root/.ssh/authorized_keys")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if r, err := lab.Run(t.Context(), lab.Command{Path: "mkfifo", Args: []string{path}}); err != nil || r.Code != 0 {
		t.Fatal(err, r.Output)
	}
	h.edit(t, "passwd", func(text string) string { return text + "odd:x:1001:1001::" + h.dir.Path("home/odd") + ":/bin/sh\n" })
	if _, err := h.dir.Mkdir(0o755, "home", "odd", ".ssh"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", h.dir.Path("home/odd/.ssh/authorized_keys")); err != nil {
		t.Fatal(err)
	}
	report, err := Inspect(t.Context(), h.in)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"root", "deploy", "odd"} {
		if !slices.ContainsFunc(report.Findings, func(f Finding) bool {
			return f.ID == "keys-unread" && f.Severity == Bypass && strings.Contains(f.Says, "let "+user+" in")
		}) {
			t.Errorf("nothing about %s in %s", user, list(report.Findings))
		}
	}
}

// What locks people out, and what is only weaker than it should be, is said too.
func TestInspectNamesWhatIsWeak(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		plant func(*testing.T, *host)
		id    string
		says  string
	}{
		{"no list of revoked keys", remove("deep/krl"), "revoked-unread", "nobody gets in"},
		{"an empty list of revoked keys", file("deep/krl", ""), "revoked-unread", "nobody gets in"},
		{"no list at all", file("deep/krl", "ssh-ed25519 what"), "revoked-unread", "no revocation list"},
		{"no authorities", remove("user-ca.pub"), "authorities-unread", "no certificate gets in"},
		{"an authority is missing", file("user-ca.pub", "# none\n"), "authority-missing", "lacks 1"},
		{"the verifier's account is gone", file("passwd", "root:x:0:0::/root:/bin/sh\n"), "verifier-account-missing", "sally-verify"},
		{"the verifier's account is root", file("passwd", "sally-verify:x:0:0::/:/usr/sbin/nologin\n"), "verifier-is-root", ""},
		{"the verifier's account is another's", file("passwd", "sally-verify:x:9:9::/:/usr/sbin/nologin\nx:x:9:9::/:/bin/false\n"), "verifier-account-shared", "same as x"},
		{"the verifier's account logs in", file("passwd", "sally-verify:x:9:9::/:/bin/sh\n"), "verifier-logs-in", "/bin/sh"},
		{"the verifier runs as another", before("AuthorizedPrincipalsCommandUser nobody\n"), "other-verifier-account", "nobody"},
		{"the program is everybody's", mode("sally-host", 0o777), "program-open", "0777"},
		{"the program can't be run", mode("sally-host", 0o644), "program-not-run", "can't be run"},
		{"the program is gone", remove("sally-host"), "program-open", "missing"},
		{"certificates are off", before("PubkeyAuthentication no\n"), "certificates-off", ""},
		{"users' environment", before("PermitUserEnvironment yes\n"), "user-environment", "LD_PRELOAD"},
		{"root by anything", before("PermitRootLogin yes\n"), "root-login", "root"},
		{"modes unread", before("StrictModes no\n"), "strict-modes", ""},
		{"signatures of SHA-1", before("CASignatureAlgorithms +ssh-rsa\n"), "weak-authority-signature", "ssh-rsa"},
		{"the fragment was changed", func(t *testing.T, h *host) {
			h.edit(t, "d/"+FragmentName, func(s string) string { return s + "Banner none\n" })
		}, "fragment-changed", ""},
		{"the owner's keys", file("break-glass/root", "OTHER\n"), "break-glass-keys", "as root"},
		{"accounts of a directory", file("nsswitch.conf", "# x\npasswd: files [NOTFOUND=continue] sss ldap # y\n"), "accounts-elsewhere", "sss, ldap"},
		{"configuration for all to read", mode("sshd_config", 0o644), "cis-5.1.1", "0644"},
		{"many tries", before("MaxAuthTries 6\n"), "cis-5.1.16", "6"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			tt.plant(t, h)
			report, err := Inspect(t.Context(), h.in)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(report.Findings, func(f Finding) bool {
				return f.ID == tt.id && f.Severity != Bypass && strings.Contains(f.Says, tt.says) && f.Mend != ""
			}) {
				t.Errorf("no %s about %q in %s", tt.id, tt.says, list(report.Findings))
			}
			if Worst(report.Findings) == Bypass {
				t.Errorf("it is a bypass in %s", list(report.Findings))
			}
		})
	}
}

func remove(name string) func(*testing.T, *host) {
	return func(t *testing.T, h *host) {
		t.Helper()
		if err := os.Remove(h.dir.Path(name)); err != nil {
			t.Fatal(err)
		}
	}
}

// A host that was never set up has everything open, and is said to be so.
func TestPromiseP08_InspectOfAHostThatIsNotSetUp(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.in.Wanted = Wanted{}
	file("d/"+FragmentName, "")(t, h)
	report, err := Inspect(t.Context(), h.in)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"not-set-up", "verifier-off", "revocation-off", "keys-file"} {
		if !slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.ID == id && f.Severity == Bypass }) {
			t.Errorf("no %s in %s", id, list(report.Findings))
		}
	}
}

// An answer that sshd does not give is an error, never a clean report.
func TestInspectRefusesWhatItCannotSee(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(*testing.T, *host){
		"a configuration that sshd refuses": before("NoSuchKeyword yes\n"),
		"a Match that sshd refuses":         after("Match User\n"),
		"no configuration":                  remove("sshd_config"),
		"no accounts":                       remove("passwd"),
		"another program":                   func(_ *testing.T, h *host) { h.in.SSHD.Path = "/bin/true" },
		"no sshd":                           func(_ *testing.T, h *host) { h.in.SSHD.Path = "/nonexistent/sshd" },
		"a user that can't be asked about": func(t *testing.T, h *host) {
			file("passwd", "a,b:x:1:1::/:/bin/sh\n")(t, h)
			after("Match all\n")(t, h)
		},
	} {
		h := newHost(t)
		plant(t, h)
		if report, err := Inspect(t.Context(), h.in); err == nil {
			t.Errorf("%s: %s", name, list(report.Findings))
		}
	}
}
