package authority

import (
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// pastPage is how many leaves of the past are read at once.
const pastPage = 1000

// Plan decides the requests of a contract from a moment on again, as a draft of
// its terms would have: each on what was known when it was made, that is the
// login, the groups and the labels of that time. The draft need not be recorded.
func Plan(r *store.Reader, lineage canon.Digest, draft *contract.Terms, from, now canon.Micros) (contract.Plan, error) {
	version, err := record.InForce(r, lineage, now)
	if err != nil {
		return contract.Plan{}, err
	}
	p := past{
		r: r, lineage: lineage, now: now, labels: make(map[sshcert.Host][]labelled), at: make(map[canon.ID]int),
		subjects: make(map[record.Claims]contract.Subject), live: make(map[canon.ID][]uint64),
	}
	start, err := r.FirstAt(from)
	if err != nil {
		return contract.Plan{}, err
	}
	if err := p.readLabels(); err != nil {
		return contract.Plan{}, err
	}
	if err := p.readRequests(start); err != nil {
		return contract.Plan{}, err
	}
	people, err := p.people()
	if err != nil {
		return contract.Plan{}, err
	}
	return contract.MakePlan(contract.PlanInput{
		Old: version.Terms, New: draft, Parent: version.Digest, From: from.Time(), To: now.Time(), Requests: p.requests, People: people,
	})
}

// past is what is read of a ledger for a plan.
type past struct {
	r        *store.Reader
	lineage  canon.Digest
	now      canon.Micros
	labels   map[sshcert.Host][]labelled // in the order of the leaves
	subjects map[record.Claims]contract.Subject
	live     map[canon.ID][]uint64 // by request
	requests []contract.PastRequest
	at       map[canon.ID]int // of a request in requests
}

// labelled says which labels a host has from a leaf on.
type labelled struct {
	from   int64
	labels map[string]string
}

// each calls fn with the facts of the lineage's leaves of some kinds.
func (p *past) each(from int64, fn func(index int64, f record.Facts) error, kinds ...ledger.Kind) error {
	for {
		page, err := p.r.SincePage(from, pastPage, kinds...)
		if err != nil {
			return err
		}
		for _, e := range page {
			from = e.Index + 1
			facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
			if err != nil {
				return fmt.Errorf("leaf %d: %w", e.Index, err)
			}
			if facts.InLineage() != p.lineage {
				continue
			}
			if err := fn(e.Index, facts); err != nil {
				return fmt.Errorf("leaf %d: %w", e.Index, err)
			}
		}
		if len(page) < pastPage {
			return nil
		}
	}
}

// readLabels reads which labels each host had when. A change of labels is made by
// its second leaf.
func (p *past) readLabels() error {
	proposed := make(map[canon.ID]bool)
	return p.each(0, func(index int64, f record.Facts) error {
		switch f := f.(type) {
		case record.HostJoin:
			p.labels[f.Name] = append(p.labels[f.Name], labelled{index, labelMap(f.Labels)})
		case record.HostLabel:
			if proposed[f.Change] {
				p.labels[f.Host] = append(p.labels[f.Host], labelled{index, labelMap(f.Labels)})
			}
			proposed[f.Change] = true
		}
		return nil
	}, ledger.HostJoin, ledger.HostLabel)
}

func labelMap(list []record.Label) map[string]string {
	out := make(map[string]string, len(list))
	for _, l := range list {
		out[l.Name] = l.Value
	}
	return out
}

// labelsAt returns the labels that a host had before a leaf, nil if it had not joined.
func (p *past) labelsAt(host sshcert.Host, leaf int64) map[string]string {
	var out map[string]string
	for _, l := range p.labels[host] {
		if l.from < leaf {
			out = l.labels
		}
	}
	return out
}

// readRequests reads what was asked for, who approved it, and which certificates
// of it can be used now.
func (p *past) readRequests(start int64) error {
	err := p.each(start, func(index int64, f record.Facts) error {
		switch f := f.(type) {
		case record.RequestSubmit:
			return p.submitted(index, f)
		case record.RequestDecide:
			return p.decided(f)
		case record.CertificateIssue:
			return p.issued(f)
		}
		return nil
	}, ledger.RequestSubmit, ledger.RequestDecide, ledger.CertificateIssue)
	if err != nil {
		return err
	}
	for i := range p.requests {
		q := &p.requests[i]
		row, err := record.Request(p.r, q.ID)
		if err != nil {
			return err
		}
		revoked := row.Revoked.At != 0
		row.Revoked = approval.Revocation{} // what it was before
		q.Granted = row.Status(p.now.Time()).State == approval.Granted
		if !revoked {
			q.Live = p.live[q.ID]
		}
	}
	return nil
}

func (p *past) submitted(index int64, f record.RequestSubmit) error {
	var doc record.RequestDoc
	if err := canon.Unmarshal([]byte(f.Document), &doc); err != nil {
		return err
	}
	subject, err := p.subject(f.Claims)
	if err != nil {
		return err
	}
	q := contract.PastRequest{ID: f.Request, Person: doc.Person, Subject: subject, Ask: contract.Ask{
		Role: doc.Role, Logins: doc.Logins, For: time.Duration(doc.Seconds) * time.Second, ReasonWords: f.ReasonWords,
	}}
	for _, h := range doc.Hosts {
		q.Ask.Hosts = append(q.Ask.Hosts, contract.HostLabels{Name: h, Labels: p.labelsAt(h, index)})
	}
	p.at[f.Request] = len(p.requests)
	p.requests = append(p.requests, q)
	return nil
}

func (p *past) decided(f record.RequestDecide) error {
	i, ok := p.at[f.Request]
	if !ok || f.Verdict != approval.Approve { // it was asked for before the days of the plan
		return nil
	}
	subject, err := p.subject(f.Claims)
	if err != nil {
		return err
	}
	p.requests[i].Approvals = append(p.requests[i].Approvals, contract.PastApproval{Person: f.Person, Subject: subject})
	return nil
}

func (p *past) issued(f record.CertificateIssue) error {
	row, err := record.Certificate(p.r, f.Serial)
	if err != nil {
		return err
	}
	if row.Before > p.now && !row.Void && row.Revoked.At == 0 {
		p.live[f.Grant] = append(p.live[f.Grant], f.Serial)
	}
	return nil
}

// subject returns what claims say of a person.
func (p *past) subject(c record.Claims) (contract.Subject, error) {
	if s, ok := p.subjects[c]; ok {
		return s, nil
	}
	login, err := record.Login(p.r, c.Login)
	if err != nil {
		return contract.Subject{}, err
	}
	snapshot, err := record.Snapshot(p.r, c.Snapshot)
	if err != nil {
		return contract.Subject{}, err
	}
	s := contract.Subject{Issuer: login.Issuer, Groups: snapshot.Groups, GroupsKnown: snapshot.GroupsKnown}
	p.subjects[c] = s
	return s, nil
}

// people returns everybody who has logged in, with what each issuer said last.
func (p *past) people() ([]contract.PastPerson, error) {
	ids, err := p.r.Keys(record.TablePerson, record.Index{Name: "all"})
	if err != nil {
		return nil, err
	}
	out := make([]contract.PastPerson, 0, len(ids))
	for _, id := range slices.Sorted(slices.Values(ids)) {
		row, err := record.Person(p.r, canon.ID(id))
		if err != nil {
			return nil, err
		}
		one := contract.PastPerson{Person: row.Person}
		for _, ref := range row.Snapshots {
			s, err := record.Snapshot(p.r, ref.Leaf)
			if err != nil {
				return nil, err
			}
			one.Subjects = append(one.Subjects, contract.Subject{Issuer: ref.Issuer, Groups: s.Groups, GroupsKnown: s.GroupsKnown})
		}
		out = append(out, one)
	}
	return out, nil
}
