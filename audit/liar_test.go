package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/audittest"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// serversWord is what a server can say otherwise without contradicting anybody's
// signature: what *attested* means. docs/audit.md has the same list, in words.
var serversWord = map[string]string{
	"certificate.issue facts.at":        "the ledger's clock, within what stands around it",
	"contract.propose facts.at":         "the ledger's clock, within what stands around it",
	"contract.sign facts.at":            "the ledger's clock, within what stands around it and before the day until which it was to be signed",
	"contract.condition facts.at":       "the ledger's clock, within what stands around it",
	"ledger.open facts.at":              "the ledger's clock",
	"person.snapshot facts.at":          "the ledger's clock",
	"request.submit facts.at":           "the ledger's clock, within the document's life",
	"request.decide facts.at":           "the ledger's clock, within the stage's time",
	"request.expire facts.at":           "the ledger's clock, after the deadline",
	"ledger.open facts.ledger":          "a random id",
	"host.join facts.join":              "a random id",
	"key.add facts.addition":            "a random id",
	"key.add facts.key":                 "the operator's",
	"person.login facts.login":          "a random id",
	"person.snapshot facts.snapshot":    "a random id",
	"person.link facts.link":            "a random id",
	"request.decide facts.decision":     "a random id",
	"request.expire facts.expiry":       "a random id",
	"request.cancel facts.cancellation": "a random id",
	"certificate.void facts.void":       "a random id",

	"person.read facts.read":     "a random id",
	"person.read facts.first":    "what an auditor was shown",
	"person.read facts.last":     "what an auditor was shown",
	"person.read facts.count":    "what an auditor was shown",
	"person.read facts.leaves[]": "what an auditor was shown",
	"person.read facts.query":    "what an auditor was shown",

	"host.invite facts.bundle":       "the operator's, where no host admin has signed it",
	"host.invite facts.expires_at":   "the operator's, where no host admin has signed it",
	"host.invite facts.secret":       "the operator's, where no host admin has signed it",
	"host.join facts.address":        "the operator's",
	"host.join facts.port":           "the operator's",
	"host.join facts.host_key":       "the operator's",
	"host.join facts.labels[].name":  "the operator's, as far as no role reads it",
	"host.join facts.labels[].value": "the operator's, as far as no role reads it",
	"person.link person.because":     "the operator's",

	"request.decide facts.verdict":     "a decision in a session",
	"request.decide facts.for_seconds": "a decision in a session, as far as another narrows more",
	"request.decide person.words":      "a decision in a session",

	"access.revoke facts.revocation": "a random id, where no device key has signed it",
	"access.revoke person.because":   "the words of who revokes",
	"person.lock facts.lock":         "a random id",
	"person.lock person.because":     "the operator's",
	"person.unlock facts.unlock":     "a random id",
	"person.unlock person.because":   "the operator's",

	"person.snapshot facts.login":  "which of two logins with the same groups",
	"person.login person.id_token": "its signature: nobody has the identity provider's keys of that day",

	"host.label facts.label":             "a random id",
	"grant.carry facts.carry":            "a random id",
	"login.open facts.call":              "in which call a host told it",
	"login.open facts.opened_at":         "a host's clock, within the certificate",
	"login.close facts.call":             "in which call a host told it",
	"login.close facts.closed_at":        "a host's clock",
	"login.refuse facts.call":            "in which call a host told it",
	"login.refuse facts.refusal":         "a random id",
	"login.refuse facts.counts[]":        "what a host told",
	"login.refuse facts.counts[].count":  "what a host told",
	"login.refuse facts.counts[].reason": "what a host told",

	"person.erase facts.at":    "the ledger's clock, within retention and the document's life",
	"person.erase facts.erase": "a random id",

	"erased person.login facts.login":        "a random id",
	"erased person.login facts.amr":          "what only the ID token said, which is erased",
	"erased person.login facts.amr[]":        "what only the ID token said, which is erased",
	"erased person.login facts.auth_time_at": "what only the ID token said, which is erased",
	"erased person.login facts.device_key":   "what only the ID token said, which is erased, unless the device key signed something",
}

// A server that lies has the log key and the authority key. It changes one thing
// in what a leaf hides, commits to it anew, has every later leaf name the changed
// one, and signs tree, checkpoints and certificates again. Whatever was signed by
// others, or follows from that, is found; who kept a checkpoint finds the rest.
func TestPromiseP12_ALyingServerIsFound(t *testing.T) {
	t.Parallel()
	b := auditedStory(t)
	entries := b.entries()
	var list []attempt
	for i, e := range entries {
		for _, m := range b.lies(t, entries, i) {
			leaf, err := ledger.ParseLeaf(e.Text)
			must(t, err)
			a := attempt{name: fmt.Sprintf("%s %s", leaf.Kind, m.path), bundle: b.bundle(m.entries)}
			if leaf.Kind == ledger.PersonLogin && e.Opening.Person == nil {
				a.name = "erased " + a.name
			}
			list = append(list, a)
		}
	}
	config := b.config()
	config.Contracts = append(config.Contracts, b.w.Audited().Digest, b.w.Fleet().Digest, b.wharf().Digest)
	verifyAll(t, config, list)
	believed := map[string]bool{}
	for _, a := range list {
		if !a.silent() {
			continue
		}
		believed[a.name] = true
		if serversWord[a.name] == "" {
			t.Errorf("a lie about %s is believed", a.name)
		}
	}
	for name := range serversWord {
		if !believed[name] {
			t.Errorf("every lie about %s is found; the list says that it is the server's word", name)
		}
	}
	kept, err := policyOf(t, b).OpenCheckpoint(b.checkpoint(hashesOf(t, entries), int64(len(entries))))
	must(t, err)
	c := b.config()
	c.Earlier = []ledger.Checkpoint{kept}
	var again []attempt
	for i := 0; i < len(list); i += 7 {
		again = append(again, attempt{name: list[i].name, bundle: list[i].bundle})
	}
	verifyAll(t, c, again)
	for _, a := range again {
		if !errors.Is(a.err, ledger.ErrForked) && !errors.Is(a.err, audit.ErrOther) {
			t.Errorf("%s, with a checkpoint from before: %v, want ErrForked", a.name, a.err)
		}
	}
	t.Logf("%d lies, about %d things that are the server's word", len(list), len(believed))
}

