package record

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// ErrNotCarried says that a version of the contract would not have allowed what was
// granted under the one before it.
var ErrNotCarried = errors.New("the contract changed, and what was asked for does not go on under it; ask again")

// ErrUncarried says that a grant is under a version that was in force before, and
// could be carried to the one that is.
var ErrUncarried = errors.New("the grant was not carried to the version in force")

// withEnding returns a request with what ends it because its contract changes or
// ends. It is asked of the versions that came after the one that the request is under,
// one after the other: what one of them has ended, a later one brings back no more.
func withEnding(v View, r approval.Request) (approval.Request, error) {
	r.Ended = approval.Ending{}
	lineage, err := Lineage(v, r.Lineage)
	if err != nil {
		return r, err
	}
	if lineage.Current == r.Contract && lineage.Terminated.At == 0 {
		return r, nil
	}
	under, err := v.Version(r.Contract)
	if err != nil {
		return r, err
	}
	ending := approval.Ending{At: lineage.Terminated.EndsAt}
	later, err := laterThan(v, lineage, under)
	if err != nil {
		return r, err
	}
	for _, next := range later {
		if ending.At != 0 && ending.At <= next.InForceAt {
			break
		}
		version, err := next.version()
		if err != nil {
			return r, err
		}
		switch why := goesOn(v, under, version, r, next.InForceAt); {
		case errors.Is(why, ErrNotCarried):
			ending = approval.Ending{At: next.InForceAt, By: version.Digest, Why: why}
		case why != nil:
			return r, why
		default:
			continue
		}
		break
	}
	if ending.At == 0 {
		return r, nil
	}
	switch status := r.Status(ending.At.Time()); status.State {
	case approval.Pending:
	case approval.Granted:
		grant, err := r.Grant(under.Terms)
		if err != nil {
			return r, err
		}
		if !ending.At.Time().Before(grant.End) {
			return r, nil // it is over by then
		}
	case approval.Denied, approval.Expired, approval.Cancelled, approval.Revoked, approval.Ended:
		return r, nil
	}
	r.Ended = ending
	return r, nil
}

// laterThan returns the signed versions that came after one, oldest first.
func laterThan(v View, lineage LineageRow, under *contract.Version) ([]signedVersion, error) {
	var out []signedVersion
	for d := lineage.Current; d != under.Digest; {
		row, err := Contract(v, d)
		if err != nil {
			return nil, err
		}
		if out, d = append(out, signedVersion{row, v}), row.Parent; d.IsZero() {
			return nil, fmt.Errorf("%w: version %s is none of contract %s", ErrEvent, under.Digest, row.ID)
		}
	}
	slices.Reverse(out)
	return out, nil
}

// goesOn returns nil if a request that stands under one version goes on under a later
// one, which comes into force at a moment. What waits goes on if it is decided as
// before; what was granted if the later version would have allowed it by the
// decisions that it has. The refusals wrap ErrNotCarried.
func goesOn(v View, old, next *contract.Version, r approval.Request, at canon.Micros) error {
	switch r.Status(at.Time()).State {
	case approval.Pending:
		if next.Terms.Effect.InFlight == contract.InFlightRestart {
			return fmt.Errorf("%w: version %d has all that waits asked for again", ErrNotCarried, next.Manifest.Version)
		}
	case approval.Granted:
	case approval.Denied, approval.Expired, approval.Cancelled, approval.Revoked, approval.Ended:
		return nil
	}
	c, err := newCarrying(v, old, next, r)
	if err != nil {
		return err
	}
	if err := c.asked(); err != nil {
		return err
	}
	if r.Status(at.Time()).State == approval.Pending {
		return c.decidedAlike()
	}
	return c.decided()
}

// carrying compares what two versions say about one request. Nobody's groups are asked
// here: whoever is given a certificate is held to the version in force by their newest
// claims (GrantAt). What can't be told without them, such as which path a guard would
// have chosen, ends the request.
type carrying struct {
	v         View
	old, next *contract.Version
	was, is   *contract.Role
	r         approval.Request
}

