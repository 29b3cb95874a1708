package contract_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/contract"
)

func codes(findings []contract.Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Code)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func unknowns(findings []contract.Finding) []contract.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f contract.Finding) bool { return !f.Unknown })
}

// TestLintUnknown: what a lint can't see, it says, as a thing to be read; unknown
// is no pass, and no error.
func TestLintUnknown(t *testing.T) {
	escalates := [2]string{"{id: lead, from: [leads], quorum: 1,", "{id: lead, from: [leads], quorum: 1, escalate: {to: [soc], timeout: 15m},"}
	glass := [2]string{"    grant: {max: 1h}\n    cert:\n", "    grant: {max: 1h}\n    break_glass: {clause: §2, who: [sre], max: 30m, cap: 2, notify: {groups: [soc], within: 5m}, review: {by: [owners], within: 1d, else: suspend-role}}\n    cert:\n"}
	people := []string{"E01", "E02", "E03", "E04", "E05", "E07", "E12", "E26", "E27", "E28", "I49", "W34", "W35", "W36", "W37"}
	for _, tt := range []struct {
		name   string
		forget func(*contract.LintInput)
		want   []string
	}{
		{"nothing", func(*contract.LintInput) {}, nil},
		{"people", func(in *contract.LintInput) { in.People = nil }, append([]string{"E13"}, people...)},
		{"other people", func(in *contract.LintInput) { in.People.Partial = true }, slices.DeleteFunc(slices.Clone(people), func(c string) bool { return c == "E26" })},
		{"groups of the providers", func(in *contract.LintInput) { in.People.Groups = nil }, []string{"E13"}},
		{"usage", func(in *contract.LintInput) { in.Usage = nil }, []string{"I49", "W42"}},
		{"hosts", func(in *contract.LintInput) { in.Hosts = nil }, []string{"W47"}},
		{"exceptions", func(in *contract.LintInput) { in.Exceptions = nil }, []string{"W43"}},
		{"what is watched", func(in *contract.LintInput) { in.Watched = nil }, []string{"W44"}},
		{"contracts beside", func(in *contract.LintInput) { in.Beside = nil }, []string{"W48"}},
		{"the prose", func(in *contract.LintInput) { in.Prose = nil }, []string{"E29"}},
		{"the time", func(in *contract.LintInput) { in.Now = time.Time{} }, []string{"E31"}},
		{"the parent", func(in *contract.LintInput) { in.ParentNamed[0] = 1 }, []string{"E30"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := lintEdits{Terms: [][2]string{escalates, glass}}.input(t)
			tt.forget(&in)
			got := unknowns(contract.Lint(in))
			slices.Sort(tt.want)
			if !slices.Equal(codes(got), tt.want) {
				t.Errorf("unknown: %v, want %v\n%s", codes(got), tt.want, spellFindings(got))
			}
			if contract.Blocking(got) {
				t.Errorf("what is unknown blocks:\n%s", spellFindings(got))
			}
		})
	}
}

// TestLintUnknownAmendment: an amendment that was not compared.
func TestLintUnknownAmendment(t *testing.T) {
	e := lintEdits{Parent: &struct{ Terms, Prose [][2]string }{Prose: [][2]string{{"## §1 Web", "## §1 The web"}}}}
	in := e.input(t)
	in.Compared = nil
	if got := codes(unknowns(contract.Lint(in))); !slices.Equal(got, []string{"I50", "I51"}) {
		t.Errorf("unknown: %v", got)
	}
}

