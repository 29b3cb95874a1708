// Package agent owns the loop that runs on a host: it ends sessions on time, keeps
// the revocation list, the trust bundle and the host certificate new, and tells the
// server who was let in, who left and who was refused.
//
// What it does about sessions needs no network, and nothing that needs the network is
// waited for there: each job has a goroutine, pauses and patience of its own. What the
// server sends is held to what the host pins ([trust.Next], signed lists with numbers
// that never fall), so a server that was taken over can take nothing back and give the
// host no other keys. What the host tells waits in a [Spool] until the server has it.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/ledger/trust"
)

// How often things are done, and how long one try may take.
const (
	heartbeatEvery = time.Minute
	bundleEvery    = 10 * time.Minute
	tellEvery      = 30 * time.Second
	listPause      = time.Second // between two questions that are answered at once
	patience       = 30 * time.Second
	examineEvery   = 10 * time.Minute
	// examinePatience is for sshd, which is asked about each block and user.
	examinePatience = 2 * time.Minute
	// listPatience is for a question that the server answers when there is news.
	listPatience = 90 * time.Second
	// listMost is how late a revocation may come after a server that is back.
	listMost = 20 * time.Second
)

// List is a signed revocation list as the server sends it.
type List struct {
	KRL       []byte // nil: the one that the host has
	Statement string
	Signature string // of the statement
}

// Refresher fetches what a host pins or is held to. What it returns is not believed.
type Refresher interface {
	// List returns the newest list, nil if it is the one that have speaks of and its
	// statement is not newer. It may wait for a newer one until ctx ends, which is no
	// error.
	List(ctx context.Context, have trust.KRL) (*List, error)
	// Bundles returns the bundles after number, in order; none if there is none.
	Bundles(ctx context.Context, number int64) ([][]byte, error)
}

// Reporter tells the server what happened.
type Reporter interface {
	// Tell returns when the server has recorded the events, but for those that it will
	// never take, by their place, with the reason. It may be told again what it has
	// recorded.
	Tell(ctx context.Context, events []hostcall.Event) (refused map[int]string, err error)
	// Heartbeat says how the host is set up.
	Heartbeat(ctx context.Context, body hostcall.HeartbeatBody) error
}

// Renewer keeps the host certificate valid.
type Renewer interface {
	// Renew renews it if it is time, and returns how long to wait until the next look.
	Renew(ctx context.Context) (time.Duration, error)
}

// Config says what an agent works with. The network's parts may be nil: then that is
// not done, and sessions end on time all the same.
type Config struct {
	Folder  host.Folder // what the host pins
	State   string      // the agent's own folder
	Spool   string      // the verifier's folder of alarms; empty: none
	Socket  string      // where the verifier tells of refusals; empty: nowhere
	Version string      // of sally-host
	Scopes  Scopes      // required
	Refresh Refresher
	Report  Reporter
	Renew   Renewer
	// Examine counts the ways around the verifier, as sally-host doctor does; nil: nobody
	// looks.
	Examine func(context.Context) (int64, error)
	Now     func() time.Time
	Chance  func() float64 // from 0 to below 1, by which waits are spread
	Log     *slog.Logger
}

// Agent is the loop of one host.
type Agent struct {
	Config
	lock     *os.File
	sessions session.Folder
	spool    *Spool
	pinned   *pinned
	refusals *refusals
	findings atomic.Int64  // ways around the verifier
	news     chan struct{} // there is something that the next heartbeat should not wait for
}

// New returns an agent, which has the state for itself until Close. Its folders are
// made if they are not there.
func New(c Config) (*Agent, error) {
	if c.Scopes == nil || c.Now == nil || c.Chance == nil || c.Log == nil {
		return nil, errors.New("an agent needs scopes, a clock, chance and a log")
	}
	lock, err := lockState(c.State)
	if err != nil {
		return nil, err
	}
	sessions, err := session.OpenFolder(filepath.Join(c.State, host.SessionsFolder))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	spool, err := OpenSpool(filepath.Join(c.State, host.EventsFolder))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Agent{
		Config: c, lock: lock, sessions: sessions, spool: spool,
		pinned: &pinned{folder: c.Folder, now: c.Now, log: c.Log}, refusals: newRefusals(), news: make(chan struct{}, 1),
	}, nil
}

