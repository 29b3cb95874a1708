package record

import (
	"encoding/binary"
	"errors"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// Mention is one thing that a leaf is about, by which it is found again: what the
// values are, the name says.
type Mention struct {
	Name  MentionName
	Value string
}

// MentionName says what a mentioned value is.
type MentionName string

// What leaves mention.
const (
	MentionRequest  MentionName = "request"  // a request's id
	MentionKey      MentionName = "key"      // fingerprint of a device key, a certificate's key or an offline key: SHA256:…
	MentionPerson   MentionName = "person"   // id of whoever did it or whom it is about
	MentionHost     MentionName = "host"     // a host's name
	MentionLogin    MentionName = "login"    // a login on a host
	MentionRole     MentionName = "role"     // a role of the contract
	MentionContract MentionName = "contract" // digest of a contract version
	MentionKind     MentionName = "kind"     // the leaf's kind; every leaf mentions it
)

// MentionNames returns the names, those first whose values are rarest: a search
// for several begins with the rarest.
func MentionNames() []MentionName {
	return []MentionName{
		MentionRequest, MentionKey, MentionPerson, MentionHost, MentionLogin, MentionRole, MentionContract, MentionKind,
	}
}

// Term is the number under which an index keeps a mention. Two mentions may have
// one term, so what is found by it is held to the mention itself.
func (m Mention) Term() int64 {
	d := canon.Sum("sallyport.mention/v1", []byte(m.Name), []byte{0}, []byte(m.Value))
	return int64(binary.BigEndian.Uint64(d[:8])) //nolint:gosec // any 64 bits are a term
}

// mentions collects, each once.
type mentions []Mention

func (l *mentions) add(name MentionName, value string) {
	m := Mention{name, value}
	for _, other := range *l {
		if other == m {
			return
		}
	}
	if value != "" {
		*l = append(*l, m)
	}
}

func (l *mentions) addKey(b64 string) {
	if b64 == "" {
		return
	}
	if key, err := parseKey(b64); err == nil { // the fold has refused what is no key
		l.add(MentionKey, ssh.FingerprintSHA256(key))
	}
}

func (l *mentions) addRequest(q approval.Request) {
	l.add(MentionPerson, string(q.By))
	l.add(MentionRole, q.Role)
	l.add(MentionContract, q.Contract.String())
	for _, login := range q.Logins {
		l.add(MentionLogin, string(login))
	}
	for _, host := range q.Hosts {
		l.add(MentionHost, string(host))
	}
}

// request adds what belongs to a request that the ledger knows: its leaves are
// found by what was asked for.
func (l *mentions) request(v View, id canon.ID) error {
	l.add(MentionRequest, string(id))
	q, err := Request(v, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		l.addRequest(q)
	}
	return err
}

// Mentions returns what a leaf is about, each once, in no order that means
// anything. v is the state after the leaf or before it; what it is asked for never
// changes once it is there.
func Mentions(v View, facts Facts) ([]Mention, error) {
	var l mentions
	l.add(MentionKind, string(facts.Kind()))
	err := l.of(v, facts)
	return l, err
}

func (l *mentions) of(v View, facts Facts) error {
	switch f := facts.(type) {
	case ContractPropose:
		l.add(MentionContract, f.Contract.String())
	case ContractSign:
		l.add(MentionContract, f.Contract.String())
	case ContractWithdraw:
		l.add(MentionContract, f.Contract.String())
	case ContractCondition:
		l.add(MentionContract, f.Contract.String())
	case ContractTerminate:
		l.add(MentionContract, f.Contract.String())
	case GrantCarry:
		l.add(MentionContract, f.To.String())
		return l.request(v, f.Grant)
	case HostJoin:
		l.add(MentionHost, string(f.Name))
	case HostInvite:
		l.host(f.Name, f.Who, f.Contract)
	case HostCertify:
		l.add(MentionHost, string(f.Host))
	case HostLabel:
		l.host(f.Host, f.Who, f.Contract)
	case HostRetire:
		l.host(f.Host, f.Who, f.Contract)
	case HostRelease:
		l.host(f.Host, f.Who, f.Contract)
	case LoginOpen:
		return l.login(v, f)
	case LoginClose:
		return l.session(v, f.Host, f.Session)
	case LoginRefuse:
		l.add(MentionHost, string(f.Host))
	case LoginOffline:
		l.add(MentionHost, string(f.Host))
		l.add(MentionLogin, string(f.Login))
		l.addKey(f.Key)
	case PersonLogin:
		l.add(MentionPerson, string(f.Person))
		l.addKey(f.DeviceKey)
	case PersonSnapshot:
		l.add(MentionPerson, string(f.Person))
	case PersonLink:
		for _, id := range f.People {
			l.add(MentionPerson, string(id))
		}
	case PersonErase:
		for _, id := range f.People {
			l.add(MentionPerson, string(id))
		}
	case PersonRead:
		l.add(MentionPerson, string(f.Person))
		l.add(MentionContract, f.Contract.String())
	case RequestSubmit:
		l.submit(f)
	case RequestDecide:
		l.add(MentionPerson, string(f.Person))
		return l.request(v, f.Request)
	case RequestExpire:
		return l.request(v, f.Request)
	case RequestCancel:
		return l.request(v, f.Request)
	case AccessRevoke:
		return l.revoke(v, f)
	case PersonLock:
		l.add(MentionPerson, string(f.Person))
	case PersonUnlock:
		l.add(MentionPerson, string(f.Person))
	case CertificateIssue:
		l.issue(f)
		return l.request(v, f.Grant)
	case CertificateVoid:
		return l.void(v, f)
	}
	return nil
}

// submit reads the document: the request's row may not be there yet.
func (l *mentions) submit(f RequestSubmit) {
	l.add(MentionRequest, string(f.Request))
	var doc RequestDoc
	if err := canon.Unmarshal([]byte(f.Document), &doc); err != nil {
		return // the fold has refused it
	}
	l.addRequest(approval.Request{By: doc.Person, Role: doc.Role, Contract: doc.Contract, Logins: doc.Logins, Hosts: doc.Hosts})
}

func (l *mentions) issue(f CertificateIssue) {
	l.add(MentionPerson, string(f.Person))
	l.add(MentionContract, f.Contract.String())
	var doc IssueDoc
	if err := canon.Unmarshal([]byte(f.Document), &doc); err == nil { // the fold has refused what is none
		l.addKey(doc.Key)
	}
}

func (l *mentions) revoke(v View, f AccessRevoke) error {
	l.add(MentionPerson, string(f.Person))
	l.add(MentionPerson, string(f.About))
	l.add(MentionContract, f.Contract.String())
	l.add(MentionRole, f.Target.Role)
	l.add(MentionHost, string(f.Target.Host))
	switch f.Target.Type {
	case TargetCertificate:
		return l.certificate(v, f.Target.Serial)
	case TargetGrant, TargetRequest:
		return l.request(v, f.Target.ID)
	case TargetPerson, TargetRole, TargetHost:
	}
	return nil
}

func (l *mentions) void(v View, f CertificateVoid) error { return l.certificate(v, f.Serial) }

// certificate adds what belongs to a certificate that the ledger knows.
func (l *mentions) certificate(v View, serial uint64) error {
	row, err := Certificate(v, serial)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	l.add(MentionPerson, string(row.Person))
	l.add(MentionContract, row.Contract.String())
	l.addKey(row.Key)
	return l.request(v, row.Grant)
}

// host adds what a host admin did.
func (l *mentions) host(name sshcert.Host, who Actor, version canon.Digest) {
	l.add(MentionHost, string(name))
	l.add(MentionPerson, string(who.Person))
	if !version.IsZero() {
		l.add(MentionContract, version.String())
	}
}

// login adds a login on a host, and what its certificate was made for.
func (l *mentions) login(v View, f LoginOpen) error {
	l.add(MentionHost, string(f.Host))
	l.add(MentionLogin, string(f.Login))
	if f.Certificate.IsZero() {
		return nil
	}
	row, err := Certificate(v, f.Serial)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	l.add(MentionPerson, string(row.Person))
	l.add(MentionContract, row.Contract.String())
	l.addKey(row.Key)
	l.add(MentionRequest, string(row.Grant))
	return nil
}

// session adds what a session's beginning is found by.
func (l *mentions) session(v View, host sshcert.Host, id canon.ID) error {
	l.add(MentionHost, string(host))
	row, err := HostSession(v, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	l.add(MentionLogin, string(row.Login))
	l.add(MentionPerson, string(row.Person))
	return nil
}
