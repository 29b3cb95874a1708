package client

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/cli/browser"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// LoginOptions are the settings of [Login].
type LoginOptions struct {
	Env
	// Server is the authority's URL and Pin the path of its pin file. Empty: as
	// at the last login.
	Server, Pin string
	// Issuer is the identity provider to use; empty if there is only one.
	Issuer string
	// NoBrowser only prints the page to open.
	NoBrowser bool
	// RedirectPort is the port on 127.0.0.1 where the answer is taken; 0 is any
	// free one. Some identity providers compare it with what they were told.
	RedirectPort int
}

// Login logs the person in (DESIGN §5 step 0). It makes a device key, has the
// identity provider's ID token commit to it through the nonce, signs the ID
// token's digest and a challenge with it, and keeps the bearer that the server
// gives in return. The ID token is not kept; the refresh token is, if the identity
// provider gives one, to renew the login later without the person.
func Login(ctx context.Context, o LoginOptions) error {
	if o.RedirectPort < 0 || o.RedirectPort > 65535 {
		return Usagef("--redirect-port %d: 1 to 65535, or 0 for any free port", o.RedirectPort)
	}
	root, err := stateRoot(o.Getenv)
	if err != nil {
		return err
	}
	at, err := chooseAuthority(o.Env, root, o.Server, o.Pin)
	if err != nil {
		return err
	}
	c := newConn(o.Env, at.server, "")
	issuer, err := askServer(ctx, c, &at, o.Issuer)
	if err != nil {
		return err
	}
	_, key, err := ed25519.GenerateKey(o.Rand)
	if err != nil {
		return fmt.Errorf("making a device key: %w", err)
	}
	device, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return fmt.Errorf("making a device key: %w", err)
	}
	var rz [32]byte
	if _, err := io.ReadFull(o.Rand, rz[:]); err != nil {
		return fmt.Errorf("making a device key: %w", err)
	}
	got, err := o.signIn(ctx, issuer, oidc.DeviceNonce(rz, device.PublicKey().Marshal()))
	if err != nil {
		return err
	}
	s, err := openSession(ctx, c, at.pin.Origin, issuer.ID, got.ID, rz[:], device)
	if err != nil {
		return err
	}
	if s.Bearer == "" {
		return fmt.Errorf("the server at %s opened a session without a bearer; it is no server that this sally understands", c.base)
	}
	file, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return fmt.Errorf("keeping the device key: %w", err)
	}
	err = saveLogin(root, at, session{
		Server: at.server.String(), Origin: at.pin.Origin, Person: s.Person, Who: who(s),
		ExpiresAt: s.ExpiresAt, Bearer: s.Bearer, DeviceKey: string(pem.EncodeToMemory(file)),
		ClaimsAt: s.ClaimsAt, FreshUntil: s.FreshUntil, Issuer: issuer, RZ: canon.B64(rz[:]), Refresh: got.Refresh,
	})
	if err != nil {
		return err
	}
	o.say("logged in as %s until %s", who(s), o.clock(s.ExpiresAt.Time()))
	return nil
}

// askServer checks that the server is the pinned one and picks the issuer.
func askServer(ctx context.Context, c *conn, at *authority, wanted string) (api.Issuer, error) {
	var s api.Server
	if err := c.get(ctx, "/v1/server", nil, &s); err != nil {
		return api.Issuer{}, err
	}
	if s.Origin != at.pin.Origin {
		return api.Issuer{}, fmt.Errorf("the server at %s is %q, but the pin file is for %q: wrong server or wrong pin file, nothing was sent to it",
			c.base, s.Origin, at.pin.Origin)
	}
	ids := make([]string, 0, len(s.Issuers))
	kept := false
	for _, i := range s.Issuers {
		ids = append(ids, i.ID)
		kept = kept || i.ID == at.issuer
	}
	switch {
	case wanted != "":
	case kept:
		wanted = at.issuer
	case len(ids) == 1:
		wanted = ids[0]
	case len(ids) == 0:
		return api.Issuer{}, fmt.Errorf("no contract is in force at %s, so there is no identity provider to log in with; tell the operator", c.base)
	default:
		return api.Issuer{}, Usagef("several identity providers: add --issuer with one of %s", strings.Join(ids, ", "))
	}
	for _, i := range s.Issuers {
		if i.ID == wanted {
			at.issuer = wanted
			return i, nil
		}
	}
	return api.Issuer{}, Usagef("--issuer %s: the server knows %s", wanted, first(strings.Join(ids, ", "), "none"))
}

