package audit

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// judge makes the verdict on a certificate's leaf. g says why the fold did not
// apply it, nil if it did.
func (p *Replay) judge(o Opened, g *gap) {
	c := Certificate{Serial: ledger.Serial(o.Index), Leaf: o.Index, Lineage: o.leaf.Lineage, Signed: o.signed != nil}
	f, open := o.facts.(record.CertificateIssue)
	if open {
		c.Contract, c.Person, c.Request, c.At = f.Contract, f.Person, f.Grant, f.At
	}
	if cert := o.recorded; cert != nil {
		c.describe(cert)
	} else if o.signed != nil && o.signed.cert != nil {
		c.describe(o.signed.cert)
	}
	signature := p.checkSigned(o.signed)
	switch {
	case !p.vouched(o.leaf.Lineage):
		c.unjustified(fmt.Sprintf("its contract begins with version 1 %s, which is none that you vouch for", o.leaf.Lineage), p.proposal(o.leaf.Lineage, c.itself()))
	case g != nil && g.verdict == Unjustified:
		c.unjustified(g.rule, g.cause)
	case signature != nil:
		c.unjustified(signature.Error(), c.itself())
	case g != nil:
		c.unknown(g)
	default:
		parts := p.parts(f, o)
		c.Verdict = Proved
		for _, part := range parts {
			c.Verdict = worse(c.Verdict, part.Verdict)
		}
		if p.config.Parts != nil && p.config.Parts(c.Serial) {
			c.Parts = p.told(parts, f, o)
		}
		if doubt := p.gaps.doubts(o.leaf.Lineage); doubt != nil {
			c.unknown(doubt)
		}
		if r, err := record.Request(p.view.Memory, f.Grant); err == nil { // the fold has just read it
			p.rests(len(p.report.Certificates), f, r)
		}
	}
	p.report.Certificates = append(p.report.Certificates, c)
	if o.signed != nil && signature == nil {
		at := o.signed.proved.Checkpoint
		p.expected[at.Size] = append(p.expected[at.Size], expected{at.Root, len(p.report.Certificates) - 1})
		if o.signed.unconfirmed {
			p.report.Unconfirmed++
		}
	}
}

// checkSigned returns what is wrong with a signed certificate, if there is one.
func (p *Replay) checkSigned(s *signed) error {
	switch {
	case s == nil:
		return nil
	case s.wrong != nil:
		return s.wrong
	case p.userCA == nil || !bytes.Equal(s.cert.SignatureKey.Marshal(), p.userCA.Marshal()):
		return fmt.Errorf("the certificate is signed by %s, not by the ledger's authority key", ssh.FingerprintSHA256(s.cert.SignatureKey))
	}
	return nil
}

func (c *Certificate) describe(cert *ssh.Certificate) {
	c.Principals = cert.ValidPrincipals
	c.ValidAfterAt, c.ValidBeforeAt = canon.Micros(cert.ValidAfter)*1e6, canon.Micros(cert.ValidBefore)*1e6 //nolint:gosec // only shown
	c.Key = ssh.FingerprintSHA256(cert.Key)
}

// unjustified makes the verdict that, unless it is already.
func (c *Certificate) unjustified(rule string, by cause) {
	if c.Verdict != Unjustified {
		c.Verdict, c.Rule, c.Cause, c.CauseKind, c.Waived = Unjustified, rule, by.leaf, string(by.kind), false
	}
}

func (c *Certificate) unknown(g *gap) {
	c.Verdict, c.Rule, c.Cause, c.CauseKind, c.Waived = Unknown, g.rule, g.cause.leaf, string(g.cause.kind), g.waived
}

// itself is the certificate's own leaf as what something comes from.
func (c *Certificate) itself() cause { return cause{c.Leaf, ledger.CertificateIssue} }

func (p *Replay) vouched(lineage canon.Digest) bool {
	return p.config.AnyContract || slices.Contains(p.config.Contracts, lineage)
}

// proposal returns the leaf that proposed a contract version.
func (p *Replay) proposal(version canon.Digest, otherwise cause) cause {
	if leaf, ok := p.contracts[version]; ok {
		return cause{leaf, ledger.ContractPropose}
	}
	return otherwise
}

// parts lists what a certificate that the fold allowed rests on, without words.
func (p *Replay) parts(f record.CertificateIssue, o Opened) []Part {
	parts := []Part{{Name: PartContract, Verdict: Proved, Leaf: p.contracts[f.Contract]}}
	r, err := record.Request(p.view.Memory, f.Grant)
	if err != nil { // the fold has just read it
		return append(parts, Part{Name: PartRequest, Verdict: Unknown, Leaf: o.Index})
	}
	parts = append(parts, Part{Name: PartRequest, Verdict: Attested, Leaf: p.index[r.Leaf]})
	for _, d := range r.Decisions {
		parts = append(parts, Part{Name: PartDecision, Verdict: Attested, Leaf: p.index[d.Leaf]})
	}
	for _, c := range r.Carried {
		parts = append(parts, Part{Name: PartCarry, Verdict: Proved, Leaf: p.index[c.Leaf]})
	}
	return append(parts, Part{Name: PartCertificate, Verdict: Proved, Leaf: o.Index})
}

