package showroom_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

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

// looks are the windows that every story is played in.
func looks() map[string]browser.Look {
	out := map[string]browser.Look{}
	for _, width := range []int64{1280, 390} {
		for _, dark := range []bool{false, true} {
			l := browser.Look{Width: width, Dark: dark, Scripts: true}
			name := "light"
			if dark {
				name, l.Zone = "dark", "America/New_York" // four or five hours behind
			}
			out[fmt.Sprintf("%s, %d", name, width)] = l
		}
	}
	return out
}

// TestStoryInChromium plays what people do on the pages, in a real browser,
// against the real sallyd and the provider's own login form.
func TestStoryInChromium(t *testing.T) {
	t.Parallel()
	r := open(t, append(showroom.Others(), engineers(40)...))
	must(t, r.Alice.LogIn(r.ctx))
	for name, look := range looks() {
		t.Run(name, func(t *testing.T) {
			for _, story := range []struct { // one after the other: each leaves nothing that waits
				name string
				play func(*testing.T, *room, browser.Look)
			}{
				{"narrowed and approved", narrowed},
				{"two stages", stages},
				{"denied", denied},
				{"her own", own},
				{"by keyboard", keyboard},
				{"pressed twice", twice},
				{"signed out", signedOut},
				{"without JavaScript", plain},
			} {
				t.Run(story.name, func(t *testing.T) { story.play(t, r, look) })
			}
		})
	}
	t.Run("the server comes back", func(t *testing.T) { comesBack(t, r) })
}

// narrowed: a request arrives while the inbox is open, is narrowed and approved,
// and its certificate appears.
func narrowed(t *testing.T, r *room, look browser.Look) {
	erin := r.engineer()
	bob := r.tab(t, r.Bob, look, "/")
	bob.clean("the inbox before")
	bob.mark()
	path, err := r.Ask(r.ctx, erin, "ops@web-1.demo", "10m", "INC-42 checkout latency")
	must(t, err)
	bob.wait("document.querySelector('#waiting a[href=\"" + path + "\"]')") // it came by itself
	bob.kept()
	bob.shows("Waiting for you 1", "Erin Example ("+erin.Who+"@acme.example) asks for ops on web-1.demo for 10 minutes", "INC-42 checkout latency", "in 15 min")
	if title, err := bob.Title(r.ctx); err != nil || !strings.HasPrefix(title, "(1) Inbox") {
		t.Errorf("the tab says %q, %v", title, err)
	}
	if said := value[string](bob, "document.querySelector('#news').textContent"); said != "1 request waits for you." {
		t.Errorf("a screen reader is told %q", said)
	}
	bob.clean("the inbox")

	bob.click("#waiting a[href=\"" + path + "\"]")
	bob.shows("Your decision is asked for", "0 of 1 approvals, from leads", "The certificate that would be signed", "ops@web-1.demo", "ledger-proof@sallyport",
		"Who else may decide", "Approve 10 minutes")
	bob.clean("the request")
	bob.click("#contract summary")
	bob.shows("Engineers may work as ops or deploy on the hosts labelled env=demo")
	bob.clean("the request with its clause open")
	if local := value[string](bob, "document.querySelector('#ask time').textContent"); look.Zone != "" && !strings.Contains(local, " · ") || !strings.Contains(local, "UTC") {
		t.Errorf("a time reads %q", local)
	}
	bob.click("button[data-minutes='5']")
	bob.shows("Approve 5 minutes", "Ends")
	bob.fill("#words", "five minutes will do")
	bob.click("button.approve")
	bob.shows("Granted", "granted 5 minutes until", "approved by Bob Example for 5 minutes", "five minutes will do", "None yet")
	bob.clean("granted")

	must(t, bob.Back(r.ctx)) // the form does not come back
	must(t, bob.Tab.Wait(r.ctx, "document.readyState === 'complete' && !document.querySelector('form.decide')"))
	bob.open(path)
	bob.mark()
	must(t, r.GoIn(r.ctx, erin, "ops@web-1.demo"))
	bob.shows("a certificate is on record", "serial ")
	bob.kept()
	bob.clean("with a certificate")
	bob.click(".issued a")
	bob.shows("certificate.issue", "This page is the server's word")
	bob.clean("the ledger entry")
}

