package contract

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/sshcert"
)

// MaxPlanned bounds the requests, and the people, that a plan names one by one.
// Counts are always of all.
const MaxPlanned = 1000

// PastRequest is a request of the past, with what was known when it was made.
type PastRequest struct {
	ID      canon.ID
	Person  canon.ID // who asked
	Ask     Ask
	Subject Subject // what was known of who asked
	// Approvals are those that it had, each with what was known of the approver then.
	Approvals []PastApproval
	Granted   bool     // the approvals sufficed
	Live      []uint64 // serials of its certificates that could be used now
}

// PastApproval is one approval of the past.
type PastApproval struct {
	Person  canon.ID
	Subject Subject
}

// PastPerson is somebody known, with the newest that an identity provider said.
type PastPerson struct {
	Person   canon.ID
	Subjects []Subject // one for each identity provider that spoke
}

// PlanInput is what a plan is made of. The requests and people are read from a
// ledger; the plan is a function of them, so that whoever has the same ledger
// comes to the same plan.
type PlanInput struct {
	Old, New *Terms
	Parent   canon.Digest // digest of the version whose terms Old are
	From, To time.Time    // the requests are of these days
	Requests []PastRequest
	People   []PastPerson
}

// Verdict is what terms do with a request before anybody is asked.
type Verdict string

// Verdicts of a plan.
const (
	VerdictDenied    Verdict = "denied"
	VerdictAsked     Verdict = "asked"     // people decide
	VerdictAutomatic Verdict = "automatic" // a guard grants
	VerdictUnknown   Verdict = "unknown"   // a fact is not known that the terms read
)

// Plan says what would have been different if a draft had been in force: each
// request of some past days is decided again on what was known when it was made.
// It is one step only: that people would have asked for something else is beyond
// it. What is not known is counted as unknown, never guessed.
type Plan struct {
	V        string       `json:"v"` // "sallyport.plan/v1"
	Contract string       `json:"contract"`
	Parent   canon.Digest `json:"parent"`
	Terms    canon.Digest `json:"terms"` // TermsDigest of the draft
	FromAt   canon.Micros `json:"from_at"`
	ToAt     canon.Micros `json:"to_at"`
	Requests int          `json:"requests"`
	Unknown  int          `json:"unknown"`
	// Turns counts what became what, all requests in all; sorted.
	Turns     []Turn     `json:"turns,omitempty"`
	Shorter   int        `json:"shorter"`   // let through for less time
	Lost      int        `json:"lost"`      // let through without some of their logins or hosts
	Unreached int        `json:"unreached"` // granted then; those who approved would not suffice now
	Roles     []Count    `json:"roles,omitempty"`
	Hosts     []Count    `json:"hosts,omitempty"`
	People    []Count    `json:"people,omitempty"`
	Changed   []Replayed `json:"changed,omitempty"` // the first MaxPlanned that differ, in the order in which they were made
	// Approvers are the people who may decide, or hold an office, where they may not
	// yet, or no more.
	Approvers        []Power    `json:"approvers,omitempty"`
	UnknownPeople    int        `json:"unknown_people"` // whose groups are not known
	Illegal          []Unlawful `json:"illegal,omitempty"`
	Acknowledge      []canon.ID `json:"acknowledge,omitempty"` // the first MaxPlanned whose rights or duties change
	AcknowledgeCount int        `json:"acknowledge_count"`
}

// Turn is how many requests became what.
type Turn struct {
	Old   Verdict `json:"old"`
	New   Verdict `json:"new"`
	Count int     `json:"count"`
}

// Count is how many requests differ that name a role, host or person.
type Count struct {
	ID    string `json:"id"`
	Count int    `json:"count"`
}

// Replayed is one request that the draft decides otherwise.
type Replayed struct {
	Request canon.ID `json:"request"`
	Person  canon.ID `json:"person"`
	Role    string   `json:"role"`
	Old     Verdict  `json:"old"`
	New     Verdict  `json:"new"`
	OldFor  int64    `json:"old_for_seconds,omitempty"`
	NewFor  int64    `json:"new_for_seconds,omitempty"`
	Lost    []string `json:"lost,omitempty"` // what it would have gone without
	Path    string   `json:"path,omitempty"` // by which it would be decided
	Why     string   `json:"why,omitempty"`  // the draft's refusal
	// Unreached says that those who approved it would not suffice.
	Unreached bool `json:"unreached,omitempty"`
}

