package contract_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

func digest(t *rapid.T, terms *contract.Terms) canon.Digest {
	d, err := contract.TermsDigest(terms)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func parse(t *rapid.T, text string) *contract.Terms {
	terms, err := contract.ParseTerms([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return terms
}

// Two spellings of equal terms have one meaning and one digest: other order of
// keys and of lists without order, other quotes, block or flow style, comments.
func TestTermsDigestIsOfTheMeaning(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tree := drawTerms(t)
		a, b := parse(t, spell(t, tree)), parse(t, spell(t, tree))
		if !reflect.DeepEqual(a, b) {
			t.Fatal("two spellings, two meanings")
		}
		if digest(t, a) != digest(t, b) {
			t.Fatal("two spellings, two digests")
		}
	})
}

// What is compiled can be written as YAML again and compiles to itself: the
// compiled form leaves nothing out that decides.
func TestCompiledTermsAreStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := parse(t, spell(t, drawTerms(t)))
		canonical, err := first.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		if err := canon.Check(canonical); err != nil {
			t.Fatal(err)
		}
		again := parse(t, spell(t, treeOf(first)))
		if !reflect.DeepEqual(first, again) || digest(t, first) != digest(t, again) {
			t.Fatalf("compiled again they are %+v, first %+v", again, first)
		}
	})
}

