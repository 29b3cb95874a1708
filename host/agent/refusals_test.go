package agent_test

import (
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/ledger/hostcall"
)

// TestAlarmsAreRaised, once each, and counted; what is in the verifier's folder is not
// believed.
func TestAlarmsAreRaised(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		f.agent.Spool = filepath.Join(f.agent.State, "alarms")
		if err := os.Mkdir(f.agent.Spool, 0o700); err != nil {
			t.Fatal(err)
		}
		alarm, err := canon.Marshal(host.Alarm{V: host.AlarmVersion, Event: host.WithoutProof, At: canon.At(clock()), Host: "web-1.demo", Detail: "no proof", Certificate: "AAAA"})
		if err != nil {
			t.Fatal(err)
		}
		secret := filepath.Join(f.agent.State, "secret")
		for name, text := range map[string]string{secret: string(alarm), filepath.Join(f.agent.Spool, "a.alarm"): string(alarm), filepath.Join(f.agent.Spool, "b.alarm"): "{}"} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(secret, filepath.Join(f.agent.Spool, "c.alarm")); err != nil {
			t.Fatal(err)
		}
		stop := f.run()
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		stop()
		if n := strings.Count(f.log.buf.String(), "its key may be stolen"); n != 1 {
			t.Errorf("raised %d times", n)
		}
		events := f.serv.events()
		if len(events) != 1 || events[0].What != hostcall.Refused || len(events[0].Counts) != 1 ||
			events[0].Counts[0] != (hostcall.Count{Reason: "ca_without_ledger", Count: 1}) {
			t.Errorf("told: %+v", events)
		}
		if left, err := filepath.Glob(filepath.Join(f.agent.Spool, "*.alarm")); err != nil || len(left) > 1 { // a link is none of ours
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

// TestRefusalsAreCounted that the verifier tells of, and nobody else.
func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	f := newFarm(t)
	f.begin()
	f.agent.Socket = filepath.Join(f.agent.State, "run", "refusals")
	start := time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC)
	var minutes atomic.Int64
	f.agent.Now = func() time.Time { return start.Add(time.Duration(minutes.Load()) * time.Minute) }
	stop := f.run()
	say := func(word string) {
		t.Helper()
		for t.Context().Err() == nil {
			conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: f.agent.Socket, Net: "unixgram"})
			if err != nil {
				continue // the agent is not there yet
			}
			if _, err := conn.Write([]byte(word)); err != nil {
				t.Fatal(err)
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	for _, word := range []string{"scope", "no_proof", "scope", "rm -rf", "scope\n", strings.Repeat("x", 1000), ""} {
		say(word)
	}
	if os.Geteuid() == 0 { // a stranger's word, heard and not counted
		if err := os.Chmod(f.agent.State, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("perl", "-MSocket", "-e", `socket(S, AF_UNIX, SOCK_DGRAM, 0) && send(S, "expired", 0, sockaddr_un($ARGV[0])) or die $!`, f.agent.Socket)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}
	say("expired")
	want := map[string]int64{"scope": 2, "no_proof": 1, "expired": 1}
	got := map[string]int64{}
	for deadline := time.Now().Add(time.Minute); len(got) < len(want) && time.Now().Before(deadline); {
		minutes.Add(1)
		say("nothing") // it waits for the agent where that is behind
		clear(got)
		for _, e := range f.serv.events() {
			if e.What != hostcall.Refused || e.Check() != nil {
				t.Fatalf("told: %+v", e)
			}
			for _, c := range e.Counts {
				got[c.Reason] += c.Count
			}
		}
	}
	stop()
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}
