package recordtest

import (
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
)

// Audited is a contract "audited" with the same rules, whose auditors are the
// owners: Carol is one.
func (w *World) Audited() *contract.Version {
	w.t.Helper()
	return w.Contract("audited", "offices: {auditor: [owners]}\n")
}

// PutInForce appends a contract version and its signatures.
func (w *World) PutInForce(l Ledger, v *contract.Version) {
	w.t.Helper()
	for _, f := range []record.Facts{w.Propose(l, v), w.Sign(l, v, "chris"), w.Sign(l, v, "dana")} {
		w.must(l.Append(Draft{Facts: f}))
	}
}

// Read is the leaf of u's reading of other people's parts in some leaves, as an
// auditor of a contract version.
func (w *World) Read(l Ledger, u *User, v *contract.Version, leaves ...int64) record.PersonRead {
	slices.Sort(leaves)
	return record.PersonRead{
		At: l.Now(), Read: w.ID(), Lineage: v.Lineage(), Contract: v.Digest, Person: u.Person, Claims: u.Claims, Assurance: record.AssuranceSession,
		How: record.ReadList, First: leaves[0], Last: leaves[len(leaves)-1], Count: int64(len(leaves)), Leaves: leaves,
		Query: canon.Sum("sallyport.query/v1", []byte("host=web-1.demo")),
	}
}