// TestLintMaybe: somebody whose provider has not said which groups they are in may
// be the one who decides. That is no error, and no pass.
func TestLintMaybe(t *testing.T) {
	lead := [2]string{"{id: lead, from: [leads], quorum: 1,", "{id: lead, from: [leads], quorum: 3,"}
	for _, tt := range []struct {
		name    string
		world   [][2]string
		unknown bool
	}{
		{"everybody known", nil, false},
		{"a third lead, perhaps", [][2]string{{"{id: gus, groups: [soc]", "{id: gus, silent: true"}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ofCode(contract.Lint(lintEdits{Terms: [][2]string{lead}, World: tt.world}.input(t)), "E01")
			if len(got) != 1 || got[0].Unknown != tt.unknown || contract.Blocking(got) == tt.unknown {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// TestLintManagers: a manager who is not known may be the requester's.
func TestLintManagers(t *testing.T) {
	apart := [2]string{"    clause: §2\n    who: [sre]\n", "    clause: §2\n    who: [sre]\n    duties: {not_same_manager: [owner]}\n"}
	for _, tt := range []struct {
		name, manager string
		want          []bool // the findings of E05: whether each is unknown
	}{
		{"another manager", "max", nil},
		{"the same manager", "mia", []bool{false}},
		{"a manager who is not known", `""`, []bool{true}},
		{"no manager", `"-"`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := lintEdits{Terms: [][2]string{apart}, World: [][2]string{
				{"{id: eve, groups: [owners], manager: max", "{id: eve, groups: [owners], manager: " + tt.manager},
				{"{id: fay, groups: [owners], manager: max", "{id: fay, groups: [owners], manager: " + tt.manager},
			}}.input(t)
			var got []bool
			for _, f := range ofCode(contract.Lint(in), "E05") {
				got = append(got, f.Unknown)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("unknown: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestLintGroupsOfGuards: who can't come to a path by its guard does not count as
// one whose requests it can't decide.
func TestLintGroupsOfGuards(t *testing.T) {
	for _, tt := range []struct {
		name, guard string
		want        int
	}{
		{"everybody", `grant_seconds > 60`, 1},
		{"leads not", `!("leads" in groups)`, 0},
		{"leads only", `"leads" in groups`, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := lintEdits{Terms: [][2]string{
				{"    clause: §2\n    who: [sre]\n", "    clause: §2\n    who: [sre, leads]\n"},
				{"      - id: dual\n", "      - id: dual\n        when: '" + tt.guard + "'\n"},
				{"{id: peer, from: [leads], quorum: 1,", "{id: peer, from: [leads], quorum: 2,"},
			}}.input(t)
			if got := ofCode(contract.Lint(in), "E01"); len(got) != tt.want {
				t.Errorf("got %s", spellFindings(got))
			}
		})
	}
}

// TestLintOfTermsInMemory: what ParseTerms refuses, the lints find in terms that
// never were a file, too.
func TestLintOfTermsInMemory(t *testing.T) {
	web := func(t *contract.Terms) *contract.Role { r, _ := t.Role("web"); return r }
	db := func(t *contract.Terms) *contract.Role { r, _ := t.Role("db"); return r }
	for _, tt := range []struct {
		code   string
		change func(*contract.Terms)
	}{
		{"E02", func(t *contract.Terms) { web(t).Paths[1].Stages[0].From = nil }},
		{"E03", func(t *contract.Terms) { web(t).Who = nil }},
		{"E09", func(t *contract.Terms) { web(t).Grant.Max = 3 * time.Hour }},
		{"E09", func(t *contract.Terms) { db(t).BreakGlass = &contract.BreakGlass{Max: 3 * time.Hour} }},
		{"E10", func(t *contract.Terms) { web(t).Cert.TTL = 0 }},
		{"E10", func(t *contract.Terms) { web(t).Paths[1].Stages[0].Timeout = -time.Second }},
		{"E11", func(t *contract.Terms) { db(t).BreakGlass = &contract.BreakGlass{Max: time.Hour} }},
		{"E14", func(t *contract.Terms) { db(t).Paths = nil }},
		{"E14", func(t *contract.Terms) { db(t).Paths[0].Stages = nil }},
		{"E18", func(t *contract.Terms) { web(t).Paths[0].When = "true" }},
		{"E19", func(t *contract.Terms) { web(t).Paths[0].When = "weekday == 1" }},
		{"E20", func(t *contract.Terms) { web(t).Logins = nil }},
		{"E22", func(t *contract.Terms) { db(t).Cert.SourceAddress[0] = netip.MustParsePrefix("10.0.0.1/8") }},
		{"E22", func(t *contract.Terms) { db(t).Cert.SourceAddress[0] = netip.MustParsePrefix("0.0.0.0/0") }},
		{"E23", func(t *contract.Terms) { db(t).Cert.ForceCommand = "pgro" }},
		{"E23", func(t *contract.Terms) { db(t).Cert.Extensions = []string{"permit-port-forwarding"} }},
		{"E24", func(t *contract.Terms) { db(t).Cert.Keys = nil }},
		{"E24", func(t *contract.Terms) { db(t).Cert.Keys = []string{"ssh-ed25519"} }},
		{"E24", func(t *contract.Terms) { db(t).Cert.Extensions = []string{"no-touch-required"} }},
		{"E26", func(t *contract.Terms) { t.Signatories[0].Need = 3 }},
		{"E26", func(t *contract.Terms) { t.Parties[0].Roots = &contract.Roots{Need: 1} }},
		{"E27", func(t *contract.Terms) { t.Signatories[0].Of[0].PublicKey = t.Signatories[1].Of[0].PublicKey }},
		{"E32", func(t *contract.Terms) { t.Calendars[0].Zone = "" }},
	} {
		in := lintEdits{}.input(t)
		terms, err := contract.ParseTerms(in.TermsText)
		if err != nil {
			t.Fatal(err)
		}
		in.Terms = terms
		if got := codes(contract.Lint(in)); slices.Contains(got, tt.code) {
			t.Fatalf("%s is said before anything is changed", tt.code)
		}
		tt.change(terms)
		if got := contract.Lint(in); !slices.Contains(codes(got), tt.code) {
			t.Errorf("%s is not said:\n%s", tt.code, spellFindings(got))
		}
	}
}

// TestLintRefusals: what the loader refuses goes by the code of the lint that
// looks for the same, with the place.
func TestLintRefusals(t *testing.T) {
	for _, tt := range []struct{ code, old, with string }{
		{"E02", "from: [owners]", "from: []"},
		{"E03", "who: [sre, support]", "who: []"},
		{"E08", "{id: lead, from: [leads], quorum: 1,", "{id: lead, from: [leads], quorum: 1, escalate: {auto: true},"},
		{"E09", "logins: [ops]\n    grant: {max: 1h}", "logins: [ops]\n    grant: {max: 3h}"},
		{"E10", "timeout: 15m", "timeout: 1s"},
		{"E10", "timeout: 15m", "timeout: -15m"},
		{"E13", "from: [owners]", "from: [ownres]"},
		{"E20", "logins: [ops]", "logins: []"},
		{"E22", "10.20.9.0/24", "0.0.0.0/0"},
		{"E22", "10.20.9.0/24", "web"},
		{"E23", "/usr/local/bin/pgro", "pgro"},
		{"E24", "extensions: [permit-pty]", "extensions: [no-touch-required]"},
		{"E24", "      keys: [sk-ssh-ed25519@openssh.com]\n", ""},
		{"E26", "capacity: ciso\n    need: 1", "capacity: ciso\n    need: 3"},
		{"E00", "timeout: 15m", "timeout: soon"},
		{"E00", "title: Base", "titel: Base"},
	} {
		in := lintEdits{Terms: [][2]string{{tt.old, tt.with}}}.input(t)
		got := contract.Lint(in)
		if len(got) != 1 || got[0].Code != tt.code || got[0].Line == 0 || !contract.Blocking(got) {
			t.Errorf("%q: %s", tt.with, spellFindings(got))
		}
	}
	in := lintEdits{}.input(t)
	line := strings.SplitN(string(in.TermsText), "j-duarte: ", 2)[1]
	line = line[:strings.IndexByte(line, '\n')]
	for _, tt := range []struct{ code, name string }{{"E27", "a-lang: "}} {
		old := strings.SplitN(string(in.TermsText), tt.name, 2)[1]
		old = old[:strings.IndexByte(old, '\n')]
		twice := lintEdits{Terms: [][2]string{{tt.name + old, tt.name + line}}}.input(t)
		if got := contract.Lint(twice); len(got) != 1 || got[0].Code != tt.code {
			t.Errorf("one key for two parties: %s", spellFindings(got))
		}
	}
}