// Any change of meaning changes the digest.
func TestTermsDigestCoversEverything(t *testing.T) {
	t.Parallel()
	seen := make(map[canon.Digest]string)
	for _, tt := range []struct {
		name   string
		change func(*contract.Terms)
	}{
		{"nothing", func(*contract.Terms) {}},
		{"id", func(t *contract.Terms) { t.ID = "x" }},
		{"title", func(t *contract.Terms) { t.Title = "x" }},
		{"party id", func(t *contract.Terms) { t.Parties[0].ID = "x" }},
		{"party name", func(t *contract.Terms) { t.Parties[0].Name = "x" }},
		{"party gone", func(t *contract.Terms) { t.Parties = t.Parties[:1] }},
		{"roots gone", func(t *contract.Terms) { t.Parties[0].Roots = nil }},
		{"roots need", func(t *contract.Terms) { t.Parties[0].Roots.Need = 1 }},
		{"root name", func(t *contract.Terms) { t.Parties[0].Roots.Keys[0].Name = "x" }},
		{"root key", func(t *contract.Terms) { t.Parties[0].Roots.Keys[0].PublicKey = t.Parties[0].Roots.Keys[1].PublicKey }},
		{"signatory party", func(t *contract.Terms) { t.Signatories[0].Party = "x" }},
		{"signatory capacity", func(t *contract.Terms) { t.Signatories[0].Capacity = "x" }},
		{"signatory need", func(t *contract.Terms) { t.Signatories[0].Need = 2 }},
		{"signatory of", func(t *contract.Terms) { t.Signatories[0].Of = t.Signatories[0].Of[:1] }},
		{"signatory assurance", func(t *contract.Terms) { t.Signatories[0].Assurance = "x" }},
		{"not_before", func(t *contract.Terms) { t.Effect.NotBefore = t.Effect.NotBefore.Add(time.Second) }},
		{"no not_before", func(t *contract.Terms) { t.Effect.NotBefore = time.Time{} }},
		{"issuer id", func(t *contract.Terms) { t.Issuers[0].ID = "x" }},
		{"issuer URL", func(t *contract.Terms) { t.Issuers[0].URL = "x" }},
		{"issuer cli", func(t *contract.Terms) { t.Issuers[0].Clients.CLI = "x" }},
		{"issuer web", func(t *contract.Terms) { t.Issuers[0].Clients.Web = "" }},
		{"issuer algs", func(t *contract.Terms) { t.Issuers[0].Algs = t.Issuers[0].Algs[:1] }},
		{"issuer subject", func(t *contract.Terms) { t.Issuers[0].Subject = "x" }},
		{"issuer groups", func(t *contract.Terms) { t.Issuers[0].Groups = "x" }},
		{"issuer flows", func(t *contract.Terms) { t.Issuers[0].Flows = []contract.Flow{"x"} }},
		{"group id", func(t *contract.Terms) { t.Groups[0].ID = "x" }},
		{"group issuer", func(t *contract.Terms) { t.Groups[0].Issuer = "x" }},
		{"group claim", func(t *contract.Terms) { t.Groups[0].Claim = "x" }},
		{"cosigner", func(t *contract.Terms) { t.Cosigners = []contract.Cosigner{{ID: "x", Party: "acme", Key: "k"}} }},
		{"cosigner id", func(t *contract.Terms) { t.Cosigners = []contract.Cosigner{{ID: "y", Party: "acme", Key: "k"}} }},
		{"cosigner party", func(t *contract.Terms) { t.Cosigners = []contract.Cosigner{{ID: "x", Party: "northwind", Key: "k"}} }},
		{"cosigner key", func(t *contract.Terms) { t.Cosigners = []contract.Cosigner{{ID: "x", Party: "acme", Key: "l"}} }},
		{"an office", func(t *contract.Terms) {
			t.Offices = []contract.OfficeGroups{{Office: contract.Auditor, Groups: []string{"dba"}}}
		}},
		{"another office", func(t *contract.Terms) {
			t.Offices = []contract.OfficeGroups{{Office: contract.Reviewer, Groups: []string{"dba"}}}
		}},
		{"an office's groups", func(t *contract.Terms) {
			t.Offices = []contract.OfficeGroups{{Office: contract.Auditor, Groups: []string{"sre"}}}
		}},
		{"ceiling grant", func(t *contract.Terms) { t.Ceilings.Grant++; t.Ceilings.Grant += time.Second }},
		{"ceiling cert_ttl", func(t *contract.Terms) { t.Ceilings.CertTTL += time.Second }},
		{"decide age", func(t *contract.Terms) { t.Ceilings.ClaimsMaxAge.Decide += time.Second }},
		{"issue age", func(t *contract.Terms) { t.Ceilings.ClaimsMaxAge.Issue += time.Second }},
		{"role id", func(t *contract.Terms) { t.Roles[0].ID = "x" }},
		{"role gone", func(t *contract.Terms) { t.Roles = t.Roles[1:] }},
		{"role clause", func(t *contract.Terms) { t.Roles[0].Clause = "§9" }},
		{"role who", func(t *contract.Terms) { t.Roles[0].Who = []string{"sre"} }},
		{"role label", func(t *contract.Terms) { t.Roles[0].Hosts[0].Label = "x" }},
		{"role label value", func(t *contract.Terms) { t.Roles[0].Hosts[0].Values = []string{"x"} }},
		{"role logins", func(t *contract.Terms) { t.Roles[0].Logins = []sshcert.Login{"x"} }},
		{"role grant", func(t *contract.Terms) { t.Roles[0].Grant.Max += time.Second }},
		{"role ttl", func(t *contract.Terms) { t.Roles[0].Cert.TTL += time.Second }},
		{"role extensions", func(t *contract.Terms) { t.Roles[0].Cert.Extensions = []string{"permit-pty"} }},
		{"role min_words", func(t *contract.Terms) { t.Roles[0].Request.MinWords++ }},
		{"path id", func(t *contract.Terms) { t.Roles[0].Paths[0].ID = "x" }},
		{"path clause", func(t *contract.Terms) { t.Roles[0].Paths[0].Clause = "§9" }},
		{"stage order", func(t *contract.Terms) { slices.Reverse(t.Roles[0].Paths[0].Stages) }},
		{"stage id", func(t *contract.Terms) { t.Roles[0].Paths[0].Stages[0].ID = "x" }},
		{"stage from", func(t *contract.Terms) { t.Roles[0].Paths[0].Stages[0].From = []string{"dba"} }},
		{"stage quorum", func(t *contract.Terms) { t.Roles[0].Paths[0].Stages[0].Quorum = 3 }},
		{"stage timeout", func(t *contract.Terms) { t.Roles[0].Paths[0].Stages[0].Timeout += time.Second }},
	} {
		terms := goodVersion(t).Terms
		tt.change(terms)
		d, err := contract.TermsDigest(terms)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if other, twice := seen[d]; twice {
			t.Errorf("%q has the digest of %q", tt.name, other)
		}
		seen[d] = tt.name
	}
}

// Evaluate allows a request exactly if each of the terms' limits allows it; what
// it allows is never more than the terms.
func TestEvaluateAllowsNoMoreThanTheTerms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		terms := parse(t, spell(t, drawTerms(t)))
		ask, subject := drawAsk(t, terms)
		allowed, err := terms.Evaluate(ask, subject)
		reasons := objections(terms, ask, subject)
		if (err == nil) != (len(reasons) == 0) {
			t.Fatalf("Evaluate(%+v, %+v) = %v; against it: %q", ask, subject, err, reasons)
		}
		if err == nil {
			if allowed.Role.ID != ask.Role || allowed.Path != &allowed.Role.Paths[0] {
				t.Fatalf("allowed %+v", allowed)
			}
			return
		}
		ce, ok := errors.AsType[*contract.ClauseError](err)
		if !ok || !slices.Contains(reasons, ce.Field) || ce.Limit == "" {
			t.Fatalf("the refusal %v is about %q, against it: %q", err, ce.Field, reasons)
		}
		if (ce.Clause == "") != (ce.Field == "role") {
			t.Fatalf("the refusal %v has the clause %q", err, ce.Clause)
		}
	})
}

