package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	labpostgres "github.com/sallyport/sallyport/internal/lab/postgres"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// quick are limits for tests that wait for them to pass.
var quick = limits{
	connect: 2 * time.Second, answer: 2 * time.Second, lock: time.Second, statement: 1500 * time.Millisecond, idle: time.Second, look: 200 * time.Millisecond,
}

// pair is a primary with a standby that every commit waits for.
type pair struct {
	primary, standby *labpostgres.Cluster
	database         string
}

func newPair(t *testing.T) *pair {
	t.Helper()
	w, err := lab.NewDir()
	must(t, err)
	t.Cleanup(func() { must(t, w.Remove()) })
	p := &pair{}
	p.primary, err = labpostgres.Start(t.Context(), w, "primary")
	must(t, err)
	t.Cleanup(func() { must(t, p.primary.Close()) })
	p.database, err = makeTemplate(t.Context(), p.primary)
	must(t, err)
	p.standby, err = p.primary.Standby(t.Context(), w, "standby")
	must(t, err)
	t.Cleanup(func() { must(t, p.standby.Close()) })
	must(t, p.primary.Synchronous(t.Context(), "standby"))
	return p
}

// config names both servers; the one that takes writes is used.
func (p *pair) config() Config {
	c := configFor(p.primary, p.database)
	c.URL, c.AcceptAsynchronous = p.primary.URL(p.database, p.standby), false
	return c
}

// process is a store as one of several processes has it.
type process struct {
	*store.Store
	t *testing.T
	w *recordtest.World
}

func shared(c Config) Config {
	c.Shared = true
	return c
}

func newProcess(t *testing.T, c Config, patience time.Duration) *process {
	t.Helper()
	return newProcessOver(t, opened(t, shared(c)), patience)
}

func newAlone(t *testing.T, c Config) *process {
	t.Helper()
	return newProcessOver(t, opened(t, c), time.Minute)
}

func newProcessOver(t *testing.T, e store.Engine, patience time.Duration) *process {
	t.Helper()
	p := &process{t: t, w: recordtest.New(t, t.Name())}
	var err error
	p.Store, err = store.New(store.Config{Engine: e, Now: time.Now, Rand: p.w.Rand(), Patience: patience})
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

func ledgerOf(tx *store.Tx) storetest.Ledger { return storetest.Ledger{Tx: tx} }

func databaseOf(t *testing.T, c Config) string {
	t.Helper()
	a, err := parseAddress(c.URL)
	must(t, err)
	return a.database
}

// lookForWrite waits until a process writes.
func lookForWrite(ctx context.Context, p *process, name string) error {
	return lab.Poll(ctx, "a write of "+name, func() (bool, error) {
		err := p.join(name, nil)
		if errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrConflict) {
			return false, nil
		}
		return err == nil || errors.Is(err, record.ErrExists), err
	})
}

func (p *process) setup() {
	p.t.Helper()
	must(p.t, p.Write(p.t.Context(), func(tx *store.Tx) error {
		p.w.Setup(ledgerOf(tx))
		return nil
	}))
}

// join records a host, and counts how often that was run.
func (p *process) join(name string, ran *int) error {
	return p.Write(p.t.Context(), func(tx *store.Tx) error {
		if ran != nil {
			*ran++
		}
		_, err := tx.Append(store.Draft{Facts: p.w.Join(ledgerOf(tx), sshcert.Host(name), "demo")})
		return err
	})
}

// joining records a host in the background.
func (p *process) joining(name string, ran *int) <-chan error {
	done := make(chan error, 1)
	go func() { done <- p.join(name, ran) }()
	return done
}

