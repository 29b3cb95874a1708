package contract

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// Limits and defaults of the terms.
const (
	MaxFile   = 256 << 10        // bytes of contract.md and of terms.yaml
	MinGrant  = 10 * time.Second // shortest grant, certificate and timeout
	MaxQuorum = 20

	maxText     = 200
	maxMinWords = 100
	maxPaths    = 16
	maxStages   = 10

	defaultCertCeiling = 15 * time.Minute
	defaultDecideAge   = 15 * time.Minute
	defaultIssueAge    = 60 * time.Minute
	defaultCertTTL     = 5 * time.Minute
	defaultMinWords    = 1
	defaultQuorum      = 1
	defaultBreakGlass  = 30 * day // the window in which break-glass is counted
	defaultRetention   = 365 * day
)

// What words of the terms may be, in the order in which Terms keeps them.
var (
	assurances   = []Assurance{AssuranceSSH, AssuranceSKUP, AssuranceSKUV, AssuranceWebAuthn}
	classes      = []Class{Equivalent, Narrowing, Widening, Mixed}
	approvals    = []Approval{ApprovalSession, ApprovalFresh, ApprovalWebAuthn, ApprovalSK}
	inFlights    = []InFlight{InFlightNarrowed, InFlightRestart}
	consequences = []Consequence{FindingHigh, FindingCritical, SuspendRole}
	duties       = []Duty{DutyLog, DutyRecord, DutyRevoke, DutyNotify, DutyAcknowledge}
	weekdays     = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}
)

// jwsAlgs are the asymmetric algorithms of RFC 7518 §3.1 and RFC 8037 that an
// issuer may sign ID tokens with. "none" and the HMAC ones are not among them.
var jwsAlgs = []string{"ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512"}

// certExtensions are the extensions that OpenSSH defines for user certificates
// (PROTOCOL.certkeys), but for no-touch-required.
var certExtensions = []string{"permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty", "permit-user-rc"}

