package contract

import (
	"net/netip"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract/guard"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/sshcert"
)

// Limits of what a role says.
const (
	maxCommand    = 255 // characters of force_command
	maxPattern    = 200 // characters of a ticket's pattern
	maxHosts      = sshcert.MaxPrincipals
	maxPrefixes   = 64
	maxBreakGlass = 100 // grants of one person in the window
)

// userKeyTypes are the types that the key of a certificate may have, as package
// sshcert takes them.
var userKeyTypes = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
}

// fido tells whether a key of that type lives in a FIDO token.
func fido(keyType string) bool {
	return keyType == ssh.KeyAlgoSKED25519 || keyType == ssh.KeyAlgoSKECDSA256
}

func (r *reader) role(e entry) Role {
	o := r.object(e.value, "clause", "who", "hosts", "logins", "grant", "cert", "request", "paths", "duties", "break_glass", "obligations", "acknowledge")
	role := Role{
		ID:          e.id,
		Clause:      r.clause(o.need("clause")),
		Who:         r.ids(o.need("who"), "groups"),
		Hosts:       r.hosts(o.need("hosts")),
		Cert:        CertLimits{TTL: defaultCertTTL, Extensions: []string{"permit-pty"}},
		Request:     RequestLimits{MinWords: defaultMinWords},
		Acknowledge: r.flag(o, "acknowledge"),
	}
	for _, l := range r.set(o.need("logins"), "logins", false, r.login) {
		role.Logins = append(role.Logins, sshcert.Login(l))
	}
	role.Grant.Max = r.duration(r.object(o.need("grant"), "max").need("max"), MinGrant)
	if n, ok := o.get("cert"); ok {
		r.cert(n, &role.Cert)
	}
	if n, ok := o.get("request"); ok {
		r.request(n, &role.Request)
	}
	for _, it := range r.items(o.need("paths"), "paths", false) {
		role.Paths = append(role.Paths, r.readPath(it))
	}
	if n, ok := o.get("duties"); ok {
		role.Duties = r.separation(n)
	}
	if n, ok := o.get("break_glass"); ok {
		role.BreakGlass = r.breakGlass(n)
	}
	if n, ok := o.get("obligations"); ok {
		role.Obligations = r.ids(n, "obligations")
	}
	return role
}

func (r *reader) cert(n node, c *CertLimits) {
	o := r.object(n, "ttl", "extensions", "source_address", "force_command", "keys", "verify_required")
	if n, ok := o.get("ttl"); ok {
		c.TTL = r.duration(n, MinGrant)
	}
	if n, ok := o.get("extensions"); ok {
		c.Extensions = r.set(n, "extensions", true, func(n node) string { return r.oneOf(n, certExtensions) })
	}
	if n, ok := o.get("source_address"); ok {
		for _, p := range r.set(n, "address ranges", false, r.prefix) {
			if r.err == nil {
				c.SourceAddress = append(c.SourceAddress, netip.MustParsePrefix(p))
			}
		}
		if r.err == nil && len(c.SourceAddress) > maxPrefixes {
			r.fail(n, "%d address ranges; at most %d", len(c.SourceAddress), maxPrefixes)
		}
	}
	if n, ok := o.get("force_command"); ok {
		c.ForceCommand = r.command(n)
	}
	if n, ok := o.get("keys"); ok {
		c.Keys = r.set(n, "key types", false, func(n node) string { return r.oneOf(n, userKeyTypes) })
	}
	c.VerifyRequired = r.flag(o, "verify_required")
}

// prefix reads a range of addresses in its one text form: a network without host
// bits, and not all addresses there are.
func (r *reader) prefix(n node) string {
	s := r.scalar(n, "a range of addresses such as 10.20.0.0/16")
	if r.err != nil {
		return ""
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		r.fail(n, "expected a range of addresses such as 10.20.0.0/16 or 2001:db8::/32, found %q", strictyaml.Clip(s))
	case p.Addr().Is4In6():
		r.fail(n, "%s is IPv4 written as IPv6; write the IPv4 range", s)
	case p.Bits() == 0:
		r.fail(n, "%s is every address; leave source_address out if a certificate may be used from anywhere", s)
	case p.Masked() != p:
		r.fail(n, "%s has bits set beyond its length; write the network, %s", s, p.Masked())
	case p.String() != s:
		r.fail(n, "expected the range in its one form, %s, found %q", p, strictyaml.Clip(s))
	}
	return s
}

// command reads an absolute path of a program, with arguments or not.
func (r *reader) command(n node) string {
	s := r.text(n, maxCommand)
	if r.err != nil {
		return ""
	}
	program, _, _ := strings.Cut(s, " ")
	if len(program) < 2 || program[0] != '/' || strings.HasSuffix(program, "/") {
		r.fail(n, "expected the absolute path of a program, such as /usr/local/bin/pgro, found %q", strictyaml.Clip(s))
	}
	return s
}

func (r *reader) request(n node, q *RequestLimits) {
	o := r.object(n, "reason", "hosts_max", "ticket")
	if n, ok := o.get("reason"); ok {
		if n, ok := r.object(n, "min_words").get("min_words"); ok {
			q.MinWords = r.integer(n, 1, maxMinWords)
		}
	}
	if n, ok := o.get("hosts_max"); ok {
		q.HostsMax = r.integer(n, 1, maxHosts)
	}
	if n, ok := o.get("ticket"); ok {
		ticket := r.object(n, "required", "pattern")
		q.Ticket.Required = r.flag(ticket, "required")
		if n, ok := ticket.get("pattern"); ok {
			q.Ticket.Pattern = r.pattern(n)
		}
	}
}

