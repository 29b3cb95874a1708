package authority

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Purposes of challenges.
const (
	PurposeSession = "session"
	PurposeIssue   = "issue"
)

// ChallengeLife is how long a challenge may be used.
const ChallengeLife = 5 * time.Minute

// Challenge gives out 32 random bytes that one later call uses up.
func (a *Authority) Challenge(ctx context.Context, purpose string) (canon.Digest, canon.Micros, error) {
	if purpose != PurposeSession && purpose != PurposeIssue {
		return canon.Digest{}, 0, fmt.Errorf("purpose %q: %w: session or issue", purpose, ErrField)
	}
	text, _, err := a.secret()
	if err != nil {
		return canon.Digest{}, 0, err
	}
	challenge, err := canon.ParseDigest(text)
	if err != nil {
		return canon.Digest{}, 0, err
	}
	var expires canon.Micros
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		expires = canon.At(tx.Now().Time().Add(ChallengeLife))
		return tx.PutChallenge(challenge, purpose, expires)
	})
	return challenge, expires, err
}

// DeviceLogin is what the CLI posts after a login (DESIGN §5, step 0).
type DeviceLogin struct {
	Server    string // where people reach this server (record.ServerURL): what the login must be signed for
	Issuer    string // "contract/issuer"
	IDToken   string
	RZ        string // b64, 32 bytes
	DeviceKey string // b64 of the SSH wire form
	Document  string // record.SessionDoc
	Signature string
}

// provedLogin is a DeviceLogin that is proved by its device key. Who it is, the
// ID token says, which is not verified yet.
type provedLogin struct {
	DeviceLogin
	challenge canon.Digest
	digest    canon.Digest // of the ID token
	nonce     string       // that the ID token of a first login must have
}

// openLogin checks that the device key signed for this ID token and server.
func (a *Authority) openLogin(l DeviceLogin) (provedLogin, error) {
	wire, err := canon.ParseB64(l.DeviceKey)
	if err != nil {
		return provedLogin{}, fmt.Errorf("device_key: %w: %w", ErrField, err)
	}
	device, err := sshcert.ParseDeviceKey(wire)
	if err != nil {
		return provedLogin{}, fmt.Errorf("device_key: %w", err)
	}
	rz, err := canon.ParseB64(l.RZ)
	if err != nil || len(rz) != 32 {
		return provedLogin{}, fmt.Errorf("rz: %w: 32 bytes as base64url", ErrField)
	}
	doc, err := record.OpenSession(l.Document, l.Signature, device)
	if err != nil {
		return provedLogin{}, err
	}
	if doc.Origin != a.Origin() || doc.Server != l.Server || doc.IDToken != sha256.Sum256([]byte(l.IDToken)) {
		return provedLogin{}, fmt.Errorf("%w: it was signed for another login or server", record.ErrDocument)
	}
	return provedLogin{DeviceLogin: l, challenge: doc.Challenge, digest: doc.IDToken, nonce: oidc.DeviceNonce([32]byte(rz), wire)}, nil
}

// useLogin uses up what a login rests on: its challenge and its ID token.
func (a *Authority) useLogin(tx *store.Tx, l provedLogin) error {
	if err := tx.TakeChallenge(l.challenge, PurposeSession); err != nil {
		return err
	}
	// Twice as long as an ID token is accepted after its iat.
	if err := tx.UseOnce(l.digest, canon.At(tx.Now().Time().Add(2*oidc.MaxSkew))); err != nil {
		return fmt.Errorf("id_token: %w; log in again", err)
	}
	return nil
}

