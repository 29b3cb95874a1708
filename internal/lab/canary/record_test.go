package canary_test

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// exchange is a request that went to sallyd, and its answer.
type exchange struct {
	method, url    string
	header, answer http.Header
	body, content  []byte // as they were sent and answered
	status         int
}

// tape records every exchange. It stands before sallyd.
type tape struct {
	mu   sync.Mutex
	list []exchange
}

const most = 1 << 20 // bytes of a body

func (p *tape) before(on http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, most))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		e := exchange{method: r.Method, url: r.URL.String(), header: r.Header.Clone(), body: body}
		r.Body = io.NopCloser(bytes.NewReader(body))
		t := &tee{ResponseWriter: w}
		on.ServeHTTP(t, r)
		e.status, e.answer, e.content = t.status, w.Header().Clone(), t.b.Bytes()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.list = append(p.list, e)
	})
}

type tee struct {
	http.ResponseWriter
	status int
	b      bytes.Buffer
}

func (t *tee) WriteHeader(status int) {
	if t.status == 0 {
		t.status = status
	}
	t.ResponseWriter.WriteHeader(status)
}

func (t *tee) Write(p []byte) (int, error) {
	if t.b.Len() < most {
		t.b.Write(p)
	}
	return t.ResponseWriter.Write(p)
}

// Unwrap serves http.ResponseController.
func (t *tee) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (p *tape) all() []exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]exchange(nil), p.list...)
}

// last finds the newest exchange with a method, a path that begins so, and a
// status.
func (p *tape) last(t *testing.T, method, path string, status int) exchange {
	t.Helper()
	list := p.all()
	for i := len(list) - 1; i >= 0; i-- {
		if e := list[i]; e.method == method && strings.HasPrefix(e.url, path) && e.status == status {
			return e
		}
	}
	t.Fatalf("no %s %s was answered with %d", method, path, status)
	return exchange{}
}

// canaries are what must stand in no log, URL, figure or refusal: by what it is,
// every value that was seen.
type canaries map[string]map[string]bool

func (c canaries) add(what, value string) {
	// Of what has several lines, each long one is looked for: a log escapes the ends.
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= 12 && !strings.HasPrefix(line, "-----") {
			if c[what] == nil {
				c[what] = map[string]bool{}
			}
			c[what][line] = true
		}
	}
}

// harvest takes every secret out of an exchange, by where it stands.
func (c canaries) harvest(e exchange) {
	if _, secret, ok := strings.Cut(e.header.Get("Authorization"), " "); ok {
		c.add("bearer", secret)
	}
	for _, cookie := range (&http.Request{Header: e.header}).Cookies() {
		c.add("cookie", cookie.Value)
	}
	for _, cookie := range (&http.Response{Header: e.answer}).Cookies() {
		c.add("cookie", cookie.Value)
	}
	for _, address := range []string{e.url, e.answer.Get("Location")} {
		if u, err := url.Parse(address); err == nil {
			for _, name := range []string{"code", "state", "nonce"} {
				c.add(name, u.Query().Get(name))
			}
		}
	}
	for _, body := range [][]byte{e.body, e.content} {
		var members map[string]any
		if json.Unmarshal(body, &members) == nil {
			c.members(members)
		}
	}
	if form, err := url.ParseQuery(string(e.body)); err == nil && e.header.Get("Content-Type") == "application/x-www-form-urlencoded" {
		c.add("words", form.Get("words"))
		c.add("shown digest", form.Get("shown"))
	}
}

// members takes the secrets out of a JSON object, and of those inside it.
func (c canaries) members(object map[string]any) {
	names := map[string]string{
		"id_token": "ID token", "rz": "rz", "device_key": "device key", "document": "signed document", "signature": "signature",
		"device_signature": "signature", "possession_signature": "signature", "person_salt": "salt", "facts_salt": "salt", "reason": "reason",
		"bearer": "bearer", "challenge": "challenge", "words": "words", "email": "address", "name": "name", "by_name": "name",
		"certificate": "certificate", "person": "",
	}
	for name, value := range object {
		switch v := value.(type) {
		case string:
			if what := names[name]; what != "" {
				c.add(what, v)
			}
		case map[string]any:
			c.members(v)
		case []any:
			for _, one := range v {
				if inner, ok := one.(map[string]any); ok {
					c.members(inner)
				}
			}
		}
	}
}

// found names what of the canaries stands in a text, in whatever form.
func (c canaries) found(text string) []string {
	var out []string
	if plain, err := url.QueryUnescape(text); err == nil {
		text += "\n" + plain
	}
	for what, values := range c {
		for value := range values {
			escaped, _ := json.Marshal(value) // a string always can be
			for _, form := range []string{value, strings.Trim(string(escaped), `"`), html.EscapeString(value)} {
				if strings.Contains(text, form) {
					out = append(out, what+" "+value)
					break
				}
			}
		}
	}
	return out
}
