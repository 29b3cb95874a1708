package server

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// searchQuery is what entries of the ledger are searched by. Its zero value is
// everything, newest first.
type searchQuery struct {
	mentions []record.Mention // what the facts must say, but for who
	who      string           // a name, address or handle of whom they must be about
	serial   int64            // of a certificate; 0 for any
	since    canon.Micros     // 0: from the beginning
	until    canon.Micros     // 0: to the end
	text     string           // lower-case; empty: any
	people   bool             // person parts about others, too
	oldest   bool             // oldest first
	limit    int
	from     int64        // entries from this index on
	before   int64        // entries below this index; open: all
	cursor   *cursor      // where to go on; nil: at the beginning
	digest   canon.Digest // of what is looked for; in the cursor alone
	recorded canon.Digest // the same without a name and a text that are looked for
}

// searchNames are the parameters of a search; those that say what is looked for
// before those that say how much of it.
var searchNames = []string{
	"person", "who", "host", "login", "role", "request", "contract", "serial", "key", "kind", "since", "until", "text", "people", "order",
	"cursor", "from", "before", "limit",
}

const asked = 15 // of searchNames, that say what is looked for

const (
	maxName       = 254 // of a person's name or address
	minText       = 2   // characters of a text that is looked for
	maxSearchText = 200
)

var (
	namePattern        = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)
	fingerprintPattern = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)
	agoPattern         = regexp.MustCompile(`^([1-9][0-9]{0,5})([smhdw])$`)
)

// parseSearch reads the parameters of a search. Each refusal names the parameter
// and what it takes.
func parseSearch(values url.Values, session store.Session, now time.Time) (searchQuery, error) {
	q := searchQuery{}
	for name := range values {
		switch text, err := single(values, name); {
		case err != nil:
			return q, err
		case text == "":
			return q, fmt.Errorf("%s: %w: it is empty; leave it out", name, authority.ErrField)
		}
	}
	for _, read := range []func(url.Values, store.Session, time.Time) error{q.readMentions, q.readPerson, q.readRange, q.readText, q.readPage} {
		if err := read(values, session, now); err != nil {
			return q, err
		}
	}
	return q, q.readCursor(values)
}

// readMentions reads what stands in facts.
func (q *searchQuery) readMentions(values url.Values, _ store.Session, _ time.Time) error {
	for _, p := range []struct {
		name  record.MentionName
		takes string
		ok    func(string) bool
	}{
		{record.MentionHost, "a host's name", func(s string) bool { _, err := sshcert.ParseHost(s); return err == nil }},
		{record.MentionLogin, "a login on a host", func(s string) bool { _, err := sshcert.ParseLogin(s); return err == nil }},
		{record.MentionRole, "a role's id", namePattern.MatchString},
		{record.MentionRequest, "a request's id", func(s string) bool { _, err := canon.ParseID(s); return err == nil }},
		{record.MentionContract, "the digest of a contract version", func(s string) bool { _, err := canon.ParseDigest(s); return err == nil }},
		{record.MentionKey, "a key's fingerprint, SHA256:…, as ssh-keygen -l shows it", fingerprintPattern.MatchString},
		{record.MentionKind, "a kind of entry, such as certificate.issue", func(s string) bool { _, err := ledger.ParseKind(s); return err == nil }},
	} {
		value := values.Get(string(p.name))
		if value == "" {
			continue
		}
		if !p.ok(value) {
			return fmt.Errorf("%s: %w: %s", p.name, authority.ErrField, p.takes)
		}
		q.mentions = append(q.mentions, record.Mention{Name: p.name, Value: value})
	}
	if !values.Has("serial") {
		return nil
	}
	serial, err := parseNumber(values.Get("serial"), "serial")
	if err != nil || serial < 1 || serial > ledger.MaxSize {
		return fmt.Errorf("serial: %w: a certificate's number from 1, as sshd logs it", authority.ErrField)
	}
	q.serial = serial
	return nil
}

// readPerson reads whom it is about: by id, which "me" stands for, or by name.
func (q *searchQuery) readPerson(values url.Values, session store.Session, _ time.Time) error {
	if id := values.Get("person"); id == "me" {
		q.mentions = append(q.mentions, record.Mention{Name: record.MentionPerson, Value: string(session.Person)})
	} else if id != "" {
		if _, err := canon.ParseID(id); err != nil {
			return fmt.Errorf("person: %w: a person's id, or me; who= takes a name or an address", authority.ErrField)
		}
		q.mentions = append(q.mentions, record.Mention{Name: record.MentionPerson, Value: id})
	}
	q.who = norm.NFC.String(values.Get("who"))
	if len(q.who) > maxName {
		return fmt.Errorf("who: %w: a name, address or handle of at most %d bytes", authority.ErrField, maxName)
	}
	if q.who != "" && values.Has("person") {
		return fmt.Errorf("who, person: %w: one of them", authority.ErrField)
	}
	return nil
}

