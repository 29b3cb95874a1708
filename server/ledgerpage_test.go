package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestLedgerPage: an auditor finds an issuance by host and time, sees what people
// wrote after asking for it, and what she reads is recorded; others see what is
// theirs.
func TestLedgerPage(t *testing.T) {
	t.Parallel()
	w := newAuditedWorld(t)
	_, _, granted, _ := w.told()
	ada, page := w.signIn("ada", "/ledger")
	contains(t, page.Text(), "As an auditor you see the facts of acme", "Newest entries", "Search, and show people")
	page = ada.open("/ledger?host=web-1.demo&since=7d&kind=certificate.issue&login=&text=")
	contains(t, page.Text(), "Found", "certificate.issue", "host web-1.demo", "role operator")
	contains(t, page.Body, "sally ledger list --host web-1.demo --since 7d --kind certificate.issue --csv", `href="/ledger?request=`+string(granted.ID)+`"`)
	if strings.Contains(page.Body, "words of bob") || len(w.readings()) != 0 {
		t.Error("people's words are on a page that nobody asked for them")
	}
	contains(t, string(ada.asks("/ledger?request="+string(granted.ID)+"&people=1").body), "words of bob", "INC-42")
	if got := w.readings(); len(got) != 1 || got[0].Count != 2 {
		t.Errorf("of the page is recorded %+v", got)
	}
	// Page by page.
	seen := 0
	for path := "/ledger?limit=3"; path != ""; seen++ {
		page = ada.open(path)
		_, rest, more := strings.Cut(page.Body, `<a class="button" href="`)
		if path = ""; more {
			path, _, _ = strings.Cut(strings.ReplaceAll(rest, "&amp;", "&"), `"`)
		}
		if seen > 50 {
			t.Fatal("it does not end")
		}
	}
	if want := int(w.size()+2) / 3; seen < 1 || want < 3 {
		t.Errorf("%d pages", seen)
	}
	// An entry and its reading.
	var decide int64 = -1
	for _, e := range entries(w.logIn("ada"), "kind=request.decide").Entries {
		decide = e.Index
	}
	page = ada.open("/ledger/" + itoa(decide))
	contains(t, page.Text(), "Show what is held about people", "verdict")
	page, err := ada.Follow(t.Context(), page, "Show what is held about people")
	must(t, err)
	contains(t, page.Text(), "words of bob")
	if got := w.readings(); len(got) != 2 || got[1].First != decide {
		t.Errorf("of the entry is recorded %+v", got)
	}
	if r := ada.open("/ledger/export"); r.Status != 200 || !strings.HasPrefix(r.Header.Get("Content-Disposition"), "attachment") {
		t.Errorf("the export answers %d", r.Status)
	}
	// No link from elsewhere reads anything of people in her name.
	for _, site := range []string{"cross-site", "same-site", "none", ""} {
		for path, status := range map[string]int{"/ledger?people=1": 200, "/ledger/" + itoa(decide) + "?people=1": 200, "/ledger/export?people=1": 403} {
			header := http.Header{"Cookie": {ada.cookieHeader()}}
			if site != "" {
				header.Set("Sec-Fetch-Site", site)
			}
			r := w.send(http.MethodGet, path, header, nil)
			if r.status != status || strings.Contains(string(r.body), "words of bob") {
				t.Errorf("%s, %q: %d", path, site, r.status)
			}
			if status == 200 {
				contains(t, string(r.body), "ledger records that you")
			}
		}
	}
	if n := len(w.readings()); n != 2 {
		t.Errorf("%d readings after links from elsewhere", n)
	}
	// Others.
	eve, page := w.signIn("eve", "/ledger?kind=request.submit")
	contains(t, page.Text(), "not for you to see")
	if strings.Contains(page.Body, "people=1") || strings.Contains(page.Body, "web-1.demo") {
		t.Error("somebody without an office is offered what is for auditors")
	}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/ledger?host=-": {422, "a host's name"},
		"/ledger?since=" + url.QueryEscape("<b>"): {422, "how long ago"},
		"/ledger?cursor=x":                        {422, "begin again"},
	} {
		if page := eve.open(path); page.Status != want.status || !strings.Contains(page.Text(), want.text) {
			t.Errorf("%s: %d %s", path, page.Status, page.Text())
		}
	}
	for _, path := range []string{"/ledger?people=1", "/ledger/3?people=1", "/ledger/export?people=1"} {
		if r := eve.asks(path); r.status != 403 || !strings.Contains(string(r.body), "each reading is recorded") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if n := len(w.readings()); n != 2 {
		t.Errorf("%d readings", n)
	}
	// With an old sign-in she is told that she sees less.
	for range 2 { // she is not idle
		w.clock.advance(8 * time.Minute)
		page = ada.open("/ledger")
	}
	contains(t, page.Text(), "too old now, so you see less", "Sign in again")
}

// asks opens a path as by a link or a button on one of our pages.
func (b *browser) asks(path string) reply {
	b.w.t.Helper()
	return b.w.send(http.MethodGet, path, http.Header{"Cookie": {b.cookieHeader()}, "Sec-Fetch-Site": {"same-origin"}}, nil)
}
