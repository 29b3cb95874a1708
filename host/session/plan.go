package session

import (
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
)

// warnings are how long before the end people are warned, the longest first. At 0
// the grant is over; with a grace something is left then.
var warnings = []time.Duration{5 * time.Minute, time.Minute, 0}

// Why says why a session ends.
type Why string

// Why sessions end.
const (
	Over    Why = "over"    // the grant's time is up
	Revoked Why = "revoked" // the certificate was revoked: its grant was given back or taken away
)

// Policy is what sessions are held to.
type Policy struct {
	// Grace is how long a session goes on after its grant. A revoked one ends at once.
	Grace time.Duration
	// Revoked says whether a certificate is revoked. It is required.
	Revoked func(*ssh.Certificate) bool
}

// Action is what is to be done about one session: to end it, or to warn who is in
// it.
type Action struct {
	Session canon.ID
	Ends    bool
	Why     Why           // if it ends
	Left    time.Duration // a warning: until it ends
	Level   time.Duration // a warning: which of them
}

// Plan says which sessions are to be warned or ended now. A session that no
// certificate of ours opened is never among them. warned says which warning a
// session had last; of those that are due only the last is given.
func Plan(sessions []Session, warned map[canon.ID]time.Duration, now time.Time, p Policy) []Action {
	var list []Action
	for _, s := range sessions {
		if s.Cert == nil {
			continue
		}
		end := s.End.Add(p.Grace)
		switch {
		case p.Revoked(s.Cert):
			list = append(list, Action{Session: s.ID, Ends: true, Why: Revoked})
			continue
		case !now.Before(end):
			list = append(list, Action{Session: s.ID, Ends: true, Why: Over})
			continue
		}
		level, due := lastDue(s.End, now)
		if had, ok := warned[s.ID]; due && (!ok || level < had) {
			list = append(list, Action{Session: s.ID, Left: end.Sub(now), Level: level})
		}
	}
	return list
}

// lastDue is the last warning whose time has come.
func lastDue(end, now time.Time) (time.Duration, bool) {
	for _, level := range slices.Backward(warnings) {
		if !now.Before(end.Add(-level)) {
			return level, true
		}
	}
	return 0, false
}

// Next is when Plan says something new because of the time, zero if never.
func Next(sessions []Session, now time.Time, p Policy) time.Time {
	var next time.Time
	for _, s := range sessions {
		if s.Cert == nil {
			continue
		}
		for _, at := range []time.Time{
			s.End.Add(-warnings[0]), s.End.Add(-warnings[1]), s.End, s.End.Add(p.Grace),
		} {
			if at.After(now) && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}
