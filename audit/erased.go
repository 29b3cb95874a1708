package audit

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// about are the people whom a person part is about: one or two.
type about [2]canon.ID

// personParts are the person parts of the leaves that stand, by whom they are
// about.
type personParts struct {
	hidden map[about]int64   // how many are not there
	shown  map[about]shownAt // the first that is
}

type shownAt struct {
	leaf int64
	kind ledger.Kind
}

func newPersonParts() personParts {
	return personParts{hidden: make(map[about]int64), shown: make(map[about]shownAt)}
}

// notePart counts the person part of a leaf that stands.
func (p *Replay) notePart(o Opened) {
	if o.leaf.Person.IsZero() {
		return
	}
	people, err := record.About(p.view.Memory, o.facts)
	if err != nil || len(people) == 0 {
		return // the fold has just read it
	}
	who := about{people[0], people[len(people)-1]}
	if o.Opening.Person == nil {
		p.people.hidden[who]++
	} else if _, ok := p.people.shown[who]; !ok {
		p.people.shown[who] = shownAt{o.Index, o.leaf.Kind}
	}
}

// erasedBy returns the leaf by which one of the people was erased, 0 for none.
func (p *Replay) erasedBy(people ...canon.ID) (int64, error) {
	for _, id := range people {
		row, err := record.Erased(p.view.Memory, id)
		switch {
		case err == nil:
			return p.index[row.Leaf], nil
		case !errors.Is(err, record.ErrNotFound):
			return 0, err
		}
	}
	return 0, nil
}

// judgeParts tells the person parts that were erased from those that are not
// shown, and finds those that are still there.
func (p *Replay) judgeParts() error {
	for who, n := range p.people.hidden {
		leaf, err := p.erasedBy(who[:]...)
		if err != nil {
			return err
		}
		if leaf != 0 {
			p.report.Erased += n
			p.report.NoPerson -= n
		}
	}
	var found []Finding
	for who, at := range p.people.shown {
		leaf, err := p.erasedBy(who[:]...)
		if err != nil {
			return err
		}
		if leaf != 0 {
			found = append(found, Finding{
				Leaf: at.leaf, Kind: string(at.kind), Cause: leaf, CauseKind: string(ledger.PersonErase),
				Rule: fmt.Sprintf("its person part was erased by leaf %d, and is still shown: the server, or who made this bundle, has not destroyed it", leaf),
			})
		}
	}
	slices.SortFunc(found, func(a, b Finding) int { return int(a.Leaf - b.Leaf) })
	p.report.Findings = append(p.report.Findings, found...)
	return p.markErased()
}

// markErased says of each certificate whether its person was erased since.
func (p *Replay) markErased() error {
	for i := range p.report.Certificates {
		c := &p.report.Certificates[i]
		if c.Person == "" {
			continue
		}
		leaf, err := p.erasedBy(c.Person)
		if err != nil {
			return err
		}
		if c.Erased = leaf; leaf == 0 {
			continue
		}
		for j := range c.Parts {
			if part := &c.Parts[j]; part.Name == PartRequest && part.By != "" {
				part.By += fmt.Sprintf("; who that was is erased by leaf %d, which two people signed for", leaf)
			}
		}
	}
	return nil
}
