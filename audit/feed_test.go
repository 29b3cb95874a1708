package audit_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

func TestFeedRequest(t *testing.T) {
	t.Parallel()
	s, other := ledgertest.Cosigner(t, "c.example/1"), ledgertest.Cosigner(t, "c.example/2")
	want := audit.FeedRequest{ExpiresAt: 5, From: 1, To: 9, Lineage: canon.Digest{1}, Origin: "ledger.example"}
	document, signature, err := want.Sign(s)
	must(t, err)
	got, err := audit.ParseFeedRequest(document)
	must(t, err)
	want.Cosigner, want.V = "c.example/1", audit.FeedVersion
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	must(t, got.Verify(s.Key(), document, signature))
	renamed := got
	renamed.Cosigner = "c.example/2"
	for name, err := range map[string]error{
		"another's key":     got.Verify(other.Key(), document, signature),
		"another's name":    renamed.Verify(s.Key(), document, signature),
		"another document":  got.Verify(s.Key(), strings.Replace(document, `"from":1`, `"from":0`, 1), signature),
		"another signature": got.Verify(s.Key(), document, canon.B64(make([]byte, 64))),
		"no signature":      got.Verify(s.Key(), document, "!"),
	} {
		if !errors.Is(err, ledger.ErrMessage) {
			t.Errorf("%s: %v, want ErrMessage", name, err)
		}
	}
	for name, text := range map[string]string{
		"nothing": "", "another version": strings.Replace(document, "feed/v1", "feed/v2", 1), "no range": strings.Replace(document, `"to":9`, `"to":1`, 1),
		"from below 0": strings.Replace(document, `"from":1`, `"from":-1`, 1), "another member": strings.Replace(document, `"from":1`, `"from":1,"x":1`, 1),
		"too long": strings.Replace(document, "ledger.example", strings.Repeat("x", 3000), 1), "spaces": " " + document, "a member missing": strings.Replace(document, `"from":1,`, "", 1),
	} {
		if _, err := audit.ParseFeedRequest(text); !errors.Is(err, audit.ErrFeed) {
			t.Errorf("%s: %v, want ErrFeed", name, err)
		}
	}
}

// feedPage is an answer to a request for the leaves from 5 on.
func feedPage(t fataler) audit.FeedPage {
	t.Helper()
	entries := wholeStory(t).entries()
	for i := range entries {
		entries[i].Certificate = nil
	}
	entries[6].Opening = record.Opening{}
	return audit.FeedPage{Named: []audit.Entry{entries[1], entries[3]}, Leaves: entries[5:]}
}

func TestFeedPages(t *testing.T) {
	t.Parallel()
	page := feedPage(t)
	to := int64(5 + len(page.Leaves))
	text, err := page.Append(nil)
	must(t, err)
	got, err := audit.ReadFeed(bytes.NewReader(text), 5, to)
	must(t, err)
	same := func(a, b audit.Entry) bool {
		return a.Index == b.Index && bytes.Equal(a.Text, b.Text) && bytes.Equal(a.Opening.Facts, b.Opening.Facts)
	}
	if !slices.EqualFunc(got.Named, page.Named, same) || !slices.EqualFunc(got.Leaves, page.Leaves, same) {
		t.Error("what is read is not what was written")
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	join := func(list ...[]byte) []byte { return bytes.Join(list, nil) }
	last := len(lines) - 2 // behind the last newline stands nothing
	for name, bent := range map[string][]byte{
		"nothing":              nil,
		"no end":               join(lines[:last]...),
		"cut":                  text[:len(text)-2],
		"something behind":     append(slices.Clone(text), '\n'),
		"a leaf missing":       join(slices.Delete(slices.Clone(lines), 3, 4)...),
		"a named one missing":  join(lines[1:]...),
		"two in another order": join(slices.Concat([][]byte{lines[1], lines[0]}, lines[2:])...),
		"one named late":       join(slices.Concat(lines[1:4], lines[:1], lines[4:])...),
		"one twice":            join(slices.Concat(lines[:3], lines[2:])...),
		"another end":          bytes.Replace(text, []byte(`"named":2`), []byte(`"named":3`), 1),
		"no leaf":              []byte(`{"leaves":0,"named":0,"v":"sallyport.feed.end/v1"}` + "\n"),
	} {
		if _, err := audit.ReadFeed(bytes.NewReader(bent), 5, to); err == nil {
			t.Errorf("%s: it is read", name)
		}
	}
	if _, err := audit.ReadFeed(bytes.NewReader(text), 5, to-1); !errors.Is(err, audit.ErrFeed) {
		t.Errorf("more than was asked for: %v, want ErrFeed", err)
	}
	page.Leaves[0].Certificate = []byte("x")
	text, err = page.Append(nil)
	must(t, err)
	if _, err := audit.ReadFeed(bytes.NewReader(text), 5, to); !errors.Is(err, audit.ErrFeed) {
		t.Errorf("with a certificate: %v, want ErrFeed", err)
	}
}

func FuzzReadFeed(f *testing.F) {
	page := feedPage(f)
	text, err := page.Append(nil)
	must(f, err)
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add([]byte(`{"leaves":1,"named":0,"v":"sallyport.feed.end/v1"}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := audit.ReadFeed(bytes.NewReader(text), 5, 100)
		if err != nil {
			return
		}
		again, err := p.Append(nil)
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("it is written otherwise: %q, %v", again, err)
		}
	})
}

func FuzzParseFeedRequest(f *testing.F) {
	document, _, err := audit.FeedRequest{ExpiresAt: 5, From: 1, To: 9, Lineage: recordtest.New(f, "feed").Version.Digest, Origin: "ledger.example"}.Sign(ledgertest.Cosigner(f, "c.example/1"))
	must(f, err)
	f.Add(document)
	f.Add("{}")
	f.Fuzz(func(t *testing.T, document string) {
		r, err := audit.ParseFeedRequest(document)
		if err != nil {
			return
		}
		if again, err := canon.Marshal(r); err != nil || string(again) != document {
			t.Errorf("it is written otherwise: %q, %v", again, err)
		}
	})
}
