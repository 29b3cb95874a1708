package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// bearerOf returns the bearer of a request.
func bearerOf(r *http.Request) (string, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", errNoBearer
	}
	scheme, secret, ok := strings.Cut(values[0], " ")
	if len(values) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") || !isSecret(secret) {
		return "", fmt.Errorf("%w: the Authorization header is not Bearer and 43 characters", errNoBearer)
	}
	return secret, nil
}

// isSecret reports whether a text has the form of the secrets we give out: 32
// bytes as base64url.
func isSecret(s string) bool {
	_, err := canon.ParseDigest(s)
	return err == nil
}

// peek returns the live session of the kind that a secret with this hash opens,
// and when it was last seen in use.
func (s *Server) peek(ctx context.Context, secret canon.Digest, kind store.SessionKind) (session store.Session, seen canon.Micros, err error) {
	err = s.store.Read(ctx, func(r *store.Reader) error {
		session, seen, err = r.Session(secret, kind, canon.At(s.now()))
		return err
	})
	return session, seen, err
}

// open is peek for a request that brings the secret: it counts as its person's,
// not as its address's.
func (s *Server) open(ctx context.Context, secret string, kind store.SessionKind) (store.Session, canon.Micros, error) {
	hash := store.SecretHash(secret)
	session, seen, err := s.peek(ctx, hash, kind)
	if err == nil || isSignedOut(err) {
		s.limiter.opened(hash, s.now(), err == nil)
	}
	if err == nil {
		traceOf(ctx).stranger = false
	}
	return session, seen, err
}

// session is open for a person's own doing: the session is noted to be in use.
func (s *Server) session(ctx context.Context, secret string, kind store.SessionKind) (store.Session, error) {
	session, seen, err := s.open(ctx, secret, kind)
	if err != nil {
		return store.Session{}, err
	}
	if s.now().Sub(seen.Time()) >= touchEvery {
		// A session that is not prolonged ends early, which harms nothing.
		if err := s.authority.Touch(ctx, secret); err != nil {
			s.logger.LogAttrs(ctx, slog.LevelWarn, "session not prolonged", slog.Any("error", err))
		}
	}
	return session, nil
}

func isSignedOut(err error) bool { return errors.Is(err, store.ErrNoSession) }

// cookieNames are the names of our cookies. Over TLS they carry the __Host-
// prefix: no other host and no plain connection can set them. Over plain HTTP,
// which is for loopback, they name the port, since cookies do not tell ports
// apart.
type cookieNames struct {
	session string
	login   string // the beginning; one cookie for each login under way
	secure  bool
}

func nameCookies(base *url.URL) cookieNames {
	if base.Scheme == "https" {
		return cookieNames{session: "__Host-sallyport", login: "__Host-sallyport-login-", secure: true}
	}
	port := base.Port()
	if port == "" {
		port = "80"
	}
	return cookieNames{session: "sallyport-" + port, login: "sallyport-" + port + "-login-"}
}

// cookie returns a cookie of ours. It lives as long as the browser runs if
// seconds is 0; a negative number deletes it.
func (c cookieNames) cookie(name, value string, seconds int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure unless the base URL is plain HTTP, which New allows on loopback only
		Name: name, Value: value, Path: "/", MaxAge: seconds,
		Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// secret returns the session cookie's value. Two cookies of that name are none:
// one of them was planted.
func (c cookieNames) secret(r *http.Request) (string, error) {
	found := r.CookiesNamed(c.session)
	if len(found) != 1 || !isSecret(found[0].Value) {
		return "", store.ErrNoSession
	}
	return found[0].Value, nil
}

// cookieSession returns the live session that the browser's cookie opens.
func (s *Server) cookieSession(r *http.Request) (store.Session, error) {
	secret, err := s.cookies.secret(r)
	if err != nil {
		return store.Session{}, err
	}
	if byItself(r) {
		session, _, err := s.open(r.Context(), secret, store.Web)
		return session, err
	}
	return s.session(r.Context(), secret, store.Web)
}

// bearerSession returns the bearer of a live session, and counts the request as
// its person's.
func (s *Server) bearerSession(r *http.Request) (string, error) {
	secret, err := bearerOf(r)
	if err != nil {
		return "", err
	}
	session, err := s.session(r.Context(), secret, store.CLI)
	if err != nil {
		return "", err
	}
	return secret, s.countPerson(session)
}

// liveHeader stands in what an open page asks for by itself.
const liveHeader = "Sallyport-Live"

// byItself reports whether a page asks and not a person: then a session that
// nobody uses ends as it would without the page, and nobody is led to sign in.
func byItself(r *http.Request) bool { return r.Header.Get(liveHeader) != "" }

// challenge answers POST /v1/challenges.
func (s *Server) challenge(w http.ResponseWriter, r *http.Request) error {
	var body api.ChallengeRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	// Nobody has a session yet who wants one, unless it is to be renewed.
	if body.Purpose == authority.PurposeSession && r.Header.Values("Authorization") == nil {
		if err := s.countLogin(r, true); err != nil {
			return err
		}
	} else if _, err := s.bearerSession(r); err != nil {
		return err
	}
	challenge, expires, err := s.authority.Challenge(r.Context(), body.Purpose)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.Challenge{Challenge: challenge, ExpiresAt: expires})
}

