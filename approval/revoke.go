package approval

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// Revocation is the word that a request, and what it granted, counts no more. The
// zero value is none.
type Revocation struct {
	At   canon.Micros `json:"at"`
	Leaf canon.Digest `json:"leaf,omitzero"` // hash of the ledger leaf that recorded it
}

// Revoke returns the request as revoked: pending, it takes no decision any more;
// granted, it gives no certificate any more. terms are those that it was judged by.
// What is settled otherwise, or over, is refused: there is nothing to take away. r
// is not changed.
func (r Request) Revoke(terms *contract.Terms, by Revocation) (Request, error) {
	now := by.At.Time()
	switch status := r.Status(now); status.State {
	case Pending:
	case Granted:
		grant, err := r.Grant(terms)
		if err != nil {
			return Request{}, err
		}
		if !now.Before(grant.End) {
			return Request{}, fmt.Errorf("it ended at %s, so there is nothing to revoke: %w", grant.End.Format(time.RFC3339), ErrGrantOver)
		}
	case Denied, Expired, Cancelled, Revoked, Ended:
		return Request{}, status.settled()
	}
	if err := r.inOrder(now); err != nil {
		return Request{}, err
	}
	r.Revoked = by
	return r, nil
}

// BeforeRevocation returns the request as it stood when it was revoked.
func (r Request) BeforeRevocation() Request {
	r.Revoked = Revocation{}
	return r
}
