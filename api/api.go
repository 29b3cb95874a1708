// Package api owns the JSON types of the HTTP interface under /v1. It has no
// logic: server and client both import it, so the two cannot drift apart.
//
// Times are integer microseconds since 1970 UTC (`*_at`), durations whole
// seconds (`*_seconds`), digests and keys base64url, as in docs/formats.md.
// Errors are problem documents (RFC 9457).
//
// docs/openapi.json is made from these types and from the server's table of
// routes (`make generate`). What is said of a type or a field here is its
// description there, so each has a comment. Three tags say what a Go type does
// not: `enum:"a,b"` lists all values, `range:"1..200"` bounds a number,
// `default:"50"` is what an absent parameter means.
package api

import (
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// Server answers GET /v1/server: what a client must know before it can log in.
// Nothing in it is trusted beyond the pin file.
type Server struct {
	Origin    string       `json:"origin"`    // the ledger's permanent name
	Version   string       `json:"version"`   // of the program
	Now       canon.Micros `json:"now_at"`    // the server's clock
	Issuers   []Issuer     `json:"issuers"`   // where people can log in from a command line
	Contracts []Contract   `json:"contracts"` // in force, sorted by id
}

// Issuer is an OpenID Connect issuer that a contract in force names.
type Issuer struct {
	ID       string   `json:"id"`        // contract id and issuer id, "acme/okta"
	URL      string   `json:"url"`       // as in the ID token's iss
	ClientID string   `json:"client_id"` // the public client of the CLI
	Algs     []string `json:"algs"`      // signature algorithms of ID tokens that are accepted
	Subject  string   `json:"subject"`   // the claim that names the person
	Groups   string   `json:"groups"`    // the claim that lists the person's groups
}

// Contract is a contract version in force.
type Contract struct {
	ID      string       `json:"id"`                   // as its terms name it
	Title   string       `json:"title"`                // for people
	Version int64        `json:"version" range:"1..."` // counted from 1
	Digest  canon.Digest `json:"digest"`               // of this version's manifest
	Lineage canon.Digest `json:"lineage"`              // digest of version 1
}

// ChallengeRequest is the body of POST /v1/challenges.
type ChallengeRequest struct {
	Purpose string `json:"purpose" enum:"session,issue"` // what is going to be signed: a session (no bearer needed) or an issue call
}

// Challenge answers POST /v1/challenges: 32 random bytes, good once, for five
// minutes.
type Challenge struct {
	Challenge canon.Digest `json:"challenge"`  // to be signed as it stands
	ExpiresAt canon.Micros `json:"expires_at"` // then it is good for nothing
}

// SessionRequest is the body of POST /v1/sessions. With the bearer of a live
// session it renews that session's claims by a newer ID token.
type SessionRequest struct {
	Issuer    string `json:"issuer"`     // Issuer.ID
	IDToken   string `json:"id_token"`   // of the login, or a renewed one
	RZ        string `json:"rz"`         // b64 of the 32 bytes in the nonce commitment
	DeviceKey string `json:"device_key"` // b64 of the SSH wire form
	Document  string `json:"document"`   // record.SessionDoc as canonical JSON
	Signature string `json:"signature"`  // armored SSHSIG by the device key
}

// Session answers POST /v1/sessions and GET /v1/sessions/current.
type Session struct {
	Bearer      string       `json:"bearer,omitempty"`         // only in the answer to the POST that opens a session
	Person      canon.ID     `json:"person"`                   // whose session it is
	Name        string       `json:"name,omitempty"`           // as the identity provider gives it
	Email       string       `json:"email,omitempty"`          // if the identity provider has verified it
	Issuer      string       `json:"issuer"`                   // URL of the identity provider
	Groups      []string     `json:"groups,omitempty"`         // that the identity provider named last
	GroupsKnown bool         `json:"groups_known"`             // whether it named any, or none; unknown is not empty
	ClaimsAt    canon.Micros `json:"claims_at"`                // when the identity provider said so
	FreshUntil  canon.Micros `json:"fresh_until_at,omitempty"` // then the claims are too old to ask for something or to get a certificate
	ExpiresAt   canon.Micros `json:"expires_at"`               // end of the session
	DeviceKey   string       `json:"device_key,omitempty"`     // SHA256:… fingerprint
}

// HostsQuery holds the parameters of GET /v1/hosts.
type HostsQuery struct {
	Limit int64        `json:"limit,omitempty" range:"1..1000"` // of hosts; without it all of them
	After sshcert.Host `json:"after,omitempty"`                 // the name of the last host of the page before
}

// RolesQuery holds the parameters of GET /v1/roles. Both may be repeated: each
// login on each host is asked about, at most 64 pairs.
type RolesQuery struct {
	Login []sshcert.Login `json:"login,omitempty"` // on the hosts
	Host  []sshcert.Host  `json:"host,omitempty"`  // name of a joined host
}

// RoleOption is one way to ask for a login on a host: GET /v1/roles?login=&host=.
// Without parameters it is a role that the person may ask for, with its hosts.
type RoleOption struct {
	Contract    Contract        `json:"contract"`                  // that the role is in
	Role        string          `json:"role"`                      // id of the role
	Clause      string          `json:"clause"`                    // of the contract's prose
	Logins      []sshcert.Login `json:"logins"`                    // all of the role
	Hosts       []sshcert.Host  `json:"hosts,omitempty"`           // all of the role; only where no host was asked about
	MaxSeconds  int64           `json:"max_seconds" range:"1..."`  // longest grant
	CertSeconds int64           `json:"cert_seconds" range:"1..."` // how long one certificate lasts at most
	Approvers   []string        `json:"approvers"`                 // groups of the first stage; none if nobody is asked
	Stages      []RoleStage     `json:"stages"`                    // one after the other
	MinWords    int             `json:"min_words" range:"0..."`    // of the reason
	Ticket      *RoleTicket     `json:"ticket,omitempty"`          // absent: a request may name any ticket or none
}

// RoleTicket says whether a request for a role names a ticket, and of what form.
type RoleTicket struct {
	Required bool   `json:"required"`          // no request without one
	Pattern  string `json:"pattern,omitempty"` // a regular expression (RE2) that the whole ticket matches
}

// RoleStage is one stage in which a request for a role is decided.
type RoleStage struct {
	Stage          string   `json:"stage"`                        // id of the stage
	Need           int      `json:"need" range:"1..."`            // different people
	From           []string `json:"from"`                         // groups that decide in it
	TimeoutSeconds int64    `json:"timeout_seconds" range:"1..."` // silence after which the request expires
}

// RequestRequest is the body of POST /v1/requests.
type RequestRequest struct {
	Document   string `json:"document"`         // record.RequestDoc as canonical JSON
	Signature  string `json:"signature"`        // armored SSHSIG by the device key
	PersonSalt string `json:"person_salt"`      // b64 of the salt that the document commits to the reason and the ticket with
	Reason     string `json:"reason"`           // why, one line of at most 1000 bytes
	Ticket     string `json:"ticket,omitempty"` // the ticket it is for, one line of at most 1000 bytes
}

// CancelRequest is the body of POST /v1/requests/{id}/cancel.
type CancelRequest struct {
	Document  string `json:"document"`  // record.CancelDoc as canonical JSON
	Signature string `json:"signature"` // armored SSHSIG by the device key
}

// RevocationRequest is the body of POST /v1/revocations.
type RevocationRequest struct {
	Document  string `json:"document"`  // record.RevokeDoc as canonical JSON
	Signature string `json:"signature"` // armored SSHSIG by the device key
	Because   string `json:"because"`   // why, one line of at most 1000 bytes
}

// Revocation is a revocation that is in the ledger.
type Revocation struct {
	Revocation canon.ID     `json:"revocation"`                                               // of the document
	At         canon.Micros `json:"at"`                                                       // ledger time
	Index      int64        `json:"index" range:"0..."`                                       // of its ledger entry
	Lineage    canon.Digest `json:"lineage"`                                                  // of the contract
	Target     string       `json:"target" enum:"certificate,grant,request,person,role,host"` // what is revoked
	Serial     uint64       `json:"serial,omitempty" range:"1..."`                            // of a certificate
	ID         canon.ID     `json:"id,omitempty"`                                             // of a grant, a request or a person
	Role       string       `json:"role,omitempty"`                                           // id of a role
	Host       sshcert.Host `json:"host,omitempty"`                                           // name of a host
}

// Revoked says what revoked a request.
type Revoked struct {
	At        canon.Micros `json:"at"`                                                // ledger time
	Target    string       `json:"target" enum:"grant,request,person,role,host,lock"` // what was revoked; lock: the account was locked
	By        canon.ID     `json:"by,omitempty"`                                      // the person who did; absent: the operator of the server
	ByName    string       `json:"by_name,omitempty"`                                 // as the account calls itself
	ByAccount string       `json:"by_account,omitempty"`                              // what tells it from others of that name
	Because   string       `json:"because,omitempty"`                                 // why; not of a lock
}

// RevocationListQuery holds the parameters of GET /v1/hosts/krl.
type RevocationListQuery struct {
	Lineage canon.Digest `json:"lineage"`                      // digest of version 1 of the hosts' contract
	After   int64        `json:"after,omitempty" range:"0..."` // number of the list that one has
	Wait    int64        `json:"wait,omitempty" range:"0..60"` // seconds to wait for another one; needs after
}

// RevocationList answers GET /v1/hosts/krl.
type RevocationList struct {
	Number    int64  `json:"number" range:"1..."` // of the list; it never falls
	KRL       string `json:"krl,omitempty"`       // b64 of OpenSSH's form; absent if it is the one of after
	Statement string `json:"statement"`           // trust.KRL as canonical JSON, for the lineage
	Signature string `json:"signature"`           // armored SSHSIG over it, namespace sallyport-krl
}

// RequestsQuery holds the parameters of GET /v1/requests.
type RequestsQuery struct {
	Scope  string       `json:"scope" enum:"mine,waiting"`                                               // one's own, or those that one can decide on now
	State  string       `json:"state,omitempty" enum:"pending,granted,denied,expired,cancelled,revoked"` // those in this state only; not with scope waiting
	Host   sshcert.Host `json:"host,omitempty"`                                                          // those that name this host only
	Since  canon.Micros `json:"since,omitempty"`                                                         // those made then or later only
	Before int64        `json:"before,omitempty" range:"0..."`                                           // the `next` of the page before; absent: the newest
	Limit  int64        `json:"limit,omitempty" range:"1..200" default:"50"`                             // how many at most
}

// RequestPath is the variable part of /v1/requests/{id} and below
// /v1/grants/{id}: a grant has the id of its request.
type RequestPath struct {
	ID canon.ID `json:"id"` // of the request
}

// Request is a request as GET /v1/requests/{id} shows it.
type Request struct {
	ID          canon.ID        `json:"id"`                                                            // drawn by whoever asked
	State       string          `json:"state" enum:"pending,granted,denied,expired,cancelled,revoked"` // a settled one never changes
	By          canon.ID        `json:"by"`                                                            // the person who asked
	ByName      string          `json:"by_name,omitempty"`                                             // as the account calls itself
	ByAccount   string          `json:"by_account,omitempty"`                                          // what tells it from others of that name
	Contract    Contract        `json:"contract"`                                                      // the version that was asked under
	Role        string          `json:"role"`                                                          // id of the role
	Clause      string          `json:"clause"`                                                        // of the role
	Logins      []sshcert.Login `json:"logins"`                                                        // each on each of the hosts
	Hosts       []sshcert.Host  `json:"hosts"`                                                         // names of joined hosts
	Seconds     int64           `json:"for_seconds" range:"1..."`                                      // as asked
	Reason      string          `json:"reason,omitempty"`                                              // absent once it was erased
	Ticket      string          `json:"ticket,omitempty"`                                              // absent if none was named, or once it was erased
	SubmittedAt canon.Micros    `json:"submitted_at"`                                                  // when it was recorded
	ExpiresAt   canon.Micros    `json:"expires_at"`                                                    // when a pending request expires, or an expired one did; else 0
	CancelledAt canon.Micros    `json:"cancelled_at,omitempty"`                                        // by whoever asked
	Revoked     *Revoked        `json:"revoked,omitempty"`                                             // once it is revoked
	Decisions   []Decision      `json:"decisions,omitempty"`                                           // so far, in their order
	Stage       string          `json:"stage,omitempty"`                                               // the stage that is waited for
	Need        int             `json:"need,omitempty"`                                                // votes still missing in it
	From        []string        `json:"from,omitempty"`                                                // groups that decide in it
	Grant       *Grant          `json:"grant,omitempty"`                                               // once it is granted
	URL         string          `json:"url"`                                                           // the page where it is decided
}

// Requests answers GET /v1/requests?scope=mine|waiting&state=&host=&since=&before=&limit=,
// newest first. `since` is a time (requests made then or later), `before` a place
// that an earlier answer named.
type Requests struct {
	Requests []Request `json:"requests"`                    // newest first; a page may be short, even empty, before the end
	Next     int64     `json:"next,omitempty" range:"0..."` // the `before` of the next page; absent at the end
}

// Decision is one approver's verdict.
type Decision struct {
	By        canon.ID     `json:"by"`                          // the person who decided
	ByName    string       `json:"by_name,omitempty"`           // as the account calls itself
	ByAccount string       `json:"by_account,omitempty"`        // what tells it from others of that name
	Stage     string       `json:"stage"`                       // id of the stage that it counts in
	Verdict   string       `json:"verdict" enum:"approve,deny"` // one no ends the request
	Seconds   int64        `json:"for_seconds,omitempty"`       // narrowed to; absent: as asked
	Words     string       `json:"words,omitempty"`             // for whoever asked
	At        canon.Micros `json:"at"`                          // when it was recorded
}

// Grant is what a settled request allows.
type Grant struct {
	Start  canon.Micros `json:"start_at"` // the last approval
	End    canon.Micros `json:"end_at"`   // no certificate lives longer
	Active bool         `json:"active"`   // whether certificates can be had now
}

// EventsQuery holds the parameters of GET /v1/events.
type EventsQuery struct {
	After   int64    `json:"after,omitempty" range:"0..."` // events of later entries of the ledger; absent: those to come
	Request canon.ID `json:"request,omitempty"`            // the one request to be told of; absent: all that one may see
}

// Event is the data of a "request" event of GET /v1/events: an entry of the ledger
// about a request was recorded.
type Event struct {
	Request canon.ID `json:"request"`                                                       // that changed
	State   string   `json:"state" enum:"pending,granted,denied,expired,cancelled,revoked"` // of the request, now
	Kind    string   `json:"kind"`                                                          // of the entry: request.submit, certificate.issue, …
}

// Bye is the data of a "bye" event, the last of a stream.
type Bye struct {
	Reason string `json:"reason" enum:"session,stopping"` // session: log in again; stopping: come back
}

// CertificateRequest is the body of POST /v1/grants/{id}/certificates.
type CertificateRequest struct {
	Document            string `json:"document"`             // record.IssueDoc as canonical JSON
	DeviceSignature     string `json:"device_signature"`     // armored SSHSIG by the device key
	PossessionSignature string `json:"possession_signature"` // armored SSHSIG by the key that the certificate is for
}

// Certificate is an issued certificate.
type Certificate struct {
	Certificate string       `json:"certificate"`         // one authorized_keys line
	Serial      uint64       `json:"serial" range:"1..."` // index of its ledger entry + 1
	ValidAfter  canon.Micros `json:"valid_after_at"`      // whole seconds
	ValidBefore canon.Micros `json:"valid_before_at"`     // whole seconds, not after the grant's end
	GrantEnd    canon.Micros `json:"grant_end_at"`        // until then there are further certificates
	Challenge   Challenge    `json:"challenge"`           // for the next issue call
}

// Host is a joined host: GET /v1/hosts. Clients believe none of it before entry
// Leaf of the ledger has proved it, nor that it enforces anything.
type Host struct {
	Name    sshcert.Host      `json:"name"`                  // what principals name
	Address string            `json:"address"`               // where ssh connects
	Port    int               `json:"port" range:"1..65535"` // of sshd
	HostKey string            `json:"host_key"`              // authorized_keys form without comment
	Labels  map[string]string `json:"labels"`                // what roles choose hosts by
	Aliases []sshcert.Host    `json:"aliases,omitempty"`     // its other names, sorted
	Lineage canon.Digest      `json:"lineage"`               // the contract that it belongs to
	Leaf    int64             `json:"leaf" range:"0..."`     // index of the host.join entry that says so
	// LabelLeaf is the index of the host.label entry that gave it other labels than it
	// joined with; absent if none did.
	LabelLeaf int64 `json:"label_leaf,omitempty" range:"1..."`
	// Standing is whether it enforces the ledger, as far as it says: unenforced if it never
	// said a word (no sally-host), silent if its last one is older than five minutes.
	Standing  string     `json:"standing" enum:"enforcing,observing,silent,unenforced"`
	Heartbeat *Heartbeat `json:"heartbeat,omitempty"` // absent if it never said a word
}

// Heartbeat is what a host last said of itself. It is the host's word.
type Heartbeat struct {
	HeardAt   canon.Micros `json:"heard_at"`                    // by the server's clock
	Mode      string       `json:"mode" enum:"observe,require"` // what it does about certificates that it should refuse
	Verifier  string       `json:"verifier"`                    // version of its sally-host
	Findings  int64        `json:"findings" range:"0..."`       // ways around the verifier that its doctor sees
	Bundle    int64        `json:"bundle" range:"0..."`         // number of the trust bundle that it pins; 0: none
	KRL       int64        `json:"krl" range:"0..."`            // number of the revocation list that it uses; 0: none
	KRLMadeAt canon.Micros `json:"krl_made_at,omitempty"`       // when that was made
	// When sshd began to refuse by it, by the host's clock.
	KRLTakenAt canon.Micros `json:"krl_taken_at,omitempty"`
	// How long after the newest revocation that the list knows that was, in milliseconds; absent: there is none since it joined.
	RefusedAfterMS int64 `json:"refused_after_ms,omitempty" range:"1..."`
	Spooled        int64 `json:"spooled" range:"0..."` // events that it has not told yet
	AheadMS        int64 `json:"clock_ahead_ms"`       // how far its clock was ahead of the server's, in milliseconds
}

// HostCallRequest is the body of POST /v1/hosts/calls.
type HostCallRequest struct {
	Document  string `json:"document"`  // canonical JSON, sallyport.host-call/v1
	Signature string `json:"signature"` // armored SSHSIG by the host key
}

// HostJoinRequest is the body of POST /v1/hosts/join.
type HostJoinRequest struct {
	Document  string `json:"document"`  // canonical JSON, sallyport.host-call/v1, its call join
	Signature string `json:"signature"` // armored SSHSIG by the host key
	// Secret is the invitation's, b64; or the identity token of the workload that the
	// invitation names, which is known by its two dots.
	Secret string `json:"secret"`
}

// JoinedHost answers POST /v1/hosts/join.
type JoinedHost struct {
	Name    sshcert.Host      `json:"name"`                  // what principals name
	Address string            `json:"address"`               // where ssh connects
	Port    int               `json:"port" range:"1..65535"` // of sshd
	Labels  map[string]string `json:"labels"`                // what roles choose hosts by
	Aliases []sshcert.Host    `json:"aliases,omitempty"`     // its other names, sorted
	Lineage canon.Digest      `json:"lineage"`               // the contract that it belongs to
	Leaf    int64             `json:"leaf" range:"0..."`     // index of the host.join entry
}

// HostCallAnswer answers POST /v1/hosts/calls; what it has depends on the call.
type HostCallAnswer struct {
	// To certify: one authorized_keys line each.
	Certificate string `json:"certificate,omitempty"` // the host certificate
	HostCA      string `json:"host_ca,omitempty"`     // the key that signed it
	// To events: what became of each, in their order.
	Events []HostEventAnswer `json:"events,omitempty"`
}

// HostEventAnswer says what became of one event.
type HostEventAnswer struct {
	Recorded bool   `json:"recorded"`          // now, or before; told again it stays so
	Finding  string `json:"finding,omitempty"` // why the ledger can't explain a login
	Refused  string `json:"refused,omitempty"` // why it is not recorded, and never will be
}

// BundleQuery holds the parameters of GET /v1/hosts/bundle.
type BundleQuery struct {
	Lineage canon.Digest `json:"lineage"`                       // of the contract that the host belongs to
	Number  int64        `json:"number,omitempty" range:"1..."` // of the bundle; absent: the newest
}

// HostActRequest is the body of POST /v1/hosts/acts.
type HostActRequest struct {
	Document  string `json:"document"`  // canonical JSON, sallyport.hosts/v1
	Signature string `json:"signature"` // armored SSHSIG by the device key
}

// HostAct answers POST /v1/hosts/acts.
type HostAct struct {
	Act   string       `json:"act" enum:"invite,label,release,retire"` // what was done
	ID    canon.ID     `json:"id"`                                     // of the invitation, change or retirement
	Host  sshcert.Host `json:"host"`                                   // to which host
	Waits bool         `json:"waits"`                                  // a second host admin has to do the same
}

// EntriesQuery holds the parameters of GET /v1/ledger/entries. What is looked for
// in facts is found in entries alone whose facts one may see; all of it must be so.
type EntriesQuery struct {
	Person   string        `json:"person,omitempty"`                            // id of whom it is by or about, or: me
	Who      string        `json:"who,omitempty"`                               // the same by name, address or handle: one's own, or with people by an auditor
	Host     sshcert.Host  `json:"host,omitempty"`                              // that was asked for
	Login    sshcert.Login `json:"login,omitempty"`                             // that was asked for
	Role     string        `json:"role,omitempty"`                              // by which it was asked for
	Request  canon.ID      `json:"request,omitempty"`                           // to which it belongs
	Contract canon.Digest  `json:"contract,omitempty"`                          // the version that it names
	Serial   uint64        `json:"serial,omitempty" range:"1..."`               // of a certificate
	Key      string        `json:"key,omitempty"`                               // fingerprint of a device key or of a certificate's: SHA256:…
	Kind     string        `json:"kind,omitempty"`                              // such as certificate.issue
	Since    string        `json:"since,omitempty"`                             // RFC 3339, a day, or how long ago: 90m, 24h, 7d, 2w
	Until    string        `json:"until,omitempty"`                             // the same; entries before it
	Text     string        `json:"text,omitempty"`                              // that stands in it, large or small; needs since
	People   int64         `json:"people,omitempty" range:"1..1"`               // show person parts about others by an auditor's office, which is recorded
	Order    string        `json:"order,omitempty" enum:"newest,oldest"`        // which come first; absent: newest
	Cursor   string        `json:"cursor,omitempty"`                            // where to go on: next of the page before
	From     int64         `json:"from,omitempty" range:"0..."`                 // entries from this index on; not with cursor
	Before   int64         `json:"before,omitempty" range:"0..."`               // entries with a lower index; not with cursor
	Limit    int64         `json:"limit,omitempty" range:"1..200" default:"50"` // how many at most
}

// EntryQuery holds the parameters of GET /v1/ledger/entries/{index}.
type EntryQuery struct {
	People int64 `json:"people,omitempty" range:"1..1"` // show a person part about somebody else by an auditor's office, which is recorded
}

// ExportQuery holds the parameters of GET /v1/ledger/export.
type ExportQuery struct {
	People int64 `json:"people,omitempty" range:"1..1"` // person parts about others, too, by an auditor's office, which is recorded
}

// EntryPath is the variable part of /v1/ledger/entries/{index}.
type EntryPath struct {
	Index int64 `json:"index" range:"0..."` // of the entry
}

// Entries answers GET /v1/ledger/entries: one page. It may be short, even empty,
// before the end: what is looked for is then rare, or the openings are large.
type Entries struct {
	Size     int64   `json:"size" range:"0..."`     // of the committed log
	Entries  []Entry `json:"entries"`               // in the order asked for
	Searched int64   `json:"searched" range:"0..."` // up to here it is searched: from this entry on, or, oldest first, before it
	Next     string  `json:"next,omitempty"`        // cursor of the next page; absent at the end
}

// Entry is one leaf. Facts and the openings are there only for those who may
// see them.
type Entry struct {
	Index      int64        `json:"index" range:"0..."`    // counted from 0
	Kind       string       `json:"kind"`                  // such as request.submit
	Leaf       string       `json:"leaf"`                  // the six lines
	At         canon.Micros `json:"at"`                    // ledger time
	Facts      string       `json:"facts,omitempty"`       // canonical JSON
	FactsSalt  string       `json:"facts_salt,omitempty"`  // b64; opens the leaf's facts commitment
	Person     string       `json:"person,omitempty"`      // canonical JSON
	PersonSalt string       `json:"person_salt,omitempty"` // b64; opens the leaf's person commitment
}

// OpeningsRequest is the body of POST /v1/ledger/openings.
type OpeningsRequest struct {
	Document  string `json:"document"`  // canonical JSON, sallyport.feed/v1
	Signature string `json:"signature"` // b64; by the cosigner's key
}

// EntryProof answers GET /v1/ledger/entries/{index}.
type EntryProof struct {
	Entry
	Proof       string `json:"proof"`                 // C2SP tlog-proof, checkpoint included
	Certificate string `json:"certificate,omitempty"` // that the entry recorded, one authorized_keys line
}

// Problem is an RFC 9457 problem document.
type Problem struct {
	Type     string `json:"type"`                    // /problems/ and a word that never changes its meaning; branch on this
	Title    string `json:"title"`                   // the same for every problem of the type
	Status   int    `json:"status" range:"400..599"` // that of the answer
	Detail   string `json:"detail,omitempty"`        // one sentence for the person: what, which limit or clause, what to do
	Instance string `json:"instance,omitempty"`      // the request id of the log line
}

// How a part of the server is, or the whole.
const (
	PartOK       = "ok"
	PartDegraded = "degraded"
	PartFailed   = "failed"
)

// Readiness answers GET /readyz, with 503 if nothing could be issued now.
type Readiness struct {
	Status string `json:"status"` // PartOK, PartDegraded or PartFailed
	Parts  []Part `json:"parts"`
}

// Part is how one part of the server is. Details are in the server's log.
type Part struct {
	Part   string `json:"part"`
	Status string `json:"status"` // PartOK, PartDegraded or PartFailed
	Text   string `json:"text"`   // one sentence
}