// lockState keeps a second agent out: each would tell what the other has told.
func lockState(state string) (*os.File, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("the agent's folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(state, host.AgentLock), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the administrator names the folder
	if err != nil {
		return nil, fmt.Errorf("locking the agent's folder: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another agent; stop that one first", state), lock.Close())
	}
	return lock, nil
}

// Close gives the state back.
func (a *Agent) Close() error { return a.lock.Close() }

// Run works until ctx ends. Sessions that are being ended are ended first.
func (a *Agent) Run(ctx context.Context) {
	clerk := newClerk(a.sessions, a.spool, a.Log)
	enders := &enders{
		sessions: a.sessions, scopes: a.Scopes, now: a.Now, log: a.Log, rules: a.pinned.rules, clerk: clerk, refusals: a.refusals,
		known: map[canon.ID]*known{}, bad: map[canon.ID]bool{},
	}
	if err := a.pinned.mend(); err != nil {
		a.Log.LogAttrs(ctx, slog.LevelError, "what the host pins can't be read", slog.String("error", err.Error()))
	}
	var network, local sync.WaitGroup
	defer a.verifier(ctx, &network)()
	for _, j := range a.jobs() {
		network.Go(func() { a.repeat(ctx, j) })
	}
	writing, stop := context.WithCancel(context.WithoutCancel(ctx))
	local.Go(func() { clerk.run(writing) })
	enders.run(ctx)
	stop() // what was ended last is written down, too
	local.Wait()
	network.Wait()
}

// verifier listens to the verifier; stop ends that.
func (a *Agent) verifier(ctx context.Context, group *sync.WaitGroup) (stop func()) {
	if a.Spool != "" {
		group.Go(func() { a.raise(ctx) })
	}
	if a.Socket == "" {
		return func() {}
	}
	conn, err := a.listen(ctx)
	if err != nil {
		a.Log.LogAttrs(ctx, slog.LevelError, "refusals are not counted", slog.String("error", err.Error()))
		return func() {}
	}
	done := make(chan struct{})
	go func() { a.hear(conn); close(done) }()
	return func() {
		_ = conn.Close() // nothing is written to it
		<-done
	}
}

// jobs are what needs the network, or other programs.
func (a *Agent) jobs() []job {
	var list []job
	if a.Refresh != nil {
		list = append(list,
			job{name: "revocation list", each: listPatience, do: a.refreshList, most: listMost},
			job{name: "trust bundle", each: patience, do: a.refreshBundle})
	}
	if a.Report != nil {
		list = append(list,
			job{name: "heartbeat", each: patience, do: a.heartbeat, wake: a.news},
			job{name: "events", each: patience, do: a.tell, wake: a.spool.Woken()})
	}
	if a.Examine != nil {
		list = append(list, job{name: "looking for ways around the verifier", each: examinePatience, do: a.examine})
	}
	if a.Renew != nil {
		list = append(list, job{name: "host certificate", each: patience, do: a.Renew.Renew})
	}
	return list
}

func (a *Agent) refreshList(ctx context.Context) (time.Duration, error) {
	have, number := a.pinned.have()
	if have.Number != int64(min(number, 1<<62)) {
		have = trust.KRL{} // a crash came between the two: both are fetched again
	}
	list, err := a.Refresh.List(ctx, have)
	if err != nil || list == nil {
		return listPause, err
	}
	says, isNew, err := a.pinned.takeList(*list)
	if err != nil {
		return 0, fmt.Errorf("the server sent a revocation list that is not taken: %w", err)
	}
	if isNew {
		a.soon() // it is known then how long this took
		a.Log.LogAttrs(ctx, slog.LevelInfo, "new revocation list", slog.Int64("number", says.Number), slog.Time("made_at", says.MadeAt.Time()))
	}
	return listPause, nil
}