// objections judges a request a second time, field by field, in another way.
func objections(terms *contract.Terms, a contract.Ask, s contract.Subject) []string {
	i := slices.IndexFunc(terms.Roles, func(r contract.Role) bool { return r.ID == a.Role })
	if i < 0 {
		return []string{"role"}
	}
	role, against := terms.Roles[i], map[string]bool{}
	claims := map[[2]string]bool{}
	for _, g := range s.Groups {
		claims[[2]string{s.Issuer, g}] = s.GroupsKnown
	}
	against["who"] = true
	for _, g := range terms.Groups {
		for _, issuer := range terms.Issuers {
			if issuer.ID == g.Issuer && slices.Contains(role.Who, g.ID) && claims[[2]string{issuer.URL, g.Claim}] {
				against["who"] = false
			}
		}
	}
	logins := map[sshcert.Login]int{}
	for _, l := range a.Logins {
		logins[l]++
		against["logins"] = against["logins"] || logins[l] > 1 || !slices.Contains(role.Logins, l)
	}
	against["logins"] = against["logins"] || len(logins) == 0
	hosts := map[sshcert.Host]int{}
	for _, h := range a.Hosts {
		hosts[h.Name]++
		for _, selector := range role.Hosts {
			against["hosts"] = against["hosts"] || !slices.Contains(selector.Values, h.Labels[selector.Label])
		}
		against["hosts"] = against["hosts"] || hosts[h.Name] > 1
	}
	against["hosts"] = against["hosts"] || len(hosts) == 0 || len(a.Hosts)*len(a.Logins) > 64
	against["for"] = a.For < 10*time.Second || a.For > role.Grant.Max || a.For > terms.Ceilings.Grant || a.For.Truncate(time.Second) != a.For
	against["reason"] = a.ReasonWords < role.Request.MinWords
	var out []string
	for field, no := range against {
		if no {
			out = append(out, field)
		}
	}
	slices.Sort(out)
	return out
}

// drawAsk draws a request near the terms: mostly of their words, so that many
// are allowed, and sometimes of others.
func drawAsk(t *rapid.T, terms *contract.Terms) (contract.Ask, contract.Subject) {
	role := rapid.SampledFrom(terms.Roles).Draw(t, "role")
	ask := contract.Ask{
		Role:        rapid.SampledFrom([]string{role.ID, role.ID, role.ID, role.ID, "nobody"}).Draw(t, "asked role"),
		Logins:      rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(role.Logins), "root")), 0, 2).Draw(t, "logins"),
		ReasonWords: rapid.IntRange(0, 6).Draw(t, "words"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "hosts") {
		h := contract.HostLabels{Name: rapid.SampledFrom([]sshcert.Host{"a", "b.c", "d-1"}).Draw(t, "host"), Labels: map[string]string{}}
		for _, selector := range role.Hosts {
			if rapid.IntRange(0, 9).Draw(t, "labelled") > 0 {
				h.Labels[selector.Label] = rapid.SampledFrom(append(slices.Clone(selector.Values), selector.Values[0], "other")).Draw(t, "value")
			}
		}
		ask.Hosts = append(ask.Hosts, h)
	}
	ask.For = rapid.SampledFrom([]time.Duration{
		0, time.Second, 10 * time.Second, 10*time.Second - 1, role.Grant.Max, role.Grant.Max + time.Second, role.Grant.Max - time.Nanosecond,
		terms.Ceilings.Grant, role.Grant.Max - role.Grant.Max%time.Minute, -role.Grant.Max,
	}).Draw(t, "for")
	subject := contract.Subject{Issuer: "https://evil.example", GroupsKnown: rapid.IntRange(0, 4).Draw(t, "known") > 0}
	if rapid.IntRange(0, 9).Draw(t, "issuer of the contract") > 0 {
		subject.Issuer = rapid.SampledFrom(terms.Issuers).Draw(t, "issuer").URL
	}
	for range rapid.IntRange(0, 3).Draw(t, "groups") {
		subject.Groups = append(subject.Groups, rapid.SampledFrom(terms.Groups).Draw(t, "group").Claim)
	}
	return ask, subject
}
