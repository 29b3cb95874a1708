package sshdconf

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var (
	update = flag.Bool("update", false, "write testdata/findings anew")
	record = flag.String("record", "", "absolute path of an `sshd` whose answers to the configurations are written below testdata/recorded")
)

// standard is what setup writes on a host with nothing special.
func standard() Wanted {
	return Wanted{
		Program: "/usr/bin/sally-host", Args: []string{"principals"}, User: "sally-verify",
		CAKeys: "/etc/ssh/sallyport/user-ca.pub", RevokedKeys: "/etc/ssh/sallyport/krl", BreakGlass: "/etc/ssh/sallyport/break-glass",
		Require: true, OpenSSH: Version{9, 2},
	}
}

func observing() Wanted {
	w := standard()
	w.Require, w.BreakGlass = false, ""
	return w
}

func withoutOwnersWay() Wanted {
	w := standard()
	w.BreakGlass = ""
	return w
}

func withFactors() Wanted {
	w := standard()
	w.FurtherFactors = true
	return w
}

// configuration is a sshd_config, with the fragment between what stands before and after it.
type configuration struct {
	name          string
	wanted        Wanted
	before, after string
	without       bool // no fragment
}

// distribution is how Debian's sshd_config goes on behind its Include.
const distribution = "KbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\nAcceptEnv LANG LC_*\nSubsystem sftp /usr/lib/openssh/sftp-server\n"

// configurations are the ones that OpenSSH's releases were asked about.
var configurations = []configuration{
	{name: "distribution", after: distribution, without: true},
	{name: "require", wanted: standard(), after: distribution},
	{name: "observe", wanted: observing(), after: distribution},
	{name: "no-owners-way", wanted: withoutOwnersWay(), after: distribution},
	{name: "several-lists", wanted: standard(), before: "RevokedKeys /etc/ssh/other-krl\n", after: distribution},
	{name: "further-factors", wanted: withFactors(), before: "AuthenticationMethods publickey,password publickey,keyboard-interactive:pam\n", after: distribution},
	{name: "one-list-without-key", wanted: withFactors(), before: "AuthenticationMethods publickey,password keyboard-interactive\nKbdInteractiveAuthentication yes\n", after: "UsePAM yes\n"},
	{name: "keys-command-none-before", wanted: standard(), before: "AuthorizedKeysCommand none\n", after: distribution},
	{name: "keys-command-before", wanted: standard(), before: "AuthorizedKeysCommand /usr/bin/sss_ssh_authorizedkeys\nAuthorizedKeysCommandUser nobody\n", after: distribution},
	{name: "keys-command-after", wanted: standard(), after: "AuthorizedKeysCommand /usr/bin/sss_ssh_authorizedkeys\nAuthorizedKeysCommandUser nobody\n" + distribution},
	{name: "other-command-before", wanted: standard(), before: "AuthorizedPrincipalsCommand /usr/bin/other %u\n", after: distribution},
	{name: "other-command-after", wanted: standard(), after: "AuthorizedPrincipalsCommand /usr/bin/other %u\n" + distribution},
	{name: "principals-file-before", wanted: standard(), before: "AuthorizedPrincipalsFile %h/.ssh/principals\n", after: distribution},
	{name: "other-authority-before", wanted: standard(), before: "TrustedUserCAKeys /etc/ssh/ca.pub\n", after: distribution},
	{name: "nothing-revoked-before", wanted: standard(), before: "RevokedKeys none\n", after: distribution},
	{name: "keys-file-before", wanted: standard(), before: "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/keys/%u\n", after: distribution},
	{name: "passwords-before", wanted: standard(), before: "PasswordAuthentication yes\nPermitEmptyPasswords yes\nPermitRootLogin yes\nPermitUserEnvironment yes\nStrictModes no\n", after: distribution},
	{name: "asking-pam-before", wanted: standard(), before: "KbdInteractiveAuthentication yes\n", after: "UsePAM yes\n"},
	{name: "challenge-response-before", wanted: standard(), before: "ChallengeResponseAuthentication yes\n", after: "UsePAM yes\n"},
	{name: "hostbased-before", wanted: standard(), before: "HostbasedAuthentication yes\nIgnoreRhosts no\n", after: distribution},
	{name: "other-account-before", wanted: standard(), before: "AuthorizedPrincipalsCommandUser nobody\n", after: distribution},
	{name: "no-public-keys-before", wanted: standard(), before: "PubkeyAuthentication no\n", after: distribution},
	{name: "loose", wanted: standard(), after: "MaxAuthTries 20\nLoginGraceTime 0\nMaxSessions 100\nMaxStartups 100\nUsePAM no\nIgnoreRhosts yes\n" +
		"Ciphers aes128-ctr,aes128-cbc\nMACs hmac-md5,hmac-sha2-256\nKexAlgorithms curve25519-sha256,diffie-hellman-group1-sha1\nCASignatureAlgorithms ssh-ed25519,ssh-rsa\n"},
	{name: "strict", wanted: standard(), after: "MaxAuthTries 3\nLoginGraceTime 30\nMaxStartups 10:30:60\nUsePAM yes\nDisableForwarding yes\nAllowUsers ops\n" +
		"ClientAliveInterval 15\nCiphers aes256-gcm@openssh.com\nMACs hmac-sha2-512-etm@openssh.com\n"},
	{name: "match-keys-file", wanted: standard(), after: "Match User git\n\tAuthorizedKeysFile .ssh/authorized_keys\n\tPasswordAuthentication yes\n"},
	{name: "match-other-verifier", wanted: standard(), after: "Match Address 10.0.0.0/8,192.168.0.0/16\n\tAuthorizedPrincipalsCommand /usr/bin/other %u\nMatch all\n"},
	{name: "match-principals-file", wanted: standard(), after: "Match Group wheel User !git,*\n\tAuthorizedPrincipalsFile /etc/ssh/principals/%u\n"},
}

