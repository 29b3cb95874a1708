package host_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/pamconf"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/internal/lab"
)

// pam is sshd's file of PAM.
func (j *joining) pam(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(j.options.Machine.PAM)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// line is ours in it.
func (j *joining) line() string {
	m := j.options.Machine
	return "session required pam_exec.so quiet " + m.Program + " session --dir " + m.Dir + " --state " + m.State + "\n"
}

// finds are the ids of what doctor finds, of these.
func (j *joining) finds(t *testing.T, of ...string) []string {
	t.Helper()
	h, err := host.Examine(t.Context(), j.options.Machine)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, f := range h.Findings {
		if slices.Contains(of, f.ID) {
			ids = append(ids, f.ID)
			if f.Mend == "" || f.Says == "" || f.Severity == sshdconf.Note {
				t.Errorf("%+v", f)
			}
		}
	}
	return ids
}

var sessionFindings = []string{"session-step-missing", "session-step-misplaced", "session-step-optional", "session-step-edited", "session-step-skipped", "pam-unread", "pam-open", "cis-5.1.22"}

// Setup puts the line for PAM where it belongs, and leave takes it out of what others have edited since.
func TestPromiseP09_SetupPutsTheLineIn(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	if want := "@include common-session\n" + pamconf.Comment + "\n" + j.line() + "session required pam_env.so user_readenv=1\n"; j.pam(t) != want {
		t.Errorf("it is\n%s\nwant\n%s", j.pam(t), want)
	}
	if ids := j.finds(t, sessionFindings...); len(ids) > 0 {
		t.Errorf("doctor finds %q", ids)
	}
	if s := j.state(t)["sshd -T"]; !strings.Contains(s, "\nusepam yes\n") {
		t.Error("sshd does not use PAM")
	}
	if !strings.Contains(j.out.String(), "systemd does not run here") {
		t.Errorf("it says\n%s", j.out.String())
	}

	j.write(t, "etc/pam.d/sshd", "# mine\n"+j.pam(t)+"session optional pam_motd.so\n")
	if err := j.leave(t); err != nil {
		t.Fatal(err)
	}
	if want := "# mine\n@include common-session\nsession required pam_env.so user_readenv=1\nsession optional pam_motd.so\n"; j.pam(t) != want {
		t.Errorf("it is\n%s\nwant\n%s", j.pam(t), want)
	}
}

// Where the line was moved or edited since, doctor says so, setup puts it right, and leave restores the file as it was.
func TestPromiseP09_SetupRepairsTheLine(t *testing.T) {
	t.Parallel()
	const before = "@include common-session\nsession required pam_env.so user_readenv=1\n"
	for _, tt := range []struct {
		name string
		edit func(text, line string) string
		id   string
	}{
		{"removed", func(text, line string) string { return strings.Replace(text, line, "", 1) }, "session-step-missing"},
		{"optional", func(text, line string) string {
			return strings.Replace(text, line, strings.Replace(line, "required", "optional", 1), 1)
		}, "session-step-optional"},
		{"in front", func(text, line string) string { return line + strings.Replace(text, line, "", 1) }, "session-step-misplaced"},
		{"behind", func(text, line string) string { return strings.Replace(text, line, "", 1) + line }, "session-step-misplaced"},
		{"another folder", func(text, line string) string { return strings.Replace(text, "--dir ", "--dir /tmp", 1) }, "session-step-edited"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := newJoining(t)
			if err := host.Setup(t.Context(), j.options); err != nil {
				t.Fatal(err)
			}
			good := j.pam(t)
			j.write(t, "etc/pam.d/sshd", tt.edit(good, j.line()))
			if ids := j.finds(t, sessionFindings...); !slices.Equal(ids, []string{tt.id}) {
				t.Errorf("doctor finds %q, want %s", ids, tt.id)
			}
			broken := j.state(t)
			j.options.Reload.Command = "false"
			if err := host.Setup(t.Context(), j.options); err == nil {
				t.Error("sshd could not be told, and setup succeeds")
			}
			same(t, broken, j.state(t))
			j.options.Reload.Command = "true"
			if err := host.Setup(t.Context(), j.options); err != nil {
				t.Fatal(err)
			}
			if j.pam(t) != good {
				t.Errorf("it is\n%s\nwant\n%s", j.pam(t), good)
			}
			if err := j.leave(t); err != nil {
				t.Fatal(err)
			}
			if j.pam(t) != before {
				t.Errorf("after it has left it is\n%s", j.pam(t))
			}
		})
	}
}

// A line that the administrator has put there by hand stays, also when the host leaves; one without effect is not
// built upon.
func TestPromiseP09_TheAdministratorsOwnLine(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	own := "@include common-session\n" + j.line()
	j.write(t, "etc/pam.d/sshd", own)
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	if err := j.leave(t); err != nil {
		t.Fatal(err)
	}
	if j.pam(t) != own {
		t.Errorf("it is\n%s\nwant\n%s", j.pam(t), own)
	}
	if !strings.Contains(j.out.String(), "has the line for sessions already") {
		t.Errorf("it says\n%s", j.out.String())
	}
}

