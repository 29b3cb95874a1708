package contract_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

const acmeIssuer = "https://login.acme.example"

// goodAsk is a request that the example contract allows.
func goodAsk() contract.Ask {
	return contract.Ask{
		Role:   "web-operator",
		Logins: []sshcert.Login{"ops"},
		Hosts: []contract.HostLabels{
			{Name: "web-1.prod", Labels: map[string]string{"env": "prod", "tier": "web", "zone": "a"}},
			{Name: "edge-1.prod", Labels: map[string]string{"env": "prod", "tier": "edge"}},
		},
		For:         time.Hour,
		ReasonWords: 3,
	}
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	terms := goodVersion(t).Terms
	sre := contract.Subject{Issuer: acmeIssuer, Groups: []string{"staff", "sre"}, GroupsKnown: true}
	for _, tt := range []struct {
		name   string
		change func(a *contract.Ask, s *contract.Subject)
		is     error
		want   string // the whole sentence
	}{
		{"allowed", func(*contract.Ask, *contract.Subject) {}, nil, ""},
		{"both logins", func(a *contract.Ask, _ *contract.Subject) { a.Logins = []sshcert.Login{"ops", "deploy"} }, nil, ""},
		{"longest", func(a *contract.Ask, _ *contract.Subject) { a.For = 4 * time.Hour }, nil, ""},
		{"shortest", func(a *contract.Ask, _ *contract.Subject) { a.For = 10 * time.Second }, nil, ""},
		{"other issuer's group", func(_ *contract.Ask, s *contract.Subject) {
			*s = contract.Subject{Issuer: "https://id.northwind.example/realms/ops", Groups: []string{"/ops/support"}, GroupsKnown: true}
		}, nil, ""},
		{"no role", func(a *contract.Ask, _ *contract.Subject) { a.Role = "" }, contract.ErrRoleUnknown, `role: "" is not a role of the contract; the contract allows db-reader or web-operator`},
		{"other role", func(a *contract.Ask, _ *contract.Subject) { a.Role = "web\x1b[2J" }, contract.ErrRoleUnknown, `role: "web\x1b[2J" is not a role of the contract; the contract allows db-reader or web-operator`},
		{"not a member", func(_ *contract.Ask, s *contract.Subject) { s.Groups = []string{"dba", "SRE", "sre "} }, contract.ErrNotMember, "who: the person is in none of the role's groups; clause §4.1 allows members of nw-support or sre"},
		{"no groups", func(_ *contract.Ask, s *contract.Subject) { s.Groups = nil }, contract.ErrNotMember, "who: the person is in none of the role's groups; clause §4.1 allows members of nw-support or sre"},
		{"groups unknown", func(_ *contract.Ask, s *contract.Subject) { s.GroupsKnown = false }, contract.ErrGroupsUnknown, "who: the identity provider has not said which groups the person is in; clause §4.1 allows members of nw-support or sre"},
		{"group of an issuer that is not asked", func(_ *contract.Ask, s *contract.Subject) { s.Issuer = "https://id.northwind.example/realms/ops" }, contract.ErrNotMember, "who: the person is in none of the role's groups; clause §4.1 allows members of nw-support or sre"},
		{"issuer that is not the contract's", func(_ *contract.Ask, s *contract.Subject) { s.Issuer = acmeIssuer + "/" }, contract.ErrNotMember, "who: the person is in none of the role's groups; clause §4.1 allows members of nw-support or sre"},
		{"no login", func(a *contract.Ask, _ *contract.Subject) { a.Logins = nil }, contract.ErrNoLogin, "logins: no login asked for; clause §4.1 allows deploy or ops"},
		{"login root", func(a *contract.Ask, _ *contract.Subject) { a.Logins = append(a.Logins, "root") }, contract.ErrLoginNotInRole, `logins: "root" is not a login of the role; clause §4.1 allows deploy or ops`},
		{"login wildcard", func(a *contract.Ask, _ *contract.Subject) { a.Logins = []sshcert.Login{"*"} }, contract.ErrLoginNotInRole, `logins: "*" is not a login of the role; clause §4.1 allows deploy or ops`},
		{"login twice", func(a *contract.Ask, _ *contract.Subject) { a.Logins = []sshcert.Login{"ops", "ops"} }, contract.ErrRepeated, `logins: "ops" is asked for twice; clause §4.1 allows each once`},
		{"no host", func(a *contract.Ask, _ *contract.Subject) { a.Hosts = nil }, contract.ErrNoHost, "hosts: no host asked for; clause §4.1 allows hosts labelled env=prod and tier=edge or web"},
		{"host of another tier", func(a *contract.Ask, _ *contract.Subject) {
			a.Hosts[1].Labels = map[string]string{"env": "prod", "tier": "db"}
		}, contract.ErrHostNotInRole, "hosts: edge-1.prod is not a host of the role; clause §4.1 allows hosts labelled env=prod and tier=edge or web"},
		{"host without a label", func(a *contract.Ask, _ *contract.Subject) { a.Hosts[0].Labels = map[string]string{"tier": "web"} }, contract.ErrHostNotInRole, "hosts: web-1.prod is not a host of the role; clause §4.1 allows hosts labelled env=prod and tier=edge or web"},
		{"host without labels", func(a *contract.Ask, _ *contract.Subject) { a.Hosts[0].Labels = nil }, contract.ErrHostNotInRole, "hosts: web-1.prod is not a host of the role; clause §4.1 allows hosts labelled env=prod and tier=edge or web"},
		{"host twice", func(a *contract.Ask, _ *contract.Subject) { a.Hosts[1].Name = a.Hosts[0].Name }, contract.ErrRepeated, "hosts: web-1.prod is asked for twice; clause §4.1 allows each once"},
		{"host that is no name", func(a *contract.Ask, _ *contract.Subject) { a.Hosts[0].Name = "*.prod" }, contract.ErrHostNotInRole, `hosts: "*.prod" is not a host of the role: host "*.prod": not a host name: a lower-case DNS name of at most 95 characters; clause §4.1 allows hosts labelled env=prod and tier=edge or web`},
		{"too many principals", func(a *contract.Ask, _ *contract.Subject) {
			host := a.Hosts[0]
			a.Hosts = nil
			for i := range 65 {
				host.Name = sshcert.Host("web-" + strings.Repeat("a", i+1)[:min(i+1, 60)])
				a.Hosts = append(a.Hosts, host)
			}
		}, contract.ErrTooMany, "hosts: 65 pairs of login and host are more than one certificate can carry; clause §4.1 allows at most 64 pairs of login and host in one request"},
		{"too long", func(a *contract.Ask, _ *contract.Subject) { a.For = 4*time.Hour + time.Second }, contract.ErrTooLong, "for: 14401s is too long; clause §4.1 allows 10s to 4h"},
		{"a year", func(a *contract.Ask, _ *contract.Subject) { a.For = 365 * 24 * time.Hour }, contract.ErrTooLong, "for: 365d is too long; clause §4.1 allows 10s to 4h"},
		{"too short", func(a *contract.Ask, _ *contract.Subject) { a.For = 9 * time.Second }, contract.ErrTooShort, "for: 9s is too short; clause §4.1 allows 10s to 4h"},
		{"no time", func(a *contract.Ask, _ *contract.Subject) { a.For = 0 }, contract.ErrTooShort, "for: 0s is too short; clause §4.1 allows 10s to 4h"},
		{"negative", func(a *contract.Ask, _ *contract.Subject) { a.For = -time.Hour }, contract.ErrTooShort, "for: -1h0m0s is too short; clause §4.1 allows 10s to 4h"},
		{"fraction of a second", func(a *contract.Ask, _ *contract.Subject) { a.For = time.Minute + time.Millisecond }, contract.ErrNotSeconds, "for: 1m0.001s is not a whole number of seconds; clause §4.1 allows whole seconds"},
		{"no reason", func(a *contract.Ask, _ *contract.Subject) { a.ReasonWords = 0 }, contract.ErrReasonTooShort, "reason: too few words: 0; clause §4.1 allows reasons of 3 or more words"},
		{"short reason", func(a *contract.Ask, _ *contract.Subject) { a.ReasonWords = 2 }, contract.ErrReasonTooShort, "reason: too few words: 2; clause §4.1 allows reasons of 3 or more words"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ask, subject := goodAsk(), sre
			tt.change(&ask, &subject)
			got, err := terms.Evaluate(ask, subject)
			if tt.is == nil {
				if err != nil || got.Role.ID != "web-operator" || got.Path.ID != "normal" || got.Path.Stages[0].ID != "lead" {
					t.Errorf("Evaluate = %+v, %v", got, err)
				}
				return
			}
			ce, ok := errors.AsType[*contract.ClauseError](err)
			if !ok || !errors.Is(err, tt.is) || got.Role != nil || got.Path != nil || got.Facts != nil {
				t.Fatalf("Evaluate = %+v, %v; want %v in a *ClauseError", got, err, tt.is)
			}
			if err.Error() != tt.want {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
			if wantClause := "§4.1"; ce.Clause != wantClause && !errors.Is(err, contract.ErrRoleUnknown) {
				t.Errorf("clause %q, want %s", ce.Clause, wantClause)
			}
		})
	}
}

