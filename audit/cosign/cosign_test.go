package cosign_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/cosign"
	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/ledger/witness"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// TestPromiseP12_CosignerVouchesForAnHonestLedger tells random stories and has each
// judged in batches that are cut anywhere, with restarts in between: logins are
// opened long after they were seen, and everything stands.
func TestPromiseP12_CosignerVouchesForAnHonestLedger(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, fmt.Sprintf("honest %d", seed))
			r := rand.New(rand.NewPCG(seed, 1))
			tale := w.w.NewStory(func(_ string, n int) int { return r.IntN(n) })
			for range 60 {
				w.m.Clock += 1e6
				if r.IntN(4) == 0 {
					w.pass(tale.Pause())
				}
				_ = tale.Step(w.m) // a refused step changes nothing
				if r.IntN(5) > 0 {
					continue
				}
				w.sync()
				if err := w.judge(); err != nil {
					t.Fatalf("at %d leaves: %v", w.next(), err)
				}
				if r.IntN(3) == 0 {
					w.open()
				}
			}
			if len(w.alarms) > 0 || w.next() < 15 {
				t.Errorf("%d leaves, alarms %v", w.next(), w.alarms)
			}
		})
	}
}

// TestPromiseP12_CosignerRefusesFabrications: a server that has the database, the
// log key and the authority key makes up what it needs. Each of it gets no word,
// and an alarm that names the leaf and the rule.
func TestPromiseP12_CosignerRefusesFabrications(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		forge func(w *world) (cause int64)
		rule  string
	}{
		{"a decision of somebody who may not", func(w *world) int64 {
			r := w.askedFor()
			cause := w.next()
			w.decided(w.w.Alice, r)
			return cause
		}, "nobody decides on their own request"},
		{"a certificate on a decision that was made up", func(w *world) int64 {
			r := w.askedFor()
			cause := w.next()
			w.made(w.w.Alice, r, w.decided(w.w.Alice, r))
			return cause
		}, "nobody decides on their own request"},
		{"a certificate on no decision", func(w *world) int64 {
			r := w.askedFor()
			cause := w.next()
			w.made(w.w.Alice, r, r.Leaf)
			return cause
		}, "it is pending"},
		{"a certificate for more than was granted", func(w *world) int64 {
			r := w.w.Granted(w.m, 0)
			w.sync()
			cause := w.next()
			w.made(w.w.Alice, r, r.Decisions[0].Leaf, func(g *approval.Grant) { g.Logins = append(slices.Clone(g.Logins), "root") })
			return cause
		}, "the recorded bytes are not those of the grant"},
		{"an identity whose ID token a stranger signed", func(w *world) int64 {
			w.askedFor()
			must(w.t, w.judge())     // by keys that were asked for just now
			w.pass(10 * time.Second) // until they are asked for again
			w.signTokens(hostile.SignEC(mustEC(), false, 32))
			lead := w.w.User("dave", "leads")
			cause := w.next()
			w.forgedLogin(lead)
			ask := w.w.Ask(w.m, w.w.Alice)
			w.force(w.w.Submit(w.m, w.w.Alice, ask))
			w.decided(lead, approval.Request{ID: ask.Doc.Request, Contract: w.w.Version.Digest, Lineage: w.w.Version.Lineage(), Stages: []approval.Stage{{ID: "lead"}}})
			return cause
		}, oidc.ErrSignature.Error()},
		{"a second person with Bob's account", func(w *world) int64 {
			w.issued() // Bob decided, so who he is is known
			must(w.t, w.judge())
			twin := w.w.User("bob", "leads")
			w.pass(time.Second)
			cause := w.next()
			w.forgedLogin(twin)
			r := w.pending()
			w.decided(twin, r)
			return cause
		}, "this account belongs to another person"},
		{"groups that the ID token does not name", func(w *world) int64 {
			visitor := w.w.User("erin", "visitors")
			login := w.w.Login(w.m, visitor)
			facts, _ := login.Facts.(record.PersonLogin)
			facts.Groups = []string{"leads"}
			login.Facts, visitor.Groups = facts, []string{"leads"}
			cause := w.next()
			at := w.force(login)
			visitor.Claims = record.Claims{Login: at, Snapshot: w.force(recordtest.Draft{Facts: w.w.Snapshot(w.m, visitor, at)}), ClaimsAt: facts.ClaimsAt}
			w.decided(visitor, w.pending())
			return cause
		}, "the login is not what its ID token says: groups"},
		{"a device key that she never had", func(w *world) int64 {
			thief := *w.w.Alice
			w.pass(time.Second)
			login := w.w.Login(w.m, &thief)
			thief.Device = w.w.Key()
			facts, _ := login.Facts.(record.PersonLogin)
			facts.DeviceKey = recordtest.Wire(thief.Device.PublicKey())
			login.Facts = facts
			cause := w.next()
			thief.Claims.Login, thief.Claims.ClaimsAt = w.force(login), facts.ClaimsAt
			w.force(w.w.Submit(w.m, &thief, w.w.Ask(w.m, &thief)))
			return cause
		}, "its nonce does not commit to the device key"},
		{"more words than the reason has", func(w *world) int64 {
			draft := w.w.Submit(w.m, w.w.Alice, w.w.Ask(w.m, w.w.Alice))
			facts, _ := draft.Facts.(record.RequestSubmit)
			facts.ReasonWords = 50
			draft.Facts = facts
			cause := w.next()
			w.force(draft)
			return cause
		}, "its reason has not 50 words"},
		{"a host of its own", func(w *world) int64 {
			cause := w.next()
			join := w.w.Join(w.m, "web-1.demo", "demo")
			w.force(recordtest.Draft{Facts: join})
			return cause
		}, "it is in the ledger already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.name)
			w.sync()
			if err := w.judge(); err != nil {
				t.Fatalf("honest so far: %v", err)
			}
			cause := tt.forge(w)
			err := w.judge()
			if !errors.Is(err, witness.ErrUnjustified) || !strings.Contains(err.Error(), tt.rule) || !strings.Contains(err.Error(), fmt.Sprintf("leaf %d ", cause)) {
				t.Fatalf("%v, want ErrUnjustified by leaf %d (%s)", err, cause, tt.rule)
			}
			if len(w.alarms) == 0 || w.alarms[0].Leaf != cause || !strings.Contains(w.alarms[0].Rule, tt.rule) {
				t.Errorf("alarms %v, want leaf %d (%s) first", w.alarms, cause, tt.rule)
			}
			told := len(w.alarms)
			w.open() // the next start knows it, too
			if err := w.judge(); !errors.Is(err, witness.ErrUnjustified) || !strings.Contains(err.Error(), tt.rule) {
				t.Errorf("after a restart: %v", err)
			}
			if len(w.alarms) != 2*told {
				t.Errorf("%d alarms, and %d after a restart; each leaf is told of once by a process", told, len(w.alarms)-told)
			}
		})
	}
}

