package main

import (
	"context"
	"crypto/rand"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// pair is somebody who asks and somebody who decides, through an authority and
// by the machine's clock.
type pair struct {
	w      *recordtest.World
	s      *store.Store
	asks   *recordtest.User
	lead   *recordtest.User
	logged time.Time
	took   sample // of the issue calls alone
}

// newPair logs two people in who were never seen before.
func newPair(ctx context.Context, s *store.Store, w *recordtest.World) (*pair, error) {
	p := &pair{w: as(w, "now "+rand.Text()), s: s}
	p.asks, p.lead = p.w.User("asks-"+rand.Text(), "engineers"), p.w.User("leads-"+rand.Text(), "leads")
	return p, p.logIn(ctx)
}

func (p *pair) logIn(ctx context.Context) error {
	p.logged = time.Now()
	return p.s.Write(ctx, func(tx *store.Tx) error {
		for _, u := range []*recordtest.User{p.asks, p.lead} {
			if err := p.w.LogIn(transaction{tx}, u); err != nil {
				return err
			}
		}
		return nil
	})
}

func sessionOf(u *recordtest.User, kind store.SessionKind) store.Session {
	return store.Session{
		Kind: kind, Person: u.Person, Issuer: recordtest.Issuer, Client: "sally", Login: u.Claims.Login, Snapshot: u.Claims.Snapshot, ClaimsAt: u.Claims.ClaimsAt,
		AuthAt: u.Claims.ClaimsAt, DeviceKey: recordtest.Wire(u.Device.PublicKey()), ExpiresAt: canon.At(time.Now().Add(time.Hour)),
	}
}

// next has one certificate made under a grant of its own, and notes how long the
// issue call took.
func (p *pair) next(ctx context.Context, a *authority.Authority) error {
	if time.Since(p.logged) > 5*time.Minute {
		if err := p.logIn(ctx); err != nil {
			return err
		}
	}
	r, err := p.granted(ctx, a)
	if err != nil {
		return err
	}
	call, err := p.call(ctx, a, r)
	if err != nil {
		return err
	}
	begin := time.Now()
	if _, err := a.Issue(ctx, sessionOf(p.asks, store.CLI), call); err != nil {
		return err
	}
	p.took = append(p.took, time.Since(begin))
	return nil
}

func (p *pair) granted(ctx context.Context, a *authority.Authority) (approval.Request, error) {
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		return approval.Request{}, err
	}
	now := canon.At(time.Now())
	ask := recordtest.Ask{
		Doc: record.RequestDoc{
			V: record.RequestVersion, Origin: recordtest.Origin, Request: id, Person: p.asks.Person, Contract: p.w.Version.Digest, Role: "operator",
			Logins: []sshcert.Login{"ops"}, Hosts: []sshcert.Host{hostNamed(0)}, Seconds: 600, ExpiresAt: now + canon.Micros(5*time.Minute/time.Microsecond),
		},
		Reason: "INC-42 checkout latency", Salt: p.w.Salt(),
	}
	text, err := document(ask)
	if err != nil {
		return approval.Request{}, err
	}
	q, _, err := a.Submit(ctx, sessionOf(p.asks, store.CLI), authority.Ask{
		Document: text, Signature: p.w.Signature(p.asks.Device, sshcert.NamespaceDevice, text), PersonSalt: ask.Salt.String(), Reason: ask.Reason,
	})
	if err != nil {
		return approval.Request{}, err
	}
	shown, err := authority.Shown(q)
	if err != nil {
		return approval.Request{}, err
	}
	return a.Decide(ctx, sessionOf(p.lead, store.CLI), authority.Verdict{Request: q.ID, Verdict: approval.Approve, Shown: shown})
}

// document is what the person signs to ask.
func document(ask recordtest.Ask) (string, error) {
	part, err := canon.Marshal(record.RequestPerson{Reason: ask.Reason})
	if err != nil {
		return "", err
	}
	ask.Doc.Commitment = ledger.PersonCommitment(ask.Salt, part)
	text, err := canon.Marshal(ask.Doc)
	return string(text), err
}

// call is the issue call for a key of its own.
func (p *pair) call(ctx context.Context, a *authority.Authority, r approval.Request) (authority.IssueCall, error) {
	challenge, expires, err := a.Challenge(ctx, authority.PurposeIssue)
	if err != nil {
		return authority.IssueCall{}, err
	}
	key := p.w.Key()
	text, err := canon.Marshal(record.IssueDoc{
		V: record.IssueVersion, Origin: recordtest.Origin, Lineage: r.Lineage, Person: p.asks.Person, Grant: r.ID,
		Key: recordtest.Wire(key.PublicKey()), Challenge: challenge, ExpiresAt: expires,
	})
	return authority.IssueCall{
		Grant: r.ID, Document: string(text),
		DeviceSig:  p.signature(p.asks.Device, sshcert.NamespaceDevice, text),
		Possession: p.signature(key, sshcert.NamespacePossession, text),
	}, err
}

func (p *pair) signature(key ssh.Signer, namespace string, text []byte) string {
	return p.w.Signature(key, namespace, string(text))
}