// stages: two people and then a third; who writes is not disturbed by the first
// vote, and everybody sees it.
func stages(t *testing.T, r *room, look browser.Look) {
	path, err := r.Ask(r.ctx, r.engineer(), "postgres@web-2.demo", "30m", "CHG-117 rebuild the index")
	must(t, err)
	bob, carol, sam := r.tab(t, r.Bob, look, path), r.tab(t, r.Others["carol"], look, path), r.tab(t, r.Others["sam"], look, path)
	sam.shows("This request waits", "Stage leads is decided by leads")
	sam.clean("not asked yet")
	carol.fill("#words", "a second pair of eyes")
	carol.fill("#minutes", "20")
	carol.mark()
	bob.shows("0 of 2 approvals")
	bob.fill("#minutes", "25")
	bob.click("button.approve")
	bob.shows("1 of 2 approvals", "You have decided; one person counts once.")
	bob.clean("voted")
	carol.shows("1 of 2 approvals", "approved by Bob Example for 25 minutes", "1 to 25.")
	carol.kept()
	if words, minutes := value[string](carol, "document.querySelector('#words').value"), value[string](carol, "document.querySelector('#minutes').value"); words != "a second pair of eyes" || minutes != "20" {
		t.Errorf("of what carol wrote is left %q and %q", words, minutes)
	}
	if focus := value[string](carol, "document.activeElement.id"); focus != "minutes" {
		t.Errorf("the focus went to %q", focus)
	}
	carol.clean("after the first vote")
	carol.click("button.approve")
	carol.shows("2 of 2 approvals")
	sam.shows("Your decision is asked for", "1 to 20.")
	sam.clean("asked")
	sam.click("button.approve")
	sam.shows("Granted", "granted 20 minutes until")
	bob.shows("Granted", "granted 20 minutes until")
}

// denied: with words, which stand there for whoever looks later.
func denied(t *testing.T, r *room, look browser.Look) {
	erin := r.engineer()
	path, err := r.Ask(r.ctx, erin, "deploy@web-2.demo", "1h", "roll back the search service")
	must(t, err)
	carol := r.tab(t, r.Others["carol"], look, path)
	bob := r.tab(t, r.Bob, look, path)
	carol.fill("#words", "web-2 is frozen until Monday")
	carol.click("button.deny")
	carol.shows("Denied", "denied by Carol Example", "web-2 is frozen until Monday", "None was signed, and none will be.")
	carol.clean("denied")
	bob.shows("Denied", "web-2 is frozen until Monday") // by itself
	carol.open("/")
	carol.shows("Decided by you lately", "you denied")
	own := r.newTab(t, erin, look, path)
	own.shows("Denied", "ask for that", `sally ssh deploy@web-2.demo --for 1h --because "…"`)
	own.clean("her own, denied")
	own.open("/requests/mzxw6ytboi2dqmrvgm4tanrwge")
	own.shows("Not found", "No such request", "It may never have been here")
	own.clean("a problem")
}

// own: a lead's own request has nothing to press.
func own(t *testing.T, r *room, look browser.Look) {
	path, err := r.Ask(r.ctx, r.Alice, "ops@web-2.demo", "5m", "look at the queue")
	must(t, err)
	alice := r.tab(t, r.Alice, look, path)
	alice.shows("Your request waits", "Nobody decides on their own request. Somebody of leads has to.", "Tell one of them")
	if value[bool](alice, "!!document.querySelector('form.decide, button.approve, button.deny')") {
		t.Error("her own request's page has something to press")
	}
	alice.clean("her own")
	alice.open("/")
	alice.shows("Your requests", "ops on web-2.demo for 5 minutes")
	if value[bool](alice, "!!document.querySelector('#waiting a[href=\""+path+"\"]')") {
		t.Error("her own request waits for her")
	}
	alice.mark()
	bob := r.tab(t, r.Bob, look, path)
	bob.click("button.deny")
	bob.shows("Denied")
	alice.wait("document.querySelector('#own .state.denied')")
	alice.kept()

	if path, err = r.Ask(r.ctx, r.Alice, "ops@web-2.demo", "5m", "no longer needed"); err != nil {
		t.Fatal(err)
	}
	bob.open(path)
	bob.shows("Your decision is asked for")
	bob.fill("#words", "half a sent") // is lost with the form, and only then
	alice.open(path)
	alice.click("form.cancel button")
	alice.shows("Cancelled", "You took it back before it was decided.", `sally ssh ops@web-2.demo --for 5m --because "…"`)
	alice.clean("cancelled")
	bob.shows("Cancelled", "Whoever asked took it back before it was decided.")
	if focus := value[string](bob, "document.activeElement.id"); focus != "title" {
		t.Errorf("the field is gone, and the focus is on %q", focus)
	}
}