// pending is a request of Alice's behind leaves that were made up.
func (w *world) pending() approval.Request {
	w.t.Helper()
	ask := w.w.Ask(w.m, w.w.Alice)
	leaf := w.force(w.w.Submit(w.m, w.w.Alice, ask))
	return approval.Request{
		ID: ask.Doc.Request, By: w.w.Alice.Person, Contract: w.w.Version.Digest, Lineage: w.w.Version.Lineage(), Leaf: leaf, Stages: []approval.Stage{{ID: "lead"}},
	}
}

// TestPromiseP12_CosignerGoesOnWhenItIsOver: a certificate that was made up holds
// the ledger up until a minute after its end, and no longer; another leaf until the
// longest certificate would be over.
func TestPromiseP12_CosignerGoesOnWhenItIsOver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		forge func(w *world)
		over  time.Duration
	}{
		{"a certificate", func(w *world) { r := w.askedFor(); w.made(w.w.Alice, r, r.Leaf) }, 6 * time.Minute},
		{"a decision", func(w *world) { w.decided(w.w.Alice, w.askedFor()) }, 16 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "over "+tt.name)
			w.sync()
			must(t, w.judge())
			tt.forge(w)
			// Whole seconds: a certificate ends at the end of one.
			for _, at := range []time.Duration{0, tt.over - 2*time.Second} {
				w.ahead = at
				if err := w.judge(); !errors.Is(err, witness.ErrUnjustified) {
					t.Errorf("%s later: %v, want ErrUnjustified", at, err)
				}
				w.open()
			}
			w.ahead = tt.over
			if err := w.judge(); err != nil {
				t.Errorf("%s later: %v", tt.over, err)
			}
			if list := w.c.Findings(); len(list) != 0 {
				t.Errorf("it still holds up: %v", list)
			}
		})
	}
}

