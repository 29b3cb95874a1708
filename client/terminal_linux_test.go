package client

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cli/browser"
	"golang.org/x/sys/unix"
)

// openTerminal makes a terminal and returns the side that a program writes to
// and the side that shows it (pty(7)).
func openTerminal(t *testing.T) (program, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return program, screen
}

// resize gives a terminal so many columns.
func resize(t *testing.T, screen *os.File, columns uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: 24}); err != nil {
		t.Fatal(err)
	}
}

// shown reads what is on the screen, up to and with the given end.
func shown(t *testing.T, screen *os.File, end string) string {
	t.Helper()
	var all bytes.Buffer
	part := make([]byte, 256)
	for !strings.HasSuffix(all.String(), end) {
		n, err := screen.Read(part)
		if err != nil {
			t.Fatalf("after %q: %v", all.String(), err)
		}
		all.Write(part[:n])
	}
	return all.String()
}

// On a terminal the progress is one line that is rewritten and goes away; the
// texts in it still cannot move the cursor.
func TestProgressOnATerminal(t *testing.T) {
	t.Parallel()
	program, screen := openTerminal(t)
	w := newWorld(t)
	w.Err = program
	p := newProgress(w.Env)
	p.show(0, "waiting for a\x1b[2J")
	p.show(time.Second, "waiting for b")
	p.clear()
	p.clear()
	w.say("done")
	want := "\r\x1b[Ksally: waiting for a\\x1b[2J" + "\r\x1b[Ksally: waiting for b" + "\r\x1b[K" + "sally: done\r\n"
	if got := shown(t, screen, "done\r\n"); got != want {
		t.Errorf("the screen got %q, want %q", got, want)
	}
}

// On a narrow terminal the line is cut: a line that wraps would not go away.
func TestProgressOnANarrowTerminal(t *testing.T) {
	t.Parallel()
	program, screen := openTerminal(t)
	resize(t, screen, 40)
	w := newWorld(t)
	w.Err = program
	p := newProgress(w.Env)
	p.show(0, "waiting for leads, 0s, 14m59s left; Ctrl-C keeps it open")
	p.show(0, "waiting for \u65e5\u672c\u65e5\u672c\u65e5\u672c\u65e5\u672c\u65e5\u672c\u65e5\u672c\u65e5\u672c")
	p.clear()
	w.say("done")
	for part := range strings.SplitSeq(shown(t, screen, "done\r\n"), "\r\x1b[K") {
		if n := cells(strings.TrimSuffix(part, "\r\n")); n > 37 {
			t.Errorf("%q takes %d columns of 40 less the ^C", part, n)
		}
		if strings.Contains(part, "leads") && part != "sally: waiting for leads, 0s, 14m5..." {
			t.Errorf("the line is %q", part)
		}
	}
}

// A table has a heading on a terminal, and becomes a list where it does not fit.
func TestTableOnATerminal(t *testing.T) {
	t.Parallel()
	rows := table{heading: []string{"host", "logins", "role"}, rows: [][]string{
		{"web-1.example", "deploy,ops", "acme/operator"}, {"\u65e5\u672c.example", "", "acme/a\x1b[2J"},
	}}
	for _, tt := range []struct {
		name    string
		columns uint16
		want    string
	}{
		{"wide", 80, "HOST           LOGINS      ROLE\r\nweb-1.example  deploy,ops  acme/operator\r\n\u65e5\u672c.example               acme/a\\x1b[2J\r\n"},
		{"just", 40, "HOST           LOGINS      ROLE\r\nweb-1.example  deploy,ops  acme/operator\r\n\u65e5\u672c.example               acme/a\\x1b[2J\r\n"},
		{"narrow", 39, "host    web-1.example\r\nlogins  deploy,ops\r\nrole    acme/operator\r\n\r\nhost  \u65e5\u672c.example\r\nrole  acme/a\\x1b[2J\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			program, screen := openTerminal(t)
			resize(t, screen, tt.columns)
			w := newWorld(t)
			w.Out = program
			if err := w.printTable(rows); err != nil {
				t.Fatal(err)
			}
			if _, err := program.WriteString("end"); err != nil {
				t.Fatal(err)
			}
			if got := shown(t, screen, "end"); got != tt.want+"end" {
				t.Errorf("the screen got %q, want %q", got, tt.want)
			}
		})
	}
}

