package showroom_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/sallyport/sallyport/internal/lab/browser"
	"github.com/sallyport/sallyport/internal/lab/showroom"
)

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
				{"audited", audited},
				{"the fleet", fleet},
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
	t.Run("many tabs", func(t *testing.T) { manyTabs(t, r) })
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

// manyTabs: more tabs than a browser has connections to one server; all are told,
// also after the one that listens for them is closed.
func manyTabs(t *testing.T, r *room) {
	p, err := r.Browser.Person()
	must(t, err)
	t.Cleanup(p.Close)
	must(t, r.SignIn(r.ctx, p.Tab(), r.Bob, "/"))
	tabs := []*browser.Tab{p.Tab()}
	for range 8 {
		tab, err := p.NewTab()
		must(t, err)
		must(t, tab.Open(r.ctx, r.URL()+"/"))
		tabs = append(tabs, tab)
	}
	told := func(why string) {
		t.Helper()
		erin := r.engineer()
		path, err := r.Ask(r.ctx, erin, "ops@web-1.demo", "8m", why)
		must(t, err)
		for _, tab := range tabs {
			must(t, tab.Wait(r.ctx, "document.querySelector('#waiting a[href=\""+path+"\"]')"))
		}
		_, err = erin.Must(r.ctx, "sally", "cancel", strings.TrimPrefix(path, "/requests/"))
		must(t, err)
	}
	told("to nine tabs")
	must(t, tabs[0].Open(r.ctx, "about:blank")) // it had the stream
	tabs = tabs[1:]
	told("to those that are left")
}
