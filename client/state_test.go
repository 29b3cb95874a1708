package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
)

func TestStateIsForTheOwnerAlone(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	dir := originDir(w.root, testOrigin)
	if filepath.Base(dir) != "ledger.test+prod" {
		t.Errorf("the authority's folder is %s", dir)
	}
	for path, want := range map[string]fs.FileMode{
		w.root: 0o700 | fs.ModeDir, dir: 0o700 | fs.ModeDir,
		filepath.Join(w.root, profileFile): 0o600, filepath.Join(dir, sessionFile): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %s, want %s", path, info.Mode(), want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files stay: %v %v", left, err)
	}
}

func TestStateThatOthersCouldReadIsRefused(t *testing.T) {
	t.Parallel()
	session := func(w *world) string { return filepath.Join(originDir(w.root, testOrigin), sessionFile) }
	tests := []struct {
		name  string
		spoil func(*world) error
		want  string // the refusal wraps ErrUnsafe, unless it is the system's
	}{
		{"session readable by the group", func(w *world) error { return os.Chmod(session(w), 0o640) }, "chmod 600"},
		{"session readable by all", func(w *world) error { return os.Chmod(session(w), 0o604) }, "chmod 600"},
		{"profile writable by the group", func(w *world) error { return os.Chmod(filepath.Join(w.root, profileFile), 0o620) }, "mode 0620"},
		{"root folder open", func(w *world) error { return os.Chmod(w.root, 0o755) }, "chmod 700"},
		{"authority's folder open", func(w *world) error { return os.Chmod(originDir(w.root, testOrigin), 0o710) }, "chmod 700"},
		{"session is a link", func(w *world) error {
			other := filepath.Join(w.root, "elsewhere")
			return errors.Join(os.Rename(session(w), other), os.Symlink(other, session(w)))
		}, "too many levels of symbolic links"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			if err := tt.spoil(w); err != nil {
				t.Fatal(err)
			}
			err := Whoami(t.Context(), WhoamiOptions{Env: w.Env})
			wantExit(t, err, ExitFailed, tt.want)
			if !errors.Is(err, ErrUnsafe) && !errors.Is(err, syscall.ELOOP) {
				t.Errorf("%v does not wrap ErrUnsafe", err)
			}
			if n := f.called(""); n != 0 {
				t.Errorf("the server was called %d times", n)
			}
		})
	}
}

func TestSessionThatDoesNotFitIsNone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*session)
		want   string
	}{
		{"over", func(s *session) { s.ExpiresAt = canon.At(time.Now().Add(-time.Second)) }, "the session ended at"},
		{"of another server", func(s *session) { s.Server = "https://other.example" }, "the kept session is for https://other.example"},
		{"of another origin", func(s *session) { s.Origin = "other.example" }, "log in first"},
		{"without bearer", func(s *session) { s.Bearer = "" }, "damaged"},
		{"with a damaged key", func(s *session) { s.DeviceKey = "-----BEGIN" }, "device key cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			a := w.account(t)
			tt.change(&a.session)
			if err := saveLogin(w.root, a.at, a.session); err != nil {
				t.Fatal(err)
			}
			err := Whoami(t.Context(), WhoamiOptions{Env: w.Env})
			wantExit(t, err, ExitLogin, tt.want, "sally login")
			if n := f.called(""); n != 0 {
				t.Errorf("the server was called %d times", n)
			}
		})
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	s := session{Server: "https://ca.example", Who: "Alice", Bearer: "the-bearer", DeviceKey: "the-key"}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", s), s.LogValue().String()} {
		if strings.Contains(text, "the-bearer") || strings.Contains(text, "the-key") || !strings.Contains(text, "Alice") {
			t.Errorf("prints as %q", text)
		}
	}
}

