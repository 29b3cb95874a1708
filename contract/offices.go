package contract

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// Office is a standing task under a contract. Which groups hold it, the terms say
// under "offices"; an office that they do not name is held by nobody.
type Office string

// The offices that terms can name.
const (
	Auditor   Office = "auditor"    // reads everything that belongs to the contract
	HostAdmin Office = "host-admin" // answers for hosts
	Operator  Office = "operator"   // runs the server
	Reviewer  Office = "reviewer"   // looks at what was done without being asked before
)

// OfficeGroups says which groups hold an office: a member of any of them does.
type OfficeGroups struct {
	Office Office
	Groups []string // ids of Terms.Groups, sorted
}

// Holds tells whether the subject holds an office. It returns ErrGroupsUnknown if
// it holds it by no group that is known, and for another it is not known.
func (t *Terms) Holds(s Subject, office Office) (bool, error) {
	for _, o := range t.Offices {
		if o.Office == office {
			return t.memberOfAny(s, o.Groups)
		}
	}
	return false, nil
}

func officeNames() []string {
	return []string{string(Auditor), string(HostAdmin), string(Operator), string(Reviewer)}
}

// offices reads which groups hold which office.
func (r *reader) offices(n node) []OfficeGroups {
	var out []OfficeGroups
	for _, e := range r.entries(n, "offices") {
		if known := officeNames(); !slices.Contains(known, e.id) {
			r.failAt(n.path+"."+e.id, "no such office, %s", strictyaml.Hint(e.id, known))
			return nil
		}
		out = append(out, OfficeGroups{Office: Office(e.id), Groups: r.set(e.value, "groups", false, r.id)})
	}
	return out
}

// checkOffices holds offices to groups that are there.
func (r *reader) checkOffices(t *Terms, groups []string) {
	for _, o := range t.Offices {
		for _, g := range o.Groups {
			if r.err == nil && !slices.Contains(groups, g) {
				r.failAt("offices."+string(o.Office), "no group %q in groups, %s", g, strictyaml.Hint(g, groups))
			}
		}
	}
}

type jsonOffice struct {
	ID     Office   `json:"id"`
	Groups []string `json:"groups"`
}

func canonicalOffices(list []OfficeGroups) []jsonOffice {
	var out []jsonOffice
	for _, o := range list {
		out = append(out, jsonOffice{ID: o.Office, Groups: o.Groups})
	}
	return out
}

// holders says who holds an office, for a refusal.
func (t *Terms) holders(office Office) string {
	for _, o := range t.Offices {
		if o.Office == office {
			return "members of " + list(o.Groups, "or")
		}
	}
	return "nobody"
}

// CheckHolds returns nil if the subject holds an office, ErrNotHolder if not, and
// ErrGroupsUnknown if that is not known.
func (t *Terms) CheckHolds(s Subject, office Office) error {
	in, err := t.Holds(s, office)
	if err == nil && !in {
		err = fmt.Errorf("the office %s of contract %s is held by %s: %w", office, t.ID, t.holders(office), ErrNotHolder)
	}
	return err
}
