package sessionend_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/internal/lab"
)

// far is the end of a grant that no test waits for.
func far() time.Time { return time.Now().Add(5 * time.Minute) }

// forwarded opens a port through a login and returns a connection through it that has
// been used.
func (m *machine) forwarded(l login) (*lab.Process, net.Conn) {
	m.t.Helper()
	echo, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		m.t.Fatal(err)
	}
	m.after(echo.Close)
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return // it was closed
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }() // the other side went away
		}
	}()
	port, err := lab.ReservePort(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	if err := port.Release(); err != nil {
		m.t.Fatal(err)
	}
	p := m.ssh(l, []string{"-N", "-o", "ExitOnForwardFailure=yes", "-L", port.Addr() + ":" + echo.Addr().String()})
	var conn net.Conn
	m.until("the forwarded port", func() bool {
		conn, err = net.Dial("tcp4", port.Addr())
		return err == nil
	})
	m.t.Cleanup(func() { _ = conn.Close() })
	m.echoes(conn)
	return p, conn
}

func (m *machine) echoes(conn net.Conn) {
	m.t.Helper()
	if _, err := conn.Write([]byte("x")); err != nil {
		m.t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		m.t.Fatal(err)
	}
}

// kinds opens a session of each kind, all by one login, and returns what has to end with
// them.
type kinds struct {
	clients map[string]*lab.Process
	tty     *lab.Process
	conn    net.Conn
	child   int // of a session that was left
}

func (m *machine) kinds(l login) kinds {
	m.t.Helper()
	k := kinds{clients: map[string]*lab.Process{}}
	k.tty = m.ssh(l, []string{"-tt"}, "echo", "ready;", "exec", "sleep", "3600")
	m.says(k.tty, "ready")
	k.clients["a terminal"] = k.tty
	k.clients["a command"] = m.ssh(l, nil, "echo", "ready;", "exec", "sleep", "3600")
	m.says(k.clients["a command"], "ready")

	big := m.dir.Path("big")
	if err := os.WriteFile(big, make([]byte, 4<<20), 0o600); err != nil {
		m.t.Fatal(err)
	}
	copied := filepath.Join(m.account.Home, "copied")
	// What limits scp sleeps in the client, which is not waited for.
	m.run("scp", append(append([]string{"-q", "-l", "64"}, m.options(l)...), big, m.target()+":"+copied)...)
	m.until("scp", func() bool { info, err := os.Stat(copied); return err == nil && info.Size() > 0 })

	k.clients["a forwarded port"], k.conn = m.forwarded(l)

	socket := m.dir.Path("master")
	k.clients["a ControlMaster"] = m.ssh(l, []string{"-N", "-M", "-S", socket, "-o", "ControlPath=" + socket})
	m.until("the ControlMaster", func() bool { _, err := os.Stat(socket); return err == nil })
	for _, name := range []string{"its first channel", "its second channel"} {
		k.clients[name] = m.ssh(l, []string{"-S", socket}, "echo", "ready;", "exec", "sleep", "3600")
		m.says(k.clients[name], "ready")
	}

	r := m.once(l, nil, "setsid", "nohup", "sh", "-c", "'echo $$; exec sleep 3600 >/dev/null 2>&1 </dev/null'", "&")
	k.child = number(m.t, r.Stdout)
	return k
}

// check demands that all of it has ended, and returns what ended how long after a
// moment. The sessions of scp and of what was left have no client: their records go when
// nothing of them is left.
func (k kinds) check(m *machine, serial uint64, since time.Time) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	var said []string
	ended := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprintf("%s %s", what, time.Since(since).Round(time.Millisecond)))
	}
	for name, p := range k.clients {
		all.Go(func() {
			if _, err := p.Wait(ctx); err != nil {
				m.t.Errorf("%s: %v", name, err)
			}
			ended(name)
		})
	}
	all.Go(func() {
		if err := lab.Poll(ctx, "the end of a child that was left", func() (bool, error) { return !lab.Alive(k.child), nil }); err != nil {
			m.t.Error(err)
		}
		ended("a child that was left")
	})
	all.Go(func() {
		if err := lab.Poll(ctx, "the end of all sessions", func() (bool, error) { return len(m.of(serial)) == 0, nil }); err != nil {
			m.t.Error(err)
		}
		ended("all sessions, scp among them,")
	})
	all.Wait()
	if err := k.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	if _, err := k.conn.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		m.t.Errorf("the connection through the forwarded port: %v", err)
	}
	return strings.Join(said, ", ")
}

