package contract_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/guard"
	"github.com/sallyport/sallyport/sshcert"
)

// guardedTerms are the example's, with three paths for web-operator: one that asks
// nobody, one that asks few, and one for what is left.
func guardedTerms(t testing.TB) *contract.Terms {
	terms := goodVersion(t).Terms
	terms.Calendars = []contract.Calendar{{
		ID: "de-business", Zone: "CET-1CEST,M3.5.0,M10.5.0/3", Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: 480, To: 1080,
	}}
	role, _ := terms.Role("web-operator")
	stages := role.Paths[0].Stages
	role.Paths = []contract.Path{
		{ID: "routine", Clause: "§4.3", Auto: true, When: `grant_seconds <= 3600 && ticket && !first_time_host && "sre" in groups && "de-business" in calendars`},
		{ID: "normal", Clause: "§4.4", When: "grant_seconds <= 7200 && hosts <= 2", Stages: stages},
		{ID: "long", Clause: "§4.5", When: `reason_words >= 10 && issuer == "acme" && flow == "code"`, Stages: stages},
	}
	return terms
}

// knownAsk is goodAsk with all that a guard can ask about.
func knownAsk() contract.Ask {
	a := goodAsk()
	a.Ticket, a.At, a.FirstTimeHost, a.Flow = "INC-42", time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC), contract.No, contract.FlowCode
	return a
}