func newCarrying(v View, old, next *contract.Version, r approval.Request) (carrying, error) {
	c := carrying{v: v, old: old, next: next, r: r}
	var ok bool
	if c.was, ok = old.Terms.Role(r.Role); !ok {
		return c, fmt.Errorf("role %s: %w", r.Role, contract.ErrRoleUnknown)
	}
	if c.is, ok = next.Terms.Role(r.Role); !ok {
		return c, c.no("it has no role %s", r.Role)
	}
	return c, nil
}

func (c carrying) no(format string, args ...any) error {
	return fmt.Errorf("%w: version %d would not have allowed it: %s", ErrNotCarried, c.next.Manifest.Version, fmt.Sprintf(format, args...))
}

// asked holds what was asked for to the later version.
func (c carrying) asked() error {
	for _, login := range c.r.Logins {
		if !slices.Contains(c.is.Logins, login) {
			return c.no("role %s has no login %s", c.r.Role, login)
		}
	}
	most := min(c.is.Grant.Max, c.next.Terms.Ceilings.Grant)
	switch {
	case time.Duration(c.r.Seconds)*time.Second > most:
		return c.no("role %s is granted for %s at most", c.r.Role, contract.FormatDuration(most))
	case c.is.Request.HostsMax != 0 && len(c.r.Hosts) > c.is.Request.HostsMax:
		return c.no("a request is for %d hosts at most", c.is.Request.HostsMax)
	case c.is.Request.MinWords > c.was.Request.MinWords:
		return c.no("a reason has %d words", c.is.Request.MinWords)
	case c.is.Request.Ticket != c.was.Request.Ticket && (c.is.Request.Ticket.Required || c.is.Request.Ticket.Pattern != ""):
		return c.no("a ticket is asked for otherwise")
	case c.is.Acknowledge && !c.was.Acknowledge:
		return c.no("what it says is to be acknowledged first")
	}
	if reflect.DeepEqual(c.is.Hosts, c.was.Hosts) {
		return nil
	}
	for _, name := range c.r.Hosts {
		host, err := Host(c.v, name)
		if err != nil {
			return err
		}
		labels := make(map[string]string, len(host.Labels))
		for _, l := range host.Labels {
			labels[l.Name] = l.Value
		}
		if !c.is.Matches(labels) {
			return c.no("host %s is none of role %s", name, c.r.Role)
		}
	}
	return nil
}

// decidedAlike returns nil if the later version decides the request by the very same
// stages.
func (c carrying) decidedAlike() error {
	was, is, ok := c.samePath()
	if !ok {
		return c.no("it may be decided by another path of role %s", c.r.Role)
	}
	if !reflect.DeepEqual(was.Stages, is.Stages) || was.Auto != is.Auto || !reflect.DeepEqual(c.was.Duties, c.is.Duties) {
		return c.no("path %s is decided otherwise", c.r.Path)
	}
	for _, stage := range was.Stages {
		if group := c.otherGroup(stageGroups(stage)); group != "" {
			return c.no("group %s is another one", group)
		}
	}
	return nil
}

// decided returns nil if the decisions that were taken are enough for each path of the
// later version by which it may have been decided.
func (c carrying) decided() error {
	if err := c.duties(); err != nil {
		return err
	}
	paths := c.is.Paths
	if _, is, ok := c.samePath(); ok {
		paths = []contract.Path{*is}
	}
	if len(paths) == 0 {
		return c.no("role %s has no path", c.r.Role)
	}
	if _, _, ok := c.samePath(); !ok && (len(paths) > 1 || paths[0].When != "" || paths[0].Auto) {
		// What the later guards would have said is not known: the moment, and who was in
		// which group, are those of the request.
		return c.no("it may be decided by another path of role %s", c.r.Role)
	}
	for _, path := range paths {
		if err := c.enough(path); err != nil {
			return err
		}
	}
	return nil
}

