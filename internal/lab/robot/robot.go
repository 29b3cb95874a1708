// Package robot owns a browser without a screen: it visits pages, follows links
// and redirects and submits forms over HTTP, for the demo and for tests.
//
// It sends what a browser would send (cookies with SameSite, Origin, Referer
// and Sec-Fetch-*) and refuses what a browser would refuse (unknown fields,
// empty required ones, a form-action that the page's policy forbids), so that
// a page which works here is likely to work for people. It runs no script.
package robot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"
)

const (
	maxRedirects = 20 // as browsers
	maxPageBytes = 4 << 20
	hopTime      = 30 * time.Second
)

// Sentinels for what a person in front of a browser would run into.
var (
	// ErrRedirects means that a visit was redirected too often or to nowhere.
	ErrRedirects = errors.New("redirected too often or to nowhere")
	// ErrTooLarge means that a page is larger than the robot reads.
	ErrTooLarge = errors.New("the page is too large")
	// ErrNoForm means that a page does not have exactly one such form.
	ErrNoForm = errors.New("no such form")
	// ErrNoField means that a form has no such field, button or choice.
	ErrNoField = errors.New("no such field")
	// ErrRequired means that a browser would not submit the form as it is filled
	// in.
	ErrRequired = errors.New("the form is not complete")
	// ErrNoLink means that a page does not have exactly one such link.
	ErrNoLink = errors.New("no such link")
	// ErrPolicy means that the page's Content-Security-Policy forbids where the
	// form goes.
	ErrPolicy = errors.New("form-action of the page forbids it")
	// ErrLogin means that the provider did not let the person in.
	ErrLogin = errors.New("not signed in")
)

// Robot is one browser profile. It is safe for concurrent use, as tabs are.
type Robot struct {
	client *http.Client
	jar    *cookiejar.Jar

	mu       sync.Mutex
	sameSite map[string]http.SameSite // by host and cookie name
}

// New returns a robot with no cookies. The transport decides which servers are
// trusted; nil means a new plain http.Transport.
func New(transport http.RoundTripper) (*Robot, error) {
	jar, err := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
	if err != nil {
		return nil, err
	}
	if transport == nil {
		transport = &http.Transport{}
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Robot{
		client:   &http.Client{Transport: transport, CheckRedirect: stay, Timeout: hopTime},
		jar:      jar,
		sameSite: map[string]http.SameSite{},
	}, nil
}

// Close drops idle connections.
func (r *Robot) Close() { r.client.CloseIdleConnections() }

// Get visits an address as if the person had typed it.
func (r *Robot) Get(ctx context.Context, address string) (*Page, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return r.visit(ctx, visit{method: http.MethodGet, url: u})
}

// Follow clicks the one link of the page with this text.
func (r *Robot) Follow(ctx context.Context, from *Page, text string) (*Page, error) {
	var found []*url.URL
	for _, l := range from.Links {
		if l.Text == text {
			found = append(found, l.URL)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%w: %s has %d links %q", ErrNoLink, from.URL, len(found), text)
	}
	return r.visit(ctx, visit{method: http.MethodGet, url: found[0], from: from})
}

// visit is one navigation: what the first request asks for and which page it
// starts from, nil when the person typed the address.
type visit struct {
	method string
	url    *url.URL
	form   string // encoded body of a POST
	from   *Page
	submit bool // a form submission, which form-action governs
}

// visit follows a navigation through its redirects to a page.
func (r *Robot) visit(ctx context.Context, v visit) (*Page, error) {
	crossed := false // redirected on by a third origin, which hides whose form it was
	site := ""
	for range maxRedirects {
		if v.submit && !v.from.allowsAction(v.url) {
			return nil, fmt.Errorf("%w: %s, from the form on %s", ErrPolicy, v.url.Redacted(), v.from.URL)
		}
		site = worse(site, siteOf(v.from, v.url))
		req, err := r.request(ctx, v, site, crossed)
		if err != nil {
			return nil, err
		}
		resp, err := r.client.Do(req)
		if err != nil {
			return nil, err
		}
		r.keepCookies(v.url, resp)
		to, err := redirected(resp, v.url)
		if err != nil {
			return nil, errors.Join(err, resp.Body.Close())
		}
		if to == nil {
			return readPage(resp, v.url)
		}
		if err := resp.Body.Close(); err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
			v.method, v.form = http.MethodGet, ""
		}
		crossed = crossed || v.from != nil && origin(to) != origin(v.url) && origin(v.from.URL) != origin(v.url)
		v.url = to
	}
	return nil, fmt.Errorf("%w: more than %d times, last to %s", ErrRedirects, maxRedirects, v.url.Redacted())
}

// redirected returns where a response sends the browser, nil if it is a page.
func redirected(resp *http.Response, from *url.URL) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	to, err := from.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" || to.Scheme != "http" && to.Scheme != "https" {
		return nil, fmt.Errorf("%w: %s names no web address", ErrRedirects, from.Redacted())
	}
	if to.Fragment == "" {
		to.Fragment = from.Fragment
	}
	return to, nil
}

