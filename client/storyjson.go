package client

import (
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
)

// storyResult is a story for programs. What the bundle does not show is not there.
type storyResult struct {
	OK          bool              `json:"ok"` // the certificate's verdict passes
	Certificate audit.Certificate `json:"certificate"`
	Contract    *storyContract    `json:"contract,omitempty"`
	Request     *storyRequest     `json:"request,omitempty"`
	Decisions   []storyDecision   `json:"decisions,omitempty"`
	Sessions    []storySession    `json:"sessions,omitempty"` // logins on hosts, by the hosts' word
}

type storyContract struct {
	Leaf       int64             `json:"leaf"`
	ID         string            `json:"id"`
	Version    int               `json:"version"`
	Digest     canon.Digest      `json:"digest"`
	Clauses    map[string]string `json:"clauses,omitempty"` // by mark
	Signatures []storySignature  `json:"signatures,omitempty"`
}

type storySignature struct {
	Leaf     int64  `json:"leaf"`
	Signer   string `json:"signer"`
	Capacity string `json:"capacity"`
	Party    string `json:"party"`
}

type storyRequest struct {
	Leaf    int64         `json:"leaf"`
	Verdict audit.Verdict `json:"verdict,omitempty"`
	Login   int64         `json:"login_leaf,omitempty"`
	Person  canon.ID      `json:"person"`
	Who     string        `json:"who,omitempty"`
	Role    string        `json:"role"`
	Seconds int64         `json:"for_seconds"`
	Reason  string        `json:"reason,omitempty"`
	Ticket  string        `json:"ticket,omitempty"`
}

type storyDecision struct {
	Leaf    int64            `json:"leaf"`
	Verdict audit.Verdict    `json:"verdict,omitempty"`
	Login   int64            `json:"login_leaf,omitempty"`
	Person  canon.ID         `json:"person"`
	Who     string           `json:"who,omitempty"`
	Stage   string           `json:"stage"`
	Said    approval.Verdict `json:"said"`
	Seconds int64            `json:"for_seconds,omitempty"`
	Words   string           `json:"words,omitempty"`
}

func (s *story) result() storyResult {
	out := storyResult{OK: !s.certificate.Failed(), Certificate: s.certificate, Contract: s.contractResult()}
	if r := s.request; r != nil {
		login, who := s.loginResult(r.facts.Claims.Login)
		out.Request = &storyRequest{
			Leaf: r.leaf, Verdict: s.verdicts[r.leaf], Login: login, Person: r.doc.Person, Who: who, Role: r.doc.Role, Seconds: r.doc.Seconds,
			Reason: r.reason, Ticket: r.ticket,
		}
	}
	for _, d := range s.decisions {
		login, who := s.loginResult(d.facts.Claims.Login)
		out.Decisions = append(out.Decisions, storyDecision{
			Leaf: d.leaf, Verdict: s.verdicts[d.leaf], Login: login, Person: d.facts.Person, Who: who, Stage: d.facts.Stage, Said: d.facts.Verdict,
			Seconds: d.facts.Seconds, Words: d.words,
		})
	}
	out.Sessions = s.sessionResults()
	return out
}

func (s *story) contractResult() *storyContract {
	v := s.contract
	if v == nil {
		return nil
	}
	out := &storyContract{Leaf: s.contractAt, ID: v.Terms.ID, Version: v.Manifest.Version, Digest: v.Digest, Clauses: make(map[string]string)}
	for _, clause := range s.clauses() {
		out.Clauses[clause] = clauseText(v, clause)
	}
	for _, sig := range s.signatures {
		if signed, err := v.VerifySignature([]byte(sig.facts.Statement), []byte(sig.facts.Signature)); err == nil {
			out.Signatures = append(out.Signatures, storySignature{sig.leaf, signed.Signer, signed.Capacity, signed.Party})
		}
	}
	return out
}

// loginResult returns a login's leaf, 0 where the bundle has none: leaf 0 is never
// one.
func (s *story) loginResult(hash canon.Digest) (leaf int64, who string) {
	l := s.logins[hash]
	return max(0, l.leaf), l.who
}