// TestEvaluateBoundsByTheCeiling gives terms that no file can have: the ceiling
// holds even where a role is wider, and a role without stages allows nothing.
func TestEvaluateBoundsByTheCeiling(t *testing.T) {
	t.Parallel()
	subject := contract.Subject{Issuer: acmeIssuer, Groups: []string{"sre"}, GroupsKnown: true}
	for _, tt := range []struct {
		name   string
		change func(*contract.Terms)
		is     error
	}{
		{"ceiling below the role", func(t *contract.Terms) { t.Ceilings.Grant = time.Hour - time.Second }, contract.ErrTooLong},
		{"no path", func(t *contract.Terms) { t.Roles[1].Paths = nil }, contract.ErrNoPath},
		{"no stage", func(t *contract.Terms) { t.Roles[1].Paths[0].Stages = nil }, contract.ErrNoPath},
		{"no host selector", func(t *contract.Terms) { t.Roles[1].Hosts = nil }, contract.ErrHostNotInRole},
		{"nobody may ask", func(t *contract.Terms) { t.Roles[1].Who = nil }, contract.ErrNotMember},
		{"group gone", func(t *contract.Terms) { t.Groups = nil }, contract.ErrGroupUnknown},
		{"issuer gone", func(t *contract.Terms) { t.Issuers = nil }, contract.ErrNotMember},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			terms := goodVersion(t).Terms
			tt.change(terms)
			if got, err := terms.Evaluate(goodAsk(), subject); !errors.Is(err, tt.is) {
				t.Errorf("Evaluate = %+v, %v; want %v", got, err, tt.is)
			}
		})
	}
}

