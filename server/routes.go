package server

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/sallyport/sallyport/internal/store"
)

// apiPrefix is where the JSON routes are; everything else is for browsers.
const apiPrefix = "/v1/"

// A handler answers a request or returns why it does not; the error becomes a
// problem document or a page. It writes nothing before it returns an error.
type handler func(w http.ResponseWriter, r *http.Request) error

// A personHandler answers a request of somebody who is logged in.
type personHandler func(w http.ResponseWriter, r *http.Request, s store.Session) error

// routes returns the handler of all requests.
func (s *Server) routes() http.Handler {
	// SkipClean: a path that is not written as we write it is not found, rather
	// than redirected to something else.
	router := mux.NewRouter().SkipClean(true)
	router.Use(nameRoute)
	read := []string{http.MethodGet, http.MethodHead}
	for _, route := range []struct {
		path    string
		methods []string
		handler http.Handler
	}{
		{"/healthz", read, s.plain(s.health)},
		{"/checkpoint", read, s.plain(s.checkpoint)},
		{"/tile/{tile:.+}", read, s.tiles()},

		{"/v1/server", read, s.plain(s.about)},
		{"/v1/challenges", []string{http.MethodPost}, s.plain(s.challenge)},
		{"/v1/sessions", []string{http.MethodPost}, s.plain(s.openSession)},
		{"/v1/sessions/current", read, s.bearer(s.currentSession)},
		{"/v1/sessions/current", []string{http.MethodDelete}, s.bearer(s.endSession)},
		{"/v1/hosts", read, s.bearer(s.hosts)},
		{"/v1/roles", read, s.bearer(s.roles)},
		{"/v1/requests", []string{http.MethodPost}, s.bearer(s.submit)},
		{"/v1/requests", read, s.bearer(s.listRequests)},
		{"/v1/requests/{id}", read, s.bearer(s.showRequest)},
		{"/v1/requests/{id}/cancel", []string{http.MethodPost}, s.bearer(s.cancelRequest)},
		{"/v1/grants/{id}/certificates", []string{http.MethodPost}, s.bearer(s.issue)},
		{"/v1/ledger/entries", read, s.bearer(s.listEntries)},
		{"/v1/ledger/entries/{index}", read, s.bearer(s.showEntry)},

		{"/", read, s.cookie(s.inbox)},
		{"/requests/{id}", read, s.cookie(s.requestPage)},
		{"/requests/{id}/decisions", []string{http.MethodPost}, s.cookie(s.decide)},
		{"/requests/{id}/cancel", []string{http.MethodPost}, s.cookie(s.cancelForm)},
		{"/login", read, s.browser(s.login)},
		{"/callback", read, s.browser(s.callback)},
		{"/logout", read, s.browser(s.logoutPage)},
		{"/logout", []string{http.MethodPost}, s.browser(s.logout)},
		{"/static/{file}", read, s.browser(s.static)},
	} {
		router.Handle(route.path, route.handler).Methods(route.methods...)
	}
	router.NotFoundHandler = s.plain(func(http.ResponseWriter, *http.Request) error { return errNoRoute })
	router.MethodNotAllowedHandler = s.plain(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", strings.Join(allowed(router, r), ", "))
		return errMethod
	})
	return s.traced(s.recovered(s.headed(s.rightHost(router))))
}

// allowed lists the methods that the path of a request has.
func allowed(router *mux.Router, r *http.Request) []string {
	var out []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		var match mux.RouteMatch
		if router.Match(other, &match) && match.MatchErr == nil {
			out = append(out, method)
		}
	}
	return out
}

// plain answers without asking who it is.
func (s *Server) plain(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.refuse(w, r, err)
		}
	})
}

// bearer answers clients that bring a bearer. Cookies are not looked at.
func (s *Server) bearer(h personHandler) http.Handler {
	return s.plain(func(w http.ResponseWriter, r *http.Request) error {
		secret, err := bearerOf(r)
		if err != nil {
			return err
		}
		session, err := s.session(r.Context(), secret, store.CLI)
		if err != nil {
			return err
		}
		return h(w, r, session)
	})
}

// browser answers browsers, after the check that a form was sent from a page of
// ours.
func (s *Server) browser(h handler) http.Handler {
	return s.plain(func(w http.ResponseWriter, r *http.Request) error {
		if err := s.ownPage(r); err != nil {
			return err
		}
		return h(w, r)
	})
}

// cookie answers browsers that bring a session cookie. Who is not signed in is
// sent to do so, but not out of a form: what was typed would be lost.
func (s *Server) cookie(h personHandler) http.Handler {
	return s.browser(func(w http.ResponseWriter, r *http.Request) error {
		session, err := s.cookieSession(r)
		if isSignedOut(err) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			redirect(w, "/login?next="+localPath(r.URL.Path))
			return nil
		}
		if err != nil {
			return err
		}
		return h(w, r, session)
	})
}
