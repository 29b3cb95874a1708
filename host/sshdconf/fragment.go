package sshdconf

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// ErrFragment is wrapped when a fragment can't be written as sshd would read it.
var ErrFragment = errors.New("sshd would read this otherwise than it is meant")

// FragmentName is what the fragment is called in sshd_config.d: of most settings the first value counts, and the files are
// read in alphabetic order.
const FragmentName = "00-sallyport.conf"

// Wanted is what has to be in force on a host.
type Wanted struct {
	// Program is the absolute path of sally-host, Args what stands between it and "%k %u", the certificate and the login.
	Program string
	Args    []string
	// User is whom the verifier runs as: an account of its own.
	User string
	// CAKeys, RevokedKeys: the files of the authorities' keys and of what was revoked.
	CAKeys      string
	RevokedKeys string
	// BreakGlass is the folder of the owner's own keys, one file an account; empty: there is no such way.
	BreakGlass string
	// Offline is the folder of the contract's keys for when everything else is down, one file an account; empty: there are
	// none. They ask for the security key's PIN, which OpenSSH knows from 8.4 on.
	Offline string
	// HostCertificate is the host's certificate, if it has one; sshd finds the key to it. HostKey is for a host whose key
	// sshd would not load by itself: where it is named, the keys that sshd would load count only if they are named, too.
	HostKey         string
	HostCertificate string
	// Require shuts every other way in. Without it, in observe mode, the fragment adds certificates to what there is.
	Require bool
	// PAM says that PAM has a part in sessions: it ends them with their grants. In observe mode that is left as it is.
	PAM bool
	// FurtherFactors says that AuthenticationMethods asks for more than a key, so that what is asked stays on.
	FurtherFactors bool
	// KeepRootLogin leaves PermitRootLogin as it is, where root can't log in with a password anyway.
	KeepRootLogin bool
	// OpenSSH is the release that will read it.
	OpenSSH Version
}

var (
	plainPath = newPattern(`^/[A-Za-z0-9/._+-]*$`)
	plainWord = newPattern(`^[A-Za-z0-9/._+=-]+$`)
	account   = newPattern(`^[a-z_][a-z0-9_-]{0,31}$`)
)

// maxPath bounds a path, as the kernel does.
const maxPath = 4095

// Command is the value of AuthorizedPrincipalsCommand. Only the certificate and the login are handed over: the rest is in
// the certificate, and the key ID is free text.
func (w Wanted) Command() string {
	return strings.Join(append(append([]string{w.Program}, w.Args...), "%k", "%u"), " ")
}

// KeysFile is the value of AuthorizedKeysFile in require mode.
func (w Wanted) KeysFile() string {
	var files []string
	for _, folder := range []string{w.Offline, w.BreakGlass} {
		if folder != "" {
			files = append(files, folder+"/%u")
		}
	}
	if len(files) == 0 {
		return "none"
	}
	return strings.Join(files, " ")
}

// offlineFolder is what the folder of offline keys is called, by which it is told from the owner's.
const offlineFolder = "offline"

// CheckPath refuses a path that sshd_config would read otherwise than it is meant.
func CheckPath(name string) error {
	if !plainPath.MatchString(name) || path.Clean(name) != name || name == "/" || len(name) > maxPath {
		return fmt.Errorf("%w: the path %.200q; give an absolute one of letters, digits and . _ + - /, without detours", ErrFragment, name)
	}
	return nil
}

// check refuses what sshd_config would read otherwise: relative paths, blanks, quotes, comments, tokens and variables.
func (w Wanted) check() error {
	for _, p := range []struct {
		what, path string
		optional   bool
	}{
		{"the program", w.Program, false},
		{"the file of the authorities' keys", w.CAKeys, false},
		{"the file of revoked keys", w.RevokedKeys, false},
		{"the folder of the owner's keys", w.BreakGlass, true},
		{"the folder of offline keys", w.Offline, true},
		{"the host key", w.HostKey, true},
		{"the host certificate", w.HostCertificate, true},
	} {
		if p.path == "" && p.optional {
			continue
		}
		if err := CheckPath(p.path); err != nil {
			return fmt.Errorf("%s: %w", p.what, err)
		}
	}
	for _, arg := range w.Args {
		if !plainWord.MatchString(arg) {
			return fmt.Errorf("%w: the verifier's argument %.200q; give letters, digits and . _ + = - / only", ErrFragment, arg)
		}
	}
	if !account.MatchString(w.User) {
		return fmt.Errorf("%w: the verifier's account %.100q; give a name of lower-case letters, digits, _ and -, at most 32", ErrFragment, w.User)
	}
	if w.Offline != "" && (path.Base(w.Offline) != offlineFolder || path.Base(w.BreakGlass) == offlineFolder) {
		return fmt.Errorf("%w: the folder of offline keys is called %s, and no other is", ErrFragment, offlineFolder)
	}
	if w.User == "root" {
		return fmt.Errorf("%w: the verifier would run as root; give it an account of its own", ErrFragment)
	}
	if w.OpenSSH == (Version{}) {
		return fmt.Errorf("%w: it is not known which OpenSSH reads it", ErrFragment)
	}
	return nil
}

