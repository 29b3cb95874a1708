package record

import (
	"crypto/sha256"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

// Actor says who did something about hosts: a host admin of the contract in force,
// by a document that the device key of their login signed, or the operator.
type Actor struct {
	By string `json:"by"` // ByPerson or ByOperator
	// Of a person; absent for the operator.
	Person    canon.ID `json:"person,omitempty"`
	Claims    Claims   `json:"claims,omitzero"`
	Document  string   `json:"document,omitempty"` // HostsDoc as signed
	Signature string   `json:"signature,omitempty"`
}

// HostJoin records a host: its name, where it is reached, its key and labels.
type HostJoin struct {
	At      canon.Micros `json:"at"`
	Join    canon.ID     `json:"join"`
	Lineage canon.Digest `json:"lineage"`
	Name    sshcert.Host `json:"name"`
	Address string       `json:"address"`
	Port    int          `json:"port"`
	HostKey string       `json:"host_key"` // b64 of the SSH wire form
	Labels  []Label      `json:"labels,omitempty"`
	// Aliases are the host's other names, sorted; absent for none.
	Aliases []sshcert.Host `json:"aliases,omitempty"`
	// By an invitation: which, and the host's call. Absent if the operator added it.
	Invitation     canon.ID     `json:"invitation,omitempty"`
	InvitationLeaf canon.Digest `json:"invitation_leaf,omitzero"`
	// Workload is whose identity token the server has seen; absent where the host knew a
	// secret.
	Workload  Workload `json:"workload,omitzero"`
	Document  string   `json:"document,omitempty"` // hostcall, as signed
	Signature string   `json:"signature,omitempty"`
}

// HostInvite records that a host may join, once: under this name, with these
// labels, in this lineage, by whoever knows the secret.
type HostInvite struct {
	At         canon.Micros `json:"at"`
	Invitation canon.ID     `json:"invitation"`
	Lineage    canon.Digest `json:"lineage"`
	Contract   canon.Digest `json:"contract"` // the version in force
	Name       sshcert.Host `json:"name"`
	Address    string       `json:"address"`
	Port       int          `json:"port"`
	Labels     []Label      `json:"labels,omitempty"`
	// Aliases are the host's other names, sorted; absent for none.
	Aliases []sshcert.Host `json:"aliases,omitempty"`
	Secret  canon.Digest   `json:"secret,omitzero"` // InvitationSecret of the secret
	// Workload is who joins by an identity token, in the place of a secret.
	Workload  Workload     `json:"workload,omitzero"`
	Bundle    canon.Digest `json:"bundle"` // of the trust bundle that the host is to pin
	ExpiresAt canon.Micros `json:"expires_at"`
	Who       Actor        `json:"who"`
}

// HostCertify records a host certificate before it is signed.
type HostCertify struct {
	At        canon.Micros `json:"at"`
	Lineage   canon.Digest `json:"lineage"`
	Host      sshcert.Host `json:"host"`
	Serial    uint64       `json:"serial"`        // leaf index + 1
	Nonce     string       `json:"nonce"`         // b64, 32 bytes
	Seconds   int64        `json:"valid_seconds"` // how long it is good
	Authority string       `json:"authority"`     // b64 of the host CA's SSH wire form
	TBS       string       `json:"tbs"`           // b64 of what is signed
	Document  string       `json:"document"`      // hostcall, as signed by the host key
	Signature string       `json:"signature"`
}

// HostLabel records that a host admin wants a host to have other labels. Two of
// them do: the first leaf of a change proposes it, the second, by another human,
// makes it.
type HostLabel struct {
	At       canon.Micros `json:"at"`
	Label    canon.ID     `json:"label"`  // of this leaf
	Change   canon.ID     `json:"change"` // that both leaves name
	Lineage  canon.Digest `json:"lineage"`
	Contract canon.Digest `json:"contract"`
	Host     sshcert.Host `json:"host"`
	Was      canon.Digest `json:"was"` // LabelsDigest of the labels that it has
	Labels   []Label      `json:"labels,omitempty"`
	Who      Actor        `json:"who"`
}

// HostRetire records that a host is no more: nobody is let in any longer by what
// was granted on it, and its name stays its own.
type HostRetire struct {
	At         canon.Micros `json:"at"`
	Retirement canon.ID     `json:"retirement"`
	Lineage    canon.Digest `json:"lineage"`
	Contract   canon.Digest `json:"contract,omitzero"` // the version in force; absent for the operator
	Host       sshcert.Host `json:"host"`
	Who        Actor        `json:"who"`
}

// HostRelease records that a host admin lets a host go from its contract to another
// one. Until it has joined that one it is nobody's.
type HostRelease struct {
	At       canon.Micros `json:"at"`
	Release  canon.ID     `json:"release"`
	Lineage  canon.Digest `json:"lineage"`  // of the contract that lets it go
	Contract canon.Digest `json:"contract"` // its version in force
	Host     sshcert.Host `json:"host"`
	To       canon.Digest `json:"to"` // lineage of the contract that it may join
	Who      Actor        `json:"who"`
}

// LoginOpen records that a host let somebody in. It is the host's word.
type LoginOpen struct {
	At      canon.Micros  `json:"at"`
	Session canon.ID      `json:"session"` // drawn by the host
	Lineage canon.Digest  `json:"lineage"`
	Host    sshcert.Host  `json:"host"`
	Login   sshcert.Login `json:"login"`
	Serial  uint64        `json:"serial,omitempty"` // absent: by no certificate
	// Certificate is the hash of the leaf that recorded it; zero if there is none.
	Certificate canon.Digest `json:"certificate,omitzero"`
	Finding     LoginFinding `json:"finding,omitempty"` // why the ledger can't explain it
	OpenedAt    canon.Micros `json:"opened_at"`         // by the host's clock
	Call        canon.Digest `json:"call"`              // SHA-256 of the document in which the host told it
}

// LoginFinding says why the ledger can't explain a login that a host reports.
type LoginFinding string

// The findings.
const (
	LoginExplained LoginFinding = ""
	LoginNoSerial  LoginFinding = "no_certificate" // it came about without a certificate: an offline key, say
	LoginUnknown   LoginFinding = "unknown"        // no leaf recorded a certificate with that serial
	LoginVoid      LoginFinding = "void"           // the certificate was given up, nobody should have it
	LoginElsewhere LoginFinding = "elsewhere"      // the certificate is not for this login on this host
	LoginOutside   LoginFinding = "outside"        // the certificate was not valid then
)

// LoginClose records that a session which a host had opened has ended.
type LoginClose struct {
	At       canon.Micros `json:"at"`
	Session  canon.ID     `json:"session"`
	Lineage  canon.Digest `json:"lineage"`
	Host     sshcert.Host `json:"host"`
	Open     canon.Digest `json:"open"` // hash of the login.open or login.offline leaf
	How      hostcall.How `json:"how"`
	ClosedAt canon.Micros `json:"closed_at"`
	Call     canon.Digest `json:"call"`
}

// LoginRefuse records how often a host refused somebody within one minute, and why.
type LoginRefuse struct {
	At       canon.Micros     `json:"at"`
	Refusal  canon.ID         `json:"refusal"`
	Lineage  canon.Digest     `json:"lineage"`
	Host     sshcert.Host     `json:"host"`
	MinuteAt canon.Micros     `json:"minute_at"`
	Counts   []hostcall.Count `json:"counts"`
	Call     canon.Digest     `json:"call"`
}

// LoginOffline records that a host let somebody in by a security key that opens it when
// everything else is down. It is the host's word, and the use is owed a review: nobody
// approved it.
type LoginOffline struct {
	At       canon.Micros  `json:"at"`
	Session  canon.ID      `json:"session"` // drawn by the host
	Lineage  canon.Digest  `json:"lineage"`
	Host     sshcert.Host  `json:"host"`
	Login    sshcert.Login `json:"login"`
	Key      string        `json:"key"`       // b64 of its SSH wire form
	OpenedAt canon.Micros  `json:"opened_at"` // by the host's clock
	Call     canon.Digest  `json:"call"`      // SHA-256 of the document in which the host told it
}

func (HostInvite) Kind() ledger.Kind         { return ledger.HostInvite }
func (f HostInvite) When() canon.Micros      { return f.At }
func (f HostInvite) Reference() string       { return string(f.Invitation) }
func (f HostInvite) InLineage() canon.Digest { return f.Lineage }

func (HostCertify) Kind() ledger.Kind    { return ledger.HostCertify }
func (f HostCertify) When() canon.Micros { return f.At }

// Reference returns the SHA-256 of the bytes to be signed.
func (f HostCertify) Reference() string {
	tbs, err := canon.ParseB64(f.TBS)
	if err != nil {
		return "" // no leaf has an empty reference, so it is refused
	}
	return canon.Digest(sha256.Sum256(tbs)).String()
}
func (f HostCertify) InLineage() canon.Digest { return f.Lineage }

func (HostLabel) Kind() ledger.Kind         { return ledger.HostLabel }
func (f HostLabel) When() canon.Micros      { return f.At }
func (f HostLabel) Reference() string       { return string(f.Label) }
func (f HostLabel) InLineage() canon.Digest { return f.Lineage }

func (HostRetire) Kind() ledger.Kind         { return ledger.HostRetire }
func (f HostRetire) When() canon.Micros      { return f.At }
func (f HostRetire) Reference() string       { return string(f.Retirement) }
func (f HostRetire) InLineage() canon.Digest { return f.Lineage }

func (HostRelease) Kind() ledger.Kind         { return ledger.HostRelease }
func (f HostRelease) When() canon.Micros      { return f.At }
func (f HostRelease) Reference() string       { return string(f.Release) }
func (f HostRelease) InLineage() canon.Digest { return f.Lineage }

func (LoginOpen) Kind() ledger.Kind         { return ledger.LoginOpen }
func (f LoginOpen) When() canon.Micros      { return f.At }
func (f LoginOpen) Reference() string       { return string(f.Session) }
func (f LoginOpen) InLineage() canon.Digest { return f.Lineage }

func (LoginClose) Kind() ledger.Kind         { return ledger.LoginClose }
func (f LoginClose) When() canon.Micros      { return f.At }
func (f LoginClose) Reference() string       { return string(f.Session) }
func (f LoginClose) InLineage() canon.Digest { return f.Lineage }

func (LoginRefuse) Kind() ledger.Kind         { return ledger.LoginRefuse }
func (f LoginRefuse) When() canon.Micros      { return f.At }
func (f LoginRefuse) Reference() string       { return string(f.Refusal) }
func (f LoginRefuse) InLineage() canon.Digest { return f.Lineage }

func (LoginOffline) Kind() ledger.Kind         { return ledger.LoginOffline }
func (f LoginOffline) When() canon.Micros      { return f.At }
func (f LoginOffline) Reference() string       { return string(f.Session) }
func (f LoginOffline) InLineage() canon.Digest { return f.Lineage }