// pattern reads a regular expression as RE2 defines them.
func (r *reader) pattern(n node) string {
	s := r.text(n, maxPattern)
	if r.err != nil {
		return ""
	}
	if _, err := regexp.Compile(s); err != nil {
		r.fail(n, "not a regular expression (RE2): %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return s
}

func (r *reader) readPath(n node) Path {
	o := r.object(n, "id", "clause", "when", "auto", "stages")
	p := Path{ID: r.id(o.need("id")), Clause: r.clause(o.need("clause")), Auto: r.flag(o, "auto")}
	if n, ok := o.get("when"); ok {
		p.When = r.guard(n)
	}
	stages, some := o.get("stages")
	switch {
	case p.Auto && some:
		r.fail(stages, "an auto path asks nobody; leave out auto or stages")
	case p.Auto && p.When == "" && r.err == nil:
		r.failAt(n.path+".auto", "an auto path without a guard would grant whatever is asked; write when")
	case p.Auto:
		return p
	case !some:
		stages = o.need("stages")
	}
	for _, it := range r.items(stages, "stages", false) {
		p.Stages = append(p.Stages, r.stage(it))
	}
	if r.err == nil && len(p.Stages) > maxStages {
		r.failAt(n.path+".stages", "%d stages; at most %d", len(p.Stages), maxStages)
	}
	return p
}

// guard reads a guard, in the language of package guard, and keeps it as written.
func (r *reader) guard(n node) string {
	s := r.text(n, guard.MaxSource)
	if r.err != nil {
		return ""
	}
	if _, err := guard.Parse(s); err != nil {
		r.fail(n, "not a guard: %v", err)
	}
	return s
}

func (r *reader) stage(n node) Stage {
	o := r.object(n, "id", "from", "quorum", "timeout", "escalate", "delegates", "sla", "assurance")
	s := Stage{
		ID:        r.id(o.need("id")),
		From:      r.ids(o.need("from"), "groups"),
		Quorum:    r.integer(o.need("quorum"), 1, MaxQuorum),
		Timeout:   r.duration(o.need("timeout"), MinGrant),
		SLA:       r.optional(o, "sla"),
		Assurance: ApprovalSession,
	}
	if n, ok := o.get("escalate"); ok {
		escalate := r.object(n, "to", "timeout")
		s.Escalate = &Escalation{To: r.ids(escalate.need("to"), "groups"), Timeout: r.duration(escalate.need("timeout"), MinGrant)}
	}
	if n, ok := o.get("delegates"); ok {
		s.Delegates = r.ids(n, "groups")
	}
	if n, ok := o.get("assurance"); ok {
		s.Assurance = oneOf(r, n, approvals)
	}
	return s
}

func (r *reader) separation(n node) Separation {
	o := r.object(n, "distinct_across_stages", "not_same_manager", "exclusive_with", "window")
	s := Separation{DistinctAcrossStages: r.flag(o, "distinct_across_stages"), Window: r.optional(o, "window")}
	if n, ok := o.get("not_same_manager"); ok {
		s.NotSameManager = r.ids(n, "stages")
	}
	if n, ok := o.get("exclusive_with"); ok {
		s.ExclusiveWith = r.ids(n, "roles")
	}
	if n, ok := o.get("window"); ok && s.ExclusiveWith == nil {
		r.fail(n, "a window without exclusive_with; name the roles that it keeps apart")
	}
	return s
}

func (r *reader) breakGlass(n node) *BreakGlass {
	o := r.object(n, "clause", "who", "max", "cap", "window", "notify", "review")
	b := &BreakGlass{
		Clause: r.clause(o.need("clause")),
		Who:    r.ids(o.need("who"), "groups"),
		Max:    r.duration(o.need("max"), MinGrant),
		Cap:    r.integer(o.need("cap"), 1, maxBreakGlass),
		Window: defaultBreakGlass,
	}
	if n, ok := o.get("window"); ok {
		b.Window = r.duration(n, MinGrant)
	}
	notify := r.object(o.need("notify"), "groups", "within")
	b.Notify = r.ids(notify.need("groups"), "groups")
	b.Within = r.duration(notify.need("within"), MinGrant)
	review := r.object(o.need("review"), "by", "within", "else")
	b.Review.By = r.ids(review.need("by"), "groups")
	b.Review.Within = r.duration(review.need("within"), MinGrant)
	b.Review.Else = oneOf(r, review.need("else"), consequences)
	return b
}

func (r *reader) hosts(n node) []HostLabel {
	var out []HostLabel
	for _, e := range r.entries(n, "host labels") {
		out = append(out, HostLabel{Label: e.id, Values: r.set(e.value, "label values", false, r.labelValue)})
	}
	return out
}

func (r *reader) login(n node) string {
	s := r.scalar(n, "a login")
	if r.err == nil {
		if _, err := sshcert.ParseLogin(s); err != nil {
			r.fail(n, "%v", err)
		}
	}
	return s
}
