// Package killloop_test owns one question: what does sallyd lose when it is
// killed (kill -9) or stopped (SIGTERM) at any moment, or when its disk is full? It starts the real program
// again and again, loads it over HTTP, ends it, and holds what clients were
// answered to what the ledger says afterwards.
//
//	go test ./internal/lab/killloop -rounds 5000 -seed 7 -engine postgres
//
// A killed process loses what it had in memory, not what it had written: what a
// power cut would take from the disk cannot be seen here.
package killloop_test

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/lab/site"
)

var (
	rounds = flag.Int("rounds", 200, "how often sallyd is killed under load")
	engine = flag.String("engine", "sqlite", "where its ledger lies: sqlite or postgres")
	seed   = flag.Uint64("seed", 0, "of the moments at which it is killed; 0 draws one and prints it")
)

// issuers is how many clients ask for certificates at once.
const issuers = 4

// plan says how a loop goes.
type plan struct {
	engine   string
	rounds   int
	from, to time.Duration // sallyd is killed so long after its first answer
	starts   float64       // how many of the starts are killed before they are through
	stops    bool          // it is not killed but stopped
}

// TestPromiseP01_KillLoop kills sallyd 200 times in the middle of its work. No
// certificate that a client holds is unrecorded or void, no answered request,
// decision or login is missing, and no leaf or checkpoint is lost or changed.
func TestPromiseP01_KillLoop(t *testing.T) {
	t.Parallel()
	run(t, plan{engine: *engine, rounds: *rounds, from: 5 * time.Millisecond, to: 150 * time.Millisecond, starts: 0.1})
}

// TestPromiseP11_KilledSoonAfterTheStart kills sallyd also while it takes up the
// ledger that the last kill left: what a start mends (the checkpoint of what was
// committed, certificates that were never signed) is itself cut off. Planted
// faults are shown by this one, which takes a few seconds.
func TestPromiseP11_KilledSoonAfterTheStart(t *testing.T) {
	t.Parallel()
	run(t, plan{engine: *engine, rounds: min(30, *rounds), from: 20 * time.Millisecond, to: 80 * time.Millisecond, starts: 0.5})
}

// TestPromiseP11_KilledOverPostgres is the same over PostgreSQL, whose server goes
// on when sallyd is killed: what sallyd was at may still be committed. It has fewer
// rounds; -engine postgres has the others go over it, too.
func TestPromiseP11_KilledOverPostgres(t *testing.T) {
	t.Parallel()
	run(t, plan{engine: "postgres", rounds: min(20, *rounds), from: 20 * time.Millisecond, to: 150 * time.Millisecond, starts: 0.2})
}

// TestPromiseP14_StopUnderLoad stops sallyd in the middle of its work. What it has
// begun it finishes and answers, so that no certificate is left that nobody was
// given, and it ends well and in time.
func TestPromiseP14_StopUnderLoad(t *testing.T) {
	t.Parallel()
	run(t, plan{engine: *engine, rounds: min(20, *rounds), from: 5 * time.Millisecond, to: 150 * time.Millisecond, stops: true})
}

// loop is one run.
type loop struct {
	*site.Site
	t      *testing.T
	ctx    context.Context
	data   database
	plan   plan
	rand   *rand.Rand
	book   *book
	people *people
	issuer [issuers]*issuer
	starts int // that were killed
	down   atomic.Bool
}

func run(t *testing.T, p plan) {
	t.Helper()
	begin, from := time.Now(), *seed
	if from == 0 {
		from = rand.Uint64()
	}
	t.Logf("again with: -run %s -engine %s -rounds %d -seed %d", t.Name(), p.engine, p.rounds, from)
	l := newLoop(t, open(t, site.Config{Postgres: p.engine == "postgres"}), p, from)
	l.end()
	keepPort(t, l.URL())
	for round := range p.rounds {
		l.round(round)
	}
	must(t, l.Serve(l.ctx))
	l.book.catchUp(l.ctx, l.people.account.Load())
	l.book.checkEvents(l.ctx, filepath.Join(l.ServerDir(), eventsFile))
	l.end()
	l.book.compareDatabase(l.ctx, l.data)
	l.book.report(p, l.starts, time.Since(begin))
}

