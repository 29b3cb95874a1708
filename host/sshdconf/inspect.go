package sshdconf

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// maxAsked is how many users sshd is asked about one by one. The Match blocks are asked about each, so nothing is lost but
// a name.
const maxAsked = 64

// Inspection says what to look at on a host.
type Inspection struct {
	SSHD   SSHD
	Wanted Wanted // what setup put there; the zero value: it has not been run
	// Fragment is the file that has to hold it.
	Fragment string
	// Authorities are the keys of the trust bundle that sign people's certificates, as SSH wire bytes.
	Authorities [][]byte
	// HostCertificate is the host's certificate, where there is one that sshd should show.
	HostCertificate string
	// Places are our files, which nobody but Owner, an account's number, and root may change.
	Places []Place
	Owner  uint32
	// Passwd and Nsswitch are the host's files of accounts and of where else accounts come from.
	Passwd   string
	Nsswitch string
}

// Report is what was found on a host.
type Report struct {
	OpenSSH  string    `json:"openssh"`
	Asked    []string  `json:"asked"` // what sshd was asked about, beside what holds for everybody
	Findings []Finding `json:"findings"`
}

// Inspect looks at a host and names every way around the verifier. An error means that something could not be looked at,
// which is no better than a finding. It needs the rights to read what sshd reads, and changes nothing.
func Inspect(ctx context.Context, in Inspection) (Report, error) {
	version, err := in.SSHD.Version(ctx)
	if err != nil {
		return Report{}, err
	}
	config, err := ReadConfig(in.SSHD.Config)
	if err != nil {
		return Report{}, err
	}
	users, err := Accounts(in.Passwd)
	if err != nil {
		return Report{}, err
	}
	probes, err := in.probes(ctx, config, users)
	if err != nil {
		return Report{}, err
	}
	report := Report{OpenSSH: version.String()}
	var found findings
	read := once(readKeyFile)
	for _, p := range probes {
		if p.where != "" {
			report.Asked = append(report.Asked, p.where)
		}
		all := append(Judge(in.Wanted, p.settings), judgeKeyFiles(in.Wanted, p.settings, p.users, read)...)
		for i := range all {
			all[i].Line = config.lineOf(all[i].ID, p.block, in.Fragment)
		}
		found.add(p.where, all...)
	}
	global := probes[0].settings
	found.add("", JudgeWeak(global)...)
	found.add("", in.judgeFragment(config)...)
	found.add("", JudgeRelease(version, config, global)...)
	found.add("", in.judgeHost(users, global)...)
	report.Findings = found.sorted()
	return report, nil
}

// once reads each file once, however often it is asked for: the same users' files are in force in many places.
func once(read func(path string) (keyFile, error)) func(path string) (keyFile, error) {
	type result struct {
		keys keyFile
		err  error
	}
	known := map[string]result{}
	return func(path string) (keyFile, error) {
		r, ok := known[path]
		if !ok {
			r.keys, r.err = read(path)
			known[path] = r
		}
		return r.keys, r.err
	}
}

// probe is one thing that sshd was asked about.
type probe struct {
	where    string // empty: what holds for everybody
	block    int    // the Match block, or -1
	settings Settings
	users    []Account
}

