package server

import (
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// That somebody was erased is for everybody who reads the ledger: it is why a person
// part is missing, and names an id.
func TestErasuresAreForEverybody(t *testing.T) {
	t.Parallel()
	someone, other := canon.ID("bbovf36kdyjd2alvf4d7a5grda"), canon.ID("mzxw6ytboi2dqmrvgm4tanrwge")
	if may, err := mayRead(nil, record.PersonErase{People: []canon.ID{other}}, person{id: someone}); err != nil || !may {
		t.Errorf("an erasure: %t, %v", may, err)
	}
	if may, err := mayRead(nil, record.PersonLink{People: []canon.ID{other, other}}, person{id: someone}); err != nil || may {
		t.Errorf("a link of others: %t, %v", may, err)
	}
}