// text is the configuration with the fragment that a release gets.
func (c configuration) text(t *testing.T, v Version) string {
	t.Helper()
	const host = "HostKey /etc/ssh/ssh_host_ed25519_key\n"
	if c.without {
		return host + c.before + c.after
	}
	c.wanted.OpenSSH = v
	fragment, err := c.wanted.Fragment()
	if err != nil {
		t.Fatal(err)
	}
	return host + c.before + fragment + c.after
}

// TestRecordedReleases holds the findings to what several releases of OpenSSH answered: testdata/README.md says how they
// were asked.
func TestRecordedReleases(t *testing.T) {
	t.Parallel()
	if *record != "" {
		recordAll(t)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "recorded", "*.txtar"))
	if err != nil || len(files) < 4 {
		t.Fatalf("%d releases are recorded (%v), want at least 4", len(files), err)
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }) // 9.6 before 10.5
	for _, c := range configurations {
		var got strings.Builder
		for _, file := range files {
			fmt.Fprintf(&got, "== OpenSSH %s\n", strings.TrimSuffix(filepath.Base(file), ".txtar"))
			writeFindings(t, &got, c, readRecorded(t, file))
		}
		golden := filepath.Join("testdata", "findings", c.name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s: the findings are\n%s\nwant\n%s", c.name, got.String(), want)
		}
	}
}

// writeFindings writes what is found in the recorded answers to one configuration: globally, then per Match block.
func writeFindings(t *testing.T, b *strings.Builder, c configuration, answers map[string]string) {
	t.Helper()
	var found findings
	for i := 0; i == 0 || answers[section(c, i)] != ""; i++ {
		s, err := ParseSettings(answers[section(c, i)])
		if err != nil {
			t.Fatalf("%s: %v", section(c, i), err)
		}
		where := ""
		if i > 0 {
			where = fmt.Sprintf("block %d", i)
		}
		found.add(where, Judge(c.wanted, s)...)
		if i == 0 {
			found.add("", JudgeWeak(s)...)
		}
	}
	for _, f := range found.sorted() {
		fmt.Fprintf(b, "%s %s: %s", f.Severity, f.ID, f.Says)
		if len(f.Where) > 0 {
			fmt.Fprintf(b, " [%s]", strings.Join(f.Where, ", "))
		}
		b.WriteString("\n")
	}
}

// section names the answer to a configuration: 0 is what holds for everybody, 1 what the first Match block by itself brings
// about, and so on.
func section(c configuration, i int) string { return fmt.Sprintf("%s.%d", c.name, i) }

// recordAll writes down what an sshd answers, in one file: the first answer whole, of the others the lines that differ.
func recordAll(t *testing.T) {
	t.Helper()
	sshd := SSHD{Path: *record}
	version, err := sshd.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var archive txtar.Archive
	base := ""
	for _, c := range configurations {
		file := filepath.Join(t.TempDir(), "sshd_config")
		if err := os.WriteFile(file, []byte(c.text(t, version)), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := ReadConfig(file)
		if err != nil {
			t.Fatal(err)
		}
		texts := [][]byte{config.Global()}
		for i := range config.Blocks {
			texts = append(texts, config.Alone(i))
		}
		for i, text := range texts {
			a, err := sshd.ask(t.Context(), text, "-T", "-f", "/dev/stdin", "-C", "user=root,host=host.invalid,addr=192.0.2.1,laddr=192.0.2.2,lport=22")
			if err != nil || a.code != 0 {
				t.Fatalf("%s: %v, %s", c.name, err, said(a))
			}
			data := a.output
			if base == "" {
				base = data
			} else {
				data = difference(base, a.output)
			}
			archive.Files = append(archive.Files, txtar.File{Name: section(c, i), Data: []byte(data)})
		}
	}
	if err := os.WriteFile(filepath.Join("testdata", "recorded", version.String()+".txtar"), txtar.Format(&archive), 0o600); err != nil {
		t.Fatal(err)
	}
}

// readRecorded puts the answers of a file together again.
func readRecorded(t *testing.T, file string) map[string]string {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	answers, base := map[string]string{}, ""
	for i, f := range archive.Files {
		if i == 0 {
			base = string(f.Data)
			answers[f.Name] = base
			continue
		}
		answers[f.Name] = apply(base, string(f.Data))
	}
	return answers
}

// difference is the lines of answer with each keyword that base has otherwise; a keyword alone behind "-" is gone.
func difference(base, answer string) string {
	old, now := byKeyword(base), byKeyword(answer)
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if old[key] != now[key] {
			b.WriteString(now[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if now[key] == "" {
			fmt.Fprintf(&b, "-%s\n", key)
		}
	}
	return b.String()
}

func apply(base, difference string) string {
	all := byKeyword(base)
	for key, lines := range byKeyword(difference) {
		if gone, ok := strings.CutPrefix(key, "-"); ok {
			delete(all, gone)
		} else {
			all[key] = lines
		}
	}
	return strings.Join(slices.Collect(maps.Values(all)), "")
}

func byKeyword(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		key, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[key] += line
	}
	return all
}

// What differs is enough to have the whole again.
func TestRecordedDifferences(t *testing.T) {
	t.Parallel()
	base, answer := "a 1\nb 2\nb 3\nc 4\n", "a 1\nb 2\nd 5\n"
	if got := byKeyword(apply(base, difference(base, answer))); !maps.Equal(got, byKeyword(answer)) {
		t.Errorf("got %q", got)
	}
}
