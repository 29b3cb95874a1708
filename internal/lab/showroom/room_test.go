package showroom_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab/browser"
	"github.com/sallyport/sallyport/internal/lab/showroom"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// teller keeps the story for the log of a failing test.
type teller struct{ t *testing.T }

// Typed logs a command.
func (l teller) Typed(who, what string) { l.t.Logf("%s $ %s", who, what) }

// Answered logs an answer.
func (l teller) Answered(text string) { l.t.Log(text) }

// room is an open showroom with the people who are in it.
type room struct {
	*showroom.Showroom
	t     *testing.T
	ctx   context.Context
	erins int                     // engineers who came in
	tabs  map[string]*browser.Tab // by username: somebody who has signed in stays so
}

// engineers are people of one name, so many that each request is somebody's first:
// sally joins what is open, and uses what is granted.
func engineers(n int) (out []site.Other) {
	for i := range n {
		out = append(out, site.Other{Who: fmt.Sprintf("erin-%d", i), Name: "Erin Example", Groups: []string{"engineers"}})
	}
	return out
}

// engineer logs in the next of them.
func (r *room) engineer() *site.Person {
	r.t.Helper()
	erin := r.Others[fmt.Sprintf("erin-%d", r.erins)]
	r.erins++
	must(r.t, erin.LogIn(r.ctx))
	return erin
}

func open(t *testing.T, others []site.Other) *room {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Minute)
	t.Cleanup(cancel)
	bin := t.TempDir()
	must(t, site.Build(ctx, bin))
	r, err := showroom.Open(ctx, bin, teller{t}, others)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, l := range r.Logs(40) {
				t.Logf("--- log of %s\n%s", l.Name, l.Text)
			}
		}
		must(t, r.Close())
	})
	return &room{Showroom: r, t: t, ctx: ctx, tabs: map[string]*browser.Tab{}}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// in is one person's tab, in the test that looks at it.
type in struct {
	*room
	*browser.Tab
	t *testing.T
}

// tab opens a page in somebody's browser, where they sign in once.
func (r *room) tab(t *testing.T, who *site.Person, look browser.Look, path string) *in {
	t.Helper()
	open, ok := r.tabs[who.Who]
	if !ok {
		r.tabs[who.Who] = r.newTab(r.t, who, look, path).Tab
		return &in{r, r.tabs[who.Who], t}
	}
	must(t, open.See(r.ctx, look))
	must(t, open.Open(r.ctx, r.URL()+path))
	return &in{r, open, t}
}

// newTab opens a browser for somebody and signs in on the way to a page.
func (r *room) newTab(t *testing.T, who *site.Person, look browser.Look, path string) *in {
	t.Helper()
	p, err := r.Browser.Person()
	must(t, err)
	t.Cleanup(p.Close)
	must(t, p.Tab().See(r.ctx, look))
	must(t, r.SignIn(r.ctx, p.Tab(), who, path))
	return &in{r, p.Tab(), t}
}

func (i *in) open(path string) {
	i.t.Helper()
	must(i.t, i.Tab.Open(i.ctx, i.URL()+path))
}

// shows waits until words stand on the page.
func (i *in) shows(words ...string) {
	i.t.Helper()
	for _, w := range words {
		must(i.t, i.WaitText(i.ctx, w))
	}
}

func (i *in) text() string {
	i.t.Helper()
	text, err := i.Text(i.ctx)
	must(i.t, err)
	return text
}

func (i *in) click(selector string) {
	i.t.Helper()
	must(i.t, i.Click(i.ctx, selector))
}

func (i *in) fill(selector, text string) {
	i.t.Helper()
	must(i.t, i.Fill(i.ctx, selector, text))
}

func (i *in) wait(expression string) {
	i.t.Helper()
	must(i.t, i.Wait(i.ctx, expression))
}

func value[T any](i *in, expression string) T {
	i.t.Helper()
	v, err := browser.Eval[T](i.ctx, i.Tab, expression)
	must(i.t, err)
	return v
}

// mark is lost when the page is loaded anew; kept demands that it was not.
func (i *in) mark() { value[bool](i, "window.marked = true") }

func (i *in) kept() {
	i.t.Helper()
	if !value[bool](i, "window.marked === true") {
		i.t.Error("the page was loaded anew")
	}
}

// clean demands a page without barriers that does nothing it should not, and that
// fits its window.
func (i *in) clean(what string) {
	i.t.Helper()
	for _, b := range i.barriers() {
		i.t.Errorf("%s: %s", what, b)
	}
	if faults := i.Faults(); len(faults) > 0 {
		i.t.Errorf("%s: %s", what, strings.Join(faults, "; "))
	}
	if wide := value[string](i, "`${document.documentElement.scrollWidth} in ${innerWidth}`"); !value[bool](i, "document.documentElement.scrollWidth <= innerWidth") {
		i.t.Errorf("%s: it is wider than its window: %s", what, wide)
	}
	for _, small := range value[[]string](i, targets) {
		i.t.Errorf("%s: too small to hit: %s", what, small)
	}
}

// barriers are those that are found twice: a page that renews itself meanwhile may
// confuse axe once.
func (i *in) barriers() []string {
	i.t.Helper()
	var found []string
	for range 2 {
		list, err := i.Barriers(i.ctx)
		must(i.t, err)
		if len(list) == 0 {
			return nil
		}
		found = nil
		for _, b := range list {
			found = append(found, b.String())
		}
	}
	return found
}

// targets lists controls under 44 px that do not stand in a sentence.
const targets = `[...document.querySelectorAll('a[href], button, input:not([type=hidden]), textarea, summary')]
	.filter((e) => e.checkVisibility() && !e.closest('.skip, .note, .alert, .lead, .ask, .next'))
	.map((e) => [e, e.getBoundingClientRect()]).filter(([, r]) => r.height < 43.9 || r.width < 43.9)
	.map(([e, r]) => e.outerHTML.slice(0, 80) + ' ' + r.width + 'x' + r.height)`
