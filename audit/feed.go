package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// Versions of what a party cosigner signs to be shown leaves, and of the last line
// of what it gets.
const (
	FeedVersion    = "sallyport.feed/v1"
	FeedEndVersion = "sallyport.feed.end/v1"
)

const (
	// FeedLife is how long a request for leaves may be used at most.
	FeedLife = time.Minute
	// MaxFeedLeaves is how many leaves one answer has at most.
	MaxFeedLeaves = 500
	// maxFeedNamed bounds how many leaves stand in an answer because others name
	// them: each names three at most, and a login one more.
	maxFeedNamed = 8 * MaxFeedLeaves
	// maxFeed bounds an answer, in bytes.
	maxFeed      = 64 << 20
	maxFeedAsked = 2 << 10 // bytes of a request
)

// ErrFeed says that a request for leaves, or the answer to one, is not in order.
var ErrFeed = errors.New("not in order")

// FeedRequest is what a party cosigner signs to be shown leaves with their
// openings: those of one lineage, and those that these name.
type FeedRequest struct {
	Cosigner  string       `json:"cosigner"` // its name
	ExpiresAt canon.Micros `json:"expires_at"`
	From      int64        `json:"from"` // first leaf
	Lineage   canon.Digest `json:"lineage"`
	Origin    string       `json:"origin"`
	To        int64        `json:"to"` // behind the last leaf; fewer may come
	V         string       `json:"v"`
}

// Sign returns the document and its signature, as they are sent.
func (r FeedRequest) Sign(s *ledger.CosignerSigner) (document, signature string, err error) {
	r.V, r.Cosigner = FeedVersion, s.Key().Name()
	text, err := canon.Marshal(r)
	if err != nil {
		return "", "", err
	}
	return string(text), canon.B64(s.Message(FeedVersion, text)), nil
}

// ParseFeedRequest reads a document, strictly. Whose it is, Verify says.
func ParseFeedRequest(document string) (FeedRequest, error) {
	var r FeedRequest
	if len(document) > maxFeedAsked {
		return r, fmt.Errorf("a request for leaves: %w: %d bytes, at most %d", ErrFeed, len(document), maxFeedAsked)
	}
	if err := exactly([]byte(document), &r); err != nil {
		return r, fmt.Errorf("a request for leaves: %w: %w", ErrFeed, err)
	}
	switch {
	case r.V != FeedVersion:
		return r, fmt.Errorf("a request for leaves: %w: v is %.80q, this release reads %s", ErrFeed, r.V, FeedVersion)
	case r.From < 0 || r.To <= r.From || r.To > ledger.MaxSize:
		return r, fmt.Errorf("a request for leaves: %w: from %d to %d", ErrFeed, r.From, r.To)
	}
	return r, nil
}

// Verify returns nil if the cosigner with that key signed the document.
func (r FeedRequest) Verify(key ledger.CosignerKey, document, signature string) error {
	raw, err := canon.ParseB64(signature)
	if err != nil {
		return fmt.Errorf("%w: %w", ledger.ErrMessage, err)
	}
	if key.Name() != r.Cosigner {
		return fmt.Errorf("%w: it says that it is from %.200q", ledger.ErrMessage, r.Cosigner)
	}
	return key.VerifyMessage(FeedVersion, []byte(document), raw)
}

// FeedPage is the answer: leaves one after the other, and leaves from before that
// they name. Openings stand where the cosigner may see them.
type FeedPage struct {
	Named  []Entry // by index, each below the first of Leaves
	Leaves []Entry // without a gap
}

// feedEnd is the last line of an answer, which tells a whole one from another.
type feedEnd struct {
	Leaves int64  `json:"leaves"`
	Named  int64  `json:"named"`
	V      string `json:"v"`
}

// Append appends the answer's lines to b: an entry each, as in a bundle, and an
// end.
func (p FeedPage) Append(b []byte) ([]byte, error) {
	for _, list := range [][]Entry{p.Named, p.Leaves} {
		for _, e := range list {
			var err error
			if b, err = e.appendLine(b); err != nil {
				return nil, err
			}
			b = append(b, '\n')
		}
	}
	end, err := canon.Marshal(feedEnd{int64(len(p.Leaves)), int64(len(p.Named)), FeedEndVersion})
	if err != nil {
		return nil, err
	}
	return append(append(b, end...), '\n'), nil
}

// ReadFeed reads an answer to a request for leaves from and below to. It checks the
// form: what stands in it is hearsay until the tree is built from it.
func ReadFeed(r io.Reader, from, to int64) (FeedPage, error) {
	var p FeedPage
	last := int64(-1)
	in := bufio.NewReaderSize(io.LimitReader(r, maxFeed), 64<<10)
	for {
		line, err := feedLine(in)
		if err != nil {
			return FeedPage{}, err
		}
		if bytes.Contains(line[:min(len(line), 100)], []byte(`"v":"`+FeedEndVersion)) {
			return p, p.ended(in, line)
		}
		e, err := parseLine(line)
		if err != nil {
			return FeedPage{}, err
		}
		next := from + int64(len(p.Leaves))
		switch {
		case e.Certificate != nil:
			return FeedPage{}, fmt.Errorf("leaves: %w: a certificate", ErrFeed)
		case e.Index < from && len(p.Leaves) == 0 && e.Index > last && len(p.Named) < maxFeedNamed:
			p.Named, last = append(p.Named, e), e.Index
		case e.Index == next && next < to && len(p.Leaves) < MaxFeedLeaves:
			p.Leaves = append(p.Leaves, e)
		default:
			return FeedPage{}, fmt.Errorf("leaves: %w: leaf %d, asked for were %d to %d", ErrFeed, e.Index, from, to)
		}
	}
}

func (p FeedPage) ended(in *bufio.Reader, line []byte) error {
	var end feedEnd
	if err := exactly(line, &end); err != nil {
		return err
	}
	if end != (feedEnd{int64(len(p.Leaves)), int64(len(p.Named)), FeedEndVersion}) || len(p.Leaves) == 0 {
		return fmt.Errorf("leaves: %w: %d leaves and %d that they name; the last line says %d and %d", ErrFeed, len(p.Leaves), len(p.Named), end.Leaves, end.Named)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("leaves: %w: something stands behind the last line", ErrFeed)
	}
	return nil
}

// feedLine reads a line, which is the caller's to keep.
func feedLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine+1:
			return nil, fmt.Errorf("leaves: %w: a line of more than %d bytes", ErrFeed, maxLine)
		case err == nil:
			return line[:len(line)-1], nil
		case errors.Is(err, io.EOF):
			return nil, fmt.Errorf("leaves: %w: they are broken off", ErrFeed)
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("reading the leaves: %w", err)
		}
	}
}

// Line returns an entry as one line without its newline, as it stands in a bundle.
func (e Entry) Line() ([]byte, error) { return e.appendLine(nil) }

// ParseLine reads what Line returns and refuses everything else. The entry's texts
// lie within line.
func ParseLine(line []byte) (Entry, error) { return parseLine(line) }
