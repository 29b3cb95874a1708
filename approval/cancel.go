package approval

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/canon"
)

// Cancellation is the requester's word that a pending request is not wanted any
// more. The zero value is none.
type Cancellation struct {
	At   canon.Micros `json:"at"`
	Leaf canon.Digest `json:"leaf,omitzero"` // hash of the ledger leaf that recorded it
}

// Cancel returns the request as taken back by person by. It refuses everybody
// but the requester, who need not be eligible for anything any more, and a
// settled request: what was granted ends by itself. r is not changed.
func (r Request) Cancel(by canon.ID, c Cancellation) (Request, error) {
	if by != r.By {
		return Request{}, ErrNotRequester
	}
	switch status := r.Status(c.At.Time()); status.State {
	case Pending:
	case Granted:
		return Request{}, fmt.Errorf("it was granted at %s, and a grant is not cancelled, it ends by itself: %w", status.At.Format(time.RFC3339), ErrSettled)
	case Denied, Expired, Cancelled, Revoked, Ended:
		return Request{}, status.settled()
	}
	if err := r.inOrder(c.At.Time()); err != nil {
		return Request{}, err
	}
	r.Cancelled = c
	return r, nil
}
