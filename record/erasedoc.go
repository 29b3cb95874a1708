package record

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/canon"
)

const (
	// EraseLife is how far ahead an erase document may expire: people sign it one
	// after the other, elsewhere.
	EraseLife = 31 * 24 * time.Hour
	// MaxEraseDoc bounds its text, in bytes.
	MaxEraseDoc = 4 << 10
)

// Ground says why somebody is erased, as a code: no free text is signed.
type Ground string

// The grounds.
const (
	GroundRequest   Ground = "request"   // the person asked for it
	GroundRetention Ground = "retention" // there is no reason any more to keep who it was
	GroundOrder     Ground = "order"     // a court or an authority demands it
)

// EraseDoc is what two people sign to have a human erased, each with the key by
// which a contract in force knows them as a signatory.
type EraseDoc struct {
	V         string       `json:"v"`
	Origin    string       `json:"origin"`
	People    []canon.ID   `json:"people"` // every account that is known of the human, sorted
	Ground    Ground       `json:"ground"`
	Intent    string       `json:"intent"`     // the sentence that a signer reads; it says nothing that the others do not
	ExpiresAt canon.Micros `json:"expires_at"` // the document is not accepted later
}

// NewEraseDoc returns the text to be signed.
func NewEraseDoc(origin string, people []canon.ID, ground Ground, expires canon.Micros) ([]byte, error) {
	d := EraseDoc{V: EraseVersion, Origin: origin, People: people, Ground: ground, ExpiresAt: expires}
	d.Intent = d.sentence()
	text, err := canon.Marshal(d)
	if err != nil {
		return nil, err
	}
	_, err = ParseEraseDoc(text)
	return text, err
}

// sentence is what a signer agrees to.
func (d EraseDoc) sentence() string {
	ids := make([]string, len(d.People))
	for i, id := range d.People {
		ids[i] = string(id)
	}
	return fmt.Sprintf("I ask that everything by which the ledger %s shows who %s is be destroyed for good, on the ground of %s.",
		d.Origin, strings.Join(ids, " and "), d.Ground)
}

// ParseEraseDoc reads an erase document. It refuses every other text, with
// ErrDocument.
func ParseEraseDoc(text []byte) (EraseDoc, error) {
	if len(text) > MaxEraseDoc {
		return EraseDoc{}, fmt.Errorf("%w: %d bytes, at most %d", ErrDocument, len(text), MaxEraseDoc)
	}
	var d EraseDoc
	if err := open(string(text), &d, func() string { return d.V }, EraseVersion); err != nil {
		return EraseDoc{}, err
	}
	if len(d.People) == 0 || len(d.People) > maxLinked || !slices.IsSorted(d.People) || len(slices.Compact(slices.Clone(d.People))) < len(d.People) {
		return EraseDoc{}, fmt.Errorf("%w: people: 1 to %d ids in order, each once", ErrDocument, maxLinked)
	}
	for _, id := range d.People {
		if _, err := canon.ParseID(string(id)); err != nil {
			return EraseDoc{}, fmt.Errorf("%w: people: %w", ErrDocument, err)
		}
	}
	switch d.Ground {
	case GroundRequest, GroundRetention, GroundOrder:
	default:
		return EraseDoc{}, fmt.Errorf("%w: ground %.40q: request, retention or order", ErrDocument, d.Ground)
	}
	if d.Intent != d.sentence() {
		return EraseDoc{}, fmt.Errorf("%w: its intent is not the sentence %q", ErrDocument, d.sentence())
	}
	return d, nil
}
