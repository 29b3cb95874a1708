package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/api"
)

const (
	callTimeout = 30 * time.Second
	maxAnswer   = 1 << 20          // bytes of one answer
	maxSkew     = 30 * time.Second // between this machine's clock and the server's
)

// conn speaks to the server. It follows no redirect, reads at most maxAnswer
// bytes and demands TLS 1.2 with the usual verification.
type conn struct {
	env    Env
	base   *url.URL
	bearer string // empty before a login
	http   *http.Client
	skew   time.Duration // the server's clock less ours, once it is over maxSkew
	// renew brings newer claims after the server found them too old. Nil: nothing
	// does.
	renew func(context.Context) error
}

func newConn(e Env, base *url.URL, bearer string) *conn {
	return &conn{env: e, base: base, bearer: bearer, http: &http.Client{
		Timeout: callTimeout,
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			ForceAttemptHTTP2:   true,
			MaxIdleConns:        2,
			IdleConnTimeout:     time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *conn) get(ctx context.Context, path string, query url.Values, into any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, into)
}

// getNow is get for a caller who asks again by itself: it does not wait where the
// server asks to.
func (c *conn) getNow(ctx context.Context, path string, query url.Values, into any) error {
	return c.renewing(ctx, http.MethodGet, path, query, nil, into)
}

func (c *conn) post(ctx context.Context, path string, body, into any) error {
	return c.call(ctx, http.MethodPost, path, nil, body, into)
}

// call makes one request and reads the answer's JSON into into, or its bytes if that
// is a *[]byte, unless it is nil. Its errors are sentences for the person, with an
// exit code. A request that came too soon is made again when the server says,
// within patience: that it was refused, the server has said, so it did nothing.
func (c *conn) call(ctx context.Context, method, path string, query url.Values, body, into any) error {
	for waited := time.Duration(0); ; {
		err := c.renewing(ctx, method, path, query, body, into)
		wait := retryAfter(err)
		if waited += wait; wait == 0 || waited > patience {
			return err
		}
		c.env.say("the server is asked too much at once; trying again in %s, as it says", wait)
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// renewing makes one request, and once more after the login was renewed if the
// server found it too old: it has said that it refused, so it did nothing.
func (c *conn) renewing(ctx context.Context, method, path string, query url.Values, body, into any) error {
	err := c.once(ctx, method, path, query, body, into)
	if p, ok := errors.AsType[*ProblemError](err); !ok || p.Slug != tooOld || c.renew == nil {
		return err
	}
	switch renewed := c.renew(ctx); {
	case errors.Is(renewed, errNoRefresh):
		return err
	case renewed != nil:
		return renewed
	}
	return c.once(ctx, method, path, query, body, into)
}

// tooOld is the problem of a login whose claims are too old.
const tooOld = "login-too-old"

func (c *conn) once(ctx context.Context, method, path string, query url.Values, body, into any) error {
	req, err := c.request(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	c.compareClocks(resp.Header.Get("Date"))
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	if len(answer) > maxAnswer {
		return fmt.Errorf("the server at %s answered more than %d bytes; is that the right server?", c.base, maxAnswer)
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return c.refused(resp, answer)
	}
	switch into := into.(type) {
	case nil:
		return nil
	case *[]byte:
		*into = answer
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("the server at %s answered %s with something that is not what this version of sally understands", c.base, path)
	}
	return nil
}

func (c *conn) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("asking %s: %w", path, err)
		}
		content = bytes.NewReader(b)
	}
	where := c.base.JoinPath(path)
	where.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, where.String(), content)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", path, err)
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	req.Header.Set("User-Agent", "sally/"+version())
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+c.bearer)
	}
	return req, nil
}

// unreachable turns a transport error into a sentence; the URL's path and query
// are left out.
func (c *conn) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fail(ExitUnreachable, "the server at %s does not answer: %w; try again, a retry is safe", c.base, err)
}

// refused turns an answer that is no success into a sentence.
func (c *conn) refused(resp *http.Response, body []byte) error {
	media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p api.Problem
	if err == nil && media == "application/problem+json" && json.Unmarshal(body, &p) == nil && p.Type != "" {
		return withRetry(problem(p), resp.Header, c.now())
	}
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests: // of a proxy before the server
		return withRetry(problem(api.Problem{Type: tooMuch, Title: "the server is asked too much at once"}), resp.Header, c.now())
	case status < http.StatusBadRequest:
		return fmt.Errorf("the server at %s redirects elsewhere (status %d), which is not followed; check --server", c.base, status)
	case status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout:
		return fail(ExitUnreachable, "the server at %s is not available (status %d); try again, a retry is safe", c.base, status)
	default:
		return fmt.Errorf("the server at %s answered with status %d and no problem document; is that a Sallyport server?", c.base, status)
	}
}

// compareClocks warns once when this machine's clock is off: a host judges
// certificates by its own clock, and signed documents carry times.
func (c *conn) compareClocks(date string) {
	server, err := http.ParseTime(date)
	if err != nil || c.skew != 0 {
		return
	}
	off := server.Sub(c.env.Now()) // a Date has whole seconds: up to 1 s low
	if off.Abs() <= maxSkew {
		return
	}
	c.skew = off
	word := "behind"
	if off < 0 {
		word = "ahead of"
	}
	c.env.say("this machine's clock is %s %s the server's; set it right, else certificates look expired or not yet valid",
		off.Abs().Round(time.Second), word)
}

// now is the time for documents that the server judges: ours, put right by what
// its clock was seen to differ.
func (c *conn) now() time.Time { return c.env.Now().Add(c.skew) }
