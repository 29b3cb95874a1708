package approval

import (
	"github.com/sallyport/sallyport/canon"
)

// Carried says that a grant went on under another version of its contract.
type Carried struct {
	From canon.Digest `json:"from"` // the version that it was under before
	At   canon.Micros `json:"at"`
	Leaf canon.Digest `json:"leaf"` // hash of the grant.carry leaf
}

// Ending says when a request, or what it granted, ends because the contract changes
// or ends, which may be later than now. The zero value is none.
type Ending struct {
	At  canon.Micros
	By  canon.Digest // the version that would not have allowed it; zero: the contract ends
	Why error        // in what the version would not have allowed it; nil: the contract ends
}
