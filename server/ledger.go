package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	defaultEntries = 50
	maxEntries     = 200
	// maxListed bounds the openings in one list, in bytes. A list ends where the
	// next would not fit, and a longer one is left out: it is there when its entry
	// is asked for alone.
	maxListed = 256 << 10
)

// checkpoint answers GET /checkpoint: the newest checkpoint, with its
// cosignatures.
func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) error {
	note, err := s.authority.Published(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(note) // a client that went away needs no answer
	return nil
}

// listEntries answers GET /v1/ledger/entries?before=&limit=, newest first.
func (s *Server) listEntries(w http.ResponseWriter, r *http.Request, session store.Session) error {
	values, err := query(r, "before", "limit")
	if err != nil {
		return err
	}
	limit, err := number(values, "limit", defaultEntries)
	if err != nil {
		return err
	}
	if limit < 1 || limit > maxEntries {
		return fmt.Errorf("limit: %w: 1 to %d", authority.ErrField, maxEntries)
	}
	out := api.Entries{Entries: []api.Entry{}}
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		head, err := reader.Head()
		if err != nil {
			return err
		}
		out.Size = head.Tree.Size
		before, err := number(values, "before", out.Size)
		if err != nil {
			return err
		}
		entries, err := reader.Entries(before, int(limit))
		if err != nil {
			return err
		}
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		bytes := 0
		for _, e := range entries {
			one, err := openEntry(reader, e, who)
			if err != nil {
				return err
			}
			size := len(one.Facts) + len(one.Person)
			if size > maxListed {
				one.Facts, one.FactsSalt, one.Person, one.PersonSalt, size = "", "", "", "", 0
			}
			if bytes += size; bytes > maxListed {
				return nil
			}
			out.Entries = append(out.Entries, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// number reads a parameter that is a non-negative integer and stands once or not
// at all.
func number(values url.Values, name string, otherwise int64) (int64, error) {
	text, err := single(values, name)
	if err != nil || !values.Has(name) {
		return otherwise, err
	}
	return parseNumber(text, name)
}

// parseNumber reads a non-negative integer, written the one way.
func parseNumber(text, name string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("%s: %w: a whole number, 0 or more", name, authority.ErrField)
	}
	return n, nil
}

// showEntry answers GET /v1/ledger/entries/{index}: the leaf, what of its opening
// the person may see, its proof, and the certificate that it recorded.
func (s *Server) showEntry(w http.ResponseWriter, r *http.Request, session store.Session) error {
	index, err := parseNumber(mux.Vars(r)["index"], "index")
	if err != nil {
		return err
	}
	var out api.EntryProof
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		entry, err := reader.Entry(index)
		if err != nil {
			return err
		}
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		if out.Entry, err = openEntry(reader, entry, who); err != nil || out.Facts == "" {
			return err
		}
		out.Certificate, err = signedCertificate(reader, entry)
		return err
	})
	if err != nil {
		return err
	}
	proof, err := s.authority.Prove(r.Context(), index)
	if err != nil {
		return err
	}
	out.Proof = string(proof)
	return writeJSON(w, http.StatusOK, out)
}

// openEntry returns a leaf with as much of its opening as the person may see.
func openEntry(r *store.Reader, e store.Entry, who person) (api.Entry, error) {
	out := api.Entry{Index: e.Index, Kind: string(e.Leaf.Kind), Leaf: string(e.Text), At: e.At}
	facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
	if err != nil {
		return api.Entry{}, err
	}
	may, err := mayRead(r, facts, who)
	if err != nil {
		return api.Entry{}, err
	}
	if may {
		out.Facts, out.FactsSalt = string(e.Opening.Facts), e.Opening.FactsSalt.String()
	}
	if e.Opening.Person != nil && e.Opening.PersonID == who.id {
		out.Person, out.PersonSalt = string(e.Opening.Person), e.Opening.PersonSalt.String()
	}
	return out, nil
}

// person is whom something is shown to.
type person struct {
	id       canon.ID
	lineages map[canon.Digest]bool // of the contracts that concern them
}

// readerOf returns who reads in a session. A contract and its hosts are shown to
// those whom it names by a group that they are known to be in.
func readerOf(r *store.Reader, session store.Session, now time.Time) (person, error) {
	who := person{session.Person, make(map[canon.Digest]bool)}
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
	return who, nil
}

// mayRead reports whether somebody may see the facts of a leaf: what is about
// the ledger itself is for everybody, and so is that somebody was erased, a contract and its hosts for those whom it
// concerns, the rest for those whom it is about, whose request it belongs to, or
// who decided on that. It is the one place that says so, for lists, single entries
// and exports: an auditor's office, once a contract can name one, sees more here
// and nowhere else. Until then the operator exports everything.
func mayRead(r *store.Reader, facts record.Facts, who person) (bool, error) {
	switch f := facts.(type) {
	case record.LedgerOpen, record.LedgerSucceed, record.PersonErase:
		return true, nil // of somebody erased it names an id, which is nobody's any more
	case record.ContractPropose, record.ContractSign, record.HostJoin:
		return who.lineages[f.InLineage()], nil
	case record.PersonLogin:
		return f.Person == who.id, nil
	case record.PersonSnapshot:
		return f.Person == who.id, nil
	case record.PersonLink:
		return slices.Contains(f.People, who.id), nil
	}
	id, err := requestOf(r, facts)
	if err != nil || id == "" {
		return false, err
	}
	return tookPart(r, id, who.id)
}

// requestOf returns the request that a leaf is about, empty if it is about none
// or this version does not know it.
func requestOf(r *store.Reader, facts record.Facts) (canon.ID, error) {
	switch f := facts.(type) {
	case record.RequestSubmit:
		return f.Request, nil
	case record.RequestDecide:
		return f.Request, nil
	case record.RequestExpire:
		return f.Request, nil
	case record.RequestCancel:
		return f.Request, nil
	case record.CertificateIssue:
		return f.Grant, nil
	case record.CertificateVoid:
		row, err := record.Certificate(r, f.Serial)
		return row.Grant, err
	}
	return "", nil
}

func tookPart(r *store.Reader, id canon.ID, person canon.ID) (bool, error) {
	q, err := record.Request(r, id)
	return err == nil && (q.By == person || decidedBy(q, person)), err
}

// signedCertificate returns the certificate that a leaf recorded as one line,
// empty if the leaf is another kind or nothing was signed after it.
func signedCertificate(r *store.Reader, e store.Entry) (string, error) {
	facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
	if err != nil {
		return "", err
	}
	f, ok := facts.(record.CertificateIssue)
	if !ok {
		return "", nil
	}
	wire, err := r.SignedCertificate(f.Serial)
	if errors.Is(err, record.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	cert, err := sshcert.ParseCertificate(wire)
	if err != nil {
		return "", err
	}
	return keyLine(cert), nil
}
