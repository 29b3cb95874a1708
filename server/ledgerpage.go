package server

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// ledgerView is the data of ledger.html.
type ledgerView struct {
	Size      int64
	Auditor   []string // the contracts whose auditor the reader is, by their ids
	Fields    []searchField
	Open      bool // one of the lesser used fields is filled in
	People    bool
	Searching bool
	Alert     string // why it was not searched
	SignIn    bool   // signing in again helps
	Entries   []foundEntry
	Searched  int64
	Next      string // address of the next page; empty at the end
	Command   string // the same search for sally
}

// searchField is one field of the form.
type searchField struct {
	Name, Label, Hint, Value string
	More                     bool // less used
}

// foundEntry is one entry in the timeline.
type foundEntry struct {
	Index   int64
	Kind    string
	At      canon.Micros
	Path    string
	Shown   bool // its facts are for the reader
	About   []foundMention
	Written []string
}

// foundMention is one thing that an entry is about, with the search for it.
type foundMention struct{ Name, Short, Path string }

func (v ledgerView) title() string { return "Ledger" }

var searchFields = []searchField{
	{Name: "host", Label: "Host"},
	{Name: "since", Label: "Since", Hint: "2026-12-01, or 24h or 7d ago"},
	{Name: "until", Label: "Until"},
	{Name: "person", Label: "Person", Hint: "an id, or me"},
	{Name: "who", Label: "Name or address", Hint: "your own, or anybody's for an auditor", More: true},
	{Name: "login", Label: "Login", More: true},
	{Name: "role", Label: "Role", More: true},
	{Name: "kind", Label: "Kind", Hint: "such as certificate.issue", More: true},
	{Name: "serial", Label: "Serial", Hint: "as sshd logs it", More: true},
	{Name: "request", Label: "Request", More: true},
	{Name: "contract", Label: "Contract version", More: true},
	{Name: "key", Label: "Key", Hint: "its fingerprint, SHA256:…", More: true},
	{Name: "text", Label: "Text", Hint: "needs since", More: true},
}

// ledgerPage answers GET /ledger: a search of the ledger, with what is looked for in
// the address.
func (s *Server) ledgerPage(w http.ResponseWriter, r *http.Request, session store.Session) error {
	values, err := query(r, searchNames...)
	if err != nil {
		return err
	}
	for name := range values { // a form sends its empty fields, too
		if values.Get(name) == "" {
			values.Del(name)
		}
	}
	if !fromOurPage(r) { // a link of somebody else's must not have people read, and recorded, in the auditor's name
		values.Del("people")
	}
	v := ledgerView{People: values.Get("people") == "1", Command: commandOf(values)}
	v.fill(values)
	status, err := s.fillLedger(r, session, values, &v)
	if err != nil {
		return err
	}
	var me viewer
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		who, err := readerOf(reader, session, s.now())
		if err != nil {
			return err
		}
		for _, c := range who.audits {
			v.Auditor = append(v.Auditor, c.Terms.ID)
		}
		if who.stale != nil && v.Alert == "" {
			v.Alert, v.SignIn = "You are an auditor by what was said of you at a sign-in that is too old now, so you see less.", true
		}
		me, err = viewerOf(reader, session)
		v.Size = me.after + 1
		return err
	})
	if err != nil {
		return err
	}
	return s.show(w, r, status, "ledger", me, v)
}

// elsewhere reports whether a browser asks because another site had it do so.
func elsewhere(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "cross-site" || site == "same-site" // another port's page has our cookies
}

// fromOurPage reports whether a browser asks from a page of ours: only there is the
// button with which an auditor asks for person parts. A link in a mail or another
// program, a bookmark and an address that was typed are none of that.
func fromOurPage(r *http.Request) bool { return r.Header.Get("Sec-Fetch-Site") == "same-origin" }

// fillLedger searches. What was typed and can be mended is told on the page itself.
func (s *Server) fillLedger(r *http.Request, session store.Session, values url.Values, v *ledgerView) (status int, err error) {
	q, err := parseSearch(values, session, s.now())
	if err == nil {
		var p *searching
		if p, err = s.searchFor(r.Context(), session, q); err == nil {
			v.found(p, values)
			return http.StatusOK, nil
		}
	}
	k, detail := classify(err)
	if k != fieldRefused && k != contractForbids && k != loginTooOld {
		return 0, err
	}
	v.Alert, v.SignIn = sentence(detail), k == loginTooOld
	return k.status, nil
}

func (v *ledgerView) fill(values url.Values) {
	for _, f := range searchFields {
		f.Value = values.Get(f.Name)
		v.Searching = v.Searching || f.Value != ""
		v.Open = v.Open || f.More && f.Value != ""
		v.Fields = append(v.Fields, f)
	}
}

// found takes a page of a search.
func (v *ledgerView) found(p *searching, values url.Values) {
	v.Searched = p.out.Searched
	for _, e := range p.out.Entries {
		one := foundEntry{Index: e.Index, Kind: e.Kind, At: e.At, Path: "/ledger/" + strconv.FormatInt(e.Index, 10), Shown: e.Facts != "", Written: wrote(e)}
		if v.People && e.Person != "" {
			one.Path += "?people=1"
		}
		for _, name := range []record.MentionName{
			record.MentionPerson, record.MentionLogin, record.MentionHost, record.MentionRole, record.MentionRequest, record.MentionKey,
		} {
			for _, m := range p.said[e.Index] {
				if m.Name == name {
					one.About = append(one.About, foundMention{string(name), shortened(m.Value), "/ledger?" + url.Values{string(name): {m.Value}}.Encode()})
				}
			}
		}
		v.Entries = append(v.Entries, one)
	}
	if p.out.Next != "" {
		next := url.Values{}
		for name := range values {
			if slices.Contains(searchNames[:asked], name) {
				next.Set(name, values.Get(name))
			}
		}
		next.Set("cursor", p.out.Next)
		v.Next = "/ledger?" + next.Encode()
	}
}

// shortened is an id or a digest as far as people compare it.
func shortened(s string) string {
	if len(s) > 20 && !strings.Contains(s, ".") {
		return s[:12] + "…"
	}
	return s
}

// commandOf is the search as a command line.
func commandOf(values url.Values) string {
	out := "sally ledger list"
	for _, f := range searchFields {
		name, value := f.Name, values.Get(f.Name)
		if name == "who" {
			name = "person"
		}
		if value != "" {
			out += " --" + name + " " + quoted(visible(value))
		}
	}
	if values.Get("people") == "1" {
		out += " --people"
	}
	return out + " --csv"
}

// quoted is a word for a shell.
func quoted(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.:@/+,", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
