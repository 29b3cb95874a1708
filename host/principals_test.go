package host_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/internal/lab/payloads"
	"github.com/sallyport/sallyport/ledger/trust"
)

func TestPromiseP08_TheCommandPrintsThePrincipalAndNothingElse(t *testing.T) {
	t.Parallel()
	w := world(t)
	a := ask(t, folder(t, w))
	a.principals(b64(w.Issue(template(t, w))), "ops")
	if a.out.String() != "ops@web-1.demo\n" || a.log.Len() > 0 {
		t.Errorf("%q, log %q", a.out.String(), a.log.String())
	}
}

// TestPromiseP08_TheCommandRefusesInSilence: nothing on standard output, one line in
// the log, with the reason.
func TestPromiseP08_TheCommandRefusesInSilence(t *testing.T) {
	t.Parallel()
	w := world(t)
	f := folder(t, w)
	good := b64(w.Issue(template(t, w)))
	for _, tt := range []struct{ name, certificate, user, want string }{
		{"another login", good, "root", `refused reason=scope user=root serial=6 key_id="p=`},
		{"nothing", "", "ops", "refused reason=malformed user=ops detail="},
		{"no base64", "not base64!", "ops", "refused reason=malformed user=ops detail="},
		{"base64 with bits behind it", good[:len(good)-2] + "B=", "ops", "refused reason=malformed"},
		{"a megabyte", strings.Repeat("A", 1<<20), "ops", "refused reason=size user=ops"},
		{"as %k where there is no certificate", base64.StdEncoding.EncodeToString(hosttest.Signer(t, "subject").PublicKey().Marshal()), "ops", "refused reason=malformed"},
	} {
		a := ask(t, f)
		a.principals(tt.certificate, tt.user)
		if a.out.Len() > 0 || strings.Count(a.log.String(), "\n") != 1 || !strings.Contains(a.log.String(), tt.want) {
			t.Errorf("%s: %q, log %q, want %q", tt.name, a.out.String(), a.log.String(), tt.want)
		}
	}
}

// TestPromiseP08_FilesThatOthersCouldHaveWritten: a file that is missing, that others
// can write to, or that is malformed refuses everybody.
func TestPromiseP08_FilesThatOthersCouldHaveWritten(t *testing.T) {
	t.Parallel()
	w := world(t)
	certificate := b64(w.Issue(template(t, w)))
	at := func(name string) func(f host.Folder) string {
		return func(f host.Folder) string { return filepath.Join(f.Path, name) }
	}
	config, bundle, krl := at(host.ConfigFile), at(host.BundleFile), at(host.SignedFile)
	write := func(path func(host.Folder) string, text string) func(t *testing.T, f host.Folder) error {
		return func(_ *testing.T, f host.Folder) error { return os.WriteFile(path(f), []byte(text), 0o600) }
	}
	mode := func(path func(host.Folder) string, m os.FileMode) func(t *testing.T, f host.Folder) error {
		return func(_ *testing.T, f host.Folder) error { return os.Chmod(path(f), m) }
	}
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, f host.Folder) error
		want   host.Reason
	}{
		{"no folder", func(_ *testing.T, f host.Folder) error { return os.RemoveAll(f.Path) }, host.Files},
		{"no host.json", func(_ *testing.T, f host.Folder) error { return os.Remove(config(f)) }, host.Files},
		{"no bundle.json", func(_ *testing.T, f host.Folder) error { return os.Remove(bundle(f)) }, host.Files},
		{"host.json for all to write", mode(config, 0o666), host.Files},
		{"host.json for the group to write", mode(config, 0o664), host.Files},
		{"bundle.json for all to write", mode(bundle, 0o646), host.Files},
		{"krl.json for all to write", mode(krl, 0o666), host.BadKRL},
		{"the folder for all to write", mode(at("."), 0o777), host.Files},
		{"the folder for all to write, with the sticky bit", mode(at("."), 0o777|os.ModeSticky), host.Files},
		{"the folder above for all to write", mode(at(".."), 0o777), host.Files},
		{"an empty host.json", write(config, ""), host.Policy},
		{"an empty bundle.json", write(bundle, ""), host.Bundle},
		{"an empty krl.json", write(krl, ""), host.BadKRL},
		{"half a host.json", write(config, `{"lineage":`), host.Policy},
		{"host.json as another program would write it", write(config, "{\n}\n"), host.Policy},
		{"a huge host.json", write(config, strings.Repeat(" ", 1<<20)), host.Files},
		{"a huge bundle.json", write(bundle, strings.Repeat(" ", trust.MaxEnvelope+1)), host.Files},
		{"a link", func(t *testing.T, f host.Folder) error {
			elsewhere := filepath.Join(t.TempDir(), "host.json")
			return errors.Join(os.Rename(config(f), elsewhere), os.Symlink(elsewhere, config(f)))
		}, host.Files},
		{"a pipe", func(_ *testing.T, f host.Folder) error {
			return errors.Join(os.Remove(config(f)), syscall.Mkfifo(config(f), 0o644))
		}, host.Files},
		{"a folder", func(_ *testing.T, f host.Folder) error {
			return errors.Join(os.Remove(config(f)), os.Mkdir(config(f), 0o755))
		}, host.Files},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := ask(t, folder(t, w))
			a.principals(certificate, "ops")
			if a.out.String() != "ops@web-1.demo\n" {
				t.Fatalf("before: %q, log %q", a.out.String(), a.log.String())
			}
			if err := tt.change(t, a.folder); err != nil {
				t.Fatal(err)
			}
			a.out.Reset()
			a.principals(certificate, "ops")
			if a.out.Len() > 0 || !strings.Contains(a.log.String(), "refused reason="+string(tt.want)+" ") || a.loud[0] != host.Failure {
				t.Errorf("%q, log %q, want %s", a.out.String(), a.log.String(), tt.want)
			}
		})
	}
}