// keyboard: from the inbox to a grant without a mouse.
func keyboard(t *testing.T, r *room, look browser.Look) {
	path, err := r.Ask(r.ctx, r.engineer(), "ops@web-1.demo", "6m", "by keyboard alone")
	must(t, err)
	bob := r.tab(t, r.Bob, look, "/")
	// to presses Tab until the focus is on an element, which then shows it.
	to := func(selector string) {
		t.Helper()
		for range 40 {
			must(t, bob.Press(r.ctx, kb.Tab))
			if value[bool](bob, "document.activeElement.matches(`"+selector+"`)") {
				if value[bool](bob, "!document.activeElement.matches(':focus-visible')") {
					t.Errorf("the focus on %s is not seen", selector)
				}
				return
			}
		}
		t.Fatalf("Tab does not lead to %s, but to %s on\n%s", selector, value[string](bob, "document.activeElement.outerHTML"), bob.text())
	}
	to(".skip")
	must(t, bob.Press(r.ctx, kb.Enter))
	bob.wait("document.activeElement.id === 'main'")
	to(`#waiting a[href="` + path + `"]`)
	must(t, bob.Press(r.ctx, kb.Enter))
	bob.shows("Your decision is asked for")
	to("#minutes")
	must(t, bob.Press(r.ctx, kb.Enter)) // it decides nothing
	bob.fill("#minutes", "4")
	to("#words")
	must(t, bob.Press(r.ctx, "o", "k"))
	to("button.approve")
	bob.shows("Approve 4 minutes")
	must(t, bob.Press(r.ctx, kb.Enter))
	bob.shows("Granted", "approved by Bob Example for 4 minutes", "ok")
}

// twice: a double click is one decision, and the second is not told off.
func twice(t *testing.T, r *room, look browser.Look) {
	path, err := r.Ask(r.ctx, r.engineer(), "deploy@web-1.demo", "5m", "press it twice")
	must(t, err)
	bob := r.tab(t, r.Bob, look, path)
	value[bool](bob, "document.querySelector('button.approve').click(), document.querySelector('button.approve').click(), true")
	bob.shows("Granted", "approved by Bob Example")
	other := r.tab(t, r.Others["carol"], look, path)
	other.shows("Granted", "1 of 1 approvals")
}

// signedOut: the session ends in one tab, and the other says so; what is pressed
// there leads to signing in and back.
func signedOut(t *testing.T, r *room, look browser.Look) {
	path, err := r.Ask(r.ctx, r.engineer(), "ops@web-2.demo", "7m", "while somebody signs out")
	must(t, err)
	bob := r.newTab(t, r.Bob, look, path)
	bob.shows("Your decision is asked for")
	value[bool](bob, "fetch('/logout', {method: 'POST'}).then(() => true)")
	bob.shows("You are signed out")
	bob.clean("signed out")
	bob.click("button.deny")
	bob.shows("Not signed in", "Sign in again.", "Back to the request")
	bob.clean("not signed in")
	must(t, r.SignInHere(r.ctx, bob.Tab, r.Bob, "main .primary", path))
	bob.click("button.deny")
	bob.shows("Denied")
}

// plain: everything without JavaScript.
func plain(t *testing.T, r *room, look browser.Look) {
	look.Scripts = false
	path, err := r.Ask(r.ctx, r.engineer(), "ops@web-1.demo", "9m", "without any script")
	must(t, err)
	bob := r.newTab(t, r.Bob, look, "/")
	bob.shows("Without JavaScript this page stays as it is, and its times are UTC alone.", "without any script")
	if strings.Contains(bob.text(), " · "+"in ") || strings.Contains(bob.text(), "EST") {
		t.Errorf("something ran:\n%s", bob.text())
	}
	bob.click(`#waiting a[href="` + path + `"]`)
	bob.shows("Your decision is asked for", "UTC if approved now", "Fewer narrow the grant")
	bob.click("#contract summary")
	bob.shows("Engineers may work as ops or deploy")
	bob.fill("#minutes", "99")
	bob.click("button.approve") // the browser does not send what the form says is too much
	bob.fill("#minutes", "3")
	bob.fill("#words", "no script needed")
	bob.click("button.approve")
	bob.shows("Granted", "for 3 minutes", "no script needed")
	bob.click("noscript a")
	bob.shows("Granted", "for 3 minutes")
	bob.click("header button")
	bob.shows("Signed out")
}

// comesBack: the server is stopped under an open page and started again; the page
// goes on by itself and misses nothing.
func comesBack(t *testing.T, r *room) {
	bob := r.tab(t, r.Bob, browser.Look{Width: 1280, Scripts: true}, "/")
	bob.mark()
	must(t, r.StopServing())
	must(t, r.Serve(r.ctx))
	path, err := r.Ask(r.ctx, r.engineer(), "ops@web-1.demo", "8m", "after a restart")
	must(t, err)
	bob.wait("document.querySelector('#waiting a[href=\"" + path + "\"]')")
	bob.kept()
}
