// Package approval owns the way from a request over decisions to a grant: a
// state machine over values.
//
// A request is pending, granted, denied, expired, cancelled or revoked. What it is
// follows from the decisions, the cancellation and the revocation that it carries
// and from the moment of asking; nothing is stored that could disagree with them. Each
// function takes values and the time, and returns values or a refusal that says
// what would have passed. A settled request never changes, a decision may narrow
// a request but never widen it, nobody decides on their own request, one person
// counts once, and nobody but the requester cancels.
package approval

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// Reasons why a decision, a cancellation or a grant is refused.
var (
	ErrSelfApproval = errors.New("nobody decides on their own request")
	ErrDecidedTwice = errors.New("you have decided on this request already")
	ErrSettled      = errors.New("this request is settled")
	ErrNotEligible  = errors.New("you are not among those who decide on this request")
	ErrWidening     = errors.New("a decision may narrow a request, never widen it")
	ErrDecision     = errors.New("not a decision")
	ErrNotRequester = errors.New("a request is cancelled by the account that made it")
	ErrNotGranted   = errors.New("this request is not granted")
	ErrGrantOver    = errors.New("the grant is over")
	ErrRevoked      = errors.New("it was revoked")
)

// State is where a request stands.
type State string

// The states of a request.
const (
	Pending   State = "pending"
	Granted   State = "granted"
	Denied    State = "denied"
	Expired   State = "expired"
	Cancelled State = "cancelled"
	Revoked   State = "revoked"
	Ended     State = "ended" // by an amendment, or with the contract
)

// Verdict is an approver's yes or no.
type Verdict string

// The verdicts.
const (
	Approve Verdict = "approve"
	Deny    Verdict = "deny"
)

// Stage is one stage of the decision path, copied from the contract version
// when the request was made.
type Stage struct {
	ID      string   `json:"id"`
	From    []string `json:"from"`            // groups of the contract
	Quorum  int      `json:"quorum"`          // distinct people who must approve
	Timeout int64    `json:"timeout_seconds"` // silence after which the request expires
}

// Decision is one person's verdict in one stage. It never changes.
type Decision struct {
	By      canon.ID     `json:"by"`
	Stage   string       `json:"stage"`
	Verdict Verdict      `json:"verdict"`
	Seconds int64        `json:"for_seconds,omitempty"` // narrows the grant to at most this; 0: as asked
	At      canon.Micros `json:"at"`
	Leaf    canon.Digest `json:"leaf,omitzero"` // hash of the ledger leaf that recorded it
}

// Request is who wants which logins on which hosts and for how long.
type Request struct {
	ID       canon.ID        `json:"id"`
	By       canon.ID        `json:"by"`
	Contract canon.Digest    `json:"contract"` // the version that it is judged by
	Lineage  canon.Digest    `json:"lineage"`
	Role     string          `json:"role"`
	Path     string          `json:"path"`
	Logins   []sshcert.Login `json:"logins"`
	Hosts    []sshcert.Host  `json:"hosts"`
	Seconds  int64           `json:"for_seconds"`
	At       canon.Micros    `json:"at"`
	Stages   []Stage         `json:"stages,omitempty"`
	// Auto says that the guard of its path grants it at once; then it has no stages.
	Auto bool `json:"auto,omitempty"`
	// Facts are what the guards asked about, as guards write them; none if they asked
	// nothing.
	Facts     map[string]string `json:"facts,omitempty"`
	Decisions []Decision        `json:"decisions,omitempty"`
	Cancelled Cancellation      `json:"cancelled,omitzero"`
	Revoked   Revocation        `json:"revoked,omitzero"`
	Leaf      canon.Digest      `json:"leaf,omitzero"` // hash of the ledger leaf that recorded it
	// Carried are the versions that it was under before Contract, oldest first.
	Carried []Carried `json:"carried,omitempty"`
	// Ended is what ends it, zero for nothing. It follows from the contract: it is never
	// kept.
	Ended Ending `json:"-"`
}

