package robot_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/robot"
)

func newRobot(t *testing.T) *robot.Robot {
	t.Helper()
	r, err := robot.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// site serves handlers by path; /echo answers with what it was sent.
func site(t *testing.T, pages map[string]http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := pages[r.URL.Path]; h != nil {
			h(w, r)
			return
		}
		echo(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// echo answers with method, address, body and the headers that depend on where
// the visit came from.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	cookies := []string{}
	for _, c := range r.Cookies() {
		cookies = append(cookies, c.Name)
	}
	_, _ = fmt.Fprintf(w, "%s %s\nbody=%s\norigin=%s\nsite=%s\nreferer=%s\ncookies=%s\n", r.Method, r.URL.RequestURI(), body,
		r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"), r.Header.Get("Referer"), strings.Join(cookies, ","))
}

func page(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

func get(t *testing.T, r *robot.Robot, address string) *robot.Page {
	t.Helper()
	p, err := r.Get(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPage(t *testing.T) {
	t.Parallel()
	base := site(t, map[string]http.HandlerFunc{"/": page(`<!doctype html><title> A
		title </title><style>p{}</style><h1>Head</h1><p>one  <b>t</b>wo<br>three</p><p hidden>secret</p>
		<script>var x</script><noscript><p>no script</p></noscript><!-- comment --><template>t</template>
		<table><tr><td>a</td><td>b</td></tr></table><a href="/next?x=1">Next <i>page</i></a> <a name="x">no link</a>
		<form><label>Name</label><input value="typed"><input type="submit" value="Send"><button>Go</button><input type="hidden" value="h"></form>`)})
	p := get(t, newRobot(t), base+"/")
	want := "Head\none two\nthree\nno script\na b\nNext page no link\nName Send Go"
	if got := p.Text(); got != want {
		t.Errorf("reads\n%s\nwant\n%s", got, want)
	}
	if p.Title != "A title" || p.Status != http.StatusOK || p.URL.String() != base+"/" {
		t.Errorf("title %q, status %d, %s", p.Title, p.Status, p.URL)
	}
	if len(p.Links) != 1 || p.Links[0].Text != "Next page" || p.Links[0].URL.String() != base+"/next?x=1" {
		t.Errorf("links %+v", p.Links)
	}
}

const controls = `<form id="f" name="n" method="post" action="/echo">
<input type="hidden" name="h" value="1">
<input name="text" value="old">
<textarea name="area">a
b</textarea>
<select name="sel"><option value="x">X</option><option selected>Y</option><option disabled>Z</option></select>
<input type="checkbox" name="box" value="1"><input type="checkbox" name="box" value="2" checked><input type="checkbox" name="plain">
<input type="radio" name="radio" value="a"><input type="radio" name="radio" value="b" checked>
<input name="off" value="no" disabled><fieldset disabled><input name="off2" value="no"></fieldset>
<input value="nameless">
<button name="do" value="approve">Approve it</button>
<button name="do" value="deny" formaction="/other">Deny</button>
<input type="submit" name="go" value="Preview" formmethod="get">
<button type="button" name="dead">Dead</button>
</form><input form="f" name="outside" value="o"><input name="stray" value="s">`

func TestSubmit(t *testing.T) {
	t.Parallel()
	const rest = "&outside=o"
	for _, tt := range []struct {
		name   string
		values map[string]string
		button string
		want   string // first two lines that the server saw
		err    error
	}{
		{"as it is", nil, "", "POST /echo\nbody=h=1&text=old&area=a%0D%0Ab&sel=Y&box=2&radio=b" + rest + "&do=approve", nil},
		{"by text", nil, "Approve it", "POST /echo\nbody=h=1&text=old&area=a%0D%0Ab&sel=Y&box=2&radio=b" + rest + "&do=approve", nil},
		{"other action", nil, "deny", "POST /other\nbody=h=1&text=old&area=a%0D%0Ab&sel=Y&box=2&radio=b" + rest + "&do=deny", nil},
		{"other method", nil, "Preview", "GET /echo?h=1&text=old&area=a%0D%0Ab&sel=Y&box=2&radio=b" + rest + "&go=Preview\nbody=", nil},
		{
			"filled in",
			map[string]string{"text": "ü &", "area": "1\r\n2\n3", "sel": "x", "box": "1", "plain": "on", "radio": "a", "outside": ""},
			"deny", "POST /other\nbody=h=1&text=%C3%BC+%26&area=1%0D%0A2%0D%0A3&sel=x&box=1&box=2&plain=on&radio=a&outside=&do=deny", nil,
		},
		{"boxes cleared", map[string]string{"box": ""}, "", "POST /echo\nbody=h=1&text=old&area=a%0D%0Ab&sel=Y&radio=b" + rest + "&do=approve", nil},
		{"unknown field", map[string]string{"nope": "x"}, "", "", robot.ErrNoField},
		{"field of no form", map[string]string{"stray": "x"}, "", "", robot.ErrNoField},
		{"disabled field", map[string]string{"off": "x"}, "", "", robot.ErrNoField},
		{"field of a disabled group", map[string]string{"off2": "x"}, "", "", robot.ErrNoField},
		{"unknown choice", map[string]string{"sel": "q"}, "", "", robot.ErrNoField},
		{"disabled choice", map[string]string{"sel": "Z"}, "", "", robot.ErrNoField},
		{"unknown radio", map[string]string{"radio": "c"}, "", "", robot.ErrNoField},
		{"unknown box", map[string]string{"box": "3"}, "", "", robot.ErrNoField},
		{"button that submits nothing", nil, "Dead", "", robot.ErrNoField},
		{"two buttons of that name", nil, "do", "", robot.ErrNoField},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := site(t, map[string]http.HandlerFunc{"/": page(controls)})
			r := newRobot(t)
			p, err := r.Submit(t.Context(), get(t, r, base+"/"), "#f", tt.values, tt.button)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err == nil && !strings.HasPrefix(p.Body, tt.want+"\n") {
				t.Errorf("sent\n%s\nwant\n%s", p.Body, tt.want)
			}
		})
	}
}

func TestFormRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body, form string
		values           map[string]string
		err              error
	}{
		{"no form", `<p>nothing</p>`, "", nil, robot.ErrNoForm},
		{"two forms", `<form></form><form></form>`, "", nil, robot.ErrNoForm},
		{"other name", `<form id="a" name="b" action="/c"></form>`, "d", nil, robot.ErrNoForm},
		{"by id", `<form id="a"></form><form></form>`, "#a", nil, nil},
		{"by name", `<form name="a"></form><form></form>`, "a", nil, nil},
		{"by action", `<form action="/a?x=1"></form><form></form>`, "/a", nil, nil},
		{"upload", `<form method="post" enctype="multipart/form-data"></form>`, "", nil, robot.ErrNoForm},
		{"script as action", `<form action="javascript:x()"></form>`, "", nil, robot.ErrNoForm},
		{"required and empty", `<form><input name="a" required></form>`, "", nil, robot.ErrRequired},
		{"required and filled in", `<form><input name="a" required></form>`, "", map[string]string{"a": "x"}, nil},
		{"required box", `<form><input name="a" type="checkbox" required></form>`, "", nil, robot.ErrRequired},
		{"required radio", `<form><input name="a" type="radio" value="1" required><input name="a" type="radio" value="2"></form>`, "", nil, robot.ErrRequired},
		{"required radio, other chosen", `<form><input name="a" type="radio" value="1" required><input name="a" type="radio" value="2"></form>`, "", map[string]string{"a": "2"}, nil},
		{"required but not checked", `<form novalidate><input name="a" required></form>`, "", nil, nil},
		{"required but the button does not care", `<form><input name="a" required><button formnovalidate>x</button></form>`, "", nil, nil},
		{"too long", `<form><input name="a" maxlength="3"></form>`, "", map[string]string{"a": "abcd"}, robot.ErrRequired},
		{"long enough", `<form><input name="a" maxlength="3"></form>`, "", map[string]string{"a": "äöü"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := site(t, map[string]http.HandlerFunc{"/": page(tt.body)})
			r := newRobot(t)
			if _, err := r.Submit(t.Context(), get(t, r, base+"/"), tt.form, tt.values, ""); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

// TestHeaders submits forms from one place to another. 127.0.0.1 and localhost
// are different sites; ports of one host are one site.
func TestHeaders(t *testing.T) {
	t.Parallel()
	const none = ""
	for _, tt := range []struct {
		name, policy, to      string // to: self, port or elsewhere
		origin, site, referer string
	}{
		{"own page", none, "self", "OWN", "same-origin", "OWN/form?q=1"},
		{"other port", none, "port", "OWN", "same-site", "OWN/"},
		{"elsewhere", none, "elsewhere", "OWN", "cross-site", "OWN/"},
		{"hides itself", "no-referrer", "self", "null", "same-origin", ""},
		{"tells only itself", "same-origin", "self", "OWN", "same-origin", "OWN/form?q=1"},
		{"tells only itself, elsewhere", "same-origin", "elsewhere", "null", "cross-site", ""},
		{"tells all", "unsafe-url", "elsewhere", "OWN", "cross-site", "OWN/form?q=1"},
		{"tells the origin", "origin", "self", "OWN", "same-origin", "OWN/"},
		{"tells the origin to others", "origin-when-cross-origin", "port", "OWN", "same-site", "OWN/"},
		{"tells itself all", "origin-when-cross-origin", "self", "OWN", "same-origin", "OWN/form?q=1"},
		{"strict origin", "strict-origin", "self", "OWN", "same-origin", "OWN/"},
		{"no downgrade", "no-referrer-when-downgrade", "port", "OWN", "same-site", "OWN/form?q=1"},
		{"last known policy counts", "no-referrer, same-origin, new-policy", "self", "OWN", "same-origin", "OWN/form?q=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			other := site(t, nil)
			target := map[string]string{"self": "", "port": other, "elsewhere": strings.Replace(other, "127.0.0.1", "localhost", 1)}[tt.to]
			base := site(t, map[string]http.HandlerFunc{
				"/form": page(`<form method="post" action="`+target+`/echo"><input name="a" value="b"></form>`, "Referrer-Policy", tt.policy),
			})
			r := newRobot(t)
			p, err := r.Submit(t.Context(), get(t, r, base+"/form?q=1#part"), "", nil, "")
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(fmt.Sprintf("origin=%s\nsite=%s\nreferer=%s\n", tt.origin, tt.site, tt.referer), "OWN", base)
			if !strings.Contains(p.Body, want) {
				t.Errorf("sent\n%s\nwant\n%s", p.Body, want)
			}
		})
	}
}

func TestVisits(t *testing.T) {
	t.Parallel()
	other := site(t, nil)
	elsewhere := strings.Replace(other, "127.0.0.1", "localhost", 1)
	bounce := func(to string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) }
	}
	back := site(t, map[string]http.HandlerFunc{}) // where a chain ends
	through := strings.Replace(site(t, map[string]http.HandlerFunc{"/": bounce(back+"/end", http.StatusTemporaryRedirect)}), "127.0.0.1", "localhost", 1)
	base := site(t, map[string]http.HandlerFunc{
		"/": page(`<a href="/echo?l=1">Here</a><a href="` + elsewhere + `/echo">There</a><a href="/x">Twice</a><a href="/x">Twice</a>
			<form name="see" method="post" action="/see"><input name="a" value="b"></form>
			<form name="keep" method="post" action="/keep"><input name="a" value="b"></form>
			<form name="chain" method="post" action="` + through + `"><input name="a" value="b"></form>`),
		"/see":  bounce("/echo?303", http.StatusSeeOther),
		"/keep": bounce("/echo?307", http.StatusTemporaryRedirect),
		"/loop": bounce("/loop", http.StatusFound),
		"/js":   bounce("javascript:x()", http.StatusFound),
		"/none": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) },
		"/big":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.CopyN(w, spaces{}, 5<<20) },
	})
	r := newRobot(t)
	start := get(t, r, base+"/")

	follow := func(text string) (*robot.Page, error) { return r.Follow(t.Context(), start, text) }
	submit := func(form string) (*robot.Page, error) { return r.Submit(t.Context(), start, form, nil, "") }
	visit := func(path string) (*robot.Page, error) { return r.Get(t.Context(), base+path) }
	for _, tt := range []struct {
		name string
		run  func(string) (*robot.Page, error)
		arg  string
		want string
		err  error
	}{
		{"typed", visit, "/echo", "GET /echo\nbody=\norigin=\nsite=none\nreferer=\n", nil},
		{"link", follow, "Here", "GET /echo?l=1\nbody=\norigin=\nsite=same-origin\nreferer=" + base + "/\n", nil},
		{"link elsewhere", follow, "There", "GET /echo\nbody=\norigin=\nsite=cross-site\nreferer=" + base + "/\n", nil},
		{"no such link", follow, "Nowhere", "", robot.ErrNoLink},
		{"two such links", follow, "Twice", "", robot.ErrNoLink},
		{"303 forgets the form", submit, "see", "GET /echo?303\nbody=\norigin=\nsite=same-origin\n", nil},
		{"307 keeps it", submit, "keep", "POST /echo?307\nbody=a=b\norigin=" + base + "\nsite=same-origin\n", nil},
		{"307 through another site", submit, "chain", "POST /end\nbody=a=b\norigin=null\nsite=cross-site\n", nil},
		{"redirect in a circle", visit, "/loop", "", robot.ErrRedirects},
		{"redirect to a script", visit, "/js", "", robot.ErrRedirects},
		{"redirect to nowhere", visit, "/none", "", robot.ErrRedirects},
		{"too large", visit, "/big", "", robot.ErrTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := tt.run(tt.arg)
			if !errors.Is(err, tt.err) || err == nil && !strings.HasPrefix(p.Body, tt.want) {
				t.Errorf("got %v, %+v; want %q, %v", err, p, tt.want, tt.err)
			}
		})
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// TestSameSite sets one cookie of each kind on a site and comes back to it from
// its own page and from another site.
func TestSameSite(t *testing.T) {
	t.Parallel()
	base := site(t, map[string]http.HandlerFunc{"/set": func(w http.ResponseWriter, _ *http.Request) {
		for name, mode := range map[string]http.SameSite{"strict": http.SameSiteStrictMode, "lax": http.SameSiteLaxMode, "none": http.SameSiteNoneMode, "plain": 0} {
			http.SetCookie(w, &http.Cookie{Name: name, Value: "v", Path: "/", SameSite: mode, Secure: mode == http.SameSiteNoneMode, HttpOnly: true})
		}
		page(`<form method="post" action="/echo"></form><a href="/echo">Back</a>`)(w, nil)
	}})
	foreign := strings.Replace(site(t, map[string]http.HandlerFunc{
		"/": page(`<form method="post" action="` + base + `/echo"></form><a href="` + base + `/echo">Back</a>`),
	}), "127.0.0.1", "localhost", 1)
	r := newRobot(t)
	own, other := get(t, r, base+"/set"), get(t, r, foreign+"/")
	for _, tt := range []struct {
		name string
		from *robot.Page
		post bool
		want string
	}{
		{"typed", nil, false, "lax none plain strict"},
		{"own link", own, false, "lax none plain strict"},
		{"own form", own, true, "lax none plain strict"},
		{"foreign link", other, false, "lax none plain"},
		{"foreign form", other, true, "none"},
	} {
		var p *robot.Page
		var err error
		switch {
		case tt.from == nil:
			p, err = r.Get(t.Context(), base+"/echo")
		case tt.post:
			p, err = r.Submit(t.Context(), tt.from, "", nil, "")
		default:
			p, err = r.Follow(t.Context(), tt.from, "Back")
		}
		if err != nil {
			t.Fatal(err)
		}
		sent := map[string]bool{}
		_, list, _ := strings.Cut(strings.TrimSpace(p.Body), "cookies=")
		for c := range strings.SplitSeq(list, ",") {
			sent[c] = c != ""
		}
		for _, name := range []string{"strict", "lax", "none", "plain"} {
			if sent[name] != strings.Contains(tt.want, name) {
				t.Errorf("%s: sent %q, want %q", tt.name, list, tt.want)
			}
		}
	}
	if cookies, err := r.Cookies(base); err != nil || len(cookies) != 4 {
		t.Errorf("%d cookies, %v", len(cookies), err)
	}
}

// TestFormAction holds submissions to the page's Content-Security-Policy.
func TestFormAction(t *testing.T) {
	t.Parallel()
	other := site(t, nil)
	for _, tt := range []struct {
		name, policy, action string
		err                  error
	}{
		{"no policy", "", other + "/echo", nil},
		{"policy about something else", "default-src 'none'", other + "/echo", nil},
		{"self", "form-action 'self'", "/echo", nil},
		{"self, elsewhere", "form-action 'self'", other + "/echo", robot.ErrPolicy},
		{"self, redirected elsewhere", "form-action 'self'", "/out", robot.ErrPolicy},
		{"named, redirected there", "default-src 'none'; form-action 'self' " + other, "/out", nil},
		{"none", "form-action 'none'", "/echo", robot.ErrPolicy},
		{"empty", "form-action", "/echo", robot.ErrPolicy},
		{"everything", "form-action *", other + "/echo", nil},
		{"scheme", "form-action http:", other + "/echo", nil},
		{"two policies", "form-action *, form-action 'self'", other + "/echo", robot.ErrPolicy},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			base := site(t, map[string]http.HandlerFunc{
				"/":    page(`<form method="post" action="`+tt.action+`"></form>`, "Content-Security-Policy", tt.policy),
				"/out": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other+"/echo", http.StatusSeeOther) },
			})
			r := newRobot(t)
			if _, err := r.Submit(t.Context(), get(t, r, base+"/"), "", nil, ""); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

func TestLogIn(t *testing.T) {
	t.Parallel()
	s, err := idp.Start(t.Context(), idp.Config{
		Algorithm: "ES256",
		WebSecret: "x",
		Accounts:  []idp.Account{{Username: "alice", Password: "pw"}, {Username: "bob", Password: "pw", Disabled: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	q := url.Values{
		"client_id": {idp.WebClient}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
		"code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
	}
	app := site(t, map[string]http.HandlerFunc{
		"/login": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.URL()+"/authorize?"+q.Encode(), http.StatusSeeOther)
		},
		"/callback": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/home?code="+r.URL.Query().Get("code"), http.StatusSeeOther)
		},
	})
	q.Set("redirect_uri", app+"/callback")
	s.AllowRedirect(app + "/callback")

	p, err := newRobot(t).LogIn(t.Context(), app+"/login", "alice", "pw")
	if err != nil || p.URL.Path != "/home" || p.URL.Query().Get("code") == "" {
		t.Fatalf("got %+v, %v", p, err)
	}
	for _, tt := range []struct{ name, address, username, password, says string }{
		{"wrong password", app + "/login", "alice", "no", "Username or password is wrong."},
		{"unknown person", app + "/login", "eve", "pw", "Username or password is wrong."},
		{"disabled", app + "/login", "bob", "pw", "This account is disabled."},
		{"no form there", app + "/home", "alice", "pw", "no login form"},
		{"login that is over", s.URL() + "/login?request=x", "alice", "pw", "This sign-in is over."},
	} {
		p, err := newRobot(t).LogIn(t.Context(), tt.address, tt.username, tt.password)
		if !errors.Is(err, robot.ErrLogin) || !strings.Contains(err.Error(), tt.says) || p == nil {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}
