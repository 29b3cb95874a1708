package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// CancelOptions are the settings of [Cancel].
type CancelOptions struct {
	Env
	// ID is the request to take back.
	ID   string
	JSON bool
}

// Cancel takes a pending request of the person's back. What is cancelled already
// is as good. What was denied or has expired ends with ExitDenied, what was granted
// with ExitFailed.
func Cancel(ctx context.Context, o CancelOptions) error {
	if o.ID == "" {
		return Usagef("name the request to cancel; sally status lists what you have open")
	}
	id, err := parseID(o.ID)
	if err != nil {
		return err
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	body, err := a.signCancel(id)
	if err != nil {
		return err
	}
	r, err := a.postAgain(ctx, "/v1/requests/"+string(id)+"/cancel", body, id)
	switch p, refused := errors.AsType[*ProblemError](err); {
	case refused && p.Slug == "settled":
		return a.settled(ctx, id, err)
	case errors.Is(err, context.Canceled):
		return fail(ExitInterrupted, "interrupted; whether request %s was cancelled, this says: sally status %s", id, id)
	case err != nil:
		return whereToLook(err, "sally list shows your requests")
	case approval.State(r.State) != approval.Cancelled:
		return fmt.Errorf("the server answered that request %s is %s, not cancelled; tell the operator", id, r.State)
	}
	if o.JSON {
		return o.printJSON(r)
	}
	o.say("request %s for %s is cancelled since %s; nobody can approve it any more", r.ID, listPrincipals(r.Logins, r.Hosts), o.clock(r.CancelledAt.Time()))
	return nil
}

// signCancel makes the body of POST /v1/requests/{id}/cancel.
func (a *account) signCancel(id canon.ID) (api.CancelRequest, error) {
	document, err := canon.Marshal(record.CancelDoc{
		V: record.CancelVersion, Origin: a.at.pin.Origin, Request: id, Person: a.session.Person,
		ExpiresAt: canon.At(a.conn.now().Add(documentLife)),
	})
	if err != nil {
		return api.CancelRequest{}, err
	}
	signature, err := sshcert.Sign(a.env.Rand, a.device, sshcert.NamespaceDevice, document)
	if err != nil {
		return api.CancelRequest{}, err
	}
	return api.CancelRequest{Document: string(document), Signature: signature}, nil
}

// settled says why a request is past being cancelled. refused is the server's own
// word, for where it can't be asked again.
func (a *account) settled(ctx context.Context, id canon.ID, refused error) error {
	r, err := a.request(ctx, id)
	switch {
	case err != nil:
		return refused
	case active(r):
		return fmt.Errorf("request %s is granted, so there is nothing to cancel; the grant ends by itself at %s", id, a.env.clock(r.Grant.End.Time()))
	case approval.State(r.State) == approval.Granted:
		return fmt.Errorf("request %s was granted and its grant is over, so there is nothing to cancel", id)
	}
	return fail(ExitDenied, "request %s is %s already, so there is nothing to cancel", id, r.State)
}
