package recordtest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Story is a random walk: people log in, ask, decide, fall silent and have
// certificates made. It begins after Setup.
type Story struct {
	// Pick returns a number from 0 to n−1.
	Pick func(label string, n int) int

	w        *World
	people   []*User
	requests []canon.ID
	serials  []uint64
	taken    map[string]int // steps that were allowed, by name
}

// NewStory returns a story of w's people, as they are now. What becomes of them
// in the story does not change w.
func (w *World) NewStory(pick func(label string, n int) int) *Story {
	s := &Story{Pick: pick, w: w, taken: make(map[string]int)}
	for _, u := range []*User{w.Alice, w.Bob, w.Carol} {
		again := *u
		s.people = append(s.people, &again)
	}
	return s
}

// Taken returns how often each kind of step was allowed.
func (s *Story) Taken() map[string]int { return s.taken }

// Pause is how long the clock goes on before the next step.
func (s *Story) Pause() time.Duration {
	pauses := []time.Duration{0, time.Second, 20 * time.Second, 40 * time.Second, 2 * time.Minute, 3 * time.Minute, 16 * time.Minute}
	return pauses[s.Pick("pause", len(pauses))]
}

// Step tries one random step. It returns the fold's refusal, if that is what
// came of it; the story goes on as if nothing had been tried.
func (s *Story) Step(l Ledger) error {
	steps := []struct {
		name   string
		weight int
		do     func(Ledger) error
	}{
		{"log in", 3, s.logIn},
		{"submit", 4, s.submit},
		{"decide", 7, s.decide},
		{"issue", 4, s.issue},
		{"expire", 2, s.expire},
		{"cancel", 2, s.cancel},
		{"void", 1, s.void},
		{"join", 1, s.join},
		{"revoke", 1, s.revoke},
		{"lock", 1, s.lock},
	}
	total := 0
	for _, step := range steps {
		total += step.weight
	}
	n := s.Pick("step", total)
	for _, step := range steps {
		if n -= step.weight; n < 0 {
			err := step.do(l)
			if err == nil {
				s.taken[step.name]++
				return nil
			}
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// errNothing says that the story has nothing to do the step with.
var errNothing = errors.New("nothing there yet")

func (s *Story) person() *User { return s.people[s.Pick("person", len(s.people))] }

func (s *Story) logIn(l Ledger) error {
	was := s.person()
	u := *was
	if s.Pick("groups change", 3) == 0 {
		sets := [][]string{{"engineers"}, {"leads"}, {"leads", "owners"}, {"engineers", "leads"}, nil}
		u.Groups = sets[s.Pick("groups", len(sets))]
		u.GroupsKnown = u.Groups != nil || s.Pick("groups known", 2) == 0
	}
	if s.Pick("new device", 4) == 0 {
		u.Device = s.w.Key()
	}
	if err := s.w.LogIn(l, &u); err != nil {
		return err
	}
	*was = u
	return nil
}

// submit goes from person to person until somebody may ask.
func (s *Story) submit(l Ledger) error {
	role, hosts, seconds := s.Pick("role", 3), s.Pick("hosts", 3), []int64{600, 60, 1800, 4000}[s.Pick("seconds", 4)]
	first := s.Pick("person", len(s.people))
	var err error
	for i := range s.people {
		u := s.people[(first+i)%len(s.people)]
		a := s.w.Ask(l, u)
		a.Doc.Seconds = seconds
		if role == 0 {
			a.Doc.Role, a.Doc.Logins = "admin", []sshcert.Login{"root"}
		}
		if hosts == 0 {
			a.Doc.Hosts = append(a.Doc.Hosts, "web-2.demo")
		}
		if _, err = l.Append(s.w.Submit(l, u, a)); err == nil {
			s.requests = append(s.requests, a.Doc.Request)
			return nil
		}
	}
	return err
}

// recent returns the newest requests, beginning at a random one.
func (s *Story) recent(l Ledger) []approval.Request {
	ids := slices.Clone(s.requests[max(0, len(s.requests)-3):])
	if len(ids) == 0 {
		return nil
	}
	first := s.Pick("request", len(ids))
	var out []approval.Request
	for _, id := range append(ids[first:], ids[:first]...) {
		out = append(out, s.w.Request(l, id))
	}
	return out
}

// decide goes from request to request and from person to person until somebody
// may: most combinations are refused.
func (s *Story) decide(l Ledger) error {
	verdict := approval.Approve
	if s.Pick("deny", 6) == 0 {
		verdict = approval.Deny
	}
	seconds := []int64{0, 0, 30, 300, 900}[s.Pick("narrow", 5)]
	first := s.Pick("person", len(s.people))
	err := errNothing
	for _, r := range s.recent(l) {
		for i := range s.people {
			u := s.people[(first+i)%len(s.people)]
			if _, err = l.Append(s.w.Decide(l, u, r, verdict, seconds)); err == nil {
				return nil
			}
		}
	}
	return err
}

func (s *Story) issue(l Ledger) error {
	err := errNothing
	for _, r := range s.recent(l) {
		i := slices.IndexFunc(s.people, func(u *User) bool { return u.Person == r.By })
		var f record.CertificateIssue
		if f, err = s.w.Issue(l, s.people[i], r, s.w.Key()); err != nil {
			continue
		}
		if _, err = l.Append(Draft{Facts: f}); err == nil {
			s.serials = append(s.serials, f.Serial)
			return nil
		}
	}
	return err
}

func (s *Story) void(l Ledger) error {
	if len(s.serials) == 0 {
		return errNothing
	}
	row, err := record.Certificate(l, s.serials[s.Pick("serial", len(s.serials))])
	if err != nil {
		return err
	}
	_, err = l.Append(Draft{Facts: s.w.Void(l, row)})
	return err
}

func (s *Story) expire(l Ledger) error {
	err := errNothing
	for _, r := range s.recent(l) {
		if _, err = l.Append(Draft{Facts: s.w.Expire(l, r)}); err == nil {
			return nil
		}
	}
	return err
}

// cancel is tried by the requester, now and then in a browser.
func (s *Story) cancel(l Ledger) error {
	err := errNothing
	for _, r := range s.recent(l) {
		i := slices.IndexFunc(s.people, func(u *User) bool { return u.Person == r.By })
		u := *s.people[i]
		if s.Pick("in a browser", 3) == 0 {
			u.Device = nil
			if u.Claims.Login, err = l.Append(s.w.Login(l, &u)); err != nil {
				return err
			}
		}
		if _, err = l.Append(Draft{Facts: s.w.Cancel(l, &u, r)}); err == nil {
			return nil
		}
	}
	return err
}

func (s *Story) join(l Ledger) error {
	name := sshcert.Host(fmt.Sprintf("web-%d.demo", 1+s.Pick("host", 6)))
	_, err := l.Append(Draft{Facts: record.Facts(s.w.Join(l, name, []string{"demo", "prod"}[s.Pick("env", 2)]))})
	return err
}