func (a *Agent) refreshBundle(ctx context.Context) (time.Duration, error) {
	bundle, err := a.pinned.bundle()
	if err != nil {
		return 0, err
	}
	if bundle.Expired(a.Now()) {
		a.Log.LogAttrs(ctx, slog.LevelError, "the trust bundle has expired: certificates open nothing until there is the next one",
			slog.Int64("number", bundle.Number), slog.Time("expires_at", bundle.ExpiresAt.Time()))
	}
	files, err := a.Refresh.Bundles(ctx, bundle.Number)
	if err != nil || len(files) == 0 {
		return bundleEvery, err
	}
	next, err := a.pinned.takeBundles(files)
	if err != nil {
		return 0, fmt.Errorf("the server sent another trust bundle, which is not taken: %w", err)
	}
	a.Log.LogAttrs(ctx, slog.LevelInfo, "new trust bundle", slog.Int64("number", next.Number), slog.Time("expires_at", next.ExpiresAt.Time()))
	return listPause, nil // there may be another
}

// examine looks for ways around the verifier. Where nobody can tell whether there is
// one, there is.
func (a *Agent) examine(ctx context.Context) (time.Duration, error) {
	n, err := a.Examine(ctx)
	if err != nil {
		n = max(a.findings.Load(), 1)
	}
	if before := a.findings.Swap(n); before != n {
		a.Log.LogAttrs(ctx, slog.LevelWarn, "ways around the verifier; sally-host doctor names them", slog.Int64("found", n), slog.Int64("before", before))
		a.soon()
	}
	return examineEvery, err
}

// soon has the next heartbeat come at once.
func (a *Agent) soon() {
	select {
	case a.news <- struct{}{}:
	default: // it comes
	}
}

func (a *Agent) heartbeat(ctx context.Context) (time.Duration, error) {
	return heartbeatEvery, a.Report.Heartbeat(ctx, a.status())
}

// status says how the host is set up. What can't be read is left out: the server sees
// that it is missing.
func (a *Agent) status() hostcall.HeartbeatBody {
	body := hostcall.HeartbeatBody{Mode: hostcall.Require, Verifier: a.Version, Findings: a.findings.Load(), Spooled: a.spool.Waiting()}
	if a.pinned.rules().observe {
		body.Mode = hostcall.Observe
	}
	if bundle, err := a.pinned.bundle(); err == nil {
		body.Bundle = bundle.Number
	}
	if signed, err := a.pinned.readSigned(); err == nil {
		body.KRL, body.KRLMadeAt = signed.Number, signed.MadeAt
		if info, err := os.Stat(filepath.Join(a.Folder.Path, host.KRLFile)); err == nil {
			body.KRLTakenAt = canon.At(info.ModTime())
		}
	}
	return body
}

// tell sends what waits, oldest first. What the server refuses for good is put aside,
// so that it holds up nothing else.
func (a *Agent) tell(ctx context.Context) (time.Duration, error) {
	for {
		events, n, err := a.spool.Next()
		if err != nil || n == 0 {
			return tellEvery, err
		}
		refused, err := a.Report.Tell(ctx, events)
		if err == nil {
			err = a.putAside(ctx, events, refused)
		}
		if err == nil {
			err = a.spool.Told(n)
		}
		if err != nil {
			return 0, err
		}
	}
}

func (a *Agent) putAside(ctx context.Context, events []hostcall.Event, refused map[int]string) error {
	var list []hostcall.Event
	for i, e := range events {
		if why, ok := refused[i]; ok {
			a.Log.LogAttrs(ctx, slog.LevelError, "the server refuses what it is told; it is put aside",
				slog.String("event", e.What), slog.String("session", string(e.Session)), slog.String("error", why))
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return nil
	}
	if err := a.spool.PutAside(list); !errors.Is(err, ErrSpoolFull) {
		return err
	}
	a.Log.LogAttrs(ctx, slog.LevelError, "events are lost", slog.Int64("lost", a.spool.Lost()))
	return nil
}
