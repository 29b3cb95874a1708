package agent_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// bubble runs a test with a clock of its own. The folders are made outside of it.
func bubble(t *testing.T, test func(t *testing.T, f *farm)) {
	t.Helper()
	f := newFarm(t)
	synctest.Test(t, func(t *testing.T) {
		f.t = t
		f.begin()
		test(t, f)
	})
}

// TestPromiseP09_SessionsEndWithTheirGrants, to the moment, whether or not a server
// answers; sessions by keys do not.
func TestPromiseP09_SessionsEndWithTheirGrants(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*server){
		"the server answers":      func(*server) {},
		"the server is away":      func(s *server) { s.down = true },
		"the server says nothing": func(s *server) { s.hangs = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, f *farm) {
				fault(f.serv)
				start := clock()
				end := start.Add(10*time.Minute + 500*time.Millisecond).Truncate(time.Second)
				first := f.login(7, end)
				key := f.login(0, time.Time{})
				stop := f.run()
				time.Sleep(90 * time.Second)
				later := f.login(8, end.Add(10*time.Minute)) // it comes while the agent runs
				time.Sleep(end.Sub(clock()) - time.Millisecond)
				synctest.Wait()
				if _, ended := f.fake.ending(first); ended {
					t.Fatal("the session ended before its grant")
				}
				time.Sleep(2 * time.Millisecond)
				synctest.Wait()
				got, ended := f.fake.ending(first)
				if !ended || !got.at.Equal(end) || got.why != session.Over {
					t.Fatalf("ended %t, %+v; want at %s", ended, got, end)
				}
				time.Sleep(11 * time.Minute)
				synctest.Wait()
				if got, ended := f.fake.ending(later); !ended || !got.at.Equal(end.Add(10*time.Minute)) {
					t.Errorf("the later session: %t, %+v", ended, got)
				}
				if _, ended := f.fake.ending(key); ended {
					t.Error("a session by a key was ended")
				}
				if len(f.fake.warned) < 2 || f.fake.warned[0].left != 5*time.Minute || f.fake.warned[1].left != time.Minute {
					t.Errorf("warnings: %+v", f.fake.warned)
				}
				stop()
			})
		})
	}
}

// TestPromiseP09_RevokedSessionsEnd as soon as a list comes, by the agent or by other
// ways, and without a grace; nobody else does.
func TestPromiseP09_RevokedSessionsEnd(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		config := f.world.Config()
		config.GraceSeconds = 600
		text, err := config.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		f.put(host.ConfigFile, text)
		end := clock().Add(10 * time.Minute)
		revoked, by, other := f.login(7, end), f.login(8, end), f.login(9, end)
		stop := f.run()
		time.Sleep(time.Minute)
		at := clock()
		list := f.list(20, 7)
		f.serv.set(func() { f.serv.list = &list })
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got, ended := f.fake.ending(revoked); !ended || got.why != session.Revoked || got.at.Sub(at) > 3*time.Second {
			t.Errorf("revoked: %t, %+v", ended, got)
		}
		if f.read(host.KRLFile) != string(list.KRL) {
			t.Error("sshd reads another list")
		}
		f.put(host.KRLFile, f.list(21, 7, 8).KRL) // by hand
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got, ended := f.fake.ending(by); !ended || got.why != session.Revoked {
			t.Errorf("revoked by hand: %t, %+v", ended, got)
		}
		if _, ended := f.fake.ending(other); ended {
			t.Error("a session that is not revoked was ended")
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if got, ended := f.fake.ending(other); !ended || got.at.Before(end.Add(10*time.Minute)) {
			t.Error("the grace was not given")
		}
		stop()
	})
}

// TestPromiseP09_AnOlderListTakesNothingBack, wherever it comes from.
func TestPromiseP09_AnOlderListTakesNothingBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		old, list := f.list(20), f.list(21, 7)
		f.serv.set(func() { f.serv.list = &list })
		stop := f.run()
		time.Sleep(10*time.Second + 500*time.Millisecond)
		f.serv.set(func() { f.serv.list = &old })
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if f.read(host.KRLFile) != string(list.KRL) || !f.log.has("older than the one that is here") {
			t.Error("the older list was taken, or nothing was said")
		}
		f.put(host.KRLFile, old.KRL)
		time.Sleep(5 * time.Second)
		id := f.login(7, clock().Add(time.Hour))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got, ended := f.fake.ending(id); !ended || got.why != session.Revoked {
			t.Errorf("after an older list was put there: %t, %+v", ended, got)
		}
		f.put(host.KRLFile, []byte("not a list"))
		time.Sleep(5 * time.Second)
		again := f.login(7, clock().Add(time.Hour))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if _, ended := f.fake.ending(again); !ended || !f.log.has("the one before goes on to count") {
			t.Error("a list that can't be read revoked nothing")
		}
		stop()
	})
}