// LoginDevice opens a session for a command-line client. The ID token's nonce
// must commit to the device key, and the device key must sign for this login.
func (a *Authority) LoginDevice(ctx context.Context, l DeviceLogin) (store.Session, string, error) {
	login, err := a.openLogin(l)
	if err != nil {
		return store.Session{}, "", err
	}
	provider, err := a.provider(ctx, l.Issuer, store.CLI)
	if err != nil {
		return store.Session{}, "", err
	}
	id, err := provider.Verify(ctx, l.IDToken, oidc.Expect{Nonce: login.nonce, Flow: record.FlowCode})
	if err != nil {
		return store.Session{}, "", err
	}
	return a.logIn(ctx, id, store.CLI, l.DeviceKey, l.RZ, func(tx *store.Tx) error {
		return a.useLogin(tx, login)
	})
}

// webFlow is what the server remembers of a browser's login.
type webFlow struct {
	Issuer      string `json:"issuer"` // "contract/issuer"
	Verifier    string `json:"verifier"`
	RedirectURI string `json:"redirect_uri"`
	Nonce       string `json:"nonce"`
	Next        string `json:"next"`
}

const flowLife = 10 * time.Minute

// StartWeb begins a browser's login and returns where to send it, and the state
// by which its answer is known.
func (a *Authority) StartWeb(ctx context.Context, issuer, redirectURI, next string) (authURL, state string, err error) {
	provider, err := a.provider(ctx, issuer, store.Web)
	if err != nil {
		return "", "", err
	}
	nonce, _, err := a.secret()
	if err != nil {
		return "", "", err
	}
	authURL, pending, err := provider.Start(ctx, redirectURI, nonce, a.rand)
	if err != nil {
		return "", "", err
	}
	body, err := canon.Marshal(webFlow{Issuer: issuer, Verifier: pending.Verifier, RedirectURI: pending.RedirectURI, Nonce: pending.Nonce, Next: next})
	if err != nil {
		return "", "", err
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		return tx.PutFlow(store.SecretHash(pending.State), body, canon.At(tx.Now().Time().Add(flowLife)))
	})
	return authURL, pending.State, err
}

// FinishWeb ends a browser's login with the provider's answer: a session, its
// secret, and where the browser wanted to go. The caller has compared state with
// the browser's own.
func (a *Authority) FinishWeb(ctx context.Context, state string, answer map[string][]string) (s store.Session, secret, next string, err error) {
	var flow webFlow
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		body, err := tx.TakeFlow(store.SecretHash(state))
		if err != nil {
			return err
		}
		return canon.Unmarshal(body, &flow)
	})
	if err != nil {
		return store.Session{}, "", "", err
	}
	provider, err := a.provider(ctx, flow.Issuer, store.Web)
	if err != nil {
		return store.Session{}, "", "", err
	}
	raw, err := provider.Exchange(ctx, oidc.Pending{State: state, Verifier: flow.Verifier, RedirectURI: flow.RedirectURI, Nonce: flow.Nonce}, answer)
	if err != nil {
		return store.Session{}, "", "", err
	}
	id, err := provider.Verify(ctx, raw, oidc.Expect{Nonce: flow.Nonce, Flow: record.FlowCode})
	if err != nil {
		return store.Session{}, "", "", err
	}
	s, secret, err = a.logIn(ctx, id, store.Web, "", "", func(*store.Tx) error { return nil })
	return s, secret, flow.Next, err
}

// LogOut ends the session that a secret opens.
func (a *Authority) LogOut(ctx context.Context, secret string) error {
	return a.store.Write(ctx, func(tx *store.Tx) error { return tx.EndSession(store.SecretHash(secret)) })
}

// Touch notes that a session is in use.
func (a *Authority) Touch(ctx context.Context, secret string) error {
	return a.store.Write(ctx, func(tx *store.Tx) error { return tx.TouchSession(store.SecretHash(secret)) })
}