func TestEvaluateChoosesThePath(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(a *contract.Ask, s *contract.Subject, terms *contract.Terms)
		path   string // empty: refused
		is     error
		want   string
	}{
		{"all holds", func(*contract.Ask, *contract.Subject, *contract.Terms) {}, "routine", nil, ""},
		{"no ticket", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) { a.Ticket = "" }, "normal", nil, ""},
		{"first time", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) { a.FirstTimeHost = contract.Yes }, "normal", nil, ""},
		{"at night", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) { a.At = a.At.Add(12 * time.Hour) }, "normal", nil, ""},
		{"a second too long", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) { a.For += time.Second }, "normal", nil, ""},
		{"another group", func(_ *contract.Ask, s *contract.Subject, _ *contract.Terms) {
			*s = contract.Subject{Issuer: "https://id.northwind.example/realms/ops", Groups: []string{"/ops/support", "sre"}, GroupsKnown: true}
		}, "normal", nil, ""},
		{"long, well reasoned", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) { a.For, a.ReasonWords = 3*time.Hour, 10 }, "long", nil, ""},
		{
			"long", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) { a.For = 3 * time.Hour }, "", contract.ErrNoPath,
			"for: the role has no path to a decision; clause §4.3 allows 1h, by path routine",
		},
		{"many hosts", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) {
			a.Ticket = ""
			a.Hosts = append(a.Hosts, contract.HostLabels{Name: "web-2.prod", Labels: a.Hosts[0].Labels})
		}, "", contract.ErrNoPath, "hosts: the role has no path to a decision; clause §4.4 allows 2 hosts, by path normal"},
		{"two changes too many", func(a *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			a.For = 2 * time.Hour
			terms.Roles[1].Paths = terms.Roles[1].Paths[:1]
			a.Ticket = ""
		}, "", contract.ErrNoPath, `path: the role has no path to a decision; clause §4.3 allows requests where grant_seconds <= 3600 && ticket && !first_time_host && "sre"…`},
		{"what passes is not more than the role has", func(a *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			terms.Roles[1].Paths = []contract.Path{{ID: "p", Clause: "§4.3", When: `grant_seconds > 14400 || "root" in logins || ticket && "de-business" in calendars`, Stages: terms.Roles[1].Paths[1].Stages}}
			a.At = a.At.Add(12 * time.Hour)
		}, "", contract.ErrNoPath, "path: the role has no path to a decision; clause §4.3 allows the hours of calendar de-business, by path p"},
		{"first time unknown", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) { a.FirstTimeHost = contract.NotKnown }, "", contract.ErrFactUnknown, "path: what the role's guards ask about is not known: first_time_host: a fact that the guard names is missing; clause §4.3 allows requests of which that is known"},
		{"unknown, though another part decides", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) {
			a.Ticket, a.FirstTimeHost = "", contract.NotKnown
		}, "", contract.ErrFactUnknown, ""},
		{"moment unknown", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) { a.At = time.Time{} }, "", contract.ErrFactUnknown, ""},
		{"both unknown", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) {
			a.FirstTimeHost, a.At = contract.NotKnown, time.Time{}
		}, "", contract.ErrFactUnknown, "path: what the role's guards ask about is not known: calendars, first_time_host: a fact that the guard names is missing; clause §4.3 allows requests of which that is known"},
		{"zone that is no rule", func(_ *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			terms.Calendars[0].Zone = "Europe/Berlin"
		}, "", contract.ErrZone, ""},
		{"flow unknown, and not asked about", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) { a.Flow = "" }, "routine", nil, ""},
		{"flow unknown", func(a *contract.Ask, _ *contract.Subject, _ *contract.Terms) {
			a.For, a.ReasonWords, a.Flow = 3*time.Hour, 10, ""
		}, "", contract.ErrFactUnknown, ""},
		{"guard that is none", func(_ *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			terms.Roles[1].Paths[0].When = "ttl < 1"
		}, "", contract.ErrNoPath, ""},
		{"auto without a guard", func(_ *contract.Ask, _ *contract.Subject, terms *contract.Terms) { terms.Roles[1].Paths[0].When = "" }, "", contract.ErrNoPath, ""},
		{"auto with stages", func(_ *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			terms.Roles[1].Paths[0].Stages = terms.Roles[1].Paths[1].Stages
		}, "", contract.ErrNoPath, ""},
		{"neither auto nor stages", func(_ *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			terms.Roles[1].Paths[0].Auto = false
		}, "", contract.ErrNoPath, ""},
		{"too many hosts", func(_ *contract.Ask, _ *contract.Subject, terms *contract.Terms) { terms.Roles[1].Request.HostsMax = 1 }, "", contract.ErrTooManyHosts, "hosts: 2 hosts are more than one request may name; clause §4.1 allows at most 1 in one request"},
		{"as many hosts as may be", func(_ *contract.Ask, _ *contract.Subject, terms *contract.Terms) { terms.Roles[1].Request.HostsMax = 2 }, "routine", nil, ""},
		{"ticket required", func(_ *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			terms.Roles[1].Request.Ticket.Required = true
		}, "routine", nil, ""},
		{"ticket required and missing", func(a *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			a.Ticket, terms.Roles[1].Request.Ticket = "", contract.Ticket{Required: true, Pattern: "INC-[0-9]+"}
		}, "", contract.ErrNoTicket, "ticket: no ticket named; clause §4.1 allows tickets that match INC-[0-9]+"},
		{"ticket of the form", func(_ *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			terms.Roles[1].Request.Ticket.Pattern = "INC-[0-9]|INC-[0-9]{2}"
		}, "routine", nil, ""},
		{"ticket with the form inside", func(a *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			a.Ticket, terms.Roles[1].Request.Ticket.Pattern = "xINC-42\x1b[2J", "(?m)^INC-[0-9]+$|INC-[0-9]+"
		}, "", contract.ErrTicket, `ticket: "xINC-42\x1b[2J" is not a ticket of the form that the role asks for; clause §4.1 allows tickets that match (?m)^INC-[0-9]+$|INC-[0-9]+`},
		{"ticket that begins with the form", func(a *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			a.Ticket, terms.Roles[1].Request.Ticket.Pattern = "INC-42\nx", "(?m)INC-[0-9]+$"
		}, "", contract.ErrTicket, ""},
		{"no ticket is of no form", func(a *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			a.Ticket, terms.Roles[1].Request.Ticket.Pattern = "", "INC-[0-9]+"
		}, "normal", nil, ""},
		{"pattern that is none", func(_ *contract.Ask, _ *contract.Subject, terms *contract.Terms) {
			terms.Roles[1].Request.Ticket.Pattern = "("
		}, "", contract.ErrTicket, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			terms, ask := guardedTerms(t), knownAsk()
			subject := contract.Subject{Issuer: acmeIssuer, Groups: []string{"staff", "sre"}, GroupsKnown: true}
			tt.change(&ask, &subject, terms)
			got, err := terms.Evaluate(ask, subject)
			if tt.path != "" {
				if err != nil || got.Path.ID != tt.path {
					t.Errorf("Evaluate = %+v, %v; want path %s", got.Path, err, tt.path)
				}
				return
			}
			if _, ok := errors.AsType[*contract.ClauseError](err); !ok || !errors.Is(err, tt.is) || got.Path != nil || got.Facts != nil {
				t.Fatalf("Evaluate = %+v, %v; want %v in a *ClauseError", got, err, tt.is)
			}
			if tt.want != "" && err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

// What the guards saw, and nothing else, is told for the ledger.
func TestEvaluateTellsWhatTheGuardsSaw(t *testing.T) {
	t.Parallel()
	terms, ask := guardedTerms(t), knownAsk()
	subject := contract.Subject{Issuer: acmeIssuer, Groups: []string{"staff", "sre"}, GroupsKnown: true}
	ask.Ticket = ""
	got, err := terms.Evaluate(ask, subject)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"grant_seconds": "3600", "ticket": "false", "first_time_host": "false", "groups": `["sre"]`, "calendars": `["de-business"]`, "hosts": "2",
	}
	if seen := got.Facts.Strings(); fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("Facts = %v, want %v", seen, want)
	}
	unguarded, err := goodVersion(t).Terms.Evaluate(goodAsk(), subject)
	if err != nil || unguarded.Facts != nil {
		t.Errorf("without guards: %v, %v", unguarded.Facts, err)
	}
}