// Fragment is the text of 00-sallyport.conf. It never has a line for AuthorizedKeysCommand: in OpenSSH 8.7 to 9.3 one that
// stands in front switches AuthorizedPrincipalsCommand off, "none" too (bz#3574).
func (w Wanted) Fragment() (string, error) {
	if err := w.check(); err != nil {
		return "", err
	}
	if w.OpenSSH.Before(8, 2) {
		return "", fmt.Errorf("%w: OpenSSH %s knows no Include; 8.2 or newer is needed", ErrFragment, w.OpenSSH)
	}
	if w.Offline != "" && w.OpenSSH.Before(8, 4) {
		return "", fmt.Errorf("%w: OpenSSH %s can't ask for the PIN of a security key, so no offline key is taken; 8.4 or newer is needed", ErrFragment, w.OpenSSH)
	}
	var b strings.Builder
	b.WriteString("# Written by `sally-host setup`, removed by `sally-host leave`; `sally-host doctor` says what sshd makes of it.\n")
	b.WriteString("# Do not add a line for AuthorizedKeysCommand: OpenSSH 8.7 to 9.3 would drop the verifier for it (bz#3574).\n")
	for _, s := range w.settings() {
		fmt.Fprintf(&b, "%s %s\n", s.keyword, s.value)
	}
	return b.String(), nil
}

type setting struct{ keyword, value string }

func (w Wanted) settings() []setting {
	list := []setting{
		{"TrustedUserCAKeys", w.CAKeys},
		{"AuthorizedPrincipalsCommand", w.Command()},
		{"AuthorizedPrincipalsCommandUser", w.User},
		{"AuthorizedPrincipalsFile", "none"}, // asked before the command, and a match skips it
		{"RevokedKeys", w.RevokedKeys},
		{"PubkeyAuthentication", "yes"},
	}
	if w.HostKey != "" {
		list = append(list, setting{"HostKey", w.HostKey})
	}
	if w.HostCertificate != "" {
		list = append(list, setting{"HostCertificate", w.HostCertificate})
	}
	if !w.Require {
		return list
	}
	list = append(list, []setting{
		{"AuthorizedKeysFile", w.KeysFile()},
		{"StrictModes", "yes"},
		{"HostbasedAuthentication", "no"},
		{"PermitEmptyPasswords", "no"},
		{"PermitUserEnvironment", "no"},
		{"LogLevel", "VERBOSE"}, // names the certificate's serial and key ID
	}...)
	if w.PAM {
		list = append(list, setting{"UsePAM", "yes"})
	}
	if !w.KeepRootLogin {
		list = append(list, setting{"PermitRootLogin", "prohibit-password"})
	}
	if w.FurtherFactors {
		return list
	}
	list = append(list, []setting{
		{"PasswordAuthentication", "no"},
		{"KbdInteractiveAuthentication", "no"},
		{"KerberosAuthentication", "no"},
		{"GSSAPIAuthentication", "no"},
	}...)
	if w.OpenSSH.Before(8, 7) { // where it is a switch of its own
		list = append(list, setting{"ChallengeResponseAuthentication", "no"})
	}
	return list
}

// InForce compares the fragment with what sshd says is in force somewhere and returns what differs, one sentence each.
func (w Wanted) InForce(s Settings) []string {
	var differs []string
	for _, want := range w.settings() {
		key := strings.ToLower(want.keyword)
		have := s.Values(key)
		if len(have) == 0 && (key == "kerberosauthentication" || key == "gssapiauthentication" || key == "challengeresponseauthentication") {
			continue // this sshd was built without it
		}
		if want.value == "none" && s.none(key) {
			continue
		}
		if !contains(key, have, want.value) {
			differs = append(differs, fmt.Sprintf("%s is %s, not %s", want.keyword, strings.Join(have, " and "), want.value))
		}
	}
	return differs
}

// contains tells whether sshd means a wanted value. It has a name of its own for one, and lists all host keys.
func contains(key string, have []string, want string) bool {
	for _, value := range have {
		switch {
		case value == want, key == "permitrootlogin" && (value == "without-password" || value == "no"):
			return true
		case key == "authorizedprincipalscommand" && strings.Join(strings.Fields(value), " ") == want:
			return true
		}
	}
	return false
}

// ParseFragment reads back what Fragment has written.
func ParseFragment(text string) (Wanted, error) {
	w := Wanted{FurtherFactors: true, KeepRootLogin: true}
	for line := range strings.Lines(text) {
		key, value := cutKeyword(strings.TrimSpace(line))
		switch key {
		case "trustedusercakeys":
			w.CAKeys = value
		case "revokedkeys":
			w.RevokedKeys = value
		case "authorizedprincipalscommanduser":
			w.User = value
		case "authorizedprincipalscommand":
			words := strings.Fields(value)
			if len(words) < 3 || words[len(words)-2] != "%k" || words[len(words)-1] != "%u" {
				return Wanted{}, fmt.Errorf("%w: the verifier is called as %.200q", ErrFragment, value)
			}
			w.Program, w.Args = words[0], words[1:len(words)-2]
		case "hostkey":
			w.HostKey = value
		case "hostcertificate":
			w.HostCertificate = value
		case "authorizedkeysfile":
			w.Require = true
			for file := range strings.FieldsSeq(value) {
				if folder, ok := strings.CutSuffix(file, "/%u"); ok && path.Base(folder) == offlineFolder {
					w.Offline = folder
				} else if ok {
					w.BreakGlass = folder
				}
			}
		case "passwordauthentication":
			w.FurtherFactors = false
		case "usepam":
			w.PAM = true
		case "permitrootlogin":
			w.KeepRootLogin = false
		}
	}
	w.OpenSSH = Version{Major: 8, Minor: 7}
	if strings.Contains(text, "\nChallengeResponseAuthentication ") {
		w.OpenSSH.Minor = 6
	}
	written, err := w.Fragment()
	if err != nil {
		return Wanted{}, err
	}
	if written != text {
		return Wanted{}, fmt.Errorf("%w: somebody has changed what sally-host wrote; `sally-host setup` writes it anew", ErrFragment)
	}
	return w, nil
}
