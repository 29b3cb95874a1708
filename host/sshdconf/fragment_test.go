package sshdconf

import (
	"errors"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		output string
		want   Version
	}{
		{"OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19 27 Jan 2026\n", Version{9, 2}},
		{"OpenSSH_9.2, OpenSSL 3.0.19 27 Jan 2026\n", Version{9, 2}},
		{"OpenSSH_10.5p1, OpenSSL 3.5.1\n", Version{10, 5}},
		{"unknown option -- V\nOpenSSH_8.4p1, OpenSSL 1.1.1\nusage: sshd [-46DdeiqTt]\n", Version{8, 4}},
		{"OpenSSH_for_Windows_8.1p1, LibreSSL 3.0.2\n", Version{8, 1}},
	} {
		if got, err := ParseVersion(tt.output); err != nil || got != tt.want {
			t.Errorf("ParseVersion(%q) = %s, %v, want %s", tt.output, got, err, tt.want)
		}
	}
	for _, output := range []string{"", "dropbear 2022.83", "OpenSSH_x.y", "OpenSSH_99999999999999999999.1"} {
		if got, err := ParseVersion(output); !errors.Is(err, ErrUnreadable) {
			t.Errorf("ParseVersion(%q) = %s, %v", output, got, err)
		}
	}
	if v := (Version{9, 4}); v.Before(9, 4) || !v.Before(9, 5) || !v.Before(10, 0) || v.Before(8, 9) {
		t.Error("9.4 is put into the wrong place")
	}
}

// The fragment never says AuthorizedKeysCommand, and shuts in require mode what would let somebody in without a certificate.
func TestPromiseP08_FragmentShutsOtherWays(t *testing.T) {
	t.Parallel()
	required := []string{
		"TrustedUserCAKeys /etc/ssh/sallyport/user-ca.pub", "AuthorizedPrincipalsCommand /usr/bin/sally-host principals %k %u",
		"AuthorizedPrincipalsCommandUser sally-verify", "AuthorizedPrincipalsFile none", "RevokedKeys /etc/ssh/sallyport/krl",
	}
	shut := []string{
		"AuthorizedKeysFile /etc/ssh/sallyport/break-glass/%u", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "HostbasedAuthentication no",
		"KerberosAuthentication no", "GSSAPIAuthentication no", "PermitEmptyPasswords no", "PermitUserEnvironment no", "StrictModes yes", "PermitRootLogin prohibit-password",
	}
	for _, tt := range []struct {
		name     string
		wanted   func(w *Wanted)
		has, not []string
	}{
		{"require", func(*Wanted) {}, append(required, shut...), []string{"ChallengeResponseAuthentication"}},
		{"observe", func(w *Wanted) { w.Require = false }, required, []string{"AuthorizedKeysFile", "PasswordAuthentication", "PermitRootLogin"}},
		{"no way for the owner", func(w *Wanted) { w.BreakGlass = "" }, []string{"AuthorizedKeysFile none"}, []string{"break-glass"}},
		{"further factors", func(w *Wanted) { w.FurtherFactors = true }, append(required, "HostbasedAuthentication no"), []string{"PasswordAuthentication", "KbdInteractive"}},
		{"root shut out already", func(w *Wanted) { w.KeepRootLogin = true }, required, []string{"PermitRootLogin"}},
		{"before 8.7", func(w *Wanted) { w.OpenSSH = Version{8, 6} }, append(shut, "ChallengeResponseAuthentication no"), nil},
		{"with a host certificate alone", func(w *Wanted) { w.HostCertificate = "/etc/ssh/k-cert.pub" }, []string{"HostCertificate /etc/ssh/k-cert.pub"}, []string{"HostKey"}},
		{
			"with a host certificate", func(w *Wanted) { w.HostKey, w.HostCertificate = "/etc/ssh/k", "/etc/ssh/k-cert.pub" },
			[]string{"HostKey /etc/ssh/k", "HostCertificate /etc/ssh/k-cert.pub"},
			nil,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := standard()
			tt.wanted(&w)
			text, err := w.Fragment()
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range tt.has {
				if !strings.Contains(text, "\n"+line+"\n") {
					t.Errorf("no line %q in\n%s", line, text)
				}
			}
			for line := range strings.Lines(text) {
				word, _ := cutKeyword(strings.TrimSpace(line))
				if word == "authorizedkeyscommand" {
					t.Error("a line for AuthorizedKeysCommand, which switches the verifier off before 9.4")
				}
				for _, not := range tt.not {
					if strings.HasPrefix(line, not) {
						t.Errorf("a line for %s in\n%s", not, text)
					}
				}
			}
			back, err := ParseFragment(text)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := back.Fragment(); err != nil || again != text {
				t.Errorf("read back and written again (%v) it is\n%s\nwant\n%s", err, again, text)
			}
			if _, err := ParseFragment(text + "PasswordAuthentication yes\n"); !errors.Is(err, ErrFragment) {
				t.Errorf("a changed fragment: %v", err)
			}
		})
	}
}

