package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport/internal/lab"
)

// Tab is one page of a profile. Its methods are called from one goroutine.
type Tab struct {
	ctx  context.Context //nolint:containedctx // chromedp keeps the tab in it
	stop context.CancelFunc

	mu     sync.Mutex
	faults []string // guarded by mu
}

func newTab(parent context.Context, options ...chromedp.ContextOption) (*Tab, error) {
	t := &Tab{}
	t.ctx, t.stop = chromedp.NewContext(parent, append(options, chromedp.WithListener(t.hear))...)
	if err := chromedp.Do(t.ctx); err != nil {
		t.stop()
		return nil, fmt.Errorf("opening a tab: %w", err)
	}
	return t, nil
}

// Close closes the tab.
func (t *Tab) Close() { t.stop() }

// hear notes what no page of ours does.
func (t *Tab) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		t.fault("exception: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		t.fault("console.%s", e.Type)
	case *page.EventJavascriptDialogOpening:
		t.fault("dialog: %s", e.Message)
		go func() { // an open dialog holds up every other step
			_, _ = chromedp.Call(t.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: false})
		}()
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
			t.fault("log: %s: %s", e.Entry.Source, e.Entry.Text)
		}
	}
}

func (t *Tab) fault(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, fmt.Sprintf(format, args...))
}

// Faults returns what the tab's pages did that no page of ours does, and forgets
// it.
func (t *Tab) Faults() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.faults
	t.faults = nil
	return out
}

// do runs steps, for a bounded time.
func (t *Tab) do(ctx context.Context, what string, steps ...chromedp.Action[chromedp.Void]) error {
	_, err := run(t, ctx, what, chromedp.Steps(steps...))
	return err
}

