package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	maxAnswerBytes = 1 << 20          // metadata, keys and token endpoint answers
	answerTime     = 10 * time.Second // one request, redirects and body included
	maxRedirects   = 3
)

// newClient builds the only HTTP client that speaks to a provider. It never
// leaves the host it was sent to, and stops reading after maxAnswerBytes.
func newClient(base *http.Client) *http.Client {
	rt := http.DefaultTransport
	if base != nil && base.Transport != nil {
		rt = base.Transport
	}
	return &http.Client{Transport: bounded{rt}, Timeout: answerTime, CheckRedirect: sameHost}
}

// sameHost follows redirects of a GET inside one origin. A redirect elsewhere
// would let whoever writes it answer for the provider.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	if req.URL.Scheme != first.URL.Scheme || req.URL.Host != first.URL.Host ||
		first.Method != http.MethodGet || len(via) > maxRedirects {
		return errRedirect
	}
	return nil
}

var (
	errRedirect = errors.New("it redirects, and only a GET inside one host is followed")
	errTooLong  = errors.New("its answer is longer than 1 MiB")
)

// bounded cuts every answer off after maxAnswerBytes, counted after
// decompression.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = &boundedBody{body: resp.Body, left: maxAnswerBytes}
	return resp, nil
}

type boundedBody struct {
	body io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if len(p) > b.left+1 { // one more byte than allowed tells the end from too much
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if n > b.left {
		return b.left, errTooLong
	}
	b.left -= n
	return n, err
}

func (b *boundedBody) Close() error { return b.body.Close() }

// getJSON fetches a JSON document. What the error says is ours, not the
// provider's.
func (p *Provider) getJSON(ctx context.Context, what, from string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return fmt.Errorf("%w: %s has an address that is no URL", ErrMetadata, what)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return p.unreachable(what, err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing was written, so closing can't lose anything
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: %s of issuer %q answered with status %d", ErrUnreachable, what, p.issuer.ID, resp.StatusCode)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return p.unreachable(what, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %s of issuer %q is not the JSON that OpenID Connect defines", ErrMetadata, what, p.issuer.ID)
	}
	return nil
}

// unreachable turns a transport error into a sentence without its URL, whose
// query may hold what must not be repeated. The cause stays for errors.Is.
func (p *Provider) unreachable(what string, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, errRedirect) || errors.Is(err, errTooLong) {
		return fmt.Errorf("%w: %s of issuer %q: %w", ErrMetadata, what, p.issuer.ID, err)
	}
	return fmt.Errorf("%w: %s of issuer %q: %w; try again in a moment", ErrUnreachable, what, p.issuer.ID, cause{err})
}

// fetchTimes bounds how often a document is asked for and how long it is used.
type fetchTimes struct {
	fresh time.Duration // younger: used without asking
	keep  time.Duration // older: no longer used, even if asking keeps failing
	again time.Duration // least time between an asking that succeeded and the next
	retry time.Duration // least time between an asking that failed and the next
}

// fetched keeps the last good answer of one fetch. Whatever callers send, the
// provider is asked no more often than times allows, and by one caller at once.
type fetched[T any] struct {
	now   func() time.Time
	times fetchTimes
	fetch func(context.Context) (T, error)
	turn  chan struct{} // held by the caller that asks

	mu    sync.Mutex
	value T
	have  bool
	got   time.Time // when value came
	asked time.Time // when the last asking began; zero: never
	err   error     // of the last asking
}

func newFetched[T any](now func() time.Time, times fetchTimes, fetch func(context.Context) (T, error)) *fetched[T] {
	return &fetched[T]{now: now, times: times, fetch: fetch, turn: make(chan struct{}, 1)}
}

// told is a fetch of which somebody is told.
func told[T any](tell func(string, error), document string, fetch func(context.Context) (T, error)) func(context.Context) (T, error) {
	if tell == nil {
		return fetch
	}
	return func(ctx context.Context) (T, error) {
		v, err := fetch(ctx)
		tell(document, err)
		return v, err
	}
}

// get returns the kept value if it is fresh and suits. Else it asks, if it may,
// and returns the newest value whether it suits or not; the error of the last
// asking is returned only if no value may be used.
func (f *fetched[T]) get(ctx context.Context, suits func(T) bool) (T, error) {
	if v, fresh, _ := f.kept(); fresh && suits(v) {
		return v, nil
	}
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("%w: %w", ErrUnreachable, ctx.Err())
	}
	if v, fresh, _ := f.kept(); fresh && suits(v) { // somebody else asked while we waited
		return v, nil
	}
	if f.mayAsk() {
		f.ask(ctx)
	}
	v, _, err := f.kept()
	return v, err
}

// kept returns the value in use and whether it is fresh, or the error that
// explains why there is none.
func (f *fetched[T]) kept() (value T, fresh bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	age := f.now().Sub(f.got)
	if !f.have || age > f.times.keep {
		var none T
		if f.err == nil { // never an empty value without an error, whatever the clock does
			return none, false, fmt.Errorf("%w: nothing fetched is recent enough; try again in a moment", ErrUnreachable)
		}
		return none, false, f.err
	}
	return f.value, 0 <= age && age < f.times.fresh, nil
}

func (f *fetched[T]) mayAsk() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait := f.times.again
	if f.err != nil {
		wait = f.times.retry
	}
	since := f.now().Sub(f.asked)
	return f.asked.IsZero() || since >= wait || since < 0 // a clock set back must not stop asking
}

// ask does not end when the caller goes away: the answer serves everybody, and
// a caller that hangs up at once must not use up the turn of the others.
func (f *fetched[T]) ask(ctx context.Context) {
	begun := f.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	v, err := f.fetch(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.err = begun, err
	if err == nil {
		f.value, f.have, f.got = v, true, begun
	}
}

// Usable asks for the provider's metadata and keys as a login would: unless they
// are fresh, and no oftener than always. An error says that no ID token can be
// verified now; not fresh, that what was fetched before the last asking serves.
func (p *Provider) Usable(ctx context.Context) (fresh bool, err error) {
	if _, err := p.metadata(ctx); err != nil {
		return false, err
	}
	if _, err := p.keys.get(ctx, func(keySet) bool { return true }); err != nil {
		return false, err
	}
	_, freshMetadata, _ := p.meta.kept()
	_, freshKeys, _ := p.keys.kept()
	return freshMetadata && freshKeys, nil
}