// ParseTerms reads a terms.yaml strictly: UTF-8 in form NFC, at most MaxFile
// bytes, one YAML document without anchors, aliases, merge keys, tags, nulls,
// repeated or unknown keys, floats, or numbers and dates that YAML readers
// disagree about; every reference resolved and every limit kept. Its error is a
// *TermsError, which wraps ErrTerms.
func ParseTerms(text []byte) (*Terms, error) {
	if flaw := strictyaml.CheckText(text, MaxFile); flaw != nil {
		return nil, (*TermsError)(flaw)
	}
	document, flaw := strictyaml.Parse(text, strictyaml.Kind{Name: "terms", Empty: "empty; terms begin with terms: " + Schema})
	if flaw != nil {
		return nil, (*TermsError)(flaw)
	}
	root := node{yaml: document}
	r := &reader{at: make(map[string]*yaml.Node)}
	t := r.terms(root)
	if r.err == nil {
		r.checkTerms(t)
	}
	if r.err == nil {
		if _, err := t.Canonical(); err != nil {
			r.fail(root, "%v", err)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return t, nil
}

func (r *reader) terms(n node) *Terms {
	o := r.object(n, "terms", "contract", "parties", "signatories", "effect", "issuers", "groups", "cosigners", "offices", "calendars", "ceilings",
		"roles", "obligations", "review", "monitoring", "frameworks", "law", "retention")
	if schema := o.need("terms"); r.scalar(schema, Schema) != Schema && r.err == nil {
		r.fail(schema, "%q is no schema that this release reads; it reads %s", strictyaml.Clip(schema.yaml.Value), Schema)
	}
	t := &Terms{}
	head := r.object(o.need("contract"), "id", "title")
	t.ID = r.id(head.need("id"))
	t.Title = r.text(head.need("title"), maxText)
	for _, e := range r.entries(o.need("parties"), "parties") {
		t.Parties = append(t.Parties, r.party(e))
	}
	for _, it := range r.items(o.need("signatories"), "signatories", false) {
		t.Signatories = append(t.Signatories, r.signatory(it))
	}
	t.Effect = Effect{InFlight: InFlightNarrowed}
	if n, ok := o.get("effect"); ok {
		t.Effect = r.effect(n)
	}
	for _, e := range r.entries(o.need("issuers"), "issuers") {
		t.Issuers = append(t.Issuers, r.issuer(e))
	}
	for _, e := range r.entries(o.need("groups"), "groups") {
		t.Groups = append(t.Groups, r.group(e))
	}
	if n, ok := o.get("cosigners"); ok {
		for _, e := range r.entries(n, "cosigners") {
			t.Cosigners = append(t.Cosigners, r.cosigner(e))
		}
	}
	if offices, ok := o.get("offices"); ok {
		t.Offices = r.offices(offices)
	}
	if n, ok := o.get("calendars"); ok {
		for _, e := range r.entries(n, "calendars") {
			t.Calendars = append(t.Calendars, r.calendar(e))
		}
	}
	t.Ceilings = r.ceilings(o.need("ceilings"))
	for _, e := range r.entries(o.need("roles"), "roles") {
		t.Roles = append(t.Roles, r.role(e))
	}
	r.duties(o, t)
	t.Retention = Retention{Period: defaultRetention}
	if n, ok := o.get("retention"); ok {
		t.Retention = r.retention(n)
	}
	return t
}

func (r *reader) retention(n node) Retention {
	o := r.object(n, "clause", "period")
	return Retention{Clause: r.clause(o.need("clause")), Period: r.span(o.need("period"), MinGrant, MaxRetention)}
}

func (r *reader) party(e entry) Party {
	o := r.object(e.value, "name", "capacity", "notice", "roots")
	p := Party{ID: e.id, Name: r.text(o.need("name"), maxText)}
	if n, ok := o.get("capacity"); ok {
		p.Capacity = r.id(n)
	}
	if n, ok := o.get("notice"); ok {
		p.Notice = r.text(n, maxText)
	}
	if n, ok := o.get("roots"); ok {
		roots := r.object(n, "need", "keys")
		p.Roots = &Roots{Keys: r.keys(roots.need("keys"))}
		p.Roots.Need = r.integer(roots.need("need"), 1, len(p.Roots.Keys))
	}
	return p
}

func (r *reader) signatory(n node) Signatory {
	o := r.object(n, "party", "capacity", "need", "of", "assurance", "only_if")
	s := Signatory{
		Party:     r.id(o.need("party")),
		Capacity:  r.id(o.need("capacity")),
		Of:        r.keys(o.need("of")),
		Assurance: AssuranceSSH,
	}
	s.Need = r.integer(o.need("need"), 1, len(s.Of))
	if a, ok := o.get("assurance"); ok {
		s.Assurance = oneOf(r, a, assurances)
	}
	if n, ok := o.get("only_if"); ok {
		s.OnlyIf = inOrder(r, n, "classes", classes)
	}
	return s
}

// keys reads named public keys; two names never share one.
func (r *reader) keys(n node) []Key {
	var out []Key
	for _, e := range r.entries(n, "public keys") {
		line := r.scalar(e.value, "a public key line as in a .pub file")
		if r.err != nil {
			return nil
		}
		key, err := parsePinnedKey(line)
		if err != nil {
			r.fail(e.value, "%v", err)
			return nil
		}
		out = append(out, Key{Name: e.id, PublicKey: key})
	}
	return out
}

func (r *reader) issuer(e entry) Issuer {
	o := r.object(e.value, "url", "clients", "algs", "subject", "groups", "flows")
	i := Issuer{ID: e.id, Subject: "sub", Groups: "groups", Flows: []Flow{FlowCode}}
	i.URL = r.issuerURL(o.need("url"))
	clients := r.object(o.need("clients"), "cli", "web")
	if n, ok := clients.get("cli"); ok {
		i.Clients.CLI = r.text(n, maxText)
	}
	if n, ok := clients.get("web"); ok {
		i.Clients.Web = r.text(n, maxText)
	}
	if r.err == nil && i.Clients == (Clients{}) {
		r.fail(clients.self, "expected a client id under cli or web or both, found none")
	}
	i.Algs = r.set(o.need("algs"), "algorithms", false, func(n node) string { return r.oneOf(n, jwsAlgs) })
	if n, ok := o.get("subject"); ok {
		i.Subject = r.claim(n)
	}
	if n, ok := o.get("groups"); ok {
		i.Groups = r.claim(n)
	}
	if n, ok := o.get("flows"); ok {
		i.Flows = nil
		for _, f := range r.set(n, "flows", false, func(n node) string { return r.oneOf(n, []string{string(FlowCode)}) }) {
			i.Flows = append(i.Flows, Flow(f))
		}
	}
	return i
}

// group reads "oidc:<issuer id>/<claim value>".
func (r *reader) group(e entry) Group {
	s := r.text(e.value, maxText)
	source, found := strings.CutPrefix(s, "oidc:")
	issuer, claim, slash := strings.Cut(source, "/")
	if r.err == nil && (!found || !slash || !idPattern.MatchString(issuer) || claim == "" || strings.TrimSpace(claim) != claim) {
		r.fail(e.value, "expected oidc:<issuer id>/<value of its groups claim>, found %q", strictyaml.Clip(s))
	}
	return Group{ID: e.id, Issuer: issuer, Claim: claim}
}

func (r *reader) ceilings(n node) Ceilings {
	o := r.object(n, "grant", "cert_ttl", "break_glass", "approval_ttl", "quorum", "claims_max_age")
	c := Ceilings{
		Grant:        r.duration(o.need("grant"), MinGrant),
		CertTTL:      defaultCertCeiling,
		BreakGlass:   r.optional(o, "break_glass"),
		ApprovalTTL:  r.optional(o, "approval_ttl"),
		Quorum:       defaultQuorum,
		ClaimsMaxAge: ClaimsMaxAge{Decide: defaultDecideAge, Issue: defaultIssueAge},
	}
	if n, ok := o.get("cert_ttl"); ok {
		c.CertTTL = r.duration(n, MinGrant)
	}
	if n, ok := o.get("quorum"); ok {
		c.Quorum = r.integer(n, 1, MaxQuorum)
	}
	if n, ok := o.get("claims_max_age"); ok {
		age := r.object(n, "decide", "issue")
		if n, ok := age.get("decide"); ok {
			c.ClaimsMaxAge.Decide = r.duration(n, MinGrant)
		}
		if n, ok := age.get("issue"); ok {
			c.ClaimsMaxAge.Issue = r.duration(n, MinGrant)
		}
	}
	return c
}
