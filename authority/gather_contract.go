package authority

import (
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// contract adds a version's proposal, the signatures that its row names and what says
// that its conditions are met, and all that of the versions that it amends. What the
// row leaves out is missed when the rows are compared.
func (g *gathering) contract(d canon.Digest) error {
	index, err := g.r.First(record.TableContract, d.String())
	if err != nil {
		return err
	}
	if err := g.at(index); err != nil {
		return err
	}
	row, err := record.Contract(g.r, d)
	if err != nil {
		return err
	}
	for _, s := range row.Signed {
		if err := g.leaf(s.Leaf); err != nil {
			return err
		}
	}
	for _, m := range row.Met {
		if err := g.leaf(m.Leaf); err != nil {
			return err
		}
	}
	if !row.Withdrawn.Leaf.IsZero() {
		if err := g.leaf(row.Withdrawn.Leaf); err != nil {
			return err
		}
	}
	if row.Parent.IsZero() {
		return nil
	}
	return g.contract(row.Parent)
}

// contractOf adds what a leaf about a version rests on, unless it is added.
func (g *gathering) contractOf(leaf int64, d canon.Digest) error {
	index, err := g.r.First(record.TableContract, d.String())
	if err != nil {
		return err
	}
	if _, ok := g.leaves[index]; ok {
		return nil
	}
	if index >= leaf {
		return fmt.Errorf("leaf %d: %w: it is about a version that came later", leaf, record.ErrEvent)
	}
	return g.contract(d)
}
