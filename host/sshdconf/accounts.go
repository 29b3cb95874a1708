package sshdconf

import (
	"fmt"
	"strconv"
	"strings"
)

// maxAccounts bounds how many accounts of a host are looked at.
const maxAccounts = 10_000

// Account is a user of the host.
type Account struct {
	Name  string
	UID   uint32
	GID   uint32
	Home  string
	Shell string
}

// Accounts are the users of a password file, whatever their shell: sshd forwards for those who have none, too.
func Accounts(passwd string) ([]Account, error) {
	text, err := readFile(passwd)
	if err != nil {
		return nil, fmt.Errorf("reading the host's accounts: %w", err)
	}
	var list []Account
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) != 7 || f[0] == "" || strings.HasPrefix(f[0], "#") {
			continue
		}
		uid, uidErr := strconv.ParseUint(f[2], 10, 32)
		gid, gidErr := strconv.ParseUint(f[3], 10, 32)
		if uidErr != nil || gidErr != nil {
			continue
		}
		if len(list) == maxAccounts {
			return nil, fmt.Errorf("%s has more than %d accounts, which is more than are looked at", passwd, maxAccounts)
		}
		list = append(list, Account{Name: f[0], UID: uint32(uid), GID: uint32(gid), Home: f[5], Shell: f[6]})
	}
	return list, nil
}

// shared are accounts that other programs run as.
var shared = []string{"nobody", "daemon", "bin", "sys", "sshd", "www-data", "mail", "games"}

// JudgeAccount says what is wrong with the account that the verifier runs as.
func JudgeAccount(name string, accounts []Account) []Finding {
	own := func(id string, severity Severity, says string) []Finding {
		return []Finding{{ID: id, Severity: severity, Says: says, Mend: "run sally-host setup again with an account of its own, --user sally-verify"}}
	}
	var verifier *Account
	for i := range accounts {
		if accounts[i].Name == name {
			verifier = &accounts[i]
		}
	}
	if verifier == nil {
		return own("verifier-account-missing", Weak, "no certificate gets in, because the verifier's account "+name+" does not exist")
	}
	if verifier.UID == 0 {
		return own("verifier-is-root", Weak, "the verifier runs as root: a fault in it would be the whole host's")
	}
	for _, other := range shared {
		if name == other {
			return own("verifier-account-shared", Weak, "the verifier runs as "+name+", which other programs do as well")
		}
	}
	for _, other := range accounts {
		if other.Name != name && other.UID == verifier.UID {
			return own("verifier-account-shared", Weak, "the verifier's account "+name+" is the same as "+other.Name)
		}
	}
	if !strings.HasSuffix(verifier.Shell, "/nologin") && !strings.HasSuffix(verifier.Shell, "/false") {
		return own("verifier-logs-in", Weak, "the verifier's account "+name+" has the shell "+verifier.Shell+", so somebody may log in to it")
	}
	return nil
}

// Elsewhere names the sources of accounts beside the password file, from the text of nsswitch.conf: their users can't be
// listed.
func Elsewhere(nsswitch string) []string {
	var sources []string
	for line := range strings.Lines(nsswitch) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		rest, ok := strings.CutPrefix(line, "passwd:")
		if !ok {
			continue
		}
		for _, source := range strings.Fields(rest) {
			if source != "files" && source != "compat" && source != "systemd" && !strings.HasPrefix(source, "[") && !strings.HasSuffix(source, "]") {
				sources = append(sources, source)
			}
		}
	}
	return sources
}
