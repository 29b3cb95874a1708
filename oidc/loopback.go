package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

const (
	loopbackLife   = 2 * time.Minute  // from ListenLoopback to the answer
	loopbackPath   = "/callback"      // of the redirect URI
	maxHeaderBytes = 32 << 10         // request line and headers: a code, a state and cookies of other ports
	closeTime      = time.Second      // for an answer page that is still being written
	headerTime     = 5 * time.Second  // to send request line and headers
	writeTime      = 10 * time.Second // to fetch the answer page
)

// Loopback receives one login answer on this machine (RFC 8252 §7.3): it
// listens on 127.0.0.1, at a free port or a given one, for two minutes, and
// takes the first GET of its redirect URI that a browser navigated to and that
// looks like an answer. Whether the answer is good, Provider.Exchange says.
type Loopback struct {
	host string // the only accepted Host header: "127.0.0.1:PORT"
	srv  *http.Server
	life *time.Timer
	gone chan struct{} // closed when the server's goroutine has ended

	once   sync.Once
	done   chan struct{} // closed when answer or err is set
	answer url.Values
	err    error
}

// ListenLoopback starts to listen on a port of 127.0.0.1: a free one for 0, else
// the one that the provider was told, for providers that compare ports although
// RFC 8252 §7.3 forbids it. The caller must Close.
func ListenLoopback(port int) (*Loopback, error) {
	ln, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listening for the login answer: %w", err)
	}
	return serveLoopback(ln), nil
}

func serveLoopback(ln net.Listener) *Loopback {
	l := &Loopback{host: ln.Addr().String(), gone: make(chan struct{}), done: make(chan struct{})}
	l.srv = &http.Server{
		Handler:           http.HandlerFunc(l.serve),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       headerTime,
		WriteTimeout:      writeTime,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(io.Discard, "", 0), // it would write into the person's terminal
	}
	l.life = time.AfterFunc(loopbackLife, func() {
		l.settle(nil, fmt.Errorf("%w came within %s; start the login again", ErrNoAnswer, loopbackLife))
	})
	go func() {
		defer close(l.gone)
		if err := l.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			l.settle(nil, fmt.Errorf("%w: listening ended: %w", ErrNoAnswer, err))
		}
	}()
	return l
}

// RedirectURI is where the provider must send the browser.
func (l *Loopback) RedirectURI() string { return "http://" + l.host + loopbackPath }

// Wait returns the answer's query parameters. The error wraps ErrNoAnswer if
// none came in time or the Loopback was closed, else it is that of ctx.
func (l *Loopback) Wait(ctx context.Context) (url.Values, error) {
	select {
	case <-l.done:
		return l.answer, l.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrNoAnswer, context.Cause(ctx))
	}
}

// Close stops listening, after the answer page that is being written, if any.
// It may be called more than once.
func (l *Loopback) Close() error {
	l.life.Stop()
	l.settle(nil, fmt.Errorf("%w: the login was given up", ErrNoAnswer))
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := l.srv.Shutdown(ctx)
	if err != nil { // a browser may hold an idle connection open
		err = l.srv.Close()
	}
	<-l.gone
	return err
}

// settle fixes the outcome and reports whether this call did it.
func (l *Loopback) settle(answer url.Values, err error) (first bool) {
	l.once.Do(func() {
		l.answer, l.err, first = answer, err, true
		close(l.done)
	})
	return first
}

// serve answers one request. Refused requests leave the Loopback waiting,
// so that a page in another tab can't use up the one answer by knocking.
func (l *Loopback) serve(w http.ResponseWriter, r *http.Request) {
	if r.Host != l.host { // a name that somebody points at 127.0.0.1
		writePage(w, http.StatusMisdirectedRequest, "Not here", "This address only receives login answers.")
		return
	}
	if r.URL.Path != loopbackPath {
		writePage(w, http.StatusNotFound, "Not here", "This address only receives login answers.")
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		writePage(w, http.StatusMethodNotAllowed, "Not like this", "A login answer comes as a plain page visit.")
		return
	}
	if !navigated(r.Header) {
		writePage(w, http.StatusForbidden, "Not like this", "A login answer comes as a plain page visit.")
		return
	}
	answer, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || !answer.Has("state") || !answer.Has("code") && !answer.Has("error") {
		writePage(w, http.StatusBadRequest, "Not a login answer", "This visit carries no login answer. Go back to the terminal and start again.")
		return
	}
	if !l.settle(answer, nil) {
		writePage(w, http.StatusGone, "Already over", "This login has already had its answer, or its time is up. Go back to the terminal.")
		return
	}
	if answer.Has("error") {
		writePage(w, http.StatusOK, "Not signed in", "The identity provider refused the login. Go back to the terminal: it says what to do.")
		return
	}
	writePage(w, http.StatusOK, "Almost there", "Sallyport has the answer of your identity provider. You can close this page and go back to the terminal.")
}

// navigated refuses what a browser marks as a picture, script or fetch of some
// page. Old browsers mark nothing.
func navigated(h http.Header) bool {
	mode, dest := h.Get("Sec-Fetch-Mode"), h.Get("Sec-Fetch-Dest")
	return (mode == "" || mode == "navigate") && (dest == "" || dest == "document")
}

const pageStyle = `body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}`

// writePage writes a page of fixed text: nothing that a request says is in it.
func writePage(w http.ResponseWriter, status int, title, sentence string) {
	style := sha256.Sum256([]byte(pageStyle))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(style[:])+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the address holds the code
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close")
	w.WriteHeader(status)
	// A browser that went away does not matter: the answer is what counts.
	_, _ = io.WriteString(w, `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>`+
		title+`</title><style>`+pageStyle+`</style></head><body><main><h1>`+title+`</h1><p>`+sentence+`</p></main></body></html>`)
}
