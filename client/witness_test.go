package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/witness"
)

// runningWitness is `sally witness` over a folder, until stop.
type runningWitness struct {
	key  ledger.CosignerKey
	url  string
	err  *bytes.Buffer // to be read after stop
	stop func()
}

func startWitness(t *testing.T, dir, name, pin string) runningWitness {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var out, told bytes.Buffer
	ready, ended := make(chan string, 1), make(chan error, 1)
	o := WitnessOptions{
		Env: Env{Out: &out, Err: &told, Getenv: func(string) string { return "" }, Now: time.Now, Rand: rand.Reader},
		Dir: dir, Name: name, Listen: "127.0.0.1:0", Pin: pin, Ready: func(addr string) { ready <- addr },
	}
	go func() { ended <- Witness(ctx, o) }()
	select {
	case addr := <-ready:
		key, err := ledger.ParseCosignerKey(strings.TrimSuffix(out.String(), "\n"))
		if err != nil {
			t.Fatalf("standard output is no key: %q: %v", out.String(), err)
		}
		return runningWitness{key, "http://" + addr, &told, func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("its end: %v", err)
			}
		}}
	case err := <-ended:
		t.Fatalf("it ended at once: %v", err)
	}
	panic("unreachable")
}

func TestWitness(t *testing.T) {
	t.Parallel()
	log := ledgertest.New(t, "demo.example", "witness")
	for i := range 5 {
		log.AppendHash([32]byte{byte(i)})
	}
	dir := t.TempDir()
	folder := filepath.Join(dir, "w")
	_, authority, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.NewSignerFromKey(authority)
	if err != nil {
		t.Fatal(err)
	}
	pin := writePin(t, Pin{Origin: log.Origin(), LogKey: log.PublicKey(), CA: ca.PublicKey()})
	w := startWitness(t, folder, "witness.example/w1", pin)
	c, err := witness.NewClient(w.key, w.url, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cosign(t.Context(), ledger.AddCheckpoint{Checkpoint: log.Checkpoint(3)}, log.Head(3)); err != nil {
		t.Fatal(err)
	}
	stranger := ledgertest.New(t, "stranger.example", "x")
	if _, err := c.Cosign(t.Context(), ledger.AddCheckpoint{Checkpoint: stranger.Checkpoint(0)}, stranger.Head(0)); !errors.Is(err, witness.ErrRefused) {
		t.Errorf("a log that it was not told of: %v", err)
	}
	w.stop()
	for _, line := range []string{"made the key of witness.example/w1", "cosigned demo.example at size 3", "refused a request (404)"} {
		if !strings.Contains(w.err.String(), line) {
			t.Errorf("it does not say %q:\n%s", line, w.err)
		}
	}
	info, err := os.Stat(filepath.Join(folder, "key"))
	if err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	// The next start has the same key and the same memory.
	again := startWitness(t, folder, "", pin)
	if again.key.String() != w.key.String() {
		t.Error("another key after a start")
	}
	if c, err = witness.NewClient(again.key, again.url, time.Now); err != nil {
		t.Fatal(err)
	}
	stale := new(witness.StaleError)
	if _, err := c.Cosign(t.Context(), ledger.AddCheckpoint{Checkpoint: log.Checkpoint(2)}, log.Head(2)); !errors.As(err, &stale) || stale.Size != 3 {
		t.Errorf("an older checkpoint after a start: %v, want its size, 3", err)
	}
	again.stop()
}