// provider is the client side of an identity provider.
func (e Env) provider(i api.Issuer) (*oidc.Provider, error) {
	return oidc.New(oidc.Issuer{
		ID: i.ID, URL: i.URL, ClientID: i.ClientID, Algs: i.Algs, SubjectClaim: i.Subject, GroupsClaim: i.Groups, Offline: true,
	}, e.Now)
}

// signIn sends the person to the identity provider and returns the ID token.
func (o LoginOptions) signIn(ctx context.Context, i api.Issuer, nonce string) (got oidc.Tokens, err error) {
	provider, err := o.provider(i)
	if err != nil {
		return got, signInError(ctx, err)
	}
	answer, err := oidc.ListenLoopback(o.RedirectPort)
	if err != nil {
		if o.RedirectPort != 0 {
			return got, fmt.Errorf("%w; end the program that has the port, or choose another with --redirect-port", err)
		}
		return got, fmt.Errorf("%w; sally login needs a free port on 127.0.0.1", err)
	}
	defer func() { err = errors.Join(err, answer.Close()) }()
	page, pending, err := provider.Start(ctx, answer.RedirectURI(), nonce, o.Rand)
	if err != nil {
		return got, signInError(ctx, err)
	}
	o.say("open this page to log in: %s", page)
	if !o.NoBrowser && hasDisplay(o.Getenv) {
		go openBrowser(page)
	}
	values, err := answer.Wait(ctx)
	if err != nil {
		return got, signInError(ctx, err)
	}
	if got, err = provider.Redeem(ctx, pending, values); err != nil {
		return oidc.Tokens{}, signInError(ctx, err)
	}
	return got, nil
}

// signInError gives the identity provider's failures their exit codes.
func signInError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, oidc.ErrUnreachable):
		return &Error{ExitUnreachable, err}
	case errors.Is(err, oidc.ErrNoAnswer), errors.Is(err, oidc.ErrDenied), errors.Is(err, oidc.ErrRefresh):
		return &Error{ExitLogin, err}
	default:
		return err
	}
}

// hasDisplay reports whether a browser that was started would be seen.
func hasDisplay(getenv func(string) string) bool {
	return runtime.GOOS == "darwin" || getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}

// openBrowser shows the page, if it can: the person has its address anyway. The
// library would write the launcher's complaints into the terminal.
func openBrowser(page string) {
	browser.Stdout, browser.Stderr = io.Discard, io.Discard
	_ = browser.OpenURL(page)
}

// openSession brings the ID token to the server, tied to the device key. Over a
// connection with a bearer it renews that session.
func openSession(ctx context.Context, c *conn, origin, issuer, idToken string, rz []byte, device ssh.Signer) (api.Session, error) {
	var challenge api.Challenge
	if err := c.post(ctx, "/v1/challenges", api.ChallengeRequest{Purpose: "session"}, &challenge); err != nil {
		return api.Session{}, err
	}
	document, err := canon.Marshal(record.SessionDoc{
		V: record.SessionVersion, Origin: origin, Server: record.ServerURL(c.base), IDToken: sha256.Sum256([]byte(idToken)), Challenge: challenge.Challenge,
	})
	if err != nil {
		return api.Session{}, err
	}
	signature, err := sshcert.Sign(c.env.Rand, device, sshcert.NamespaceDevice, document)
	if err != nil {
		return api.Session{}, err
	}
	var s api.Session
	err = c.post(ctx, "/v1/sessions", api.SessionRequest{
		Issuer: issuer, IDToken: idToken, RZ: canon.B64(rz), DeviceKey: canon.B64(device.PublicKey().Marshal()),
		Document: string(document), Signature: signature,
	}, &s)
	if err != nil {
		return api.Session{}, err
	}
	if s.Person == "" {
		return api.Session{}, fmt.Errorf("the server at %s opened a session without a person; it is no server that this sally understands", c.base)
	}
	return s, nil
}
