package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/ledger"
)

// bigLedger measures over a ledger of many leaves and over one that has only
// what everything rests on, in turns, so that whatever else the machine does
// meanwhile hits both.
func bigLedger(ctx context.Context, b *bench) (err error) {
	dir := b.dir
	if dir == "" {
		dir = b.work.Path("big")
	}
	var both [2]*running
	for i, l := range []struct {
		dir    string
		leaves int64
	}{{b.work.Path("small"), 1}, {dir, b.leaves}} {
		if both[i], err = b.start(ctx, l.dir, l.leaves); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, both[i].close()) }()
	}
	for range b.size.calls {
		for _, l := range both {
			if err := l.people.next(ctx, l.a); err != nil {
				return err
			}
		}
	}
	small, big := both[0], both[1]
	b.figure(fmt.Sprintf("one certificate, embedded key, ledger of %d leaves", small.size), small.people.took.String(), "one caller")
	b.figure(fmt.Sprintf("the same, %d leaves", big.size), big.people.took.String(),
		times(big.people.took.quantile(0.5).Seconds(), small.people.took.quantile(0.5).Seconds())+" of the small one")
	if err := b.proving(ctx, big); err != nil {
		return err
	}
	return b.searching(ctx, big)
}

// running is an authority over a ledger that was made.
type running struct {
	s      *store.Store
	a      *authority.Authority
	c      *company
	people *pair
	size   int64 // before anything was measured
}

// start brings the ledger in dir to so many leaves and opens it.
func (b *bench) start(ctx context.Context, dir string, leaves int64) (*running, error) {
	c, err := b.grow(ctx, dir, leaves)
	if err != nil {
		return nil, err
	}
	engine, err := sqlite.Open(ctx, filepath.Join(dir, "ledger.db"))
	if err != nil {
		return nil, err
	}
	r := &running{c: c}
	if r.s, err = store.New(store.Config{Engine: engine, Now: time.Now, Rand: rand.Reader}); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	if err := r.open(ctx, dir, c); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *running) open(ctx context.Context, dir string, c *company) (err error) {
	if r.size, err = mark(ctx, dir, r.s, c); err != nil {
		return err
	}
	log, err := ledger.NewLogSigner(c.w.LogPrivate)
	if err != nil {
		return err
	}
	r.a, err = authority.Open(ctx, authority.Config{
		Store: r.s, CA: signer{c.w.CA}, Log: log, Mark: markFile(filepath.Join(dir, "mark")), Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		return err
	}
	r.people, err = newPair(ctx, r.s, c.w)
	return err
}

func (r *running) close() error {
	if r.a != nil {
		r.a.Close()
	}
	return r.s.Close()
}

// grow makes what is missing of the ledger in dir.
func (b *bench) grow(ctx context.Context, dir string, leaves int64) (c *company, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	engine, err := sqlite.Open(ctx, filepath.Join(dir, "ledger.db"))
	if err != nil {
		return nil, err
	}
	c = newCompany(time.Now().Add(-time.Duration(leaves)*usualBeat-time.Hour), 0)
	s, err := store.New(store.Config{Engine: elsewhere{engine, c}, Now: c.clock, Rand: rand.Reader})
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var head store.Head
	if err := s.Read(ctx, func(r *store.Reader) (err error) { head, err = r.Head(); return err }); err != nil {
		return nil, err
	}
	if size := head.Tree.Size; size > 0 {
		again := newCompany(time.Time{}, size)
		c.w, c.turn = again.w, again.turn
		// What is there may have come up to now: what follows must, too, and no further.
		c.beat = min(c.beat, time.Since(head.At.Time())/time.Duration(max(leaves-size, 0)+shifts*100))
		c.pass(head.At.Time().Sub(c.clock()) + c.beat)
	}
	if head.Tree.Size >= leaves {
		return c, nil
	}
	begin, told := time.Now(), time.Now()
	err = c.work(ctx, s, leaves, func(size int64) {
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			b.tell("%d of %d leaves, %s", size, leaves, rate(size-head.Tree.Size, time.Since(begin)))
		}
	})
	if err == nil && leaves > 1 {
		b.figure(fmt.Sprintf("making %d leaves, with every signature", leaves-head.Tree.Size), rate(leaves-head.Tree.Size, time.Since(begin)), "one writer, "+bytesOf(dir))
	}
	return c, err
}

// elsewhere is an engine whose clock is the company's.
type elsewhere struct {
	store.Engine
	c *company
}

// Clock returns the company's time.
func (e elsewhere) Clock() time.Time { return e.c.clock() }

func bytesOf(dir string) string {
	info, err := os.Stat(filepath.Join(dir, "ledger.db"))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.0f MB", float64(info.Size())/1e6)
}

// mark signs for what was made without an authority, and returns its size.
func mark(ctx context.Context, dir string, s *store.Store, c *company) (size int64, err error) {
	log, err := ledger.NewLogSigner(c.w.LogPrivate)
	if err != nil {
		return 0, err
	}
	err = s.Read(ctx, func(r *store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		root, err := head.Tree.Root()
		if err != nil {
			return err
		}
		note, err := log.Sign(ledger.Checkpoint{Origin: log.Origin(), Size: head.Tree.Size, Root: root})
		if err != nil {
			return err
		}
		size = head.Tree.Size
		return os.WriteFile(filepath.Join(dir, "mark"), note, 0o600)
	})
	return size, err
}

// markFile is a mark that is as durable as sallyd's.
type markFile string

// Load returns what was saved last.
func (m markFile) Load(context.Context) ([]byte, error) { return os.ReadFile(string(m)) }

// Save replaces it.
func (m markFile) Save(ctx context.Context, old, next []byte) (err error) {
	have, err := m.Load(ctx)
	if err != nil {
		return err
	}
	if !bytes.Equal(have, old) {
		return authority.ErrMarkMoved
	}
	temp := string(m) + ".new"
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.Write(next)
	if err := errors.Join(err, f.Sync(), f.Close(), os.Rename(temp, string(m))); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(string(m)))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// proving proves random leaves against the newest checkpoint.
func (b *bench) proving(ctx context.Context, l *running) error {
	return l.s.Read(ctx, func(r *store.Reader) error {
		size, _, note, err := r.Checkpoint()
		if err != nil {
			return err
		}
		took, err := timed(b.size.proofs, func(int) error {
			_, err := ledger.Prove(mathrand.Int64N(size), size, r, note, nil)
			return err
		})
		if err == nil {
			b.figure(fmt.Sprintf("proof of a leaf of %d", size), took.String(), "random leaves")
		}
		return err
	})
}