func TestPromiseP08_FilesOfAnotherOwner(t *testing.T) {
	t.Parallel()
	w := world(t)
	f := folder(t, w)
	info, err := os.Stat(filepath.Join(f.Path, host.ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	mine, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner")
	}
	if mine.Uid == 0 { // root's files are everybody's to believe
		if err := os.Chown(filepath.Join(f.Path, host.BundleFile), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	} else {
		f.Owner = 0
	}
	a := ask(t, f)
	a.principals(b64(w.Issue(template(t, w))), "ops")
	if a.out.Len() > 0 || !strings.Contains(a.log.String(), "refused reason=files ") {
		t.Errorf("%q, log %q", a.out.String(), a.log.String())
	}
}

// TestPromiseP08_ObserveLetsInAsStockSSHD: a host that only looks refuses what stock
// sshd does, and says of the rest what it would refuse.
func TestPromiseP08_ObserveLetsInAsStockSSHD(t *testing.T) {
	t.Parallel()
	w := world(t)
	f := folder(t, w)
	c := w.Config()
	c.Mode = host.Observe
	w.Write(f.Path, c, w.Bundle())
	unlogged := template(t, w)
	other := template(t, w)
	other.ValidPrincipals = []string{"ops@web-2.demo"}
	over := template(t, w)
	over.ValidBefore = unix(now)
	for _, tt := range []struct {
		name      string
		cert      *ssh.Certificate
		out, says string
	}{
		{"a good one", w.Issue(template(t, w)), "ops@web-1.demo\n", ""},
		{"one that the ledger does not hold", w.Sign(unlogged, w.CA), "ops@web-1.demo\n", "would-refuse reason=no-proof user=ops serial=0 "},
		{"another host's", w.Issue(other), "", "refused reason=scope "},
		{"one that is over", w.Issue(over), "", "refused reason=expired "},
		{"one that the authority did not sign", w.Sign(template(t, w), hosttest.Signer(t, "thief")), "", "refused reason=signature "},
	} {
		a := ask(t, f)
		a.principals(b64(tt.cert), "ops")
		if a.out.String() != tt.out || !strings.Contains(a.log.String(), tt.says) || tt.says == "" && a.log.Len() > 0 {
			t.Errorf("%s: %q, log %q, want %q, %q", tt.name, a.out.String(), a.log.String(), tt.out, tt.says)
		}
	}
}

// TestPromiseP08_AForgeryRaisesAnAlarm: in the log and in the spool, once for each
// certificate, and with no effect on the verdict.
func TestPromiseP08_AForgeryRaisesAnAlarm(t *testing.T) {
	t.Parallel()
	w := world(t)
	f := folder(t, w)
	forged := w.Sign(template(t, w), w.CA)
	spool := t.TempDir()
	for range 2 { // as sshd does
		a := ask(t, f)
		a.spool = spool
		a.principals(b64(forged), "ops")
		if a.out.Len() > 0 || !strings.Contains(a.log.String(), "alarm event=ca-without-ledger user=ops serial=0 key_id=") || a.loud[0] != host.Alert {
			t.Errorf("%q, log %q", a.out.String(), a.log.String())
		}
	}
	files, err := host.Alarms(spool)
	if err != nil || len(files) != 1 {
		t.Fatalf("Alarms = %v, %v", files, err)
	}
	got, err := host.ReadAlarm(files[0])
	if err != nil || got.Certificate != canon.B64(forged.Marshal()) || got.Host != "web-1.demo" || got.At != canon.At(now) || !strings.Contains(got.Detail, "no ledger proof") {
		t.Errorf("ReadAlarm = %+v, %v", got, err)
	}
}

// TestPromiseP08_ASpoolThatIsFullChangesNothing: nor one that can't be written.
func TestPromiseP08_ASpoolThatIsFullChangesNothing(t *testing.T) {
	t.Parallel()
	w := world(t)
	f := folder(t, w)
	full := t.TempDir()
	for i := range 64 {
		if err := os.WriteFile(filepath.Join(full, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, spool := range map[string]string{"full": full, "no folder": file, "not there": filepath.Join(full, "nowhere")} {
		a := ask(t, f)
		a.spool = spool
		a.principals(b64(w.Sign(template(t, w), w.CA)), "ops")
		if a.out.Len() > 0 || !strings.Contains(a.log.String(), "alarm event=ca-without-ledger") || !strings.Contains(a.log.String(), ` spool="the alarm is not in the spool`) {
			t.Errorf("%s: %q, log %q", name, a.out.String(), a.log.String())
		}
	}
	if list, err := os.ReadDir(full); err != nil || len(list) != 64 {
		t.Errorf("%d files in the full spool, %v", len(list), err)
	}
}

func TestAlarmsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":        "",
		"another event":  `{"at":1,"certificate":"AAAA","detail":"x","event":"panic","host":"a","v":"sallyport.alarm/v1"}`,
		"no certificate": `{"at":1,"detail":"x","event":"ca-without-ledger","host":"a","v":"sallyport.alarm/v1"}`,
		"no time":        `{"certificate":"AAAA","detail":"x","event":"ca-without-ledger","host":"a","v":"sallyport.alarm/v1"}`,
		"a huge one":     `{"at":1,"certificate":"` + strings.Repeat("A", 200000) + `","detail":"x","event":"ca-without-ledger","host":"a","v":"sallyport.alarm/v1"}`,
	} {
		if a, err := host.ParseAlarm([]byte(text)); !errors.Is(err, host.ErrSpool) {
			t.Errorf("%s: ParseAlarm = %+v, %v", name, a, err)
		}
	}
	folder := t.TempDir()
	link, pipe, huge := filepath.Join(folder, "a.alarm"), filepath.Join(folder, "b.alarm"), filepath.Join(folder, "c.alarm")
	if err := errors.Join(os.Symlink("/etc/shadow", link), syscall.Mkfifo(pipe, 0o600), os.WriteFile(huge, make([]byte, 200000), 0o600)); err != nil {
		t.Fatal(err)
	}
	if list, err := host.Alarms(folder); err != nil || len(list) != 1 || list[0] != huge {
		t.Errorf("Alarms = %v, %v", list, err)
	}
	for path, want := range map[string]error{link: syscall.ELOOP, pipe: host.ErrUnsafe, huge: host.ErrTooLarge} {
		if a, err := host.ReadAlarm(path); !errors.Is(err, want) {
			t.Errorf("ReadAlarm(%s) = %+v, %v, want %v", path, a, err, want)
		}
	}
	if list, err := host.Alarms(filepath.Join(t.TempDir(), "nowhere")); err != nil || list != nil {
		t.Errorf("Alarms = %v, %v", list, err)
	}
}

// TestPromiseP08_APanicRefuses: whatever falls over, nobody gets in.
func TestPromiseP08_APanicRefuses(t *testing.T) {
	t.Parallel()
	w := world(t)
	var log strings.Builder
	out := &strings.Builder{}
	host.Principals(host.PrincipalsOptions{
		Folder: folder(t, w), Out: out, Log: host.WriterLog(&log), Now: func() time.Time { panic("the clock\x1b[2J fell over") },
	}, b64(w.Issue(template(t, w))), "ops")
	if out.Len() > 0 || log.String() != `sally-host: refused reason=panic user=ops detail="the clock\x1b[2J fell over"`+"\n" {
		t.Errorf("%q, log %q", out.String(), log.String())
	}
}

// TestPromiseP16_LogLines puts what others write where it is logged: a line stays one
// line of ASCII, whose words nobody can add to.
func TestPromiseP16_LogLines(t *testing.T) {
	t.Parallel()
	w := world(t)
	f := folder(t, w)
	for _, p := range payloads.Texts() {
		cert := template(t, w)
		cert.KeyId, cert.ValidPrincipals = p, []string{p}
		a := ask(t, f)
		a.principals(b64(w.Sign(cert, w.CA)), p)
		text := a.log.String()
		for _, r := range text {
			if r != '\n' && (r < ' ' || r > '~') {
				t.Fatalf("%q: the log holds %U: %q", p, r, text)
			}
		}
		if lines := strings.Count(text, "\n"); lines != 2 || a.out.Len() > 0 || len(text) > 8<<10 {
			t.Errorf("%q: %d lines, %d bytes, %q", p, lines, len(text), a.out.String())
		}
		if strings.Contains(text, "alarm event=") != strings.HasPrefix(text, "sally-host: alarm event=") {
			t.Errorf("%q makes another event: %q", p, text)
		}
	}
}

// TestPromiseP08_ASyslogThatIsAwayOrHangsChangesNothing: what it is sent is a datagram
// as syslog(3) sends them, and no verdict waits for it.
func TestPromiseP08_ASyslogThatIsAwayOrHangsChangesNothing(t *testing.T) {
	t.Parallel()
	w := world(t)
	f := folder(t, w)
	folder, err := os.MkdirTemp("", "s") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	socket := filepath.Join(folder, "log")
	refuse := func() string {
		var out strings.Builder
		host.Principals(host.PrincipalsOptions{
			Folder: f, Out: &out, Log: host.Syslog(socket, func() time.Time { return now }), Now: func() time.Time { return now },
		}, b64(w.Issue(template(t, w))), "root")
		return out.String()
	}
	if out := refuse(); out != "" {
		t.Errorf("without a syslog: %q", out)
	}
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if out := refuse(); out != "" {
		t.Errorf("with a syslog: %q", out)
	}
	got := make([]byte, 8<<10)
	n, err := listener.Read(got)
	want := fmt.Sprintf("<85>Nov 18 11:06:40 sally-host[%d]: refused reason=scope user=root serial=", os.Getpid())
	if err != nil || !strings.HasPrefix(string(got[:n]), want) {
		t.Errorf("syslog was sent %q, %v, want %q", got[:n], err, want)
	}
	// Fill what waits for a reader that does not read.
	for {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		if err = conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err == nil {
			_, err = conn.Write([]byte("x"))
		}
		_ = conn.Close()
		if err != nil {
			break
		}
	}
	if out := refuse(); out != "" {
		t.Errorf("with a syslog that hangs: %q", out)
	}
}

func TestLogPlaces(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	host.FileLog(path)(host.Notice, "one")
	host.FileLog(path)(host.Alert, "two")
	host.FileLog(filepath.Join(path, "x"))(host.Notice, "three") // nowhere
	if text, err := os.ReadFile(path); err != nil || string(text) != "sally-host: one\nsally-host: two\n" {
		t.Errorf("%q, %v", text, err)
	}
	host.WriterLog(io.Discard)(host.Notice, "four")
}
