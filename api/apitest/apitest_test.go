package apitest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/api/apitest"
	"github.com/sallyport/sallyport/canon"
)

// sent and got are bodies of the operation that the tests are about.
type sent struct {
	Purpose string `json:"purpose" enum:"a,b"` // comment
}

type got struct {
	ID     canon.ID          `json:"id"`                // comment
	Port   int               `json:"port" range:"1..9"` // comment
	Labels map[string]string `json:"labels"`            // comment
	Note   string            `json:"note,omitempty"`    // comment
}

type query struct {
	Host  []string `json:"host"`                           // comment
	Limit int64    `json:"limit,omitempty" range:"1..200"` // comment
}

func comments(t *testing.T) apitest.Comments {
	t.Helper()
	c, err := apitest.ReadComments("..", "../../canon", "../../sshcert")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sent", "sent.Purpose", "got", "got.ID", "got.Port", "got.Labels", "got.Note", "query.Host", "query.Limit"} {
		c["apitest_test."+name] = "comment"
	}
	return c
}

func operation() apitest.Operation {
	return apitest.Operation{
		Method: http.MethodPost, Path: "/v1/things/{id}", ID: "makeThing", Tag: "things", Summary: "Make a thing", Bearer: true,
		PathParameters: api.RequestPath{}, Query: query{}, Body: sent{},
		Answers:  []apitest.Answer{{Status: 201, Body: got{}, Means: "made"}, {Status: 202, Body: apitest.Lines{}, Means: "told"}, {Status: 204, Means: "there"}},
		Problems: []apitest.Problem{{Status: 409, Slug: "settled", Title: "settled"}, {Status: 409, Slug: "changed", Title: "changed"}, {Status: 409, Slug: "changed", Title: "changed"}},
	}
}

func things() apitest.Info {
	return apitest.Info{Title: "Things", Version: "v1", Tags: map[string]string{"things": "things"}}
}