func TestStateRoot(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  map[string]string
		want string // empty: refused
	}{
		{"home", map[string]string{"HOME": "/home/a"}, "/home/a/.local/state/sallyport"},
		{"xdg", map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "/var/s"}, "/var/s/sallyport"},
		{"a relative xdg is ignored", map[string]string{"HOME": "/home/a", "XDG_STATE_HOME": "s"}, "/home/a/.local/state/sallyport"},
		{"own", map[string]string{"HOME": "/home/a", "SALLY_STATE": "/x/y z"}, "/x/y z"},
		{"no home", map[string]string{}, ""},
		{"a path that ssh would expand", map[string]string{"SALLY_STATE": "/x/${HOME}"}, ""},
		{"a path that would end the quotes", map[string]string{"SALLY_STATE": `/x/"y`}, ""},
		{"a path with a line break", map[string]string{"SALLY_STATE": "/x/\ny"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := stateRoot(func(name string) string { return tt.env[name] })
			if tt.want == "" {
				wantExit(t, err, ExitUsage, "state folder")
			} else if err != nil || got != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestParseServer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, want string // want empty: refused
	}{
		{"https://ca.example", "https://ca.example"},
		{"https://ca.example:8443/", "https://ca.example:8443"},
		{"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"http://localhost:8080", "http://localhost:8080"},
		{"http://[::1]:8080", "http://[::1]:8080"},
		{"http://ca.example", ""},
		{"http://127.0.0.1.ca.example", ""},
		{"http://10.0.0.1", ""},
		{"https://user:pw@ca.example", ""},
		{"https://ca.example/path", ""},
		{"https://ca.example?x=1", ""},
		{"https://ca.example#x", ""},
		{"ftp://ca.example", ""},
		{"ca.example", ""},
		{"https://", ""},
		{"", ""},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			t.Parallel()
			got, err := parseServer(tt.in)
			if tt.want == "" {
				wantExit(t, err, ExitUsage, "--server")
			} else if err != nil || got.String() != tt.want {
				t.Errorf("got %v, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestEnvironmentChoosesTheAuthority(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	_, err := chooseAuthority(w.Env, w.root, "", "")
	wantExit(t, err, ExitLogin, "sally login --server URL --pin FILE")
	if !errors.Is(err, ErrNotLoggedIn) {
		t.Errorf("%v does not wrap ErrNotLoggedIn", err)
	}
	w.logIn(t, f)
	other := newFake(t)
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(other.pin.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	w.vars["SALLY_SERVER"], w.vars["SALLY_PIN"] = other.url, path
	at, err := chooseAuthority(w.Env, w.root, "", "")
	if err != nil || at.server.String() != other.url || at.pin.String() != other.pin.String() || at.issuer != "" {
		t.Errorf("the environment gives %+v, %v", at, err)
	}
	at, err = chooseAuthority(w.Env, w.root, f.url, "")
	if err != nil || at.server.String() != f.url {
		t.Errorf("a flag does not beat the environment: %+v, %v", at, err)
	}
}

func TestLockGivesOneTurnAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	var inside, most, told atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			unlock, err := lock(t.Context(), path, func() { told.Add(1) })
			if err != nil {
				t.Error(err)
				return
			}
			if n := inside.Add(1); n > 1 {
				most.Store(n)
			}
			time.Sleep(5 * time.Millisecond) // so that the others find it taken
			inside.Add(-1)
			unlock()
		})
	}
	group.Wait()
	if most.Load() > 1 || told.Load() == 0 {
		t.Errorf("%d at once, %d waited", most.Load(), told.Load())
	}
	unlock, err := lock(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := lock(t.Context(), path, nil); !errors.Is(err, errLocked) {
		t.Errorf("a second lock without waiting: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := lock(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that is given up: %v", err)
	}
}

func TestParsePin(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	good := f.pin.String()
	p, err := ParsePin([]byte(good))
	if err != nil || p.String() != good || p.Origin != testOrigin {
		t.Fatalf("got %v, %v", p, err)
	}
	lines := strings.SplitAfter(good, "\n")
	tests := []struct{ name, text string }{
		{"empty", ""},
		{"no newline at the end", strings.TrimSuffix(good, "\n")},
		{"another version", strings.Replace(good, "v1", "v2", 1)},
		{"a line more", good + "log x\n"},
		{"lines in another order", lines[0] + lines[2] + lines[1] + lines[3]},
		{"carriage returns", strings.ReplaceAll(good, "\n", "\r\n")},
		{"another log's key", strings.Replace(good, "origin "+testOrigin, "origin other.test", 1)},
		{"a comment behind the CA", strings.TrimSuffix(good, "\n") + " ca@example\n"},
		{"a certificate as the CA", lines[0] + lines[1] + lines[2] + "ca " + keyLine(f.bareCertificate()) + "\n"},
		{"too long", good + strings.Repeat("x", maxPin)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParsePin([]byte(tt.text)); !errors.Is(err, ErrPin) {
				t.Errorf("got %v, want ErrPin", err)
			}
		})
	}
	if _, err := ReadPin(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a pin file that is not there: %v", err)
	}
}
