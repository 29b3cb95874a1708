package record

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

// Reasons why nothing is done about a host.
var (
	ErrHostRetired = errors.New("the host is retired")
	ErrHostOther   = errors.New("the name belongs to a host with other labels or of another contract")
	ErrInvitation  = errors.New("the invitation is refused")
	ErrSameAdmin   = errors.New("another host admin has to agree")
)

// MaxInvitation is how long an invitation is good at most.
const MaxInvitation = 7 * 24 * time.Hour

// HostRow is a host as it stands.
type HostRow struct {
	Join canon.ID     `json:"join"`
	At   canon.Micros `json:"at"` // when it joined last
	// Leaf is the hash of the leaf by which it joined last; absent where that is the
	// first leaf about this name and the operator's, as all were before invitations.
	Leaf      canon.Digest   `json:"leaf,omitzero"`
	Lineage   canon.Digest   `json:"lineage"`
	Name      sshcert.Host   `json:"name"`
	Address   string         `json:"address"`
	Port      int            `json:"port"`
	HostKey   string         `json:"host_key"` // b64 of the SSH wire form
	Labels    []Label        `json:"labels,omitempty"`
	Aliases   []sshcert.Host `json:"aliases,omitempty"` // its other names, sorted
	Labelled  canon.Digest   `json:"labelled,omitzero"` // hash of the leaf that gave it other labels than it joined with
	Invited   bool           `json:"invited,omitempty"` // it joined by itself
	RetiredAt canon.Micros   `json:"retired_at,omitempty"`
	// ReleasedTo is the lineage that the host was released to and has not joined yet;
	// then it is retired as well.
	ReleasedTo canon.Digest `json:"released_to,omitzero"`
	Left       []LeftRow    `json:"left,omitempty"` // what it was under contracts that released it, sorted by lineage
}

// Retired reports whether the host is no more, or is no more its contract's.
func (h HostRow) Retired() bool { return h.RetiredAt != 0 }

// InvitationRow is an invitation.
type InvitationRow struct {
	Invitation canon.ID       `json:"invitation"`
	Leaf       canon.Digest   `json:"leaf"`
	Lineage    canon.Digest   `json:"lineage"`
	Name       sshcert.Host   `json:"name"`
	Address    string         `json:"address"`
	Port       int            `json:"port"`
	Labels     []Label        `json:"labels,omitempty"`
	Aliases    []sshcert.Host `json:"aliases,omitempty"`
	Secret     canon.Digest   `json:"secret,omitzero"`
	Workload   Workload       `json:"workload,omitzero"`
	Bundle     canon.Digest   `json:"bundle"`
	ExpiresAt  canon.Micros   `json:"expires_at"`
	// MadeAt is when it was made for a host that had joined before; absent for a new name,
	// so that rows of such from before stay what their leaves fold to.
	MadeAt canon.Micros `json:"made_at,omitempty"`
	UsedAt canon.Micros `json:"used_at,omitempty"`
}

// Invitation returns an invitation.
func Invitation(v View, id canon.ID) (InvitationRow, error) {
	return get[InvitationRow](v, TableInvitation, string(id))
}

// JoinedHost returns a host that has joined and is not retired.
func JoinedHost(v View, name sshcert.Host) (HostRow, error) {
	row, err := Host(v, name)
	if err != nil {
		return row, err
	}
	return row, row.Gone()
}

// Gone returns why a host is no more, nil if it is there.
func (h HostRow) Gone() error {
	switch {
	case !h.Retired():
		return nil
	case !h.ReleasedTo.IsZero():
		return fmt.Errorf("host %s: %w: its contract released it to contract %s, which it has not joined yet", h.Name, ErrHostRetired, h.ReleasedTo)
	}
	return fmt.Errorf("host %s: %w since %s", h.Name, ErrHostRetired, h.RetiredAt.Time().Format(time.RFC3339))
}

// HostAdmin returns nil if a person held the host admin's office of a contract
// version at now, by claims that are their newest and at most maxAge old.
func HostAdmin(v View, version *contract.Version, id canon.ID, c Claims, now canon.Micros, maxAge time.Duration) error {
	if err := newest(v, id, c); err != nil {
		return err
	}
	subject, err := subjectOf(v, version.Terms, id, c, now, maxAge)
	if err != nil {
		return err
	}
	return version.Terms.CheckHolds(subject, contract.HostAdmin)
}