// TestPromiseP12_CosignerAsksForWhatIsWithheld: an opening that is not shown is no
// word; once it is shown there is one. What stays closed stays, until the owner
// accepts it.
func TestPromiseP12_CosignerAsksForWhatIsWithheld(t *testing.T) {
	t.Parallel()
	kinds := []string{"request.submit", "request.decide", "certificate.issue", "person.login", "person.snapshot"}
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "withheld "+kind)
			w.pass(time.Minute)
			must(t, w.w.LogIn(w.m, w.w.Alice))
			must(t, w.w.LogIn(w.m, w.w.Bob))
			w.issued()
			hidden := int64(-1)
			for _, e := range w.entries {
				if strings.Contains(string(e.Text), kind) {
					hidden = e.Index // the last one
				}
			}
			w.hide[hidden] = true
			err := w.judge()
			if !errors.Is(err, witness.ErrUnjustified) || !strings.Contains(err.Error(), "not shown") {
				t.Fatalf("leaf %d is withheld: %v", hidden, err)
			}
			w.open()
			if err := w.judge(); !errors.Is(err, witness.ErrUnjustified) {
				t.Errorf("it is withheld still: %v", err)
			}
			size := fileSize(t, w.dir)
			if err := w.judge(); !errors.Is(err, witness.ErrUnjustified) || fileSize(t, w.dir) != size {
				t.Errorf("asking again grew what it keeps by %d bytes, %v", fileSize(t, w.dir)-size, err)
			}
			delete(w.hide, hidden)
			w.ahead += time.Second
			if err := w.judge(); err != nil {
				t.Errorf("once it is shown: %v", err)
			}
			w.open()
			if err := w.judge(); err != nil || len(w.c.Findings()) != 0 {
				t.Errorf("after a restart: %v, %v", err, w.c.Findings())
			}
		})
	}
}

func fileSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "journal"))
	must(t, err)
	return info.Size()
}

// TestPromiseP12_ClosedCertificateHoldsUpForEver until its owner accepts it.
func TestPromiseP12_ClosedCertificateHoldsUpForEver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "closed for ever")
	w.issued()
	closed := w.next() - 1
	w.hide[closed] = true
	w.ahead = 400 * 24 * time.Hour
	err := w.judge()
	if !errors.Is(err, witness.ErrUnjustified) || !strings.Contains(err.Error(), "held until its owner accepts it") {
		t.Fatalf("%v", err)
	}
	if err := w.c.Accept(closed - 1); err == nil {
		t.Error("a leaf that stands is accepted")
	}
	must(t, w.c.Accept(closed))
	must(t, w.c.Accept(closed)) // a repeat is safe
	if err := w.judge(); err != nil {
		t.Errorf("accepted: %v", err)
	}
	w.open()
	if err := w.judge(); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	// It changed nothing: it does not stand.
	w.pass(time.Second)
	w.issued()
	w.hide[w.next()-1] = true
	if err := w.judge(); !errors.Is(err, witness.ErrUnjustified) {
		t.Errorf("the next one: %v", err)
	}
}

// TestPromiseP11_CosignerBuildsTheTree: leaves that are not those of the
// checkpoint count for nothing, whatever they say.
func TestPromiseP11_CosignerBuildsTheTree(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		bend func(w *world) func(audit.FeedPage) audit.FeedPage
	}{
		{"another leaf", func(w *world) func(audit.FeedPage) audit.FeedPage {
			return func(p audit.FeedPage) audit.FeedPage {
				p.Leaves = slices.Clone(p.Leaves)
				last := len(p.Leaves) - 1
				p.Leaves[last].Text = w.entries[1].Text
				return p
			}
		}},
		{"no leaf", func(*world) func(audit.FeedPage) audit.FeedPage {
			return func(p audit.FeedPage) audit.FeedPage {
				p.Leaves = slices.Clone(p.Leaves)
				p.Leaves[0].Text = []byte("x")
				return p
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, tt.name)
			w.sync()
			must(t, w.judge())
			w.issued()
			w.bend = tt.bend(w)
			if err := w.judge(); !errors.Is(err, cosign.ErrLeaves) || !errors.Is(err, witness.ErrUnjustified) {
				t.Fatalf("%v, want ErrLeaves", err)
			}
			if w.c.Size() != w.last.Size {
				t.Errorf("it keeps %d leaves of which %d are under a root", w.c.Size(), w.last.Size)
			}
			w.bend = nil
			if err := w.judge(); err != nil {
				t.Errorf("with its own leaves: %v", err)
			}
			older := w.last
			older.Size--
			if err := w.c.Judge(t.Context(), older, older); err == nil || !strings.Contains(err.Error(), "does not go back") {
				t.Errorf("an older checkpoint: %v", err)
			}
			other := w.last
			other.Root[0] ^= 1
			if err := w.c.Judge(t.Context(), w.last, other); !errors.Is(err, cosign.ErrLeaves) {
				t.Errorf("another root: %v", err)
			}
		})
	}
}

