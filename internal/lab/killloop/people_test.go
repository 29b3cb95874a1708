package killloop_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/internal/lab/site"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// people are Alice, who asks again and again, and Bob, who decides. What was not
// answered they do again.
type people struct {
	*loop
	rand    *mathrand.Rand
	account atomic.Pointer[account]     // Alice's newest session
	grant   atomic.Pointer[api.Request] // her newest grant
	bob     *robot.Robot                // his browser, signed in
	ask     *ask                        // is not settled yet
	// They log in anew.
	aliceDue, bobDue bool
}

// ask is a request that Alice has signed.
type ask struct {
	id   canon.ID
	by   *account // the session whose device key has signed body
	body api.RequestRequest
	deny bool // what Bob makes of it
	// What was answered so far.
	filed, decided bool
}

func newPeople(l *loop, seed uint64) *people {
	return &people{loop: l, aliceDue: true, bobDue: true, rand: mathrand.New(mathrand.NewPCG(seed, 1<<32))}
}

// cycle is one request with its decision, and a login if that is due.
func (p *people) cycle(ctx context.Context) error {
	if err := p.logIn(ctx); err != nil {
		return err
	}
	if p.ask == nil {
		if err := p.newAsk(ctx, p.account.Load()); err != nil {
			return err
		}
	}
	a := p.ask.by
	if !p.ask.filed {
		var filed api.Request
		if err := a.call(ctx, "/v1/requests", p.ask.body, &filed); err != nil {
			return err
		}
		p.book.filed(filed)
		p.ask.filed = true
	}
	if !p.ask.decided {
		if err := p.decide(ctx); err != nil {
			return err
		}
	}
	var settled api.Request
	if err := a.call(ctx, "/v1/requests/"+string(p.ask.id), nil, &settled); err != nil {
		return err
	}
	want := "granted"
	if p.ask.deny {
		want = "denied"
	}
	if settled.State != want {
		return fmt.Errorf("request %s is %s, Bob has made it %s", settled.ID, settled.State, want)
	}
	if !p.ask.deny {
		p.grant.Store(&settled)
	}
	p.ask = nil
	return nil
}

// newAsk signs a request for an hour. Every fourth will be denied, but not the
// first: everybody waits for a grant.
func (p *people) newAsk(ctx context.Context, a *account) error {
	var about api.Server
	if err := a.call(ctx, "/v1/server", nil, &about); err != nil {
		return err
	}
	if len(about.Contracts) != 1 {
		return fmt.Errorf("%d contracts are in force", len(about.Contracts))
	}
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		return err
	}
	salt, err := ledger.NewSalt(rand.Reader)
	if err != nil {
		return err
	}
	part, err := canon.Marshal(record.RequestPerson{Reason: "once more before the kill"})
	if err != nil {
		return err
	}
	document, err := canon.Marshal(record.RequestDoc{
		V: record.RequestVersion, Origin: p.book.pin.Origin, Request: id, Person: a.Person, Contract: about.Contracts[0].Digest, Role: site.RoleID,
		Logins: []sshcert.Login{p.Account.Login}, Hosts: []sshcert.Host{site.Web1}, Seconds: 3600,
		Commitment: ledger.PersonCommitment(salt, part), ExpiresAt: canon.At(time.Now().Add(documentLife)),
	})
	if err != nil {
		return err
	}
	signature, err := sshcert.Sign(rand.Reader, a.device, sshcert.NamespaceDevice, document)
	p.ask = &ask{id: id, by: a, deny: p.grant.Load() != nil && p.rand.IntN(4) == 0, body: api.RequestRequest{
		Document: string(document), Signature: signature, PersonSalt: salt.String(), Reason: "once more before the kill",
	}}
	return err
}

// decide is what Bob does on the request's page. If an earlier try of his was
// done without an answer, the page has nothing to press any more.
func (p *people) decide(ctx context.Context) error {
	path := "/requests/" + string(p.ask.id)
	page, err := p.bob.Get(ctx, p.URL()+path)
	if err != nil {
		return lost(err)
	}
	if page.Status != http.StatusOK || page.URL.Path != path {
		return fmt.Errorf("Bob's page of the request: status %d at %s: %s", page.Status, page.URL, page.Text())
	}
	if _, err := page.Form(path + "/decisions"); err != nil {
		p.ask.decided = true // cycle looks at what came of it
		return nil
	}
	verdict, words := approval.Approve, ""
	if p.ask.deny {
		verdict, words = approval.Deny, "not this time"
	}
	after, err := p.bob.Submit(ctx, page, path+"/decisions", map[string]string{"words": words}, string(verdict))
	if err != nil {
		return lost(err)
	}
	if after.Status != http.StatusOK || after.URL.Path != path {
		return fmt.Errorf("Bob's decision: status %d at %s: %s", after.Status, after.URL, after.Text())
	}
	p.ask.decided = true
	p.book.decided(p.ask.id, verdict)
	return nil
}