// What sshd_config would read otherwise than it is meant is refused: it could name another file, or none.
func TestPromiseP08_FragmentRefusesOddPaths(t *testing.T) {
	t.Parallel()
	odd := []string{
		"", "/", "none", "relative", "./x", "/a b", "/a\tb", "/a\nPermitRootLogin yes", "/a\"b", "/a'b", "/a#b", "/a\\b", "/a%ub", "/a%", "~/x", "/a/../b", "/a//b",
		"/a/", "/a*", "/a;b", "/a$HOME", "/ä", "/a\x00b", "/" + strings.Repeat("a", maxPath),
	}
	fields := map[string]func(w *Wanted, s string){
		"program":          func(w *Wanted, s string) { w.Program = s },
		"authorities":      func(w *Wanted, s string) { w.CAKeys = s },
		"revoked":          func(w *Wanted, s string) { w.RevokedKeys = s },
		"break-glass":      func(w *Wanted, s string) { w.BreakGlass = s },
		"host key":         func(w *Wanted, s string) { w.HostKey = s },
		"host certificate": func(w *Wanted, s string) { w.HostKey, w.HostCertificate = "/etc/ssh/k", s },
		"argument":         func(w *Wanted, s string) { w.Args = []string{"--dir", s} },
		"account":          func(w *Wanted, s string) { w.User = s },
	}
	for name, set := range fields {
		for _, path := range odd {
			if path == "" && (name == "break-glass" || strings.HasPrefix(name, "host")) {
				continue // optional
			}
			if name == "argument" && (path == "/" || path == "none" || path == "relative" || path == "./x" || strings.HasPrefix(path, "/a/") || path == "/a//b" || len(path) > maxPath) {
				continue // a word of its own, whatever it names
			}
			if name == "account" && (path == "none" || path == "relative") {
				continue
			}
			w := standard()
			set(&w, path)
			if text, err := w.Fragment(); !errors.Is(err, ErrFragment) {
				t.Errorf("%s %.40q: %v\n%s", name, path, err, text)
			}
		}
	}
	for name, set := range map[string]func(w *Wanted){
		"root":            func(w *Wanted) { w.User = "root" },
		"unknown release": func(w *Wanted) { w.OpenSSH = Version{} },
		"no Include":      func(w *Wanted) { w.OpenSSH = Version{8, 1} },
	} {
		w := standard()
		set(&w)
		if _, err := w.Fragment(); !errors.Is(err, ErrFragment) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseFragment(f *testing.F) {
	text, err := standard().Fragment()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(strings.Replace(text, "/etc/ssh", "/a b", 1))
	f.Fuzz(func(t *testing.T, text string) {
		w, err := ParseFragment(text)
		if err != nil {
			return
		}
		if again, err := w.Fragment(); err != nil || again != text {
			t.Errorf("%q is read, and written as %q, %v", text, again, err)
		}
	})
}
