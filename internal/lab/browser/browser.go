// Package browser owns the lab's real browser: Debian's Chromium without a
// screen, driven over its debugging protocol (github.com/chromedp/chromedp).
// Tests and the screenshots use it; no product binary links it.
//
// A [Browser] is one process, a [Person] one profile with cookies of its own, a
// [Tab] one page. A Tab keeps what a page must not do: console errors, dialogs,
// exceptions, refusals of the page's policy.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/sallyport/sallyport/internal/lab"
)

// stepTime bounds one step: what a page needs to appear, and a busy machine to
// draw it.
const stepTime = 30 * time.Second

// Browser is a running Chromium.
type Browser struct {
	ctx  context.Context //nolint:containedctx // chromedp keeps the process in it
	stop []context.CancelFunc
}

// Start starts Chromium with a profile folder of its own in dir, which must be
// new. It reaches nothing but loopback.
func Start(dir string) (*Browser, error) {
	path, err := lab.FindProgram("chromium")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(dir),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("font-render-hinting", "none"),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.Env("TZ=UTC", "LC_ALL=C.UTF-8"),
	)
	if os.Geteuid() == 0 { // its sandbox needs an ordinary user
		options = append(options, chromedp.NoSandbox)
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	b := &Browser{stop: []context.CancelFunc{end}}
	ctx, close := chromedp.NewContext(allocator)
	b.ctx, b.stop = ctx, append(b.stop, close)
	if err := chromedp.Do(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", path, err), b.Close())
	}
	return b, nil
}

// Close ends the process and everything in it.
func (b *Browser) Close() error {
	err := chromedp.Cancel(b.ctx)
	for i := len(b.stop) - 1; i >= 0; i-- {
		b.stop[i]()
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Person is a profile: cookies are shared by its tabs and by nobody else's.
type Person struct {
	first *Tab
}

// Person returns a new profile with one tab.
func (b *Browser) Person() (*Person, error) {
	t, err := newTab(b.ctx, chromedp.WithNewBrowserContext())
	if err != nil {
		return nil, err
	}
	return &Person{first: t}, nil
}

// Tab returns the profile's first tab.
func (p *Person) Tab() *Tab { return p.first }

// NewTab opens another tab of the profile.
func (p *Person) NewTab() (*Tab, error) { return newTab(p.first.ctx) }

// Close closes the profile and its tabs.
func (p *Person) Close() { p.first.Close() }
