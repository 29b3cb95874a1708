package contract_test

import (
	"crypto/ed25519"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
)

// A tree is terms before they are spelt: mapping, sequence (whose order means
// something), bag and set (whose order means nothing), text (string) or number
// (int).
type (
	mapping  map[string]any
	sequence []any
	bag      []any
	set      []string
)

// drawTerms draws valid terms.
func drawTerms(t *rapid.T) mapping {
	ids := func(prefix string, most int) []string {
		out := make([]string, rapid.IntRange(1, most).Draw(t, prefix+"s"))
		for i := range out {
			out[i] = prefix + strconv.Itoa(i)
		}
		return out
	}
	maybe := func(m mapping, key string, value func() any) {
		if rapid.Bool().Draw(t, "has "+key) {
			m[key] = value()
		}
	}
	some := func(list []string) set { return drawSome(t, list) }
	root := mapping{
		"terms":    "sallyport/v1",
		"contract": mapping{"id": "random", "title": rapid.StringMatching(`[A-Z][a-zäöü:#'"\\-]{0,20}[.!]`).Draw(t, "title")},
	}
	maybe(root, "effect", func() any { return mapping{"not_before": "2027-01-0" + drawDigit(t, 1, 9) + "T10:00:00Z"} })
	keys := 0
	nextKey := func() any {
		keys++
		return testKeyLine(byte(keys)) + rapid.SampledFrom([]string{"", " comment", " two words"}).Draw(t, "comment")
	}
	parties, signatories := mapping{}, bag{}
	for _, id := range ids("party", 3) {
		party := mapping{"name": "The " + id}
		maybe(party, "roots", func() any { return mapping{"need": 1, "keys": mapping{"safe": nextKey(), "bank": nextKey()}} })
		parties[id] = party
		line := mapping{"party": id, "capacity": "ciso", "need": rapid.IntRange(1, 2).Draw(t, "need"), "of": mapping{"ada": nextKey(), "bob": nextKey()}}
		maybe(line, "assurance", func() any { return "ssh" })
		signatories = append(signatories, line)
	}
	root["parties"], root["signatories"] = parties, signatories
	issuerIDs, groupIDs := ids("idp", 2), ids("group", 4)
	issuers, groups := mapping{}, mapping{}
	for _, id := range issuerIDs {
		issuer := mapping{"url": "https://" + id + ".example", "clients": mapping{"cli": "sally"}, "algs": some([]string{"ES256", "RS256", "EdDSA"})}
		maybe(issuer, "subject", func() any { return "oid" })
		maybe(issuer, "groups", func() any { return "https://x.example/groups" })
		maybe(issuer, "flows", func() any { return set{"code"} })
		issuers[id] = issuer
	}
	for _, id := range groupIDs {
		groups[id] = "oidc:" + rapid.SampledFrom(issuerIDs).Draw(t, "issuer") + "/" + rapid.SampledFrom([]string{"a", "/b/c", "D e", "no"}).Draw(t, "claim")
	}
	root["issuers"], root["groups"] = issuers, groups
	maybe(root, "cosigners", func() any {
		cosigners := mapping{}
		for _, id := range ids("watch", 3) {
			cosigners[id] = mapping{"party": "party0", "key": testCosigner(id + ".example/c")}
		}
		return cosigners
	})
	maybe(root, "offices", func() any {
		offices := mapping{"auditor": some(groupIDs)}
		maybe(offices, "reviewer", func() any { return some(groupIDs) })
		return offices
	})
	ceilings := mapping{"grant": "2h"}
	maybe(ceilings, "cert_ttl", func() any { return "10m" })
	maybe(ceilings, "claims_max_age", func() any { return mapping{"issue": "1d"} })
	root["ceilings"] = ceilings
	roles := mapping{}
	for _, id := range ids("role", 3) {
		roles[id] = drawRole(t, groupIDs, maybe)
	}
	root["roles"] = roles
	return root
}

