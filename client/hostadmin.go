package client

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// InvitationLife is how long an invitation is good unless something else is said.
const InvitationLife = time.Hour

// MaxAliases is how many other names a host has at most.
const MaxAliases = record.MaxAliases

// HostAdminOptions are the settings of what a host admin does about a host.
type HostAdminOptions struct {
	Env
	Name     string
	Addr     string   // HOST:PORT; invite
	Labels   []string // NAME=VALUE; invite, label
	Aliases  []string // other names of the host; invite
	Workload string   // invite: the issuer whose identity token the host joins by, in the place of a secret
	Subject  string   // invite: of that token
	Contract string   // id; needed if several are in force
	For      time.Duration
	Change   string // label: the change that another host admin has proposed
	To       string // release: the contract that the host may join, its id or the digest of its version 1
	JSON     bool
}

// invitationResult is what --json prints of an invitation.
type invitationResult struct {
	Host       sshcert.Host `json:"host"`
	ID         canon.ID     `json:"id"`
	Invitation string       `json:"invitation"` // the secret line
	Bundle     canon.Digest `json:"bundle"`
	ExpiresAt  canon.Micros `json:"expires_at"`
}

// fleetResult is what hosts list --json prints.
type fleetResult struct {
	Fleet []api.Host `json:"fleet"`
}

// HostsFleet prints the hosts of the contracts that concern the person, and what they
// say of themselves.
func HostsFleet(ctx context.Context, o HostsOptions) error {
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	list, err := a.allHosts(ctx)
	if err != nil {
		return err
	}
	switch {
	case o.JSON:
		return o.printJSON(fleetResult{list})
	case len(list) == 0:
		o.say("the contracts that concern you have no hosts; sally whoami shows your groups")
		return nil
	}
	return o.printTable(fleetTable(o.Env, list, a.conn.now()))
}