// Power is a stage or office that a person gains or loses.
type Power struct {
	Person canon.ID `json:"person"`
	Where  string   `json:"where"` // such as roles.prod.paths.normal.lead or offices.auditor
	Gained bool     `json:"gained,omitempty"`
}

// Unlawful is a live certificate that the draft would not have made.
type Unlawful struct {
	Serial  uint64   `json:"serial"`
	Request canon.ID `json:"request"`
	Why     string   `json:"why"`
}

// ReadPlan reads a plan.json, every byte of which means something.
func ReadPlan(text []byte) (Plan, error) {
	var p Plan
	if err := canon.Unmarshal(text, &p); err != nil {
		return Plan{}, fmt.Errorf("%s: %w", PlanFile, err)
	}
	if p.V != planDomain {
		return Plan{}, fmt.Errorf("%s: v is %q, this release reads %s", PlanFile, strictyaml.Clip(p.V), planDomain)
	}
	again, err := canon.Marshal(p)
	if err == nil && !bytes.Equal(again, text) {
		err = errors.New("it says more, or less, than a plan of this release")
	}
	if err != nil {
		return Plan{}, fmt.Errorf("%s: %w", PlanFile, err)
	}
	return p, nil
}

// MakePlan decides past requests again. It returns an error if the draft is about
// another contract, or has no digest.
func MakePlan(in PlanInput) (Plan, error) {
	if in.Old.ID != in.New.ID {
		return Plan{}, fmt.Errorf("%w: the draft is about the contract %s, in force is %s", ErrTerms, in.New.ID, in.Old.ID)
	}
	digest, err := TermsDigest(in.New)
	if err != nil {
		return Plan{}, err
	}
	p := Plan{
		V: planDomain, Contract: in.New.ID, Parent: in.Parent, Terms: digest, FromAt: canon.At(in.From), ToAt: canon.At(in.To),
		Requests: len(in.Requests),
	}
	t := tally{turns: make(map[[2]Verdict]int), roles: make(map[string]int), hosts: make(map[string]int), people: make(map[string]int)}
	for i := range in.Requests {
		p.replay(&t, in.Old, in.New, &in.Requests[i])
	}
	for turn, n := range t.turns {
		p.Turns = append(p.Turns, Turn{Old: turn[0], New: turn[1], Count: n})
	}
	slices.SortFunc(p.Turns, func(a, b Turn) int {
		return cmp.Or(cmp.Compare(a.Old, b.Old), cmp.Compare(a.New, b.New))
	})
	p.Roles, p.Hosts, p.People = counts(t.roles), counts(t.hosts), counts(t.people)
	p.powers(in)
	return p, nil
}

// tally counts while requests are decided again.
type tally struct {
	turns                map[[2]Verdict]int
	roles, hosts, people map[string]int
}

// counts sorts by count, greatest first, and keeps MaxPlanned.
func counts(m map[string]int) []Count {
	out := make([]Count, 0, len(m))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		out = append(out, Count{ID: id, Count: m[id]})
	}
	slices.SortStableFunc(out, func(a, b Count) int { return cmp.Compare(b.Count, a.Count) })
	return out[:min(len(out), MaxPlanned)]
}

