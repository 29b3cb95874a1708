package killloop_test

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// TestPromiseP11_ThreeServersOneKilled: three sallyd serve one PostgreSQL database
// and share the mark in Vault. While clients have certificates made at all of them,
// one is killed and started again, and one stands still for a moment. Whoever is not
// answered goes to another server. At the end the ledger has no gap and no fork,
// everything that was answered is in it, no key has two certificates, and a person
// who voted at three servers at once has one vote.
func TestPromiseP11_ThreeServersOneKilled(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	l := &loop{Site: open(t, site.Config{Postgres: true, Replicas: 2}), t: t, ctx: t.Context(), plan: plan{engine: "postgres", rounds: 1}}
	l.data = databaseOf(l.Site)
	pin, err := client.ReadPin(l.PinFile())
	must(t, err)
	l.book = newBook(t, pin)
	l.book.several = true
	l.people = newPeople(l, 1)
	s := &servers{loop: l}
	for _, name := range []string{"sallyd-2", "sallyd-3"} {
		r, err := l.AddReplica(l.ctx, name)
		must(t, err)
		must(t, r.Serve(l.ctx))
		s.replica = append(s.replica, r)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, r := range s.replica {
				t.Logf("--- log of %s\n%.4000s", r.URL(), r.Log())
			}
		}
	})
	s.url = []string{l.URL(), s.replica[0].URL(), s.replica[1].URL()}
	must(t, l.people.cycle(l.ctx)) // logins and the first grant

	stop := s.work(3)
	s.answers(15)
	must(t, s.replica[0].Pause(l.ctx))
	time.Sleep(300 * time.Millisecond) // perhaps with the ledger's head in its hands
	must(t, s.replica[0].Resume())
	s.answers(10)
	s.replica[1].Kill()
	s.answers(15)
	must(t, s.replica[1].Serve(l.ctx))
	s.answers(15)
	stop()
	bobs := s.bobs()
	for range 3 {
		s.vote(bobs)
	}
	l.book.catchUp(l.ctx, l.people.account.Load())
	l.book.checkEvents(l.ctx, filepath.Join(l.ServerDir(), eventsFile), l.Dir.Path("sallyd-2", eventsFile), l.Dir.Path("sallyd-3", eventsFile))
	l.kill()
	for _, r := range s.replica {
		r.Kill()
	}
	l.book.compareDatabase(l.ctx, l.data)
	l.book.report(l.plan, 0, time.Since(begin))
	if s.moved.Load() == 0 {
		t.Error("no client had to go to another server: nothing was killed in the middle of anything")
	}
}

// servers are the site's own sallyd and its replicas.
type servers struct {
	*loop
	url     []string
	replica []*site.Replica
	moved   atomic.Int64 // how often a client went to another server
	made    atomic.Int64 // certificates
}

// work has so many clients at each server have certificates made, and people ask
// and decide, until stop is called.
func (s *servers) work(each int) (stop func()) {
	var ended atomic.Bool
	var all sync.WaitGroup
	for n := range each * len(s.url) {
		all.Go(func() {
			i := &issuer{loop: s.loop, rand: rand.New(rand.NewPCG(uint64(n), 2))}
			for at := n; !ended.Load(); {
				i.goTo(s.url[at%len(s.url)])
				switch err := i.cycle(s.ctx); {
				case err == nil:
					s.made.Add(1)
				case errors.Is(err, errNoAnswer):
					at++
					s.moved.Add(1)
				default:
					s.t.Errorf("issue: %v", err)
					return
				}
			}
		})
	}
	all.Go(func() {
		for !ended.Load() {
			if err := s.people.cycle(s.ctx); err != nil {
				s.t.Errorf("people: %v", err)
				return
			}
		}
	})
	return func() {
		ended.Store(true)
		all.Wait()
	}
}

// goTo has the issuer's calls go to a server.
func (i *issuer) goTo(url string) {
	i.base = url
	if i.open != nil {
		there := *i.open.account
		there.base = url
		i.open.account = &there
	}
}

// answers waits for so many certificates more.
func (s *servers) answers(n int64) {
	s.t.Helper()
	want := s.made.Load() + n
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.made.Load() < want {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("%d certificates more, want %d", n-(want-s.made.Load()), n)
		}
		if s.t.Failed() {
			s.t.FailNow()
		}
	}
}

// bobs are Bob's browsers, signed in at each server.
func (s *servers) bobs() []*robot.Robot {
	s.t.Helper()
	var out []*robot.Robot
	name, password := s.Bob.Account()
	for _, url := range s.url {
		browser, err := robot.New(&http.Transport{DisableKeepAlives: true})
		must(s.t, err)
		s.t.Cleanup(browser.Close)
		_, err = browser.LogIn(s.ctx, url+"/", name, password)
		must(s.t, err)
		out = append(out, browser)
	}
	return out
}

// vote has Bob decide on a request at every server at the same time.
func (s *servers) vote(bobs []*robot.Robot) {
	s.t.Helper()
	a := s.people.account.Load()
	must(s.t, s.people.newAsk(s.ctx, a))
	ask := s.people.ask
	s.people.ask = nil
	var filed api.Request
	must(s.t, a.call(s.ctx, "/v1/requests", ask.body, &filed))
	s.book.filed(filed)
	path := "/requests/" + string(ask.id)
	var all sync.WaitGroup
	var decided atomic.Int64
	ready := make(chan struct{})
	for n, bob := range bobs {
		page, err := bob.Get(s.ctx, s.url[n]+path)
		must(s.t, err)
		if page.Status != http.StatusOK {
			s.t.Fatalf("Bob's page at %s: status %d: %s", s.url[n], page.Status, page.Text())
		}
		all.Go(func() {
			<-ready
			after, err := bob.Submit(s.ctx, page, path+"/decisions", map[string]string{"words": ""}, "approve")
			switch {
			case err != nil:
				s.t.Errorf("Bob's decision: %v", err)
			case after.Status == http.StatusOK:
				decided.Add(1)
			case after.Status != http.StatusConflict:
				s.t.Errorf("Bob's decision: status %d: %s", after.Status, after.Text())
			}
		})
	}
	close(ready)
	all.Wait()
	if n := decided.Load(); n != 1 {
		s.t.Errorf("%d of Bob's decisions on one request were taken", n)
	}
}