func fleetTable(e Env, list []api.Host, now time.Time) table {
	t := table{heading: []string{"host", "address", "labels", "standing", "heard", "findings", "bundle", "revocations"}}
	for _, h := range list {
		row := []string{string(h.Name), net.JoinHostPort(h.Address, strconv.Itoa(h.Port)), first(labelLine(h.Labels), "none"), standingWords(h.Standing), "never", "", "", ""}
		if b := h.Heartbeat; b != nil {
			row[4] = e.clock(b.HeardAt.Time())
			row[5], row[6], row[7] = strconv.FormatInt(b.Findings, 10), numberOr(b.Bundle, "none"), numberOr(b.KRL, "none")
			if b.KRLMadeAt != 0 {
				row[7] += ", " + now.Sub(b.KRLMadeAt.Time()).Round(time.Second).String() + " old"
				if b.RefusedAfterMS > 0 {
					row[7] += ", refused after " + (time.Duration(b.RefusedAfterMS) * time.Millisecond).String()
				}
			}
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func numberOr(n int64, none string) string {
	if n == 0 {
		return none
	}
	return strconv.FormatInt(n, 10)
}

func standingWords(s string) string {
	if s == "unenforced" {
		return "not enforcing"
	}
	return s
}

func labelLine(labels map[string]string) string {
	list := make([]string, 0, len(labels))
	for name, value := range labels {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// HostsInvite has a host admin invite a host. The invitation's secret is drawn here;
// the server is told its digest alone.
func HostsInvite(ctx context.Context, o HostAdminOptions) error {
	doc, err := o.inviteDoc()
	if err != nil {
		return err
	}
	a, in, err := o.admin(ctx, &doc)
	if err != nil {
		return err
	}
	bundle, err := a.bundle(ctx, in)
	if err != nil {
		return err
	}
	o.say("hosts are to pin the trust bundle %s; that it is the one that the operator published, ask them: its roots and cosigners are the server's word to you", bundle)
	i, err := hostcall.NewInvitation(o.Rand, a.at.pin.Origin, bundle)
	if err != nil {
		return err
	}
	if o.For == 0 {
		o.For = InvitationLife
	}
	doc.ID, doc.Secret, doc.Bundle, doc.JoinBy = i.ID, record.InvitationSecret(i.Secret[:]), bundle, canon.At(a.conn.now().Add(o.For))
	flag := ""
	if !doc.Workload.IsZero() { // what has to be shown is the token
		i.Secret, doc.Secret, flag = [hostcall.SecretSize]byte{}, canon.Digest{}, " --token-file FILE"
	}
	if _, err := a.act(ctx, doc); err != nil {
		return err
	}
	if flag == "" {
		o.say("host %s can join until %s, once, by the line below; whoever has it can, so hand it over as a secret", doc.Host, o.clock(doc.JoinBy.Time()))
	} else {
		o.say("host %s can join until %s, once, by the line below and an identity token of %s for that subject; the line alone is no secret", doc.Host, o.clock(doc.JoinBy.Time()), doc.Workload.Issuer)
	}
	o.say("on the host, as root: sally-host join %s --invite - --name %s%s%s --mode observe, then the line (or --mode require)", a.at.server, doc.Host, aliasFlags(doc.Aliases), flag)
	if o.JSON {
		return o.printJSON(invitationResult{Host: doc.Host, ID: i.ID, Invitation: i.Reveal(), Bundle: bundle, ExpiresAt: doc.JoinBy})
	}
	return o.write([]byte(i.Reveal() + "\n"))
}

func (o HostAdminOptions) inviteDoc() (record.HostsDoc, error) {
	doc := record.HostsDoc{Act: record.ActInvite}
	var err error
	if doc.Host, err = sshcert.ParseHost(o.Name); err != nil {
		return doc, Usagef("NAME: %w", err)
	}
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return doc, Usagef("--addr: it is not HOST:PORT, such as 10.20.0.11:22")
	}
	if doc.Port, err = strconv.Atoi(port); err != nil || doc.Port < 1 || doc.Port > 65535 || !plainAddress(host) {
		return doc, Usagef("--addr: a lower-case DNS name or an IP address, and a port from 1 to 65535")
	}
	doc.Address = host
	if (o.Workload == "") != (o.Subject == "") {
		return doc, Usagef("--workload: issuer and --subject come together")
	}
	if o.Workload != "" {
		doc.Workload = record.Workload{Issuer: o.Workload, Subject: record.WorkloadSubject(o.Workload, o.Subject)}
		if err := record.CheckWorkload(doc.Workload); err != nil {
			return doc, Usagef("--workload: %w", err)
		}
	}
	if doc.Labels, err = parseLabels(o.Labels); err != nil || len(o.Aliases) == 0 {
		return doc, err
	}
	if doc.Aliases, err = sshcert.ParseHosts(o.Aliases); err != nil {
		return doc, Usagef("--alias: %w", err)
	}
	if err := record.CheckAliases(doc.Host, doc.Aliases); err != nil {
		return doc, Usagef("--alias: %w", err)
	}
	return doc, nil
}

func parseLabels(list []string) ([]record.Label, error) {
	var out []record.Label
	for _, text := range list {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return nil, Usagef("--label: it is NAME=VALUE")
		}
		if err := contract.CheckLabel(name, value); err != nil {
			return nil, Usagef("--label: %w", err)
		}
		if slices.ContainsFunc(out, func(l record.Label) bool { return l.Name == name }) {
			return nil, Usagef("--label: %s is given twice; a host has each label once", name)
		}
		out = append(out, record.Label{Name: name, Value: value})
	}
	slices.SortFunc(out, func(a, b record.Label) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// HostsLabel has a host admin propose other labels for a host, or agree to those that
// another one has proposed.
func HostsLabel(ctx context.Context, o HostAdminOptions) error {
	doc := record.HostsDoc{Act: record.ActLabel}
	var err error
	if doc.Host, err = sshcert.ParseHost(o.Name); err != nil {
		return Usagef("NAME: %w", err)
	}
	if doc.Labels, err = parseLabels(o.Labels); err != nil {
		return err
	}
	if o.Change != "" {
		doc.ID, err = parseID(o.Change)
	} else {
		doc.ID, err = canon.NewID(o.Rand)
	}
	if err != nil {
		return err
	}
	a, _, err := o.admin(ctx, &doc)
	if err != nil {
		return err
	}
	h, err := a.inventory(ctx, doc.Host)
	if err != nil {
		return err
	}
	if err := a.proveHost(ctx, h); err != nil {
		return err
	}
	now, err := parseLabels(strings.Fields(labelLine(h.Labels)))
	if err != nil {
		return err
	}
	if doc.Was, err = record.LabelsDigest(now); err != nil {
		return err
	}
	acted, err := a.act(ctx, doc)
	if err != nil {
		return err
	}
	if acted.Waits {
		o.say("proposed; host %s keeps its labels until another host admin runs: sally hosts label %s%s --change %s", doc.Host, doc.Host, labelFlags(o.Labels), doc.ID)
	} else {
		o.say("host %s has the labels %s now", doc.Host, first(strings.Join(o.Labels, " "), "none"))
	}
	switch {
	case o.JSON:
		return o.printJSON(acted)
	case acted.Waits:
		return o.write([]byte(string(doc.ID) + "\n"))
	}
	return nil
}

func aliasFlags(list []sshcert.Host) string {
	var b strings.Builder
	for _, a := range list {
		b.WriteString(" --alias " + string(a))
	}
	return b.String()
}

func labelFlags(list []string) string {
	var b strings.Builder
	for _, l := range list {
		b.WriteString(" --label " + l)
	}
	return b.String()
}

// HostsRetire has a host admin retire a host.
func HostsRetire(ctx context.Context, o HostAdminOptions) error {
	doc := record.HostsDoc{Act: record.ActRetire}
	var err error
	if doc.Host, err = sshcert.ParseHost(o.Name); err != nil {
		return Usagef("NAME: %w", err)
	}
	if doc.ID, err = canon.NewID(o.Rand); err != nil {
		return err
	}
	a, _, err := o.admin(ctx, &doc)
	if err != nil {
		return err
	}
	acted, err := a.act(ctx, doc)
	if err != nil {
		return err
	}
	o.say("host %s is retired: nobody can ask for it, and what was granted on it gives no certificate any more", doc.Host)
	if o.JSON {
		return o.printJSON(acted)
	}
	return nil
}

// HostsRelease has a host admin release a host from its contract to another one.
func HostsRelease(ctx context.Context, o HostAdminOptions) error {
	doc := record.HostsDoc{Act: record.ActRelease}
	var err error
	if doc.Host, err = sshcert.ParseHost(o.Name); err != nil {
		return Usagef("NAME: %w", err)
	}
	if o.To == "" {
		return Usagef("--to: name the contract that the host may join")
	}
	if doc.ID, err = canon.NewID(o.Rand); err != nil {
		return err
	}
	a, _, err := o.admin(ctx, &doc)
	if err != nil {
		return err
	}
	if doc.To, err = a.lineage(ctx, o.To); err != nil {
		return err
	}
	acted, err := a.act(ctx, doc)
	if err != nil {
		return err
	}
	o.say("host %s is released: nobody can ask for it until it has joined contract %s by an invitation of a host admin there", doc.Host, o.To)
	if o.JSON {
		return o.printJSON(acted)
	}
	return nil
}

// lineage returns the digest of version 1 of a contract that is named by its id, if it
// is in force, or by that digest.
func (a *account) lineage(ctx context.Context, name string) (canon.Digest, error) {
	var s api.Server
	if err := a.conn.get(ctx, "/v1/server", nil, &s); err != nil {
		return canon.Digest{}, err
	}
	if at := slices.IndexFunc(s.Contracts, func(c api.Contract) bool { return c.ID == name || c.Lineage.String() == name }); at >= 0 {
		return s.Contracts[at].Lineage, nil
	}
	d, err := canon.ParseDigest(name)
	if err != nil {
		return canon.Digest{}, Usagef("--to: no contract %s is in force; name one by its id, or by the digest of its version 1", name)
	}
	a.env.say("no contract %s is in force at %s: the host can't join it there yet", d, a.at.pin.Origin)
	return d, nil
}

// admin opens the account and picks the contract under which the act is done.
func (o HostAdminOptions) admin(ctx context.Context, doc *record.HostsDoc) (*account, api.Contract, error) {
	a, err := openAccount(o.Env)
	if err != nil {
		return nil, api.Contract{}, err
	}
	var s api.Server
	if err := a.conn.get(ctx, "/v1/server", nil, &s); err != nil {
		return nil, api.Contract{}, err
	}
	var ids []string
	for _, c := range s.Contracts {
		if o.Contract == "" || c.ID == o.Contract {
			doc.Contract = c.Digest
			ids = append(ids, c.ID)
		}
	}
	if len(ids) != 1 {
		if o.Contract == "" && len(ids) > 1 {
			return nil, api.Contract{}, Usagef("--contract: several contracts are in force; name one of %s", strings.Join(ids, ", "))
		}
		return nil, api.Contract{}, fmt.Errorf("no contract %s is in force", o.Contract)
	}
	at := slices.IndexFunc(s.Contracts, func(c api.Contract) bool { return c.ID == ids[0] })
	return a, s.Contracts[at], nil
}

// bundle returns the digest of the newest trust bundle of a contract. It names the
// pinned log key, or the server gives out one that is not its own.
func (a *account) bundle(ctx context.Context, of api.Contract) (canon.Digest, error) {
	s, err := a.trustBundle(ctx, of.Lineage)
	if err != nil {
		return canon.Digest{}, whereToLook(err, "the operator publishes one with sallyd hosts publish")
	}
	return s.Digest(), nil
}

// trustBundle returns the newest trust bundle of a lineage, which names no log key and
// no authority of people but the pinned ones: a server that was taken over must not have
// a host admin sign for keys of its own.
func (a *account) trustBundle(ctx context.Context, lineage canon.Digest) (trust.Signed, error) {
	var file []byte
	if err := a.conn.get(ctx, "/v1/hosts/bundle", url.Values{"lineage": {lineage.String()}}, &file); err != nil {
		return trust.Signed{}, err
	}
	s, err := trust.Parse(file)
	if err != nil {
		return trust.Signed{}, err
	}
	return s, holdToPin(a.at.pin, s.Bundle, lineage, a.conn.now())
}

// holdToPin refuses a trust bundle that is another ledger's or contract's, is over, or
// names a log key or an authority of people that the pin file does not.
func holdToPin(pin Pin, b trust.Bundle, lineage canon.Digest, now time.Time) error {
	if b.Origin != pin.Origin || b.Lineage != lineage || b.Expired(now) {
		return fmt.Errorf("%w: the trust bundle that the server gives out is another ledger's, or has expired; tell the operator", ErrHost)
	}
	pinned := string(pin.CA.Marshal())
	foreign := slices.ContainsFunc(b.LogKeys, func(k string) bool { return k != pin.LogKey }) ||
		slices.ContainsFunc(b.UserCAs, func(k trust.Key) bool {
			public, err := k.Public()
			return err != nil || string(public.Marshal()) != pinned
		})
	if foreign || len(b.LogKeys) == 0 || len(b.UserCAs) == 0 {
		return fmt.Errorf("%w: the trust bundle that the server gives out names other keys than your pin file; have the operator give you the new pin file, then log in with it", ErrHost)
	}
	return nil
}

// act signs what is done about a host with the device key, and posts it.
func (a *account) act(ctx context.Context, doc record.HostsDoc) (api.HostAct, error) {
	doc.V, doc.Origin, doc.Person, doc.ExpiresAt = record.HostsVersion, a.at.pin.Origin, a.session.Person, canon.At(a.conn.now().Add(documentLife))
	text, err := canon.Marshal(doc)
	if err != nil {
		return api.HostAct{}, err
	}
	signature, err := sshcert.Sign(a.env.Rand, a.device, sshcert.NamespaceDevice, text)
	if err != nil {
		return api.HostAct{}, err
	}
	var out api.HostAct
	err = a.conn.post(ctx, "/v1/hosts/acts", api.HostActRequest{Document: string(text), Signature: signature}, &out)
	return out, err
}
