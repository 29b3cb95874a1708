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
}

func (v entryView) title() string { return fmt.Sprintf("Ledger entry %d", v.E.Index) }

// entryPage answers GET /ledger/{index}: one entry of the ledger, as far as it is
// for the reader, and its proof. What it hides about a person is not on the page,
// not even for them: an ID token is among it.
func (s *Server) entryPage(w http.ResponseWriter, r *http.Request, session store.Session) error {
	index, err := parseNumber(mux.Vars(r)["index"], "index")
	if err != nil {
		return errNoRoute
	}
	var v entryView
	var me viewer
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		entry, err := reader.Entry(index)
		if err != nil {
			return err
		}
		if me, err = viewerOf(reader, session); err != nil {
			return err
		}
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		if v.E, _, err = openEntry(reader, entry, who); err != nil {
			return err
		}
		v.Hash = canon.Digest(tlog.RecordHash(entry.Text)).String()
		if v.E.Facts == "" {
			return nil
		}
		if v.Certificate, err = signedCertificate(reader, entry); err != nil {
			return err
		}
		facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
		if err != nil {
			return err
		}
		if v.Request, err = requestOf(reader, facts); err != nil {
			return err
		}
		v.Facts, err = layOut(v.E.Facts)
		return err
	})
	if err != nil {
		return err
	}
	proof, err := s.authority.Prove(r.Context(), index)
	if err != nil {
		return err
	}
	v.Proof = string(proof)
	return s.show(w, r, http.StatusOK, "entry", me, v)
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
