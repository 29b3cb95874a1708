package contract_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
)

// TestFullTermsRefusals changes one thing of the terms that use every key and
// demands the exact place and sentence.
func TestFullTermsRefusals(t *testing.T) {
	t.Parallel()
	good := read(t, "full/terms.yaml")
	for _, tt := range []struct{ name, old, with, want string }{
		// Truth values.
		{"yes", "severable: true", "severable: yes", `law.severable: expected true or false without quotes, found "yes" without quotes`},
		{"capital", "severable: true", "severable: True", "expected true or false without quotes, found the truth value True"},
		{"quoted truth", "severable: true", `severable: "true"`, `expected true or false without quotes, found "true"`},
		{"number as truth", "severable: true", "severable: 1", "found the number 1"},
		// Effect.
		{"in flight", "in_flight: restart", "in_flight: restrt", `effect.in_flight: "restrt" is not known here, did you mean restart?`},
		{"narrowing by nobody", "unilateral_narrowing: [acme]", "unilateral_narrowing: [acm]", `effect.unilateral_narrowing: no party "acm" in parties, did you mean acme?`},
		{"condition met by nobody", "met_by: northwind", "met_by: them", `effect.conditions.insured.met_by: no party "them" in parties`},
		{"condition without clause", "{clause: §2.2, met_by: northwind}", "{met_by: northwind}", "effect.conditions.insured.clause: missing"},
		{"bare sign_within", "sign_within: 14d", "sign_within: 14", "effect.sign_within: expected a duration such as 20s, 5m, 8h or 30d, found the number 14"},
		// Signatories.
		{"class", "only_if: [mixed, widening]", "only_if: [mixed, wide]", `signatories[1].only_if[1]: "wide" is not known here, expected one of equivalent, narrowing, widening, mixed`},
		{"touched key", "assurance: webauthn-uv\n\neffect", "assurance: sk-up\n    only_if: [narrowing]\n\neffect", "signatories[2].only_if: nobody signs for northwind what gives rights; a line of each party signs widening amendments"},
		{"passkey", "    assurance: sk-uv", "    assurance: webauthn-uv", "signatories[0].of.a-lang: assurance webauthn-uv: a sk-ssh-ed25519@openssh.com key of that kind is no passkey; pin one of type sk-ecdsa-sha2-nistp256@openssh.com whose application is the website's name"},
		{"passkey of no website", "jgAAAAbc2FsbHlwb3J0Lm5vcnRod2luZC5leGFtcGxl", "jgAAAAEc3NoOg==", "signatories[2].of.j-duarte: assurance webauthn-uv: a sk-ecdsa-sha2-nistp256@openssh.com key of that kind is no passkey"},
		// Calendars.
		{"zone by name", "zone: CET-1CEST,M3.5.0,M10.5.0/3", "zone: Europe/Berlin", `calendars.de-business.zone: "Europe/Berlin" is no rule of a time zone: expected hours, 0 to 24, at character 7; write it as the last line of the zone's file in the time zone database, such as CET-1CEST,M3.5.0,M10.5.0/3`},
		{"zone of a day that no year has", "zone: CET-1CEST,M3.5.0,M10.5.0/3", "zone: CET-1CEST,366,M10.5.0/3", "calendars.de-business.zone: \"CET-1CEST,366,M10.5.0/3\" is no rule of a time zone: expected a day of the year, 0 to 365, at character 11"},
		{"zone of 25 hours", "zone: CET-1CEST,M3.5.0,M10.5.0/3", "zone: CET-25", "calendars.de-business.zone: \"CET-25\" is no rule of a time zone: expected hours, 0 to 24, at character 5"},
		{"no day", "days: [sun, sat]", "days: []", "calendars.weekend.days: expected one or more days, found none"},
		{"unknown day", "days: [sun, sat]", "days: [sunday]", `calendars.weekend.days[0]: "sunday" is not known here, expected one of mon, tue`},
		{"bare hour", `from: "08:00"`, "from: 08:00", `calendars.de-business.from: expected a time of day in quotes such as "08:00", found "08:00" without quotes`},
		{"hour 25", `to: "18:30"`, `to: "25:00"`, `write hours and minutes, "00:00" to "24:00"`},
		{"ends first", `to: "18:30"`, `to: "08:00"`, "calendars.de-business.to: the hours end at 08:00, not after they begin, at 08:00; hours across midnight are two calendars"},
		{"begins at the end", `from: "08:00"`, `from: "24:00"`, "calendars.de-business.from: a day's hours begin at 23:59 at the latest"},
		{"bare holiday", `["2027-01-01", "2027-12-24"]`, "[2027-01-01]", `calendars.de-business.holidays[0]: expected a date in quotes such as "2026-12-25", found the date 2027-01-01`},
		{"no such holiday", `"2027-12-24"`, `"2027-02-29"`, `calendars.de-business.holidays[1]: expected a date in quotes such as "2026-12-25" from 2000 to 2200, found "2027-02-29"`},
		// Ceilings.
		{"break-glass over grant", "break_glass: 1h", "break_glass: 9h", "ceilings.break_glass: 9h is over ceilings.grant, 8h"},
		{"quorum under ceiling", "quorum: 1\n  claims", "quorum: 2\n  claims", "roles.pci-db.paths[0].stages[0].quorum: 1 is under ceilings.quorum, 2"},
		// Certificates.
		{"host bits", "10.20.0.0/16", "10.20.1.0/16", "roles.prod-operator.cert.source_address[0]: 10.20.1.0/16 has bits set beyond its length; write the network, 10.20.0.0/16"},
		{"everywhere", "10.20.0.0/16", "0.0.0.0/0", "0.0.0.0/0 is every address; leave source_address out if a certificate may be used from anywhere"},
		{"everywhere in IPv6", "2001:db8::/32", "::/0", "::/0 is every address"},
		{"an address", "10.20.0.0/16", "10.20.0.0", `expected a range of addresses such as 10.20.0.0/16 or 2001:db8::/32, found "10.20.0.0"`},
		{"other spelling of a range", "2001:db8::/32", "2001:DB8::/32", `expected the range in its one form, 2001:db8::/32, found "2001:DB8::/32"`},
		{"mapped range", "2001:db8::/32", "::ffff:10.0.0.0/104", "is IPv4 written as IPv6; write the IPv4 range"},
		{"range twice", `"2001:db8::/32"`, `"10.20.0.0/16"`, `"10.20.0.0/16" stands twice in the list`},
		{"relative command", "/usr/local/bin/pgro --read-only", "pgro --read-only", `roles.pci-db.cert.force_command: expected the absolute path of a program, such as /usr/local/bin/pgro, found "pgro --read-only"`},
		{"directory as command", "/usr/local/bin/pgro --read-only", "/usr/local/bin/", "expected the absolute path of a program"},
		{"line break in command", "/usr/local/bin/pgro --read-only", `"/usr/local/bin/pgro\nrm"`, "expected 1 to 255 printable characters on one line"},
		{"key type", "keys: [ssh-ed25519, ", "keys: [ssh-dss, ", `roles.prod-operator.cert.keys[0]: "ssh-dss" is not known here, did you mean ssh-rsa?`},
		{"certificate as key", "keys: [ssh-ed25519, ", "keys: [ssh-ed25519-cert-v01@openssh.com, ", "is not known here"},
		{"verify without FIDO", "keys: [sk-ssh-ed25519@openssh.com]", "keys: [sk-ssh-ed25519@openssh.com, ssh-rsa]", "roles.pci-db.cert.keys: a key of type ssh-rsa can't verify its user, as verify_required demands; leave it out"},
		{"verify with any key", "      keys: [sk-ssh-ed25519@openssh.com]\n", "", "roles.pci-db.cert.verify_required: only FIDO keys verify their user; allow no others by keys: [sk-ssh-ed25519@openssh.com]"},
		{"no-touch-required", "extensions: []", "extensions: [no-touch-required]", `"no-touch-required" is not known here`},
		// Requests.
		{"hosts_max", "hosts_max: 10", "hosts_max: 65", "roles.prod-operator.request.hosts_max: expected a whole number from 1 to 64 in plain digits, found the number 65"},
		{"ticket", `"[A-Z]+-[0-9]+"`, `"[A-Z"`, "roles.prod-operator.request.ticket.pattern: not a regular expression (RE2): "},
		{"ticket with look-ahead", `"[A-Z]+-[0-9]+"`, `"(?!x)y"`, "not a regular expression (RE2): invalid or unsupported Perl syntax: `(?!`"},
		{"long pattern", `"[A-Z]+-[0-9]+"`, `"` + strings.Repeat("x", 201) + `"`, "expected 1 to 200 printable characters"},
		{"pattern out of its brackets", `"[A-Z]+-[0-9]+"`, `"a)|(b"`, "not a regular expression (RE2): unexpected )"},
		// Paths.
		{"auto without guard", "        when: 'grant_seconds <= 3600 && ticket && !first_time_host && \"sre\" in groups && \"de-business\" in calendars'\n", "", "roles.prod-operator.paths[0].auto: an auto path without a guard would grant whatever is asked; write when"},
		{"auto with stages", "        auto: true\n", "        auto: true\n        stages: [{id: x, from: [sre], quorum: 1, timeout: 1m}]\n", "roles.prod-operator.paths[0].stages: an auto path asks nobody; leave out auto or stages"},
		{"guard without auto or stages", "        auto: true\n", "", "roles.prod-operator.paths[0].stages: missing"},
		{"not a guard", "ticket && !first", "ticket & !first", "roles.prod-operator.paths[0].when: not a guard: column "},
		{"unknown fact", "grant_seconds <=", "grant_second <=", "did you mean grant_seconds"},
		{"unknown group in a guard", `"sre" in groups`, `"ser" in groups`, `roles.prod-operator.paths[0].when: no group "ser" in groups, did you mean sre?`},
		{"unknown calendar in a guard", `"de-business" in calendars`, `"office" in calendars`, `roles.prod-operator.paths[0].when: no calendar "office" in calendars`},
		{"path after one without a guard", "      - id: dual\n        clause: §5.2\n", "      - {id: all, clause: §5.2, stages: [{id: x, from: [sre], quorum: 1, timeout: 1m}]}\n      - id: dual\n        clause: §5.2\n", "roles.pci-db.paths[1]: a path that is never reached, as all before it has no guard; write when in all or put it last"},
		{"path twice", "id: normal", "id: routine", "roles.prod-operator.paths[1].id: a path routine stands before it; paths of a role have different ids"},
		{"escalation to nobody", "{to: [soc], timeout: 15m}", "{to: [sock], timeout: 15m}", `roles.prod-operator.paths[1].stages[0].escalate.to: no group "sock" in groups, did you mean soc?`},
		{"escalation for ever", "{to: [soc], timeout: 15m}", "{to: [soc]}", "roles.prod-operator.paths[1].stages[0].escalate.timeout: missing"},
		{"unknown delegates", "delegates: [sre]", "delegates: [sr]", `roles.prod-operator.paths[1].stages[0].delegates: no group "sr" in groups`},
		{"approval", "assurance: fresh-login", "assurance: login", `roles.prod-operator.paths[1].stages[0].assurance: "login" is not known here, expected one of session, fresh-login, webauthn-uv, ssh-sk`},
		// Duties.
		{"manager of no stage", "not_same_manager: [owner]", "not_same_manager: [owners]", `roles.pci-db.duties.not_same_manager: no stage "owners" in the role's paths, did you mean owner?`},
		{"exclusive with nothing", "exclusive_with: [prod-operator]", "exclusive_with: [prod-operators]", `roles.pci-db.duties.exclusive_with: no role "prod-operators" in roles, did you mean prod-operator?`},
		{"exclusive with itself", "exclusive_with: [prod-operator]", "exclusive_with: [pci-db]", "roles.pci-db.duties.exclusive_with: the role itself"},
		{"window alone", "      exclusive_with: [prod-operator]\n", "", "roles.pci-db.duties.window: a window without exclusive_with"},
		// Break-glass.
		{"break-glass over ceiling", "      max: 30m\n", "      max: 61m\n", "roles.pci-db.break_glass.max: 61m is over ceilings.break_glass, 1h"},
		{"break-glass without review", "      review: {by: [pci-owners], within: 1d, else: suspend-role}\n", "", "roles.pci-db.break_glass.review: missing"},
		{"break-glass without notice", "      notify: {groups: [pci-owners, soc], within: 5m}\n", "", "roles.pci-db.break_glass.notify: missing"},
		{"no budget", "cap: 2", "cap: 0", "roles.pci-db.break_glass.cap: expected a whole number from 1 to 100"},
		{"reviewed by nobody", "by: [pci-owners]", "by: [pci-owner]", `roles.pci-db.break_glass.review.by: no group "pci-owner" in groups`},
		{"nothing follows", "within: 1d, else: suspend-role}", "within: 1d}", "roles.pci-db.break_glass.review.else: missing"},
		// Obligations.
		{"unknown obligation", "obligations: [log, tell-acme]", "obligations: [log, tell-acmee]", `roles.prod-operator.obligations: no obligation "tell-acmee" in obligations, did you mean tell-acme?`},
		{"duty", "duty: record", "duty: films", `obligations.record-session.duty: "films" is not known here`},
		{"consequence", "within: 10m, else: suspend-role", "within: 10m, else: nothing", `obligations.record-session.else: "nothing" is not known here`},
		{"heartbeat of another duty", "duty: record, within", "duty: record, heartbeat: 5m, within", "obligations.record-session.heartbeat: heartbeat belongs to the duty log; this one is record"},
		{"hosts of another duty", "duty: record, within", "duty: record, hosts: 5m, within", "obligations.record-session.hosts: hosts belongs to the duty revoke"},
		{"party of another duty", "duty: record, within", "duty: record, party: acme, within", "obligations.record-session.party: party belongs to the duty notify"},
		{"notice to nobody", "within: 1d, party: acme, else", "within: 1d, else", "obligations.tell-acme.party: missing"},
		{"notice to a stranger", "within: 1d, party: acme, else", "within: 1d, party: bob, else", `obligations.tell-acme.party: no party "bob" in parties`},
		// Review, monitoring, frameworks, law.
		{"review of no role", "{prod-operator: 90d, pci-db: 90d}", "{pci-dbs: 90d}", `review.recertify.pci-dbs: no role "pci-dbs" in roles, did you mean pci-db?`},
		{"review without end", "  due: 14d\n", "", "review.due: missing"},
		{"due alone", "  recertify: {prod-operator: 90d, pci-db: 90d}\n", "", "review.due: due belongs to recertify"},
		{"undecided", "undecided: keep", "undecided: ask", `review.undecided: "ask" is not known here, expected one of revoke, keep`},
		{"reviewer", "reviewer_not: [subject, sole-approver]", "reviewer_not: [me]", `review.reviewer_not[0]: "me" is not known here, expected one of subject, sole-approver`},
		{"checks", "checks: daily", "checks: hourly", `monitoring.checks: "hourly" is not known here, expected one of daily`},
		{"outliers", "outliers: default-v1", "outliers: all", "monitoring.outliers: "},
		{"control as number", `[28(3), "32"]`, "[28(3), 32]", "frameworks.gdpr[1]: expected text, found the number 32"},
		{"precedence", "precedence: amendment-over-base", "precedence: base", "law.precedence: "},
		{"termination without clause", "{clause: §8.1, notice: 30d, for_cause: true}", "{notice: 30d}", "law.terminate.clause: missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			terms, err := contract.ParseTerms(replace(t, good, tt.old, tt.with))
			if terms != nil || err == nil {
				t.Fatal("the terms passed")
			}
			if _, ok := errors.AsType[*contract.TermsError](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}