// checkActor holds what is done about a host to whoever does it: the operator, or a
// host admin whose device key has signed exactly that.
func checkActor(v View, version *contract.Version, who Actor, want HostsDoc, at canon.Micros, maxAge time.Duration) error {
	switch who.By {
	case ByOperator:
		if who != (Actor{By: ByOperator}) {
			return fmt.Errorf("%w: the operator signs nothing and has no claims", ErrEvent)
		}
		return nil
	case ByPerson:
	default:
		return fmt.Errorf("%w: nothing is done about hosts by %.20q", ErrEvent, who.By)
	}
	log, err := Log(v)
	if err != nil {
		return err
	}
	login, err := Login(v, who.Claims.Login)
	if err != nil {
		return err
	}
	device, err := deviceKey(login)
	if err != nil {
		return err
	}
	doc, err := checkingOf(v).openHosts(who.Document, who.Signature, device)
	if err != nil {
		return err
	}
	want.Origin, want.Person = log.Origin, who.Person
	if err := sameAct(doc, want); err != nil {
		return err
	}
	if err := Fresh(doc.ExpiresAt, at.Time(), DocumentLife); err != nil {
		return err
	}
	return HostAdmin(v, version, who.Person, who.Claims, at, maxAge)
}

// underInForce returns the version of a lineage that is in force, which facts must
// name.
func underInForce(v View, lineage, named canon.Digest, at canon.Micros) (*contract.Version, error) {
	version, err := InForce(v, lineage, at)
	if err != nil {
		return nil, err
	}
	if named != version.Digest {
		return nil, fmt.Errorf("it names contract version %s, in force is %s: %w", named, version.Digest, ErrNotInForce)
	}
	return version, nil
}

