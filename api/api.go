// Package api owns the JSON types of the HTTP interface under /v1. It has no
// logic: server and client both import it, so the two cannot drift apart.
//
// Times are integer microseconds since 1970 UTC (`*_at`), durations whole
// seconds (`*_seconds`), digests and keys base64url, as in docs/formats.md.
// Errors are problem documents (RFC 9457).
package api

import (
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// Server answers GET /v1/server: what a client must know before it can log in.
// Nothing in it is trusted beyond the pin file.
type Server struct {
	Origin    string       `json:"origin"`
	Version   string       `json:"version"`
	Now       canon.Micros `json:"now_at"`
	Issuers   []Issuer     `json:"issuers"`
	Contracts []Contract   `json:"contracts"`
}

// Issuer is an OpenID Connect issuer that a contract in force names.
type Issuer struct {
	ID       string   `json:"id"` // contract id and issuer id, "acme/okta"
	URL      string   `json:"url"`
	ClientID string   `json:"client_id"` // the public client of the CLI
	Algs     []string `json:"algs"`
	Subject  string   `json:"subject"`
	Groups   string   `json:"groups"`
}

// Contract is a contract version in force.
type Contract struct {
	ID      string       `json:"id"`
	Title   string       `json:"title"`
	Version int64        `json:"version"`
	Digest  canon.Digest `json:"digest"`
	Lineage canon.Digest `json:"lineage"`
}

// ChallengeRequest is the body of POST /v1/challenges.
type ChallengeRequest struct {
	Purpose string `json:"purpose"` // "session" (no bearer needed) or "issue"
}

// Challenge answers POST /v1/challenges: 32 random bytes, good once, for five
// minutes.
type Challenge struct {
	Challenge canon.Digest `json:"challenge"`
	ExpiresAt canon.Micros `json:"expires_at"`
}

// SessionRequest is the body of POST /v1/sessions. With the bearer of a live
// session it renews that session's claims by a newer ID token.
type SessionRequest struct {
	Issuer    string `json:"issuer"` // Issuer.ID
	IDToken   string `json:"id_token"`
	RZ        string `json:"rz"`         // b64 of the 32 bytes in the nonce commitment
	DeviceKey string `json:"device_key"` // b64 of the SSH wire form
	Document  string `json:"document"`   // record.SessionDoc as canonical JSON
	Signature string `json:"signature"`  // armored SSHSIG by the device key
}

// Session answers POST /v1/sessions and GET /v1/sessions/current.
type Session struct {
	Bearer      string       `json:"bearer,omitempty"` // only in the answer to the POST that opens a session
	Person      canon.ID     `json:"person"`
	Name        string       `json:"name,omitempty"`
	Email       string       `json:"email,omitempty"`
	Issuer      string       `json:"issuer"`
	Groups      []string     `json:"groups,omitempty"`
	GroupsKnown bool         `json:"groups_known"`
	ClaimsAt    canon.Micros `json:"claims_at"`
	FreshUntil  canon.Micros `json:"fresh_until_at,omitempty"` // then the claims are too old to ask for something or to get a certificate
	ExpiresAt   canon.Micros `json:"expires_at"`
	DeviceKey   string       `json:"device_key,omitempty"` // SHA256:… fingerprint
}

// RoleOption is one way to ask for a login on a host: GET /v1/roles?login=&host=.
// Without parameters it is a role that the person may ask for, with its hosts.
type RoleOption struct {
	Contract    Contract        `json:"contract"`
	Role        string          `json:"role"`
	Clause      string          `json:"clause"`
	Logins      []sshcert.Login `json:"logins"`          // all of the role
	Hosts       []sshcert.Host  `json:"hosts,omitempty"` // all of the role; only where no host was asked about
	MaxSeconds  int64           `json:"max_seconds"`
	CertSeconds int64           `json:"cert_seconds"` // how long one certificate lasts at most
	Approvers   []string        `json:"approvers"`    // groups of the first stage
	Stages      []RoleStage     `json:"stages"`       // one after the other
	MinWords    int             `json:"min_words"`    // of the reason
}

// RoleStage is one stage in which a request for a role is decided.
type RoleStage struct {
	Stage          string   `json:"stage"`
	Need           int      `json:"need"` // different people
	From           []string `json:"from"` // groups that decide in it
	TimeoutSeconds int64    `json:"timeout_seconds"`
}

// RequestRequest is the body of POST /v1/requests.
type RequestRequest struct {
	Document   string `json:"document"`  // record.RequestDoc as canonical JSON
	Signature  string `json:"signature"` // armored SSHSIG by the device key
	PersonSalt string `json:"person_salt"`
	Reason     string `json:"reason"`
}

// CancelRequest is the body of POST /v1/requests/{id}/cancel.
type CancelRequest struct {
	Document  string `json:"document"`  // record.CancelDoc as canonical JSON
	Signature string `json:"signature"` // armored SSHSIG by the device key
}

// Request is a request as GET /v1/requests/{id} shows it.
type Request struct {
	ID          canon.ID        `json:"id"`
	State       string          `json:"state"` // pending, granted, denied, expired, cancelled
	By          canon.ID        `json:"by"`
	ByName      string          `json:"by_name,omitempty"`    // as the account calls itself
	ByAccount   string          `json:"by_account,omitempty"` // what tells it from others of that name
	Contract    Contract        `json:"contract"`
	Role        string          `json:"role"`
	Clause      string          `json:"clause"`
	Logins      []sshcert.Login `json:"logins"`
	Hosts       []sshcert.Host  `json:"hosts"`
	Seconds     int64           `json:"for_seconds"`
	Reason      string          `json:"reason,omitempty"`
	SubmittedAt canon.Micros    `json:"submitted_at"`
	ExpiresAt   canon.Micros    `json:"expires_at"` // when a pending request expires
	CancelledAt canon.Micros    `json:"cancelled_at,omitempty"`
	Decisions   []Decision      `json:"decisions,omitempty"`
	Stage       string          `json:"stage,omitempty"` // the stage that is waited for
	Need        int             `json:"need,omitempty"`  // votes still missing in it
	From        []string        `json:"from,omitempty"`  // groups that decide in it
	Grant       *Grant          `json:"grant,omitempty"`
	URL         string          `json:"url"` // the page where it is decided
}

// Requests answers GET /v1/requests?scope=mine|waiting&state=&host=&since=&before=&limit=,
// newest first. `since` is a time (requests made then or later), `before` a place
// that an earlier answer named.
type Requests struct {
	Requests []Request `json:"requests"`
	Next     int64     `json:"next,omitempty"` // the `before` of the next page; absent at the end
}

// Decision is one approver's verdict.
type Decision struct {
	By        canon.ID     `json:"by"`
	ByName    string       `json:"by_name,omitempty"`
	ByAccount string       `json:"by_account,omitempty"`
	Stage     string       `json:"stage"`
	Verdict   string       `json:"verdict"` // approve or deny
	Seconds   int64        `json:"for_seconds,omitempty"`
	Words     string       `json:"words,omitempty"`
	At        canon.Micros `json:"at"`
}

// Grant is what a settled request allows.
type Grant struct {
	Start  canon.Micros `json:"start_at"`
	End    canon.Micros `json:"end_at"`
	Active bool         `json:"active"`
}

// CertificateRequest is the body of POST /v1/grants/{id}/certificates.
type CertificateRequest struct {
	Document            string `json:"document"` // record.IssueDoc as canonical JSON
	DeviceSignature     string `json:"device_signature"`
	PossessionSignature string `json:"possession_signature"`
}

// Certificate is an issued certificate.
type Certificate struct {
	Certificate string       `json:"certificate"` // one authorized_keys line
	Serial      uint64       `json:"serial"`
	ValidAfter  canon.Micros `json:"valid_after_at"`
	ValidBefore canon.Micros `json:"valid_before_at"`
	GrantEnd    canon.Micros `json:"grant_end_at"`
	Challenge   Challenge    `json:"challenge"` // for the next issue call
}

// Host is a joined host: GET /v1/hosts. Clients believe none of it before entry
// Leaf of the ledger has proved it.
type Host struct {
	Name    sshcert.Host      `json:"name"`
	Address string            `json:"address"`
	Port    int               `json:"port"`
	HostKey string            `json:"host_key"` // authorized_keys form without comment
	Labels  map[string]string `json:"labels"`
	Lineage canon.Digest      `json:"lineage"`
	Leaf    int64             `json:"leaf"` // index of the host.join entry that says so
}

// Entries answers GET /v1/ledger/entries?before=&limit=: newest first.
type Entries struct {
	Size    int64   `json:"size"` // of the committed log
	Entries []Entry `json:"entries"`
}

// Entry is one leaf. Facts and the openings are there only for those who may
// see them.
type Entry struct {
	Index      int64        `json:"index"`
	Kind       string       `json:"kind"`
	Leaf       string       `json:"leaf"` // the six lines
	At         canon.Micros `json:"at"`
	Facts      string       `json:"facts,omitempty"` // canonical JSON
	FactsSalt  string       `json:"facts_salt,omitempty"`
	Person     string       `json:"person,omitempty"` // canonical JSON
	PersonSalt string       `json:"person_salt,omitempty"`
}

// EntryProof answers GET /v1/ledger/entries/{index}.
type EntryProof struct {
	Entry
	Proof       string `json:"proof"` // C2SP tlog-proof, checkpoint included
	Certificate string `json:"certificate,omitempty"`
}

// Problem is an RFC 9457 problem document.
type Problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Instance string `json:"instance,omitempty"` // the request id of the log line
}
