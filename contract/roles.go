package contract

import (
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/sshcert"
)

// Role is a named entry of the contract: some people may have some logins on
// some hosts when a path's stages agree.
type Role struct {
	ID          string
	Clause      string   // the clause of the prose that it stands for, such as "§4.1"
	Who         []string // groups; members of any of them may ask
	Hosts       []HostLabel
	Logins      []sshcert.Login
	Grant       GrantLimits
	Cert        CertLimits
	Request     RequestLimits
	Paths       []Path // in the order they are tried
	Duties      Separation
	BreakGlass  *BreakGlass // nil: nobody lets themselves in
	Obligations []string    // ids of Terms.Obligations, sorted
	// Acknowledge says that nobody has a certificate under the role who has not
	// acknowledged what the contract in force says of them.
	Acknowledge bool
}

// HostLabel selects hosts: those whose label Label has one of Values. A role's
// host matches every one of its HostLabels.
type HostLabel struct {
	Label  string
	Values []string
}

// GrantLimits bound what a settled request allows.
type GrantLimits struct {
	Max time.Duration // 10 s to Ceilings.Grant
}

// CertLimits bound each certificate under a grant.
type CertLimits struct {
	TTL            time.Duration  // life of one certificate, 10 s to Ceilings.CertTTL; 5 minutes unless set
	Extensions     []string       // OpenSSH extensions it carries; permit-pty unless set, possibly none
	SourceAddress  []netip.Prefix // from where it may be used (critical option source-address); none: from anywhere
	ForceCommand   string         // the only command it runs (critical option force-command); empty: any
	Keys           []string       // SSH types that its key may have, sorted; none: all that a certificate may have
	VerifyRequired bool           // critical option verify-required: the FIDO key verifies its user at each login
}

// RequestLimits say what a request has to contain.
type RequestLimits struct {
	MinWords int // words of the reason, 1 to 100; 1 unless set
	HostsMax int // hosts of one request, 1 to 64; 0: as many as a certificate carries
	Ticket   Ticket
}

// Ticket says whether a request names a ticket, and of what form.
type Ticket struct {
	Required bool
	Pattern  string // a regular expression (RE2) that the whole ticket matches; empty: any
}

// Path is one way in which a request can be decided.
type Path struct {
	ID     string
	Clause string
	When   string  // guard, in the language of package guard; empty: always
	Auto   bool    // the guard alone grants; only with a guard and without stages
	Stages []Stage // asked one after the other

	guard compiled // When, parsed; set by compile
}

// Stage asks members of the groups From until Quorum different people approved.
type Stage struct {
	ID        string
	From      []string      // groups; a member of any of them may decide
	Quorum    int           // Ceilings.Quorum to 20
	Timeout   time.Duration // after that much silence the request expires, or others are asked; 10 s to 366 days
	Escalate  *Escalation   // nil: after Timeout the request expires
	Delegates []string      // groups from which those who decide may name a delegate; none: nobody stands in
	SLA       time.Duration // within which 95 of 100 requests should have a first decision; 0: none is promised
	Assurance Approval      // how a decision has to be given; ApprovalSession unless set
}

// Escalation says who is asked too once a stage was silent for its timeout.
// Those who were asked first go on being asked.
type Escalation struct {
	To      []string      // groups
	Timeout time.Duration // after that much further silence the request expires
}

// Approval says by which means a decision has to be given, weakest first.
type Approval string

// The means of giving a decision.
const (
	ApprovalSession  Approval = "session"     // a session on the page
	ApprovalFresh    Approval = "fresh-login" // a login made for it
	ApprovalWebAuthn Approval = "webauthn-uv" // a passkey, user verified
	ApprovalSK       Approval = "ssh-sk"      // a FIDO SSH key
)

// Separation keeps duties apart.
type Separation struct {
	DistinctAcrossStages bool          // who approved in one stage approves in no other
	NotSameManager       []string      // stages in which nobody decides who has the requester's manager, sorted
	ExclusiveWith        []string      // roles that nobody holds together with this one, sorted
	Window               time.Duration // how long apart grants of exclusive roles are at least; 0: they do not overlap
}

// BreakGlass lets people in without asking first, inside a budget, loudly, and
// looked at afterwards.
type BreakGlass struct {
	Clause string
	Who    []string      // groups
	Max    time.Duration // longest grant, 10 s to Ceilings.BreakGlass
	Cap    int           // grants of one person in Window
	Window time.Duration // 30 days unless set
	Notify []string      // groups told at once
	Within time.Duration // how soon they are told
	Review BreakGlassReview
}

// BreakGlassReview says who looks at what was done, by when, and what happens else.
type BreakGlassReview struct {
	By     []string // groups
	Within time.Duration
	Else   Consequence
}
