package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// maxFacts is how long facts may be that a page shows, in bytes.
const maxFacts = 16 << 10

// entryView is the data of entry.html.
type entryView struct {
	E           api.Entry
	Hash        string
	Facts       string // laid out for reading; empty if they are too long or not for the reader
	Request     canon.ID
	Certificate string
	Proof       string
	LogKey      string
	Written     []string // what the person part says in words, as far as it is for the reader
	Auditor     bool     // the reader can ask for it by their office

	// What the browser makes the commitments again from; empty for what is not on
	// the page.
	RawFacts, RawFactsSalt, RawPerson, RawPersonSalt string
}

func (v entryView) title() string { return fmt.Sprintf("Ledger entry %d", v.E.Index) }

// entryPage answers GET /ledger/{index}?people=: one entry of the ledger, as far as
// it is for the reader, and its proof. An ID token is on no page, not even for whom
// it is about: of a login the page has what its person is called.
func (s *Server) entryPage(w http.ResponseWriter, r *http.Request, session store.Session) error {
	index, err := parseNumber(mux.Vars(r)["index"], "index")
	if err != nil {
		return errNoRoute
	}
	values, err := query(r, "people")
	if err != nil {
		return err
	}
	people, err := marked(values, "people")
	if err != nil {
		return err
	}
	e, err := s.proveEntry(r.Context(), session, index, people && fromOurPage(r))
	if err != nil {
		return err
	}
	v := entryView{E: e.Entry, Certificate: e.Certificate, Proof: e.Proof, Hash: canon.Digest(tlog.RecordHash([]byte(e.Leaf))).String(), Written: wrote(e.Entry)}
	if err := v.lay(); err != nil {
		return err
	}
	var me viewer
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		if me, err = viewerOf(reader, session); err != nil {
			return err
		}
		return v.complete(s, reader, session)
	})
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "entry", me, v)
}

// lay puts what is short enough on the page.
func (v *entryView) lay() (err error) {
	if v.E.Facts != "" && len(v.E.Facts) <= maxFacts {
		v.RawFacts, v.RawFactsSalt = v.E.Facts, v.E.FactsSalt
	}
	if v.E.Person != "" && ledger.Kind(v.E.Kind) != ledger.PersonLogin {
		v.RawPerson, v.RawPersonSalt = v.E.Person, v.E.PersonSalt
	}
	if v.E.Facts != "" {
		v.Facts, err = layOut(v.E.Facts)
	}
	return err
}

// complete adds what the ledger says beside the entry.
func (v *entryView) complete(s *Server, r *store.Reader, session store.Session) error {
	log, err := record.Log(r)
	if err != nil {
		return err
	}
	v.LogKey = log.LogKey
	if v.E.Facts == "" {
		return nil
	}
	facts, err := record.ParseFacts(ledger.Kind(v.E.Kind), []byte(v.E.Facts))
	if err != nil {
		return err
	}
	if v.Request, err = requestOf(r, facts); err != nil {
		return err
	}
	who, err := readerOf(r, session, s.now())
	if err != nil {
		return err
	}
	leaf, err := ledger.ParseLeaf([]byte(v.E.Leaf))
	if err != nil {
		return err
	}
	v.Auditor = !leaf.Person.IsZero() && v.E.Person == "" && !who.office(facts).IsZero()
	return nil
}

// wrote is written without what is empty.
func wrote(e api.Entry) (out []string) {
	for _, text := range written(e) {
		if text != "" {
			out = append(out, text)
		}
	}
	return out
}

// layOut writes canonical JSON with a line for each member; nothing if it is long.
func layOut(facts string) (string, error) {
	if len(facts) > maxFacts {
		return "", nil
	}
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(facts), "", "  "); err != nil {
		return "", err
	}
	return b.String(), nil
}