func drawRole(t *rapid.T, groups []string, maybe func(mapping, string, func() any)) mapping {
	role := mapping{
		"clause": "§" + drawDigit(t, 1, 9),
		"who":    drawSome(t, groups),
		"logins": drawSome(t, []string{"ops", "deploy", "_x"}),
		"grant":  mapping{"max": rapid.SampledFrom([]string{"10s", "90s", "15m", "1h", "120m"}).Draw(t, "max")},
	}
	hosts := mapping{"env": drawSome(t, []string{"prod", "test", "1"})}
	maybe(hosts, "tier", func() any { return drawSome(t, []string{"web", "db"}) })
	role["hosts"] = hosts
	maybe(role, "cert", func() any {
		cert := mapping{}
		maybe(cert, "ttl", func() any { return rapid.SampledFrom([]string{"20s", "5m"}).Draw(t, "ttl") })
		maybe(cert, "extensions", func() any {
			return rapid.SampledFrom([]set{{}, {"permit-pty", "permit-user-rc"}}).Draw(t, "extensions")
		})
		return cert
	})
	maybe(role, "request", func() any {
		return mapping{"reason": mapping{"min_words": rapid.IntRange(1, 5).Draw(t, "min_words")}}
	})
	stages := sequence{}
	for i := range rapid.IntRange(1, 3).Draw(t, "stages") {
		stages = append(stages, mapping{
			"id": "s" + strconv.Itoa(i), "from": drawSome(t, groups),
			"quorum": rapid.IntRange(1, 3).Draw(t, "quorum"), "timeout": drawDigit(t, 1, 9) + "h",
		})
	}
	role["paths"] = sequence{mapping{"id": "only", "clause": "§4." + drawDigit(t, 1, 9), "stages": stages}}
	return role
}

func drawDigit(t *rapid.T, least, most int) string {
	return strconv.Itoa(rapid.IntRange(least, most).Draw(t, "digit"))
}

// drawSome draws one or more members of a list.
func drawSome(t *rapid.T, list []string) set {
	return set(rapid.Permutation(list).Draw(t, "some")[:rapid.IntRange(1, len(list)).Draw(t, "how many")])
}

// testKeyLine is a key that nobody has.
func testKeyLine(n byte) string {
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('A'+n)), ed25519.SeedSize)))
	key, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// testCosigner is the key of a cosigner that nobody runs.
func testCosigner(name string) string {
	_, public, err := ledger.NewCosignerKey(strings.NewReader(strings.Repeat("c", ed25519.SeedSize)), name)
	if err != nil {
		panic(err)
	}
	return public
}