// Status is what a request is at a moment.
type Status struct {
	State State
	Stage int       // index of the stage that is waited for, while pending
	Need  int       // approvals still missing in that stage
	At    time.Time // when it was settled; while pending, when it will expire
}

// GrantLeaf is the hash of the leaf that granted the request: of its last decision,
// or of the request itself if its path asks nobody.
func (r Request) GrantLeaf() canon.Digest {
	if n := len(r.Decisions); n > 0 {
		return r.Decisions[n-1].Leaf
	}
	return r.Leaf
}

// New returns the request, pending or granted by the guard of its path, that the contract version allows person by to
// make, or the contract's refusal (a *contract.ClauseError).
func New(v *contract.Version, ask contract.Ask, id, by canon.ID, subject contract.Subject, now time.Time) (Request, error) {
	allowed, err := v.Terms.Evaluate(ask, subject)
	if err != nil {
		return Request{}, err
	}
	r := Request{
		ID: id, By: by, Contract: v.Digest, Lineage: v.Lineage(), Role: ask.Role, Path: allowed.Path.ID,
		Logins: slices.Clone(ask.Logins), Seconds: int64(ask.For / time.Second), At: canon.At(now), Auto: allowed.Path.Auto,
	}
	if len(allowed.Facts) > 0 {
		r.Facts = allowed.Facts.Strings()
	}
	for _, h := range ask.Hosts {
		r.Hosts = append(r.Hosts, h.Name)
	}
	slices.Sort(r.Logins)
	slices.Sort(r.Hosts)
	for _, s := range allowed.Path.Stages {
		r.Stages = append(r.Stages, Stage{ID: s.ID, From: slices.Clone(s.From), Quorum: s.Quorum, Timeout: int64(s.Timeout / time.Second)})
	}
	return r, nil
}

// Status derives the state at now. A stage begins when the one before it has
// its quorum; one deny ends the request; a stage that is silent for its timeout
// expires it. The moment of the deadline itself is too late. A cancellation and a
// revocation are final, whatever else the request carries.
func (r Request) Status(now time.Time) Status {
	switch {
	case r.Cancelled.At != 0:
		return Status{State: Cancelled, At: r.Cancelled.At.Time()}
	case r.Revoked.At != 0:
		return Status{State: Revoked, At: r.Revoked.At.Time()}
	}
	s := r.decided(now)
	if end := r.Ended.At.Time(); r.Ended.At != 0 && !now.Before(end) && (s.State == Granted && s.At.Before(end) || s.State == Pending || s.State == Expired && !s.At.Before(end)) {
		return Status{State: Ended, At: end}
	}
	return s
}

// decided is what the request is by its decisions and its deadlines alone.
func (r Request) decided(now time.Time) Status {
	start, votes, stage := r.At.Time(), 0, 0
	if len(r.Stages) == 0 {
		if r.Auto && len(r.Decisions) == 0 { // the guard has granted it, when it was made
			return Status{State: Granted, At: start}
		}
		return Status{State: Expired, At: start} // no contract makes such a request, so nobody can grant it
	}
	for _, d := range r.Decisions {
		if d.Verdict == Deny {
			return Status{State: Denied, At: d.At.Time()}
		}
		votes++
		if votes == r.Stages[stage].Quorum {
			start, votes, stage = d.At.Time(), 0, stage+1
			if stage == len(r.Stages) {
				return Status{State: Granted, At: d.At.Time()}
			}
		}
	}
	deadline := start.Add(time.Duration(r.Stages[stage].Timeout) * time.Second)
	if !now.Before(deadline) {
		return Status{State: Expired, At: deadline}
	}
	return Status{State: Pending, Stage: stage, Need: r.Stages[stage].Quorum - votes, At: deadline}
}

// settled is the refusal to do something to a request of this status.
func (s Status) settled() error {
	how := "was " + string(s.State)
	switch s.State {
	case Expired:
		how = "expired"
	case Ended:
		how = "ended with a change of its contract"
	case Pending, Granted, Denied, Cancelled, Revoked:
	}
	return fmt.Errorf("it %s at %s: %w", how, s.At.Format(time.RFC3339), ErrSettled)
}

