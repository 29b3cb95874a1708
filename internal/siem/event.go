// Package siem writes the ledger's entries for a SIEM: one JSON object for each, to
// a file or to syslog. They tell facts: pseudonymous ids, hosts, logins, verdicts,
// serials, times. Nothing of a person part is in them, nor text that anybody wrote,
// nor a signature or a document.
package siem

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// EventVersion is the version of the form of an event (docs/operations.md).
const EventVersion = "sallyport.event/v1"

// ErrEntry says that an entry can't be told of: the database does not have what it
// hides.
var ErrEntry = errors.New("the entry can't be read")

// Event is one entry of the ledger, told.
type Event struct {
	V         string `json:"v"`
	Origin    string `json:"origin"`
	Index     int64  `json:"index"`
	Time      string `json:"time"` // RFC 3339, UTC, microseconds
	Kind      string `json:"kind"`
	Leaf      string `json:"leaf"` // b64 of the leaf's hash
	Reference string `json:"reference"`
	Lineage   string `json:"lineage,omitempty"`
	Facts     any    `json:"facts,omitempty"` // by kind; absent for kinds of which nothing more is told
}

// Facts of the kinds of which something more is told.
type (
	keyFacts struct {
		Purpose string `json:"purpose"`
		Key     string `json:"key"` // fingerprint
	}
	hostFacts struct {
		Name    string            `json:"name"`
		Address string            `json:"address"`
		Port    int               `json:"port"`
		Key     string            `json:"key"` // fingerprint
		Labels  map[string]string `json:"labels,omitempty"`
		Aliases []string          `json:"aliases,omitempty"`
	}
	hostActFacts struct {
		Host      string            `json:"host"`
		Person    string            `json:"person,omitempty"`
		By        string            `json:"by"`
		Labels    map[string]string `json:"labels,omitempty"`
		Aliases   []string          `json:"aliases,omitempty"`
		Change    string            `json:"change,omitempty"`
		To        string            `json:"to,omitempty"` // lineage
		ExpiresAt string            `json:"expires_at,omitempty"`
	}
	hostCertificateFacts struct {
		Host    string `json:"host"`
		Serial  string `json:"serial"`
		Seconds int64  `json:"valid_seconds"`
	}
	sessionFacts struct {
		Session  string `json:"session"`
		Host     string `json:"host"`
		Login    string `json:"login,omitempty"`
		Serial   string `json:"serial,omitempty"` // "0": by no certificate
		Finding  string `json:"finding,omitempty"`
		Key      string `json:"key,omitempty"` // fingerprint of the offline key
		How      string `json:"how,omitempty"`
		OpenedAt string `json:"opened_at,omitempty"`
		ClosedAt string `json:"closed_at,omitempty"`
	}
	refusalFacts struct {
		Host   string           `json:"host"`
		Minute string           `json:"minute"`
		Counts map[string]int64 `json:"counts"`
	}
	contractFacts struct {
		Contract string `json:"contract"`
	}
	loginFacts struct {
		Person string   `json:"person"`
		Issuer string   `json:"issuer"`
		Client string   `json:"client"`
		Flow   string   `json:"flow"`
		ACR    string   `json:"acr,omitempty"`
		AMR    []string `json:"amr,omitempty"`
		Groups []string `json:"groups,omitempty"`
	}
	linkFacts struct {
		People []string `json:"people"`
		By     string   `json:"by"`
	}
	requestFacts struct {
		Request  string   `json:"request"`
		Person   string   `json:"person"`
		Contract string   `json:"contract"`
		Role     string   `json:"role"`
		Logins   []string `json:"logins"`
		Hosts    []string `json:"hosts"`
		Seconds  int64    `json:"for_seconds"`
	}
	decisionFacts struct {
		Request   string `json:"request"`
		Person    string `json:"person,omitempty"`
		Stage     string `json:"stage,omitempty"`
		Verdict   string `json:"verdict,omitempty"`
		Seconds   int64  `json:"for_seconds,omitempty"`
		Assurance string `json:"assurance,omitempty"`
	}
	certificateFacts struct {
		Serial      string   `json:"serial"`
		Person      string   `json:"person"`
		Request     string   `json:"request"`
		Contract    string   `json:"contract"`
		KeyID       string   `json:"key_id"`
		Key         string   `json:"key"` // fingerprint of the subject key
		Principals  []string `json:"principals"`
		ValidAfter  string   `json:"valid_after"`
		ValidBefore string   `json:"valid_before"`
	}
	revokeFacts struct {
		Type      string `json:"type"`
		Serial    string `json:"serial,omitempty"`
		Request   string `json:"request,omitempty"` // of a grant or a request
		Role      string `json:"role,omitempty"`
		Host      string `json:"host,omitempty"`
		About     string `json:"about,omitempty"` // whose access it was
		Contract  string `json:"contract"`
		By        string `json:"by"`
		Person    string `json:"person,omitempty"` // who revoked
		Assurance string `json:"assurance,omitempty"`
	}
	lockFacts struct {
		Person string `json:"person"`
		By     string `json:"by"`
	}
	voidFacts struct {
		Serial string `json:"serial"`
	}
)

