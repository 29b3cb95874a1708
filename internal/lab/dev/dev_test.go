package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/internal/lab/site"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// build makes the programs as `make build` does.
func build(t *testing.T) (bin string) {
	t.Helper()
	bin = t.TempDir()
	must(t, site.Build(t.Context(), bin))
	r, err := lab.Run(t.Context(), lab.Command{Path: "go", Args: []string{"build", "-o", bin, "."}})
	must(t, err)
	must(t, site.Exit(r, 0, "go build"))
	return bin
}

// up is a running dev and what it has told.
type up struct {
	*lab.Process
	t    *testing.T
	told string
}

func start(t *testing.T, bin string) *up {
	t.Helper()
	p, err := lab.Start(t.Context(), filepath.Join(t.TempDir(), "dev.log"), lab.Command{Path: filepath.Join(bin, "dev"), Args: []string{"-bin", bin}})
	must(t, err)
	t.Cleanup(func() {
		must(t, p.Stop())
		if t.Failed() {
			t.Logf("dev said:\n%s", p.Log())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = p.WaitLog(ctx, "sally ledger show SERIAL")
	must(t, err)
	return &up{Process: p, t: t, told: p.Log()}
}

// find returns what a pattern's group matches in the guide.
func (u *up) find(pattern string) string {
	u.t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(u.told)
	if m == nil {
		u.t.Fatalf("dev does not say %s:\n%s", pattern, u.told)
	}
	return m[1]
}

func (u *up) pages() string     { return u.find(`(?m)^  pages +(http\S+)$`) }
func (u *up) workspace() string { return filepath.Dir(u.find(`(?m)^  server +(\S+) `)) }
func (u *up) password(name string) string {
	return u.find(`(?m)^  account +` + name + ` +password (\S+) `)
}

// block returns the commands under a heading: the indented lines.
func (u *up) block(heading string) []string {
	u.t.Helper()
	_, rest, ok := strings.Cut(u.told, "\n"+heading)
	if !ok {
		u.t.Fatalf("dev has no part %s:\n%s", heading, u.told)
	}
	var out []string
	for _, line := range strings.Split(rest, "\n")[1:] {
		command, indented := strings.CutPrefix(line, "    ")
		switch {
		case indented:
			out = append(out, command)
		case len(out) > 0:
			return out
		}
	}
	return out
}

// interrupt is Ctrl-C.
func (u *up) interrupt() {
	u.t.Helper()
	must(u.t, syscall.Kill(u.PID(), syscall.SIGINT))
	ctx, cancel := context.WithTimeout(u.t.Context(), time.Minute)
	defer cancel()
	code, err := u.Wait(ctx)
	must(u.t, err)
	if code != 0 {
		u.t.Errorf("exit code %d after Ctrl-C:\n%s", code, u.Log())
	}
}

// nothingLeft looks from the outside: no workspace, no process with it in its
// command line, no account with its home there.
func nothingLeft(t *testing.T, workspace string) {
	t.Helper()
	if _, err := os.Stat(workspace); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the workspace %s: %v", workspace, err)
	}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, file := range append(files, "/etc/passwd") {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(text), workspace+"/") {
			t.Errorf("%s still has %s", file, workspace)
		}
	}
}

// typed runs lines in one shell, in an environment without anything of ours.
func (u *up) typed(log string, lines ...string) *lab.Process {
	u.t.Helper()
	p, err := lab.Start(u.t.Context(), filepath.Join(u.t.TempDir(), log), lab.Command{
		Path: "/bin/sh", Args: []string{"-ec", strings.Join(lines, "\n")},
		Env: []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=" + u.t.TempDir(), "LC_ALL=C.UTF-8"},
	})
	must(u.t, err)
	u.t.Cleanup(func() { must(u.t, p.Stop()) })
	return p
}

// end waits for the end of what was typed.
func (u *up) end(p *lab.Process, code int) {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), time.Minute)
	defer cancel()
	got, err := p.Wait(ctx)
	must(u.t, err)
	must(u.t, site.Exit(lab.Result{Code: got, Output: p.Log()}, code, "the commands"))
}

// wait waits for a line and returns the address in it.
func (u *up) wait(p *lab.Process, text string) string {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), time.Minute)
	defer cancel()
	line, err := p.WaitLog(ctx, text)
	must(u.t, err)
	return regexp.MustCompile(`http://\S+`).FindString(line)
}

func TestDev(t *testing.T) {
	t.Parallel()
	bin := build(t)
	for name, test := range map[string]func(*testing.T, string){
		"the guide works": guideWorks, "two at once, and after a kill": twoAndAfterAKill, "what is wrong": saysWhatIsWrong,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, bin)
		})
	}
}

