package server

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// person is whom something of the ledger is shown to.
type person struct {
	id       canon.ID
	lineages map[canon.Digest]bool // of the contracts that concern them
	audits   []*contract.Version   // whose auditor they are now
	all      bool                  // they are the auditor of every contract in force
	stale    error                 // why they are not, though they would be with newer claims
	people   bool                  // person parts about others are asked for, too
}

// readerOf returns who reads in a session. A contract and its hosts are shown to
// those whom it names by a group that they are known to be in.
func readerOf(r *store.Reader, session store.Session, now time.Time) (person, error) {
	who := person{id: session.Person, lineages: make(map[canon.Digest]bool)}
	subject, err := authority.Subject(r, session)
	if err != nil {
		return person{}, err
	}
	versions, err := authority.InForce(r, canon.At(now))
	if err != nil {
		return person{}, err
	}
	for _, v := range versions {
		who.lineages[v.Lineage()] = v.Terms.Concerns(subject)
	}
	who.audits, who.stale, err = authority.AuditorOf(r, session, canon.At(now))
	who.all = len(who.audits) > 0 && len(who.audits) == len(versions)
	return who, err
}

// ask notes whether person parts about others are wanted. Whoever can't have them
// is told so; they are never left out in silence.
func (p *person) ask(people bool) error {
	switch p.people = people; {
	case !people || len(p.audits) > 0:
		return nil
	case p.stale != nil:
		return p.stale
	}
	return fmt.Errorf("people: what is held about others is shown to the auditors that a contract names, and each reading is recorded: %w", contract.ErrNotHolder)
}

// openEntry returns a leaf with as much of its opening as the person may see. By
// whose office a person part about somebody else is among it, the lineage says; it
// is zero if there is none, and else the reading has to be recorded before anybody
// sees it.
func openEntry(r *store.Reader, e store.Entry, who person) (out api.Entry, office canon.Digest, err error) {
	out = api.Entry{Index: e.Index, Kind: string(e.Leaf.Kind), Leaf: string(e.Text), At: e.At}
	facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
	if err != nil {
		return out, office, err
	}
	by := who.office(facts)
	may := !by.IsZero()
	if !may {
		if may, err = mayRead(r, facts, who); err != nil {
			return out, office, err
		}
	}
	if may {
		out.Facts, out.FactsSalt = string(e.Opening.Facts), e.Opening.FactsSalt.String()
	}
	own := e.Opening.PersonID == who.id
	if e.Opening.Person == nil || !own && (!who.people || by.IsZero()) {
		return out, office, nil
	}
	if !own {
		office = by
	}
	out.Person, out.PersonSalt = string(e.Opening.Person), e.Opening.PersonSalt.String()
	return out, office, nil
}

// office returns the lineage of the contract by whose auditor's office somebody may
// see a leaf, zero if there is none: what belongs to the contract, the logins and
// groups that its identity providers vouch for, and which accounts are one human's.
func (p person) office(facts record.Facts) canon.Digest {
	for _, v := range p.audits {
		belongs := false
		switch f := facts.(type) {
		case record.PersonLogin:
			belongs = hasIssuer(v, f.Issuer)
		case record.PersonSnapshot:
			belongs = hasIssuer(v, f.Issuer)
		case record.PersonLink, record.PersonLock, record.PersonUnlock:
			belongs = true
		default:
			belongs = facts.InLineage() == v.Lineage()
		}
		if belongs {
			return v.Lineage()
		}
	}
	return canon.Digest{}
}

func hasIssuer(v *contract.Version, url string) bool {
	return slices.ContainsFunc(v.Terms.Issuers, func(i contract.Issuer) bool { return i.URL == url })
}

// mayRead reports whether somebody may see the facts of a leaf who holds no office:
// what is about the ledger itself is for everybody, and so is that somebody was
// erased, a contract and its hosts for
// those whom it concerns, the rest for those whom it is about, whose request it
// belongs to, or who decided on that. It and office are the one place that says so,
// for lists, single entries and exports.
func mayRead(r *store.Reader, facts record.Facts, who person) (bool, error) {
	switch f := facts.(type) {
	case record.LedgerOpen, record.LedgerSucceed, record.KeyAdd, record.PersonErase:
		return true, nil // of somebody erased it names an id, which is nobody's any more
	case record.ContractPropose, record.ContractSign, record.ContractWithdraw, record.ContractCondition, record.ContractTerminate, record.HostJoin:
		return who.lineages[f.InLineage()], nil
	case record.HostInvite, record.HostCertify, record.HostLabel, record.HostRetire, record.HostRelease, record.LoginRefuse:
		return who.lineages[f.InLineage()], nil
	case record.LoginOpen:
		return sessionOf(r, f.Session, who)
	case record.LoginOffline:
		return sessionOf(r, f.Session, who)
	case record.LoginClose:
		return sessionOf(r, f.Session, who)
	case record.PersonLogin:
		return f.Person == who.id, nil
	case record.PersonSnapshot:
		return f.Person == who.id, nil
	case record.PersonRead:
		return f.Person == who.id, nil
	case record.PersonLink:
		return slices.Contains(f.People, who.id), nil
	case record.PersonLock:
		return f.Person == who.id, nil
	case record.PersonUnlock:
		return f.Person == who.id, nil
	case record.AccessRevoke:
		if f.Person == who.id || f.About == who.id {
			return true, nil
		}
		if f.Target.Whole() { // of a role or a host everybody is told whom the contract concerns
			return f.About == "" && who.lineages[f.Lineage], nil
		}
	}
	id, err := requestOf(r, facts)
	if err != nil || id == "" {
		return false, err
	}
	return tookPart(r, id, who.id)
}

// marked reads a parameter that is 1 or not there.
func marked(values url.Values, name string) (bool, error) {
	text, err := single(values, name)
	if err == nil && values.Has(name) && text != "1" {
		err = fmt.Errorf("%s: %w: 1, or leave it out", name, authority.ErrField)
	}
	return text == "1", err
}

// sessionOf reports whether a session on a host is somebody's own.
func sessionOf(r *store.Reader, id canon.ID, who person) (bool, error) {
	row, err := record.HostSession(r, id)
	return err == nil && row.Person == who.id, err
}