// hosts returns how often each host joined, after holding the leaves to the head.
func (p *process) hosts() map[string]int {
	p.t.Helper()
	out := make(map[string]int)
	must(p.t, p.Read(p.t.Context(), func(r *store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		all, err := r.Entries(head.Tree.Size+10, 10000)
		if err != nil {
			return err
		}
		if int64(len(all)) != head.Tree.Size {
			p.t.Errorf("%d leaves, the head says %d", len(all), head.Tree.Size)
		}
		for _, e := range all {
			facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
			if err != nil {
				return err
			}
			if f, ok := facts.(record.HostJoin); ok {
				out[string(f.Name)]++
			}
		}
		return nil
	}))
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants reports an error that is not want.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// waits returns when somebody on the primary waits for an event, unless done is
// answered first: then it is an error.
func (p *pair) waits(ctx context.Context, event string, done <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	db, err := p.primary.Admin()
	if err != nil {
		return err
	}
	return lab.Poll(ctx, "a backend that waits for "+event, func() (bool, error) {
		select {
		case err := <-done:
			return false, fmt.Errorf("the write was answered: %w", err)
		default:
		}
		var n int
		err := db.QueryRowContext(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event = $2`, p.database, event).Scan(&n)
		return n > 0, err
	})
}

// onPrimary asks the primary's database past the store.
func (p *pair) onPrimary(t *testing.T, query string) (n int) {
	t.Helper()
	db, err := p.primary.AdminOf(p.database)
	must(t, err)
	must(t, errors.Join(db.QueryRowContext(t.Context(), query).Scan(&n), db.Close()))
	return n
}

// cutter passes a connection to a cluster's socket on, and cuts it at a commit:
// what happens then is exactly what happens when a network breaks there.
type cutter struct {
	listener net.Listener
	cluster  *labpostgres.Cluster

	mu  sync.Mutex
	cut func(message []byte) (forward, cut bool) // guarded by mu; asked about each message of the client's
	all []net.Conn                               // guarded by mu
}

func newCutter(t *testing.T, on *labpostgres.Cluster) *cutter {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	must(t, err)
	c := &cutter{listener: l, cluster: on}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go c.serve(client)
		}
	}()
	t.Cleanup(func() {
		must(t, l.Close())
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, conn := range c.all {
			_ = conn.Close() // most are closed already
		}
	})
	return c
}

// atCommit cuts the next connection that commits; with the commit forwarded, or
// not.
func (c *cutter) atCommit(forward bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = func(message []byte) (bool, bool) {
		if !strings.Contains(string(message), "commit\x00") {
			return true, false
		}
		c.cut = nil
		return forward, true
	}
}

func (c *cutter) serve(client net.Conn) {
	server, err := (&net.Dialer{}).DialContext(context.Background(), "unix", c.cluster.Socket())
	if err != nil {
		_ = client.Close() // the client sees that
		return
	}
	c.mu.Lock()
	c.all = append(c.all, client, server)
	c.mu.Unlock()
	go func() {
		_, _ = io.Copy(client, server) // until either ends
		_ = client.Close()
	}()
	buffer := make([]byte, 1<<20)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			_ = server.Close() // as the client did
			return
		}
		forward, cut := c.ask(buffer[:n])
		if cut {
			_ = client.Close() // before any answer can come
		}
		if forward {
			_, _ = server.Write(buffer[:n])
		}
		if cut && !forward {
			_ = server.Close() // it rolls back
		}
	}
}

func (c *cutter) ask(message []byte) (forward, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut == nil {
		return true, false
	}
	return c.cut(message)
}

// config goes through the cutter.
func (c *cutter) config(database string) Config {
	return Config{URL: fmt.Sprintf("postgres://sallyd@%s/%s?sslmode=disable", c.listener.Addr(), database), AcceptAsynchronous: true}
}

func itoa(n int) string { return fmt.Sprint(n) }

// lookFor waits until a process reads that a host has joined.
func lookFor(ctx context.Context, p *process, name string) error {
	return lab.Poll(ctx, "the host "+name, func() (bool, error) {
		found := false
		err := p.Read(ctx, func(r *store.Reader) error {
			_, err := record.Host(r, sshcert.Host(name))
			found = err == nil
			return nil
		})
		if errors.Is(err, store.ErrUnavailable) {
			err = nil // a connection that was ended
		}
		return found, err
	})
}
