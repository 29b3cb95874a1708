package server

import (
	"bytes"
	"flag"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/sallyport/sallyport/api/apitest"
	"github.com/sallyport/sallyport/docs"
)

var update = flag.Bool("update", false, "write docs/openapi.json")

const openAPIFile = "../docs/openapi.json"

// about is what the document says of the interface as a whole.
var about = apitest.Info{
	Title:   "Sallyport",
	Version: "v1",
	Description: "The JSON interface of a Sallyport server. Bodies are `application/json` (the export of the ledger: JSON Lines of any length), UTF-8, at most 64 KiB, with exactly the members " +
		"that are listed. Every GET is a HEAD, too. Whoever is refused gets a problem document (RFC 9457) whose `type` is a word that never " +
		"changes its meaning; `detail` is one sentence for the person. 503 says when to try again (`Retry-After`), 429, too, where waiting " +
		"is all that is needed; a retry is always safe. " +
		"Answers may gain members: a client ignores those that it does not know.\n\n" +
		"Times (`*_at`) are microseconds since 1970-01-01T00:00:00Z, durations (`*_seconds`) seconds, digests and keys base64url without padding. " +
		"What is signed, and how, is in docs/formats.md.",
	Tags: map[string]string{
		"server":    "what the server is",
		"sessions":  "logging in and out",
		"requests":  "asking, waiting, and certificates",
		"contracts": "access contracts and their amendments",
		"hosts":     "what hosts and host admins do; hosts sign with their own keys",
		"ledger":    "what was recorded, with proofs",
	},
}

// TestGeneratedOpenAPI makes docs/openapi.json from the table of routes and the
// types of package api, and compares it with what is checked in.
func TestGeneratedOpenAPI(t *testing.T) {
	t.Parallel()
	comments, err := apitest.ReadComments("../api", "../canon", "../sshcert")
	if err != nil {
		t.Fatal(err)
	}
	text, err := apitest.Document(about, operations(t), comments)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(openAPIFile, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(text, docs.OpenAPI) {
		t.Error("docs/openapi.json is not what routes and types make; run `make generate`")
	}
}

// operations turns the table of routes into what the document is made from.
func operations(t *testing.T) []apitest.Operation {
	t.Helper()
	var out []apitest.Operation
	for _, r := range (&Server{}).table() {
		if strings.HasPrefix(r.path, apiPrefix) != (r.doc != nil) {
			t.Errorf("%s %s: routes below %s have a doc, others have none", r.method, r.path, apiPrefix)
		}
		if r.doc == nil {
			continue
		}
		op := apitest.Operation{
			Method: r.method, Path: r.path, ID: r.doc.id, Tag: r.doc.tag, Summary: r.doc.summary, More: r.doc.more,
			Bearer: r.bearer != nil, MayBear: r.doc.mayBear, PathParameters: r.doc.path, Query: r.doc.query, Body: r.doc.body,
		}
		for _, a := range r.doc.answers {
			if _, ok := a.body.(lines); ok {
				a.body = apitest.Lines{}
			}
			op.Answers = append(op.Answers, apitest.Answer{Status: a.status, Body: a.body, Streams: r.doc.streams, Means: a.means})
		}
		for _, k := range problemsOf(r) {
			op.Problems = append(op.Problems, apitest.Problem{Status: k.status, Slug: k.slug, Title: k.title})
		}
		out = append(out, op)
	}
	return out
}

// TestRoutesAreDocumented walks the router that serves, and demands each method
// of each path below /v1 in the document that is served, and the other way round.
func TestRoutesAreDocumented(t *testing.T) {
	t.Parallel()
	v, err := apitest.NewValidator(docs.OpenAPI)
	if err != nil {
		t.Fatal(err)
	}
	var served []string
	err = (&Server{}).router().Walk(func(route *mux.Route, _ *mux.Router, _ []*mux.Route) error {
		path, err := route.GetPathTemplate()
		if err != nil {
			return err
		}
		methods, err := route.GetMethods()
		if err != nil {
			return err
		}
		if slices.Contains(methods, http.MethodGet) != slices.Contains(methods, http.MethodHead) {
			t.Errorf("%s takes %v: GET and HEAD come together", path, methods)
		}
		for _, method := range methods {
			if strings.HasPrefix(path, apiPrefix) && method != http.MethodHead {
				served = append(served, method+" "+path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(served)
	if documented := v.Operations(); len(served) == 0 || !slices.Equal(served, documented) {
		t.Errorf("served:\n%s\ndocumented:\n%s", strings.Join(served, "\n"), strings.Join(documented, "\n"))
	}
}

// TestRouteTable holds the table to what its comments promise.
func TestRouteTable(t *testing.T) {
	t.Parallel()
	ids := map[string]string{}
	for _, r := range (&Server{}).table() {
		name := r.method + " " + r.path
		who := 0
		for _, set := range []bool{r.anyone != nil, r.bearer != nil, r.browser != nil, r.cookie != nil} {
			if set {
				who++
			}
		}
		if who != 1 {
			t.Errorf("%s says %d times who may call it, not once", name, who)
		}
		if below := strings.HasPrefix(r.path, apiPrefix); below && (r.browser != nil || r.cookie != nil) || !below && r.bearer != nil && !strings.HasPrefix(r.path, "/tile/") { // where C2SP tlog-tiles has them
			t.Errorf("%s: routes below %s take no cookies, and others but the tiles no bearers", name, apiPrefix)
		}
		if r.doc == nil {
			continue
		}
		if other, twice := ids[r.doc.id]; twice || r.doc.id == "" {
			t.Errorf("%s and %s have one id", name, other)
		}
		ids[r.doc.id] = name
		if r.doc.summary == "" || len(r.doc.answers) == 0 {
			t.Errorf("%s has no summary or no answer", name)
		}
		for _, m := range regexp.MustCompile(`\{`).FindAllString(r.path, -1) {
			if r.doc.path == nil {
				t.Errorf("%s: its path has a variable (%s) without a type", name, m)
			}
		}
	}
}