type (
	contractEndFacts struct {
		Contract string `json:"contract"`
		EndsAt   string `json:"ends_at"`
	}
	carryFacts struct {
		Grant string `json:"grant"`
		From  string `json:"from"`
		To    string `json:"to"`
	}
)

// NewEvent tells of an entry.
func NewEvent(origin string, e store.Entry) (Event, error) {
	out := Event{
		V: EventVersion, Origin: origin, Index: e.Index, Time: stamp(e.At.Time()), Kind: string(e.Leaf.Kind),
		Leaf: canon.Digest(tlog.RecordHash(e.Text)).String(), Reference: e.Leaf.Reference,
	}
	if !e.Leaf.Lineage.IsZero() {
		out.Lineage = e.Leaf.Lineage.String()
	}
	if !e.Leaf.Kind.Known() {
		return out, nil
	}
	facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
	if err == nil {
		out.Facts, err = factsOf(facts)
	}
	if err != nil {
		return Event{}, fmt.Errorf("leaf %d: %w: %w", e.Index, ErrEntry, err)
	}
	return out, nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z07:00") }

func factsOf(facts record.Facts) (any, error) {
	switch f := facts.(type) {
	case record.ContractPropose:
		return contractFacts{f.Contract.String()}, nil
	case record.ContractSign:
		return contractFacts{f.Contract.String()}, nil
	case record.ContractWithdraw:
		return contractFacts{f.Contract.String()}, nil
	case record.ContractCondition:
		return contractFacts{f.Contract.String()}, nil
	case record.ContractTerminate:
		return contractEndFacts{Contract: f.Contract.String(), EndsAt: stamp(f.EndsAt.Time())}, nil
	case record.GrantCarry:
		return carryFacts{Grant: string(f.Grant), From: f.From.String(), To: f.To.String()}, nil
	case record.KeyAdd:
		key, err := fingerprint(f.Key)
		return keyFacts{Purpose: string(f.Purpose), Key: key}, err
	case record.HostJoin:
		return hostOf(f)
	case record.HostInvite:
		return hostActFacts{Host: string(f.Name), Person: string(f.Who.Person), By: f.Who.By, Labels: labelsOf(f.Labels), Aliases: texts(f.Aliases), ExpiresAt: stamp(f.ExpiresAt.Time())}, nil
	case record.HostCertify:
		return hostCertificateFacts{Host: string(f.Host), Serial: serial(f.Serial), Seconds: f.Seconds}, nil
	case record.HostLabel:
		return hostActFacts{Host: string(f.Host), Person: string(f.Who.Person), By: f.Who.By, Labels: labelsOf(f.Labels), Change: string(f.Change)}, nil
	case record.HostRetire:
		return hostActFacts{Host: string(f.Host), Person: string(f.Who.Person), By: f.Who.By}, nil
	case record.HostRelease:
		return hostActFacts{Host: string(f.Host), Person: string(f.Who.Person), By: f.Who.By, To: f.To.String()}, nil
	case record.LoginOpen:
		return sessionFacts{
			Session: string(f.Session), Host: string(f.Host), Login: string(f.Login), Serial: serial(f.Serial), Finding: string(f.Finding), OpenedAt: stamp(f.OpenedAt.Time()),
		}, nil
	case record.LoginClose:
		return sessionFacts{Session: string(f.Session), Host: string(f.Host), How: string(f.How), ClosedAt: stamp(f.ClosedAt.Time())}, nil
	case record.LoginRefuse:
		return refusalOf(f), nil
	case record.LoginOffline:
		key, err := fingerprint(f.Key)
		return sessionFacts{Session: string(f.Session), Host: string(f.Host), Login: string(f.Login), Key: key, OpenedAt: stamp(f.OpenedAt.Time())}, err
	case record.PersonLogin:
		return loginFacts{Person: string(f.Person), Issuer: f.Issuer, Client: f.Client, Flow: f.Flow, ACR: f.ACR, AMR: f.AMR, Groups: f.Groups}, nil
	case record.PersonLink:
		return linkFacts{texts(f.People), f.By}, nil
	case record.RequestSubmit:
		return requestOf(f)
	case record.RequestDecide:
		return decisionFacts{string(f.Request), string(f.Person), f.Stage, string(f.Verdict), f.Seconds, f.Assurance}, nil
	case record.RequestExpire:
		return decisionFacts{Request: string(f.Request)}, nil
	case record.RequestCancel:
		return decisionFacts{Request: string(f.Request), Person: string(f.Person), Assurance: f.Assurance}, nil
	case record.AccessRevoke:
		return revocationOf(f), nil
	case record.PersonLock:
		return lockFacts{string(f.Person), f.By}, nil
	case record.PersonUnlock:
		return lockFacts{string(f.Person), f.By}, nil
	case record.CertificateIssue:
		return certificateOf(f)
	case record.CertificateVoid:
		return voidFacts{serial(f.Serial)}, nil
	}
	return nil, nil //nolint:nilnil // nothing more is told
}

func hostOf(f record.HostJoin) (any, error) {
	key, err := fingerprint(f.HostKey)
	if err != nil {
		return nil, err
	}
	return hostFacts{Name: string(f.Name), Address: f.Address, Port: f.Port, Key: key, Labels: labelsOf(f.Labels), Aliases: texts(f.Aliases)}, nil
}

// labelsOf is nil if there are none.
func labelsOf(list []record.Label) map[string]string {
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]string, len(list))
	for _, l := range list {
		out[l.Name] = l.Value
	}
	return out
}

