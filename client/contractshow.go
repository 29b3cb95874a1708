package client

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// ContractOptions are what the verbs about one folder of a contract share.
type ContractOptions struct {
	Env
	Dir     string
	Parents []string // folders in which versions before are looked for
	JSON    bool
}

// ContractShowOptions are the settings of [ContractShow].
type ContractShowOptions struct {
	ContractOptions
	Prose bool // the prose instead of the summary
	Terms bool // the terms as programs read them instead of the summary
}

// contractResult is what --json prints of a version.
type contractResult struct {
	contractVersion
	Terms string `json:"terms,omitempty"` // the canonical form
	Prose string `json:"prose,omitempty"`
}

// contractVersion is a version, also as one of a chain.
type contractVersion struct {
	ID             string           `json:"id"`
	Title          string           `json:"title"`
	Version        int              `json:"version"`
	Digest         canon.Digest     `json:"digest"`
	Lineage        canon.Digest     `json:"lineage"`
	Parent         canon.Digest     `json:"parent,omitzero"`
	TermsDigest    canon.Digest     `json:"terms_digest"`
	Class          contract.Class   `json:"class,omitempty"`
	Constitutional bool             `json:"constitutional,omitempty"`
	NotBefore      canon.Micros     `json:"not_before_at,omitempty"`
	Draft          bool             `json:"draft,omitempty"`
	Parties        []partyResult    `json:"parties"`
	Signatures     []signatureState `json:"signatures"`
	Missing        []missingLine    `json:"missing"`
	Signed         bool             `json:"signed"`
}

type partyResult struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Capacity string `json:"capacity,omitempty"`
	Notice   string `json:"notice,omitempty"`
}

// ContractShow prints what a contract version says, its digest, who has signed it
// and who has not. A draft has no digest to sign yet; it is shown with the one that it
// would have.
func ContractShow(o ContractShowOptions) error {
	if o.Prose && o.Terms && !o.JSON {
		return Usagef("name --prose or --terms; both go with --json only")
	}
	d, v, err := o.load()
	if err != nil {
		return err
	}
	r := describeVersion(d, v)
	form, err := v.Terms.Canonical()
	if err != nil {
		return err
	}
	switch {
	case o.JSON:
		out := contractResult{contractVersion: r}
		if o.Terms {
			out.Terms = string(form)
		}
		if o.Prose {
			out.Prose = string(d.files[contract.ProseFile])
		}
		return o.printJSON(out)
	case o.Prose:
		return o.printText(d.files[contract.ProseFile])
	case o.Terms:
		return o.print(string(form))
	}
	if err := o.printPairs(r.pairs()); err != nil {
		return err
	}
	return o.print(rolesSummary(v)...)
}

// load loads the version in the folder, or the draft.
func (o ContractOptions) load() (*contractDir, *contract.Version, error) {
	d, err := readContractDir(o.Dir)
	if err != nil {
		return nil, nil, err
	}
	if _, ok := d.digest(); !ok {
		v, err := loadDraft(d)
		return d, v, err
	}
	c, err := loadChain(o.Dir, o.Parents)
	if err != nil {
		return nil, nil, err
	}
	return c.dir(), c.version(), nil
}

func describeVersion(d *contractDir, v *contract.Version) contractVersion {
	_, made := d.digest()
	r := contractVersion{
		ID: v.Terms.ID, Title: v.Terms.Title, Version: v.Manifest.Version, Digest: v.Digest, Lineage: v.Lineage(), Parent: v.Manifest.Parent,
		TermsDigest: v.Manifest.Terms, Class: v.Compared.Class, Constitutional: v.Compared.Constitutional, Draft: !made,
		Signatures: []signatureState{}, Missing: []missingLine{},
	}
	if !v.Terms.Effect.NotBefore.IsZero() {
		r.NotBefore = canon.At(v.Terms.Effect.NotBefore)
	}
	for _, p := range v.Terms.Parties {
		r.Parties = append(r.Parties, partyResult{ID: p.ID, Name: p.Name, Capacity: p.Capacity, Notice: p.Notice})
	}
	states, have := d.signatures(v)
	r.Signatures = append(r.Signatures, states...)
	r.Missing = append(r.Missing, missingLines(v, have)...)
	r.Signed = len(r.Missing) == 0 && made
	return r
}

// pairs are the lines above the summary.
func (r contractVersion) pairs() [][2]string {
	out := [][2]string{
		{"contract", fmt.Sprintf("%s, version %d: %s", r.ID, r.Version, r.Title)},
		{"digest", r.Digest.String()},
	}
	if r.Draft {
		out[1] = [2]string{"digest", r.Digest.String() + " if it is proposed as it is"}
	}
	if !r.Parent.IsZero() {
		out = append(out, [2]string{"amends", r.Parent.String()}, [2]string{"lineage", r.Lineage.String()}, [2]string{"class", classWords(r.Class, r.Constitutional)})
	}
	for _, p := range r.Parties {
		line := p.ID + ": " + p.Name
		if p.Capacity != "" {
			line += ", " + p.Capacity
		}
		if p.Notice != "" {
			line += ", notices to " + p.Notice
		}
		out = append(out, [2]string{"party", line})
	}
	if r.NotBefore != 0 {
		out = append(out, [2]string{"not before", stamp(r.NotBefore)})
	}
	for _, s := range r.Signatures {
		if s.Holds {
			out = append(out, [2]string{"signed", fmt.Sprintf("%s as %s of %s", s.Signer, s.Capacity, s.Party)})
		} else {
			out = append(out, [2]string{"does not hold", s.File + ": " + s.Why})
		}
	}
	for _, m := range r.Missing {
		out = append(out, [2]string{"missing", m.words()})
	}
	return out
}

