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

// A route is one method of one path: who may call it, what answers, and for the
// JSON interface what docs/openapi.json says of it.
type route struct {
	method string // GET is HEAD, too
	path   string

	// Who may call it; exactly one of these is there.
	anyone  handler       // no questions asked
	bearer  personHandler // a client with the bearer of a live session
	browser handler       // a browser, forms from pages of ours only
	cookie  personHandler // a browser with the cookie of a live session

	// How a request counts against the rate limits once its session is known.
	counts counting

	doc *operation // nil for browsers, probes and monitors
}

// table lists all routes.
func (s *Server) table() []route {
	return append(s.apiRoutes(), []route{
		{method: http.MethodGet, path: "/healthz", anyone: s.health},
		{method: http.MethodGet, path: "/readyz", anyone: s.ready},
		{method: http.MethodGet, path: "/checkpoint", anyone: s.checkpoint},
		s.tiles(),

		{method: http.MethodGet, path: "/", cookie: s.inbox},
		{method: http.MethodGet, path: "/requests/{id}", cookie: s.requestPage},
		{method: http.MethodPost, path: "/requests/{id}/decisions", cookie: s.decide, counts: countsItself},
		{method: http.MethodPost, path: "/requests/{id}/cancel", cookie: s.cancelForm, counts: countsAsTakingAway},
		{method: http.MethodGet, path: "/hosts", cookie: s.fleetPage},
		{method: http.MethodPost, path: "/requests/{id}/revoke", cookie: s.revokeForm, counts: countsAsTakingAway},
		{method: http.MethodGet, path: "/ledger", cookie: s.ledgerPage},
		{method: http.MethodGet, path: "/ledger/export", cookie: s.exportFromPage},
		{method: http.MethodGet, path: "/ledger/{index}", cookie: s.entryPage},
		{method: http.MethodGet, path: "/events", browser: s.pageEvents},
		{method: http.MethodGet, path: "/login", browser: s.login},
		{method: http.MethodGet, path: "/callback", browser: s.callback},
		{method: http.MethodGet, path: "/logout", browser: s.logoutPage},
		{method: http.MethodPost, path: "/logout", browser: s.logout},
		{method: http.MethodGet, path: "/static/{file}", browser: s.static},
	}...)
}

// routes returns the handler of all requests.
func (s *Server) routes() http.Handler {
	router := s.router()
	router.NotFoundHandler = s.answerAnyone(func(http.ResponseWriter, *http.Request) error { return errNoRoute })
	router.MethodNotAllowedHandler = s.answerAnyone(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", strings.Join(allowed(router, r), ", "))
		return errMethod
	})
	return s.traced(s.recovered(s.headed(s.limited(s.rightHost(router)))))
}

func (s *Server) router() *mux.Router {
	// SkipClean: a path that is not written as we write it is not found, rather
	// than redirected to something else.
	router := mux.NewRouter().SkipClean(true)
	router.Use(nameRoute)
	for _, route := range s.table() {
		methods := []string{route.method}
		if route.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		router.Handle(route.path, s.handle(route)).Methods(methods...)
	}
	return router
}

func (s *Server) handle(r route) http.Handler {
	var h http.Handler
	switch {
	case r.bearer != nil:
		h = s.answerBearer(s.counted(r.counts, r.bearer))
	case r.cookie != nil:
		h = s.answerCookie(s.counted(r.counts, r.cookie))
	case r.browser != nil:
		h = s.answerBrowser(r.browser)
	default:
		h = s.answerAnyone(r.anyone)
	}
	if r.doc != nil && r.doc.query == nil {
		h = s.withoutQuery(h)
	}
	return h
}

// withoutQuery refuses parameters in the address of a route that takes none.
func (s *Server) withoutQuery(next http.Handler) http.Handler {
	return s.answerAnyone(func(w http.ResponseWriter, r *http.Request) error {
		if _, err := query(r); err != nil {
			return err
		}
		next.ServeHTTP(w, r)
		return nil
	})
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

// answerAnyone answers without asking who it is.
func (s *Server) answerAnyone(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			s.refuse(w, r, err)
		}
	})
}

// answerBearer answers clients that bring a bearer. Cookies are not looked at.
func (s *Server) answerBearer(h personHandler) http.Handler {
	return s.answerAnyone(func(w http.ResponseWriter, r *http.Request) error {
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

// answerBrowser answers browsers, after the check that a form was sent from a
// page of ours.
func (s *Server) answerBrowser(h handler) http.Handler {
	return s.answerAnyone(func(w http.ResponseWriter, r *http.Request) error {
		if err := s.ownPage(r); err != nil {
			return err
		}
		return h(w, r)
	})
}

// answerCookie answers browsers that bring a session cookie. Who is not signed in
// is sent to do so, but not out of a form: what was typed would be lost.
func (s *Server) answerCookie(h personHandler) http.Handler {
	return s.answerBrowser(func(w http.ResponseWriter, r *http.Request) error {
		session, err := s.cookieSession(r)
		if isSignedOut(err) && (r.Method == http.MethodGet || r.Method == http.MethodHead) && !byItself(r) {
			redirect(w, "/login?next="+localPath(r.URL.Path))
			return nil
		}
		if err != nil {
			return err
		}
		return h(w, r, session)
	})
}
