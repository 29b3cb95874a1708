package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/sallyport/sallyport/canon"
)

// trace is what the log line of a request says about it beside the answer.
type trace struct {
	id    canon.ID // stands in problem documents and on error pages
	route string   // the template, such as /requests/{id}; never the path
	// problem is the kind of problem that was answered, such as not-found.
	problem string

	address netip.Addr // what the request is counted as; never logged
	// stranger says that no session was opened: the request counts for its address.
	stranger bool
	// opened is when a stream began, which is all that it took to answer.
	opened time.Time
}

type traceKey struct{}

// traceOf returns the trace of a request that came through traced.
func traceOf(ctx context.Context) *trace {
	t, ok := ctx.Value(traceKey{}).(*trace)
	if !ok {
		return &trace{}
	}
	return t
}

// answer remembers the status that a handler sent.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// traced gives the request an id, bounds its body, and writes one log line when
// it is answered: method, route, status, duration, id and kind of problem. Nothing that a client
// sent is in it, so nothing secret is.
func (s *Server) traced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.now()
		t := &trace{route: "none"}
		id, err := canon.NewID(s.rand)
		if err != nil {
			s.logger.LogAttrs(r.Context(), slog.LevelError, "no randomness", slog.Any("error", err))
			http.Error(w, "not available", http.StatusServiceUnavailable)
			return
		}
		t.id = id
		r = r.WithContext(context.WithValue(r.Context(), traceKey{}, t))
		a := &answer{ResponseWriter: w}
		r.Body = http.MaxBytesReader(a, r.Body, maxBody)
		next.ServeHTTP(a, r)
		method, took := knownMethod(r.Method), s.now().Sub(start)
		line := []slog.Attr{
			slog.String("method", method), slog.String("route", t.route), slog.Int("status", a.status),
			slog.Int64("duration_us", took.Microseconds()), slog.String("request_id", string(id)),
		}
		if t.problem != "" {
			line = append(line, slog.String("problem", t.problem))
		}
		s.logger.LogAttrs(r.Context(), slog.LevelInfo, "request", line...)
		if !t.opened.IsZero() {
			took = t.opened.Sub(start)
		}
		s.watch.Requested(method, t.route, a.status, took)
	})
}

// knownMethod keeps methods that clients make up out of the log.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// nameRoute puts the template of the route that matched into the log line.
func nameRoute(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if route := mux.CurrentRoute(r); route != nil {
			if template, err := route.GetPathTemplate(); err == nil {
				traceOf(r.Context()).route = template
			}
		}
		next.ServeHTTP(w, r)
	})
}

// recovered turns a panic into an internal problem. The stack is in the log
// alone.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http's own value, to be handed on as it is
				panic(p)
			}
			s.logger.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("request_id", string(traceOf(r.Context()).id)),
				slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
			if a, ok := w.(*answer); ok && a.status == 0 {
				s.refuse(w, r, errPanic)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// policy is the Content-Security-Policy of every answer: the one script and the
// one style sheet of our own and nothing that a page says itself, nothing from
// elsewhere, no frame, no markup made from text by the script, and forms go only
// to this server. Browsers hold form-action against redirects too, so a form never
// leads to a login.
const policy = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; " +
	"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// headed sets the headers that every answer has.
func (s *Server) headed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		// Not no-referrer: with that browsers send "Origin: null" with our own forms
		// (Fetch, "append a request Origin header"), which would then be refused.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if s.secure() {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// rightHost refuses requests for another host than the base URL's: a name that
// somebody else owns and points at this address gets nothing (DNS rebinding).
// Probes by address may ask whether it lives and is ready.
func (s *Server) rightHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.ownHost(r.Host) && !isProbe(r.URL.Path) {
			s.refuse(w, r, fmt.Errorf("%w: this is %s", errHost, s.base))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isProbe tells the routes that load balancers and service managers ask.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" }

func (s *Server) ownHost(host string) bool {
	return strings.EqualFold(strings.TrimSuffix(host, defaultPort(s.base.Scheme)), s.base.Host)
}

// ownPage refuses a form that was not sent from a page of this server. Browsers
// say where a form comes from in Sec-Fetch-Site or Origin. The standard library
// lets requests without either pass, for clients that are no browsers, and there
// are none of those here; nor does it compare the scheme of an Origin.
func (s *Server) ownPage(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	origin := r.Header.Get("Origin")
	switch {
	case r.Header.Get("Sec-Fetch-Site") == "" && origin == "":
		return fmt.Errorf("%w: the browser did not say where it came from", errCrossSite)
	case origin != "" && origin != s.base.String(), http.NewCrossOriginProtection().Check(r) != nil:
		return fmt.Errorf("%w: it was sent from somewhere else", errCrossSite)
	}
	return nil
}

// redirect sends a browser to a page of ours, by GET.
func redirect(w http.ResponseWriter, path string) {
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
}

// touchEvery is how often a session that is in use is noted to be.
const touchEvery = time.Minute
