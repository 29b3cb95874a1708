package server

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"time"

	"github.com/gorilla/mux"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

// pages are the templates and the files that they name.
type pages struct {
	templates map[string]*template.Template // by name: inbox, request, …
	static    map[string][]byte             // by name with the content's hash in it
	style     string                        // path of the style sheet
	script    string                        // path of the script of all pages
	verify    string                        // path of the script that verifies an entry
	icon      string                        // path of the icon
}

// loadPages parses what is embedded in the binary.
func loadPages() (*pages, error) {
	p := &pages{templates: make(map[string]*template.Template), static: make(map[string][]byte)}
	files, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return nil, fmt.Errorf("loading the pages: %w", err)
	}
	for _, f := range files {
		content, err := staticFiles.ReadFile("static/" + f.Name())
		if err != nil {
			return nil, fmt.Errorf("loading the pages: %w", err)
		}
		// The hash is in the name, so browsers may keep the file for good.
		sum := sha256.Sum256(content)
		ext := path.Ext(f.Name())
		name := f.Name()[:len(f.Name())-len(ext)] + "." + hex.EncodeToString(sum[:8]) + ext
		p.static[name] = content
		switch f.Name() {
		case "pages.css":
			p.style = "/static/" + name
		case "live.js":
			p.script = "/static/" + name
		case "verify.js":
			p.verify = "/static/" + name
		case "gate.svg":
			p.icon = "/static/" + name
		}
	}
	for _, name := range []string{"inbox", "request", "ledger", "entry", "fleet", "login", "logout", "problem"} {
		t, err := template.New("layout.html").Funcs(pageFuncs()).ParseFS(templateFiles, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("loading the pages: %w", err)
		}
		p.templates[name] = t
	}
	return p, nil
}

// pageFuncs are what templates call. Every text that somebody else wrote goes
// through visible.
func pageFuncs() template.FuncMap {
	return template.FuncMap{
		"visible":  visible,
		"lines":    visibleLines,
		"sentence": sentence,
		"spell":    spell,
		"clock":    func(m canon.Micros) string { return clock(m.Time()) },
		"short":    func(m canon.Micros) string { return short(m.Time()) },
		"stamp":    func(m canon.Micros) string { return stamp(m.Time()) },
		"iso":      func(m canon.Micros) string { return m.Time().UTC().Format(time.RFC3339) },
		"any":      anyOf,
		"verbatim": verbatim,
		"shut":     shut,
	}
}

// frame is the data of layout.html.
type frame struct {
	Title  string
	Origin string
	Style  string
	Script string
	Icon   string
	Verify string // the second script; empty for most pages
	Me     string // who is signed in; empty for nobody
	Body   any    // the data of the page itself

	// Of pages that renew themselves.
	Live  string // the page's address; empty for other pages
	After int64  // the newest ledger entry that the page shows
	Say   string // what it says, in a sentence
}

// viewer is for whom a page is made, and by what state of the ledger. The zero
// viewer is nobody.
type viewer struct {
	name  string
	after int64 // index of the newest leaf
}

func viewerOf(r *store.Reader, session store.Session) (viewer, error) {
	head, err := r.Head()
	if err != nil {
		return viewer{}, err
	}
	name, err := authority.Name(r, session.Person)
	return viewer{name: name, after: head.Tree.Size - 1}, err
}

// show answers with a page. It is rendered whole before anything is sent.
func (s *Server) show(w http.ResponseWriter, r *http.Request, status int, name string, me viewer, view titled) error {
	f := frame{
		Title: view.title(), Origin: s.authority.Origin(), Style: s.pages.style, Script: s.pages.script, Icon: s.pages.icon,
		Me: clip(visible(me.name), 100), Body: view,
	}
	if _, ok := view.(entryView); ok {
		f.Verify = s.pages.verify
	}
	if v, ok := view.(living); ok {
		f.Live, f.After, f.Say = v.address(), me.after, v.say()
	}
	var b bytes.Buffer
	if err := s.pages.templates[name].Execute(&b, f); err != nil {
		return fmt.Errorf("rendering the page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = b.WriteTo(w) // a browser that went away needs no answer
	}
	return nil
}

// titled is the data of a page: it knows what the browser's tab says.
type titled interface{ title() string }

// living is the data of a page that renews itself.
type living interface {
	titled
	address() string // of the page
	say() string     // what it says, in a sentence: for those who do not see it change
}

// problemView is the data of problem.html.
type problemView struct {
	Heading, Detail, Next string
	ID                    string // the request id, where the operator needs it
	Request               string // path of the request's page, if it was about one
	SignIn                string // path of the sign-in page, if that helps
}

func (v problemView) title() string { return v.Heading }

// problemPage answers a browser with a problem in words, and what to do next.
func (s *Server) problemPage(w http.ResponseWriter, r *http.Request, k kind, detail, id string) {
	v := problemView{Heading: sentence(k.title), Detail: sentence(detail), Next: k.next}
	v.Heading = v.Heading[:len(v.Heading)-1]
	if k.status >= http.StatusInternalServerError {
		v.ID = id
	}
	if asked, err := requestID(r); err == nil && k != notFound {
		v.Request = "/requests/" + string(asked)
	}
	if k.status == http.StatusUnauthorized {
		v.SignIn = "/login"
		if v.Request != "" {
			v.SignIn += "?next=" + v.Request
		}
	}
	if err := s.show(w, r, k.status, "problem", viewer{}, v); err != nil {
		s.logger.LogAttrs(r.Context(), slog.LevelError, "no page for a problem", slog.String("request_id", id), slog.Any("error", err))
		http.Error(w, k.title, k.status)
	}
}

// static answers GET /static/{file}.
func (s *Server) static(w http.ResponseWriter, r *http.Request) error {
	name := mux.Vars(r)["file"]
	content, ok := s.pages.static[name]
	if !ok {
		return errNoRoute
	}
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	mime, ok := kinds[path.Ext(name)]
	if !ok {
		return errors.New("a static file of no known type: " + name)
	}
	w.Header().Set("Content-Type", mime)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(content) // a browser that went away needs no answer
	return nil
}
