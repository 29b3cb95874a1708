package client

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// page is what a story is written on: paragraphs with a title, each line with what
// vouches for it.
type page struct {
	e Env
	b bytes.Buffer
	s *story
}

// title begins a paragraph.
func (p *page) title(format string, args ...any) {
	fmt.Fprintf(&p.b, "\n%s\n", p.e.visible(fmt.Sprintf(format, args...)))
}

// line is one thing, with the leaf that says so and the verdict on it.
func (p *page) line(leaf int64, format string, args ...any) {
	at := fmt.Sprintf("leaf %d", leaf)
	if v, ok := p.s.verdicts[leaf]; ok {
		at += ", " + string(v)
	}
	fmt.Fprintf(&p.b, "  %s  [%s]\n", p.e.visible(fmt.Sprintf(format, args...)), at)
}

// plain is a line that no leaf says by itself.
func (p *page) plain(format string, args ...any) {
	fmt.Fprintf(&p.b, "  %s\n", p.e.visible(fmt.Sprintf(format, args...)))
}

// words are what somebody wrote, line by line.
func (p *page) words(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(&p.b, "  | %s\n", p.e.visible(strings.TrimRight(line, "\r\n")))
	}
}

func (s *story) print(e Env) error {
	p := &page{e: e, s: s}
	p.head()
	p.contract()
	p.request()
	p.decisions()
	p.certificate()
	p.sessions()
	return e.write(p.b.Bytes())
}

func (p *page) head() {
	c := p.s.certificate
	fmt.Fprintf(&p.b, "%s certificate %d of %s: %s\n", resultMark(p.e, c), c.Serial, p.e.visible(p.s.origin), verdictWords(c))
	if c.Rule != "" {
		p.plain("because of %s: %s", causeWords(c.Cause, c.CauseKind), c.Rule)
	}
	if len(c.Principals) > 0 {
		p.plain("for %s, from %s to %s", strings.Join(c.Principals, ", "), stamp(c.ValidAfterAt), stamp(c.ValidBeforeAt))
	}
	if c.Person != "" {
		p.plain("of %s", p.s.person(c.Person))
	}
}

func (p *page) contract() {
	v := p.s.contract
	if v == nil {
		p.title("Contract %s", first(digestText(p.s.certificate.Contract), "whose version is not shown"))
		p.plain("its text is not shown")
		return
	}
	p.title("Contract %s version %d", v.Terms.ID, v.Manifest.Version)
	p.line(p.s.contractAt, "digest %s", v.Digest)
	for _, sig := range p.s.signatures {
		if signed, err := v.VerifySignature([]byte(sig.facts.Statement), []byte(sig.facts.Signature)); err == nil {
			p.line(sig.leaf, "signed by %s as %s of %s", signed.Signer, signed.Capacity, signed.Party)
		}
	}
	for _, clause := range p.s.clauses() {
		p.words(clauseText(v, clause))
	}
}

// clauseText is what a version says under a clause, with its heading.
func clauseText(v *contract.Version, clause string) string {
	prose, _ := v.Prose(clause) // a version without it would not have been loaded
	return strings.Join(append([]string{prose.Title}, prose.Paragraphs...), "\n\n")
}

// clauses are the marks of the role that was asked for and of the path by which it
// was decided.
func (s *story) clauses() []string {
	if s.request == nil {
		return nil
	}
	role, ok := s.contract.Terms.Role(s.request.doc.Role)
	if !ok {
		return nil
	}
	out := []string{role.Clause}
	if path := s.path(role); path != nil && path.Clause != role.Clause {
		out = append(out, path.Clause)
	}
	return out
}

// path is the way by which the decisions went: the first that has their stages.
func (s *story) path(role *contract.Role) *contract.Path {
	for i, path := range role.Paths {
		has := make(map[string]bool)
		for _, stage := range path.Stages {
			has[stage.ID] = true
		}
		fits := true
		for _, d := range s.decisions {
			fits = fits && has[d.facts.Stage]
		}
		if fits {
			return &role.Paths[i]
		}
	}
	return nil
}

