package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"runtime"
	"strconv"
	"time"
)

// probe is how long each property of the machine is measured.
const probe = time.Second

// machine measures what the other figures are held against.
func machine(ctx context.Context, b *bench) error {
	syncs, err := syncs(ctx, b.work.Path("syncs"))
	if err != nil {
		return err
	}
	b.syncs, b.verifies = syncs, verifies()
	b.figure("this machine", strconv.Itoa(runtime.NumCPU())+" cores", runtime.Version())
	b.figure("a page appended and synced to the disk", thousands(b.syncs), "one writer")
	b.figure("Ed25519 signatures checked", thousands(b.verifies), "one core")
	return nil
}

// syncs appends pages to a file, each made durable before the next.
func syncs(ctx context.Context, path string) (_ float64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	page := make([]byte, 4096)
	n, begin := 0, time.Now()
	for ; time.Since(begin) < probe && ctx.Err() == nil; n++ {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(begin).Seconds(), ctx.Err()
}

func verifies() float64 {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return 0
	}
	message := make([]byte, 300)
	signature := ed25519.Sign(private, message)
	n, begin := 0, time.Now()
	for ; time.Since(begin) < probe; n++ {
		if !ed25519.Verify(public, message, signature) {
			return 0
		}
	}
	return float64(n) / time.Since(begin).Seconds()
}