// logIn records the login, the groups if they changed, and the session, in one
// write. use consumes what the login rests on.
func (a *Authority) logIn(ctx context.Context, id oidc.Identity, kind store.SessionKind, deviceKey, rz string, use func(*store.Tx) error) (store.Session, string, error) {
	secret, hash, err := a.secret()
	if err != nil {
		return store.Session{}, "", err
	}
	var session store.Session
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		if err := use(tx); err != nil {
			return err
		}
		id = notAhead(id, tx.Now())
		person, err := a.personOf(tx, id)
		if err != nil {
			return err
		}
		login, err := a.appendLogin(tx, id, person, deviceKey, rz)
		if err != nil {
			return err
		}
		snapshot, err := a.appendSnapshot(tx, id, person, login)
		if err != nil {
			return err
		}
		session = store.Session{
			Kind: kind, Person: person, Issuer: id.Issuer, Client: id.Client, Login: login, Snapshot: snapshot,
			ClaimsAt: canon.At(id.IssuedAt), DeviceKey: deviceKey, ExpiresAt: canon.At(tx.Now().Time().Add(store.MaxSession)),
		}
		if !id.AuthTime.IsZero() {
			session.AuthAt = canon.At(id.AuthTime)
		}
		return tx.PutSession(hash, session)
	})
	if err != nil {
		return store.Session{}, "", err
	}
	a.settle(ctx)
	return session, secret, nil
}

// notAhead lets an issuer whose clock is ahead vouch for no longer than others.
func notAhead(id oidc.Identity, now canon.Micros) oidc.Identity {
	if at := now.Time(); id.IssuedAt.After(at) {
		id.IssuedAt = at
	}
	return id
}

// personOf returns the person that an identity is, a new one at first login.
func (a *Authority) personOf(tx *store.Tx, id oidc.Identity) (canon.ID, error) {
	person, err := record.Identity(tx, id.Issuer, id.Subject)
	if isNotFound(err) {
		return canon.NewID(a.rand)
	}
	return person, err
}

func (a *Authority) appendLogin(tx *store.Tx, id oidc.Identity, person canon.ID, deviceKey, rz string) (canon.Digest, error) {
	ref, err := canon.NewID(a.rand)
	if err != nil {
		return canon.Digest{}, err
	}
	f := record.PersonLogin{
		At: tx.Now(), Login: ref, Person: person, Issuer: id.Issuer, Client: id.Client, Flow: id.Flow, DeviceKey: deviceKey,
		ClaimsAt: canon.At(id.IssuedAt), ACR: id.ACR, AMR: id.AMR, GroupsKnown: id.GroupsKnown, Groups: sorted(id.Groups),
	}
	if !id.AuthTime.IsZero() {
		f.AuthTimeAt = canon.At(id.AuthTime)
	}
	leaf, err := tx.Append(store.Draft{Facts: f, PersonID: person, Person: record.LoginPerson{
		Subject: id.Subject, Name: id.Name, Email: id.Email, Handle: id.Handle, IDToken: id.Raw, RZ: rz,
	}})
	return leaf.Hash, err
}

// appendSnapshot returns the leaf of the person's newest snapshot from this
// issuer, a new one if the groups changed.
func (a *Authority) appendSnapshot(tx *store.Tx, id oidc.Identity, person canon.ID, login canon.Digest) (canon.Digest, error) {
	row, err := record.Person(tx, person)
	if err != nil {
		return canon.Digest{}, err
	}
	groups := sorted(id.Groups)
	for _, ref := range row.Snapshots {
		if ref.Issuer != id.Issuer {
			continue
		}
		last, err := record.Snapshot(tx, ref.Leaf)
		if err != nil {
			return canon.Digest{}, err
		}
		if last.GroupsKnown == id.GroupsKnown && slices.Equal(last.Groups, groups) {
			return ref.Leaf, nil
		}
	}
	ref, err := canon.NewID(a.rand)
	if err != nil {
		return canon.Digest{}, err
	}
	leaf, err := tx.Append(store.Draft{Facts: record.PersonSnapshot{
		At: tx.Now(), Snapshot: ref, Person: person, Issuer: id.Issuer, Source: record.SourceIDToken, Login: login, GroupsKnown: id.GroupsKnown, Groups: groups,
	}})
	return leaf.Hash, err
}

func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}