// newLoop has everybody log in at a site that serves, and Alice granted a request.
func newLoop(t *testing.T, s *site.Site, p plan, from uint64) *loop {
	t.Helper()
	l := &loop{Site: s, t: t, ctx: t.Context(), plan: p, rand: rand.New(rand.NewPCG(from, 0))}
	l.data = databaseOf(l.Site)
	pin, err := client.ReadPin(l.PinFile())
	must(t, err)
	l.book = newBook(t, pin)
	l.people = newPeople(l, from)
	for i := range l.issuer {
		l.issuer[i] = &issuer{loop: l, rand: rand.New(rand.NewPCG(from, uint64(i)+1))}
	}
	must(t, l.people.cycle(l.ctx))
	return l
}

// open is an installation that serves.
func open(t *testing.T, c site.Config) *site.Site {
	t.Helper()
	s := openEmpty(t, c)
	must(t, s.SetUp(t.Context()))
	return s
}

// openEmpty is an installation that is not set up yet.
func openEmpty(t *testing.T, c site.Config) *site.Site {
	t.Helper()
	c.Bin, c.Tell, c.Plan, c.Settings = t.TempDir(), silent{}, site.Plan{CertTTL: 5 * time.Minute}, noLimits+"\nsiem: {file: "+eventsFile+"}"
	must(t, site.Build(t.Context(), c.Bin))
	s, err := site.Open(t.Context(), c)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, log := range s.Logs(20) {
				t.Logf("--- log of %s\n%s", log.Name, log.Text)
			}
		}
		must(t, s.Close())
		if left := s.Running(context.Background()); len(left) > 0 {
			t.Errorf("still there: %s", strings.Join(left, ", "))
		}
	})
	return s
}

// noLimits lets few people from one address do more than any number of people.
const noLimits = "limits: {person_per_minute: 1000000, address_per_minute: 1000000, login_per_minute: 1000000, logins_per_minute: 1000000}"

// silent hears a story of thousands of lines.
type silent struct{}

// Typed hears nothing.
func (silent) Typed(string, string) {}

// Answered hears nothing.
func (silent) Answered(string) {}

// round starts sallyd, checks what it found, loads it and kills it.
func (l *loop) round(n int) {
	for l.rand.Float64() < l.plan.starts {
		_, err := l.Launch(l.ctx)
		must(l.t, err)
		time.Sleep(time.Duration(l.rand.Int64N(int64(60 * time.Millisecond))))
		l.kill()
		l.starts++
	}
	must(l.t, l.Serve(l.ctx))
	l.book.catchUp(l.ctx, l.people.account.Load())
	if n%20 == 19 {
		l.people.aliceDue, l.people.bobDue = true, true
	}
	l.load(l.plan.from + time.Duration(l.rand.Int64N(int64(l.plan.to-l.plan.from))))
	l.book.checkMark(l.ctx, l.ServerDir(), l.data)
	if l.t.Failed() {
		l.t.Fatalf("in round %d of %d", n+1, l.plan.rounds)
	}
}

// load lets everybody work until sallyd is ended, so long after its first answer.
func (l *loop) load(until time.Duration) {
	l.down.Store(false)
	first := l.book.nextAnswer()
	var all sync.WaitGroup
	work := func(name string, cycle func(context.Context) error) {
		all.Go(func() {
			for {
				err := cycle(l.ctx)
				if err == nil {
					continue
				}
				// What fails before the kill is no consequence of it.
				if !l.down.Load() || !errors.Is(err, errNoAnswer) {
					l.t.Errorf("%s: %v", name, err)
				}
				return
			}
		})
	}
	work("people", l.people.cycle)
	for _, i := range l.issuer {
		work("issue", i.cycle)
	}
	select {
	case <-first:
	case <-time.After(20 * time.Second):
		l.t.Error("sallyd serves and answers nothing")
	}
	time.Sleep(until)
	l.end()
	all.Wait()
}

// end kills or stops sallyd, as the plan says.
func (l *loop) end() {
	if !l.plan.stops {
		l.kill()
		return
	}
	l.down.Store(true)
	if err := l.StopServing(); err != nil {
		l.t.Error(err)
	}
	if log := l.Logs(5)[0].Text; strings.Contains(log, "requests cut off") {
		l.t.Errorf("it did not finish what it had begun:\n%s", log)
	}
}

func (l *loop) kill() {
	l.down.Store(true)
	l.Kill()
}

// keepPort keeps sallyd's port from becoming another connection's while sallyd
// is down: a socket that is bound and does not listen is in nobody's way but
// theirs.
func keepPort(t *testing.T, address string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	must(t, err)
	t.Cleanup(func() { must(t, unix.Close(fd)) })
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must(t, unix.Bind(fd, &unix.SockaddrInet4{Port: portOf(t, address), Addr: [4]byte{127, 0, 0, 1}}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	must(t, err)
	return text
}
