// Package contract owns access contracts: who may get which login on which
// host, for how long, and who must say yes.
//
// A contract version is three files: contract.md (the prose that people read),
// terms.yaml (the same rules for programs) and manifest.json, which names both
// by digest. Load reads and checks them; Version.VerifySignature and
// Version.Missing say whether the parties have signed; Terms.Evaluate answers
// whether the terms allow a request and who decides it.
//
// The package is pure: it touches no disk, network, clock or randomness, so the
// server and an auditor years later come to the same answer from the same bytes.
// docs/formats.md describes each format so that it can be written again.
package contract

import (
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Schema is the value of the key "terms": the language that terms.yaml is
// written in. Keys of it are only ever added.
const Schema = "sallyport/v1"

// Terms is what a terms.yaml says, every default filled in and every reference
// checked. ParseTerms makes it; nobody changes it afterwards. Lists that have no
// order of their own are sorted: Terms of equal meaning are deeply equal.
type Terms struct {
	ID          string // the contract's id
	Title       string // 1 to 200 printable characters
	Parties     []Party
	Signatories []Signatory
	Effect      Effect
	Issuers     []Issuer
	Groups      []Group
	Cosigners   []Cosigner     // by ID; none unless the terms name some
	Offices     []OfficeGroups // sorted by office; empty if the terms name none
	Calendars   []Calendar     // by ID
	Ceilings    Ceilings
	Roles       []Role
	Obligations []Obligation // by ID
	Review      Review
	Monitoring  Monitoring
	Frameworks  []Framework // by ID
	Law         Law
	Retention   Retention
}

// Retention says how long it stays readable who a person was that acted under
// the contract.
type Retention struct {
	Clause string        // the clause of the prose that it stands for; empty if none is named
	Period time.Duration // from the person's last act on; 365 days unless set
}

// Party is an organisation that the contract binds.
type Party struct {
	ID       string
	Name     string // 1 to 200 printable characters
	Capacity string // what it is towards the data, an id such as "controller"; empty if none is named
	Notice   string // where notices to it go, such as a mail address; empty if none is named
	Roots    *Roots // nil if the party keeps none
}

// Roots are the keys with which a party recovers lost signatories and vouches
// for credentials.
type Roots struct {
	Need int // how many of Keys must sign together: 1 to len(Keys)
	Keys []Key
}

// Key is a named public key pinned by the terms: ed25519, ECDSA, RSA of at
// least 3072 bits or a FIDO key, never a certificate.
type Key struct {
	Name      string
	PublicKey ssh.PublicKey
}

// Cosigner is a program of a party that confirms the ledger after it has
// replayed what belongs to the contract (a party cosigner). No certificate is
// made under the contract, and no proof of one believed, without the words of
// all of them.
type Cosigner struct {
	ID    string
	Party string // whose it is; id of a Party
	Key   string // by what its word is known: a vkey of C2SP tlog-cosignature, NAME+ID+KEY
}

// Name returns what the cosigner calls itself, the first part of its Key.
func (c Cosigner) Name() string {
	name, _, _ := strings.Cut(c.Key, "+")
	return name
}

// Assurance says by which means a signatory has to sign.
type Assurance string

// The assurances of a signatory, weakest first. AssuranceSKUV and
// AssuranceWebAuthn are equally strong.
const (
	AssuranceSSH      Assurance = "ssh"         // an SSHSIG by the pinned key
	AssuranceSKUP     Assurance = "sk-up"       // an SSHSIG by a FIDO key that was touched
	AssuranceSKUV     Assurance = "sk-uv"       // by a FIDO key that was touched and verified its user
	AssuranceWebAuthn Assurance = "webauthn-uv" // a passkey's assertion, user verified
)

// Signatory is one signature line of the contract: Need of the people in Of sign
// it for Party in the given Capacity. Party and Capacity together are unique,
// and each person stands in one line only.
type Signatory struct {
	Party     string
	Capacity  string // such as "ciso"; an id
	Need      int    // 1 to len(Of)
	Of        []Key
	Assurance Assurance
	OnlyIf    []Class // classes of amendments that the line signs, sorted as Classes; empty: every one
}

// Issuer is an OpenID Connect provider whose word about a person is taken.
type Issuer struct {
	ID      string
	URL     string // the iss claim, compared byte for byte; https, or http on loopback
	Clients Clients
	Algs    []string // JWS algorithms accepted for ID tokens
	Subject string   // claim that names the person for good; "sub" unless set
	Groups  string   // claim that lists the groups; "groups" unless set
	Flows   []Flow
}

// Clients are the OAuth client ids under which our programs log in; at least one
// is set.
type Clients struct {
	CLI string // sally
	Web string // the pages
}

// Flow is a way to log in.
type Flow string

// FlowCode is the authorization code flow with PKCE (RFC 7636).
const FlowCode Flow = "code"

// Group is a name for one value of an issuer's groups claim.
type Group struct {
	ID     string
	Issuer string // id of an Issuer
	Claim  string // the value, compared byte for byte
}

// Ceilings are limits that no role of the contract may exceed.
type Ceilings struct {
	Grant        time.Duration // longest grant
	CertTTL      time.Duration // longest certificate; 15 minutes unless set
	BreakGlass   time.Duration // longest grant by break-glass; 0: as Grant
	ApprovalTTL  time.Duration // how long after the last approval a first certificate may be had; 0: as long as the grant
	Quorum       int           // smallest quorum that a stage may have; 1 unless set
	ClaimsMaxAge ClaimsMaxAge
}

// ClaimsMaxAge says how old an identity provider's word about a person may be.
type ClaimsMaxAge struct {
	Decide time.Duration // when that person decides; 15 minutes unless set
	Issue  time.Duration // when a certificate is made for them; 60 minutes unless set
}

// Role returns the role with that id.
func (t *Terms) Role(id string) (*Role, bool) {
	for i := range t.Roles {
		if t.Roles[i].ID == id {
			return &t.Roles[i], true
		}
	}
	return nil, false
}

// Issuer returns the issuer with that id.
func (t *Terms) Issuer(id string) (*Issuer, bool) {
	for i := range t.Issuers {
		if t.Issuers[i].ID == id {
			return &t.Issuers[i], true
		}
	}
	return nil, false
}

// Group returns the group with that id.
func (t *Terms) Group(id string) (*Group, bool) {
	for i := range t.Groups {
		if t.Groups[i].ID == id {
			return &t.Groups[i], true
		}
	}
	return nil, false
}

// Party returns the party with that id.
func (t *Terms) Party(id string) (*Party, bool) {
	for i := range t.Parties {
		if t.Parties[i].ID == id {
			return &t.Parties[i], true
		}
	}
	return nil, false
}

// Stage returns the stage with that id.
func (p *Path) Stage(id string) (*Stage, bool) {
	for i := range p.Stages {
		if p.Stages[i].ID == id {
			return &p.Stages[i], true
		}
	}
	return nil, false
}
