package lab_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/lab"
)

// goOn finds the command that goes on waiting, and its verb.
var goOn = regexp.MustCompile(`the request stays open until .*; go on with: (sally ([a-z]+) [a-z0-9@.-]+)`)

// interrupted is Ctrl-C while sally waits for a person: at the browser, and for a
// decision. The request stays open, and the command that is printed goes on with
// it.
func (v *verbs) interrupted() {
	v.t.Helper()
	for _, l := range []struct {
		verb, line, until, resume string
	}{
		{"login", "sally login --server $URL --pin $PIN --no-browser", "/authorize?", ""},
		{"wait", "sally wait $STILL", "sally: waiting for leads", "sally wait $STILL"},
		{"status", "sally status --wait $STILL", "sally: waiting for leads", "sally wait $STILL"},
		{"request", "sally request $WEB2 --for 10m --because 'two or more words'", "sally: waiting for leads", "sally wait "},
		{"ssh", "sally ssh $WEB2", "sally: waiting for leads", "sally ssh $WEB2"},
	} {
		v.words["$STILL"] = v.pending()
		task := v.start(l.line)
		_, err := task.Expect(v.ctx, l.until)
		must(v.t, err)
		must(v.t, syscall.Kill(task.PID(), syscall.SIGINT))
		out := v.end(typed{verb: l.verb, code: 130, line: l.line, says: "interrupted"}, task)
		if l.resume == "" {
			continue
		}
		resume := goOn.FindStringSubmatch(out)
		if resume == nil || !strings.HasPrefix(resume[1], v.spell(l.resume)) {
			v.t.Errorf("%s says %q, without how to go on", l.line, out)
			continue
		}
		v.types([]typed{{verb: resume[2], code: 5, line: resume[1] + " --timeout 1s", says: "nobody has decided within 1s", once: true}})
	}
	v.ctrlCOnATerminal()
}

// pending is the id of a request of Alice's for the second host that is open.
func (v *verbs) pending() string {
	v.t.Helper()
	r, err := v.s.Alice.Must(v.ctx, "sally", "list", "--state", "pending", "--host", "web-2.demo", "--limit", "1")
	must(v.t, err)
	if id, _, ok := strings.Cut(r.Stdout, " "); ok {
		return id
	}
	r, err = v.s.Alice.Must(v.ctx, "sally", "request", v.words["$WEB2"], "--for", "10m", "--because", "two or more words", "--no-wait")
	must(v.t, err)
	_, id := page(v.t, r.Output)
	return id
}

