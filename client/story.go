package client

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// story is what the leaves say that a certificate rests on.
type story struct {
	origin      string
	certificate audit.Certificate
	verdicts    map[int64]audit.Verdict // by leaf
	words       []audit.Part

	contract   *contract.Version // nil if it is not shown
	contractAt int64
	versions   map[canon.Digest]*contract.Version // that are shown, by digest
	signatures []signatureLeaf
	request    *requestLeaf // nil if it is not shown
	decisions  []decisionLeaf
	endedAt    int64 // leaf of its expiry or cancellation, 0 for none
	ended      string
	logins     map[canon.Digest]loginLeaf
	sessions   []sessionLeaf
	erased     map[canon.ID]int64 // leaf by which somebody was erased
	closed     int                // leaves of the contract that could belong to it and are not shown
}

type signatureLeaf struct {
	leaf  int64
	facts record.ContractSign
}

type requestLeaf struct {
	leaf   int64
	facts  record.RequestSubmit
	doc    record.RequestDoc
	reason string // empty if it is erased or not shown
	ticket string // empty if none was named, or it is erased or not shown
}

type decisionLeaf struct {
	leaf  int64
	facts record.RequestDecide
	words string
}

// loginLeaf is a login that the request or a decision was made in.
type loginLeaf struct {
	leaf  int64
	facts record.PersonLogin
	who   string // name and address as the identity provider gave them; empty if not shown
}

// read collects the leaves in two passes: what belongs to the certificate, and
// then the logins that those name.
func (s *story) read(path string) error {
	if err := eachEntry(path, s.take); err != nil {
		return err
	}
	s.logins, s.erased = make(map[canon.Digest]loginLeaf), make(map[canon.ID]int64)
	if s.request != nil {
		s.logins[s.request.facts.Claims.Login] = loginLeaf{leaf: -1}
	}
	for _, d := range s.decisions {
		s.logins[d.facts.Claims.Login] = loginLeaf{leaf: -1}
	}
	return eachEntry(path, s.takeLogin)
}

// eachEntry reads a bundle that was verified before.
func eachEntry(path string, fn func(audit.Entry, ledger.Leaf) error) (err error) {
	f, err := os.Open(path) //nolint:gosec // the person named the file
	if err != nil {
		return fmt.Errorf("opening the bundle: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	r, err := audit.NewReader(f)
	if err != nil {
		return err
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		leaf, err := ledger.ParseLeaf(e.Text)
		if err != nil {
			return err
		}
		if err := fn(e, leaf); err != nil {
			return err
		}
	}
}

// version returns a contract version that is shown.
func (s *story) version(d canon.Digest) (*contract.Version, error) {
	if v, ok := s.versions[d]; ok {
		return v, nil
	}
	return nil, fmt.Errorf("contract version %s: %w", d, record.ErrNotFound)
}

// take keeps a leaf that belongs to the certificate.
func (s *story) take(e audit.Entry, leaf ledger.Leaf) error {
	if leaf.Lineage != s.certificate.Lineage || leaf.Kind == ledger.HostJoin || leaf.Kind == ledger.CertificateIssue || leaf.Kind == ledger.CertificateVoid {
		return nil // it may be many, and tells nothing of how it came about
	}
	if e.Opening.Facts == nil {
		s.closed++
		return nil
	}
	facts, person, err := record.Open(leaf, e.Opening)
	if err != nil {
		return nil // the verdict names it
	}
	switch f := facts.(type) {
	case record.ContractPropose:
		version, err := record.LoadVersion(f, s.version) // an amendment is read with what it amends
		if err != nil {
			return nil // the verdict names it
		}
		if s.versions == nil {
			s.versions = make(map[canon.Digest]*contract.Version)
		}
		s.versions[f.Contract] = version
		if f.Contract == s.certificate.Contract {
			s.contractAt, s.contract = e.Index, version
		}
	case record.ContractSign:
		if f.Contract == s.certificate.Contract {
			s.signatures = append(s.signatures, signatureLeaf{leaf: e.Index, facts: f})
		}
	case record.RequestSubmit:
		if f.Request == s.certificate.Request {
			return s.takeRequest(e, f, person)
		}
	case record.RequestDecide:
		if f.Request == s.certificate.Request && e.Index < s.certificate.Leaf {
			part, _ := person.(record.DecidePerson) // empty where there is none
			s.decisions = append(s.decisions, decisionLeaf{leaf: e.Index, facts: f, words: part.Words})
		}
	case record.RequestExpire:
		if f.Request == s.certificate.Request {
			s.endedAt, s.ended = e.Index, "silence ended it"
		}
	case record.AccessRevoke:
		s.takeRevocation(e.Index, f)
	case record.LoginOpen, record.LoginClose:
		s.takeSession(e.Index, facts)
	case record.RequestCancel:
		if f.Request == s.certificate.Request {
			s.endedAt, s.ended = e.Index, "it was taken back"
		}
	}
	return err
}

func (s *story) takeRequest(e audit.Entry, f record.RequestSubmit, person any) error {
	r := requestLeaf{leaf: e.Index, facts: f}
	// Whether the document was signed is the verdict's; here it is only read.
	if err := canon.Unmarshal([]byte(f.Document), &r.doc); err != nil {
		return nil
	}
	if part, ok := person.(record.RequestPerson); ok {
		r.reason, r.ticket = part.Reason, part.Ticket
	}
	s.request = &r
	return nil
}

// takeLogin keeps a login that the request or a decision names, and who was erased
// since. Whether an erasure may stand, the verdicts say.
func (s *story) takeLogin(e audit.Entry, leaf ledger.Leaf) error {
	if leaf.Kind == ledger.PersonErase && e.Opening.Facts != nil {
		if facts, _, err := record.Open(leaf, e.Opening); err == nil {
			f, _ := facts.(record.PersonErase) // Open reads it by its kind
			for _, id := range f.People {
				s.erased[id] = e.Index
			}
		}
		return nil
	}
	hash := canon.Digest(tlog.RecordHash(e.Text))
	if _, ok := s.logins[hash]; !ok || leaf.Kind != ledger.PersonLogin {
		return nil
	}
	l := loginLeaf{leaf: e.Index}
	if e.Opening.Facts != nil {
		facts, person, err := record.Open(leaf, e.Opening)
		if err != nil {
			return nil // the verdict names it
		}
		l.facts, _ = facts.(record.PersonLogin)
		if part, ok := person.(record.LoginPerson); ok {
			l.who = who(api.Session{Name: part.Name, Email: part.Email, Person: l.facts.Person})
		}
	}
	s.logins[hash] = l
	return nil
}
