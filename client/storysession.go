package client

import (
	"fmt"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// sessionLeaf is a login on a host that the certificate opened, by the host's word.
type sessionLeaf struct {
	leaf   int64
	facts  record.LoginOpen
	closed int64 // leaf of its end, 0 if none is shown
	end    record.LoginClose
}

// takeSession keeps what hosts told of the certificate.
func (s *story) takeSession(index int64, facts record.Facts) {
	switch f := facts.(type) {
	case record.LoginOpen:
		if f.Serial == s.certificate.Serial {
			s.sessions = append(s.sessions, sessionLeaf{leaf: index, facts: f})
		}
	case record.LoginClose:
		for i := range s.sessions {
			if s.sessions[i].facts.Session == f.Session {
				s.sessions[i].closed, s.sessions[i].end = index, f
			}
		}
	}
}

// takeRevocation keeps the first that took the certificate away.
func (s *story) takeRevocation(index int64, f record.AccessRevoke) {
	if s.endedAt != 0 || index <= s.certificate.Leaf {
		return
	}
	switch t := f.Target; {
	case t.Type == record.TargetCertificate && t.Serial == s.certificate.Serial:
		s.endedAt, s.ended = index, "the certificate was revoked"
	case (t.Type == record.TargetGrant || t.Type == record.TargetRequest) && t.ID == s.certificate.Request:
		s.endedAt, s.ended = index, "it was revoked"
	}
}

func (p *page) sessions() {
	p.title("Logins on hosts")
	if len(p.s.sessions) == 0 {
		p.plain("no host has reported one")
	}
	for _, one := range p.s.sessions {
		p.line(one.leaf, "%s: %s on %s%s", stamp(one.facts.OpenedAt), one.facts.Login, one.facts.Host, unexplained(one.facts.Finding))
		if one.closed != 0 {
			p.line(one.closed, "%s: %s", stamp(one.end.ClosedAt), howWords(one.end.How))
		} else {
			p.plain("no end of it is shown")
		}
	}
}

// howWords say how a session ended.
func howWords(how hostcall.How) string {
	switch how {
	case hostcall.Left:
		return "whoever was in it left"
	case hostcall.Over:
		return "the host ended it, since the grant was over"
	case hostcall.Released:
		return "the host ended it, since the grant was given back"
	case hostcall.Revoked:
		return "the host ended it, since the certificate was revoked"
	case hostcall.Lost:
		return "it ended, the host does not know how"
	}
	return fmt.Sprintf("it ended: %s", how)
}

// unexplained says why the ledger can't explain a login; empty where it can.
func unexplained(finding record.LoginFinding) string {
	if finding == record.LoginExplained {
		return ""
	}
	return fmt.Sprintf(", which the ledger can't explain (%s)", finding)
}

// storySession is such a login for programs.
type storySession struct {
	Leaf     int64               `json:"leaf"`
	Verdict  audit.Verdict       `json:"verdict,omitempty"`
	Host     sshcert.Host        `json:"host"`
	Login    sshcert.Login       `json:"login"`
	OpenedAt canon.Micros        `json:"opened_at"`
	Finding  record.LoginFinding `json:"finding,omitempty"`
	EndLeaf  int64               `json:"end_leaf,omitempty"`
	ClosedAt canon.Micros        `json:"closed_at,omitzero"`
	How      hostcall.How        `json:"how,omitempty"`
}

func (s *story) sessionResults() []storySession {
	var out []storySession
	for _, one := range s.sessions {
		out = append(out, storySession{
			Leaf: one.leaf, Verdict: s.verdicts[one.leaf], Host: one.facts.Host, Login: one.facts.Login, OpenedAt: one.facts.OpenedAt,
			Finding: one.facts.Finding, EndLeaf: one.closed, ClosedAt: one.end.ClosedAt, How: one.end.How,
		})
	}
	return out
}