// lost names a broken connection so.
func lost(err error) error {
	if _, ok := errors.AsType[*url.Error](err); ok || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	return err
}

// logIn opens a session for Alice with a new device key, and a browser for Bob,
// as far as they are due.
func (p *people) logIn(ctx context.Context) error {
	if p.aliceDue {
		if err := p.logInAlice(ctx); err != nil {
			return err
		}
		p.aliceDue = false
	}
	if p.bobDue {
		if err := p.logInBob(ctx); err != nil {
			return err
		}
		p.bobDue = false
	}
	return nil
}

func (p *people) logInBob(ctx context.Context) error {
	browser, err := robot.New(&http.Transport{DisableKeepAlives: true}) // sallyd is another one each time
	if err != nil {
		return err
	}
	name, password := p.Bob.Account()
	if _, err := browser.LogIn(ctx, p.URL()+"/", name, password); err != nil {
		browser.Close()
		return lost(err)
	}
	if p.bob != nil {
		p.bob.Close()
	}
	p.bob = browser
	return nil
}

func (p *people) logInAlice(ctx context.Context) error {
	device, err := newKey()
	if err != nil {
		return err
	}
	a := &account{base: p.URL(), device: device}
	var rz [32]byte
	if _, err := rand.Read(rz[:]); err != nil {
		return err
	}
	var about api.Server
	if err := a.call(ctx, "/v1/server", nil, &about); err != nil {
		return err
	}
	if len(about.Issuers) != 1 {
		return fmt.Errorf("%d identity providers", len(about.Issuers))
	}
	wire := device.PublicKey().Marshal()
	idToken, err := p.idToken(ctx, about.Issuers[0], oidc.DeviceNonce(rz, wire))
	if err != nil {
		return err
	}
	var c api.Challenge
	if err := a.call(ctx, "/v1/challenges", api.ChallengeRequest{Purpose: "session"}, &c); err != nil {
		return err
	}
	document, err := canon.Marshal(record.SessionDoc{
		V: record.SessionVersion, Origin: p.book.pin.Origin, Server: p.URL(), IDToken: sha256.Sum256([]byte(idToken)), Challenge: c.Challenge,
	})
	if err != nil {
		return err
	}
	signature, err := sshcert.Sign(rand.Reader, device, sshcert.NamespaceDevice, document)
	if err != nil {
		return err
	}
	err = a.call(ctx, "/v1/sessions", api.SessionRequest{
		Issuer: about.Issuers[0].ID, IDToken: idToken, RZ: canon.B64(rz[:]), DeviceKey: canon.B64(wire), Document: string(document), Signature: signature,
	}, &a.Session)
	if err != nil {
		return err
	}
	p.book.loggedIn(canon.B64(wire))
	p.account.Store(a)
	return nil
}

// idToken signs Alice in at the identity provider, as sally login does.
func (p *people) idToken(ctx context.Context, i api.Issuer, nonce string) (string, error) {
	provider, err := oidc.New(oidc.Issuer{ID: i.ID, URL: i.URL, ClientID: i.ClientID, Algs: i.Algs, SubjectClaim: i.Subject, GroupsClaim: i.Groups}, time.Now)
	if err != nil {
		return "", err
	}
	loopback, err := oidc.ListenLoopback(0)
	if err != nil {
		return "", err
	}
	defer func() { _ = loopback.Close() }() // it has answered or is of no use
	address, pending, err := provider.Start(ctx, loopback.RedirectURI(), nonce, nil)
	if err != nil {
		return "", err
	}
	browser, err := robot.New(nil)
	if err != nil {
		return "", err
	}
	defer browser.Close()
	name, password := p.Alice.Account()
	if _, err := browser.LogIn(ctx, address, name, password); err != nil {
		return "", err
	}
	answer, err := loopback.Wait(ctx)
	if err != nil {
		return "", err
	}
	return provider.Exchange(ctx, pending, answer)
}
