package host_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger/trust"
)

// joining is a host that is to be set up: all its files below one folder, and a real sshd that is asked and does not run.
type joining struct {
	dir     *lab.Dir
	world   *hosttest.World
	options host.SetupOptions
	out     bytes.Buffer
}

func newJoining(t *testing.T) *joining {
	t.Helper()
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Remove(); err != nil {
			t.Error(err)
		}
	})
	if err := lab.KeyPair(t.Context(), dir.Path("host_key"), "host"); err != nil {
		t.Fatal(err)
	}
	j := &joining{dir: dir, world: world(t)}
	uid, gid := 61000, 61000 // whom nobody is
	if me := os.Geteuid(); me != 0 {
		uid, gid = me, os.Getegid()
	}
	j.write(t, "etc/ssh/sshd_config", fmt.Sprintf("Include %s/etc/ssh/sshd_config.d/*.conf\nHostKey %s\nPort 22\nListenAddress 127.0.0.1:1\nUsePAM yes\n", dir.Path(), dir.Path("host_key")))
	j.write(t, "etc/ssh/sshd_config.d/50-own.conf", "X11Forwarding no\n")
	j.write(t, "passwd", fmt.Sprintf("sally-verify:x:%d:%d::/nonexistent:/usr/sbin/nologin\nops:x:62000:62000::%s:/bin/sh\n", uid, gid, dir.Path("home")))
	j.write(t, "nsswitch.conf", "passwd: files\n")
	j.write(t, "etc/pam.d/sshd", "@include common-session\nsession required pam_env.so user_readenv=1\n")
	j.write(t, "etc/pam.d/common-session", "session optional pam_systemd.so\n")
	for _, folder := range []string{"var", "spool"} {
		if _, err := dir.Mkdir(0o755, folder); err != nil {
			t.Fatal(err)
		}
	}
	program, err := lab.FindProgram("true")
	if err != nil {
		t.Fatal(err)
	}
	bundle := j.world.Bundle()
	file := j.world.BundleFile(bundle)
	signed, err := trust.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	j.options = host.SetupOptions{
		Machine: host.Machine{
			Dir: dir.Path("etc", "ssh", "sallyport"), State: dir.Path("var", "sally-host"), Spool: dir.Path("spool", "sally-host"),
			Main: dir.Path("etc", "ssh", "sshd_config"), Program: program, Passwd: dir.Path("passwd"), Nsswitch: dir.Path("nsswitch.conf"), Owner: os.Geteuid(),
			PAM: dir.Path("etc", "pam.d", "sshd"), Unit: dir.Path("etc", "sally-host.service"), Systemd: dir.Path("no-systemd"),
		},
		Sessions: true, Agent: true,
		Reload: host.Reload{Command: "true"}, Config: j.world.Config(), Bundle: file, Digest: signed.Digest(), BreakGlass: true, Out: &j.out,
		Now: func() time.Time { return now },
	}
	return j
}