func refusalOf(f record.LoginRefuse) refusalFacts {
	out := refusalFacts{Host: string(f.Host), Minute: stamp(f.MinuteAt.Time()), Counts: make(map[string]int64, len(f.Counts))}
	for _, c := range f.Counts {
		out.Counts[c.Reason] = c.Count
	}
	return out
}

func requestOf(f record.RequestSubmit) (any, error) {
	var doc record.RequestDoc
	if err := canon.Unmarshal([]byte(f.Document), &doc); err != nil {
		return nil, err
	}
	return requestFacts{
		Request: string(doc.Request), Person: string(doc.Person), Contract: doc.Contract.String(), Role: doc.Role,
		Logins: texts(doc.Logins), Hosts: texts(doc.Hosts), Seconds: doc.Seconds,
	}, nil
}

func revocationOf(f record.AccessRevoke) revokeFacts {
	out := revokeFacts{
		Type: string(f.Target.Type), Role: f.Target.Role, Host: string(f.Target.Host), About: string(f.About),
		Contract: f.Contract.String(), By: f.By, Person: string(f.Person), Assurance: f.Assurance,
	}
	if f.Target.Type == record.TargetCertificate {
		out.Serial = serial(f.Target.Serial)
	}
	if f.Target.Type == record.TargetGrant || f.Target.Type == record.TargetRequest {
		out.Request = string(f.Target.ID)
	}
	return out
}

func certificateOf(f record.CertificateIssue) (any, error) {
	tbs, err := canon.ParseB64(f.TBS)
	if err != nil {
		return nil, err
	}
	cert, err := sshcert.ParseTBS(tbs)
	if err != nil {
		return nil, err
	}
	return certificateFacts{
		Serial: serial(f.Serial), Person: string(f.Person), Request: string(f.Grant), Contract: f.Contract.String(), KeyID: cert.KeyId,
		Key: ssh.FingerprintSHA256(cert.Key), Principals: cert.ValidPrincipals,
		ValidAfter: stamp(seconds(cert.ValidAfter)), ValidBefore: stamp(seconds(cert.ValidBefore)),
	}, nil
}

// serial is text: programs that read numbers as floats would round it.
func serial(n uint64) string { return strconv.FormatUint(n, 10) }

func seconds(n uint64) time.Time { return time.Unix(int64(n), 0) } //nolint:gosec // seconds of this century

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

func fingerprint(b64 string) (string, error) {
	wire, err := canon.ParseB64(b64)
	if err != nil {
		return "", err
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return "", err
	}
	return ssh.FingerprintSHA256(key), nil
}

// Line is the event as one line of JSON without its newline, in ASCII: whatever an
// identity provider called a group shows as what it is, in every terminal.
func (e Event) Line() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // six bytes for one would make a line too long for a datagram
	if err := encoder.Encode(e); err != nil {
		return nil, err
	}
	return ascii(bytes.TrimSuffix(text.Bytes(), []byte{'\n'})), nil
}

// ascii writes what is not printable ASCII as \uXXXX. Outside of strings JSON has
// nothing of the kind.
func ascii(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, c := range string(text) {
		switch {
		case c >= ' ' && c <= '~':
			out = append(out, byte(c))
		case c > 0xffff:
			c -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+c>>10, 0xdc00+c&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, c)
		}
	}
	return out
}
