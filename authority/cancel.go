package authority

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// CancelCall is what a requester posts to take a pending request back. Document
// and Signature are empty in a session without device key, that is a browser's.
type CancelCall struct {
	Request   canon.ID // from the address; the document must name the same
	Document  string   // record.CancelDoc
	Signature string   // by the session's device key
}

// Cancel takes a pending request of the session's person back. What they
// cancelled before is answered as it is.
func (a *Authority) Cancel(ctx context.Context, s store.Session, call CancelCall) (approval.Request, error) {
	f := record.RequestCancel{Request: call.Request, Person: s.Person, Login: s.Login, Assurance: record.AssuranceSession}
	if s.DeviceKey != "" || call.Document != "" || call.Signature != "" {
		if err := a.openCancel(s, call); err != nil {
			return approval.Request{}, err
		}
		f.Assurance, f.Document, f.Signature = record.AssuranceDevice, call.Document, call.Signature
	}
	var err error
	if f.Cancellation, err = canon.NewID(a.rand); err != nil {
		return approval.Request{}, err
	}
	var q approval.Request
	// Taking away is never turned away.
	err = a.store.WriteUrgent(ctx, func(tx *store.Tx) error {
		q, err = cancel(tx, f)
		return err
	})
	if err != nil {
		return approval.Request{}, err
	}
	a.settle(ctx)
	return q, nil
}

// openCancel checks the signature before anything is written, also of a call that
// will find the request cancelled.
func (a *Authority) openCancel(s store.Session, call CancelCall) error {
	device, err := deviceOf(s)
	if err != nil {
		return err
	}
	doc, err := record.OpenCancel(call.Document, call.Signature, device)
	if err != nil {
		return err
	}
	if doc.Request != call.Request || doc.Person != s.Person || doc.Origin != a.Origin() {
		return fmt.Errorf("%w: it was signed for another request, person or server", record.ErrDocument)
	}
	return nil
}

func cancel(tx *store.Tx, f record.RequestCancel) (approval.Request, error) {
	q, err := record.Request(tx, f.Request)
	if isNotFound(err) {
		return approval.Request{}, ErrNotYours
	}
	if err != nil || (q.By == f.Person && q.Cancelled.At != 0) {
		return q, err
	}
	f.At, f.Lineage, f.RequestLeaf = tx.Now(), q.Lineage, q.Leaf
	if _, err := tx.Append(store.Draft{Facts: f}); err != nil {
		return approval.Request{}, err
	}
	return record.Request(tx, q.ID)
}