// told says of each part whose word or signature it is.
func (p *Replay) told(parts []Part, f record.CertificateIssue, o Opened) []Part {
	r, err := record.Request(p.view.Memory, f.Grant)
	if err != nil {
		return parts
	}
	decided, carried := 0, 0
	for i := range parts {
		switch parts[i].Name {
		case PartContract:
			parts[i].By = p.contractWords(f)
		case PartRequest:
			parts[i].By = p.requestWords(f)
		case PartDecision:
			d := r.Decisions[decided]
			parts[i].By = fmt.Sprintf("the server: person %s said %s in a session, in stage %s", d.By, d.Verdict, d.Stage)
			decided++
		case PartCarry:
			parts[i].By = p.carryWords(r, carried)
			carried++
		case PartCertificate:
			parts[i].By = certificateWords(o)
		}
	}
	return parts
}

// carryWords says between which versions a grant was carried.
func (p *Replay) carryWords(r approval.Request, i int) string {
	from, to := r.Carried[i].From, r.Contract
	if i+1 < len(r.Carried) {
		to = r.Carried[i+1].From
	}
	number := func(d canon.Digest) string {
		row, err := record.Contract(p.view.Memory, d)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprintf("version %d", row.Version)
	}
	return fmt.Sprintf("the leaves before it: granted under %s, it goes on under %s, which would have allowed it by the same decisions", number(from), number(to))
}

func (p *Replay) contractWords(f record.CertificateIssue) string {
	row, err := record.Contract(p.view.Memory, f.Contract)
	if err != nil {
		return err.Error()
	}
	var signers []string
	for _, s := range row.Signed {
		signers = append(signers, fmt.Sprintf("%s as %s of %s in leaf %d", s.Signer, s.Capacity, s.Party, p.index[s.Leaf]))
	}
	return "signed by " + strings.Join(signers, ", ")
}

func (p *Replay) requestWords(f record.CertificateIssue) string {
	login, err := record.Login(p.view.Memory, f.Claims.Login)
	if err != nil {
		return err.Error()
	}
	device := "a device key"
	if wire, err := canon.ParseB64(login.DeviceKey); err == nil {
		if key, err := ssh.ParsePublicKey(wire); err == nil {
			device = "device key " + ssh.FingerprintSHA256(key)
		}
	}
	at := p.index[f.Claims.Login]
	if p.bound[f.Claims.Login] {
		return fmt.Sprintf("signed by %s, to which the ID token of the login in leaf %d is bound; that the identity provider signed that is the server's word", device, at)
	}
	return fmt.Sprintf("signed by %s; that it is this person's, as the login in leaf %d says, is the server's word", device, at)
}

func certificateWords(o Opened) string {
	by := "made again from the grant, byte for byte; asked for by its own key and by the device key"
	if o.signed == nil {
		return by + "; no signed certificate is shown"
	}
	return by + fmt.Sprintf("; signed by the authority, with a proof under a checkpoint of %d leaves", o.signed.proved.Checkpoint.Size)
}

// voided notes that a leaf voids a certificate.
func (p *Replay) voided(serial uint64, leaf int64) {
	i, ok := slices.BinarySearchFunc(p.report.Certificates, serial, func(c Certificate, s uint64) int {
		switch {
		case c.Serial < s:
			return -1
		case c.Serial > s:
			return 1
		}
		return 0
	})
	if !ok {
		return
	}
	c := &p.report.Certificates[i]
	if c.Void = leaf; c.Signed {
		c.unjustified("it is void, and somebody has it signed", cause{leaf, ledger.CertificateVoid})
	}
}

// listContracts reports the contract versions, and what is wrong with them: one in
// force that nobody vouched for, and one that was vouched for and is not there.
func (p *Replay) listContracts() error {
	for _, version := range slices.SortedFunc(maps.Keys(p.contracts), func(a, b canon.Digest) int { return int(p.contracts[a] - p.contracts[b]) }) {
		row, err := record.Contract(p.view.Memory, version)
		if err != nil {
			return err
		}
		c := Contract{
			Lineage: row.Lineage, Contract: version, ID: row.ID, Version: row.Version, Leaf: p.contracts[version],
			InForceAt: row.InForceAt, Vouched: p.vouched(row.Lineage),
		}
		for _, s := range row.Signed {
			c.Signed = append(c.Signed, s.Signer+" for "+s.Party)
		}
		p.report.Contracts = append(p.report.Contracts, c)
		if c.InForceAt != 0 && !c.Vouched {
			p.report.Findings = append(p.report.Findings, Finding{
				Leaf: c.Leaf, Kind: string(ledger.ContractPropose), Cause: c.Leaf, CauseKind: string(ledger.ContractPropose),
				Rule: fmt.Sprintf("contract %s is in force, and its version 1, %s, is none that you vouch for", row.ID, row.Lineage),
			})
		}
	}
	for _, lineage := range p.config.Contracts {
		if !p.lineages[lineage] {
			p.report.Findings = append(p.report.Findings, Finding{
				Rule: fmt.Sprintf("no leaf belongs to the contract whose version 1 you vouch for, %s", lineage),
			})
		}
	}
	return nil
}

// waive marks the unknown certificates that are waived by their own name.
func (p *Replay) waive() {
	for i := range p.report.Certificates {
		if c := &p.report.Certificates[i]; c.Verdict == Unknown && p.config.Waive.certificate(*c) {
			c.Waived = true
		}
	}
	p.report.IdleWaivers = p.config.Waive.idle()
}
