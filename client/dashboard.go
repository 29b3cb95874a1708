package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// dashboard is where the person stands, on one look: whether sally ssh works now,
// and if not, why.
type dashboard struct {
	SSHNow       sshNow            `json:"ssh_now"`
	Session      sessionResult     `json:"session"`
	Server       serverResult      `json:"server"`
	Certificates []certificateHeld `json:"certificates"`
	// Requests are those that are open, Grants those that certificates can be had
	// under; both absent while the server does not answer.
	Requests []api.Request `json:"requests,omitzero"`
	Grants   []api.Request `json:"grants,omitzero"`

	groupsUnknown bool // to the server; then it issues nothing
}

// sshNow lists what sally ssh connects to without anybody deciding; if that is
// nothing, Why says what is missing.
type sshNow struct {
	Principals []string `json:"principals"`
	Why        string   `json:"why,omitempty"`
}

type sessionResult struct {
	Person canon.ID `json:"person"`
	Who    string   `json:"who"`
	// FreshUntil is when what the identity provider said is too old to ask for
	// something or to get a certificate; Renews says that sally renews it then.
	FreshUntil canon.Micros `json:"fresh_until_at,omitempty"`
	Renews     bool         `json:"renews"`
	ExpiresAt  canon.Micros `json:"expires_at"`
}

type serverResult struct {
	URL     string `json:"url"`
	Origin  string `json:"origin"`
	Answers bool   `json:"answers"`
}

// certificateHeld is a certificate on this machine that has not ended.
type certificateHeld struct {
	Principal string       `json:"principal"`
	Serial    uint64       `json:"serial"`
	Before    canon.Micros `json:"valid_before_at"`
	// Key is where its key is: agent or file. Absent: not with sally; a key of the
	// person's own is given to sally ssh each time.
	Key string `json:"key,omitempty"`
}

// dashboard prints where the person stands. While the server does not answer, what
// this machine knows is printed, and the error has ExitUnreachable.
func (a *account) dashboard(ctx context.Context, o StatusOptions) error {
	d := dashboard{
		SSHNow: sshNow{Principals: []string{}},
		Session: sessionResult{
			Person: a.session.Person, Who: a.session.Who, FreshUntil: a.session.FreshUntil, Renews: a.session.Refresh != "", ExpiresAt: a.session.ExpiresAt,
		},
		Server: serverResult{URL: a.at.server.String(), Origin: a.at.pin.Origin, Answers: true},
	}
	away := a.askStanding(ctx, &d)
	if away != nil && ExitCode(away) != ExitUnreachable {
		return away
	}
	d.Server.Answers = away == nil
	var err error
	if d.Certificates, err = a.certificates(ctx); err != nil {
		return err
	}
	d.judge(a.conn.now())
	if o.JSON {
		err = o.printJSON(d)
	} else {
		err = a.env.printPairs(a.env.standing(d))
	}
	if err != nil {
		return err
	}
	return away
}

// askStanding fills in what the server knows.
func (a *account) askStanding(ctx context.Context, d *dashboard) error {
	var s api.Session
	if err := a.conn.get(ctx, "/v1/sessions/current", nil, &s); err != nil {
		return err
	}
	d.Session.Who, d.Session.FreshUntil, d.Session.ExpiresAt = who(s), s.FreshUntil, s.ExpiresAt
	d.groupsUnknown = !s.GroupsKnown
	all, err := a.mine(ctx)
	if err != nil {
		return err
	}
	d.Requests, d.Grants = []api.Request{}, []api.Request{}
	for _, r := range all {
		switch {
		case approval.State(r.State) == approval.Pending:
			d.Requests = append(d.Requests, r)
		case active(r):
			d.Grants = append(d.Grants, r)
		}
	}
	return nil
}

// certificates lists the kept certificates that have not ended, by principal.
func (a *account) certificates(ctx context.Context) ([]certificateHeld, error) {
	out := []certificateHeld{}
	now := a.conn.now()
	err := a.eachPrincipal(func(p sshcert.Principal) error {
		cert, err := a.readCert(p)
		if err != nil || cert.CertType != ssh.UserCert || !now.Before(unixTime(cert.ValidBefore)) {
			return nil //nolint:nilerr // a file that is no certificate is of no use, as one that has ended
		}
		held := certificateHeld{Principal: p.String(), Serial: cert.Serial, Before: canon.At(unixTime(cert.ValidBefore))}
		if id, ok := a.live(ctx, p, keyChoice{}, false); ok {
			held.Key = "agent"
			if id.keyFile != "" {
				held.Key = "file"
			}
		}
		out = append(out, held)
		return nil
	})
	slices.SortFunc(out, func(a, b certificateHeld) int { return strings.Compare(a.Principal, b.Principal) })
	return out, err
}

