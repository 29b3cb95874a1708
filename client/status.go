package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// StatusOptions are the settings of [Status].
type StatusOptions struct {
	Env
	// ID is one request; empty shows the login, the certificates on this machine, and
	// what is open.
	ID string
	// Wait waits until the request ID is settled.
	Wait bool
	// Timeout bounds the wait; 0 waits until the request is settled.
	Timeout time.Duration
	JSON    bool
}

// Status prints where the person stands, or one request in full. With Wait the
// error is nil only if the request was granted.
func Status(ctx context.Context, o StatusOptions) error {
	var id canon.ID
	var err error
	switch {
	case o.ID != "":
		if id, err = parseID(o.ID); err != nil {
			return err
		}
	case o.Wait:
		return Usagef("--wait: name the request to wait for")
	}
	switch {
	case o.Timeout < 0:
		return Usagef("--timeout: not negative")
	case o.Timeout > 0 && !o.Wait:
		return Usagef("--timeout: it bounds a wait; add --wait and the request's ID")
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	if o.ID == "" {
		return a.dashboard(ctx, o)
	}
	resume := resumeRequest(id)
	r, err := a.request(ctx, id)
	switch {
	case o.Wait && errors.Is(err, context.Canceled):
		return fail(ExitInterrupted, "interrupted; the request stays as it is; go on with: %s", resume)
	case err != nil:
		return err
	case !o.Wait:
		return a.showRequest(r, o.JSON)
	}
	r, waited := a.waiter(o.Timeout, resume).wait(ctx, r)
	if err := a.showRequest(r, o.JSON); err != nil {
		return err
	}
	if waited != nil {
		return waited
	}
	return outcome(r)
}

// parseID reads the id of a request as typed.
func parseID(s string) (canon.ID, error) {
	id, err := canon.ParseID(s)
	if err != nil {
		return "", Usagef("ID %q: a request's id is 26 characters a-z and 2-7; sally list shows yours", s)
	}
	return id, nil
}

// WaitOptions are the settings of [Wait].
type WaitOptions struct {
	Env
	// ID is the request to wait for.
	ID string
	// Timeout bounds the wait; 0 waits until the request is settled.
	Timeout time.Duration
	JSON    bool
}

// Wait waits until a request is settled and prints it. The error is nil only if it
// was granted.
func Wait(ctx context.Context, o WaitOptions) error {
	if o.ID == "" {
		return Usagef("name the ID of the request to wait for; sally status lists what is open")
	}
	return Status(ctx, StatusOptions{Env: o.Env, ID: o.ID, Wait: true, Timeout: o.Timeout, JSON: o.JSON})
}

// active reports whether certificates can be had under r.
func active(r api.Request) bool {
	return approval.State(r.State) == approval.Granted && r.Grant != nil && r.Grant.Active
}

func (a *account) showRequest(r api.Request, asJSON bool) error {
	if asJSON {
		return a.env.printJSON(r)
	}
	lines := []string{
		"request   " + string(r.ID),
		"state     " + a.stateOf(r),
		"for       " + listPrincipals(r.Logins, r.Hosts) + ", " + seconds(r.Seconds).String(),
		"under     " + fmt.Sprintf("%s/%s %s, version %d (%s)", r.Contract.ID, r.Role, r.Clause, r.Contract.Version, r.Contract.Digest),
		"by        " + first(r.ByName, "person "+string(r.By)) + " at " + a.env.clock(r.SubmittedAt.Time()),
	}
	if r.Reason != "" {
		lines = append(lines, "because   "+r.Reason)
	}
	if r.Ticket != "" {
		lines = append(lines, "ticket    "+r.Ticket)
	}
	for _, d := range r.Decisions {
		text := fmt.Sprintf("decision  %s by %s at %s, stage %s", d.Verdict, first(d.ByName, "person "+string(d.By)), a.env.clock(d.At.Time()), d.Stage)
		if d.Seconds > 0 {
			text += ", for " + seconds(d.Seconds).String()
		}
		if d.Words != "" {
			text += ": " + d.Words
		}
		lines = append(lines, text)
	}
	if r.Revoked != nil && r.Revoked.Because != "" {
		lines = append(lines, "revoked   "+r.Revoked.Because)
	}
	if r.Grant != nil {
		lines = append(lines, "grant     "+a.env.clock(r.Grant.Start.Time())+" to "+a.env.clock(r.Grant.End.Time()))
	}
	return a.env.print(append(lines, "page      "+r.URL)...)
}

// revokedBy says who revoked a request, and with what.
func revokedBy(r api.Request) string {
	who := first(r.Revoked.ByName, "the operator")
	switch record.TargetType(r.Revoked.Target) {
	case record.TargetPerson, record.TargetRole, record.TargetHost:
		return who + ", with all of the " + r.Revoked.Target
	case record.TargetCertificate, record.TargetGrant, record.TargetRequest:
	default:
		return who + ", who locked the account"
	}
	return who
}

func (a *account) stateOf(r api.Request) string {
	switch {
	case approval.State(r.State) == approval.Pending:
		return fmt.Sprintf("pending until %s, %d still needed of %s", a.env.clock(r.ExpiresAt.Time()), r.Need, strings.Join(r.From, " or "))
	case approval.State(r.State) == approval.Cancelled:
		return "cancelled at " + a.env.clock(r.CancelledAt.Time())
	case r.Revoked != nil:
		return "revoked at " + a.env.clock(r.Revoked.At.Time()) + " by " + revokedBy(r)
	case active(r):
		return "granted, active"
	case r.Grant != nil:
		return "granted, over"
	default:
		return r.State
	}
}
