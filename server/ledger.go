package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

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

// showEntry answers GET /v1/ledger/entries/{index}?people=: the leaf, what of its
// opening the person may see, its proof, and the certificate that it recorded.
func (s *Server) showEntry(w http.ResponseWriter, r *http.Request, session store.Session) error {
	values, err := query(r, "people")
	if err != nil {
		return err
	}
	people, err := marked(values, "people")
	if err != nil {
		return err
	}
	index, err := parseNumber(mux.Vars(r)["index"], "index")
	if err != nil {
		return err
	}
	out, err := s.proveEntry(r.Context(), session, index, people)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// proveEntry reads an entry for a person, with others' data if people says so and
// they hold the office, records that, and adds the proof.
func (s *Server) proveEntry(ctx context.Context, session store.Session, index int64, people bool) (out api.EntryProof, err error) {
	var office canon.Digest
	err = s.store.Read(ctx, func(reader *store.Reader) error {
		entry, err := reader.Entry(index)
		if err != nil {
			return err
		}
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		if err := who.ask(people); err != nil {
			return err
		}
		if out.Entry, office, err = openEntry(reader, entry, who); err != nil || out.Facts == "" {
			return err
		}
		out.Certificate, err = signedCertificate(reader, entry)
		return err
	})
	if err != nil {
		return out, err
	}
	proof, err := s.authority.Prove(ctx, index)
	if err != nil {
		return out, err
	}
	out.Proof = string(proof)
	if office.IsZero() {
		return out, nil
	}
	return out, s.authority.RecordReading(ctx, session, authority.Reading{
		How: record.ReadEntry, First: index, Last: index, Shown: map[canon.Digest]authority.ShownParts{office: {Count: 1, Leaves: []int64{index}}},
	})
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
	case record.AccessRevoke:
		switch f.Target.Type {
		case record.TargetGrant, record.TargetRequest:
			return f.Target.ID, nil
		case record.TargetCertificate:
			row, err := record.Certificate(r, f.Target.Serial)
			return row.Grant, err
		case record.TargetPerson, record.TargetRole, record.TargetHost:
		}
	case record.GrantCarry:
		return f.Grant, nil
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
