package sshdconf

import (
	"fmt"
	"slices"
	"strings"
)

// Judge says which ways around the verifier the settings leave open that are in force somewhere. It is a function of what
// sshd said: what lies in files is not looked at here.
func Judge(w Wanted, s Settings) []Finding {
	var found []Finding
	add := func(id string, severity Severity, says, mend string) {
		found = append(found, Finding{ID: id, Severity: severity, Says: says, Mend: mend})
	}
	found = append(found, judgeVerifier(w, s)...)
	found = append(found, judgeKeys(w, s)...)
	for _, m := range []struct{ id, key, keyword, method, says string }{
		{"password", "passwordauthentication", "PasswordAuthentication", "password", "a password is enough to get in"},
		{"keyboard-interactive", "kbdinteractiveauthentication", "KbdInteractiveAuthentication", "keyboard-interactive", "what PAM asks for, often just a password, is enough to get in"},
		{"keyboard-interactive", "challengeresponseauthentication", "ChallengeResponseAuthentication", "keyboard-interactive", "what PAM asks for, often just a password, is enough to get in"},
		{"hostbased", "hostbasedauthentication", "HostbasedAuthentication", "hostbased", "another host's word is enough to get in"},
		{"gssapi", "gssapiauthentication", "GSSAPIAuthentication", "gssapi-with-mic", "a Kerberos ticket is enough to get in"},
		{"gssapi", "gssapikeyexchange", "GSSAPIKeyExchange", "gssapi-keyex", "a Kerberos ticket is enough to get in"},
		{"kerberos", "kerberosauthentication", "KerberosAuthentication", "password", "a Kerberos password is enough to get in"},
	} {
		if s.yes(m.key) && s.keyless(m.method) {
			add(m.id, Bypass, m.says+", and nobody's approval is asked", "set "+m.keyword+" no")
		}
	}
	if s.yes("permitemptypasswords") && s.keyless("password") {
		add("empty-password", Bypass, "an account without a password can be entered by everybody", "set PermitEmptyPasswords no")
	}
	if s.yes("permituserenvironment") {
		add("user-environment", Weak, "users set variables of their login's environment, LD_PRELOAD among them", "set PermitUserEnvironment no")
	}
	switch s.Value("permitrootlogin") {
	case "no", "without-password", "prohibit-password", "forced-commands-only":
	default:
		add("root-login", Weak, "root may log in by any method that is on", "set PermitRootLogin prohibit-password, or no")
	}
	if !s.yes("strictmodes") {
		add("strict-modes", Weak, "sshd takes files of keys that others can write to", "set StrictModes yes")
	}
	if !s.yes("pubkeyauthentication") {
		add("certificates-off", Weak, "no certificate gets in, because PubkeyAuthentication is off", "set PubkeyAuthentication yes")
	}
	return found
}

// judgeVerifier is about what stands between a certificate and a login.
func judgeVerifier(w Wanted, s Settings) []Finding {
	var found []Finding
	add := func(id string, severity Severity, says, mend string) {
		found = append(found, Finding{ID: id, Severity: severity, Says: says, Mend: mend})
	}
	if s.none("trustedusercakeys") {
		add("no-authority", Weak, "no certificate gets in, because sshd trusts no certificate authority", "run sally-host setup again")
	} else if s.Value("trustedusercakeys") != w.CAKeys {
		add("other-authority", Bypass, "sshd trusts the certificate authorities in "+s.Value("trustedusercakeys")+", which are not those of the trust bundle",
			"remove the other TrustedUserCAKeys line, then run sally-host setup again")
	}
	command := strings.Join(strings.Fields(s.Value("authorizedprincipalscommand")), " ")
	switch {
	case s.none("authorizedprincipalscommand"):
		add("verifier-off", Bypass, "the verifier is not asked: no AuthorizedPrincipalsCommand is in force",
			"run sally-host setup again, and look for lines that stand before its own")
	case w.Program == "" || command != w.Command():
		add("other-verifier", Bypass, fmt.Sprintf("another program than the verifier says whom a certificate lets in: %.200s", command),
			"remove the other AuthorizedPrincipalsCommand line: OpenSSH 8.7 to 9.3 take the last one, other releases the first")
	case s.Value("authorizedprincipalscommanduser") != w.User:
		add("other-verifier-account", Weak, "the verifier runs as "+s.Value("authorizedprincipalscommanduser")+", not as its own account "+w.User,
			"remove the other AuthorizedPrincipalsCommandUser line")
	}
	if !s.none("authorizedprincipalsfile") {
		add("principals-file", Bypass, "whoever is named in "+s.Value("authorizedprincipalsfile")+" gets in without the verifier, since sshd asks the file first",
			"set AuthorizedPrincipalsFile none")
	}
	switch {
	case s.none("revokedkeys"):
		add("revocation-off", Bypass, "a revoked certificate is not refused by sshd: no RevokedKeys file is named", "run sally-host setup again")
	case !slices.Contains(strings.Fields(s.Value("revokedkeys")), w.RevokedKeys): // since 10.3 there may be several
		add("other-revocation", Bypass, "sshd reads what was revoked from "+s.Value("revokedkeys")+", which sally-host does not keep", "remove the other RevokedKeys line")
	}
	for _, algorithm := range strings.Split(s.Value("casignaturealgorithms"), ",") {
		if algorithm == "ssh-rsa" || algorithm == "ssh-dss" {
			add("weak-authority-signature", Weak, "sshd takes certificates signed with "+algorithm+", which can be forged", "remove "+algorithm+" from CASignatureAlgorithms")
		}
	}
	return found
}

// judgeKeys is about keys that need no certificate.
func judgeKeys(w Wanted, s Settings) []Finding {
	var found []Finding
	if !s.none("authorizedkeyscommand") {
		found = append(found, Finding{
			ID: "keys-command", Severity: Bypass,
			Says: fmt.Sprintf("a program says whose keys get in without a certificate: %.200s", s.Value("authorizedkeyscommand")),
			Mend: "remove the AuthorizedKeysCommand line; do not write none instead, for which OpenSSH 8.7 to 9.3 drop the verifier (bz#3574)",
		})
	}
	for _, file := range s.keyFiles() {
		if w.ownKeys(file) {
			continue // looked into elsewhere
		}
		found = append(found, Finding{
			ID: "keys-file", Severity: Bypass,
			Says: "keys and cert-authority lines in " + file + " let people in without the verifier",
			Mend: "set AuthorizedKeysFile " + w.KeysFile(),
		})
	}
	return found
}

// ownKeys tells whether a pattern is one of the fragment's own.
func (w Wanted) ownKeys(pattern string) bool {
	return w.BreakGlass != "" && pattern == w.BreakGlass+"/%u" || w.Offline != "" && pattern == w.Offline+"/%u"
}

// keyFiles are the patterns of AuthorizedKeysFile, without none.
func (s Settings) keyFiles() []string {
	var files []string
	for _, file := range strings.Fields(s.Value("authorizedkeysfile")) {
		if !strings.EqualFold(file, "none") {
			files = append(files, file)
		}
	}
	return files
}
