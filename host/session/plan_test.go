package session_test

import (
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/session"
)

// open is a session whose grant ends then.
func open(id canon.ID, end time.Time) session.Session {
	return session.Session{Record: session.Record{ID: id}, Cert: &ssh.Certificate{Serial: 7}, End: end}
}

func nothingRevoked(*ssh.Certificate) bool { return false }

func everythingRevoked(*ssh.Certificate) bool { return true }

func TestPromiseP09_PlanEndsWithTheGrant(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	const never = -time.Second // no warning yet
	for _, tt := range []struct {
		name    string
		before  time.Duration // the end
		grace   time.Duration
		warned  time.Duration
		revoked bool
		want    session.Action // without the session
		nothing bool
	}{
		{name: "long before", before: time.Hour, warned: never, nothing: true},
		{name: "five minutes", before: 5 * time.Minute, warned: never, want: session.Action{Left: 5 * time.Minute, Level: 5 * time.Minute}},
		{name: "five minutes, warned", before: 4 * time.Minute, warned: 5 * time.Minute, nothing: true},
		{name: "came late", before: 3 * time.Minute, warned: never, want: session.Action{Left: 3 * time.Minute, Level: 5 * time.Minute}},
		{name: "one minute", before: time.Minute, warned: 5 * time.Minute, want: session.Action{Left: time.Minute, Level: time.Minute}},
		{name: "both warnings at once", before: 30 * time.Second, warned: never, want: session.Action{Left: 30 * time.Second, Level: time.Minute}},
		{name: "one minute, warned", before: time.Second, warned: time.Minute, nothing: true},
		{name: "a moment before", before: time.Microsecond, warned: time.Minute, nothing: true},
		{name: "over", before: 0, warned: time.Minute, want: session.Action{Ends: true, Why: session.Over}},
		{name: "long over", before: -time.Hour, warned: never, want: session.Action{Ends: true, Why: session.Over}},
		{name: "over, within the grace", before: 0, grace: time.Minute, warned: time.Minute, want: session.Action{Left: time.Minute}},
		{name: "within the grace, warned", before: -time.Second, grace: time.Minute, warned: 0, nothing: true},
		{name: "the grace is over", before: -time.Minute, grace: time.Minute, warned: 0, want: session.Action{Ends: true, Why: session.Over}},
		{name: "revoked", before: time.Hour, warned: never, revoked: true, want: session.Action{Ends: true, Why: session.Revoked}},
		{name: "revoked, without a grace", before: time.Hour, grace: time.Hour, warned: never, revoked: true, want: session.Action{Ends: true, Why: session.Revoked}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := open("x", end)
			warned := map[canon.ID]time.Duration{}
			if tt.warned != never {
				warned[s.ID] = tt.warned
			}
			policy := session.Policy{Grace: tt.grace, Revoked: nothingRevoked}
			if tt.revoked {
				policy.Revoked = everythingRevoked
			}
			got := session.Plan([]session.Session{s}, warned, end.Add(-tt.before), policy)
			if tt.nothing {
				if len(got) != 0 {
					t.Errorf("Plan = %+v, want nothing", got)
				}
				return
			}
			tt.want.Session = s.ID
			if len(got) != 1 || got[0] != tt.want {
				t.Errorf("Plan = %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestPromiseP09_PlanEndsWhatIsOverAndNothingElse: whatever the sessions, exactly
// those end that a certificate opened which is revoked or over.
func TestPromiseP09_PlanEndsWhatIsOverAndNothingElse(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		now := base.Add(time.Duration(rapid.Int64Range(-7200, 7200).Draw(t, "now")) * time.Second)
		grace := time.Duration(rapid.IntRange(0, 120).Draw(t, "grace")) * time.Second
		var list []session.Session
		want := map[canon.ID]bool{}
		revoked := map[*ssh.Certificate]bool{}
		for i := range rapid.IntRange(0, 6).Draw(t, "sessions") {
			s := open(canon.ID(rune('a'+i)), base.Add(time.Duration(rapid.IntRange(-3600, 3600).Draw(t, "end"))*time.Second))
			s.Cert = &ssh.Certificate{Serial: uint64(i)}
			revoked[s.Cert] = rapid.Bool().Draw(t, "revoked")
			if rapid.Bool().Draw(t, "by a key") {
				s.Cert = nil
			}
			list = append(list, s)
			if s.Cert != nil && (revoked[s.Cert] || !now.Before(s.End.Add(grace))) {
				want[s.ID] = true
			}
		}
		ends := 0
		for _, a := range session.Plan(list, nil, now, session.Policy{Grace: grace, Revoked: func(c *ssh.Certificate) bool { return revoked[c] }}) {
			if !a.Ends {
				continue
			}
			ends++
			if !want[a.Session] {
				t.Fatalf("session %s ends, and should not", a.Session)
			}
		}
		if ends != len(want) {
			t.Fatalf("%d sessions end, want %d", ends, len(want))
		}
	})
}

// TestNextIsWhenPlanChanges: between now and Next time alone changes nothing.
func TestNextIsWhenPlanChanges(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		now := base.Add(time.Duration(rapid.Int64Range(-600, 600).Draw(t, "now")) * time.Second)
		policy := session.Policy{Grace: time.Duration(rapid.IntRange(0, 90).Draw(t, "grace")) * time.Second, Revoked: nothingRevoked}
		list := []session.Session{open("a", base), {Record: session.Record{ID: "key"}}}
		warned := map[canon.ID]time.Duration{}
		for _, a := range session.Plan(list, warned, now, policy) {
			if a.Ends {
				return
			}
			warned[a.Session] = a.Level
		}
		next := session.Next(list, now, policy)
		if next.IsZero() || !next.After(now) {
			t.Fatalf("Next = %s at %s, and the session has not ended", next, now)
		}
		if got := session.Plan(list, warned, next.Add(-time.Microsecond), policy); len(got) != 0 {
			t.Fatalf("before Next: %+v", got)
		}
		if got := session.Plan(list, warned, next, policy); len(got) != 1 {
			t.Fatalf("at Next: %+v", got)
		}
	})
}