func (m missingLine) words() string {
	return fmt.Sprintf("%d of %s, as %s of %s", m.Need, strings.Join(m.Of, ", "), m.Capacity, m.Party)
}

func classWords(class contract.Class, constitutional bool) string {
	if constitutional {
		return string(class) + ", constitutional: all parties sign"
	}
	return string(class)
}

// rolesSummary says what the roles of the terms allow.
func rolesSummary(v *contract.Version) []string {
	var lines []string
	for i := range v.Terms.Roles {
		r := &v.Terms.Roles[i]
		lines = append(lines, "", fmt.Sprintf("role %s (%s)", r.ID, r.Clause),
			"  who may ask   "+strings.Join(r.Who, ", "),
			"  hosts         "+selectorWords(r.Hosts),
			"  logins        "+listOf(r.Logins))
		lines = append(lines, limitLines(r)...)
		for j := range r.Paths {
			lines = append(lines, pathLine(&r.Paths[j]))
		}
		if g := r.BreakGlass; g != nil {
			lines = append(lines, fmt.Sprintf("  break-glass   (%s) %s for at most %s, %d times in %s; %s look at it within %s", g.Clause, strings.Join(g.Who, ", "),
				contract.FormatDuration(g.Max), g.Cap, contract.FormatDuration(g.Window), strings.Join(g.Review.By, ", "), contract.FormatDuration(g.Review.Within)))
		}
	}
	return lines
}

func limitLines(r *contract.Role) []string {
	lines := []string{
		"  longest       " + contract.FormatDuration(r.Grant.Max) + ", by certificates of " + contract.FormatDuration(r.Cert.TTL),
		"  certificate   " + certificateWords(r.Cert),
	}
	if text := requestWords(r.Request); text != "" {
		lines = append(lines, "  a request     "+text)
	}
	return lines
}

func certificateWords(c contract.CertLimits) string {
	words := []string{"no extension"}
	if len(c.Extensions) > 0 {
		words = []string{strings.Join(c.Extensions, ", ")}
	}
	if len(c.SourceAddress) > 0 {
		words = append(words, "from "+listOf(c.SourceAddress))
	}
	if c.ForceCommand != "" {
		words = append(words, "only the command "+c.ForceCommand)
	}
	if len(c.Keys) > 0 {
		words = append(words, "for keys of "+strings.Join(c.Keys, ", "))
	}
	if c.VerifyRequired {
		words = append(words, "the security key verifies its user")
	}
	return strings.Join(words, "; ")
}

func requestWords(r contract.RequestLimits) string {
	var words []string
	if r.MinWords > 1 {
		words = append(words, fmt.Sprintf("a reason of %d words or more", r.MinWords))
	}
	if r.Ticket.Required {
		words = append(words, "a ticket")
	}
	if r.HostsMax > 0 {
		words = append(words, "at most "+counted(int64(r.HostsMax), "host", "hosts"))
	}
	return strings.Join(words, "; ")
}

func pathLine(p *contract.Path) string {
	line := fmt.Sprintf("  path %s (%s)", p.ID, p.Clause)
	if p.When != "" {
		line += " when " + p.When
	}
	if p.Auto {
		return line + ": granted without asking"
	}
	stages := make([]string, 0, len(p.Stages))
	for _, s := range p.Stages {
		stages = append(stages, fmt.Sprintf("%d of %s within %s", s.Quorum, strings.Join(s.From, ", "), contract.FormatDuration(s.Timeout)))
	}
	return line + ": " + strings.Join(stages, ", then ")
}

func selectorWords(hosts []contract.HostLabel) string {
	words := make([]string, 0, len(hosts))
	for _, h := range hosts {
		words = append(words, h.Label+"="+strings.Join(h.Values, ","))
	}
	return strings.Join(words, " and ")
}

// listOf lists values that print as texts.
func listOf[T any](values []T) string {
	words := make([]string, 0, len(values))
	for _, v := range values {
		words = append(words, fmt.Sprint(v))
	}
	return strings.Join(words, ", ")
}

// printText writes a text of several lines.
func (e Env) printText(text []byte) error {
	var lines []string
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.TrimRight(line, "\r\n"))
	}
	return e.print(lines...)
}

// factWords are the facts of a request, by name.
func factWords(facts map[string]string) string {
	words := make([]string, 0, len(facts))
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		words = append(words, name+" "+cmp.Or(facts[name], "unknown"))
	}
	return strings.Join(words, ", ")
}