// Nobody comes to a path that asks nobody, or fewer people, by holding back what a
// guard before it asks about: a request with something unknown is refused, or
// decided as it is whatever the unknown is.
func TestPromiseP06_WhatIsHeldBackOpensNoPath(t *testing.T) {
	t.Parallel()
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		terms := guardedTerms(outer)
		role, _ := terms.Role("web-operator")
		stages := role.Paths[1].Stages
		role.Paths = nil
		for i := range rapid.IntRange(1, 4).Draw(t, "paths") {
			var parts []string
			for range rapid.IntRange(1, 3).Draw(t, "parts") {
				parts = append(parts, rapid.SampledFrom([]string{
					"ticket", "!ticket", "first_time_host", "!first_time_host", `"sre" in groups`, `!("sre" in groups)`, `"de-business" in calendars`,
					`!("de-business" in calendars)`, `flow == "code"`, `flow != "code"`, "hosts <= 1", "grant_seconds > 3600",
				}).Draw(t, "part"))
			}
			p := contract.Path{ID: fmt.Sprint("p", i), Clause: "§4", When: strings.Join(parts, rapid.SampledFrom([]string{" && ", " || "}).Draw(t, "join"))}
			if p.Auto = rapid.Bool().Draw(t, "auto"); !p.Auto {
				p.Stages = stages
			}
			role.Paths = append(role.Paths, p)
		}
		full := knownAsk()
		full.For = rapid.SampledFrom([]time.Duration{time.Hour, 2 * time.Hour}).Draw(t, "for")
		full.FirstTimeHost = rapid.SampledFrom([]contract.Answer{contract.No, contract.Yes}).Draw(t, "first time")
		full.At = full.At.Add(rapid.SampledFrom([]time.Duration{0, 12 * time.Hour}).Draw(t, "at"))
		subject := contract.Subject{Issuer: acmeIssuer, Groups: []string{"sre"}, GroupsKnown: true}
		less, whom := full, subject
		switch rapid.SampledFrom([]string{"first", "at", "flow"}).Draw(t, "held back") {
		case "first":
			less.FirstTimeHost = contract.NotKnown
		case "at":
			less.At = time.Time{}
		case "flow":
			less.Flow = ""
		}
		want, wantErr := terms.Evaluate(full, subject)
		got, err := terms.Evaluate(less, whom)
		switch {
		case errors.Is(err, contract.ErrFactUnknown):
		case err != nil:
			if wantErr == nil {
				t.Fatalf("refused by %v, and by path %s with all known", err, want.Path.ID)
			}
		case wantErr != nil:
			t.Fatalf("path %s is open to who holds something back: %v", got.Path.ID, wantErr)
		case got.Path != want.Path:
			t.Fatalf("path %s instead of %s by holding something back", got.Path.ID, want.Path.ID)
		}
	})
}