// treeOf turns compiled terms into a tree that says all of it, defaults too.
func treeOf(terms *contract.Terms) mapping {
	keys := func(list []contract.Key) mapping {
		m := mapping{}
		for _, k := range list {
			m[k.Name] = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k.PublicKey)))
		}
		return m
	}
	parties, signatories, issuers, groups, roles := mapping{}, bag{}, mapping{}, mapping{}, mapping{}
	for _, p := range terms.Parties {
		party := mapping{"name": p.Name}
		if p.Roots != nil {
			party["roots"] = mapping{"need": p.Roots.Need, "keys": keys(p.Roots.Keys)}
		}
		party.set("capacity", p.Capacity)
		party.set("notice", p.Notice)
		parties[p.ID] = party
	}
	for _, s := range terms.Signatories {
		line := mapping{"party": s.Party, "capacity": s.Capacity, "need": s.Need, "of": keys(s.Of), "assurance": string(s.Assurance)}
		line.set("only_if", s.OnlyIf)
		signatories = append(signatories, line)
	}
	for _, i := range terms.Issuers {
		issuers[i.ID] = mapping{
			"url": i.URL, "clients": treeOfClients(i.Clients), "algs": set(i.Algs),
			"subject": i.Subject, "groups": i.Groups, "flows": set{string(i.Flows[0])},
		}
	}
	for _, g := range terms.Groups {
		groups[g.ID] = "oidc:" + g.Issuer + "/" + g.Claim
	}
	for i := range terms.Roles {
		roles[terms.Roles[i].ID] = treeOfRole(&terms.Roles[i])
	}
	cosigners := mapping{}
	for _, c := range terms.Cosigners {
		cosigners[c.ID] = mapping{"party": c.Party, "key": c.Key}
	}
	root := mapping{
		"terms": contract.Schema, "contract": mapping{"id": terms.ID, "title": terms.Title},
		"parties": parties, "signatories": signatories, "issuers": issuers, "groups": groups,
		"ceilings": mapping{
			"grant": contract.FormatDuration(terms.Ceilings.Grant), "cert_ttl": contract.FormatDuration(terms.Ceilings.CertTTL),
			"claims_max_age": mapping{
				"decide": contract.FormatDuration(terms.Ceilings.ClaimsMaxAge.Decide),
				"issue":  contract.FormatDuration(terms.Ceilings.ClaimsMaxAge.Issue),
			},
		},
		"roles": roles,
	}
	if len(cosigners) > 0 {
		root["cosigners"] = cosigners
	}
	if len(terms.Offices) > 0 {
		offices := mapping{}
		for _, o := range terms.Offices {
			offices[string(o.Office)] = set(o.Groups)
		}
		root["offices"] = offices
	}
	ceilings := root["ceilings"].(mapping)
	ceilings.set("break_glass", terms.Ceilings.BreakGlass)
	ceilings.set("approval_ttl", terms.Ceilings.ApprovalTTL)
	ceilings.set("quorum", terms.Ceilings.Quorum)
	if terms.Retention.Clause != "" {
		root["retention"] = mapping{"clause": terms.Retention.Clause, "period": contract.FormatDuration(terms.Retention.Period)}
	}
	treeOfDuties(root, terms)
	return root
}

func treeOfRole(r *contract.Role) mapping {
	hosts, paths := mapping{}, sequence{}
	for _, h := range r.Hosts {
		hosts[h.Label] = set(h.Values)
	}
	for _, p := range r.Paths {
		stages := sequence{}
		for _, s := range p.Stages {
			stage := mapping{"id": s.ID, "from": set(s.From), "quorum": s.Quorum, "timeout": contract.FormatDuration(s.Timeout), "assurance": string(s.Assurance)}
			if s.Escalate != nil {
				stage["escalate"] = mapping{"to": set(s.Escalate.To), "timeout": contract.FormatDuration(s.Escalate.Timeout)}
			}
			stage.set("delegates", s.Delegates)
			stage.set("sla", s.SLA)
			stages = append(stages, stage)
		}
		path := mapping{"id": p.ID, "clause": p.Clause}
		path.set("when", p.When)
		path.set("auto", p.Auto)
		if !p.Auto {
			path["stages"] = stages
		}
		paths = append(paths, path)
	}
	logins := set{}
	for _, l := range r.Logins {
		logins = append(logins, string(l))
	}
	cert := mapping{"ttl": contract.FormatDuration(r.Cert.TTL), "extensions": set(r.Cert.Extensions), "verify_required": r.Cert.VerifyRequired}
	var from set
	for _, p := range r.Cert.SourceAddress {
		from = append(from, p.String())
	}
	cert.set("source_address", from)
	cert.set("force_command", r.Cert.ForceCommand)
	cert.set("keys", r.Cert.Keys)
	request := mapping{"reason": mapping{"min_words": r.Request.MinWords}}
	request.set("hosts_max", r.Request.HostsMax)
	ticket := mapping{"required": r.Request.Ticket.Required}
	ticket.set("pattern", r.Request.Ticket.Pattern)
	request["ticket"] = ticket
	duties := mapping{"distinct_across_stages": r.Duties.DistinctAcrossStages}
	duties.set("not_same_manager", r.Duties.NotSameManager)
	duties.set("exclusive_with", r.Duties.ExclusiveWith)
	duties.set("window", r.Duties.Window)
	role := mapping{
		"clause": r.Clause, "who": set(r.Who), "hosts": hosts, "logins": logins,
		"grant": mapping{"max": contract.FormatDuration(r.Grant.Max)},
		"cert":  cert, "request": request, "paths": paths, "duties": duties, "acknowledge": r.Acknowledge,
	}
	role.set("obligations", r.Obligations)
	if b := r.BreakGlass; b != nil {
		role["break_glass"] = mapping{
			"clause": b.Clause, "who": set(b.Who), "max": contract.FormatDuration(b.Max), "cap": b.Cap, "window": contract.FormatDuration(b.Window),
			"notify": mapping{"groups": set(b.Notify), "within": contract.FormatDuration(b.Within)},
			"review": mapping{"by": set(b.Review.By), "within": contract.FormatDuration(b.Review.Within), "else": string(b.Review.Else)},
		}
	}
	return role
}

