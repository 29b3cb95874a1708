package server

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
)

func TestCursor(t *testing.T) {
	t.Parallel()
	query := canon.Sum("x", nil)
	for _, c := range []cursor{{0, 0, query}, {3, 7, query}, {7, open, canon.Digest{1}}, {ledger.MaxSize, ledger.MaxSize, query}} {
		if got, err := parseCursor(c.String()); err != nil || got != c {
			t.Errorf("%+v is read as %+v, %v", c, got, err)
		}
	}
	inner := func(s string) string { return canon.B64([]byte(s)) }
	for _, text := range []string{
		"", "x", inner("sallyport.cursor/v1"), inner("sallyport.cursor/v2 3 7 " + query.String()), inner("sallyport.cursor/v1 7 3 " + query.String()),
		inner("sallyport.cursor/v1 03 7 " + query.String()), inner("sallyport.cursor/v1 3 -2 " + query.String()), inner("sallyport.cursor/v1 3 7 x"),
		inner("sallyport.cursor/v1 3 9007199254740993 " + query.String()), inner("sallyport.cursor/v1  3 7 " + query.String()), (cursor{3, 7, query}).String() + "=",
	} {
		if c, err := parseCursor(text); !errors.Is(err, authority.ErrField) {
			t.Errorf("%q is read as %+v, %v", text, c, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add((cursor{3, 7, canon.Digest{1}}).String())
	f.Add((cursor{3, open, canon.Digest{1}}).String())
	f.Add(canon.B64([]byte("sallyport.cursor/v1 3 x y")))
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCursor(text)
		if err == nil && (c.String() != text || c.from < 0 || c.before != open && c.before < c.from) {
			t.Errorf("%q is read as %+v", text, c)
		}
	})
}

func FuzzParseSearch(f *testing.F) {
	for _, q := range []string{
		"host=web-1.demo&since=7d&limit=10", "person=me&kind=certificate.issue", "text=a%25&since=2026-12-01T08:00:00Z&until=1h&people=1", "who=a@b&order=oldest",
		"serial=12&key=SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&login=ops&role=x", "before=3", "since=999999w", "cursor=abc",
	} {
		f.Add(q)
	}
	now := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		values, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		q, err := parseSearch(values, store.Session{}, now)
		if err == nil && (q.limit < 1 || q.limit > maxEntries || q.since < 0 || q.until < 0 || q.text != "" && q.since == 0 || q.digest.IsZero()) {
			t.Errorf("%q is read as %+v", text, q)
		}
	})
}
