package audit

import (
	"fmt"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// WaivePeople is the name under which an auditor accepts that the bundle does not
// show who people are.
const WaivePeople = "people"

// hiddenLogin is a login of which the bundle does not show who it was. One account
// could then be two people, one of whom decides for the other, and its groups could
// be others than the identity provider named.
type hiddenLogin struct {
	leaf   int64
	person canon.ID
}

// resting is a certificate that rests on one.
type resting struct {
	certificate int // position in the report
	login       hiddenLogin
}

// identities are by whose word people are who they are, of the leaves that stand.
type identities struct {
	hidden  map[canon.Digest]hiddenLogin  // by leaf
	claims  map[canon.Digest]canon.Digest // the login by which somebody asked or decided, by leaf
	resting []resting
}

func newIdentities() identities {
	return identities{hidden: make(map[canon.Digest]hiddenLogin), claims: make(map[canon.Digest]canon.Digest)}
}

// note takes a leaf that stands.
func (d identities) note(o Opened) {
	switch f := o.facts.(type) {
	case record.PersonLogin:
		if o.Opening.Person == nil && !o.leaf.Person.IsZero() {
			d.hidden[canon.Digest(o.hash)] = hiddenLogin{o.Index, f.Person}
		}
	case record.RequestSubmit:
		d.claims[canon.Digest(o.hash)] = f.Claims.Login
	case record.RequestDecide:
		d.claims[canon.Digest(o.hash)] = f.Claims.Login
	}
}

// rests notes of the certificate at a position of the report, which the fold
// allowed, the hidden logins that it rests on.
func (p *Replay) rests(certificate int, f record.CertificateIssue, r approval.Request) {
	logins := []canon.Digest{f.Claims.Login, p.who.claims[r.Leaf]}
	for _, d := range r.Decisions {
		logins = append(logins, p.who.claims[d.Leaf])
	}
	for _, l := range logins {
		if hidden, ok := p.who.hidden[l]; ok {
			p.who.resting = append(p.who.resting, resting{certificate, hidden})
		}
	}
}

// judgeHidden makes unknown what rests on a login that is not shown, unless that
// person was erased since: then two people have signed that it can't be shown any
// more, and the server's word is left.
func (p *Replay) judgeHidden() error {
	for _, at := range p.who.resting {
		c := &p.report.Certificates[at.certificate]
		erased, err := p.erasedBy(at.login.person)
		if err != nil {
			return err
		}
		if erased != 0 || c.Verdict == Unjustified || c.Verdict == Unknown && !c.Waived {
			continue
		}
		g := gap{
			rule:    fmt.Sprintf("who logged in by leaf %d is not shown, so two people may have been one", at.login.leaf),
			cause:   cause{at.login.leaf, ledger.PersonLogin},
			verdict: Unknown,
		}
		g.waived = p.config.Waive.people(at.login.leaf)
		c.unknown(&g)
	}
	return nil
}