// TestWarningsWaitForTheTerminal: a session is recorded before it has one.
func TestWarningsWaitForTheTerminal(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		f.fake.blind = 3
		f.login(7, clock().Add(4*time.Minute))
		stop := f.run()
		time.Sleep(8 * time.Second)
		synctest.Wait()
		if n := len(f.fake.warned); n != 1 {
			t.Errorf("warned %d times, want once", n)
		}
		f.fake.mu.Lock()
		f.fake.blind = 1000 // later there is none, and nobody looks again and again
		f.fake.mu.Unlock()
		time.Sleep(220 * time.Second)
		synctest.Wait()
		if n := 1000 - f.fake.blind; n != 1 {
			t.Errorf("%d more looks for a terminal, want one", n)
		}
		stop()
	})
}

// TestObserveEndsNothing: it says once what would be ended.
func TestObserveEndsNothing(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		config := f.world.Config()
		config.Mode = host.Observe
		text, err := config.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		f.put(host.ConfigFile, text)
		id := f.login(7, clock().Add(time.Minute))
		stop := f.run()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if _, ended := f.fake.ending(id); ended || len(f.fake.warned) > 0 {
			t.Error("a session was ended or warned")
		}
		if !f.log.has("would be ended, in mode require") {
			t.Error("nothing was said")
		}
		// Without a host.json nothing is only observed.
		if err := os.Remove(filepath.Join(f.agent.Folder.Path, host.ConfigFile)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, ended := f.fake.ending(id); !ended {
			t.Error("without a host.json the session goes on")
		}
		stop()
	})
}

// TestOneSessionHoldsUpNoOther, that can't be killed or is not killed at once.
func TestPromiseP09_OneSessionHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		f.fake.fail = 3
		f.fake.hang = make(chan struct{})
		end := clock().Add(time.Minute).Truncate(time.Second)
		first, second := f.login(7, end), f.login(8, end)
		stop := f.run()
		time.Sleep(70 * time.Second)
		synctest.Wait()
		close(f.fake.hang)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, id := range []canon.ID{first, second} {
			if _, ended := f.fake.ending(id); !ended {
				t.Errorf("session %s goes on", id)
			}
		}
		if !f.log.has("could not be ended, tried again") {
			t.Error("nothing was said")
		}
		stop()
	})
}

// TestWhatIsTold: a session that was left, one that was lost, one whose children went
// on, one that was ended, one by a key; each once, in order, and then forgotten.
func TestWhatIsTold(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		hour := clock().Add(time.Hour)
		gone, lost, lingers := f.login(7, hour), f.login(8, hour), f.login(9, hour)
		over, key := f.login(10, clock().Add(10*time.Minute).Truncate(time.Second)), f.login(0, time.Time{})
		token := canon.B64(sshcerttest.NewToken(t, ssh.KeyAlgoSKED25519, "ssh:").PublicKey().Marshal())
		offline := f.loginBy(token)
		stop := f.run()
		time.Sleep(10*time.Second + 500*time.Millisecond)
		closed := canon.At(clock())
		for _, id := range []canon.ID{gone, lingers, key, offline} {
			if err := f.sessions().Close(id, closed); err != nil {
				t.Fatal(err)
			}
		}
		f.fake.mu.Lock() // between two looks
		f.fake.over[gone], f.fake.over[lost], f.fake.over[key], f.fake.over[offline] = true, true, true, true
		f.fake.mu.Unlock()
		time.Sleep(10 * time.Second)
		later := canon.At(clock())
		f.fake.mu.Lock()
		f.fake.over[lingers] = true
		f.fake.mu.Unlock()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		stop()
		find := func(what string, id canon.ID) hostcall.Event {
			t.Helper()
			var found []hostcall.Event
			for _, e := range f.serv.events() {
				if e.What == what && e.Session == id {
					found = append(found, e)
				}
			}
			if len(found) != 1 {
				t.Fatalf("%s of %s was told %d times", what, id, len(found))
			}
			return found[0]
		}
		for id, serial := range map[canon.ID]uint64{gone: 7, lost: 8, lingers: 9, over: 10, key: 0} {
			if e := find(hostcall.Opened, id); e.Serial != serial || e.Login != "ops" {
				t.Errorf("opened: %+v", e)
			}
		}
		if e := find(hostcall.Closed, gone); e.How != hostcall.Left || e.ClosedAt != closed {
			t.Errorf("left: %+v, want at %d", e, closed)
		}
		if e := find(hostcall.Closed, lost); e.How != hostcall.Lost || e.ClosedAt < closed {
			t.Errorf("lost: %+v", e)
		}
		if e := find(hostcall.Closed, lingers); e.How != hostcall.Left || e.ClosedAt < later {
			t.Errorf("children went on until %d: %+v", later, e)
		}
		if e := find(hostcall.Closed, over); e.How != hostcall.Over {
			t.Errorf("ended: %+v", e)
		}
		find(hostcall.Closed, key)
		if e := find(hostcall.Offline, offline); e.Login != "ops" || e.Key != token || e.Serial != 0 {
			t.Errorf("opened by an offline key: %+v", e)
		}
		find(hostcall.Closed, offline)
		if open, closed, err := f.sessions().IDs(); err != nil || len(open)+len(closed) != 0 {
			t.Errorf("records are left: %v %v %v", open, closed, err)
		}
	})
}