// samePath finds the path by which the request is decided in both versions; false if
// the later one may choose another.
func (c carrying) samePath() (was, is *contract.Path, ok bool) {
	i := slices.IndexFunc(c.was.Paths, func(p contract.Path) bool { return p.ID == c.r.Path })
	if i < 0 || i >= len(c.is.Paths) || c.is.Paths[i].ID != c.r.Path {
		return nil, nil, false
	}
	for j := range i + 1 {
		if c.was.Paths[j].When != c.is.Paths[j].When {
			return nil, nil, false
		}
		if c.was.Paths[j].When != "" && !c.sameFacts() {
			return nil, nil, false
		}
	}
	return &c.was.Paths[i], &c.is.Paths[i], true
}

// sameFacts reports whether guards see the same facts in both versions.
func (c carrying) sameFacts() bool {
	return reflect.DeepEqual(c.old.Terms.Groups, c.next.Terms.Groups) && reflect.DeepEqual(c.old.Terms.Calendars, c.next.Terms.Calendars) && c.sameIssuers()
}

func (c carrying) sameIssuers() bool {
	for _, was := range c.old.Terms.Issuers {
		is, ok := c.next.Terms.Issuer(was.ID)
		if !ok || is.URL != was.URL || is.Subject != was.Subject || is.Groups != was.Groups {
			return false
		}
	}
	return len(c.old.Terms.Issuers) == len(c.next.Terms.Issuers)
}

// otherGroup returns a group that does not mean the same people in both versions,
// empty if all do.
func (c carrying) otherGroup(groups []string) string {
	for _, id := range groups {
		was, ok := c.old.Terms.Group(id)
		is, there := c.next.Terms.Group(id)
		if !ok || !there || *was != *is {
			return id
		}
		before, ok := c.old.Terms.Issuer(was.Issuer)
		now, there := c.next.Terms.Issuer(is.Issuer)
		if !ok || !there || before.URL != now.URL || before.Subject != now.Subject || before.Groups != now.Groups {
			return id
		}
	}
	return ""
}

// duties refuses what the later version keeps apart and the older one did not: whether
// the decisions keep to it was never asked.
func (c carrying) duties() error {
	was, is := c.was.Duties, c.is.Duties
	more := func(is, was []string) bool {
		return slices.ContainsFunc(is, func(s string) bool { return !slices.Contains(was, s) })
	}
	if is.DistinctAcrossStages && !was.DistinctAcrossStages || more(is.NotSameManager, was.NotSameManager) || more(is.ExclusiveWith, was.ExclusiveWith) || is.Window > was.Window {
		return c.no("it keeps more duties apart")
	}
	return nil
}

// enough returns nil if the decisions would have settled the request on a path.
func (c carrying) enough(path contract.Path) error {
	start := c.r.At.Time()
	for _, stage := range path.Stages {
		was, err := c.stage(stage)
		if err != nil {
			return err
		}
		votes := 0
		for _, d := range c.r.Decisions {
			if d.Stage != stage.ID || d.Verdict != approval.Approve || votes == stage.Quorum {
				continue
			}
			at := d.At.Time()
			late := at.Sub(start) >= stage.Timeout && !(was.Timeout == stage.Timeout && reflect.DeepEqual(was.Escalate, stage.Escalate))
			if at.Before(start) || late {
				return c.no("stage %s of path %s would not have waited for it", stage.ID, path.ID)
			}
			if votes++; votes == stage.Quorum {
				start = at
			}
		}
		if votes < stage.Quorum {
			return c.no("stage %s of path %s wants %d approvals, and has %d", stage.ID, path.ID, stage.Quorum, votes)
		}
	}
	return nil
}

// stage returns the stage of the older version in which the approvals were given that
// are to count in a stage of the later one. All who could give them there could here,
// by the same means or by weaker ones.
func (c carrying) stage(stage contract.Stage) (*contract.Stage, error) {
	var was *contract.Stage
	for i := range c.was.Paths {
		if c.was.Paths[i].ID == c.r.Path {
			was, _ = c.was.Paths[i].Stage(stage.ID)
		}
	}
	switch {
	case was == nil:
		return nil, c.no("nobody has decided in its stage %s", stage.ID)
	case assuranceRank(stage.Assurance) > assuranceRank(was.Assurance):
		return nil, c.no("stage %s is decided by stronger means", stage.ID)
	}
	could := stageGroups(*was)
	if group := c.otherGroup(could); group != "" {
		return nil, c.no("group %s, which decided in stage %s, is another one", group, stage.ID)
	}
	for _, group := range could {
		if !slices.Contains(stage.From, group) && !reflect.DeepEqual(stageGroups(stage), could) {
			return nil, c.no("group %s does not decide in stage %s", group, stage.ID)
		}
	}
	return was, nil
}