// Waiting returns the stage that decides next, false if none does.
func (r Request) Waiting(now time.Time) (Stage, bool) {
	if s := r.Status(now); s.State == Pending {
		return r.Stages[s.Stage], true
	}
	return Stage{}, false
}

// MayDecide returns nil if person by may decide on the request at now, else the
// first reason against it. terms are those of the contract version in force,
// subject what the identity provider last said about the person.
func (r Request) MayDecide(terms *contract.Terms, by canon.ID, subject contract.Subject, now time.Time) error {
	status := r.Status(now)
	switch {
	case r.By == by:
		return ErrSelfApproval
	case slices.ContainsFunc(r.Decisions, func(d Decision) bool { return d.By == by }):
		return ErrDecidedTwice
	case status.State == Ended && r.Ended.Why != nil:
		return fmt.Errorf("%w: %w", status.settled(), r.Ended.Why)
	case status.State != Pending:
		return status.settled()
	}
	stage := r.Stages[status.Stage]
	switch eligible, err := terms.Eligible(subject, contract.Stage{ID: stage.ID, From: stage.From}); {
	case err != nil:
		return err
	case eligible:
		return nil
	}
	return fmt.Errorf("stage %s is decided by %s: %w", stage.ID, strings.Join(stage.From, " or "), ErrNotEligible)
}

// CheckAccounts returns nil unless one of a human's accounts made the request or
// decided on it before. The accounts count as one where that denies; a vote is
// always that of the account that cast it.
func (r Request) CheckAccounts(accounts []canon.ID) error {
	if slices.Contains(accounts, r.By) {
		return ErrSelfApproval
	}
	if slices.ContainsFunc(r.Decisions, func(d Decision) bool { return slices.Contains(accounts, d.By) }) {
		return ErrDecidedTwice
	}
	return nil
}

// Decide returns the request with decision d added. It refuses a decision by
// the requester, by somebody who decided before, by somebody the stage does not
// name, on a settled request, or for longer than was asked. r is not changed.
func (r Request) Decide(terms *contract.Terms, d Decision, subject contract.Subject) (Request, error) {
	now := d.At.Time()
	if err := r.MayDecide(terms, d.By, subject, now); err != nil {
		return Request{}, err
	}
	if err := r.inOrder(now); err != nil {
		return Request{}, err
	}
	if stage := r.Stages[r.Status(now).Stage]; d.Stage != stage.ID {
		return Request{}, fmt.Errorf("stage %s decides now, not %s: %w", stage.ID, d.Stage, ErrDecision)
	}
	switch d.Verdict {
	case Approve:
		if d.Seconds < 0 || d.Seconds > r.granted() {
			return Request{}, fmt.Errorf("at most %s can be granted, not %s: %w",
				time.Duration(r.granted())*time.Second, time.Duration(d.Seconds)*time.Second, ErrWidening)
		}
	case Deny:
		if d.Seconds != 0 {
			return Request{}, fmt.Errorf("a denial grants no time: %w", ErrDecision)
		}
	default:
		return Request{}, fmt.Errorf("verdict %q is neither approve nor deny: %w", d.Verdict, ErrDecision)
	}
	r.Decisions = append(slices.Clip(r.Decisions), d) // Clip: never write into the caller's array
	return r, nil
}

// inOrder refuses what is dated before the request or its last decision.
func (r Request) inOrder(now time.Time) error {
	if last := r.lastAt(); now.Before(last) {
		return fmt.Errorf("it is dated before %s: %w", last.Format(time.RFC3339), ErrDecision)
	}
	return nil
}

// lastAt is the time of the request or of its last decision.
func (r Request) lastAt() time.Time {
	if n := len(r.Decisions); n > 0 {
		return r.Decisions[n-1].At.Time()
	}
	return r.At.Time()
}

// granted is how many seconds are left of what was asked after all narrowing so
// far.
func (r Request) granted() int64 {
	left := r.Seconds
	for _, d := range r.Decisions {
		if d.Seconds > 0 {
			left = min(left, d.Seconds)
		}
	}
	return left
}