// Texts of a narrow terminal go on below their beginning.
func TestPairsOnATerminal(t *testing.T) {
	t.Parallel()
	program, screen := openTerminal(t)
	resize(t, screen, 40)
	w := newWorld(t)
	w.Out = program
	pairs := [][2]string{{"who", "Alice"}, {"grant", "ops@web-1.demo until 23:44:54 UTC, 9m59s left (\x1b)"}}
	if err := w.printPairs(pairs); err != nil {
		t.Fatal(err)
	}
	const want = "who    Alice\r\ngrant  ops@web-1.demo until 23:44:54\r\n       UTC, 9m59s left (\\x1b)\r\n"
	if got := shown(t, screen, "x1b)\r\n"); got != want {
		t.Errorf("the screen got %q, want %q", got, want)
	}
	file := newWorld(t)
	if err := file.printPairs(pairs); err != nil || strings.Count(file.stdout(), "\n") != len(pairs) {
		t.Errorf("a file got %q, %v", file.stdout(), err)
	}
}

// Comma-separated values on a terminal are for its reader; in a file they are UTF-8
// whatever the locale.
func TestCSVOnATerminal(t *testing.T) {
	t.Parallel()
	program, screen := openTerminal(t)
	w := newWorld(t)
	e := w.withEnv("LC_ALL", "de_DE.ISO-8859-1")
	row := [][]string{{"a\u06db2J"}}
	if err := e.printCSV(row); err != nil {
		t.Fatal(err)
	}
	if got := w.stdout(); got != "a\u06db2J\r\n" {
		t.Errorf("the file has %q", got)
	}
	e.Out = program
	if err := e.printCSV(row); err != nil {
		t.Fatal(err)
	}
	if got := shown(t, screen, "\n"); strings.TrimRight(got, "\r\n") != `a\u06db2J` {
		t.Errorf("the screen got %q", got)
	}
}

func TestColourOnlyOnATerminalThatWantsIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  map[string]string
		tty  bool
		want string
	}{
		{"terminal", nil, true, "\x1b[32m✓\x1b[0m"},
		{"no terminal", nil, false, "✓"},
		{"NO_COLOR", map[string]string{"NO_COLOR": "1"}, true, "✓"},
		{"dumb terminal", map[string]string{"TERM": "dumb"}, true, "✓"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := Env{Out: &bytes.Buffer{}, Getenv: func(name string) string {
				if name == "LANG" {
					return "C.UTF-8"
				}
				return tt.env[name]
			}}
			if tt.tty {
				e.Out, _ = openTerminal(t)
			}
			if got := mark(e, Passed); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// The browser gets the page, and the terminal none of its launcher's words.
func TestOpenBrowser(t *testing.T) {
	dir := t.TempDir()
	got := filepath.Join(dir, "got")
	launcher := "#!/bin/sh\necho complaint\necho complaint >&2\nprintf %s \"$1\" >'" + got + "'\n"
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte(launcher), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
	program, screen := openTerminal(t)
	browser.Stdout, browser.Stderr = program, program // as if the library had found a terminal
	openBrowser("https://idp.example/authorize?state=x&nonce=y")
	if page, err := os.ReadFile(got); err != nil || string(page) != "https://idp.example/authorize?state=x&nonce=y" {
		t.Errorf("the launcher got %q, %v", page, err)
	}
	if _, err := program.WriteString("end"); err != nil {
		t.Fatal(err)
	}
	if got := shown(t, screen, "end"); got != "end" {
		t.Errorf("the terminal shows %q", got)
	}
}