// stageGroups are the groups by which somebody could decide in a stage.
func stageGroups(s contract.Stage) []string {
	out := slices.Clone(s.From)
	if s.Escalate != nil {
		out = append(out, s.Escalate.To...)
	}
	return append(out, s.Delegates...)
}

// assuranceRank orders the means of giving a decision. One that is not named is a
// session.
func assuranceRank(a contract.Approval) int {
	if a == "" {
		a = contract.ApprovalSession
	}
	return slices.Index([]contract.Approval{contract.ApprovalSession, contract.ApprovalFresh, contract.ApprovalWebAuthn, contract.ApprovalSK}, a)
}

// CarryOf returns the facts with which a grant is carried to the version in force, and
// false if it is under that already.
func CarryOf(v View, r approval.Request, id canon.ID, now canon.Micros) (GrantCarry, bool, error) {
	version, err := InForce(v, r.Lineage, now)
	if err != nil || version.Digest == r.Contract || r.Status(now.Time()).State != approval.Granted {
		return GrantCarry{}, false, err
	}
	return GrantCarry{
		At: now, Carry: id, Lineage: r.Lineage, Grant: r.ID, GrantLeaf: r.GrantLeaf(), From: r.Contract, To: version.Digest,
	}, true, nil
}

// grantCarry puts a grant under the version in force. Every version since the one that
// it was under would have allowed it.
func (e Event) grantCarry(v View, f GrantCarry) ([]Change, error) {
	version, err := InForce(v, f.Lineage, f.At)
	if err != nil {
		return nil, err
	}
	r, err := Request(v, f.Grant)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Lineage != f.Lineage || f.GrantLeaf != r.GrantLeaf():
		return nil, fmt.Errorf("%w: it carries another grant", ErrEvent)
	case f.To != version.Digest:
		return nil, fmt.Errorf("it names contract version %s, in force is %s: %w", f.To, version.Digest, ErrNotInForce)
	case f.From != r.Contract || f.From == f.To:
		return nil, fmt.Errorf("%w: the grant is under contract version %s", ErrEvent, r.Contract)
	}
	if r, err = Standing(v, r); err != nil {
		return nil, err
	}
	if err := granted(r, f.At); err != nil {
		return nil, err
	}
	under, err := v.Version(r.Contract)
	if err != nil {
		return nil, err
	}
	grant, err := r.Grant(under.Terms)
	if err != nil {
		return nil, err
	}
	if err := grant.Active(f.At.Time()); err != nil {
		return nil, err
	}
	r.Carried = append(slices.Clip(r.Carried), approval.Carried{From: f.From, At: f.At, Leaf: e.LeafHash})
	r.Contract = f.To
	return changes(putRequest(r))
}

// granted returns nil if a request, as Standing returns it, is granted at a moment.
func granted(r approval.Request, at canon.Micros) error {
	switch status := r.Status(at.Time()); status.State {
	case approval.Granted:
		return nil
	case approval.Ended:
		if r.Ended.Why != nil {
			return fmt.Errorf("it ended at %s: %w", status.At.Format(time.RFC3339), r.Ended.Why)
		}
		return fmt.Errorf("it ended at %s with its contract: %w", status.At.Format(time.RFC3339), ErrNotInForce)
	case approval.Revoked:
		return fmt.Errorf("%w at %s; ask again", approval.ErrRevoked, status.At.Format(time.RFC3339))
	case approval.Pending, approval.Denied, approval.Expired, approval.Cancelled:
	}
	return fmt.Errorf("it is %s: %w", r.Status(at.Time()).State, approval.ErrNotGranted)
}