// judge says what sally ssh connects to now, or why to nothing.
func (d *dashboard) judge(now time.Time) {
	for _, c := range d.Certificates {
		if c.Key != "" {
			d.SSHNow.Principals = append(d.SSHNow.Principals, c.Principal)
		}
	}
	// A certificate under a grant takes a login that is fresh, or can be renewed, and
	// groups that are known.
	tooOld := d.Session.FreshUntil != 0 && !now.Before(d.Session.FreshUntil.Time()) && !d.Session.Renews
	for _, r := range d.Grants {
		if !tooOld && !d.groupsUnknown && now.Add(leastGrant).Before(r.Grant.End.Time()) {
			for _, h := range r.Hosts {
				for _, l := range r.Logins {
					d.SSHNow.Principals = append(d.SSHNow.Principals, sshcert.Principal{Login: l, Host: h}.String())
				}
			}
		}
	}
	slices.Sort(d.SSHNow.Principals)
	d.SSHNow.Principals = slices.Compact(d.SSHNow.Principals)
	if len(d.SSHNow.Principals) == 0 {
		d.SSHNow.Why = d.missing(tooOld)
	}
}

// missing says what stands between the person and a host.
func (d *dashboard) missing(tooOld bool) string {
	switch {
	case !d.Server.Answers:
		return "the server does not answer, and no certificate here is good"
	case tooOld:
		return "your login is too old to ask for something or to get a certificate; log in again: sally login"
	case d.groupsUnknown:
		return "it is not known which groups you are in, so nothing is issued to you; log in again: sally login"
	case len(d.Requests) > 0:
		r := d.Requests[0]
		who := first(strings.Join(r.From, " or "), "those who decide")
		return fmt.Sprintf("%s must decide about %s first; wait for it: sally wait %s", who, listPrincipals(r.Logins, r.Hosts), r.ID)
	default:
		return `nothing is granted to you; ask for it: sally ssh LOGIN@HOST --for 10m --because "..."`
	}
}

// standing lays the dashboard out for people.
func (e Env) standing(d dashboard) [][2]string {
	can := "yes: " + strings.Join(d.SSHNow.Principals, ", ")
	if len(d.SSHNow.Principals) == 0 {
		can = "no: " + d.SSHNow.Why
	}
	server := d.Server.URL + " (" + d.Server.Origin + ")"
	if !d.Server.Answers {
		server += ", does not answer"
	}
	out := [][2]string{{"ssh now", can}, {"who", d.Session.Who}, {"session", "until " + e.until(d.Session.ExpiresAt)}}
	if d.Session.FreshUntil != 0 {
		then := "then log in again"
		if d.Session.Renews {
			then = "then sally renews it"
		}
		out = append(out, [2]string{"login", "fresh until " + e.until(d.Session.FreshUntil) + ", " + then})
	}
	out = append(out, [2]string{"server", server})
	for _, c := range d.Certificates {
		where := "for a key that sally does not keep (of your own: sally ssh -i FILE)"
		switch c.Key {
		case "agent":
			where = "in the ssh-agent"
		case "file":
			where = "with its key in a file"
		}
		out = append(out, [2]string{"certificate", fmt.Sprintf("%s until %s, serial %d, %s", c.Principal, e.until(c.Before), c.Serial, where)})
	}
	for _, r := range d.Grants {
		out = append(out, [2]string{"grant", fmt.Sprintf("%s until %s (%s)", listPrincipals(r.Logins, r.Hosts), e.until(r.Grant.End), r.ID)})
	}
	for _, r := range d.Requests {
		out = append(out, [2]string{"request", fmt.Sprintf("%s waits for %s until %s (%s)",
			listPrincipals(r.Logins, r.Hosts), first(strings.Join(r.From, " or "), "a decision"), e.until(r.ExpiresAt), r.ID)})
	}
	return out
}

// until is a moment and how far away it is.
func (e Env) until(m canon.Micros) string {
	left := m.Time().Sub(e.Now()).Truncate(time.Second)
	if left <= 0 {
		return e.clock(m.Time()) + ", over"
	}
	return fmt.Sprintf("%s, %s left", e.clock(m.Time()), left)
}
