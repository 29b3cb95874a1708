package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// RevokeOptions are the settings of [Revoke]. One of the first six says what is
// revoked.
type RevokeOptions struct {
	Env
	Serial  string // of a certificate
	Grant   string // id of its request
	Request string // id
	Person  string // id, or "me"
	Role    string // CONTRACT/ROLE
	Host    string // name
	// Contract says which contract's, by its id, where that does not follow: of a
	// person, and of what one may not see.
	Contract string
	Because  string
	JSON     bool
}

// Revoke takes away what was granted. What is revoked already is as good.
func Revoke(ctx context.Context, o RevokeOptions) error {
	t, contract, err := o.target()
	if err != nil {
		return err
	}
	if strings.TrimSpace(o.Because) == "" {
		return Usagef(`say why, with --because "…"`)
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	if t.Type == record.TargetPerson && t.ID == "" {
		t.ID = a.session.Person
	}
	lineage, err := a.lineageOf(ctx, t, contract)
	if err != nil {
		return err
	}
	done, err := a.revoke(ctx, t, lineage, o.Because)
	switch p, refused := errors.AsType[*ProblemError](err); {
	case refused && (p.Slug == "settled" || p.Slug == "revoked"):
		return a.revokedBefore(ctx, t, err)
	case errors.Is(err, context.Canceled):
		return fail(ExitInterrupted, "interrupted; whether %s was revoked, this says: sally ledger list --kind access.revoke", t)
	case err != nil:
		return whereToLook(err, "sally list shows your requests")
	}
	if o.JSON {
		return o.printJSON(done)
	}
	o.say("%s is revoked since %s, by ledger entry %d; hosts that are reached refuse it within seconds", t, o.clock(done.At.Time()), done.Index)
	return nil
}

// revokedBefore says why something is past being revoked. What was revoked before is
// as good. refused is the server's own word.
func (a *account) revokedBefore(ctx context.Context, t record.Target, refused error) error {
	if t.Type == record.TargetCertificate {
		a.env.say("%s; there is nothing more to do", refused)
		return nil
	}
	r, err := a.request(ctx, t.ID)
	switch {
	case err != nil:
		return refused
	case r.Revoked != nil:
		a.env.say("%s is revoked since %s by %s; there is nothing more to do", t, a.env.clock(r.Revoked.At.Time()), revokedBy(r))
		return nil
	}
	return fail(ExitDenied, "request %s is %s already, so there is nothing to revoke", r.ID, r.State)
}

// target reads what is revoked, and the contract that it names.
func (o RevokeOptions) target() (t record.Target, contract string, err error) {
	contract = o.Contract
	named := 0
	for _, one := range []struct {
		text string
		read func(string) error
	}{
		{o.Serial, func(s string) (err error) {
			t.Type = record.TargetCertificate
			if t.Serial, err = strconv.ParseUint(s, 10, 64); err != nil || t.Serial == 0 || t.Serial > record.MaxSerial {
				return Usagef("%.40q is no serial of a certificate; sally status and sshd's log show it", s)
			}
			return nil
		}},
		{o.Grant, func(s string) (err error) { t.Type = record.TargetGrant; t.ID, err = parseID(s); return err }},
		{o.Request, func(s string) (err error) { t.Type = record.TargetRequest; t.ID, err = parseID(s); return err }},
		{o.Person, func(s string) (err error) {
			if t.Type = record.TargetPerson; s != "me" {
				t.ID, err = parseID(s)
			}
			return err
		}},
		{o.Role, func(s string) error {
			var ok bool
			var of string
			t.Type = record.TargetRole
			if of, t.Role, ok = strings.Cut(s, "/"); !ok || of == "" || t.Role == "" || strings.Contains(t.Role, "/") {
				return Usagef("--role %.80q: write CONTRACT/ROLE", s)
			}
			if contract != "" && contract != of {
				return Usagef("--role %s and --contract %s name two contracts", s, contract)
			}
			contract = of
			return nil
		}},
		{o.Host, func(s string) (err error) {
			t.Type = record.TargetHost
			if t.Host, err = sshcert.ParseHost(s); err != nil {
				return Usagef("--host: %w", err)
			}
			return nil
		}},
	} {
		if one.text == "" {
			continue
		}
		if named++; named > 1 {
			return t, "", Usagef("name one thing to revoke: a certificate's serial, --grant, --request, --person, --role or --host")
		}
		if err := one.read(one.text); err != nil {
			return t, "", err
		}
	}
	if named == 0 {
		return t, "", Usagef("name what to revoke: a certificate's serial, --grant, --request, --person, --role or --host")
	}
	return t, contract, nil
}

// lineageOf returns the lineage of the contract that a target belongs to.
func (a *account) lineageOf(ctx context.Context, t record.Target, contract string) (canon.Digest, error) {
	var server api.Server
	if err := a.conn.get(ctx, "/v1/server", nil, &server); err != nil {
		return canon.Digest{}, err
	}
	ids := make([]string, 0, len(server.Contracts))
	for _, c := range server.Contracts {
		if ids = append(ids, c.ID); c.ID == contract {
			return c.Lineage, nil
		}
	}
	switch {
	case contract != "":
		return canon.Digest{}, fmt.Errorf("contract %s: none of that name is in force; there is %s", contract, first(strings.Join(ids, ", "), "none"))
	case len(server.Contracts) == 1:
		return server.Contracts[0].Lineage, nil
	case t.Type == record.TargetGrant || t.Type == record.TargetRequest:
		if r, err := a.request(ctx, t.ID); err == nil {
			return r.Contract.Lineage, nil
		}
	case t.Type == record.TargetHost:
		if h, err := a.inventory(ctx, t.Host); err == nil {
			return h.Lineage, nil
		}
	}
	return canon.Digest{}, Usagef("say which contract's, with --contract: %s", strings.Join(ids, ", "))
}

// revoke posts a revocation until it is answered: sending it again is the same one.
func (a *account) revoke(ctx context.Context, t record.Target, lineage canon.Digest, because string) (api.Revocation, error) {
	body, err := a.signRevocation(t, lineage, because)
	if err != nil {
		return api.Revocation{}, err
	}
	const tries = 3
	for try := 1; ; try++ {
		var done api.Revocation
		err := a.conn.post(ctx, "/v1/revocations", body, &done)
		if err == nil && done.Target != string(t.Type) {
			return done, fmt.Errorf("the server answered about a %.20q when asked about %s; tell the operator", done.Target, t)
		}
		if err == nil || ExitCode(err) != ExitUnreachable || try == tries {
			return done, err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return done, err
		}
	}
}

// signRevocation makes the body of POST /v1/revocations.
func (a *account) signRevocation(t record.Target, lineage canon.Digest, because string) (api.RevocationRequest, error) {
	id, err := canon.NewID(a.env.Rand)
	if err != nil {
		return api.RevocationRequest{}, err
	}
	document, err := canon.Marshal(record.RevokeDoc{
		V: record.RevokeVersion, Origin: a.at.pin.Origin, Revocation: id, Person: a.session.Person, Lineage: lineage, Target: t,
		ExpiresAt: canon.At(a.conn.now().Add(documentLife)),
	})
	if err != nil {
		return api.RevocationRequest{}, err
	}
	signature, err := sshcert.Sign(a.env.Rand, a.device, sshcert.NamespaceDevice, document)
	if err != nil {
		return api.RevocationRequest{}, err
	}
	return api.RevocationRequest{Document: string(document), Signature: signature, Because: because}, nil
}