// TestPromiseP15_WhatIsShownIsSealed looks for the same in what it puts aside while
// it is shown a ledger that does not fit into one answer.
func TestPromiseP15_WhatIsShownIsSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "sealed")
	w.issued()
	w.issued()
	looked := 0
	w.bend = func(p audit.FeedPage) audit.FeedPage {
		open, err := filepath.Glob("/proc/self/fd/*")
		must(t, err)
		for _, fd := range open {
			name, err := os.Readlink(fd)
			if err != nil || !strings.HasPrefix(name, w.dir) || !strings.Contains(name, ".shown-") {
				continue
			}
			text, err := os.ReadFile(fd)
			must(t, err)
			if looked++; len(text) < 1000 || bytes.Contains(text, []byte("sub-alice")) || bytes.Contains(text, []byte("eyJ")) || bytes.Contains(text, []byte(`"facts"`)) {
				t.Errorf("%s is not sealed, or there is nothing in it: %d bytes", name, len(text))
			}
		}
		return p
	}
	must(t, w.judge())
	if looked == 0 {
		t.Error("nothing was put aside")
	}
	left, err := filepath.Glob(filepath.Join(w.dir, ".shown-*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestPromiseP12_AlarmThoughOthersCannotBeJudged: that there is no verdict about one
// leaf, or that it can't be had, does not hide another that was made up.
func TestPromiseP12_AlarmThoughOthersCannotBeJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alarm without verdict")
	w.away = oidc.ErrUnreachable
	w.issued()
	cause := w.next()
	w.force(recordtest.Draft{Facts: w.w.Join(w.m, "web-1.demo", "demo")})
	err := w.judge()
	if err == nil || !strings.Contains(err.Error(), "can't be judged yet") || len(w.alarms) != 1 || w.alarms[0].Leaf != cause {
		t.Errorf("%v, alarms %v; want no verdict, and one about leaf %d", err, w.alarms, cause)
	}
}

// TestPromiseP15_CosignerKeepsNoPersonPart looks for what people are called, and
// for ID tokens, in everything that it keeps.
func TestPromiseP15_CosignerKeepsNoPersonPart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "no person part")
	w.issued()
	must(t, w.judge())
	var files int
	must(t, filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, canary := range []string{"sub-alice", "@acme.example", "INC-42", "eyJ", "payload"} {
			if strings.Contains(string(text), canary) {
				t.Errorf("%s holds %q", d.Name(), canary)
			}
		}
		return nil
	}))
	if files < 2 {
		t.Errorf("%d files looked at", files)
	}
}

// TestPromiseP11_CosignerHoldsLeaf0ToThePin: another ledger, or another authority
// key, gets no word.
func TestPromiseP11_CosignerHoldsLeaf0ToThePin(t *testing.T) {
	t.Parallel()
	for name, bend := range map[string]func(*cosign.Config, *world){
		"another log key":       func(c *cosign.Config, w *world) { c.LogKeys = []string{w.w.LogKey[1:]} },
		"another authority key": func(c *cosign.Config, w *world) { c.UserCA = recordtest.Wire(w.w.Key().PublicKey()) },
	} {
		w := newWorld(t, name)
		w.sync()
		c := w.config()
		c.Dir = t.TempDir()
		bend(&c, w)
		other, err := cosign.Open(c)
		must(t, err)
		at := w.checkpoint()
		for range 2 {
			if err := other.Judge(t.Context(), w.last, at); !errors.Is(err, witness.ErrUnjustified) || !strings.Contains(err.Error(), "leaf 0 ") || !strings.Contains(err.Error(), "pinned") {
				t.Errorf("%s: %v, want ErrUnjustified by leaf 0", name, err)
			}
			w.ahead = 400 * 24 * time.Hour // and never otherwise
		}
		must(t, other.Close())
	}
}