// spell writes a tree as YAML in one of its many spellings.
func spell(t *rapid.T, tree any) string {
	s := speller{t: t}
	if rapid.Bool().Draw(t, "document mark") {
		s.out.WriteString("---\n")
	}
	s.block(tree, 0)
	text := s.out.String()
	if rapid.Bool().Draw(t, "windows line ends") {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}

type speller struct {
	t   *rapid.T
	out strings.Builder
}

// block writes v in block style, each line indented by depth, the cursor at the
// start of a line.
func (s *speller) block(v any, depth int) {
	indent := strings.Repeat(" ", depth)
	child := func(v any) {
		if s.flowOnly(v) || rapid.IntRange(0, 3).Draw(s.t, "flow") == 0 {
			s.out.WriteString(" " + s.flow(v))
			s.out.WriteString(rapid.SampledFrom([]string{"", " # why"}).Draw(s.t, "comment") + "\n")
			return
		}
		s.out.WriteString("\n")
		s.block(v, depth+2)
	}
	switch v := v.(type) {
	case mapping:
		for _, k := range s.keys(v) {
			s.out.WriteString(indent + s.text(k) + ":")
			child(v[k])
		}
	case sequence:
		for _, item := range v {
			s.out.WriteString(indent + "-")
			child(item)
		}
	case bag:
		s.block(sequence(rapid.Permutation(v).Draw(s.t, "order")), depth)
	case set:
		for _, item := range s.shuffled(v) {
			s.out.WriteString(indent + "-")
			child(item)
		}
	default:
		panic(fmt.Sprintf("%T in block style", v))
	}
}

func (s *speller) flowOnly(v any) bool {
	switch v := v.(type) {
	case mapping:
		return len(v) == 0
	case sequence:
		return len(v) == 0
	case bag:
		return len(v) == 0
	case set:
		return len(v) == 0
	}
	return true
}

func (s *speller) flow(v any) string {
	var parts []string
	switch v := v.(type) {
	case mapping:
		for _, k := range s.keys(v) {
			parts = append(parts, s.text(k)+": "+s.flow(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case sequence:
		for _, item := range v {
			parts = append(parts, s.flow(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case bag:
		return s.flow(sequence(rapid.Permutation(v).Draw(s.t, "order")))
	case set:
		for _, item := range s.shuffled(v) {
			parts = append(parts, s.text(item))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	case string:
		return s.text(v)
	}
	panic(fmt.Sprintf("%T in flow style", v))
}

func (s *speller) keys(m mapping) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys) // a map has no order, a failing case has to be found again
	return s.shuffled(keys)
}

func (s *speller) shuffled(list []string) []string {
	return rapid.Permutation(list).Draw(s.t, "order")
}

// notPlain is text that would be something else without quotes.
var notPlain = regexp.MustCompile(`^[0-9:]+$|[\[\]{},&!]`)

func (s *speller) text(v string) string {
	plain := !strings.ContainsAny(v, `"'\#`) && !strings.Contains(v, ": ") && !strings.HasSuffix(v, ":") &&
		!slices.Contains([]string{"no", "1"}, v) && !strings.HasPrefix(v, "2027-") && !notPlain.MatchString(v)
	switch style := rapid.IntRange(0, 2).Draw(s.t, "quotes"); {
	case style == 0 && plain:
		return v
	case style == 1:
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	default:
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "ä", `\xe4`, "ö", `\u00f6`).Replace(v) + `"`
	}
}
