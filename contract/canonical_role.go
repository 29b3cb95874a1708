package contract

import (
	"net/netip"

	"github.com/sallyport/sallyport/sshcert"
)

// The canonical form of a role.
type (
	jsonRole struct {
		ID      string          `json:"id"`
		Clause  string          `json:"clause"`
		Who     []string        `json:"who"`
		Hosts   []jsonHostLabel `json:"hosts"`
		Logins  []sshcert.Login `json:"logins"`
		Grant   jsonGrant       `json:"grant"`
		Cert    jsonCert        `json:"cert"`
		Request jsonRequest     `json:"request"`
		Paths   []jsonPath      `json:"paths"`

		Duties      jsonSeparation  `json:"duties,omitzero"`
		BreakGlass  *jsonBreakGlass `json:"break_glass,omitempty"`
		Obligations []string        `json:"obligations,omitempty"`
		Acknowledge bool            `json:"acknowledge,omitempty"`
	}
	jsonHostLabel struct {
		ID     string   `json:"id"`
		Values []string `json:"values"`
	}
	jsonGrant struct {
		Max int64 `json:"max_seconds"`
	}
	jsonCert struct {
		TTL            int64          `json:"ttl_seconds"`
		Extensions     []string       `json:"extensions,omitempty"`
		SourceAddress  []netip.Prefix `json:"source_address,omitempty"`
		ForceCommand   string         `json:"force_command,omitempty"`
		Keys           []string       `json:"keys,omitempty"`
		VerifyRequired bool           `json:"verify_required,omitempty"`
	}
	jsonRequest struct {
		Reason   jsonReason `json:"reason"`
		HostsMax int        `json:"hosts_max,omitempty"`
		Ticket   jsonTicket `json:"ticket,omitzero"`
	}
	jsonReason struct {
		MinWords int `json:"min_words"`
	}
	jsonTicket struct {
		Required bool   `json:"required,omitempty"`
		Pattern  string `json:"pattern,omitempty"`
	}
	jsonPath struct {
		ID     string      `json:"id"`
		Clause string      `json:"clause"`
		When   string      `json:"when,omitempty"`
		Auto   bool        `json:"auto,omitempty"`
		Stages []jsonStage `json:"stages,omitempty"`
	}
	jsonStage struct {
		ID        string          `json:"id"`
		From      []string        `json:"from"`
		Quorum    int             `json:"quorum"`
		Timeout   int64           `json:"timeout_seconds"`
		Escalate  *jsonEscalation `json:"escalate,omitempty"`
		Delegates []string        `json:"delegates,omitempty"`
		SLA       int64           `json:"sla_seconds,omitempty"`
		Assurance Approval        `json:"assurance,omitempty"`
	}
	jsonEscalation struct {
		To      []string `json:"to"`
		Timeout int64    `json:"timeout_seconds"`
	}
	jsonSeparation struct {
		DistinctAcrossStages bool     `json:"distinct_across_stages,omitempty"`
		NotSameManager       []string `json:"not_same_manager,omitempty"`
		ExclusiveWith        []string `json:"exclusive_with,omitempty"`
		Window               int64    `json:"window_seconds,omitempty"`
	}
	jsonBreakGlass struct {
		Clause string              `json:"clause"`
		Who    []string            `json:"who"`
		Max    int64               `json:"max_seconds"`
		Cap    int                 `json:"cap"`
		Window int64               `json:"window_seconds"`
		Notify jsonNotify          `json:"notify"`
		Review jsonBreakGlassCheck `json:"review"`
	}
	jsonNotify struct {
		Groups []string `json:"groups"`
		Within int64    `json:"within_seconds"`
	}
	jsonBreakGlassCheck struct {
		By     []string    `json:"by"`
		Within int64       `json:"within_seconds"`
		Else   Consequence `json:"else"`
	}
)

func canonicalRole(r *Role) jsonRole {
	j := jsonRole{
		ID: r.ID, Clause: r.Clause, Who: r.Who, Logins: r.Logins,
		Grant: jsonGrant{Max: seconds(r.Grant.Max)},
		Cert: jsonCert{
			TTL: seconds(r.Cert.TTL), Extensions: r.Cert.Extensions, SourceAddress: r.Cert.SourceAddress,
			ForceCommand: r.Cert.ForceCommand, Keys: r.Cert.Keys, VerifyRequired: r.Cert.VerifyRequired,
		},
		Request: jsonRequest{
			Reason:   jsonReason{MinWords: r.Request.MinWords},
			HostsMax: r.Request.HostsMax,
			Ticket:   jsonTicket(r.Request.Ticket),
		},
		Duties: jsonSeparation{
			DistinctAcrossStages: r.Duties.DistinctAcrossStages,
			NotSameManager:       r.Duties.NotSameManager,
			ExclusiveWith:        r.Duties.ExclusiveWith,
			Window:               seconds(r.Duties.Window),
		},
		Obligations: r.Obligations,
		Acknowledge: r.Acknowledge,
	}
	for _, h := range r.Hosts {
		j.Hosts = append(j.Hosts, jsonHostLabel{ID: h.Label, Values: h.Values})
	}
	for i := range r.Paths {
		j.Paths = append(j.Paths, canonicalPath(&r.Paths[i]))
	}
	if b := r.BreakGlass; b != nil {
		j.BreakGlass = &jsonBreakGlass{
			Clause: b.Clause, Who: b.Who, Max: seconds(b.Max), Cap: b.Cap, Window: seconds(b.Window),
			Notify: jsonNotify{Groups: b.Notify, Within: seconds(b.Within)},
			Review: jsonBreakGlassCheck{By: b.Review.By, Within: seconds(b.Review.Within), Else: b.Review.Else},
		}
	}
	return j
}

func canonicalPath(p *Path) jsonPath {
	j := jsonPath{ID: p.ID, Clause: p.Clause, When: p.When, Auto: p.Auto}
	for _, s := range p.Stages {
		js := jsonStage{
			ID: s.ID, From: s.From, Quorum: s.Quorum, Timeout: seconds(s.Timeout),
			Delegates: s.Delegates, SLA: seconds(s.SLA), Assurance: unless(ApprovalSession, s.Assurance),
		}
		if s.Escalate != nil {
			js.Escalate = &jsonEscalation{To: s.Escalate.To, Timeout: seconds(s.Escalate.Timeout)}
		}
		j.Stages = append(j.Stages, js)
	}
	return j
}
