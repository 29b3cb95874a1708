package sshdconf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// JudgeWeak compares what is in force with the settings of the CIS benchmark for Debian 12, §5.1. None of them is a way
// around the verifier.
func JudgeWeak(s Settings) []Finding {
	var found []Finding
	add := func(id, says, mend string) {
		found = append(found, Finding{ID: id, Severity: Weak, Says: says, Mend: mend})
	}
	for _, list := range []struct {
		id, key, keyword, what string
		weak                   func(string) bool
	}{
		{"cis-5.1.6", "ciphers", "Ciphers", "ciphers", weakCipher},
		{"cis-5.1.12", "kexalgorithms", "KexAlgorithms", "key exchanges", weakKex},
		{"cis-5.1.15", "macs", "MACs", "authentication codes", weakMAC},
	} {
		var weak []string
		for _, name := range strings.Split(s.Value(list.key), ",") {
			if list.weak(name) {
				weak = append(weak, name)
			}
		}
		if len(weak) > 0 {
			add(list.id, fmt.Sprintf("sshd offers weak %s: %s", list.what, strings.Join(weak, ", ")), "set "+list.keyword+" -"+strings.Join(weak, ","))
		}
	}
	if s.number("clientaliveinterval") == 0 || s.number("clientalivecountmax") == 0 {
		add("cis-5.1.7", "a connection whose client has gone away stays open", "set ClientAliveInterval 15 and ClientAliveCountMax 3")
	}
	if s.yes("gssapiauthentication") {
		add("cis-5.1.9", "GSSAPI authentication is on", "set GSSAPIAuthentication no")
	}
	if s.yes("hostbasedauthentication") {
		add("cis-5.1.10", "host-based authentication is on", "set HostbasedAuthentication no")
	}
	if !s.yes("ignorerhosts") {
		add("cis-5.1.11", "sshd reads .rhosts and .shosts files", "set IgnoreRhosts yes")
	}
	if grace := s.number("logingracetime"); grace == 0 || grace > 60 {
		add("cis-5.1.13", fmt.Sprintf("somebody who has not logged in is waited for too long (LoginGraceTime %s)", s.Value("logingracetime")), "set LoginGraceTime 60")
	}
	if level := s.Value("loglevel"); level != "INFO" && level != "VERBOSE" {
		add("cis-5.1.14", "sshd logs at the level "+level, "set LogLevel VERBOSE")
	}
	if n := s.number("maxauthtries"); n > 4 {
		add("cis-5.1.16", fmt.Sprintf("one connection may try %d times (MaxAuthTries)", n), "set MaxAuthTries 4")
	}
	if n := s.number("maxsessions"); n > 10 {
		add("cis-5.1.17", fmt.Sprintf("one connection may hold %d sessions (MaxSessions)", n), "set MaxSessions 10")
	}
	if !startups(s.Value("maxstartups")) {
		add("cis-5.1.18", "too many may wait to log in at once (MaxStartups "+s.Value("maxstartups")+"), each of whom may start the verifier", "set MaxStartups 10:30:60")
	}
	if s.yes("permitemptypasswords") {
		add("cis-5.1.19", "accounts without a password may be entered where passwords are", "set PermitEmptyPasswords no")
	}
	if !s.yes("usepam") {
		add("cis-5.1.22", "sshd does not use PAM, so sessions can't be ended on time", "set UsePAM yes")
	}
	return append(found, notes(s)...)
}

// notes are for what the benchmark wants and a contract decides: a certificate has just the extensions that were approved.
func notes(s Settings) []Finding {
	var found []Finding
	if !s.yes("disableforwarding") {
		found = append(found, Finding{
			ID: "cis-5.1.8", Severity: Note, Says: "sshd forwards what a certificate allows; most contracts allow no forwarding",
			Mend: "set DisableForwarding yes if no contract is ever to allow it",
		})
	}
	if !slices.ContainsFunc([]string{"allowusers", "allowgroups", "denyusers", "denygroups"}, func(key string) bool { return s.Value(key) != "" }) {
		found = append(found, Finding{
			ID: "cis-5.1.4", Severity: Note, Says: "every account of the host can be logged in to with a certificate that names it",
			Mend: "set AllowUsers or AllowGroups to the accounts that people may use",
		})
	}
	return found
}

// number is a setting's whole number, -1 if it is none.
func (s Settings) number(key string) int {
	n, err := strconv.Atoi(s.Value(key))
	if err != nil {
		return -1
	}
	return n
}

// startups tells whether MaxStartups is 10:30:60 or stricter.
func startups(value string) bool {
	parts := strings.Split(value, ":")
	limits := []struct {
		most   int
		atMost bool
	}{{10, true}, {30, false}, {60, true}}
	if len(parts) != len(limits) {
		return false
	}
	for i, limit := range limits {
		n, err := strconv.Atoi(parts[i])
		if err != nil || limit.atMost && n > limit.most || !limit.atMost && n < limit.most {
			return false
		}
	}
	return true
}

func weakCipher(name string) bool {
	return strings.HasSuffix(name, "-cbc") || strings.HasPrefix(name, "arcfour") || strings.HasPrefix(name, "rijndael-cbc")
}

func weakKex(name string) bool {
	return strings.HasPrefix(name, "diffie-hellman-") && strings.HasSuffix(name, "-sha1")
}

func weakMAC(name string) bool {
	for _, weak := range []string{"hmac-md5", "hmac-ripemd160", "hmac-sha1", "umac-64"} {
		if strings.HasPrefix(name, weak) {
			return true
		}
	}
	return false
}
