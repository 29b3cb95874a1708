package contract_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// ed25519Line is the key of a-lang in the example.
const ed25519Line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKcLoyvVtO3LPuTRwtqejQtF0XVWzV2ervFepGX47UKZ"

// TestParseTermsRefusals changes one thing of the example each and demands the
// exact place and sentence.
func TestParseTermsRefusals(t *testing.T) {
	t.Parallel()
	good := read(t, "good/terms.yaml")
	for _, tt := range []struct{ name, old, with, want string }{
		// The file.
		{"byte order mark", "# The rules", "\ufeff# The rules", "terms.yaml:1:1: a byte order mark; save the file as UTF-8 without one"},
		{"not UTF-8", "GmbH", "Gm\xffbH", "terms.yaml:10:25: not UTF-8"},
		{"not NFC", "GmbH", "Gme\u0301bH", "terms.yaml:10:25: not in Unicode form NFC; save the file normalised"},
		{"too large", "# The rules", "#" + strings.Repeat("x", contract.MaxFile), "terms.yaml:1:1: 265"},
		{"lone carriage return", "Every role", "\rEvery role", "terms.yaml:1:42: a carriage return without a line feed; lines end with LF or CRLF"},
		{"line separator", "Every role", "\u2028Every role", "terms.yaml:1:42: the character U+2028, which not every screen shows alike; leave it out"},
		{"next line", "Every role", "\u0085Every role", "terms.yaml:1:42: the character U+0085"},
		{"right-to-left override", "Every role", "\u202eEvery role", "terms.yaml:1:42: the character U+202E"},
		{"escape", "Every role", "\x1bEvery role", "terms.yaml:1:42: the character U+001B"},
		// YAML.
		{"a tab", "  acme:\n    name: Acme", "\tacme:\n    name: Acme", "terms.yaml:9:4: not YAML at or just before here: found "},
		{"bad indentation", "  id: acme-northwind", " id: acme-northwind", "terms.yaml:6:11: not YAML at or just before here: mapping values are not allowed in this context"},
		{"open quote", "tier\"\n\nparties", "tier\n\nparties", "terms.yaml:35:9: not YAML at or just before here: did not find expected key"},
		{"second document", "roles:\n  web", "---\nroles:\n  web", "terms.yaml:59:1: a second document; terms are one document"},
		{"two documents", "quorum: 2, timeout: 1d}\n", "quorum: 2, timeout: 1d}\n---\nx: 1\n", "terms.yaml:86:1: a second document; terms are one document"},
		{"text after the end", "quorum: 2, timeout: 1d}\n", "quorum: 2, timeout: 1d}\n...\nx: 1\n", "terms.yaml:87:5: not YAML at or just before here: did not find expected <document start>"},
		{"anchor", "who: [sre, nw-support]", "who: &who [sre, nw-support]", "terms.yaml:62:10: roles.web-operator.who: an anchor; terms have no anchors and aliases"},
		{"alias", "who: [sre, nw-support]", "who: *who", "terms.yaml:62:10: an alias; write the value out, terms have no anchors and aliases"},
		{"merge key", "    who: [sre, nw-support]", "    <<: {who: [sre, nw-support]}", "terms.yaml:62:5: roles.web-operator: a merge key; write the keys out"},
		{"tag", "quorum: 2,", "quorum: !!int 2,", "terms.yaml:85:53: roles.db-reader.paths[0].stages[1].quorum: a tag; terms have no YAML tags, leave it out"},
		{"own tag", "quorum: 2,", "quorum: !two 2,", "terms.yaml:85:53: roles.db-reader.paths[0].stages[1].quorum: a tag"},
		{"non-specific tag", "quorum: 2,", "quorum: ! 2,", "terms.yaml:85:53: roles.db-reader.paths[0].stages[1].quorum: a tag"},
		{"duplicate key", "    logins: [dbro]", "    logins: [dbro]\n    logins: [root]", "terms.yaml:78:5: roles.db-reader.logins: stands twice, first in line 77"},
		{"duplicate role", "  db-reader:", "  web-operator:", "terms.yaml:73:3: roles.web-operator: stands twice, first in line 60"},
		{"duplicate in flow style", "{max: 1h}", "{max: 1h, max: 2h}", "terms.yaml:78:22: roles.db-reader.grant.max: stands twice, first in line 78"},
		{"null", "title: \"Access of Northwind Ops to Acme’s web tier\"", "title:", "terms.yaml:6:9: contract.title: no value; write one or leave the key out"},
		{"tilde", "grant: 8h", "grant: ~", "terms.yaml:55:10: ceilings.grant: no value"},
		{"complex key", "effect:", "? [a]\n: 1\neffect:", "terms.yaml:32:3: a key that is no plain word"},
		{"truth value as key", "  dba: \"oidc", "  no: \"oidc", "terms.yaml:51:3: groups.no: the key is \"no\" without quotes, which not every YAML reader takes for text; put it in quotes if it is meant as text"},
		{"number as key", "  dba: \"oidc", "  7: \"oidc", "terms.yaml:51:3: groups.7: the key is the number 7; put it in quotes"},
		{"too deep", "{cli: acme-cli}", strings.Repeat("[", 20) + strings.Repeat("]", 20), "terms.yaml:45:28: issuers.northwind.clients[0][0][0][0][0][0][0][0][0][0][0][0][0][0]: nested deeper than 16"},
		// Keys.
		{"unknown key, near", "cert: {ttl: 5m,", "cert: {tll: 5m,", "terms.yaml:66:12: roles.web-operator.cert.tll: unknown key, did you mean ttl?"},
		{"unknown key, far", "cert: {ttl: 5m,", "cert: {lifetime: 5m,", "terms.yaml:66:12: roles.web-operator.cert.lifetime: unknown key, expected one of ttl, extensions"},
		{"unknown key, far from a short one", "{id: peer, from", "{x: peer, from", "terms.yaml:84:14: roles.db-reader.paths[0].stages[0].x: unknown key, expected one of id, from, quorum, timeout"},
		{"unknown key at the top", "effect:", "annexes: {}\neffect:", "terms.yaml:32:1: annexes: unknown key, expected one of terms, contract, parties"},
		{"a key that would upset a terminal", "effect:", `"\e[2J": 1` + "\neffect:", `terms.yaml:32:1: "\x1b[2J": unknown key`},
		{"missing key", "    clause: §5.1\n", "", "terms.yaml:74:5: roles.db-reader.clause: missing"},
		{"missing section", "groups:\n", "group:\n", "terms.yaml:48:1: group: unknown key, did you mean groups?"},
		{"other schema", "terms: sallyport/v1", "terms: sallyport/v2", `terms.yaml:2:8: terms: "sallyport/v2" is no schema that this release reads; it reads sallyport/v1`},
		// Scalars.
		{"octal", "quorum: 2,", "quorum: 017,", "terms.yaml:85:53: roles.db-reader.paths[0].stages[1].quorum: expected a whole number from 1 to 20 in plain digits, found the number 017"},
		{"float", "quorum: 2,", "quorum: 2.0,", "terms.yaml:85:53: roles.db-reader.paths[0].stages[1].quorum: expected a whole number from 1 to 20 in plain digits, found the number 2.0"},
		{"exponent", "quorum: 2,", "quorum: 1e3,", "found the number 1e3"},
		{"underscore", "quorum: 2,", "quorum: 1_0,", "found the number 1_0"},
		{"quoted number", "quorum: 2,", `quorum: "2",`, `expected a whole number from 1 to 20 in plain digits, found "2"`},
		{"quorum 0", "quorum: 2,", "quorum: 0,", "expected a whole number from 1 to 20 in plain digits, found the number 0"},
		{"quorum too high", "quorum: 2,", "quorum: 21,", "found the number 21"},
		{"octal as duration", "grant: 8h", "grant: 017", "terms.yaml:55:10: ceilings.grant: expected a duration such as 20s, 5m, 8h or 30d, found the number 017; put it in quotes if it is meant as text"},
		{"number as duration", "grant: 8h", `grant: "28800"`, `terms.yaml:55:10: ceilings.grant: "28800" is no duration; write a whole number and a unit such as 20s, 5m, 8h or 30d`},
		{"fraction of an hour", "grant: 8h", "grant: 1.5h", `"1.5h" is no duration`},
		{"zero duration", "grant: 8h", "grant: 0h", `"0h" is no duration`},
		{"negative duration", "grant: 8h", "grant: -8h", `"-8h" is no duration`},
		{"two units", "grant: 8h", "grant: 1h30m", `"1h30m" is no duration`},
		{"leading zero", "grant: 8h", "grant: 08h", `"08h" is no duration`},
		{"too long a duration", "grant: 8h", "grant: 367d", "terms.yaml:55:10: ceilings.grant: 367d is too long; at most 366d"},
		{"overlong number", "grant: 8h", "grant: 99999999999d", "is no duration"},
		{"too short a grant", "{max: 1h}", "{max: 9s}", "terms.yaml:78:18: roles.db-reader.grant.max: 9s is too short; at least 10s"},
		{"too short a certificate", "ttl: 90s", "ttl: 9s", "terms.yaml:79:17: roles.db-reader.cert.ttl: 9s is too short; at least 10s"},
		{"sexagesimal", "grant: 8h", "grant: 8:00", `expected a duration such as 20s, 5m, 8h or 30d, found "8:00" without quotes`},
		{"bare date", `not_before: "2026-12-01T00:00:00Z"`, `not_before: 2026-12-01T00:00:00Z`, `terms.yaml:33:15: effect.not_before: expected a time in UTC in quotes such as "2026-12-01T00:00:00Z", found the date 2026-12-01T00:00:00Z; put it in quotes`},
		{"bare day", `"2026-12-01T00:00:00Z"`, `2026-12-01`, "found the date 2026-12-01"},
		{"quoted day", `"2026-12-01T00:00:00Z"`, `"2026-12-01"`, `expected a time in UTC in quotes such as "2026-12-01T00:00:00Z" from 2000 to 2200, found "2026-12-01"`},
		{"other time zone", `"2026-12-01T00:00:00Z"`, `"2026-12-01T00:00:00+01:00"`, "expected a time in UTC"},
		{"fraction of a second", `"2026-12-01T00:00:00Z"`, `"2026-12-01T00:00:00.5Z"`, "expected a time in UTC"},
		{"no such day", `"2026-12-01T00:00:00Z"`, `"2026-02-30T00:00:00Z"`, "expected a time in UTC"},
		{"other century", `"2026-12-01T00:00:00Z"`, `"1926-12-01T00:00:00Z"`, "from 2000 to 2200"},
		{"yes as text", "name: Northwind Ops Inc.", "name: yes", `terms.yaml:17:11: parties.northwind.name: expected text, found "yes" without quotes, which not every YAML reader takes for text; put it in quotes if it is meant as text`},
		{"true as text", "name: Northwind Ops Inc.", "name: true", "expected text, found the truth value true; put it in quotes"},
		{"list as text", "name: Northwind Ops Inc.", "name: [a]", "expected text, found a list"},
		{"empty text", "name: Northwind Ops Inc.", `name: ""`, "expected 1 to 200 printable characters on one line without space around them"},
		{"long text", "name: Northwind Ops Inc.", "name: " + strings.Repeat("x", 201), "expected 1 to 200 printable characters"},
		{"line break in text", "name: Northwind Ops Inc.", `name: "a\nb"`, "expected 1 to 200 printable characters"},
		{"escape sequence in text", "name: Northwind Ops Inc.", `name: "a\eb"`, `found "a\x1bb"`},
		{"invisible character in text", "name: Northwind Ops Inc.", `name: "a` + "\u200b" + `b"`, "expected 1 to 200 printable characters"},
		{"not NFC once unescaped", "name: Northwind Ops Inc.", `name: "e\u0301"`, "the text is not in Unicode form NFC once its escapes are read"},
		{"list for a mapping", "ceilings:\n  grant: 8h\n  cert_ttl: 15m\n  claims_max_age: {decide: 15m, issue: 60m}", "ceilings: [8h]", "terms.yaml:54:11: ceilings: expected a mapping with the keys grant, cert_ttl, break_glass, approval_ttl, quorum, claims_max_age, found a list"},
		{"text for a list", "logins: [dbro]", "logins: dbro", `terms.yaml:77:13: roles.db-reader.logins: expected a list of logins, found "dbro"`},
		{"empty list", "logins: [dbro]", "logins: []", "terms.yaml:77:13: roles.db-reader.logins: expected one or more logins, found none"},
		{"empty mapping", "hosts: {tier: [db]}", "hosts: {}", "terms.yaml:76:12: roles.db-reader.hosts: expected one or more host labels by id, found none"},
		{"no value of a label", "hosts: {tier: [db]}", "hosts: {tier: []}", "expected one or more label values, found none"},
		{"wildcard label", "hosts: {tier: [db]}", `hosts: {tier: ["*"]}`, `roles.db-reader.hosts.tier[0]: expected a label's value, found "*"`},
		{"number as label", "hosts: {tier: [db]}", "hosts: {tier: [1]}", "terms.yaml:76:20: roles.db-reader.hosts.tier[0]: expected a label's value, found the number 1; put it in quotes"},
		{"repeated item", "who: [dba]", "who: [dba, dba]", `terms.yaml:75:16: roles.db-reader.who[1]: "dba" stands twice in the list`},
		{"bad id", "  db-reader:", "  DB:", "terms.yaml:73:3: roles.DB: not an id; an id is 1 to 63 characters of a-z, 0-9 and -, starting with a letter"},
		{"long id", "  db-reader:", "  " + strings.Repeat("d", 64) + ":", "not an id"},
		{"bad clause", "clause: §5.1", "clause: 5.1", "terms.yaml:74:13: roles.db-reader.clause: expected a clause, found the number 5.1"},
		{"bad clause mark", "clause: §5.1", "clause: §5.", `expected a clause, found "§5."; a clause is § and numbers with dots, such as §4.1`},
		// Logins.
		{"login wildcard", "logins: [dbro]", `logins: ["*"]`, `terms.yaml:77:14: roles.db-reader.logins[0]: login "*": not a login`},
		{"login with comma", "logins: [dbro]", `logins: ["ops,root"]`, `login "ops,root": not a login`},
		{"login with newline", "logins: [dbro]", `logins: ["ops\nroot"]`, `login "ops\nroot": not a login`},
		// Issuers.
		{"plain http", "https://login.acme.example", "http://login.acme.example", "terms.yaml:37:10: issuers.acme.url: plain http is for loopback only; use https"},
		{"no URL", "https://login.acme.example", "login.acme.example", "expected an issuer's URL such as https://login.example.com/realm"},
		{"query", "https://login.acme.example", "https://login.acme.example?x=1", "expected an issuer's URL"},
		{"fragment", "https://login.acme.example", `"https://login.acme.example#"`, "expected an issuer's URL"},
		{"user", "https://login.acme.example", "https://a@login.acme.example", "expected an issuer's URL"},
		{"upper case host", "https://login.acme.example", "https://Login.acme.example", "expected an issuer's URL"},
		{"same URL twice", "https://id.northwind.example/realms/ops", "https://login.acme.example", "terms.yaml:44:10: issuers.northwind.url: the same URL as issuers.acme.url; an issuer stands once"},
		{"no client", "{cli: acme-cli}", "{}", "terms.yaml:45:14: issuers.northwind.clients: expected a client id under cli or web or both, found none"},
		{"alg none", "algs: [EdDSA]", "algs: [none]", `terms.yaml:46:12: issuers.northwind.algs[0]: "none" is not known here, expected one of ES256, ES384`},
		{"alg HS256", "algs: [EdDSA]", "algs: [HS256]", `"HS256" is not known here, did you mean ES256?`},
		{"flow", "flows: [code]", "flows: [device]", `issuers.acme.flows[0]: "device" is not known here, expected one of code`},
		{"claim name", "subject: sub", "subject: \"sub ject\"", "issuers.acme.subject: expected the name of a claim"},
		// Groups.
		{"no source", "sre: oidc:acme/sre\n", "sre: acme/sre\n", `terms.yaml:49:8: groups.sre: expected oidc:<issuer id>/<value of its groups claim>, found "acme/sre"`},
		{"no claim", "sre: oidc:acme/sre\n", "sre: oidc:acme/\n", "expected oidc:<issuer id>"},
		{"unknown issuer", "sre: oidc:acme/sre\n", "sre: oidc:acmee/sre\n", `terms.yaml:49:8: groups.sre: no issuer "acmee" in issuers, did you mean acme?`},
		{"unknown group asks", "who: [dba]", "who: [dbas]", `terms.yaml:75:10: roles.db-reader.who: no group "dbas" in groups, did you mean dba?`},
		{"unknown group decides", "from: [dba, sre-leads]", "from: [dba, everybody]", `terms.yaml:84:30: roles.db-reader.paths[0].stages[0].from: no group "everybody" in groups, expected one of dba, nw-support, sre, sre-leads`},
		// Limits.
		{"grant over ceiling", "{max: 4h}", "{max: 9h}", "terms.yaml:65:18: roles.web-operator.grant.max: 9h is over ceilings.grant, 8h"},
		{"certificate over ceiling", "ttl: 90s", "ttl: 16m", "terms.yaml:79:17: roles.db-reader.cert.ttl: 16m is over ceilings.cert_ttl, 15m"},
		{"default certificate over ceiling", "cert_ttl: 15m\n", "cert_ttl: 2m\n", "terms.yaml:66:17: roles.web-operator.cert.ttl: 5m is over ceilings.cert_ttl, 2m"},
		{"unknown extension", "extensions: [permit-pty]", "extensions: [permit-x11-forwarding]", `"permit-x11-forwarding" is not known here, did you mean permit-X11-forwarding?`},
		{"min_words 0", "{min_words: 3}", "{min_words: 0}", "expected a whole number from 1 to 100 in plain digits, found the number 0"},
		{"no path", "      - id: normal\n        clause: §4.2\n        stages:\n          - {id: lead, from: [sre-leads], quorum: 1, timeout: 15m}\n", "      []\n", "terms.yaml:69:7: roles.web-operator.paths: expected one or more paths, found none"},
		{"no stage", "        stages:\n          - {id: lead, from: [sre-leads], quorum: 1, timeout: 15m}\n", "        stages: []\n", "expected one or more stages, found none"},
		{"second path", "timeout: 1d}\n", "timeout: 1d}\n      - {id: b, clause: §5.2, stages: [{id: a, from: [dba], quorum: 1, timeout: 1m}]}\n", "terms.yaml:86:9: roles.db-reader.paths[1]: a path that is never reached, as dual before it has no guard; write when in dual or put it last"},
		{"stage twice", "id: owners", "id: peer", "terms.yaml:85:18: roles.db-reader.paths[0].stages[1].id: a stage peer stands before it; stages of a path have different ids"},
		{"too many stages", "        stages:\n          - {id: lead, from: [sre-leads], quorum: 1, timeout: 15m}\n", "        stages:\n" + strings.Repeat("          - {id: x, from: [sre-leads], quorum: 1, timeout: 15m}\n", 11), "terms.yaml:72:11: roles.web-operator.paths[0].stages: 11 stages; at most 10"},
		{"too many items", "logins: [dbro]", "logins: [" + strings.Repeat("x,", 1001) + "]", "1001 logins; at most 1000"},
		{"too many roles", "roles:\n", "roles:\n" + manyRoles(), "terms.yaml:60:3: roles: 1003 roles; at most 1000"},
		// Parties, signatories, keys.
		{"need over of", "    need: 1\n    of:\n      a-lang", "    need: 3\n    of:\n      a-lang", "terms.yaml:22:11: signatories[0].need: expected a whole number from 1 to 2 in plain digits, found the number 3"},
		{"roots need over keys", "      need: 2\n", "      need: 3\n", "terms.yaml:12:13: parties.acme.roots.need: expected a whole number from 1 to 2"},
		{"unknown party", "  - party: northwind", "  - party: northwnd", `terms.yaml:27:12: signatories[1].party: no party "northwnd" in parties, did you mean northwind?`},
		{"party without signatory", "  - party: northwind", "  - party: acme", "terms.yaml:16:3: parties.northwind: no signatory signs for this party; add one to signatories or leave the party out"},
		{"capacity twice", "  - party: northwind\n    capacity: officer", "  - party: acme\n    capacity: ciso", "terms.yaml:28:15: signatories[1].capacity: party acme signs as ciso in signatories[0] already"},
		{"assurance", "assurance: ssh", "assurance: sk-uv", `terms.yaml:24:15: signatories[0].of.a-lang: assurance sk-uv: a ssh-ed25519 key lies in no FIDO token; pin a key of ssh-keygen -t ed25519-sk -O verify-required`},
		{"no key", "{j-duarte: ecdsa-sha2-nistp256 ", "{j-duarte: hello, k: ecdsa-sha2-nistp256 ", "terms.yaml:30:20: signatories[1].of.j-duarte: not a public key; write the one line of a .pub file: type, base64, comment"},
		{"junk key", "{j-duarte: ecdsa-sha2-nistp256 ", "{j-duarte: ssh-ed25519 AAAA, k: ecdsa-sha2-nistp256 ", "not a public key that we know"},
		{"key with options", "{j-duarte: ecdsa-sha2-nistp256 ", "{j-duarte: no-touch-required ecdsa-sha2-nistp256 ", "its second word is no base64"},
		{"other type", "{j-duarte: ecdsa-sha2-nistp256 ", "{j-duarte: ssh-ed25519 ", `the line says "ssh-ed25519", the key is ecdsa-sha2-nistp256`},
		{"key of two people", "{j-duarte: ecdsa-sha2-nistp256 ", "{x: " + ed25519Line + ", j-duarte: ecdsa-sha2-nistp256 ", "terms.yaml:30:13: signatories[1].of.x: the same key as signatories[0].of.a-lang; a key belongs to one person of one party"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			terms, err := contract.ParseTerms(replace(t, good, tt.old, tt.with))
			if terms != nil || err == nil {
				t.Fatal("the terms passed")
			}
			if _, ok := errors.AsType[*contract.TermsError](err); !ok || !errors.Is(err, contract.ErrTerms) {
				t.Errorf("%T is no *TermsError that wraps ErrTerms", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %s\nwant %s", err, tt.want)
			}
		})
	}
}

