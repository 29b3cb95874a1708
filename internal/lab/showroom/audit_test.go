package showroom_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/lab/browser"
)

// audited: an auditor finds an issuance by host and week, reads what was said when
// she asks for it, and has her browser verify the entry. A tampered one is shown as
// failing, with the step that fails.
func audited(t *testing.T, r *room, look browser.Look) {
	ada := r.tab(t, r.Others["ada"], look, "/ledger")
	ada.shows("Ledger", "As an auditor you see the facts of", "Newest entries", "Search, and show people")
	ada.clean("the ledger")
	ada.fill("#host", "web-1.demo")
	ada.fill("#since", "7d")
	ada.click("details summary")
	ada.fill("#kind", "certificate.issue")
	ada.clean("the filters")
	ada.click(".search button.primary")
	ada.shows("Found", "certificate.issue", "host web-1.demo", "login ops")
	if at := value[string](ada, "location.search"); !strings.Contains(at, "host=web-1.demo") || !strings.Contains(at, "since=7d") || strings.Contains(at, "people") {
		t.Errorf("the search is at %s", at)
	}
	ada.clean("what was found")

	ada.click(".timeline .entry a")
	ada.shows("Ledger entry", "Verify in this browser")
	ada.click("#verify button")
	ada.shows("It verifies.", "leaf, passed", "facts, passed", "root, passed: the way leads to", "signature, passed: the log key has signed the checkpoint that this server names")
	ada.clean("a verified entry")
	key := value[string](ada, "document.querySelector('#entry').dataset.logKey")
	ada.fill("#log-key", "log "+key)
	ada.click("#verify button")
	ada.shows("signed the checkpoint that you gave")

	// Whatever is changed, the step that finds it is named.
	for _, tt := range []struct{ name, change, step, says string }{
		{"a fact", "d.facts = d.facts.replace('ops@', 'root@').replace('\"at\":', '\"at\":1')", "facts", "is not what the leaf commits to"},
		{"the leaf", "d.leaf = d.leaf.replace('certificate.issue', 'certificate.void')", "root", "the way leads to"},
		{"a hash of the way", "d.proof = d.proof.replace(/(index \\d+\\n)./, (m, a) => a + (m.endsWith('A') ? 'B' : 'A'))", "root", "the way leads to"},
		{"the index", "d.proof = d.proof.replace(/index (\\d+)/, (m, n) => 'index ' + (Number(n) - 1))", "proof", "it is for entry"},
		{"the checkpoint's size", "d.proof = d.proof.replace(/\\n\\n([^\\n]+)\\n(\\d+)\\n/, (m, o, n) => '\\n\\n' + o + '\\n' + n + '0\\n')", "root", "the way"},
		{"the root and what leads to it", "d.proof = d.proof.replace(/^(— \\S+ .{20})./m, (m, a) => a + (m.endsWith('A') ? 'B' : 'A'))", "signature", "does not hold"},
		{"the log key", "d.logKey = d.logKey.replace(/\\+[0-9a-f]{8}\\+/, '+00000000+')", "signature", "its hash is another"},
		{"nonsense", "d.proof = 'x'", "proof", "this is no proof"},
	} {
		ada.fill("#log-key", "")
		value[string](ada, "(() => { const d = document.querySelector('#entry').dataset; window.kept = window.kept || { ...d }; Object.assign(d, window.kept); const was = JSON.stringify(d); "+
			tt.change+"; return JSON.stringify(d) === was ? 'same' : 'changed'; })()")
		ada.click("#verify button")
		ada.shows("It does not verify: " + tt.step + " failed")
		if text := value[string](ada, "document.querySelector('#checks .failed').textContent"); !strings.Contains(text, tt.says) {
			t.Errorf("%s changed: %q", tt.name, text)
		}
	}
	ada.clean("an entry that does not verify")

	// People: asked for, and recorded.
	ada.open("/ledger?host=web-1.demo&since=7d&kind=request.submit")
	ada.click(".search button[name=people]")
	ada.shows("the ledger has recorded that you read them", "INC-42 checkout latency")
	ada.clean("with people")
	ada.open("/ledger?kind=person.read&person=me")
	ada.shows("person.read")
	ada.open("/ledger?text=x")
	ada.shows("Text: not accepted")
	ada.clean("a search that is refused")

	look.Scripts = false
	plain := r.newTab(t, r.Others["ada"], look, "/ledger")
	plain.fill("#host", "web-1.demo")
	plain.click(".search button.primary")
	plain.shows("Found", "host web-1.demo")
	plain.click(".timeline .entry a")
	plain.shows("This needs JavaScript. The command below needs none")
}