// replay decides one request under both versions.
func (p *Plan) replay(t *tally, old, draft *Terms, r *PastRequest) {
	was, is := decide(old, r), decide(draft, r)
	t.turns[[2]Verdict{was.verdict, is.verdict}]++
	if was.verdict == VerdictUnknown || is.verdict == VerdictUnknown {
		p.Unknown++
		return
	}
	unreached := r.Granted && is.path != nil && !is.path.Auto && !suffices(draft, is.path, r.Approvals)
	if len(r.Live) > 0 {
		p.unlawful(r, was, is, unreached)
	}
	shorter, lost := is.seconds < was.seconds, len(is.lost) > len(was.lost)
	through := is.verdict != VerdictDenied && was.verdict != VerdictDenied
	if through && shorter {
		p.Shorter++
	}
	if through && lost {
		p.Lost++
	}
	if unreached {
		p.Unreached++
	}
	if was.verdict == is.verdict && was.seconds == is.seconds && slices.Equal(was.lost, is.lost) && !unreached {
		return
	}
	t.roles[r.Ask.Role]++
	t.people[string(r.Person)]++
	for _, h := range r.Ask.Hosts {
		t.hosts[string(h.Name)]++
	}
	if len(p.Changed) == MaxPlanned {
		return
	}
	c := Replayed{
		Request: r.ID, Person: r.Person, Role: r.Ask.Role, Old: was.verdict, New: is.verdict,
		OldFor: was.seconds, NewFor: is.seconds, Lost: is.lost, Unreached: unreached, Why: is.why,
	}
	if is.path != nil {
		c.Path = is.path.ID
	}
	p.Changed = append(p.Changed, c)
}

// unlawful notes the live certificates of a request that the draft would not have
// let through as it stands.
func (p *Plan) unlawful(r *PastRequest, was, is decided, unreached bool) {
	why := ""
	switch {
	case is.verdict == VerdictDenied:
		why = is.why
	case is.seconds < was.seconds:
		why = fmt.Sprintf("the draft grants at most %s", FormatDuration(time.Duration(is.seconds)*time.Second))
	case len(is.lost) > len(was.lost):
		why = fmt.Sprintf("the draft does not grant %s", is.lost[0])
	case unreached:
		why = "those who approved it would not suffice"
	default:
		return
	}
	for _, serial := range r.Live {
		p.Illegal = append(p.Illegal, Unlawful{Serial: serial, Request: r.ID, Why: why})
	}
}

// decided is what terms do with a request.
type decided struct {
	verdict Verdict
	path    *Path
	seconds int64
	lost    []string // asked for and not let through, sorted
	why     string
}

// decide evaluates a request. What the terms would let through of it counts: a
// request for too long, or for a login or host too many, is cut to what they allow.
func decide(t *Terms, r *PastRequest) decided {
	allowed, err := t.Evaluate(r.Ask, r.Subject)
	ask := r.Ask
	var lost []string
	if role, ok := t.Role(ask.Role); ok && err != nil {
		ask.For = min(ask.For, role.Grant.Max, t.Ceilings.Grant)
		ask.Logins = slices.DeleteFunc(slices.Clone(ask.Logins), func(l sshcert.Login) bool { return !slices.Contains(role.Logins, l) })
		ask.Hosts = slices.DeleteFunc(slices.Clone(ask.Hosts), func(h HostLabels) bool { return !role.Matches(h.Labels) })
		if more, again := t.Evaluate(ask, r.Subject); again == nil {
			allowed, err, lost = more, nil, without(r.Ask, ask)
		}
	}
	switch {
	case err == nil && allowed.Path.Auto:
		return decided{verdict: VerdictAutomatic, path: allowed.Path, seconds: int64(ask.For / time.Second), lost: lost}
	case err == nil:
		return decided{verdict: VerdictAsked, path: allowed.Path, seconds: int64(ask.For / time.Second), lost: lost}
	case notKnown(err):
		return decided{verdict: VerdictUnknown, why: err.Error()}
	}
	return decided{verdict: VerdictDenied, why: err.Error()}
}

// notKnown tells a refusal for want of a fact from one on the facts.
func notKnown(err error) bool {
	return errors.Is(err, ErrGroupsUnknown) || errors.Is(err, ErrFactUnknown)
}

// without returns the principals of one ask that another has not, sorted.
func without(asked, kept Ask) []string {
	var out []string
	for _, h := range asked.Hosts {
		stays := slices.ContainsFunc(kept.Hosts, func(k HostLabels) bool { return k.Name == h.Name })
		for _, l := range asked.Logins {
			if !stays || !slices.Contains(kept.Logins, l) {
				out = append(out, sshcert.Principal{Login: l, Host: h.Name}.String())
			}
		}
	}
	slices.Sort(out)
	return out
}