// openSession answers POST /v1/sessions: without a bearer a new session, with the
// bearer of a live one that session with the claims of a newer ID token. A bearer
// that is none is never taken for a new login.
func (s *Server) openSession(w http.ResponseWriter, r *http.Request) error {
	var body api.SessionRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	login := authority.DeviceLogin{
		Server: record.ServerURL(s.base),
		Issuer: body.Issuer, IDToken: body.IDToken, RZ: body.RZ, DeviceKey: body.DeviceKey,
		Document: body.Document, Signature: body.Signature,
	}
	status, bearer := http.StatusCreated, ""
	var session store.Session
	var err error
	if r.Header.Values("Authorization") != nil {
		var secret string
		if secret, err = s.bearerSession(r); err != nil {
			return err
		}
		status = http.StatusOK
		session, err = s.authority.Refresh(r.Context(), secret, login)
	} else {
		if err := s.countLogin(r, false); err != nil {
			return err
		}
		session, bearer, err = s.authority.LoginDevice(r.Context(), login)
		if err == nil {
			s.limiter.opened(store.SecretHash(bearer), s.now(), true)
		}
	}
	if err != nil {
		return err
	}
	out, err := s.describeSession(r.Context(), session)
	if err != nil {
		return err
	}
	out.Bearer = bearer
	return writeJSON(w, status, out)
}

// currentSession answers GET /v1/sessions/current.
func (s *Server) currentSession(w http.ResponseWriter, r *http.Request, session store.Session) error {
	out, err := s.describeSession(r.Context(), session)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// endSession answers DELETE /v1/sessions/current.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request, _ store.Session) error {
	secret, err := bearerOf(r)
	if err != nil {
		return err
	}
	if err := s.logOut(r.Context(), secret); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// logOut ends a session and its streams.
func (s *Server) logOut(ctx context.Context, secret string) error {
	if err := s.authority.LogOut(ctx, secret); err != nil {
		return err
	}
	s.feed.end(store.SecretHash(secret))
	return nil
}

func (s *Server) describeSession(ctx context.Context, session store.Session) (api.Session, error) {
	out := api.Session{
		Person: session.Person, Issuer: session.Issuer, ClaimsAt: session.ClaimsAt, ExpiresAt: session.ExpiresAt,
	}
	if session.DeviceKey != "" {
		key, err := parseKey(session.DeviceKey)
		if err != nil {
			return api.Session{}, err
		}
		out.DeviceKey = ssh.FingerprintSHA256(key)
	}
	err := s.store.Read(ctx, func(r *store.Reader) error {
		login, err := personOf(r, session.Person)
		if err != nil {
			return err
		}
		out.Name, out.Email = login.Name, login.Email
		subject, err := authority.Subject(r, session)
		if err != nil {
			return err
		}
		out.Groups, out.GroupsKnown = subject.Groups, subject.GroupsKnown
		out.FreshUntil, err = authority.FreshUntil(r, session, canon.At(s.now()))
		return err
	})
	return out, err
}

// personOf returns what a person's newest login said of them; nothing if it was
// erased.
func personOf(r *store.Reader, person canon.ID) (record.LoginPerson, error) {
	part, err := r.PersonPart(person, ledger.PersonLogin)
	if errors.Is(err, record.ErrNotFound) {
		return record.LoginPerson{}, nil
	}
	login, _ := part.(record.LoginPerson) // PersonPart parsed it by its kind
	return login, err
}

// accountOf returns what tells a person from others who call themselves the same:
// the e-mail address that the issuer has verified, else the handle, else the
// person's id. It is empty where that is the name already.
func accountOf(r *store.Reader, id canon.ID, name string) (string, error) {
	login, err := personOf(r, id)
	switch {
	case err != nil:
		return "", err
	case name == login.Email || name == string(id) || name == authority.ErasedName(id):
		return "", nil
	case login.Email != "":
		return login.Email, nil
	case login.Handle != "" && login.Handle != name:
		return "user " + login.Handle, nil // an issuer lets people choose it: it must not read as an address
	default:
		return "person " + string(id), nil
	}
}

// parseKey reads a key of the ledger, which were all checked when they came.
func parseKey(b64 string) (ssh.PublicKey, error) {
	wire, err := canon.ParseB64(b64)
	if err != nil {
		return nil, fmt.Errorf("reading a recorded key: %w", err)
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, fmt.Errorf("reading a recorded key: %w", err)
	}
	return key, nil
}
