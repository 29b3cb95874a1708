package pamconf_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/host/pamconf"
)

var step = pamconf.Step{Program: "/usr/bin/sally-host", Args: []string{"session"}}

const ours = "session required pam_exec.so quiet /usr/bin/sally-host session\n"

// files reads from a map.
func files(texts map[string]string) pamconf.Reader {
	return func(path string) ([]byte, error) {
		text, ok := texts[path]
		if !ok {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	}
}

const (
	systemd = "session optional pam_systemd.so\n"
	userEnv = "session required pam_env.so user_readenv=1\n"
)

// with is /etc/pam.d/sshd with this text, beside what it may include.
func with(text string) map[string]string {
	return map[string]string{
		"/etc/pam.d/sshd":           text,
		"/etc/pam.d/common-session": "session [default=1] pam_permit.so\nsession requisite pam_deny.so\nsession required pam_permit.so\n" + systemd,
		"/etc/pam.d/no-systemd":     "session required pam_unix.so\n",
		"/etc/pam.d/with-step":      ours,
		"/etc/pam.d/with-end":       "session sufficient pam_ldap.so\n",
		"/etc/pam.d/circle":         "session include circle\n",
		"/usr/lib/pam.d/vendor":     systemd,
	}
}

func parse(t *testing.T, text string) pamconf.File {
	t.Helper()
	f, err := pamconf.Parse("/etc/pam.d/sshd", files(with(text)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// The line gets where docs/hosts.md says, once, and what was put in is taken out byte for byte.
func TestPromiseP09_TheLineGetsWhereItBelongs(t *testing.T) {
	t.Parallel()
	block := pamconf.Comment + "\n" + ours
	for _, tt := range []struct{ name, before, want string }{
		{"behind the include", "@include common-session\nsession required pam_limits.so\n" + userEnv, "@include common-session\n" + block + "session required pam_limits.so\n" + userEnv},
		{"behind pam_systemd itself", systemd + "session include no-systemd\n", systemd + block + "session include no-systemd\n"},
		{"behind a substack", "session\tsubstack\tcommon-session\n" + userEnv, "session\tsubstack\tcommon-session\n" + block + userEnv},
		{"behind what the vendor has", "session include vendor\n" + userEnv, "session include vendor\n" + block + userEnv},
		{"behind the last include where there is no pam_systemd", "session include no-systemd\nsession include no-systemd\nsession optional pam_motd.so\n", "session include no-systemd\nsession include no-systemd\n" + block + "session optional pam_motd.so\n"},
		{"an include of passwords counts for nothing", "@include no-systemd\n" + userEnv + "password include passwords-only\n", "@include no-systemd\n" + block + userEnv + "password include passwords-only\n"},
		{"no include", "session optional pam_loginuid.so\n" + userEnv, "session optional pam_loginuid.so\n" + block + userEnv},
		{"nothing behind it", "auth required pam_deny.so\nsession required pam_limits.so\n", "auth required pam_deny.so\nsession required pam_limits.so\n" + block},
		{"no line end", "session required pam_limits.so", "session required pam_limits.so\n" + strings.TrimSuffix(block, "\n")},
		{"a line that goes on", "session \\\n optional \\\n pam_systemd.so\n" + userEnv, "session \\\n optional \\\n pam_systemd.so\n" + block + userEnv},
		{"in capitals, behind a dash", "-SESSION optional pam_systemd.so # yes\n" + userEnv, "-SESSION optional pam_systemd.so # yes\n" + block + userEnv},
		{"users' variables are off", "session required pam_env.so user_readenv=1 user_readenv=0\n" + systemd, "session required pam_env.so user_readenv=1 user_readenv=0\n" + systemd + block},
		{"a comment", "#session required pam_env.so user_readenv=1\n" + systemd, "#session required pam_env.so user_readenv=1\n" + systemd + block},
		{"an end within a substack", "session substack with-end\n" + systemd, "session substack with-end\n" + systemd + block},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			texts := with(tt.before)
			texts["/etc/pam.d/passwords-only"] = "password required pam_unix.so\n"
			f, err := pamconf.Parse("/etc/pam.d/sshd", files(texts))
			if err != nil {
				t.Fatal(err)
			}
			text, inserted, err := f.Insert(step)
			if err != nil || text != tt.want {
				t.Fatalf("%v: it is\n%s\nwant\n%s", err, text, tt.want)
			}
			texts["/etc/pam.d/sshd"] = text
			if f, err = pamconf.Parse("/etc/pam.d/sshd", files(texts)); err != nil {
				t.Fatal(err)
			}
			if found := f.Judge(step); len(found) > 0 {
				t.Errorf("what was put in is judged %+v", found)
			}
			if again, more, err := f.Insert(step); err != nil || more != "" || again != text {
				t.Errorf("once more: %v, %q", err, more)
			}
			if back, removed := f.Remove(step, inserted); back != tt.before || removed != 1 {
				t.Errorf("without it: %d removed, it is\n%q\nwant\n%q", removed, back, tt.before)
			}
		})
	}
}

// What can't be kept is not written, and the sentence says what to do.
func TestPromiseP09_NoPlaceForTheLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, says string }{
		{"nothing for sessions", "auth required pam_deny.so\n", "has no line for sessions"},
		{"users' variables in front", userEnv + "@include common-session\n", "move the latter below the former"},
		{"an end in front", "session sufficient pam_ldap.so\n" + systemd, "make that line optional or required"},
		{"an end in an include", "session include with-end\n" + systemd, "/etc/pam.d/with-end:1"},
		{"an end by its value", "session [success=done default=ignore] pam_x.so\n" + systemd, "success=done"},
		{"a jump over it", systemd + "session [success=1] pam_x.so\n", ""},
		{"a jump from just in front", "session optional pam_x.so\nsession [success=1 default=ignore] pam_systemd.so\n", "success=1"},
		{"one that is optional", systemd + "session optional pam_exec.so quiet /usr/bin/sally-host session\n", "remove that line"},
		{"one in front", ours + systemd, "in front of pam_systemd"},
		{"one behind", systemd + userEnv + ours, "behind pam_env"},
		{"one that others read, too", systemd + "session include with-step\n", "other services"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text, inserted, err := parse(t, tt.text).Insert(step)
			if tt.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, pamconf.ErrNoPlace) || !strings.Contains(err.Error(), tt.says) || text != "" || inserted != "" {
				t.Errorf("%v, want %q; it is %q", err, tt.says, text)
			}
		})
	}
}

