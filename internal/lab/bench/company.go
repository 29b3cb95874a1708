package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// The company whose ledger is made.
const (
	engineers = 500
	leads     = 50
	hosts     = 200
	// usualBeat is how much of the company's time one leaf takes: ten million leaves
	// are two years.
	usualBeat = 6 * time.Second
	// shifts is how many people work in what one transaction holds.
	shifts = 40
	// asks is how often somebody asks in a shift, renewals how many certificates
	// come of it.
	asks, renewals = 3, 2
)

// transaction is a store's transaction as the builders of recordtest know a
// ledger.
type transaction struct{ *store.Tx }

// Append adds a leaf, as store.Tx does.
func (l transaction) Append(d recordtest.Draft) (canon.Digest, error) {
	a, err := l.Tx.Append(store.Draft{Facts: d.Facts, Person: d.Person, PersonID: d.PersonID, PersonSalt: d.PersonSalt})
	return a.Hash, err
}

// company asks, decides and has certificates recorded, in a time of its own.
// Everything is signed and goes through the fold, but the certificates are not:
// no authority is asked.
type company struct {
	w         *recordtest.World
	engineers []*recordtest.User
	leads     []*recordtest.User
	turn      int
	beat      time.Duration // how much of its time one leaf takes

	mu  sync.Mutex
	now time.Time // guarded by mu
}

// newCompany is the same each time but for what it draws from now on.
func newCompany(now time.Time, size int64) *company {
	w := recordtest.New(fataler{}, "company")
	c := &company{now: now, turn: int(size), beat: usualBeat}
	for i := range engineers {
		c.engineers = append(c.engineers, w.User(fmt.Sprintf("engineer-%03d", i), "engineers"))
	}
	for i := range leads {
		c.leads = append(c.leads, w.User(fmt.Sprintf("lead-%02d", i), "leads"))
	}
	c.w = as(w, fmt.Sprintf("from leaf %d", size))
	return c
}

// as is a world with the same keys and contract that draws other ids.
func as(w *recordtest.World, seed string) *recordtest.World {
	other := recordtest.New(fataler{}, seed)
	other.LogPrivate, other.LogKey, other.CA, other.Chris, other.Dana = w.LogPrivate, w.LogKey, w.CA, w.Chris, w.Dana
	other.Version, other.Other = w.Version, w.Other
	return other
}

// Clock is the company's time.
func (c *company) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *company) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// settle appends what everything rests on.
func (c *company) settle(l transaction) error {
	c.w.Setup(l)
	for i := range hosts {
		if _, err := l.Append(recordtest.Draft{Facts: c.w.Join(l, hostNamed(i), "demo")}); err != nil {
			return err
		}
	}
	return nil
}

func hostNamed(i int) sshcert.Host { return sshcert.Host(fmt.Sprintf("web-%03d.demo", i)) }

// work lets people work until the ledger has so many leaves.
func (c *company) work(ctx context.Context, s *store.Store, until int64, tell func(int64)) error {
	for size := int64(0); size < until; {
		before := size
		err := s.Write(ctx, func(tx *store.Tx) error {
			return caught(func() error {
				l := transaction{tx}
				if l.Next() == 0 {
					return c.settle(l)
				}
				for range shifts {
					if err := c.shift(l); err != nil || l.Next() >= until {
						size = l.Next()
						return err
					}
				}
				size = l.Next()
				return nil
			})
		})
		if err != nil {
			return err
		}
		c.pass(time.Duration(max(size-before, 1)) * c.beat)
		tell(size)
	}
	return nil
}

// shift is one person's: a login, some requests that a lead allows, some
// certificates under each.
func (c *company) shift(l transaction) error {
	u, lead := c.engineers[c.turn%engineers], c.leads[c.turn%leads]
	for _, who := range []*recordtest.User{u, lead} {
		if err := c.w.LogIn(l, who); err != nil {
			return err
		}
	}
	for i := range asks {
		ask := c.w.Ask(l, u)
		ask.Doc.Hosts = []sshcert.Host{hostNamed((c.turn*7 + i) % hosts)}
		r, err := granted(l, c.w, u, lead, ask)
		if err != nil {
			return err
		}
		for range renewals {
			if err := certified(l, c.w, u, r); err != nil {
				return err
			}
		}
	}
	c.turn++
	return nil
}

func granted(l transaction, w *recordtest.World, u, lead *recordtest.User, ask recordtest.Ask) (approval.Request, error) {
	if _, err := l.Append(w.Submit(l, u, ask)); err != nil {
		return approval.Request{}, err
	}
	if _, err := l.Append(w.Decide(l, lead, w.Request(l, ask.Doc.Request), approval.Approve, 0)); err != nil {
		return approval.Request{}, err
	}
	return w.Request(l, ask.Doc.Request), nil
}

func certified(l transaction, w *recordtest.World, u *recordtest.User, r approval.Request) error {
	f, err := w.Issue(l, u, r, w.Key())
	if err != nil {
		return err
	}
	_, err = l.Append(recordtest.Draft{Facts: f})
	return err
}

// signer is a ca.Signer over a key in memory.
type signer struct{ ssh.Signer }

// Sign signs tbs.
func (s signer) Sign(_ context.Context, tbs []byte) (*ssh.Signature, error) {
	return s.Signer.Sign(rand.Reader, tbs)
}
