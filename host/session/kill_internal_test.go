package session

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestKillEachEndsWhatForks is the way for kernels without cgroup.kill: a tree that
// goes on forking has no chance.
func TestKillEachEndsWhatForks(t *testing.T) {
	t.Parallel()
	at, err := currentMount()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(at.point, scopePrefix+"test-"+filepath.Base(t.TempDir())+time.Now().Format("150405.000000"))
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := killAll(ctx, folder); err != nil {
			t.Error(err)
		}
		if err := removeScope(folder); err != nil {
			t.Error(err)
		}
	})
	fork := exec.Command("/bin/sh", "-c", `read go; i=0; while :; do sleep 60 & i=$((i+1)); if [ $i -ge 40 ]; then wait; fi; done`)
	in, err := fork.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := fork.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = fork.Wait(); close(done) }() // it gets killed
	if err := moveInto(folder, fork.Process.Pid); err != nil {
		t.Fatal(err)
	}
	inner := filepath.Join(folder, "inner") // root may have made one
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	nested := exec.Command("sleep", "60")
	if err := nested.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = nested.Wait() }() // it gets killed
	if err := moveInto(inner, nested.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := killEach(ctx, folder); err != nil {
		t.Fatal(err)
	}
	if full, err := populated(folder); err != nil || full {
		t.Errorf("populated = %t, %v", full, err)
	}
	<-done
}