// Each way in which the line may come to nothing is found, at its line.
func TestPromiseP09_TheLineIsJudged(t *testing.T) {
	t.Parallel()
	line := func(control, args string) string { return "session " + control + " pam_exec.so " + args + "\n" }
	const args = "quiet /usr/bin/sally-host session"
	for _, tt := range []struct {
		name, text string
		ids        []string
	}{
		{"good", systemd + ours + userEnv, nil},
		{"requisite", systemd + line("requisite", args), nil},
		{"by its whole path", systemd + "session required /lib/security/pam_exec.so " + args + "\n", nil},
		{"missing", systemd + userEnv, []string{"session-step-missing"}},
		{"a comment", systemd + "#" + ours, []string{"session-step-missing"}},
		{"for something else", systemd + "auth required pam_exec.so " + args + "\n", []string{"session-step-missing"}},
		{"another verb", systemd + line("required", "quiet /usr/bin/sally-host version"), []string{"session-step-missing"}},
		{"optional", systemd + line("optional", args), []string{"session-step-optional"}},
		{"sufficient", systemd + line("sufficient", args), []string{"session-step-optional"}},
		{"failures ignored", systemd + line("[success=ok default=ignore]", args), []string{"session-step-optional"}},
		{"in front of pam_systemd", ours + "@include common-session\n", []string{"session-step-misplaced"}},
		{"behind the users' variables", systemd + userEnv + ours, []string{"session-step-misplaced"}},
		{"behind both", userEnv + ours + systemd, []string{"session-step-misplaced", "session-step-misplaced"}},
		{"another folder", systemd + line("required", args+" --dir /tmp/x"), []string{"session-step-edited"}},
		{"another program", systemd + line("required", "quiet /tmp/sally-host session"), []string{"session-step-edited"}},
		{"one type only", systemd + line("required", "type=close_session "+args), []string{"session-step-edited"}},
		{"as the user", systemd + line("required", "seteuid "+args), []string{"session-step-edited"}},
		{"twice", systemd + ours + ours, []string{"session-step-edited"}},
		{"in a shared file", systemd + "@include with-step\n", []string{"session-step-misplaced"}},
		{"behind an end", "session sufficient pam_ldap.so\n" + systemd + ours, []string{"session-step-skipped"}},
		{"jumped over", systemd + "session [default=1] pam_x.so\n" + ours, []string{"session-step-skipped"}},
		{"jumped to", systemd + "session [default=1] pam_x.so\nsession optional pam_y.so\n" + ours, nil},
		{"jumped over with a substack", systemd + "session [default=2] pam_x.so\nsession substack common-session\n" + ours, []string{"session-step-skipped"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var ids []string
			for _, f := range parse(t, tt.text).Judge(step) {
				ids = append(ids, f.ID)
				if (f.Line == "") != (f.ID == "session-step-missing" || tt.name == "twice") || f.Says == "" {
					t.Errorf("%+v", f)
				}
			}
			want := slices.Clone(tt.ids)
			slices.Sort(ids)
			slices.Sort(want)
			if !slices.Equal(ids, want) {
				t.Errorf("%q, want %q", ids, want)
			}
		})
	}
}