func (j *joining) write(t *testing.T, name, text string) {
	t.Helper()
	parts := strings.Split(name, "/")
	if len(parts) > 1 {
		if _, err := j.dir.Mkdir(0o755, parts[:len(parts)-1]...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.dir.Write(0o600, text, parts...); err != nil {
		t.Fatal(err)
	}
}

// state is all that there is below the folder, and what sshd makes of it.
func (j *joining) state(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(j.dir.Path(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		about := info.Mode().String()
		if info.Mode().IsRegular() {
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			about += fmt.Sprintf(" %x", sha256.Sum256(text))
		}
		all[path] = about
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sshd, err := lab.FindProgram("sshd")
	if err != nil {
		t.Fatal(err)
	}
	r, err := lab.Run(t.Context(), lab.Command{Path: sshd, Args: []string{"-T", "-f", j.options.Machine.Main}})
	if err != nil || r.Code != 0 {
		t.Fatal(err, r.Output)
	}
	all["sshd -T"] = r.Stdout
	return all
}

// same demands that nothing is otherwise than before.
func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if before[path] != after[path] {
			t.Errorf("%s was %q and is %q", path, before[path], after[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[path]; !ok {
			t.Errorf("%s is gone", path)
		}
	}
}

func (j *joining) leave(t *testing.T) error {
	t.Helper()
	return host.Leave(t.Context(), host.LeaveOptions{Machine: j.options.Machine, Reload: j.options.Reload, Out: &j.out})
}

// steps are the names of the steps of a setup of this host.
func (j *joining) steps(t *testing.T) []string {
	t.Helper()
	var names []string
	err := host.Setup(t.Context(), j.options.WithHook(func(step, when string) error {
		if when == "before" {
			names = append(names, step)
		}
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestPromiseP08_SetupPutsTheVerifierInForce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, j *joining)
		mode   host.Mode
	}{
		{"require", func(*testing.T, *joining) {}, host.Require},
		{"observe", func(*testing.T, *joining) {}, host.Observe},
		{"no way of the owner's own", func(_ *testing.T, j *joining) { j.options.BreakGlass = false }, host.Require},
		{"no Include", func(t *testing.T, j *joining) {
			t.Helper()
			j.write(t, "etc/ssh/sshd_config", fmt.Sprintf("HostKey %s\nListenAddress 127.0.0.1:1\nPasswordAuthentication yes\nMatch User x\nBanner none\n", j.dir.Path("host_key")))
		}, host.Require},
		{"no folder to include", func(t *testing.T, j *joining) {
			t.Helper()
			if err := os.RemoveAll(j.dir.Path("etc", "ssh", "sshd_config.d")); err != nil {
				t.Fatal(err)
			}
		}, host.Require},
		{"a host certificate", func(t *testing.T, j *joining) {
			t.Helper()
			ca := j.dir.Path("ca")
			if err := lab.KeyPair(t.Context(), ca, "ca"); err != nil {
				t.Fatal(err)
			}
			r, err := lab.Run(t.Context(), lab.Command{Path: "ssh-keygen", Args: []string{"-q", "-h", "-s", ca, "-I", "x", "-n", "web-1.demo", j.dir.Path("host_key.pub")}})
			if err != nil || r.Code != 0 {
				t.Fatal(err, r.Output)
			}
			j.options.HostCertificate = j.dir.Path("host_key-cert.pub")
		}, host.Require},
		{"another CA is replaced", func(t *testing.T, j *joining) {
			t.Helper()
			j.write(t, "etc/ssh/sshd_config.d/50-own.conf", "TrustedUserCAKeys "+j.dir.Path("host_key.pub")+"\n")
			j.options.TakeOver = true
		}, host.Require},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := newJoining(t)
			tt.change(t, j)
			j.options.Config.Mode = tt.mode
			before := j.state(t)
			if err := host.Setup(t.Context(), j.options); err != nil {
				t.Fatal(err)
			}
			if _, err := host.Load(host.Folder{Path: j.options.Machine.Dir, Owner: os.Geteuid()}); err != nil {
				t.Errorf("the verifier can't read its files: %v", err)
			}
			h, err := host.Examine(t.Context(), j.options.Machine)
			if err != nil {
				t.Fatal(err)
			}
			ways := slices.DeleteFunc(h.Findings, func(f sshdconf.Finding) bool { return f.Severity != sshdconf.Bypass })
			if h.Mode != tt.mode || h.Name != "web-1.demo" || tt.mode == host.Require && len(ways) > 0 {
				t.Errorf("it is %s in mode %s, with %+v", h.Name, h.Mode, ways)
			}
			for _, f := range ways { // in mode observe others may get in, but each certificate is looked at
				if !slices.Contains([]string{"password", "keys-file", "keyboard-interactive"}, f.ID) {
					t.Errorf("%+v", f)
				}
			}

			done := j.state(t)
			j.out.Reset()
			if err := host.Setup(t.Context(), j.options); err != nil {
				t.Errorf("once more: %v", err)
			}
			same(t, done, j.state(t))
			if strings.Contains(j.out.String(), "wrote") || strings.Contains(j.out.String(), "made") || strings.Contains(j.out.String(), "put ") {
				t.Errorf("once more it says\n%s", j.out.String())
			}

			if err := j.leave(t); err != nil {
				t.Error(err)
			}
			same(t, before, j.state(t))
			if err := j.leave(t); !errors.Is(err, host.ErrNotSetUp) {
				t.Errorf("leaving once more: %v", err)
			}
		})
	}
}

// Whatever step fails, before or after it has done its work, the host is as before, and what was put back is said.
func TestPromiseP08_SetupThatFailsLeavesTheHostAsItWas(t *testing.T) {
	t.Parallel()
	planted := errors.New("planted")
	for _, include := range []bool{true, false} {
		prepare := func(t *testing.T) *joining {
			t.Helper()
			j := newJoining(t)
			if !include {
				j.write(t, "etc/ssh/sshd_config", fmt.Sprintf("HostKey %s\nListenAddress 127.0.0.1:1\n", j.dir.Path("host_key")))
			}
			return j
		}
		model := prepare(t)
		steps := model.steps(t)
		if len(steps) < 12 {
			t.Fatalf("only %d steps: %q", len(steps), steps)
		}
		root := model.dir.Path()
		for _, step := range steps {
			for _, when := range []string{"before", "after"} {
				t.Run(fmt.Sprintf("%t %s %s", include, when, strings.ReplaceAll(step, root, "")), func(t *testing.T) {
					t.Parallel()
					j := prepare(t)
					mine := strings.ReplaceAll(step, root, j.dir.Path())
					before := j.state(t)
					err := host.Setup(t.Context(), j.options.WithHook(func(step, at string) error {
						if step == mine && at == when {
							return planted
						}
						return nil
					}))
					if !errors.Is(err, planted) || !strings.HasSuffix(err.Error(), "everything is as before") {
						t.Errorf("setup: %v", err)
					}
					same(t, before, j.state(t))
					if made, back := strings.Count(j.out.String(), "\nmade "), strings.Count(j.out.String(), "put back: "); made > back {
						t.Errorf("%d were made and %d put back:\n%s", made, back, j.out.String())
					}
				})
			}
		}
	}
}

// A repair that fails leaves the host as it found it, not as it was before the first setup.
func TestPromiseP08_RepairThatFailsLeavesTheHostAsItWas(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	original := j.state(t)
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	j.write(t, "etc/ssh/sallyport/user-ca.pub", "# nothing\n")
	j.write(t, "etc/ssh/sallyport/krl", "garbage")
	if err := os.Remove(j.dir.Path("etc", "ssh", "sshd_config.d", sshdconf.FragmentName)); err != nil {
		t.Fatal(err)
	}
	broken := j.state(t)
	j.options.Reload.Command = "false"
	if err := host.Setup(t.Context(), j.options); err == nil {
		t.Error("sshd could not be told, and setup succeeds")
	}
	same(t, broken, j.state(t))
	j.options.Reload.Command = "true"
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Error(err)
	}
	h, err := host.Examine(t.Context(), j.options.Machine)
	if err != nil || sshdconf.Worst(h.Findings) == sshdconf.Bypass {
		t.Errorf("%v %+v", err, h.Findings)
	}
	if err := j.leave(t); err != nil {
		t.Error(err)
	}
	same(t, original, j.state(t))
}

// The list of revoked keys is there before sshd is told of it, and as long as it may know of it: without the file nobody
// gets in.
func TestPromiseP08_RevokedKeysAreThereBeforeTheyAreNamed(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	list := filepath.Join(j.options.Machine.Dir, host.KRLFile)
	fragment := j.dir.Path("etc", "ssh", "sshd_config.d", sshdconf.FragmentName)
	check := func() {
		_, fragmentErr := os.Stat(fragment)
		text, err := os.ReadFile(list)
		if err == nil {
			_, err = krl.Parse(text)
		}
		if fragmentErr == nil && err != nil {
			t.Errorf("sshd is told of a list that is not there: %v", err)
		}
	}
	// sshd reads its configuration whenever it is told, so the list has to be there then, on the way back as well.
	script := j.dir.Path("reload")
	if _, err := j.dir.Write(0o700, fmt.Sprintf("#!/bin/sh\necho told >>%s\ntest -s %s\n", j.dir.Path("told"), list), "reload"); err != nil {
		t.Fatal(err)
	}
	j.options.Reload.Command = script
	options := j.options.WithHook(func(step, when string) error {
		check()
		if step == "reload" && when == "after" {
			return errors.New("planted")
		}
		return nil
	})
	if err := host.Setup(t.Context(), options); err == nil || !strings.HasSuffix(err.Error(), "everything is as before") {
		t.Errorf("setup: %v", err)
	}
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Error(err)
	}
	if err := j.leave(t); err != nil {
		t.Error(err)
	}
	told, err := os.ReadFile(j.dir.Path("told"))
	if err != nil || strings.Count(string(told), "told") != 4 { // there, back, there, left
		t.Errorf("sshd was told %q, %v", told, err)
	}
}

// Setup that was killed has changed something, and written that down before: leave undoes it, and setup goes on.
func TestPromiseP08_KilledSetupIsUndoneByLeave(t *testing.T) {
	t.Parallel()
	steps := newJoining(t).steps(t)
	for i := range steps {
		for _, then := range []string{"leave", "setup and leave"} {
			t.Run(fmt.Sprintf("%d %s", i, then), func(t *testing.T) {
				t.Parallel()
				j := newJoining(t)
				before := j.state(t)
				killed(t, j, i)
				if then != "leave" {
					if err := host.Setup(t.Context(), j.options); err != nil {
						t.Error(err)
					}
				}
				if err := j.leave(t); err != nil && !(i == 0 && errors.Is(err, host.ErrNotSetUp)) {
					t.Error(err)
				}
				after := j.state(t)
				if i == 0 { // the folder of the journal was made and nothing written down
					delete(after, j.options.Machine.State)
				}
				same(t, before, after)
			})
		}
	}
}

// killed runs setup until step i is done, and no further: as if the power went.
func killed(t *testing.T, j *joining, i int) {
	t.Helper()
	type power struct{}
	defer func() {
		if gone := recover(); gone != (power{}) {
			t.Errorf("setup ended otherwise: %v", gone)
		}
	}()
	n := -1
	err := host.Setup(t.Context(), j.options.WithHook(func(_, when string) error {
		if when == "before" {
			n++
		} else if n == i {
			panic(power{})
		}
		return nil
	}))
	t.Errorf("setup ended: %v", err)
}
