package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/server"
)

// crowd is how many ask for certificates at the same time.
const crowd = 32

// replay measures what an auditor waits for: the bundle of a ledger in which every
// third leaf is a certificate, checked as a whole.
func replay(ctx context.Context, b *bench) error {
	l, err := b.start(ctx, b.work.Path("replay"), 1)
	if err != nil {
		return err
	}
	bundle, err := b.bundle(ctx, l)
	if err := errors.Join(err, l.close()); err != nil {
		return err
	}
	w := l.people.w
	begin := time.Now()
	head, _, err := audit.CheckTree(ctx, bytes.NewReader(bundle), []string{w.LogKey})
	if err != nil {
		return err
	}
	b.figure("replay of tree and commitments", rate(head.Size, time.Since(begin)), fmt.Sprintf("%d leaves", head.Size))
	begin = time.Now()
	report, err := audit.Verify(ctx, bytes.NewReader(bundle), audit.Config{
		LogKeys: []string{w.LogKey}, Contracts: []canon.Digest{w.Version.Lineage()},
	})
	if err != nil {
		return err
	}
	if !report.OK() {
		return fmt.Errorf("the ledger that was made does not pass: %+v", report.Findings)
	}
	n := len(report.Certificates)
	took := time.Since(begin)
	b.figure("replay of certificates, with every signature", rate(int64(n), took), times(float64(n)/took.Seconds(), b.verifies)+" of one core's signature checks")
	return nil
}

// bundle has certificates made by a crowd and returns the export of it all.
func (b *bench) bundle(ctx context.Context, l *running) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	begin := time.Now()
	var all sync.WaitGroup
	for range crowd {
		people, err := newPair(ctx, l.s, l.people.w)
		if err != nil {
			return nil, err
		}
		all.Go(func() {
			for range b.size.replayed / crowd {
				if err := people.next(ctx, l.a); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	b.figure("certificates, each with a request and a decision, embedded key", rate(int64(b.size.replayed/crowd*crowd), time.Since(begin)), fmt.Sprintf("%d callers, in process", crowd))
	checkpoint, err := l.a.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	buffer := bufio.NewWriter(&out)
	err = l.s.Read(ctx, func(r *store.Reader) error {
		_, err := server.WriteBundle(ctx, r, checkpoint, buffer, func(store.Entry) (facts, person bool, err error) { return true, true, nil })
		return err
	})
	err = errors.Join(err, buffer.Flush())
	return out.Bytes(), err
}