// TestNothingIsForgottenInACrash: an agent that stops anywhere tells the rest when it
// comes back, after however long.
func TestNothingIsForgottenInACrash(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		f.serv.set(func() { f.serv.down = true })
		id := f.login(7, clock().Add(time.Minute))
		stop := f.run()
		time.Sleep(2 * time.Minute)
		stop()
		f.serv.set(func() { f.serv.down = false })
		stop = f.run()
		time.Sleep(time.Minute)
		stop()
		var what []string
		for _, e := range f.serv.events() {
			if e.Session == id {
				what = append(what, e.What)
			}
		}
		if !slices.Equal(what, []string{hostcall.Opened, hostcall.Closed}) {
			t.Errorf("told: %v", what)
		}
	})
}

// TestAServerThatIsAwayIsAskedLessAndLess.
func TestAServerThatIsAwayIsAskedLessAndLess(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		f.serv.set(func() { f.serv.down = true })
		f.login(7, clock().Add(100*time.Hour))
		stop := f.run()
		time.Sleep(time.Hour)
		synctest.Wait()
		calls := len(f.serv.calls)
		if calls < 8 || calls > 30 {
			t.Errorf("%d calls in an hour in which the server was away", calls)
		}
		f.serv.set(func() { f.serv.down = false })
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if len(f.serv.events()) != 1 || len(f.serv.beats) == 0 {
			t.Errorf("after the server came back: %d events, %d heartbeats", len(f.serv.events()), len(f.serv.beats))
		}
		stop()
	})
}

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		list := f.list(20, 7)
		f.serv.set(func() { f.serv.list = &list })
		f.agent.Examine = func(context.Context) (int64, error) { return 3, nil }
		stop := f.run()
		time.Sleep(90 * time.Second)
		stop()
		last := f.serv.beats[len(f.serv.beats)-1]
		if last.Mode != hostcall.Require || last.Verifier != "0.1.0" || last.Findings != 3 || last.Bundle != 1 || last.KRL != 20 || last.KRLMadeAt == 0 || last.KRLTakenAt == 0 {
			t.Errorf("heartbeat %+v", last)
		}
	})
}

// TestPromiseP08_AHostSaysWhatItsDoctorFinds, at once, and that something is wrong where
// nobody can look.
func TestPromiseP08_AHostSaysWhatItsDoctorFinds(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		var found int64
		var broken error
		f.agent.Examine = func(context.Context) (int64, error) {
			f.serv.mu.Lock()
			defer f.serv.mu.Unlock()
			return found, broken
		}
		said := func() int64 {
			f.serv.mu.Lock()
			defer f.serv.mu.Unlock()
			return f.serv.beats[len(f.serv.beats)-1].Findings
		}
		stop := f.run()
		defer stop()
		time.Sleep(time.Minute)
		if n := said(); n != 0 {
			t.Errorf("it says that there are %d", n)
		}
		f.serv.set(func() { found = 2 })
		time.Sleep(15 * time.Minute)
		if n := said(); n != 2 {
			t.Errorf("it says that there are %d, its doctor found 2", n)
		}
		f.serv.set(func() { found, broken = 0, errors.New("sshd does not answer") })
		time.Sleep(15 * time.Minute)
		if n := said(); n == 0 {
			t.Error("nobody could look, and it says that there is nothing")
		}
		f.serv.set(func() { broken = nil })
		time.Sleep(30 * time.Minute)
		if n := said(); n != 0 {
			t.Errorf("it was mended, and it says that there are %d", n)
		}
	})
}

// TestPromiseP09_AHostSaysAtOnceThatItRefuses what a new list has revoked, and does not
// wait for its next heartbeat.
func TestPromiseP09_AHostSaysAtOnceThatItRefuses(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		first, second := f.list(20), f.list(21, 7)
		f.serv.set(func() { f.serv.list = &first })
		stop := f.run()
		time.Sleep(10 * time.Second)
		f.serv.set(func() { f.serv.list = &second })
		time.Sleep(5 * time.Second)
		stop()
		if last := f.serv.beats[len(f.serv.beats)-1]; last.KRL != 21 {
			t.Errorf("five seconds later its last word is about list %d", last.KRL)
		}
	})
}

// TestRefusedEventsArePutAside, and hold up nothing.
func TestRefusedEventsArePutAside(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, f *farm) {
		hour := clock().Add(time.Hour)
		f.serv.set(func() { f.serv.down = true })
		good, bad, last := f.login(7, hour), f.login(8, hour), f.login(9, hour)
		f.serv.set(func() { f.serv.refuses = string(bad) })
		stop := f.run()
		time.Sleep(5 * time.Second)
		f.serv.set(func() { f.serv.down = false })
		time.Sleep(10 * time.Minute)
		stop()
		var got []canon.ID
		for _, e := range f.serv.events() {
			got = append(got, e.Session)
		}
		slices.Sort(got)
		want := []canon.ID{good, last}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
		if aside, err := filepath.Glob(filepath.Join(f.agent.State, host.EventsFolder, "*.aside")); err != nil || len(aside) != 1 {
			t.Errorf("put aside: %v, %v", aside, err)
		}
	})
}