// job starts what a daemon would for the login: outside of every session.
func (m *machine) job() int {
	m.t.Helper()
	info, err := os.Stat(m.account.Home)
	if err != nil {
		m.t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	p, err := lab.Start(m.t.Context(), m.dir.Path("job.log"), lab.Command{
		Path: "sleep", Args: []string{"3600"}, As: &syscall.Credential{Uid: st.Uid, Gid: st.Gid},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.after(p.Stop)
	return p.PID()
}

// TestPromiseP09_SessionsEndWithTheGrant: of each kind, with a line on the terminal; and
// nobody else's.
func TestPromiseP09_SessionsEndWithTheGrant(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	other, _ := m.certificate(far())
	stays := m.ssh(m.by(other), nil, "echo", "ready;", "exec", "sleep", "3600")
	m.says(stays, "ready")
	owner := m.ssh(m.byOwner(), nil, "echo", "ready;", "exec", "sleep", "3600")
	m.says(owner, "ready")

	end := time.Now().Add(40 * time.Second).Truncate(time.Second)
	cert, serial := m.certificate(end)
	k := m.kinds(m.by(cert))
	job := m.job()
	if n := len(m.of(serial)); n != 6 { // a ControlMaster is one
		t.Errorf("%d sessions are recorded, want 6", n)
	}
	for _, s := range m.of(serial) {
		if !s.End.Equal(end) || s.Login != string(m.account.Login) || s.From != "127.0.0.1" || s.Service != "sshd" {
			t.Errorf("record: %+v", s.Record)
		}
	}
	if now := time.Now(); !now.Before(end) {
		t.Fatalf("it took until %s to open the sessions, the grant was over at %s", now, end)
	}
	after := k.check(m, serial, end)
	t.Logf("ended after the grant: %s", after)
	if strings.Contains(after, " -") {
		t.Errorf("ended before the grant: %s", after)
	}
	// The last line is written as well (package session), but sshd has only a moment to pass it on.
	if line := "sallyport: your grant is over at " + end.UTC().Format("15:04:05") + " UTC; this session ends in "; !strings.Contains(k.tty.Log(), line) {
		t.Errorf("the terminal has no %q: %q", line, k.tty.Log())
	}
	t.Logf("the terminal ends with %q", lab.Tail(k.tty.Log(), 3))
	m.says(m.agent, "beside=[")
	if !lab.Alive(job) || !strings.Contains(m.agent.Log(), strconv.Itoa(job)) {
		t.Errorf("process %d, which a daemon started: alive %t, reported %t", job, lab.Alive(job), strings.Contains(m.agent.Log(), strconv.Itoa(job)))
	}
	for name, p := range map[string]*lab.Process{"by another certificate": stays, "by the owner's key": owner} {
		select {
		case <-p.Done():
			t.Errorf("a session %s was ended: %s", name, p.Log())
		default:
		}
	}
}

// TestPromiseP09_RevokedSessionsEnd of each kind, while those by other certificates and
// the owner's key go on; and the certificate opens nothing more.
func TestPromiseP09_RevokedSessionsEnd(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	other, _ := m.certificate(far())
	stays := m.ssh(m.by(other), nil, "echo", "ready;", "exec", "sleep", "3600")
	m.says(stays, "ready")
	owner := m.ssh(m.byOwner(), nil, "echo", "ready;", "exec", "sleep", "3600")
	m.says(owner, "ready")
	cert, serial := m.certificate(far())
	k := m.kinds(m.by(cert))

	since := time.Now()
	m.revoke(serial)
	after := k.check(m, serial, since)
	t.Logf("ended after the revocation: %s", after)
	t.Logf("the terminal ends with %q", lab.Tail(k.tty.Log(), 3))
	if r := m.once(m.by(cert), nil, "echo", "in"); r.Code == 0 || strings.Contains(r.Output, "in\n") {
		t.Errorf("the revoked certificate opens: %+v", r)
	}
	for name, p := range map[string]*lab.Process{"by another certificate": stays, "by the owner's key": owner} {
		select {
		case <-p.Done():
			t.Errorf("a session %s was ended: %s", name, p.Log())
		default:
		}
	}
}

// TestPromiseP09_EndedWhileTheAgentWasAway: what came due meanwhile ends when it is back.
func TestPromiseP09_EndedWhileTheAgentWasAway(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cert, serial := m.certificate(far())
	p := m.ssh(m.by(cert), nil, "echo", "ready;", "exec", "sleep", "3600")
	m.says(p, "ready")
	if err := m.agent.Stop(); err != nil {
		t.Fatal(err)
	}
	m.revoke(serial)
	select {
	case <-p.Done():
		t.Fatal("it ended without an agent")
	default:
	}
	m.startAgent()
	m.ends("the session", p)
}

// TestPromiseP09_WhatCanNotBeKeptIsRefused: no command, no terminal, no forwarded port,
// where a session can't be recorded; the owner's key opens.
func TestPromiseP09_WhatCanNotBeKeptIsRefused(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cert, _ := m.certificate(far())
	if r := m.once(m.by(cert), nil, "echo", "in"); r.Code != 0 || r.Stdout != "in\n" {
		t.Fatalf("before: %+v", r)
	}
	sessions := filepath.Join(m.state, host.SessionsFolder)
	m.until("the agent lets the record go", func() bool { return len(m.sessions()) == 0 })
	if err := m.agent.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(sessions, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, flags := range map[string][]string{"a command": nil, "a terminal": {"-tt"}} {
		if r := m.once(m.by(cert), flags, "echo", "in"); r.Code == 0 || strings.Contains(r.Output, "in") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := m.once(m.by(cert), []string{"-W", m.sshd.Addr()}); strings.Contains(r.Output, "SSH-2.0") {
		t.Errorf("a forwarded port: %+v", r)
	}
	if r := m.once(m.byOwner(), nil, "echo", "in"); r.Code != 0 || r.Stdout != "in\n" {
		t.Errorf("the owner's key: %+v", r)
	}
	if log := read(m.log); !strings.Contains(log, "session-refused session=") && !strings.Contains(log, "session-refused user=") || !strings.Contains(log, "session-unrecorded ") {
		t.Errorf("log: %s", log)
	}
	if err := os.Chmod(sessions, 0o700); err != nil {
		t.Fatal(err)
	}
	if r := m.once(m.by(cert), nil, "echo", "in"); r.Code != 0 || r.Stdout != "in\n" {
		t.Errorf("after it was mended: %+v", r)
	}
}

// TestPromiseP09_UsersCanNotHideTheirCertificate from the step by what PAM reads from
// their home.
func TestPromiseP09_UsersCanNotHideTheirCertificate(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	file := filepath.Join(m.account.Home, ".pam_environment")
	if err := os.WriteFile(file, []byte("SSH_AUTH_INFO_0 DEFAULT=password OVERRIDE=password\nSEEN DEFAULT=yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cert, serial := m.certificate(far())
	p := m.ssh(m.by(cert), nil, "echo", "seen=$SEEN;", "exec", "sleep", "3600")
	if line := m.says(p, "seen="); line != "seen=yes" {
		t.Errorf("PAM does not read the user's file here (%s): this shows nothing", line)
	}
	if !slices.ContainsFunc(m.sessions(), func(s session.Session) bool { return s.Serial() == serial }) {
		t.Errorf("records: %+v", m.sessions())
	}
}

// TestPromiseP09_UsersCanNotForgeLogins: what they had PAM set while they were in is there
// when PAM closes the session, beside what PAM says then.
func TestPromiseP09_UsersCanNotForgeLogins(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	own, err := os.ReadFile(m.owner + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(m.account.Home, "zone")
	if err := syscall.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(m.account.Home, ".pam_environment")
	text := fmt.Sprintf("PAM_TYPE DEFAULT=open_session\nPAM_USER DEFAULT=root\nSSH_AUTH_INFO_0 DEFAULT=\"publickey %s\"\nTZ DEFAULT=%s\nSEEN DEFAULT=yes\n",
		strings.Join(strings.Fields(string(own))[:2], " "), fifo)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cert, _ := m.certificate(far())
	if r := m.once(m.by(cert), nil, "echo", "seen=$SEEN"); r.Code != 0 || r.Stdout != "seen=yes\n" {
		t.Errorf("PAM does not read the user's file here (%+v): this shows nothing", r)
	}
	m.until("the record is let go", func() bool { return len(m.sessions()) == 0 })
	if log := read(m.log); strings.Count(log, "session-opened ") != 1 || strings.Count(log, "session-closed ") != 1 || strings.Contains(log, "user=root") {
		t.Errorf("log: %s", log)
	}
	waiting, err := filepath.Glob(filepath.Join(m.state, host.EventsFolder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for _, file := range waiting {
		all += read(file)
	}
	if open, left := strings.Count(all, `"what":"open"`), strings.Count(all, `"how":"left"`); open != 1 || left != 1 || strings.Contains(all, "root") {
		t.Errorf("%d opened, %d left: %s", open, left, all)
	}
}

// TestSessionsOnceEach: a connection is told once, whatever it is used for, and its
// record is let go when it is over; a killed sshd leaves none, either.
func TestSessionsOnceEach(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	cert, serial := m.certificate(far())
	if r := m.once(m.by(cert), nil, "true"); r.Code != 0 {
		t.Fatal(r)
	}
	p := m.ssh(m.by(cert), nil, "echo", "ready;", "exec", "sleep", "3600")
	m.says(p, "ready")
	var live session.Session
	m.until("the first is let go", func() bool {
		list := m.sessions()
		if len(list) == 1 {
			live = list[0]
		}
		return len(list) == 1
	})
	if live.Serial() != serial {
		t.Fatalf("record: %+v", live.Record)
	}
	// All of it: without its monitor a connection goes on, and so does its session.
	for pid := range strings.FieldsSeq(read(filepath.Join(live.Cgroup, "cgroup.procs"))) {
		if err := syscall.Kill(number(t, pid), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	m.ends("the client", p)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := lab.Poll(ctx, "the record of a killed sshd", func() (bool, error) { return len(m.sessions()) == 0, nil }); err != nil {
		t.Fatal(err)
	}
	waiting, err := filepath.Glob(filepath.Join(m.state, host.EventsFolder, "*.json"))
	if err != nil || len(waiting) == 0 {
		t.Fatalf("nothing waits to be told: %v", err)
	}
	all := ""
	for _, file := range waiting {
		all += read(file)
	}
	if open, left, lost := strings.Count(all, `"what":"open"`), strings.Count(all, `"how":"left"`), strings.Count(all, `"how":"lost"`); open != 2 || left != 1 || lost != 1 {
		t.Errorf("%d opened, %d left, %d lost: %s", open, left, lost, all)
	}
}