// probes asks sshd what holds for everybody, what each Match block by itself brings about, and what holds for each user who
// may log in, if any block tells them apart.
func (in Inspection) probes(ctx context.Context, config Config, users []Account) ([]probe, error) {
	global, err := in.SSHD.Globally(ctx, config)
	if err != nil {
		return nil, err
	}
	list := []probe{{block: -1, settings: global, users: users}}
	for i, block := range config.Blocks {
		s, err := in.SSHD.Comes(ctx, config.Alone(i), somebody("root"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", block, err)
		}
		list = append(list, probe{where: block.String(), block: i, settings: s, users: users})
	}
	if len(config.Blocks) == 0 {
		return list, nil
	}
	asked := 0
	for _, user := range users {
		if asked == maxAsked || strings.HasSuffix(user.Shell, "/nologin") || strings.HasSuffix(user.Shell, "/false") {
			continue
		}
		asked++
		s, err := in.SSHD.InForce(ctx, somebody(user.Name))
		if err != nil {
			return nil, fmt.Errorf("the user %s: %w", user.Name, err)
		}
		list = append(list, probe{where: "the user " + user.Name, block: -1, settings: s, users: []Account{user}})
	}
	return list, nil
}

// somebody is a connection of a user from an address of documentation (RFC 5737). All of it is said, because an sshd with
// Match blocks wants to know.
func somebody(user string) Connection {
	return Connection{User: user, Host: "host.invalid", Addr: "192.0.2.1", LocalAddr: "192.0.2.2", LocalPort: "22"}
}

// judgeFragment says what became of the file that setup wrote.
func (in Inspection) judgeFragment(config Config) []Finding {
	if in.Wanted.Program == "" {
		return []Finding{{
			ID: "not-set-up", Severity: Bypass, Says: "this host is not set up: nothing asks the ledger before somebody gets in", Mend: "run sally-host setup",
		}}
	}
	if !slices.Contains(config.Files, in.Fragment) {
		return []Finding{{
			ID: "fragment-not-read", Severity: Bypass, Says: "sshd does not read " + in.Fragment,
			Mend: "run sally-host setup again, which writes the file and puts an Include for it at the top of " + in.SSHD.Config,
		}}
	}
	text, err := readFile(in.Fragment)
	if err != nil {
		return []Finding{{ID: "fragment-not-read", Severity: Bypass, Says: err.Error(), Mend: "run sally-host setup again"}}
	}
	if have, err := ParseFragment(string(text)); err != nil || have.Command() != in.Wanted.Command() || have.Require != in.Wanted.Require {
		return []Finding{{
			ID: "fragment-changed", Severity: Weak, Says: in.Fragment + " is not as sally-host wrote it", Mend: "run sally-host setup again; find out who changed it",
		}}
	}
	return nil
}

// judgeHost is about files and accounts.
func (in Inspection) judgeHost(users []Account, global Settings) []Finding {
	var found []Finding
	if in.Wanted.Program != "" {
		found = append(found, JudgeAccount(in.Wanted.User, users)...)
		found = append(found, JudgePlaces(in.Places, in.Owner)...)
		if global.Value("trustedusercakeys") == in.Wanted.CAKeys {
			found = append(found, JudgeAuthorities(in.Wanted.CAKeys, in.Authorities)...)
		}
	}
	if in.HostCertificate != "" && !slices.Contains(global.Values("hostcertificate"), in.HostCertificate) {
		found = append(found, Finding{
			ID: "host-certificate-unnamed", Severity: Weak, Says: "sshd does not show clients the host certificate " + in.HostCertificate,
			Mend: "run sally-host setup again, which names it",
		})
	}
	if !global.none("revokedkeys") {
		for _, path := range strings.Fields(global.Value("revokedkeys")) {
			found = append(found, JudgeRevoked(path)...)
		}
	}
	found = append(found, judgeFiles(in.SSHD.Config, global)...)
	if text, err := os.ReadFile(in.Nsswitch); err == nil {
		if sources := Elsewhere(string(text)); len(sources) > 0 {
			found = append(found, Finding{
				ID: "accounts-elsewhere", Severity: Note,
				Says: fmt.Sprintf("accounts that come from %s are not looked at one by one", strings.Join(sources, ", ")),
				Mend: "no keys of theirs count as long as AuthorizedKeysFile is what the fragment says",
			})
		}
	}
	return found
}

// sets is which keywords a finding is about, as far as a line can be pointed at.
var sets = map[string][]string{
	"password": {"passwordauthentication"}, "keyboard-interactive": {"kbdinteractiveauthentication", "challengeresponseauthentication"},
	"hostbased": {"hostbasedauthentication"}, "gssapi": {"gssapiauthentication", "gssapikeyexchange"}, "kerberos": {"kerberosauthentication"},
	"empty-password": {"permitemptypasswords"}, "user-environment": {"permituserenvironment"}, "root-login": {"permitrootlogin"},
	"strict-modes": {"strictmodes"}, "certificates-off": {"pubkeyauthentication"}, "no-authority": {"trustedusercakeys"},
	"other-authority": {"trustedusercakeys"}, "verifier-off": {"authorizedprincipalscommand"}, "other-verifier": {"authorizedprincipalscommand"},
	"other-verifier-account": {"authorizedprincipalscommanduser"}, "principals-file": {"authorizedprincipalsfile"},
	"revocation-off": {"revokedkeys"}, "other-revocation": {"revokedkeys"}, "keys-command": {"authorizedkeyscommand"},
	"keys-file": {"authorizedkeysfile"}, "plain-keys": {"authorizedkeysfile"}, "weak-authority-signature": {"casignaturealgorithms"},
}

// lineOf points at the first line outside of the fragment that sets what a finding is about, in a block or for everybody.
func (c Config) lineOf(id string, block int, fragment string) string {
	for _, at := range []int{block, -1} {
		for _, l := range c.Lines {
			if l.block == at && l.File != fragment && slices.Contains(sets[id], l.Keyword) {
				return l.String()
			}
		}
	}
	return ""
}