// run runs one step for a bounded time, which ends with ctx too.
func run[T any](t *Tab, ctx context.Context, what string, step chromedp.Action[T]) (T, error) {
	bounded, cancel := context.WithTimeout(t.ctx, stepTime)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	v, err := chromedp.Run(bounded, step)
	if err != nil {
		return v, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}

// Open opens an address as if it were typed.
func (t *Tab) Open(ctx context.Context, address string) error {
	return t.do(ctx, "opening "+address, chromedp.Navigate(address))
}

// Status opens an address and returns the status of the answer.
func (t *Tab) Status(ctx context.Context, address string) (int64, error) {
	r, err := run(t, ctx, "opening "+address, chromedp.NavigateResponse(address))
	if err != nil {
		return 0, err
	}
	return r.Status, nil
}

// Back presses the browser's back button.
func (t *Tab) Back(ctx context.Context) error {
	return t.do(ctx, "going back", chromedp.NavigateBack())
}

// Address is where the tab is.
func (t *Tab) Address(ctx context.Context) (string, error) {
	return run(t, ctx, "the address", chromedp.Location())
}

// Title is the title of the page.
func (t *Tab) Title(ctx context.Context) (string, error) {
	return run(t, ctx, "the title", chromedp.Title())
}

// Text is the visible text of the page's main part, as a person would copy it.
func (t *Tab) Text(ctx context.Context) (string, error) {
	return run(t, ctx, "the text", chromedp.Evaluate[string](`document.querySelector('main').innerText`))
}

// Eval returns the value of a JavaScript expression in the page.
func Eval[T any](ctx context.Context, t *Tab, expression string) (T, error) {
	return run(t, ctx, expression, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// Wait waits until a JavaScript expression is true in the page, also when that is
// loaded anew meanwhile.
func (t *Tab) Wait(ctx context.Context, expression string) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	var last error
	err := lab.Poll(ctx, expression, func() (bool, error) {
		var is bool
		is, last = Eval[bool](ctx, t, "!!("+expression+")")
		return is && last == nil, nil // an error: there is no such page yet, or no more
	})
	return errors.Join(err, last)
}

// WaitText waits until the page is there whole and a text stands on it.
func (t *Tab) WaitText(ctx context.Context, text string) error {
	quoted, err := json.Marshal(text)
	if err != nil {
		return err
	}
	err = t.Wait(ctx, fmt.Sprintf(`document.readyState === 'complete' && (document.querySelector('main') || document.body)?.innerText.replace(/\s+/g, ' ').includes(%s)`, quoted))
	if err != nil {
		now, _ := t.Text(ctx) // what stands there instead, if anything
		return fmt.Errorf("%w\non the page:\n%s", err, now)
	}
	return nil
}

// place is where a person would click on an element: its middle, scrolled into
// view; nothing while it is not there, is not shown or lies below something else.
const place = `(() => {
	const e = document.querySelector(%s);
	if (!e || !e.checkVisibility()) return null;
	e.scrollIntoView({ block: 'center', behavior: 'instant' });
	const r = e.getClientRects()[0];
	const [x, y] = [r.x + r.width / 2, r.y + r.height / 2];
	const top = document.elementFromPoint(x, y);
	return top && (e.contains(top) || top.contains(e)) ? [x, y] : null;
})()`

// Click clicks on the middle of an element once that is shown.
func (t *Tab) Click(ctx context.Context, selector string) error {
	quoted, err := json.Marshal(selector)
	if err != nil {
		return err
	}
	what := "clicking on " + selector
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	var at []float64
	err = lab.Poll(ctx, what, func() (bool, error) {
		at, _ = Eval[[]float64](ctx, t, fmt.Sprintf(place, quoted)) // an error: the page is being loaded
		return len(at) == 2, nil
	})
	if err != nil {
		return err
	}
	return t.do(ctx, what, chromedp.MouseClickXY(at[0], at[1]))
}

// Fill clicks into a field, empties it and types a text into it.
func (t *Tab) Fill(ctx context.Context, selector, text string) error {
	if err := t.Click(ctx, selector); err != nil {
		return err
	}
	return t.do(ctx, "filling in "+selector, chromedp.KeyEvent("a", chromedp.KeyModifiers(chromedp.ModifierCtrl)),
		chromedp.KeyEvent(kb.Backspace), chromedp.KeyEvent(text))
}

// Press presses keys one after the other, wherever the focus is.
func (t *Tab) Press(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		if err := t.do(ctx, fmt.Sprintf("pressing %q", key), chromedp.KeyEvent(key)); err != nil {
			return err
		}
	}
	return nil
}

// Look says on what the page is seen.
type Look struct {
	Width   int64 // in CSS pixels
	Dark    bool
	Forced  bool   // forced colours
	Print   bool   // on paper
	Zone    string // of the person's clock, such as Europe/Berlin; empty is UTC
	Scripts bool   // whether JavaScript runs
}

// Height is that of every window.
const Height = 844

// See changes what the page is seen on.
func (t *Tab) See(ctx context.Context, l Look) error {
	scheme, forced, media := "light", "none", ""
	if l.Dark {
		scheme = "dark"
	}
	if l.Forced {
		forced = "active"
	}
	if l.Print {
		media = "print"
	}
	if l.Zone == "" {
		l.Zone = "UTC"
	}
	return t.do(ctx, "looking", chromedp.EmulateViewport(l.Width, Height), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media, Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "forced-colors", Value: forced}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}})
		if err == nil {
			_, err = cdp.Call(ctx, target, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: l.Zone})
		}
		if err == nil {
			_, err = cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !l.Scripts})
		}
		return err
	}))
}

// Picture returns what the window shows as a PNG, or the whole page.
func (t *Tab) Picture(ctx context.Context, whole bool) ([]byte, error) {
	if whole {
		return run(t, ctx, "taking a picture", chromedp.FullScreenshot(100))
	}
	return run(t, ctx, "taking a picture", chromedp.CaptureScreenshot())
}

// Names lists faults for a message.
func Names(faults []string) string { return strings.Join(faults, "; ") }