func manyRoles() string {
	var s strings.Builder
	for i := range 1001 {
		s.WriteString("  x" + strconv.Itoa(i) + ": {}\n")
	}
	return s.String()
}

// TestPinnedKeys puts each kind of key where a signatory's key stands.
func TestPinnedKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		line string
		want string // empty: it passes
	}{
		{"ed25519", keyLine(t, "ed25519"), ""},
		{"ed25519 with a comment", keyLine(t, "ed25519") + " who ever", ""},
		{"ecdsa 384", keyLine(t, "ecdsa384"), ""},
		{"ecdsa 521", keyLine(t, "ecdsa521"), ""},
		{"rsa 3072", keyLine(t, "rsa3072"), ""},
		{"FIDO ed25519", keyLine(t, "sk-ed25519"), ""},
		{"FIDO ecdsa", keyLine(t, "sk-ecdsa"), ""},
		{"rsa 2048", keyLine(t, "rsa2048"), "an RSA key of 2048 bits; at least 3072, or make one with ssh-keygen -t ed25519"},
		{"rsa 3071", keyLine(t, "rsa3071"), "an RSA key of 3071 bits; at least 3072"},
		{"dsa", keyLine(t, "dsa"), "a key of type ssh-dss; pin ed25519, ecdsa, rsa of at least 3072 bits or a FIDO key"},
		{"certificate", keyLine(t, "certificate"), "a certificate; pin the plain public key, no authority may make signatories"},
		{"certificate called a key", strings.Replace(keyLine(t, "certificate"), "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", 1), "a certificate; pin the plain public key"},
		{"bytes after the key", keyLine(t, "long"), "not a public key that we know"},
		{"not canonical", keyLine(t, "rsa3072 padded"), "the key is not written in its one canonical form"},
		{"two lines", keyLine(t, "ed25519") + `\nssh-ed25519 AAAA`, "not a public key; write the one line"},
		{"cert-authority", "cert-authority " + keyLine(t, "ed25519"), "its second word is no base64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(smallTerms, "%SIGNATORIES%", `  - {party: acme, capacity: ciso, need: 1, of: {ada: "`+tt.line+`"}}
  - {party: other, capacity: ciso, need: 1, of: {bob: "`+newPerson(t).line()+`"}}`, 1)
			terms, err := contract.ParseTerms([]byte(text))
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.want == "":
				wire := terms.Signatories[0].Of[0].PublicKey.Marshal()
				if want := strings.Fields(tt.line)[1]; base64.StdEncoding.EncodeToString(wire) != want {
					t.Errorf("key %x, want %s", wire, want)
				}
			case err == nil || !strings.Contains(err.Error(), "terms.yaml:5:54: signatories[0].of.ada: ") || !strings.Contains(err.Error(), tt.want):
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestSignatoryPolicy(t *testing.T) {
	t.Parallel()
	a, b, c := newPerson(t).line(), newPerson(t).line(), newPerson(t).line()
	for _, tt := range []struct{ name, lines, want string }{
		{"same key for two names", "  - {party: acme, capacity: ciso, need: 1, of: {ada: \"" + a + "\", eve: \"" + a + " again\"}}\n  - {party: other, capacity: ciso, need: 1, of: {bob: \"" + b + "\"}}", "signatories[0].of.eve: the same key as signatories[0].of.ada; a key belongs to one person of one party"},
		{"same key for two parties", "  - {party: acme, capacity: ciso, need: 1, of: {ada: \"" + a + "\"}}\n  - {party: other, capacity: ciso, need: 1, of: {ada: \"" + a + "\"}}", "signatories[1].of.ada: the same key as signatories[0].of.ada"},
		{"one person in two capacities", "  - {party: acme, capacity: ciso, need: 1, of: {ada: \"" + a + "\"}}\n  - {party: acme, capacity: dpo, need: 1, of: {ada: \"" + c + "\"}}\n  - {party: other, capacity: ciso, need: 1, of: {bob: \"" + b + "\"}}", "signatories[1].of.ada: ada signs for acme in signatories[0] already; a person signs in one capacity"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := contract.ParseTerms([]byte(strings.Replace(smallTerms, "%SIGNATORIES%", tt.lines, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// TestIssuerURLs: plain http passes on loopback alone, under each of its names.
func TestIssuerURLs(t *testing.T) {
	t.Parallel()
	good := read(t, "good/terms.yaml")
	for _, tt := range []struct {
		url string
		ok  bool
	}{
		{"https://login.example.com", true},
		{"https://login.example.com:8443/realms/a/", true},
		{"http://127.0.0.1:9998", true},
		{"http://127.0.0.1:9998/", true},
		{"http://localhost:9998", true},
		{"http://[::1]:9998", true},
		{"http://127.0.0.1.evil.example", false},
		{"http://localhost.evil.example", false},
		{"http://10.0.0.1", false},
		{"http://0.0.0.0:9998", false},
		{"https://", false},
		{"https://:443", false},
		{"ftp://login.example.com", false},
		{"https://login.example.com?", false},
		{"https://login.example.com/a b", false},
	} {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()
			terms, err := contract.ParseTerms(replace(t, good, "https://login.acme.example", strconv.Quote(tt.url)))
			if (err == nil) != tt.ok {
				t.Fatalf("ParseTerms = %v", err)
			}
			if tt.ok && terms.Issuers[0].URL != tt.url {
				t.Errorf("URL = %q", terms.Issuers[0].URL)
			}
		})
	}
}

func TestParseTermsEmpty(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\n", "# only a comment\n"} {
		_, err := contract.ParseTerms([]byte(text))
		if err == nil || err.Error() != "terms.yaml:1:1: empty; terms begin with terms: sallyport/v1" {
			t.Errorf("ParseTerms(%q) = %v", text, err)
		}
	}
}

// TestParseTermsTyped reads the example and checks values, defaults and order.
func TestParseTermsTyped(t *testing.T) {
	t.Parallel()
	terms, err := contract.ParseTerms(read(t, "good/terms.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, ok bool, got any) {
		t.Helper()
		if !ok {
			t.Errorf("%s = %+v", what, got)
		}
	}
	check("NotBefore", terms.Effect.NotBefore.Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)), terms.Effect.NotBefore)
	acme, ok := terms.Party("acme")
	check("Party(acme)", ok && acme.Name == "Acme Health GmbH" && acme.Roots.Need == 2 && len(acme.Roots.Keys) == 2, acme)
	other, ok := terms.Party("northwind")
	check("Party(northwind)", ok && other.Roots == nil, other)
	line := terms.Signatories[0]
	check("Signatories[0]", line.Party == "acme" && line.Capacity == "ciso" && line.Need == 1 && line.Of[0].Name == "a-lang" && line.Assurance == contract.AssuranceSSH, line)
	idp, ok := terms.Issuer("northwind")
	check("Issuer(northwind)", ok && idp.Subject == "sub" && idp.Groups == "groups" && slices.Equal(idp.Flows, []contract.Flow{contract.FlowCode}) && idp.Clients == contract.Clients{CLI: "acme-cli"}, idp)
	group, ok := terms.Group("nw-support")
	check("Group(nw-support)", ok && *group == contract.Group{ID: "nw-support", Issuer: "northwind", Claim: "/ops/support"}, group)
	check("Ceilings", terms.Ceilings == contract.Ceilings{Grant: 8 * time.Hour, CertTTL: 15 * time.Minute, Quorum: 1, ClaimsMaxAge: contract.ClaimsMaxAge{Decide: 15 * time.Minute, Issue: time.Hour}}, terms.Ceilings)
	db, ok := terms.Role("db-reader")
	check("Role(db-reader)", ok && db.Cert.TTL == 90*time.Second && len(db.Cert.Extensions) == 0 && db.Request.MinWords == 1 && db.Grant.Max == time.Hour, db)
	owners, ok := db.Paths[0].Stage("owners")
	check("Stage(owners)", ok && owners.Quorum == 2 && owners.Timeout == 24*time.Hour && slices.Equal(owners.From, []string{"sre-leads"}), owners)
	web, _ := terms.Role("web-operator")
	check("Role(web-operator)", web.Request.MinWords == 3 && slices.Equal(web.Logins, []sshcert.Login{"deploy", "ops"}) && slices.Equal(web.Who, []string{"nw-support", "sre"}), web)
	for _, missing := range []func(string) bool{
		func(id string) bool { _, ok := terms.Role(id); return ok },
		func(id string) bool { _, ok := terms.Party(id); return ok },
		func(id string) bool { _, ok := terms.Issuer(id); return ok },
		func(id string) bool { _, ok := terms.Group(id); return ok },
		func(id string) bool { _, ok := db.Paths[0].Stage(id); return ok },
	} {
		check("found", !missing("nobody"), "nobody")
	}
	small, err := contract.ParseTerms([]byte(strings.Replace(smallTerms, "%SIGNATORIES%",
		`  - {party: acme, capacity: a, need: 1, of: {ada: "`+newPerson(t).line()+`"}}`+"\n"+`  - {party: other, capacity: a, need: 1, of: {bob: "`+newPerson(t).line()+`"}}`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	check("default ceilings", small.Ceilings == contract.Ceilings{Grant: 8 * time.Hour, CertTTL: 15 * time.Minute, Quorum: 1, ClaimsMaxAge: contract.ClaimsMaxAge{Decide: 15 * time.Minute, Issue: time.Hour}}, small.Ceilings)
	check("default certificate", small.Roles[0].Cert.TTL == 5*time.Minute && slices.Equal(small.Roles[0].Cert.Extensions, []string{"permit-pty"}), small.Roles[0].Cert)
	check("default assurance", small.Signatories[0].Assurance == contract.AssuranceSSH, small.Signatories[0])
	check("default effect", small.Effect.NotBefore.IsZero(), small.Effect.NotBefore)
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want time.Duration
	}{
		{"1s", time.Second},
		{"20s", 20 * time.Second},
		{"90m", 90 * time.Minute},
		{"8h", 8 * time.Hour},
		{"30d", 30 * 24 * time.Hour},
		{"366d", contract.MaxDuration},
		{"31622400s", contract.MaxDuration},
	} {
		got, err := contract.ParseDuration(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("ParseDuration(%q) = %v, %v", tt.text, got, err)
		}
		if again, err := contract.ParseDuration(contract.FormatDuration(got)); err != nil || again != got {
			t.Errorf("FormatDuration(%v) = %q", got, contract.FormatDuration(got))
		}
	}
	for _, text := range []string{"", "0s", "1", "s", "1S", "1 s", " 1s", "1s ", "+1s", "-1s", "01s", "1.0s", "1s1s", "1w", "１s", "31622401s", "367d", "999999999h", "1s\n"} {
		if got, err := contract.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v", text, got)
		}
	}
}

func TestCheckLabel(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		key, value string
		ok         bool
	}{
		{"env", "prod", true},
		{"tier", "Web_1.a-b", true},
		{"Env", "prod", false},
		{"", "prod", false},
		{"env", "", false},
		{"env", "*", false},
		{"env", "a b", false},
		{"env", "-a", false},
		{"env", strings.Repeat("a", 64), false},
	} {
		if err := contract.CheckLabel(tt.key, tt.value); (err == nil) != tt.ok {
			t.Errorf("CheckLabel(%q, %q) = %v", tt.key, tt.value, err)
		}
	}
}