// Where no line can be put in, nothing is done, and the sentence says what to do.
func TestPromiseP09_SetupWithoutAPlaceForTheLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, says string }{
		{"users' variables in front", "session required pam_env.so user_readenv=1\n@include common-session\n", "move the latter below the former"},
		{"nothing for sessions", "auth required pam_deny.so\n", "has no line for sessions"},
		{"an include that is not there", "@include nowhere\n", "which is not there"},
		{"no file", "", "--pam-file none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := newJoining(t)
			j.write(t, "etc/pam.d/sshd", tt.text)
			if tt.text == "" {
				if err := os.Remove(j.options.Machine.PAM); err != nil {
					t.Fatal(err)
				}
			}
			before := j.state(t)
			if err := host.Setup(t.Context(), j.options); err == nil || !strings.Contains(err.Error(), tt.says) || !strings.HasSuffix(err.Error(), "everything is as before") {
				t.Errorf("setup: %v, want %q", err, tt.says)
			}
			same(t, before, j.state(t))
			j.options.Sessions = false // then it is the administrator's
			if err := host.Setup(t.Context(), j.options); err != nil {
				t.Error(err)
			}
		})
	}
}

// UsePAM no is part of what setup shuts, and doctor names it where somebody has put it in front since.
func TestPromiseP09_WithoutPAMNoSessionEnds(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	j.write(t, "etc/ssh/sshd_config.d/50-own.conf", "UsePAM no\n")
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	if s := j.state(t)["sshd -T"]; !strings.Contains(s, "\nusepam yes\n") {
		t.Error("sshd does not use PAM")
	}
	j.write(t, "etc/ssh/sshd_config.d/00-a.conf", "UsePAM no\n")
	if ids := j.finds(t, sessionFindings...); !slices.Equal(ids, []string{"cis-5.1.22"}) {
		t.Errorf("doctor finds %q", ids)
	}
	if err := host.Setup(t.Context(), j.options); err == nil || !strings.Contains(err.Error(), "UsePAM is no, not yes") {
		t.Errorf("setup: %v", err)
	}
}

// Others who can write to sshd's file of PAM run what they like as root.
func TestPromiseP08_DoctorLooksAtPAM(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(j.options.Machine.PAM, 0o666); err != nil {
		t.Fatal(err)
	}
	if ids := j.finds(t, sessionFindings...); !slices.Equal(ids, []string{"pam-open"}) {
		t.Errorf("doctor finds %q", ids)
	}
	j.write(t, "etc/pam.d/sshd", "@include nowhere\n")
	if err := os.Chmod(j.options.Machine.PAM, 0o600); err != nil {
		t.Fatal(err)
	}
	if ids := j.finds(t, sessionFindings...); !slices.Equal(ids, []string{"pam-unread"}) {
		t.Errorf("doctor finds %q", ids)
	}
}

// An agent that does not run, or can't tell what it knows, is named.
func TestPromiseP09_DoctorLooksForTheAgent(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	agent := []string{"agent-not-running", "untold"}
	if ids := j.finds(t, agent...); !slices.Equal(ids, agent[:1]) {
		t.Errorf("before it ever ran doctor finds %q", ids)
	}
	running, err := lab.Start(t.Context(), j.dir.Path("agent.log"), lab.Command{Path: "flock", Args: []string{
		"--no-fork", j.dir.Path("var", "sally-host", host.AgentLock), "sh", "-c", "echo locked; exec sleep 3600",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := running.WaitLog(t.Context(), "locked"); err != nil {
		t.Fatal(err)
	}
	if ids := j.finds(t, agent...); len(ids) > 0 {
		t.Errorf("while it runs doctor finds %q", ids)
	}
	if _, err := j.dir.Mkdir(0o700, "var", "sally-host", host.EventsFolder); err != nil {
		t.Fatal(err)
	}
	waiting, err := j.dir.Write(0o600, "{}", "var", "sally-host", host.EventsFolder, "0000000000000001.json")
	if err != nil {
		t.Fatal(err)
	}
	if ids := j.finds(t, agent...); len(ids) > 0 {
		t.Errorf("with something new to tell doctor finds %q", ids)
	}
	if err := os.Chtimes(waiting, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if ids := j.finds(t, agent...); !slices.Equal(ids, agent[1:]) {
		t.Errorf("with something untold doctor finds %q", ids)
	}
	if err := running.Stop(); err != nil {
		t.Fatal(err)
	}
	if ids := j.finds(t, agent...); !slices.Equal(ids, agent) {
		t.Errorf("when it has ended doctor finds %q", ids)
	}
}