func TestMemberAndEligible(t *testing.T) {
	t.Parallel()
	terms := goodVersion(t).Terms
	stage := terms.Roles[0].Paths[0].Stages[0] // db-reader, peer: dba, sre-leads
	for _, tt := range []struct {
		name           string
		subject        contract.Subject
		group          string
		member         bool
		memberIs       error
		eligible       bool
		eligibleErrors bool
	}{
		{"member", contract.Subject{Issuer: acmeIssuer, Groups: []string{"Database Admins"}, GroupsKnown: true}, "dba", true, nil, true, false},
		{"member of another group of the stage", contract.Subject{Issuer: acmeIssuer, Groups: []string{"sre-leads"}, GroupsKnown: true}, "dba", false, nil, true, false},
		{"the name is not the claim", contract.Subject{Issuer: acmeIssuer, Groups: []string{"dba"}, GroupsKnown: true}, "dba", false, nil, false, false},
		{"known to be in none", contract.Subject{Issuer: acmeIssuer, GroupsKnown: true}, "dba", false, nil, false, false},
		{"unknown is not none", contract.Subject{Issuer: acmeIssuer}, "dba", false, contract.ErrGroupsUnknown, false, true},
		{"unknown even if listed", contract.Subject{Issuer: acmeIssuer, Groups: []string{"Database Admins"}}, "dba", false, contract.ErrGroupsUnknown, false, true},
		{"other issuer", contract.Subject{Issuer: "https://evil.example", Groups: []string{"Database Admins", "sre-leads"}, GroupsKnown: true}, "dba", false, nil, false, false},
		{"no such group", contract.Subject{Issuer: acmeIssuer, Groups: []string{"root"}, GroupsKnown: true}, "root", false, contract.ErrGroupUnknown, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, err := terms.Member(tt.subject, tt.group); got != tt.member || !errors.Is(err, tt.memberIs) {
				t.Errorf("Member = %t, %v; want %t, %v", got, err, tt.member, tt.memberIs)
			}
			if got, err := terms.Eligible(tt.subject, stage); got != tt.eligible || (err != nil) != tt.eligibleErrors {
				t.Errorf("Eligible = %t, %v; want %t", got, err, tt.eligible)
			}
		})
	}
}

