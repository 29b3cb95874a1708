package client

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/payloads"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// What stands in a bundle was written by many, and a bundle may come from
// anybody: a verdict and a story show each text of it, and do nothing else.
func TestPromiseP16_AuditsAreInert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	latin := w.withEnv("LC_ALL", "de_DE.ISO-8859-1")
	ascii := func(output string) bool {
		return !strings.ContainsFunc(output, func(r rune) bool { return r > 0x7e })
	}
	for _, p := range payloads.All() {
		text := strings.ToValidUTF8(p.Text, "\ufffd")
		for _, e := range []Env{w.Env, latin} {
			for name, print := range map[string]func() error{
				"report":      func() error { return printReport(e, hostileReport(text)) },
				"report JSON": func() error { return e.printJSON(auditResult{Report: hostileReport(text)}) },
				"story":       func() error { return hostileStory(text).print(e) },
				"story JSON":  func() error { return e.printJSON(hostileStory(text).result()) },
			} {
				if err := print(); err != nil {
					t.Fatal(err)
				}
				out := w.stdout()
				if err := payloads.Terminal(out); err != nil {
					t.Errorf("%s, %s: %v", name, p.Name, err)
				}
				if !e.utf8() && !ascii(out) {
					t.Errorf("%s, %s: not ASCII: %q", name, p.Name, out)
				}
				if strings.HasSuffix(name, "JSON") && !json.Valid([]byte(out)) {
					t.Errorf("%s, %s: no JSON: %q", name, p.Name, out)
				}
				w.mu.Lock()
				w.out.Reset()
				w.mu.Unlock()
			}
		}
	}
}

func hostileCertificate(text string) audit.Certificate {
	return audit.Certificate{
		Serial: 2, Leaf: 1, Verdict: audit.Unjustified, Rule: text, Cause: 1, CauseKind: text, Person: canon.ID(text), Request: canon.ID(text),
		Principals: []string{text}, Key: text, Parts: []audit.Part{{Name: audit.PartRequest, Verdict: audit.Attested, Leaf: 1, By: text}},
	}
}

func hostileReport(text string) audit.Report {
	return audit.Report{
		Origin: text, Root: text, Cosigned: []string{text}, Certificates: []audit.Certificate{hostileCertificate(text)},
		Contracts:    []audit.Contract{{ID: text, Signed: []string{text}}},
		Findings:     []audit.Finding{{Kind: text, Rule: text, CauseKind: text}, {Leaf: 1, Kind: text, Rule: text, CauseKind: text}},
		UnknownKinds: map[ledger.Kind]int64{ledger.Kind(text): 1}, IdleWaivers: []string{text},
	}
}

func hostileStory(text string) *story {
	login := canon.Sum("a login")
	claims := record.Claims{Login: login}
	request := requestLeaf{reason: text, facts: record.RequestSubmit{Claims: claims}, doc: record.RequestDoc{Person: canon.ID(text), Role: text}}
	decision := decisionLeaf{words: text, facts: record.RequestDecide{Claims: claims, Person: canon.ID(text), Stage: text}}
	return &story{
		origin: text, certificate: hostileCertificate(text), words: hostileCertificate(text).Parts,
		request: &request, decisions: []decisionLeaf{decision},
		logins: map[canon.Digest]loginLeaf{login: {leaf: 1, who: text, facts: record.PersonLogin{
			Person: canon.ID(text), Issuer: text, Groups: []string{text}, GroupsKnown: true,
		}}},
	}
}
