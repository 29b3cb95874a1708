package showroom_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/lab/browser"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// payloads are what somebody might call themselves, ask for or answer. Each tries
// to run something that sets a trap off, or to stand where it does not belong.
func payloads() map[string]string {
	return map[string]string{
		"script":           `<script>document.title='trap';document.cookie='trap=1'</script>`,
		"attribute":        `" autofocus onfocus="document.title='trap'" x="`,
		"image":            `'><img src=x onerror="document.title='trap'">`,
		"closing tags":     `</blockquote></main></textarea><style>*{display:none}</style>`,
		"template":         "${document.title='trap'} {{.Me}} `trap`",
		"right to left":    "שרה לוי לביא",
		"stacked marks":    "Z" + strings.Repeat("̷͓̉", 60) + " algo",
		"one word of many": strings.Repeat("wordwithoutend", 71),
	}
}

// TestPromiseP16_PayloadsInChromium shows names, reasons and words with payloads
// in a real browser: nothing of them runs, adds an element, leaves its place or
// widens the page.
func TestPromiseP16_PayloadsInChromium(t *testing.T) {
	t.Parallel()
	others := []site.Other{{Who: "plain", Name: "Plain Example", Groups: []string{"engineers"}}}
	names := map[string]string{}
	for name, payload := range payloads() {
		who := strings.ReplaceAll(name, " ", "-")
		names[who] = name
		others = append(others, site.Other{Who: who, Name: payload, Groups: []string{"engineers"}})
	}
	// A name that turns its line around is not taken from an identity provider: the handle is shown.
	const turned = "Alice\u202e\u200b\u2066 Example"
	others = append(others, site.Other{Who: "turned", Name: turned, Groups: []string{"engineers"}})
	names["turned"] = "template"
	leads := []site.Other{ // they are named as those who may decide, too
		{Who: "lead-1", Name: payloads()["image"], Groups: []string{"leads"}},
		{Who: "lead-2", Name: turned, Groups: []string{"leads"}},
		{Who: "lead-3", Name: payloads()["right to left"], Groups: []string{"leads"}},
	}
	r := open(t, append(others, leads...))
	for _, l := range leads {
		must(t, r.Others[l.Who].LogIn(r.ctx))
	}
	bob := r.tab(t, r.Bob, browser.Look{Width: 390, Scripts: true}, "/")

	// shape asks with a reason, has it answered with words, and returns how many elements the pages have.
	shape := func(who *site.Person, reason, words string) (pages [3]int) {
		t.Helper()
		must(t, who.LogIn(r.ctx))
		path, err := r.Ask(r.ctx, who, "ops@web-1.demo", "10m", "INC 42 "+reason)
		must(t, err)
		count := func(at string, shown ...string) int {
			t.Helper()
			bob.open(at)
			bob.shows(shown...)
			bob.clean(who.Who + " at " + at)
			if got := value[string](bob, "document.title + document.cookie"); strings.Contains(got, "trap") {
				t.Errorf("%s at %s: a trap went off: %q", who.Who, at, got)
			}
			if turned := value[string](bob, "[...document.querySelectorAll('main [dir=auto]')].filter((e) => getComputedStyle(e).unicodeBidi === 'normal').map((e) => e.outerHTML).join()"); turned != "" {
				t.Errorf("%s at %s: not kept apart: %s", who.Who, at, turned)
			}
			return value[int](bob, "document.querySelectorAll('*').length")
		}
		pages[0] = count("/", "INC 42")
		pages[1] = count(path, "INC 42", "Your decision is asked for", "lead-2 (lead-2@acme.example)")
		bob.fill("#words", words)
		bob.click("button.deny")
		bob.shows("Denied")
		pages[2] = count(path, "INC 42", "Denied")
		// Out of the inbox again, so that the next one is alone in it.
		return pages
	}
	harmless := shape(r.Others["plain"], "checkout latency", "use staging")
	decided := 1
	for who, name := range names {
		payload := payloads()[name]
		if len(payload) > 490 { // what the form takes
			payload = payload[:490]
		}
		got := shape(r.Others[who], payload, payload)
		if got[1] != harmless[1] || got[2] != harmless[2] {
			t.Errorf("%s: the pages have %v elements, those of a harmless request %v", who, got, harmless)
		}
		decided++
	}
	bob.open("/")
	if shown := value[int](bob, "document.querySelectorAll('#decided .card').length"); shown != min(decided, 10) {
		t.Errorf("%d of %d decisions are listed", shown, decided)
	}
}