// hostInvite lets a host join once. A name that was given before is invited again
// only as what it was.
func (e Event) hostInvite(v View, f HostInvite) ([]Change, error) {
	version, err := underInForce(v, f.Lineage, f.Contract, f.At)
	if err != nil {
		return nil, err
	}
	if err := checkInventory(f.Name, f.Address, f.Port, f.Labels); err != nil {
		return nil, err
	}
	if err := checkProof(f.Secret, f.Workload); err != nil {
		return nil, err
	}
	switch left := f.ExpiresAt.Time().Sub(f.At.Time()); {
	case f.Bundle.IsZero():
		return nil, fmt.Errorf("%w: an invitation names a trust bundle", ErrEvent)
	case left <= 0 || left > MaxInvitation:
		return nil, fmt.Errorf("%w: it is good for %s, at most %s may be", ErrInvitation, left.Round(time.Second), MaxInvitation)
	}
	want := HostsDoc{
		Act: ActInvite, ID: f.Invitation, Contract: f.Contract, Host: f.Name, Labels: f.Labels, Aliases: f.Aliases, Address: f.Address, Port: f.Port,
		Secret: f.Secret, Workload: f.Workload, Bundle: f.Bundle, JoinBy: f.ExpiresAt,
	}
	if err := checkActor(v, version, f.Who, want, f.At, version.Terms.Ceilings.ClaimsMaxAge.Decide); err != nil {
		return nil, err
	}
	old, err := sameName(v, f.Name, f.Lineage, f.Labels)
	if err != nil {
		return nil, err
	}
	made := f.At
	if old.Name == "" {
		made = 0
	}
	if err := freeNames(v, f.Name, f.Aliases); err != nil {
		return nil, err
	}
	switch _, err := Invitation(v, f.Invitation); {
	case err == nil:
		return nil, fmt.Errorf("invitation %s: %w", f.Invitation, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	return changes(fresh(putInvitation(InvitationRow{
		Invitation: f.Invitation, Leaf: e.LeafHash, Lineage: f.Lineage, Name: f.Name, Address: f.Address, Port: f.Port, Labels: f.Labels,
		Aliases: f.Aliases, Secret: f.Secret, Workload: f.Workload, Bundle: f.Bundle, ExpiresAt: f.ExpiresAt, MadeAt: made,
	})))
}

func putInvitation(row InvitationRow) (Change, error) {
	return put(TableInvitation, string(row.Invitation), row, Index{"host", string(row.Name)}, Index{"all", ""})
}

// hostJoin puts a host into the inventory: by an invitation and the host's own
// signature, or by the operator, who does so once for a name.
func (e Event) hostJoin(v View, f HostJoin) ([]Change, error) {
	if _, err := InForce(v, f.Lineage, f.At); err != nil {
		return nil, err
	}
	if _, err := parseKey(f.HostKey); err != nil {
		return nil, fmt.Errorf("host key of %s: %w", f.Name, err)
	}
	if err := checkInventory(f.Name, f.Address, f.Port, f.Labels); err != nil {
		return nil, err
	}
	if err := freeNames(v, f.Name, f.Aliases); err != nil {
		return nil, err
	}
	row := HostRow{
		Join: f.Join, At: f.At, Leaf: e.LeafHash, Lineage: f.Lineage, Name: f.Name, Address: f.Address, Port: f.Port,
		HostKey: f.HostKey, Labels: f.Labels, Aliases: f.Aliases, Invited: f.Invitation != "",
	}
	if f.Invitation == "" {
		return joinByOperator(v, f, row)
	}
	invitation, old, err := takeInvitation(v, f)
	if err != nil {
		return nil, err
	}
	row.Left = old.Left
	used, err := putInvitation(invitation)
	if err != nil {
		return nil, err
	}
	rows, err := joined(row)
	return append(rows, used), err
}

func putHost(row HostRow) (Change, error) {
	return put(TableHost, string(row.Name), row, Index{"lineage", row.Lineage.String()}, Index{"all", ""})
}

func joinByOperator(v View, f HostJoin, row HostRow) ([]Change, error) {
	if !f.InvitationLeaf.IsZero() || !f.Workload.IsZero() || f.Document != "" || f.Signature != "" {
		return nil, fmt.Errorf("%w: without an invitation the operator adds a host, and signs nothing", ErrEvent)
	}
	switch old, err := Host(v, f.Name); {
	case errors.Is(err, ErrNotFound):
		row.Leaf = canon.Digest{} // so that rows from before invitations stay what the leaves fold to
		rows, err := joined(row)
		if err != nil {
			return nil, err
		}
		rows[0].New = true
		return rows, nil
	case err != nil:
		return nil, err
	case !old.Retired():
		return nil, fmt.Errorf("host %s: %w", f.Name, ErrExists)
	case !slices.Equal(f.Aliases, old.Aliases):
		return nil, fmt.Errorf("host %s: %w; it joins again with the other names that it had, or by an invitation", f.Name, ErrHostOther)
	}
	old, err := sameName(v, f.Name, f.Lineage, f.Labels)
	if err != nil {
		return nil, err
	}
	row.Left = old.Left
	return joined(row)
}

// takeInvitation uses an invitation up, for exactly the host that it was made for.
// That whoever joins knew the secret is the server's word; that they have the key is
// proved by the document. old is what the host was before, zero if its name is new.
func takeInvitation(v View, f HostJoin) (i InvitationRow, old HostRow, err error) {
	row, err := Invitation(v, f.Invitation)
	if err != nil {
		return InvitationRow{}, HostRow{}, err
	}
	switch {
	case row.Leaf != f.InvitationLeaf:
		return InvitationRow{}, HostRow{}, fmt.Errorf("%w: the host names another leaf than the invitation's", ErrEvent)
	case row.UsedAt != 0:
		return InvitationRow{}, HostRow{}, fmt.Errorf("%w: it was used at %s and is good once; have another one made", ErrInvitation, row.UsedAt.Time().Format(time.RFC3339))
	case f.At > row.ExpiresAt:
		return InvitationRow{}, HostRow{}, fmt.Errorf("%w: it expired at %s; have another one made", ErrInvitation, row.ExpiresAt.Time().Format(time.RFC3339))
	case f.Workload != row.Workload:
		return InvitationRow{}, HostRow{}, fmt.Errorf("%w: it is for another workload, or for none", ErrInvitation)
	case f.Name != row.Name || f.Address != row.Address || f.Port != row.Port || !slices.Equal(f.Labels, row.Labels) || !slices.Equal(f.Aliases, row.Aliases) || f.Lineage != row.Lineage:
		return InvitationRow{}, HostRow{}, fmt.Errorf("%w: it is for another host, address, contract, or other labels or names", ErrInvitation)
	}
	// The name may have been given to a host with other labels since it was made.
	if old, err = sameName(v, f.Name, f.Lineage, f.Labels); err != nil {
		return InvitationRow{}, HostRow{}, err
	}
	// An invitation is for a host as it was then: one that was left over when another was
	// used, or the host was retired or released, brings nobody in.
	if row.MadeAt < max(old.At, old.RetiredAt) {
		return InvitationRow{}, HostRow{}, fmt.Errorf("%w: host %s joined, was retired or was released since it was made; have another one made", ErrInvitation, f.Name)
	}
	if err := ownKey(v, f.HostKey); err != nil {
		return InvitationRow{}, HostRow{}, err
	}
	body, err := openCall[hostcall.JoinBody](v, f.Document, f.Signature, f.Name, f.HostKey, f.At)
	if err != nil {
		return InvitationRow{}, HostRow{}, err
	}
	// A host answers to no name that it has not signed: what is let in under one opens it.
	if !slices.Equal(body.Aliases, f.Aliases) {
		return InvitationRow{}, HostRow{}, fmt.Errorf("%w: it was made for the other names %v, and the host takes %v; name them with --alias", ErrInvitation, f.Aliases, body.Aliases)
	}
	if body.Invitation != f.Invitation || body.HostKey != f.HostKey {
		return InvitationRow{}, HostRow{}, fmt.Errorf("%w: it takes another invitation, or names another key", ErrDocument)
	}
	row.UsedAt = f.At
	return row, old, nil
}

// ownKey refuses a host key that signs something else.
func ownKey(v View, key string) error {
	log, err := Log(v)
	if err != nil {
		return err
	}
	cas, err := Keys(v, KeyHostCA)
	if err != nil {
		return err
	}
	if key == log.UserCA || slices.ContainsFunc(cas, func(k KeyRow) bool { return k.Key == key }) {
		return fmt.Errorf("%w: the host key is an authority's", ErrEvent)
	}
	return nil
}

// openCall reads a host's call and holds it to the host, its key and the time.
func openCall[B hostcall.Body](v View, text, signature string, host sshcert.Host, key string, at canon.Micros) (B, error) {
	var none B
	log, err := Log(v)
	if err != nil {
		return none, err
	}
	header, parsed, err := hostcall.Parse(text)
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	body, ok := parsed.(B)
	if !ok || header.Origin != log.Origin || header.Host != host {
		return none, fmt.Errorf("%w: it is another call, or for another host or server", ErrDocument)
	}
	if err := header.Fresh(at); err != nil {
		return none, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	public, err := hostcall.ParseHostKey(key)
	if err != nil {
		return none, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	return body, checkingOf(v).verify(public, sshcert.NamespaceHost, text, signature)
}

// hostRetire takes a host out of the inventory. It needs no fresh claims: it only
// takes away. Its name stays its own.
func (e Event) hostRetire(v View, f HostRetire) ([]Change, error) {
	var version *contract.Version
	var err error
	switch {
	case f.Who.By != ByOperator:
		if version, err = underInForce(v, f.Lineage, f.Contract, f.At); err != nil {
			return nil, err
		}
	case !f.Contract.IsZero():
		return nil, fmt.Errorf("%w: the operator retires a host under no contract version", ErrEvent)
	}
	maxAge := denyMaxAge
	if version != nil {
		maxAge = max(maxAge, version.Terms.Ceilings.ClaimsMaxAge.Decide)
	}
	want := HostsDoc{Act: ActRetire, ID: f.Retirement, Contract: f.Contract, Host: f.Host}
	if err := checkActor(v, version, f.Who, want, f.At, maxAge); err != nil {
		return nil, err // before anything is said of hosts
	}
	row, err := JoinedHost(v, f.Host)
	if err != nil {
		return nil, err
	}
	if row.Lineage != f.Lineage {
		return nil, fmt.Errorf("%w: host %s is another contract's", ErrEvent, f.Host)
	}
	row.RetiredAt = f.At
	return changes(putHost(row))
}

// checkInventory holds what is said of a host to what can be written into files and
// compared.
func checkInventory(name sshcert.Host, address string, port int, labels []Label) error {
	if err := checkAddress(address, port); err != nil {
		return fmt.Errorf("host %s: %w", name, err)
	}
	if err := CheckLabels(labels); err != nil {
		return fmt.Errorf("host %s: %w", name, err)
	}
	return nil
}

// CheckLabels refuses labels that are not in order, or not of what labels are made of.
func CheckLabels(labels []Label) error {
	for i, l := range labels {
		if !labelText(l.Name) || !labelText(l.Value) || (i > 0 && labels[i-1].Name >= l.Name) {
			return fmt.Errorf("label %q: %w: labels are name=value of a-z, 0-9, '.', '_' and '-', each name once", l.Name, ErrEvent)
		}
	}
	return nil
}

// checkAddress holds a host's address to what ssh can be given as HostName: a
// DNS name or an IP address, without anything a shell or ssh_config would read.
func checkAddress(address string, port int) error {
	ok := address != "" && len(address) <= 253 && address[0] != '-'
	for _, c := range address {
		ok = ok && (c == '.' || c == ':' || c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z')
	}
	if !ok {
		return fmt.Errorf("address %q: %w: a lower-case DNS name or an IP address", address, ErrEvent)
	}
	if port < 1 || port > 65535 {
		return fmt.Errorf("port %d: %w: 1 to 65535", port, ErrEvent)
	}
	return nil
}

func labelText(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for _, c := range s {
		if c > unicode.MaxASCII || (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