// Whoever has the log key can leave leaves out, repeat and swap them. Serials and
// times, and what leaves name of each other, show it; the newest leaves only a
// checkpoint shows.
func TestPromiseP12_ALyingServerMovesNothing(t *testing.T) {
	t.Parallel()
	b := wholeStory(t)
	entries := b.entries()
	last := slices.IndexFunc(entries, func(e audit.Entry) bool { return bytes.Contains(e.Text, []byte("\ncertificate.void\n")) }) - 1
	var list []attempt
	for i := range last {
		list = append(list,
			attempt{name: fmt.Sprintf("leaf %d left out", i), bundle: b.moved(slices.Delete(slices.Clone(entries), i, i+1))},
			attempt{name: fmt.Sprintf("leaf %d twice", i), bundle: b.moved(slices.Insert(slices.Clone(entries), i, entries[i]))})
	}
	config := b.config()
	config.Contracts = append(config.Contracts, b.w.Audited().Digest)
	verifyAll(t, config, list)
	for _, a := range list {
		if a.silent() {
			t.Errorf("%s: passes", a.name)
		}
	}
	kept, err := policyOf(t, b).OpenCheckpoint(b.checkpoint(hashesOf(t, entries), int64(len(entries))))
	must(t, err)
	c := b.config()
	c.Earlier = []ledger.Checkpoint{kept}
	short := []attempt{{bundle: b.moved(slices.Clone(entries[:last]))}}
	if verifyAll(t, c, short); !errors.Is(short[0].err, ledger.ErrRewound) {
		t.Errorf("without the newest leaves, and with a checkpoint from before: %v, want ErrRewound", short[0].err)
	}
}

// moved signs entries in a new order.
func (b told) moved(entries []audit.Entry) []byte {
	for i := range entries {
		entries[i].Index = int64(i)
	}
	b.sign(entries)
	return b.bundle(entries)
}

// lie is a whole ledger that a lying server made.
type lie struct {
	path, how string
	entries   []audit.Entry
}

// lies are the ledgers that come of changing one thing in leaf i.
func (b told) lies(t *testing.T, entries []audit.Entry, i int) []lie {
	t.Helper()
	seen := audittest.Pool{}
	texts := func(e audit.Entry) map[string][]byte {
		return map[string][]byte{"facts": e.Opening.Facts, "person": e.Opening.Person}
	}
	kind := func(e audit.Entry) string { return strings.Split(string(e.Text), "\n")[1] }
	for _, e := range entries {
		for part, text := range texts(e) {
			if v, err := audittest.ParseJSON(text); err == nil && kind(e) == kind(entries[i]) {
				seen.Collect(v, part)
			}
		}
	}
	var out []lie
	for part, text := range texts(entries[i]) {
		v, err := audittest.ParseJSON(text)
		if err != nil {
			continue
		}
		for _, m := range seen.Mutants(v, part) {
			changed, err := canon.Marshal(m.Value)
			if err != nil || bytes.Equal(changed, text) {
				continue // no leaf can hide it
			}
			lied := slices.Clone(entries)
			if part == "facts" {
				lied[i].Opening.Facts = changed
			} else {
				lied[i].Opening.Person = changed
			}
			b.commit(t, lied, i)
			out = append(out, lie{m.Path, m.How, lied})
		}
	}
	return out
}

// commit makes the leaves from index from on again, each for what it hides now:
// commitments, references, and the hashes by which facts name changed leaves. Then
// it signs the certificates again.
func (b told) commit(t *testing.T, entries []audit.Entry, from int) {
	t.Helper()
	var renamed []string
	for i := from; i < len(entries); i++ {
		e := &entries[i]
		leaf, err := ledger.ParseLeaf(e.Text)
		must(t, err)
		before := canon.Digest(tlog.RecordHash(e.Text)).String()
		e.Opening.Facts = []byte(strings.NewReplacer(renamed...).Replace(string(e.Opening.Facts)))
		leaf.Facts = ledger.FactsCommitment(e.Opening.FactsSalt, e.Opening.Facts)
		if e.Opening.Person != nil {
			leaf.Person = ledger.PersonCommitment(e.Opening.PersonSalt, e.Opening.Person)
		}
		if facts, err := record.ParseFacts(leaf.Kind, e.Opening.Facts); err == nil {
			leaf.Reference, leaf.Lineage = facts.Reference(), facts.InLineage()
		}
		text, err := leaf.Marshal()
		if err != nil { // no leaf has that reference: the old one stays
			old, err := ledger.ParseLeaf(e.Text)
			must(t, err)
			old.Facts, old.Person = leaf.Facts, leaf.Person
			text, err = old.Marshal()
			must(t, err)
		}
		e.Text = text
		if after := canon.Digest(tlog.RecordHash(text)).String(); after != before {
			renamed = append(renamed, before, after)
		}
	}
	b.sign(entries)
}