// guideWorks types what dev prints and clicks what it says, once, and then
// presses Ctrl-C.
func guideWorks(t *testing.T, bin string) {
	u := start(t, bin)
	ctx := t.Context()
	browser, err := robot.New(nil)
	must(t, err)
	t.Cleanup(browser.Close)

	terminal := u.typed("engineer", u.block("1. In a terminal")...)
	_, err = browser.LogIn(ctx, u.wait(terminal, "/authorize?"), "alice", u.password("alice"))
	must(t, err)
	request := u.wait(terminal, "it is decided at")
	page, err := browser.LogIn(ctx, u.pages(), "bob", u.password("bob"))
	must(t, err)
	if !strings.Contains(page.Body, strings.TrimPrefix(request, strings.TrimSuffix(u.pages(), "/"))) {
		t.Errorf("the request is not on bob's first page:\n%s", page.Text())
	}
	page, err = browser.Get(ctx, request)
	must(t, err)
	_, err = browser.Submit(ctx, page, page.URL.Path+"/decisions", map[string]string{"words": ""}, "approve")
	must(t, err)
	u.end(terminal, 0) // the shell finds nothing to read and ends
	serial := regexp.MustCompile(`certificate serial (\d+) for`).FindStringSubmatch(terminal.Log())
	if serial == nil {
		t.Fatalf("no certificate:\n%s", terminal.Log())
	}

	first, afterwards := u.block("1. In a terminal"), u.block("3. See what")
	environment := first[:len(first)-2]
	after := u.typed("after", strings.ReplaceAll(strings.Join(append(environment, afterwards...), "\n"), "SERIAL", serial[1]))
	u.end(after, 0)
	for _, want := range []string{"Alice Example", "ssh now  ", "grant  ", "certificate.issue", "✓ inclusion"} {
		if !strings.Contains(after.Log(), want) {
			t.Errorf("%q is not in\n%s", want, after.Log())
		}
	}
	u.interrupt()
	nothingLeft(t, u.workspace())
}

// twoAndAfterAKill: a second one does not disturb the first, and the next one
// removes what a killed one has left.
func twoAndAfterAKill(t *testing.T, bin string) {
	first, second := start(t, bin), start(t, bin)
	if first.workspace() == second.workspace() || first.pages() == second.pages() {
		t.Error("two share a workspace or a port")
	}
	second.Kill()
	if _, err := os.Stat(second.workspace()); err != nil {
		t.Fatalf("there is nothing for the next one to remove: %v", err)
	}
	third := start(t, bin)
	nothingLeft(t, second.workspace())
	browser, err := robot.New(nil)
	must(t, err)
	t.Cleanup(browser.Close)
	for _, u := range []*up{first, third} {
		page, err := browser.Get(t.Context(), u.pages()+"healthz")
		if err != nil || strings.TrimSpace(page.Body) != "ok" {
			t.Errorf("%s: %+v, %v", u.pages(), page, err)
		}
		u.interrupt()
		nothingLeft(t, u.workspace())
	}
}

// saysWhatIsWrong: no programs, a flag that it does not have, a server that dies.
func saysWhatIsWrong(t *testing.T, bin string) {
	var out strings.Builder
	if code := run(t.Context(), []string{"-bin", t.TempDir()}, &out); code != 1 || !strings.Contains(out.String(), "make build") {
		t.Errorf("without programs: exit code %d: %s", code, out.String())
	}
	out.Reset()
	if code := run(t.Context(), []string{"-nonsense"}, &out); code != 2 || !strings.Contains(out.String(), "usage:") {
		t.Errorf("unknown flag: exit code %d: %s", code, out.String())
	}
	u := start(t, bin)
	pid := sallydOf(t, u.workspace())
	must(t, exec.CommandContext(t.Context(), "kill", "-KILL", pid).Run())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	code, err := u.Wait(ctx)
	must(t, err)
	if code != 1 || !strings.Contains(u.Log(), "dev: sallyd has ended") {
		t.Errorf("exit code %d without sallyd:\n%s", code, u.Log())
	}
	nothingLeft(t, u.workspace())
}

// sallydOf finds the process that serves from a workspace.
func sallydOf(t *testing.T, workspace string) (pid string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(text), "serve\x00--dir\x00"+workspace+"/") {
			return filepath.Base(filepath.Dir(file))
		}
	}
	t.Fatal("no sallyd runs there")
	return ""
}
