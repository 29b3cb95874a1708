package client

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
)

// account is a kept login: what every verb but login starts from.
type account struct {
	env     Env
	dir     string // the authority's folder in the state folder
	at      authority
	session session
	device  ssh.Signer
	conn    *conn
	refused error // why the login could not be renewed beforehand
}

// openAccount reads the kept login. Without one its error has ExitLogin.
func openAccount(e Env) (*account, error) {
	root, err := stateRoot(e.Getenv)
	if err != nil {
		return nil, err
	}
	at, err := chooseAuthority(e, root, "", "")
	if err != nil {
		return nil, err
	}
	dir := originDir(root, at.pin.Origin)
	if err := secure(root, dir); err != nil {
		return nil, err
	}
	s, err := loadSession(e, dir, at)
	if err != nil {
		return nil, err
	}
	device, err := s.device()
	if err != nil {
		return nil, err
	}
	a := &account{env: e, dir: dir, at: at, session: s, device: device, conn: newConn(e, at.server, s.Bearer)}
	a.conn.renew = a.renew
	return a, nil
}

// WhoamiOptions are the settings of [Whoami].
type WhoamiOptions struct {
	Env
	JSON bool
}

// whoamiResult is what --json prints.
type whoamiResult struct {
	api.Session
	Server string `json:"server"`
	Origin string `json:"origin"`
}

// Whoami prints who is logged in, as the server sees it, and until when.
func Whoami(ctx context.Context, o WhoamiOptions) error {
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	var s api.Session
	if err := a.conn.get(ctx, "/v1/sessions/current", nil, &s); err != nil {
		return err
	}
	if o.JSON {
		s.Bearer = "" // no server sends it here; none gets it printed
		return o.printJSON(whoamiResult{s, a.at.server.String(), a.at.pin.Origin})
	}
	groups := "unknown"
	if s.GroupsKnown {
		groups = first(strings.Join(s.Groups, ", "), "none")
	}
	return o.print(
		who(s),
		"person   "+string(s.Person),
		"issuer   "+s.Issuer,
		"groups   "+groups+", as said at "+o.clock(s.ClaimsAt.Time()),
		"until    "+o.clock(s.ExpiresAt.Time()),
		"server   "+a.at.server.String()+" ("+a.at.pin.Origin+")",
	)
}

// who names a person for people.
func who(s api.Session) string {
	switch {
	case s.Name != "" && s.Email != "":
		return s.Name + " <" + s.Email + ">"
	case s.Name != "" || s.Email != "":
		return s.Name + s.Email
	default:
		return "person " + string(s.Person)
	}
}

// LogoutOptions are the settings of [Logout].
type LogoutOptions struct {
	Env
}

// Logout ends the session at the server and deletes what the login left on this
// machine: bearer, device key, refresh token, certificates, their keys and agent
// entries. What is here goes even if the server does not answer; the error then
// says so. The identity provider is told that the refresh token is given up.
func Logout(ctx context.Context, o LogoutOptions) error {
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	told := a.conn.call(ctx, http.MethodDelete, "/v1/sessions/current", nil, nil, nil)
	if err := errors.Join(a.dropCertificates(), dropSession(a.dir)); err != nil {
		return err
	}
	a.giveUpRefresh(ctx)
	switch {
	case told == nil, ExitCode(told) == ExitLogin: // the session was over already
		o.say("logged out of %s", a.at.server)
		return nil
	case errors.Is(told, context.Canceled):
		return fail(ExitInterrupted, "interrupted: logged out on this machine, but the server was not told, so the session there ends at %s",
			o.clock(a.session.ExpiresAt.Time()))
	default:
		return fail(ExitCode(told), "logged out on this machine, but the server was not told, so the session there ends at %s: %w",
			o.clock(a.session.ExpiresAt.Time()), told)
	}
}
