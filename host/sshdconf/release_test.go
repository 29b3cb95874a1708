package sshdconf

import (
	"slices"
	"strings"
	"testing"
)

// bz#3574: which releases drop the verifier for a line that stands before it was read in their sources (servconf.c) and seen
// in the answers that testdata/recorded keeps.
func TestPromiseP08_ReleasesThatDropTheVerifier(t *testing.T) {
	t.Parallel()
	keys, ours := Line{File: "a", Number: 1, Keyword: "authorizedkeyscommand", block: -1}, Line{File: "b", Number: 2, Keyword: "authorizedprincipalscommand", block: -1}
	elsewhere := keys
	elsewhere.block = 0
	answers := func(command string) Settings {
		return Settings{values: map[string][]string{"authorizedprincipalscommand": {command}}}
	}
	tests := []struct {
		name     string
		version  Version
		lines    []Line
		command  string // what sshd says of AuthorizedPrincipalsCommand
		id       string // empty: nothing is found
		severity Severity
	}{
		{"dropped", Version{9, 2}, []Line{keys, ours}, "none", "bz3574", Bypass},
		{"dropped by the first with it", Version{8, 7}, []Line{keys, ours}, "none", "bz3574", Bypass},
		{"dropped by the last with it", Version{9, 3}, []Line{keys, ours}, "none", "bz3574", Bypass},
		{"behind it", Version{9, 2}, []Line{ours, keys}, "/usr/bin/sally-host", "bz3574-near", Weak},
		{"mended by the distribution", Version{9, 2}, []Line{keys, ours}, "/usr/bin/sally-host", "bz3574-near", Weak},
		{"no such line", Version{9, 2}, []Line{ours}, "/usr/bin/sally-host", "bz3574-possible", Note},
		{"in a Match block", Version{9, 2}, []Line{elsewhere, ours}, "/usr/bin/sally-host", "bz3574-possible", Note},
		{"not set up", Version{9, 2}, nil, "none", "", ""},
		{"before it came", Version{8, 6}, []Line{keys, ours}, "/usr/bin/sally-host", "", ""},
		{"after it went", Version{9, 4}, []Line{keys, ours}, "/usr/bin/sally-host", "", ""},
		{"much later", Version{10, 0}, []Line{keys, ours}, "/usr/bin/sally-host", "", ""},
		{"without Include", Version{8, 1}, nil, "none", "old-openssh", Weak},
	}
	for _, tt := range tests {
		found := JudgeRelease(tt.version, Config{Lines: tt.lines}, answers(tt.command))
		if tt.id == "" {
			if len(found) > 0 {
				t.Errorf("%s: %s", tt.name, list(found))
			}
			continue
		}
		if len(found) != 1 || found[0].ID != tt.id || found[0].Severity != tt.severity || !strings.Contains(found[0].Says, tt.version.String()) {
			t.Errorf("%s: %s, want %s", tt.name, list(found), tt.id)
		}
	}
}

// The real sshd of this machine is asked as well: with the line in front, what is said fits what is in force.
func TestPromiseP08_KeysCommandInFrontOfTheVerifier(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"none", "/bin/true"} {
		h := newHost(t)
		before("AuthorizedKeysCommand "+command+"\nAuthorizedKeysCommandUser nobody\n")(t, h)
		report, err := Inspect(t.Context(), h.in)
		if err != nil {
			t.Fatal(err)
		}
		has := func(id string) bool {
			return slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.ID == id && f.Severity == Bypass })
		}
		if drops := h.in.Wanted.OpenSSH.DropsPrincipals(); has("bz3574") != drops || has("verifier-off") != drops {
			t.Errorf("AuthorizedKeysCommand %s, OpenSSH %s: %s", command, report.OpenSSH, list(report.Findings))
		}
		if has("keys-command") != (command != "none") {
			t.Errorf("AuthorizedKeysCommand %s: %s", command, list(report.Findings))
		}
	}
}