func (p *page) request() {
	p.title("Request %s", first(string(p.s.certificate.Request), "whose id is not shown"))
	r := p.s.request
	if r == nil {
		p.plain("it is not shown, or was never made")
		return
	}
	p.line(r.leaf, "%s: %s asked for %s on %s for %s, as %s", stamp(r.facts.At), p.s.person(r.doc.Person),
		texts(r.doc.Logins), texts(r.doc.Hosts), time.Duration(r.doc.Seconds)*time.Second, r.doc.Role)
	if r.reason != "" {
		p.words(r.reason)
	} else {
		p.plain("the reason is erased or not shown; it has %d words", r.facts.ReasonWords)
	}
	switch {
	case r.ticket != "":
		p.words("ticket " + r.ticket)
	case r.facts.Ticket:
		p.plain("a ticket was named; it is erased or not shown")
	}
	p.login(r.facts.Claims.Login)
	p.part(audit.PartRequest)
}

func (p *page) decisions() {
	p.title("Decisions")
	if len(p.s.decisions) == 0 {
		p.plain("none is shown")
	}
	for _, d := range p.s.decisions {
		what := "denied it"
		if d.facts.Verdict == approval.Approve {
			what = "approved it"
			if d.facts.Seconds > 0 {
				what += fmt.Sprintf(" for %s at most", time.Duration(d.facts.Seconds)*time.Second)
			}
		}
		p.line(d.leaf, "%s: %s %s, in stage %s", stamp(d.facts.At), p.s.person(d.facts.Person), what, d.facts.Stage)
		if d.words != "" {
			p.words(d.words)
		}
		p.login(d.facts.Claims.Login)
	}
	if p.s.endedAt != 0 {
		p.line(p.s.endedAt, "%s", p.s.ended)
	}
	if p.s.closed > 0 {
		p.plain("not shown: %s of this contract; some may belong here", counted(int64(p.s.closed), "leaf", "leaves"))
	}
}

// login says in which login somebody acted.
func (p *page) login(hash canon.Digest) {
	switch l, ok := p.s.logins[hash]; {
	case !ok || l.leaf < 0:
		p.plain("the login is not in the bundle")
	case l.facts.Issuer == "":
		p.line(l.leaf, "in a login that is not shown")
	default:
		groups := "groups not known"
		if l.facts.GroupsKnown {
			groups = "groups " + first(strings.Join(l.facts.Groups, ", "), "none")
		}
		p.line(l.leaf, "in a login through %s, %s, as said at %s", l.facts.Issuer, groups, stamp(l.facts.ClaimsAt))
	}
}

// part says who vouches for a part, if the verdict got that far.
func (p *page) part(name audit.PartName) {
	for _, part := range p.s.words {
		if part.Name == name {
			p.plain("%s", part.By)
		}
	}
}

func (p *page) certificate() {
	c := p.s.certificate
	p.title("Certificate")
	p.line(c.Leaf, "%s: recorded for key %s", stamp(c.At), first(c.Key, "that is not shown"))
	p.part(audit.PartCertificate)
	switch {
	case c.Void != 0:
		p.line(c.Void, "void: it was never signed")
	case !c.Signed:
		p.plain("no signed certificate is shown")
	}
}

// person names somebody by what the logins say, and by the id that the ledger has.
func (s *story) person(id canon.ID) string {
	for _, l := range s.logins {
		if l.facts.Person == id && l.who != "" {
			return fmt.Sprintf("%s (person %s)", l.who, id)
		}
	}
	if leaf, ok := s.erased[id]; ok {
		return fmt.Sprintf("erased person %s (leaf %d)", id, leaf)
	}
	return "person " + string(id)
}

func digestText(d canon.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

func texts[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}