// TestCheck offers exchanges of which all but the good ones are not what the
// document says.
func TestCheck(t *testing.T) {
	t.Parallel()
	text, err := apitest.Document(things(), []apitest.Operation{operation()}, comments(t))
	if err != nil {
		t.Fatal(err)
	}
	v, err := apitest.NewValidator(text)
	if err != nil {
		t.Fatal(err)
	}
	const (
		id      = "mzxw6ytboi2dqmrvgm4tanrwge"
		target  = "/v1/things/" + id + "?host=a&host=b&limit=3"
		body    = `{"id":"` + id + `","port":9,"labels":{"a":"b"}}`
		purpose = `{"purpose":"b"}`
		problem = `{"type":"/problems/changed","title":"x","status":409}`
	)
	exchange := func(change func(*apitest.Exchange)) apitest.Exchange {
		e := apitest.Exchange{
			Method: http.MethodPost, Target: target, Sent: []byte(purpose), Status: 201,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body),
		}
		change(&e)
		return e
	}
	refused := func(status int, body string) func(*apitest.Exchange) {
		return func(e *apitest.Exchange) {
			e.Status, e.Body, e.Sent = status, []byte(body), []byte("junk")
			e.Header = http.Header{"Content-Type": {"application/problem+json"}}
		}
	}
	told := func(body string) func(*apitest.Exchange) {
		return func(e *apitest.Exchange) {
			e.Status, e.Body, e.Header = 202, []byte(body), http.Header{"Content-Type": {"application/x-ndjson"}}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*apitest.Exchange)
		want   string // in the error; empty: good
	}{
		{"good", func(*apitest.Exchange) {}, ""},
		{"good without the optional parameter", func(e *apitest.Exchange) { e.Target = "/v1/things/" + id + "?host=a" }, ""},
		{"good without a body", func(e *apitest.Exchange) { e.Status, e.Body = 204, nil }, ""},
		{"good lines", told("{}\n[1]\n"), ""},
		{"lines that are no JSON", told("{}\nx\n"), "no line of JSON"},
		{"lines that are broken off", told("{}\n{}"), "no line of JSON"},
		{"a documented refusal of junk", refused(409, problem), ""},
		{"an unknown address, refused", func(e *apitest.Exchange) { refused(404, problem)(e); e.Target = "/v1/other" }, ""},
		{"an unknown address, answered", func(e *apitest.Exchange) { e.Target = "/v1/other" }, "not in the document"},
		{"another method", func(e *apitest.Exchange) { e.Method = http.MethodPatch }, "not in the document"},
		{"another status", func(e *apitest.Exchange) { e.Status = 200 }, "status 200"},
		{"a refusal that is no problem", refused(404, `{}`), "status 404"},
		{"another kind of problem", refused(409, strings.Replace(problem, "changed", "rate", 1)), "type"},
		{"another status in the problem", refused(409, strings.Replace(problem, "409", "410", 1)), "status"},
		{"a problem without title", refused(409, `{"type":"/problems/changed","status":409}`), "title"},
		{"no bearer of the path", func(e *apitest.Exchange) { e.Target = "/v1/things/x?host=a" }, "path id"},
		{"a parameter missing", func(e *apitest.Exchange) { e.Target = "/v1/things/" + id }, "query host"},
		{"a parameter out of range", func(e *apitest.Exchange) { e.Target = target + "4567" }, "query limit"},
		{"a parameter that is no number", func(e *apitest.Exchange) { e.Target = "/v1/things/" + id + "?host=a&limit=x" }, "query limit"},
		{"a parameter twice", func(e *apitest.Exchange) { e.Target = target + "&limit=3" }, "2 times"},
		{"a parameter that is not there", func(e *apitest.Exchange) { e.Target = target + "&page=2" }, "no query page"},
		{"a body that is done but not documented", func(e *apitest.Exchange) { e.Sent = []byte(`{"purpose":"c"}`) }, "purpose"},
		{"a body with one member more", func(e *apitest.Exchange) { e.Sent = []byte(`{"purpose":"a","x":"y"}`) }, "additional properties"},
		{"no body", func(e *apitest.Exchange) { e.Sent = nil }, "no JSON"},
		{"an answer with one member more", func(e *apitest.Exchange) { e.Body = []byte(strings.Replace(body, "{", `{"x":1,`, 1)) }, "additional properties"},
		{"an answer with one member less", func(e *apitest.Exchange) { e.Body = []byte(strings.Replace(body, `"port":9,`, "", 1)) }, "port"},
		{"an answer with null", func(e *apitest.Exchange) { e.Body = []byte(strings.Replace(body, `{"a":"b"}`, "null", 1)) }, "labels"},
		{"an answer out of range", func(e *apitest.Exchange) { e.Body = []byte(strings.Replace(body, "9", "10", 1)) }, "port"},
		{"an answer with no id", func(e *apitest.Exchange) { e.Body = []byte(strings.Replace(body, id, "MZXW", 1)) }, "id"},
		{"an answer of another type", func(e *apitest.Exchange) { e.Header = http.Header{"Content-Type": {"text/html"}} }, "text/html"},
		{"a body where there is none", func(e *apitest.Exchange) { e.Status = 204 }, "none is documented"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := v.Check(exchange(tt.change))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestUnseen: only an answer that was held to the document counts as seen.
func TestUnseen(t *testing.T) {
	t.Parallel()
	text, err := apitest.Document(things(), []apitest.Operation{operation()}, comments(t))
	if err != nil {
		t.Fatal(err)
	}
	v, err := apitest.NewValidator(text)
	if err != nil {
		t.Fatal(err)
	}
	e := apitest.Exchange{Method: http.MethodPost, Target: "/v1/things/mzxw6ytboi2dqmrvgm4tanrwge?host=a", Sent: []byte(`{"purpose":"a"}`), Status: 204}
	if err := v.Check(e); err != nil {
		t.Fatal(err)
	}
	e.Status = 201
	if err := v.Check(e); err == nil {
		t.Error("an answer without a body passed")
	}
	if unseen := v.Unseen(); !slices.Equal(unseen, []string{"POST /v1/things/{id} 201", "POST /v1/things/{id} 202"}) {
		t.Errorf("unseen: %v", unseen)
	}
}

// TestFlaws: what a person has to mend in the source is said, and nothing is made.
func TestFlaws(t *testing.T) {
	t.Parallel()
	type bare struct {
		Named string `json:"named"`
		None  string
		Range string  `json:"range" range:"1..2"`
		Odd   int     `json:"odd" range:"one"`
		Real  float64 `json:"real"`
	}
	type ID struct {
		ID canon.ID `json:"id"`
	}
	op := operation()
	op.Tag = "untold"
	op.Answers = []apitest.Answer{{Status: 200, Body: bare{}}, {Status: 201, Body: ID{}}, {Status: 202, Body: sent{}}}
	about := things()
	about.Tags["other"] = "other"
	_, err := apitest.Document(about, []apitest.Operation{op}, comments(t))
	if err == nil {
		t.Fatal("no flaw is found")
	}
	for _, want := range []string{
		"apitest_test.bare has no comment", "bare.Named has no comment", "bare.None has no JSON name", `bare.Range: range:"1..2"`,
		`bare.Odd: range:"one"`, "there is no schema for a float64", "would both be the schema ID", "no operation has the tag other",
		"nothing is said of the tag untold", "apitest_test.sent stands in a body, which is closed, and in an answer, which is not",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
}
