package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// workspaceLine is the first line of the story.
var workspaceLine = regexp.MustCompile(`W=(\S+)\n`)

// TestDemo tells the whole story with sally and sallyd as they are built from
// this checkout, with the CA key in a file and in a real Vault.
func TestDemo(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	if err := site.Build(t.Context(), bin); err != nil {
		t.Fatal(err)
	}
	steps := len((&story{}).steps())
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		tellStory(t, steps, "-bin", bin, "-v")
	})
	t.Run("vault", func(t *testing.T) {
		t.Parallel()
		told := tellStory(t, steps+3, "-bin", bin, "-ca", "vault", "-v") // sealed, said so, unsealed
		if strings.Contains(told, "hvs.") {
			t.Error("a token of Vault is told")
		}
	})
}

// tellStory runs the demo to its end and demands the number of steps.
func tellStory(t *testing.T, steps int, args ...string) string {
	t.Helper()
	var out strings.Builder
	code := run(t.Context(), args, &out)
	told := out.String()
	t.Log(told)
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if want := fmt.Sprintf("\ndemo: ok (%d steps)\n", steps); !strings.HasSuffix(told, want) {
		t.Errorf("the last line is not %q", want)
	}
	if n := strings.Count(told, "\n  ✓ "); n != steps {
		t.Errorf("%d ticks for %d steps", n, steps)
	}
	nothingLeft(t, told)
	return told
}

// nothingLeft checks, from the outside, that the workspace is gone and no
// process has it in its command line.
func nothingLeft(t *testing.T, told string) {
	t.Helper()
	found := workspaceLine.FindStringSubmatch(told)
	if found == nil {
		t.Fatal("the story names no workspace")
	}
	if _, err := os.Stat(found[1]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the workspace %s: %v", found[1], err)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range lines {
		text, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(text), found[1]) {
			t.Errorf("still running: %q", text)
		}
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(passwd), found[1]+"/") {
		t.Error("an account with a home in the workspace is left")
	}
}

// fakeBin is a folder whose sallyd is a shell script.
func fakeBin(t *testing.T, script string) string {
	t.Helper()
	bin := t.TempDir()
	for name, text := range map[string]string{"sallyd": script, "sally": "#!/bin/sh\nexit 1\n"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func TestDemoNamesAFailingStepAndCleansUp(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	code := run(t.Context(), []string{"-bin", fakeBin(t, "#!/bin/sh\necho the disk is full >&2\nexit 1\n")}, &out)
	told := out.String()
	if code != 1 || !strings.Contains(told, "\ndemo: FAILED at step 1: The operator makes the authority's folder") || !strings.Contains(told, "the disk is full") {
		t.Errorf("exit code %d:\n%s", code, told)
	}
	if strings.Contains(told, "✓") || strings.Contains(told, "demo: ok") {
		t.Errorf("a step was ticked:\n%s", told)
	}
	nothingLeft(t, told)

	out.Reset()
	if code := run(t.Context(), []string{"-bin", t.TempDir()}, &out); code != 1 || !strings.Contains(out.String(), "make build") {
		t.Errorf("without programs: exit code %d:\n%s", code, out.String())
	}
	out.Reset()
	for _, args := range [][]string{{"-nonsense"}, {"-ca", "pkcs11"}} {
		if code := run(t.Context(), args, &out); code != 2 || !strings.Contains(out.String(), "usage:") {
			t.Errorf("%q: exit code %d:\n%s", args, code, out.String())
		}
		out.Reset()
	}
}

// watched is an output that two goroutines share.
type watched struct {
	mu sync.Mutex
	b  strings.Builder // guarded by mu
}

// Write appends p.
func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// String is what was written.
func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

var _ io.Writer = (*watched)(nil)

func TestDemoCleansUpWhenInterrupted(t *testing.T) {
	t.Parallel()
	marker := filepath.Join(t.TempDir(), "pid")
	bin := fakeBin(t, "#!/bin/sh\nsleep 600 &\necho $! >"+marker+"\nwait\n")
	ctx, interrupt := context.WithCancelCause(t.Context())
	var out watched
	codes := make(chan int, 1)
	go func() { codes <- run(ctx, []string{"-bin", bin}, &out) }()

	var pid int
	wait, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := lab.Poll(wait, "a command of the story", func() (bool, error) {
		text, err := os.ReadFile(marker)
		if err != nil || !strings.HasSuffix(string(text), "\n") {
			return false, nil
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil, err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	interrupt(errors.New("interrupt signal received"))
	if code := <-codes; code != 1 || !strings.Contains(out.String(), "demo: FAILED at step 1") || !strings.Contains(out.String(), "stopped: interrupt signal received") {
		t.Errorf("exit code %d:\n%s", code, out.String())
	}
	if err := lab.Poll(wait, "the end of the command's child", func() (bool, error) { return !lab.Alive(pid), nil }); err != nil {
		t.Error(err)
	}
	nothingLeft(t, out.String())
}