// A refusal that says what would pass is right about it.
func TestNearestPathPasses(t *testing.T) {
	t.Parallel()
	subject := contract.Subject{Issuer: acmeIssuer, Groups: []string{"sre"}, GroupsKnown: true}
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		terms := guardedTerms(outer)
		ask := knownAsk()
		ask.For = time.Duration(rapid.IntRange(10, 4*60*60).Draw(t, "for")) * time.Second
		ask.ReasonWords = rapid.IntRange(3, 12).Draw(t, "words")
		ask.Ticket = rapid.SampledFrom([]string{"", "INC-1"}).Draw(t, "ticket")
		for i := range rapid.IntRange(0, 4).Draw(t, "more hosts") {
			ask.Hosts = append(ask.Hosts, contract.HostLabels{Name: sshcert.Host(fmt.Sprintf("web-%d.prod", 10+i)), Labels: ask.Hosts[0].Labels})
		}
		_, err := terms.Evaluate(ask, subject)
		if err == nil {
			return
		}
		ce, ok := errors.AsType[*contract.ClauseError](err)
		if !ok || !errors.Is(err, contract.ErrNoPath) {
			t.Fatal(err)
		}
		value, path, _ := strings.Cut(ce.Limit, ", by path ")
		switch ce.Field {
		case "for":
			if ask.For, err = contract.ParseDuration(value); err != nil {
				t.Fatal(err)
			}
		case "hosts":
			var n int
			if _, err := fmt.Sscan(value, &n); err != nil || n > len(ask.Hosts) {
				t.Fatalf("%s: %v", value, err)
			}
			ask.Hosts = slices.Clone(ask.Hosts[:n])
		case "reason":
			if _, err := fmt.Sscanf(value, "a reason of %d words", &ask.ReasonWords); err != nil {
				t.Fatalf("%s: %v", value, err)
			}
		case "ticket":
			ask.Ticket = "INC-1"
		case "path":
			if !strings.HasPrefix(value, "requests where ") {
				t.Fatal(err)
			}
			return
		default:
			t.Fatal(err)
		}
		if got, err := terms.Evaluate(ask, subject); err != nil || got.Path.ID != path {
			t.Fatalf("%s: then %+v, %v", ce, got.Path, err)
		}
	})
}

// Guard parses what Evaluate uses, and says where a guard is wrong.
func TestPathGuard(t *testing.T) {
	t.Parallel()
	p := contract.Path{When: "ticket"}
	if e, err := p.Guard(); err != nil || e.String() != "ticket" {
		t.Errorf("Guard = %v, %v", e, err)
	}
	p.When = ""
	if e, err := p.Guard(); err != nil || e != nil {
		t.Errorf("no guard: %v, %v", e, err)
	}
	p.When = "tickets"
	if e, err := p.Guard(); e != nil || !errors.Is(err, guard.ErrSyntax) {
		t.Errorf("wrong guard: %v, %v", e, err)
	}
}

func BenchmarkEvaluateGuarded(b *testing.B) {
	terms, ask := guardedTerms(b), knownAsk()
	ask.For, ask.ReasonWords = 3*time.Hour, 10
	subject := contract.Subject{Issuer: acmeIssuer, Groups: []string{"staff", "sre"}, GroupsKnown: true}
	for i := range 200 {
		subject.Groups = append(subject.Groups, fmt.Sprint("group-", i))
	}
	for b.Loop() {
		if _, err := terms.Evaluate(ask, subject); err != nil {
			b.Fatal(err)
		}
	}
}
