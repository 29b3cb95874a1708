// Package showroom owns an installation that is made for its pages: a contract
// with a short and a long way to a decision, and people enough to walk both. The
// browser's story and the screenshots are played in it.
package showroom

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/lab/browser"
	"github.com/sallyport/sallyport/internal/lab/site"
)

//go:embed contract/*.tmpl
var contract embed.FS

// Showroom is the installation with a browser beside it. Its methods are called
// from one goroutine.
type Showroom struct {
	*site.Site
	Browser *browser.Browser
}

// Others are the people beside Alice, an engineer and lead, and Bob, a lead.
func Others() []site.Other {
	return []site.Other{
		{Who: "carol", Name: "Carol Example", Groups: []string{"leads"}},
		{Who: "dan", Name: "Dan Example", Groups: []string{"engineers"}}, // in the screenshots
		{Who: "sam", Name: "Sam Example", Groups: []string{"security"}},
		{Who: "ada", Name: "Ada Example", Groups: []string{"auditors"}},
	}
}

// Open sets everything up with the programs in bin: sallyd serves, nobody has
// signed in. Whoever opens it closes it, whatever happened.
func Open(ctx context.Context, bin string, tell site.Teller, others []site.Other) (*Showroom, error) {
	s, err := site.Open(ctx, site.Config{Bin: bin, Tell: tell, Others: others, Plan: site.Plan{
		CertTTL: 5 * time.Minute, Grant: time.Hour, Timeout: 15 * time.Minute, Templates: contract,
	}})
	if err != nil {
		return nil, err
	}
	r := &Showroom{Site: s}
	if err := r.setUp(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Showroom) setUp(ctx context.Context) error {
	if err := r.SetUp(ctx); err != nil {
		return err
	}
	var err error
	r.Browser, err = browser.Start(r.Dir.Path("chromium"))
	return err
}

// Close ends everything and removes it.
func (r *Showroom) Close() error {
	var err error
	if r.Browser != nil {
		err = r.Browser.Close()
	}
	return errors.Join(err, r.Site.Close())
}

// GoIn has somebody's sally make a certificate under an active grant, as before
// each ssh. The host has no such account, so ssh itself is refused.
func (r *Showroom) GoIn(ctx context.Context, who *site.Person, principal string) error {
	answer, err := who.Run(ctx, "sally", "ssh", principal, "--key-file", "--", "true")
	if err == nil && !strings.Contains(answer.Output, "certificate serial") {
		err = fmt.Errorf("sally ssh got no certificate: %s", answer.Output)
	}
	return err
}

var requestURL = regexp.MustCompile(`/requests/[a-z2-7]{26}`)

// Ask files a request with sally, which does not wait for it, and returns the
// path of its page.
func (r *Showroom) Ask(ctx context.Context, who *site.Person, principal, duration, reason string) (path string, err error) {
	answer, err := who.Must(ctx, "sally", "request", principal, "--for", duration, "--because", reason, "--no-wait")
	if err != nil {
		return "", err
	}
	if path = requestURL.FindString(answer.Output); path == "" {
		return "", fmt.Errorf("sally request names no page: %s", answer.Output)
	}
	return path, nil
}

// SignIn opens a page in a tab, and signs in with the provider's own form on the
// way.
func (r *Showroom) SignIn(ctx context.Context, t *browser.Tab, who *site.Person, path string) error {
	if err := t.Open(ctx, r.URL()+path); err != nil {
		return err
	}
	return r.logIn(ctx, t, who, path)
}

// SignInHere is SignIn by an element of the page that the tab shows. It leads to
// path afterwards.
func (r *Showroom) SignInHere(ctx context.Context, t *browser.Tab, who *site.Person, selector, path string) error {
	if err := t.Click(ctx, selector); err != nil {
		return err
	}
	return r.logIn(ctx, t, who, path)
}

// logIn fills in the provider's form.
func (r *Showroom) logIn(ctx context.Context, t *browser.Tab, who *site.Person, path string) error {
	username, password := who.Account()
	for _, step := range []func() error{
		func() error { return t.Wait(ctx, "document.querySelector('#username')") },
		func() error { return t.Fill(ctx, "#username", username) },
		func() error { return t.Fill(ctx, "#password", password) },
		func() error { return t.Click(ctx, "button[type=submit]") },
		func() error {
			return t.Wait(ctx, "location.pathname === '"+path+"' && document.readyState === 'complete'")
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
