// Package witness speaks C2SP tlog-witness: it asks witnesses for their word on
// a checkpoint, and it is a witness, for anyone who wants to run one.
//
// A witness signs that a checkpoint was the newest of its log at a time, after
// it has seen a proof that the log only grew since the one before. Two faces of
// one log can't both be cosigned by it. The formats are package ledger's; here
// are HTTP and the one file that a witness must never lose.
package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// Reasons why a witness gives no cosignature.
var (
	// ErrConfig says that a witness can't be asked or started as it was set up.
	ErrConfig = errors.New("unusable witness settings")
	// ErrUnreachable says that no answer came, or none that a witness gives.
	ErrUnreachable = errors.New("the witness does not answer")
	// ErrRefused says that the witness does not know the log or its key.
	ErrRefused = errors.New("the witness refuses the log")
	// ErrFork says that the witness has seen another history of the log.
	ErrFork = errors.New("the witness has seen another history of this ledger")
	// ErrUnjustified says that a party cosigner has seen a leaf of its contract
	// that is not justified, or is not shown to it.
	ErrUnjustified = errors.New("the cosigner does not vouch for what is in the ledger")
	// ErrClock says that a cosignature is dated too far from our own clock.
	ErrClock = errors.New("the cosignature's time is too far from this machine's clock")
)

// MaxSkew is how far a fresh cosignature's time may be from our clock.
const MaxSkew = 30 * time.Second

// StaleError says what size the witness has seen, which is not the one that it
// was told.
type StaleError struct{ Size int64 }

func (e *StaleError) Error() string {
	return "the witness has seen the ledger at size " + strconv.FormatInt(e.Size, 10)
}

// StatusUnjustified is the HTTP status of a refusal that is no question of C2SP
// tlog-witness: the checkpoint is consistent, the leaves under it are not
// justified.
const StatusUnjustified = http.StatusUnavailableForLegalReasons

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 10

// Client asks one witness.
type Client struct {
	key  ledger.CosignerKey
	url  string
	http *http.Client
	now  func() time.Time
}

// NewClient returns a client of the witness whose submission prefix is prefix,
// an https URL (http for loopback addresses only). Its word counts by key alone:
// who is at the address does not matter to trust.
func NewClient(key ledger.CosignerKey, prefix string, now func() time.Time) (*Client, error) {
	if key.IsZero() || now == nil {
		return nil, fmt.Errorf("%w: key and clock must be given", ErrConfig)
	}
	u, err := ParsePrefix(prefix)
	if err != nil {
		return nil, err
	}
	return &Client{
		key: key, url: u + "/add-checkpoint", now: now,
		http: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// ParsePrefix reads a submission prefix, and returns it without a slash at its end.
func ParsePrefix(prefix string) (string, error) {
	u, err := url.Parse(strings.TrimSuffix(prefix, "/"))
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", fmt.Errorf("url %q: %w: want https://HOST[:PORT][/PATH]", prefix, ErrConfig)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return "", fmt.Errorf("url %q: %w: https, or http on a loopback address", prefix, ErrConfig)
	}
	return u.String(), nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Key is the key by which the witness's word is known.
func (c *Client) Key() ledger.CosignerKey { return c.key }

// Cosign asks for a cosignature. Beside the errors above it may be a
// *StaleError: then the proof must start at another size. ctx bounds the call.
func (c *Client) Cosign(ctx context.Context, ask ledger.AddCheckpoint, checkpoint ledger.Checkpoint) (ledger.Cosignature, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(ask.Marshal()))
	if err != nil {
		return ledger.Cosignature{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	request.Header.Set("Content-Type", "text/plain; charset=utf-8")
	answer, err := c.http.Do(request)
	if err != nil {
		return ledger.Cosignature{}, fmt.Errorf("%w: %w", ErrUnreachable, withoutURL(err))
	}
	defer func() { _ = answer.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil || len(body) > maxAnswer {
		return ledger.Cosignature{}, fmt.Errorf("%w: its answer did not arrive whole", ErrUnreachable)
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return c.read(checkpoint, string(body))
	case http.StatusConflict:
		return ledger.Cosignature{}, conflict(string(body), ask.Old)
	case http.StatusUnprocessableEntity:
		return ledger.Cosignature{}, ErrFork
	case StatusUnjustified:
		return ledger.Cosignature{}, fmt.Errorf("%w: %s", ErrUnjustified, said(body))
	case http.StatusServiceUnavailable:
		return ledger.Cosignature{}, fmt.Errorf("%w: it says: %s", ErrUnreachable, said(body))
	case http.StatusNotFound, http.StatusForbidden:
		return ledger.Cosignature{}, fmt.Errorf("%w (%d): its keeper has to add %s with its log key", ErrRefused, answer.StatusCode, checkpoint.Origin)
	default:
		return ledger.Cosignature{}, fmt.Errorf("%w: status %d", ErrUnreachable, answer.StatusCode)
	}
}

// withoutURL leaves the address out of an error: it may hold what only the
// operator should see.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// maxSaid bounds what is repeated of a refusal, in bytes.
const maxSaid = 500

// said is what a cosigner wrote about its refusal, as one line that hides nothing.
func said(body []byte) string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(body), "?"))
	if len(text) > maxSaid {
		text = strings.ToValidUTF8(text[:maxSaid], "") + "…"
	}
	return canon.Visible(text)
}

// conflict reads the size that a witness says it has seen. A conflict at the very
// size that it was told is over the root.
func conflict(body string, told int64) error {
	size, err := strconv.ParseInt(strings.TrimSuffix(body, "\n"), 10, 64)
	switch {
	case err != nil || size < 0:
		return fmt.Errorf("%w: a conflict without a size", ErrUnreachable)
	case size == told:
		return fmt.Errorf("%w, at size %d", ErrFork, size)
	}
	return &StaleError{Size: size}
}

// read takes the one line of the witness's own key; others may stand beside it.
func (c *Client) read(checkpoint ledger.Checkpoint, body string) (ledger.Cosignature, error) {
	for line := range strings.SplitAfterSeq(body, "\n") {
		at, err := c.key.Verify(checkpoint, line)
		if err != nil {
			continue
		}
		if skew := at.Sub(c.now()); skew.Abs() > MaxSkew {
			return ledger.Cosignature{}, fmt.Errorf("%w: %s says %s", ErrClock, c.key.Name(), at.UTC().Format(time.RFC3339))
		}
		return ledger.Cosignature{Key: c.key, Line: line, At: at}, nil
	}
	return ledger.Cosignature{}, fmt.Errorf("%w: its answer holds no cosignature of %s", ErrUnreachable, c.key.Name())
}
