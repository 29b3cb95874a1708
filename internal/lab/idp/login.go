package idp

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	_ "embed" // for the page
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/canon"
)

const (
	loginPath     = "/login"
	browserBytes  = 32 // of the cookie
	maxFieldBytes = 256
)

//go:embed login.html
var loginPage string

const loginStyle = `body{font:1rem/1.5 system-ui,sans-serif;margin:0}` +
	`main{max-width:20rem;margin:12vh auto;padding:0 1rem}` +
	`label{display:block;margin-top:1rem}` +
	`input,button{font:inherit;width:100%;box-sizing:border-box;padding:.5rem}` +
	`button{margin-top:1.5rem}` +
	`[role=alert]{border-left:.3rem solid #c33;padding-left:.7rem}` +
	`.quiet{opacity:.7;font-size:.9rem}`

// loginForm shows the login form and takes what the person typed.
type loginForm struct {
	store  *store
	origin string                 // of the provider
	cookie string                 // name of the browser's cookie
	next   func(id string) string // where the browser goes once the person signed in
}

// loginView is what the page shows.
type loginView struct {
	Title, Sentence, Request, Username, Client string
	Style                                      template.CSS
}

// show answers GET /login?request=ID.
func (f *loginForm) show(w http.ResponseWriter, r *http.Request) {
	req, err := f.store.request(r.URL.Query().Get("request"))
	if err != nil || req.Done() {
		f.write(w, http.StatusNotFound, request{}, loginView{Sentence: "This sign-in is over. Start it again where you came from."})
		return
	}
	if _, err := r.Cookie(f.cookie); err != nil {
		var b [browserBytes]byte
		if _, err := rand.Read(b[:]); err != nil {
			http.Error(w, "no randomness", http.StatusInternalServerError)
			return
		}
		// Not Secure, because the lab speaks plain HTTP on a loopback address.
		http.SetCookie(w, &http.Cookie{Name: f.cookie, Value: canon.B64(b[:]), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	f.write(w, http.StatusOK, req, loginView{Username: clipped(req.asked.LoginHint)})
}

// submit answers POST /login.
func (f *loginForm) submit(w http.ResponseWriter, r *http.Request) {
	if !f.ownPage(r.Header) {
		f.write(w, http.StatusForbidden, request{}, loginView{Sentence: "This form was sent from another page. Start again where you came from."})
		return
	}
	if err := r.ParseForm(); err != nil {
		f.write(w, http.StatusBadRequest, request{}, loginView{Sentence: "This form could not be read."})
		return
	}
	req, err := f.store.request(r.PostForm.Get("request"))
	browser, noCookie := r.Cookie(f.cookie)
	if err != nil || req.Done() {
		f.write(w, http.StatusNotFound, request{}, loginView{Sentence: "This sign-in is over. Start it again where you came from."})
		return
	}
	if noCookie != nil {
		f.write(w, http.StatusBadRequest, req, loginView{Sentence: "Your browser sent no cookie. Allow cookies for this site and try again."})
		return
	}
	username := r.PostForm.Get("username")
	subject, disabled, ok := f.store.signIn(username, r.PostForm.Get("password"))
	switch {
	case !ok:
		f.store.wrongPassword(req.id)
		f.write(w, http.StatusUnauthorized, req, loginView{Sentence: "Username or password is wrong.", Username: clipped(username)})
		return
	case disabled:
		f.write(w, http.StatusForbidden, req, loginView{Sentence: "This account is disabled.", Username: clipped(username)})
		return
	}
	if err := f.store.complete(req.id, subject, browser.Value); err != nil {
		f.write(w, http.StatusNotFound, request{}, loginView{Sentence: "This sign-in is over. Start it again where you came from."})
		return
	}
	// 303: the browser must not send the password on (RFC 9700 §4.12).
	http.Redirect(w, r, f.next(req.id), http.StatusSeeOther)
}

// ownPage reports whether the browser says that our own page sent the form. A
// client that says neither is refused as well.
func (f *loginForm) ownPage(h http.Header) bool {
	site, origin := h.Get("Sec-Fetch-Site"), h.Get("Origin")
	if site == "" && origin == "" {
		return false
	}
	return (site == "" || site == "same-origin") && (origin == "" || origin == f.origin)
}

// sameBrowser lets only the browser in which the person signed in fetch the
// code. The request's id is in the login page's address, so whoever sent the
// person that link knows it, and must not get the code for it.
func (f *loginForm) sameBrowser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := f.store.request(r.URL.Query().Get("id"))
		browser, noCookie := r.Cookie(f.cookie)
		if r.Method != http.MethodGet || err != nil || noCookie != nil || !req.from(browser.Value) {
			f.write(w, http.StatusForbidden, request{}, loginView{Sentence: "Nobody signed in with this browser. Start again where you came from."})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// write sends the page, with the form unless the request is empty.
func (f *loginForm) write(w http.ResponseWriter, status int, req request, v loginView) {
	v.Title, v.Style, v.Request, v.Client = "Sign in", template.CSS(loginStyle), req.id, req.asked.ClientID
	page, err := template.New("login").Parse(loginPage)
	if err != nil {
		http.Error(w, "the page is broken", http.StatusInternalServerError)
		return
	}
	var buf bytes.Buffer
	if err := page.Execute(&buf, v); err != nil {
		http.Error(w, "the page is broken", http.StatusInternalServerError)
		return
	}
	// Browsers hold form-action also against the redirects that follow, up to
	// the client's redirect URI.
	action := "'none'"
	if req.id != "" {
		action = "'self' " + originOf(req.asked.RedirectURI)
	}
	style := sha256.Sum256([]byte(loginStyle))
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(style[:])+
		"'; base-uri 'none'; frame-ancestors 'none'; form-action "+action)
	h.Set("Referrer-Policy", "same-origin") // with no-referrer a browser would send Origin: null
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = buf.WriteTo(w) // a browser that went away does not matter
}

// originOf returns scheme://host:port of a redirect URI that was checked before.
func originOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// clipped bounds what the form repeats.
func clipped(s string) string {
	if len(s) > maxFieldBytes {
		return ""
	}
	return s
}
