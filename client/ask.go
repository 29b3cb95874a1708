package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// MaxReason is the longest reason, and the longest ticket, in bytes.
const MaxReason = 1000

// documentLife is how long a signed document is good for.
const documentLife = 5 * time.Minute

// Ask is what a person asks for, as typed.
type Ask struct {
	// Principals are LOGIN@HOST, at least one. Every login named is asked for
	// on every host named.
	Principals []string
	// For is the length of the grant: a duration such as 10m or 1h30m.
	For string
	// Because is the reason.
	Because string
	// Ticket is the ticket that it is for; empty: none.
	Ticket string
	// Role and Contract pick one where several would do.
	Role, Contract string
}

// wanted is an Ask that can be sent, once it has a length and a reason.
type wanted struct {
	logins         []sshcert.Login
	hosts          []sshcert.Host
	length         time.Duration // 0: not given
	reason         string        // empty: not given
	ticket         string        // empty: none
	role, contract string
}

// check refuses what no server would accept, before any network call. Each
// refusal names the field and its limit.
func (a Ask) check() (wanted, error) {
	w, err := a.checkGiven()
	if err != nil {
		return wanted{}, err
	}
	if w.length, err = parseLength(a.For); err != nil {
		return wanted{}, err
	}
	w.reason, err = parseReason(a.Because)
	return w, err
}

// checkGiven is check where For and Because may be missing.
func (a Ask) checkGiven() (wanted, error) {
	w := wanted{role: a.Role, contract: a.Contract}
	var err error
	if w.logins, w.hosts, err = parsePrincipals(a.Principals); err != nil {
		return wanted{}, err
	}
	if a.For != "" {
		if w.length, err = parseLength(a.For); err != nil {
			return wanted{}, err
		}
	}
	if a.Ticket != "" {
		if w.ticket, err = parseText("--ticket", a.Ticket, "name the ticket, such as --ticket INC-42, or leave it out"); err != nil {
			return wanted{}, err
		}
	}
	if a.Because != "" {
		if w.reason, err = parseReason(a.Because); err != nil {
			return wanted{}, err
		}
	}
	return w, nil
}

// parsePrincipals reads LOGIN@HOST words. A request is for each login on each
// host, so a list that is not such a rectangle would ask for more than was
// typed, and is refused.
func parsePrincipals(words []string) ([]sshcert.Login, []sshcert.Host, error) {
	if len(words) == 0 {
		return nil, nil, Usagef("name at least one LOGIN@HOST, such as ops@web-1.example")
	}
	logins, hosts, typed := make([]string, 0, len(words)), make([]string, 0, len(words)), make([]string, 0, len(words))
	for _, word := range words {
		p, err := sshcert.ParsePrincipal(word)
		if err != nil {
			return nil, nil, Usagef("LOGIN@HOST: %w", err)
		}
		logins, hosts, typed = append(logins, string(p.Login)), append(hosts, string(p.Host)), append(typed, p.String())
	}
	someLogins, err := sshcert.ParseLogins(logins)
	if err != nil {
		return nil, nil, Usagef("LOGIN@HOST: %w", err)
	}
	someHosts, err := sshcert.ParseHosts(hosts)
	if err != nil {
		return nil, nil, Usagef("LOGIN@HOST: %w", err)
	}
	all, err := sshcert.Principals(someLogins, someHosts)
	if err != nil {
		return nil, nil, Usagef("LOGIN@HOST: %w", err)
	}
	for _, p := range all {
		if !slices.Contains(typed, p) {
			return nil, nil, Usagef("LOGIN@HOST: one request is for every named login on every named host, so this would ask for %s too; make two requests", p)
		}
	}
	return someLogins, someHosts, nil
}

func parseLength(s string) (time.Duration, error) {
	if s == "" {
		return 0, Usagef("--for: say for how long, such as --for 10m")
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, Usagef("--for %q: not a duration; write 90s, 10m or 1h30m", s)
	case d < time.Second:
		return 0, Usagef("--for %s: at least 1s", s)
	case d%time.Second != 0:
		return 0, Usagef("--for %s: whole seconds only", s)
	}
	return d, nil
}

func parseReason(s string) (string, error) {
	return parseText("--because", s, `say why, such as --because "INC-42 checkout latency"; it cannot be empty`)
}

// parseText returns a free text as it will be recorded: composed (NFC) and without
// white space around it. What is empty then is refused with the words given.
func parseText(flag, s, empty string) (string, error) {
	if !utf8.ValidString(s) {
		return "", Usagef("%s: not UTF-8 text", flag)
	}
	text := strings.TrimSpace(norm.NFC.String(s))
	switch {
	case text == "":
		return "", Usagef("%s: %s", flag, empty)
	case len(text) > MaxReason:
		return "", Usagef("%s: %d bytes, at most %d", flag, len(text), MaxReason)
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", Usagef("%s: one line without control characters", flag)
	}
	return text, nil
}