// What the file was edited to since goes as well: without the program it would refuse everybody.
func TestRemoveTakesEditedLines(t *testing.T) {
	t.Parallel()
	edited := "# mine\n" + systemd + pamconf.Comment + "\nsession optional pam_exec.so /usr/bin/sally-host session\n" + userEnv + "session required \\\n pam_exec.so /opt/sally-host session\n" +
		"session required pam_exec.so /usr/bin/logger session\n"
	text, removed := parse(t, edited).Remove(step, "\n"+ours)
	if want := "# mine\n" + systemd + userEnv + "session required pam_exec.so /usr/bin/logger session\n"; text != want || removed != 2 {
		t.Errorf("%d removed, it is\n%s\nwant\n%s", removed, text, want)
	}
	if text, removed := parse(t, systemd).Remove(step, ""); text != systemd || removed != 0 {
		t.Errorf("%d removed, it is %q", removed, text)
	}
}

// What can't be read as libpam does is no clean file.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a circle": "session include circle\n", "an include that is not there": "@include nowhere\n",
		"too large": strings.Repeat("#", pamconf.MaxFile+1), "too many lines": strings.Repeat(systemd, 5000),
	} {
		if _, err := pamconf.Parse("/etc/pam.d/sshd", files(with(text))); !errors.Is(err, pamconf.ErrUnread) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := pamconf.Parse("/etc/pam.d/other", files(nil)); !errors.Is(err, pamconf.ErrUnread) || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestDebian: the file as the distribution has it.
func TestDebian(t *testing.T) {
	t.Parallel()
	name := filepath.Join("testdata", "debian12", "sshd")
	f, err := pamconf.Parse(name, os.ReadFile)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := f.Insert(step)
	if want := "@include common-session\n" + pamconf.Comment + "\n" + ours; err != nil || !strings.Contains(text, want) {
		t.Errorf("%v\n%s", err, text)
	}
}

// FuzzParse: whatever stands in a file, what is put in comes out again, and the rest stays.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "@include common-session\n" + userEnv, "session [a=b c=1] x y\\", systemd + ours, "session required [pam x\\] y] z", "\\\n\\\n#\n", "session include circle", ours + "\n" + pamconf.Comment,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		file, err := pamconf.Parse("/etc/pam.d/sshd", files(with(text)))
		if err != nil {
			return
		}
		after, inserted, err := file.Insert(step)
		if err != nil {
			return
		}
		again, err := pamconf.Parse("/etc/pam.d/sshd", files(with(after)))
		if err != nil {
			t.Fatal(fmt.Errorf("what was written can't be read: %w", err))
		}
		if found := again.Judge(step); len(found) > 0 {
			t.Fatalf("what was written is judged %+v: %q", found, after)
		}
		if back, _ := again.Remove(step, inserted); inserted != "" && back != text {
			t.Fatalf("it was %q and is %q", text, back)
		}
	})
}