func TestRolesFor(t *testing.T) {
	t.Parallel()
	terms := goodVersion(t).Terms
	for _, tt := range []struct {
		name   string
		login  sshcert.Login
		labels map[string]string
		want   []string
	}{
		{"web", "ops", map[string]string{"env": "prod", "tier": "web"}, []string{"web-operator"}},
		{"database", "dbro", map[string]string{"env": "prod", "tier": "db"}, []string{"db-reader"}},
		{"login of another role", "ops", map[string]string{"env": "prod", "tier": "db"}, nil},
		{"label missing", "ops", map[string]string{"tier": "web"}, nil},
		{"no labels", "ops", nil, nil},
		{"no login", "", map[string]string{"env": "prod", "tier": "web"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := terms.RolesFor(tt.login, tt.labels); !slices.Equal(got, tt.want) {
				t.Errorf("RolesFor = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestConcerns(t *testing.T) {
	t.Parallel()
	terms := goodVersion(t).Terms
	asks, decides := "", ""
	for _, g := range terms.Groups {
		issuer, _ := terms.Issuer(g.Issuer)
		if issuer.URL != acmeIssuer {
			continue
		}
		if slices.Contains(terms.Roles[0].Who, g.ID) {
			asks = g.Claim
		}
		if slices.Contains(terms.Roles[0].Paths[0].Stages[0].From, g.ID) {
			decides = g.Claim
		}
	}
	if asks == "" || decides == "" || asks == decides {
		t.Fatalf("the example has no such groups: %q, %q", asks, decides)
	}
	for _, tt := range []struct {
		name    string
		subject contract.Subject
		want    bool
	}{
		{"who may ask", contract.Subject{Issuer: acmeIssuer, Groups: []string{asks}, GroupsKnown: true}, true},
		{"who decides", contract.Subject{Issuer: acmeIssuer, Groups: []string{"others", decides}, GroupsKnown: true}, true},
		{"others", contract.Subject{Issuer: acmeIssuer, Groups: []string{"others"}, GroupsKnown: true}, false},
		{"nobody's", contract.Subject{Issuer: acmeIssuer, GroupsKnown: true}, false},
		{"unknown", contract.Subject{Issuer: acmeIssuer, Groups: []string{asks}}, false},
		{"the group of another issuer", contract.Subject{Issuer: "https://elsewhere.example", Groups: []string{asks}, GroupsKnown: true}, false},
	} {
		if got := terms.Concerns(tt.subject); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}

func TestAskedBy(t *testing.T) {
	t.Parallel()
	terms := goodVersion(t).Terms
	role := &terms.Roles[0]
	group, _ := terms.Group(role.Who[0])
	var want []string // of all roles that the group is let ask for
	for i := range terms.Roles {
		if slices.Contains(terms.Roles[i].Who, group.ID) {
			want = append(want, terms.Roles[i].ID)
		}
	}
	issuer, _ := terms.Issuer(group.Issuer)
	for _, tt := range []struct {
		name    string
		subject contract.Subject
		want    []string
		err     error
	}{
		{"a member", contract.Subject{Issuer: issuer.URL, Groups: []string{"others", group.Claim}, GroupsKnown: true}, want, nil},
		{"others", contract.Subject{Issuer: issuer.URL, Groups: []string{"others"}, GroupsKnown: true}, nil, nil},
		{"unknown", contract.Subject{Issuer: issuer.URL, Groups: []string{group.Claim}}, nil, contract.ErrGroupsUnknown},
		{"the group of another issuer", contract.Subject{Issuer: "https://elsewhere.example", Groups: []string{group.Claim}, GroupsKnown: true}, nil, nil},
	} {
		roles, err := terms.AskedBy(tt.subject)
		var got []string
		for _, r := range roles {
			got = append(got, r.ID)
		}
		if !slices.Equal(got, tt.want) || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, %v, want %v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}