// request builds one hop with the headers that a browser adds.
func (r *Robot) request(ctx context.Context, v visit, site string, crossed bool) (*http.Request, error) {
	var body io.Reader
	if v.method == http.MethodPost {
		body = strings.NewReader(v.form)
	}
	req, err := http.NewRequestWithContext(ctx, v.method, v.url.String(), body)
	if err != nil {
		return nil, err
	}
	h := req.Header
	h.Set("User-Agent", "Mozilla/5.0 (compatible; sallyport-robot)")
	h.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if v.method == http.MethodPost {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		h.Set("Origin", v.from.originHeader(v.url, crossed))
	}
	if ref := v.from.referer(v.url); ref != "" {
		h.Set("Referer", ref)
	}
	if trustworthy(v.url) { // browsers send these only where nobody can listen
		h.Set("Sec-Fetch-Site", site)
		h.Set("Sec-Fetch-Mode", "navigate")
		h.Set("Sec-Fetch-Dest", "document")
		h.Set("Sec-Fetch-User", "?1")
	}
	// The page decides, not the redirects, which cookies cross sites.
	foreign := siteOf(v.from, v.url) == "cross-site"
	for _, c := range r.jar.Cookies(v.url) {
		if !foreign || r.crosses(v, c.Name) {
			req.AddCookie(c)
		}
	}
	return req, nil
}

// crosses reports whether a cookie goes along when another site sends the
// browser here: never a strict one, a lax one (the default) only with a GET.
func (r *Robot) crosses(v visit, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.sameSite[v.url.Hostname()+" "+name] {
	case http.SameSiteNoneMode:
		return true
	case http.SameSiteStrictMode:
		return false
	case http.SameSiteDefaultMode, http.SameSiteLaxMode:
		return v.method == http.MethodGet
	default:
		return v.method == http.MethodGet // never set through us, or set without the attribute
	}
}

func (r *Robot) keepCookies(u *url.URL, resp *http.Response) {
	cookies := resp.Cookies()
	r.jar.SetCookies(u, cookies)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range cookies {
		r.sameSite[u.Hostname()+" "+c.Name] = c.SameSite
	}
}

// Cookies returns the cookies that the robot has for an address.
func (r *Robot) Cookies(address string) ([]*http.Cookie, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return r.jar.Cookies(u), nil
}

func readPage(resp *http.Response, u *url.URL) (*Page, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPageBytes+1))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	if len(body) > maxPageBytes {
		return nil, fmt.Errorf("%w: %s", ErrTooLarge, u.Redacted())
	}
	p := &Page{URL: u, Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		if err := p.parse(bytes.NewReader(body)); err != nil {
			return nil, err
		}
	}
	return p, nil
}
