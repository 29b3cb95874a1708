package server

import (
	"crypto/subtle"
	"log/slog"
	"net/http"
	"regexp"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
)

// loginSeconds is how long a browser may take to come back from the identity
// provider; the authority forgets the login at the same time.
const loginSeconds = 600

// localPattern are the paths that a login may lead back to. Everything in which
// a browser could see another host ("//", "/\", a tab in between) is none.
var localPattern = regexp.MustCompile(`^/([a-z0-9][a-z0-9/_-]{0,200})?$`)

// localPath returns the path if it is one of ours, else the inbox.
func localPath(path string) string {
	if !localPattern.MatchString(path) {
		return "/"
	}
	return path
}

// login answers GET /login: it sends the browser to the identity provider, or
// asks to which if there are several.
func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "issuer", "next")
	if err != nil {
		return err
	}
	issuer, err := single(values, "issuer")
	if err != nil {
		return err
	}
	next := localPath(values.Get("next"))
	if issuer == "" {
		list, err := s.webIssuers(r)
		if err != nil {
			return err
		}
		if len(list) != 1 {
			return s.show(w, r, http.StatusOK, "login", viewer{}, loginView{Issuers: list, Next: next})
		}
		issuer = list[0].Ref
	}
	if err := s.countLogin(r, true); err != nil {
		return err
	}
	authURL, state, err := s.authority.StartWeb(r.Context(), issuer, s.base.String()+"/callback", next)
	if err != nil {
		return err
	}
	http.SetCookie(w, s.cookies.cookie(s.loginCookie(state), state, loginSeconds))
	redirect(w, authURL)
	return nil
}

// loginView is the data of login.html.
type loginView struct {
	Issuers []loginChoice
	Next    string
}

func (loginView) title() string { return "Sign in" }

// loginChoice is one identity provider that a browser can sign in with.
type loginChoice struct{ Ref, Contract, URL string }

func (s *Server) webIssuers(r *http.Request) ([]loginChoice, error) {
	var out []loginChoice
	err := s.store.Read(r.Context(), func(reader *store.Reader) error {
		list, err := authority.Issuers(reader, canon.At(s.now()))
		for _, i := range list {
			if i.Issuer.Clients.Web != "" {
				out = append(out, loginChoice{Ref: i.Ref, Contract: i.Contract.Terms.Title, URL: i.Issuer.URL})
			}
		}
		return err
	})
	return out, err
}

// loginCookie names the cookie of one login: two tabs may log in at once.
func (s *Server) loginCookie(state string) string { return s.cookies.login + state[:8] }

// callback answers GET /callback, where the identity provider sends the browser
// back. Only the browser that started the login has the cookie with its state,
// so nobody can be made to sign in as somebody else.
func (s *Server) callback(w http.ResponseWriter, r *http.Request) error {
	values := r.URL.Query()
	states := values["state"]
	if len(states) != 1 || !isSecret(states[0]) {
		return oidc.ErrState
	}
	name := s.loginCookie(states[0])
	kept := r.CookiesNamed(name)
	if len(kept) != 1 || subtle.ConstantTimeCompare([]byte(kept[0].Value), []byte(states[0])) != 1 {
		return store.ErrNoFlow
	}
	if err := s.countLogin(r, false); err != nil {
		return err
	}
	http.SetCookie(w, s.cookies.cookie(name, "", -1))
	_, secret, next, err := s.authority.FinishWeb(r.Context(), states[0], values)
	if err != nil {
		return err
	}
	// Whoever signs in gets a new session, and the one before is over: an id that
	// somebody planted or saw is worth nothing.
	if old, err := s.cookies.secret(r); err == nil {
		if err := s.logOut(r.Context(), old); err != nil {
			s.logger.LogAttrs(r.Context(), slog.LevelWarn, "earlier session not ended", slog.Any("error", err))
		}
	}
	s.limiter.opened(store.SecretHash(secret), s.now(), true)
	http.SetCookie(w, s.cookies.cookie(s.cookies.session, secret, 0))
	redirect(w, localPath(next))
	return nil
}

// logoutView is the data of logout.html.
type logoutView struct{ SignedIn bool }

func (logoutView) title() string { return "Sign out" }

// logoutPage answers GET /logout, which changes nothing.
func (s *Server) logoutPage(w http.ResponseWriter, r *http.Request) error {
	_, err := s.cookieSession(r)
	if err != nil && !isSignedOut(err) {
		return err
	}
	return s.show(w, r, http.StatusOK, "logout", viewer{}, logoutView{SignedIn: err == nil})
}

// logout answers POST /logout.
func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	if secret, err := s.cookies.secret(r); err == nil {
		if err := s.logOut(r.Context(), secret); err != nil {
			return err
		}
	}
	http.SetCookie(w, s.cookies.cookie(s.cookies.session, "", -1))
	redirect(w, "/logout")
	return nil
}