// readRange reads the time range.
func (q *searchQuery) readRange(values url.Values, _ store.Session, now time.Time) (err error) {
	if q.since, err = moment(values, "since", now); err != nil {
		return err
	}
	if q.until, err = moment(values, "until", now); err != nil {
		return err
	}
	if q.until != 0 && q.since > q.until {
		return fmt.Errorf("since, until: %w: the range ends before it begins", authority.ErrField)
	}
	return nil
}

// moment reads a time: as RFC 3339, or as how long ago it was. A day without a time
// begins at midnight UTC.
func moment(values url.Values, name string, now time.Time) (canon.Micros, error) {
	text := values.Get(name)
	if text == "" {
		return 0, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, "2006-01-02T15:04"} {
		if at, err := time.Parse(layout, text); err == nil && at.Year() >= 2000 && at.Year() < 2200 {
			return canon.At(at), nil
		}
	}
	if m := agoPattern.FindStringSubmatch(text); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
		if ago := time.Duration(n) * unit; err == nil && ago/unit == time.Duration(n) && ago < 200*365*24*time.Hour {
			return max(canon.At(now.Add(-ago)), 1), nil
		}
	}
	return 0, fmt.Errorf("%s: %w: a time as 2026-12-01T08:00:00Z, a day as 2026-12-01, or how long ago as 90m, 24h, 7d", name, authority.ErrField)
}

// readText reads the text that is looked for, which must be in a range of time.
func (q *searchQuery) readText(values url.Values, _ store.Session, _ time.Time) error {
	if !values.Has("text") {
		return nil
	}
	q.text = strings.ToLower(norm.NFC.String(values.Get("text")))
	if n := len([]rune(q.text)); n < minText || n > maxSearchText {
		return fmt.Errorf("text: %w: %d to %d characters", authority.ErrField, minText, maxSearchText)
	}
	if q.since == 0 {
		return fmt.Errorf("text: %w: each entry is looked at for it, so say since when, as since=7d", authority.ErrField)
	}
	return nil
}

// readPage reads how much is wanted, and in which order.
func (q *searchQuery) readPage(values url.Values, _ store.Session, _ time.Time) error {
	limit, err := number(values, "limit", defaultEntries)
	if err == nil && (limit < 1 || limit > maxEntries) {
		err = fmt.Errorf("limit: %w: 1 to %d", authority.ErrField, maxEntries)
	}
	if err != nil {
		return err
	}
	q.limit = int(limit)
	if q.people, err = marked(values, "people"); err != nil {
		return err
	}
	switch order := values.Get("order"); order {
	case "", "newest":
	case "oldest":
		q.oldest = true
	default:
		return fmt.Errorf("order: %w: newest or oldest", authority.ErrField)
	}
	return nil
}

// readCursor reads where to go on.
func (q *searchQuery) readCursor(values url.Values) error {
	what := url.Values{}
	for _, name := range searchNames[:asked] {
		if values.Has(name) {
			what.Set(name, values.Get(name))
		}
	}
	var err error
	if q.from, err = number(values, "from", 0); err != nil {
		return err
	}
	if q.before, err = number(values, "before", open); err != nil {
		return err
	}
	q.digest = digestOf(what)
	for _, name := range []string{"who", "text"} { // of a person: a digest of it would outlive their erasure
		if what.Has(name) {
			what.Set(name, "*")
		}
	}
	q.recorded = digestOf(what)
	switch {
	case values.Has("cursor") && (values.Has("before") || values.Has("from")):
		return fmt.Errorf("cursor, from, before: %w: a cursor says it all", authority.ErrField)
	case values.Has("cursor"):
		c, err := parseCursor(values.Get("cursor"))
		if err != nil {
			return err
		}
		if c.query != q.digest {
			return fmt.Errorf("cursor: %w: it is of another search; begin again without", authority.ErrField)
		}
		q.cursor = &c
	}
	return nil
}

func digestOf(what url.Values) canon.Digest {
	return canon.Sum("sallyport.query/v1", []byte(what.Encode()))
}