// ctrlCOnATerminal types Ctrl-C at a narrow terminal: the line that is rewritten
// goes away, and never fills a line of the terminal.
func (v *verbs) ctrlCOnATerminal() {
	v.t.Helper()
	const width = 40
	screen, keyboard := v.terminal(width)
	defer func() { must(v.t, keyboard.Close()) }()
	cmd := exec.CommandContext(v.ctx, v.sally(), "wait", v.words["$STILL"])
	cmd.Env = []string{"HOME=" + v.s.Alice.Home(), "LC_ALL=C.UTF-8", "TERM=xterm"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = screen, screen, screen
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(v.t, errors.Join(cmd.Start(), screen.Close()))
	var shown bytes.Buffer
	part := make([]byte, 512)
	for typed := false; ; {
		n, err := keyboard.Read(part)
		shown.Write(part[:n])
		if err != nil { // EIO: the terminal's last program has ended
			break
		}
		if !typed && bytes.Contains(shown.Bytes(), []byte("waiting for leads")) {
			_, err := io.WriteString(keyboard, "\x03")
			must(v.t, err)
			typed = true
		}
	}
	err := cmd.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 130 {
		v.t.Errorf("Ctrl-C at a terminal: %v", err)
	}
	text := shown.String()
	_, after, _ := strings.Cut(text, "^C") // the waiting line may be drawn once more before the end
	if !strings.Contains(after, "\r\x1b[Krequest ") || !strings.Contains(text, "\r\nsally: interrupted; the request stays open until ") || !strings.Contains(text, "go on with: sally wait "+v.words["$STILL"]) {
		v.t.Errorf("the terminal shows %q", text)
	}
	for line := range strings.SplitSeq(text, "\r\x1b[K") {
		if strings.HasPrefix(line, "sally: waiting") && len(line) >= width {
			v.t.Errorf("the line %q does not fit into %d columns", line, width)
		}
	}
}

// terminal makes a terminal (pty(7)) of so many columns: the side of programs and
// the side of the person.
func (v *verbs) terminal(columns uint16) (screen, keyboard *os.File) {
	v.t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(v.t, err)
	must(v.t, unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	must(v.t, err)
	must(v.t, unix.IoctlSetWinsize(int(keyboard.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: 24}))
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(v.t, err)
	return screen, keyboard
}

// sally is the program's path.
func (v *verbs) sally() string {
	v.t.Helper()
	r, err := v.s.Alice.Must(v.ctx, "sh", "-c", "command -v sally")
	must(v.t, err)
	return strings.TrimSpace(r.Stdout)
}

// pipesThatClose is a reader that goes away before sally writes, as head does:
// sally ends by the signal, without a word.
func (v *verbs) pipesThatClose() {
	v.t.Helper()
	for _, args := range [][]string{{"list"}, {"ledger", "list"}, {"status"}, {"hosts"}, {"version"}, {"list", "--json"}, {"ledger", "list", "--csv"}, {"--help"}, {"help", "list"}} {
		reader, writer, err := os.Pipe()
		must(v.t, err)
		must(v.t, reader.Close())
		var stderr bytes.Buffer
		cmd := exec.CommandContext(v.ctx, v.sally(), args...)
		cmd.Env = []string{"HOME=" + v.s.Alice.Home(), "LC_ALL=C.UTF-8"}
		cmd.Stdout, cmd.Stderr = writer, &stderr
		err = cmd.Run()
		must(v.t, writer.Close())
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok || stderr.Len() > 0 {
			v.t.Errorf("sally %v into a closed pipe: %v, %q", args, err, stderr.String())
			continue
		}
		if status, ok := e.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGPIPE {
			v.t.Errorf("sally %v into a closed pipe ends with %v", args, e)
		}
	}
}

// withSilentServer is Ctrl-C while the server says nothing.
func (v *verbs) withSilentServer() {
	v.t.Helper()
	server := v.s.ServerPID()
	must(v.t, syscall.Kill(server, syscall.SIGSTOP))
	defer func() { must(v.t, syscall.Kill(server, syscall.SIGCONT)) }()
	state := filepath.Join(v.s.Alice.Home(), ".local", "state", "sallyport")
	v.types([]typed{{verb: "version", code: 0, line: "cp -a " + state + " " + v.s.Alice.Home("copy") + "; sally version", once: true}})
	for _, l := range []typed{
		{verb: "whoami", line: "sally whoami"},
		{verb: "wait", line: "sally wait $PENDING", says: "the request stays as it is; go on with: sally wait $PENDING"},
		{verb: "cancel", line: "sally cancel $PENDING", says: "whether request $PENDING was cancelled, this says: sally status $PENDING"},
		{verb: "revoke", line: "sally revoke --request $PENDING --because why", says: "interrupted"},
		{verb: "status", line: "sally status"},
		{verb: "list", line: "sally list"},
		{verb: "hosts", line: "sally hosts"},
		{verb: "hosts list", line: "sally hosts list"},
		{verb: "hosts show", line: "sally hosts show web-1.demo"},
		{verb: "hosts invite", line: "sally hosts invite spare.demo --addr 127.0.0.1:22 --label env=demo"},
		{verb: "hosts label", line: "sally hosts label web-1.demo --label env=test"},
		{verb: "hosts config", line: "sally hosts config web-1.demo"},
		{verb: "hosts release", line: "sally hosts release spare.demo --to harbour"},
		{verb: "hosts retire", line: "sally hosts retire spare.demo"},
		{verb: "ledger list", line: "sally ledger list"},
		{verb: "ledger show", line: "sally ledger show 1"},
		{verb: "ledger export", line: "sally ledger export --out x"},
		{verb: "audit explain", line: "sally audit explain 1 $CONTRACT"},
		{verb: "logout", line: "env SALLY_STATE=" + v.s.Alice.Home("copy") + " sally logout", says: "logged out on this machine"},
	} {
		task := v.start(l.line)
		err := lab.Poll(v.ctx, l.line+" to ask the server", func() (bool, error) { return connected(task.PID(), v.s.URL()), nil })
		must(v.t, err)
		must(v.t, syscall.Kill(task.PID(), syscall.SIGINT))
		l.code, l.says = 130, v.spell(l.says)
		v.end(l, task)
	}
}

// connected reports whether a process has a connection to a server.
func connected(pid int, url string) bool {
	_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
	var number int
	if _, err := fmt.Sscan(port, &number); err != nil {
		return false
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", pid))
	if err != nil {
		return false
	}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return false
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		inode, ok := strings.CutPrefix(target, "socket:[")
		if err != nil || !ok {
			continue
		}
		inode = strings.TrimSuffix(inode, "]")
		for line := range strings.Lines(string(table)) { // proc_net_tcp(5): remote address, state 01, inode
			f := strings.Fields(line)
			if len(f) > 9 && f[9] == inode && f[3] == "01" && strings.HasSuffix(f[2], fmt.Sprintf(":%04X", number)) {
				return true
			}
		}
	}
	return false
}