// chooseRole asks the server which roles would do, and picks the one. What a
// role allows the server decides; here only the choice is made.
func (a *account) chooseRole(ctx context.Context, w wanted) (api.RoleOption, error) {
	query := url.Values{}
	for _, l := range w.logins {
		query.Add("login", string(l))
	}
	for _, h := range w.hosts {
		query.Add("host", string(h))
	}
	var options []api.RoleOption
	if err := a.conn.get(ctx, "/v1/roles", query, &options); err != nil {
		return api.RoleOption{}, err
	}
	names := make([]string, 0, len(options))
	var fitting []api.RoleOption
	for _, o := range options {
		names = append(names, o.Contract.ID+"/"+o.Role)
		if (w.role == "" || w.role == o.Role) && (w.contract == "" || w.contract == o.Contract.ID) {
			fitting = append(fitting, o)
		}
	}
	switch {
	case len(fitting) == 1:
		return fitting[0], nil
	case len(options) == 0:
		return api.RoleOption{}, fail(ExitForbidden, "no contract in force lets you ask for %s; sally whoami shows your groups", w.principals())
	case len(fitting) == 0:
		return api.RoleOption{}, Usagef("--role or --contract: for %s you may choose %s", w.principals(), strings.Join(names, ", "))
	default:
		return api.RoleOption{}, Usagef("several roles allow %s: add --contract and --role with one of %s (CONTRACT/ROLE)", w.principals(), strings.Join(names, ", "))
	}
}

// principals names what is wanted, for people.
func (w wanted) principals() string { return listPrincipals(w.logins, w.hosts) }

func listPrincipals(logins []sshcert.Login, hosts []sshcert.Host) string {
	names := make([]string, 0, len(logins)*len(hosts))
	for _, h := range hosts {
		for _, l := range logins {
			names = append(names, sshcert.Principal{Login: l, Host: h}.String())
		}
	}
	return strings.Join(names, ", ")
}

// submit files the request, signed by the device key. The id is drawn here, so
// that sending it again after a lost answer is the same request.
func (a *account) submit(ctx context.Context, w wanted) (api.Request, error) {
	a.freshen(ctx)
	role, err := a.chooseRole(ctx, w)
	if err != nil {
		return api.Request{}, err
	}
	if err := wantsTicket(role, w.ticket); err != nil {
		return api.Request{}, err
	}
	id, err := canon.NewID(a.env.Rand)
	if err != nil {
		return api.Request{}, err
	}
	body, err := a.signRequest(id, w, role)
	if err != nil {
		return api.Request{}, err
	}
	r, err := a.postAgain(ctx, "/v1/requests", body, id)
	if errors.Is(err, context.Canceled) {
		return api.Request{}, fail(ExitInterrupted, "interrupted while asking; whether the request was filed, this says: sally status %s", id)
	}
	return r, err
}

// wantsTicket refuses a request without the ticket that the role demands. Whether
// one that is named has the role's form the server judges.
func wantsTicket(role api.RoleOption, ticket string) error {
	if role.Ticket == nil || !role.Ticket.Required || ticket != "" {
		return nil
	}
	form := ""
	if role.Ticket.Pattern != "" {
		form = " that matches " + role.Ticket.Pattern
	}
	return Usagef("%s/%s %s wants a ticket%s: add --ticket ID", role.Contract.ID, role.Role, role.Clause, form)
}

// postAgain posts what may be posted again, about a request, until it is answered.
func (a *account) postAgain(ctx context.Context, path string, body any, id canon.ID) (api.Request, error) {
	const tries = 3
	for try := 1; ; try++ {
		var r api.Request
		err := a.conn.post(ctx, path, body, &r)
		switch {
		case err == nil:
			return r, sameRequest(r, id)
		case ExitCode(err) != ExitUnreachable || try == tries:
			return api.Request{}, err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return api.Request{}, err
		}
	}
}

// sameRequest holds an answer to the request that was asked about: a
// certificate is later issued under its id.
func sameRequest(r api.Request, id canon.ID) error {
	if r.ID != id {
		return fmt.Errorf("the server answered about request %s when asked about %s; tell the operator", r.ID, id)
	}
	return nil
}

// signRequest makes the body of POST /v1/requests. What is signed carries no
// free text, only the commitment to it.
func (a *account) signRequest(id canon.ID, w wanted, role api.RoleOption) (api.RequestRequest, error) {
	salt, err := ledger.NewSalt(a.env.Rand)
	if err != nil {
		return api.RequestRequest{}, err
	}
	part, err := canon.Marshal(record.RequestPerson{Reason: w.reason, Ticket: w.ticket})
	if err != nil {
		return api.RequestRequest{}, fmt.Errorf("--because, --ticket: %w", err)
	}
	document, err := canon.Marshal(record.RequestDoc{
		V: record.RequestVersion, Origin: a.at.pin.Origin, Request: id, Person: a.session.Person,
		Contract: role.Contract.Digest, Role: role.Role, Logins: w.logins, Hosts: w.hosts,
		Seconds: int64(w.length / time.Second), Commitment: ledger.PersonCommitment(salt, part),
		ExpiresAt: canon.At(a.conn.now().Add(documentLife)),
	})
	if err != nil {
		return api.RequestRequest{}, err
	}
	signature, err := sshcert.Sign(a.env.Rand, a.device, sshcert.NamespaceDevice, document)
	if err != nil {
		return api.RequestRequest{}, err
	}
	return api.RequestRequest{Document: string(document), Signature: signature, PersonSalt: salt.String(), Reason: w.reason, Ticket: w.ticket}, nil
}

// sleep waits for d or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
