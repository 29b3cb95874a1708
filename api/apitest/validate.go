package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Exchange is a request and its answer.
type Exchange struct {
	Method, Target string // the target with its query
	Sent           []byte
	Status         int
	Header         http.Header
	Body           []byte
}

// Validator holds exchanges to a document, by a JSON Schema validator of other
// people's. It is safe for concurrent use.
type Validator struct {
	doc      map[string]any
	compiler *jsonschema.Compiler

	mu   sync.Mutex
	seen map[string]bool // "METHOD path status" of the answers that were held to it
}

const documentURL = "urn:openapi"

// NewValidator reads a document. Objects in answers are held to having no member
// that the document does not name, although clients must bear new ones.
func NewValidator(text []byte) (*Validator, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("the OpenAPI document: %w", err)
	}
	v := &Validator{compiler: jsonschema.NewCompiler(), seen: map[string]bool{}}
	v.doc, _ = doc.(map[string]any)
	for _, schema := range object(v.doc, "components", "schemas") {
		if s, ok := schema.(map[string]any); ok && s["properties"] != nil {
			s["additionalProperties"] = false
		}
	}
	v.compiler.AssertFormat()
	return v, v.compiler.AddResource(documentURL, v.doc)
}

// object goes down a document by keys; nil if there is none.
func object(v map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		v, _ = v[key].(map[string]any)
	}
	return v
}

// Operations lists "METHOD path" of all operations, sorted.
func (v *Validator) Operations() []string {
	var out []string
	for path, methods := range object(v.doc, "paths") {
		for method := range methods.(map[string]any) {
			out = append(out, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(out)
	return out
}

// Unseen lists the answers of 2xx that the document promises and no exchange had.
func (v *Validator) Unseen() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []string
	for _, op := range v.Operations() {
		method, path, _ := strings.Cut(op, " ")
		for status := range object(v.doc, "paths", path, strings.ToLower(method), "responses") {
			if key := op + " " + status; status[0] == '2' && !v.seen[key] {
				out = append(out, key)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Check returns what of the exchange the document does not say. Methods and
// paths that it does not have are the router's business: they are answered by a
// problem, and nothing more is asked of them.
func (v *Validator) Check(e Exchange) error {
	target, err := url.Parse(e.Target)
	if err != nil {
		return fmt.Errorf("target %q: %w", e.Target, err)
	}
	path, values := v.match(target.Path)
	method := e.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	op := object(v.doc, "paths", path, strings.ToLower(method))
	if op == nil {
		if e.Status < 400 {
			return fmt.Errorf("%s %s is not in the document, and was answered with %d", e.Method, target.Path, e.Status)
		}
		if e.Method == http.MethodHead {
			return nil
		}
		return v.value([]string{"components", "schemas", "Problem"}, e.Body)
	}
	at := []string{"paths", path, strings.ToLower(method)}
	if e.Status/100 == 2 {
		if err := v.request(at, op, e, target, values); err != nil {
			return fmt.Errorf("the request was done: %w", err)
		}
	}
	status := strconv.Itoa(e.Status)
	response, at := object(op, "responses", status), append(at, "responses", status)
	if ref, ok := response["$ref"].(string); ok {
		at = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
		response = object(v.doc, at...)
	}
	if response == nil {
		return fmt.Errorf("status %s of %s %s is not in the document: %s", status, method, path, e.Body)
	}
	if err := v.answer(at, response, e); err != nil {
		return fmt.Errorf("%s %s answers %s: %w", method, path, status, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[method+" "+path+" "+status] = true
	return nil
}

// match finds the path of the document that an address has, one written out
// before one with variables.
func (v *Validator) match(address string) (path string, values map[string]string) {
	paths := object(v.doc, "paths")
	if _, ok := paths[address]; ok {
		return address, nil
	}
	have := strings.Split(address, "/")
next:
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		want := strings.Split(path, "/")
		if len(want) != len(have) {
			continue
		}
		values := map[string]string{}
		for i, part := range want {
			if name, ok := strings.CutPrefix(part, "{"); ok && have[i] != "" {
				values[strings.TrimSuffix(name, "}")] = have[i]
			} else if part != have[i] {
				continue next
			}
		}
		return path, values
	}
	return "", nil
}

func (v *Validator) request(at []string, op map[string]any, e Exchange, target *url.URL, values map[string]string) error {
	given := map[string][]string{}
	for name, value := range values {
		given["path "+name] = []string{value}
	}
	for name, list := range target.Query() {
		given["query "+name] = list
	}
	parameters, _ := op["parameters"].([]any)
	for i, p := range parameters {
		p, _ := p.(map[string]any)
		key := fmt.Sprint(p["in"], " ", p["name"])
		list, ok := given[key]
		delete(given, key)
		if !ok {
			if p["required"] == true {
				return fmt.Errorf("the %s parameter is required", key)
			}
			continue
		}
		value, err := parameterValue(v.resolved(object(p, "schema")), list)
		if err != nil {
			return fmt.Errorf("the %s parameter: %w", key, err)
		}
		if err := v.validate(append(at, "parameters", strconv.Itoa(i), "schema"), value); err != nil {
			return fmt.Errorf("the %s parameter: %w", key, err)
		}
	}
	for key := range given {
		return fmt.Errorf("there is no %s parameter", key)
	}
	if op["requestBody"] == nil {
		return nil
	}
	return v.value(append(at, "requestBody", "content", mediaJSON, "schema"), e.Sent)
}

// resolved follows a schema that only names another.
func (v *Validator) resolved(schema map[string]any) map[string]any {
	if ref, ok := schema["$ref"].(string); ok {
		return object(v.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return schema
}

// parameterValue reads a parameter as its schema says: a list is repeated.
func parameterValue(schema map[string]any, list []string) (any, error) {
	switch {
	case schema["type"] == "array":
		out := make([]any, len(list))
		for i, text := range list {
			out[i] = text
		}
		return out, nil
	case len(list) != 1:
		return nil, fmt.Errorf("it stands %d times", len(list))
	case schema["type"] == "integer":
		return json.Number(list[0]), nil
	default:
		return list[0], nil
	}
}

func (v *Validator) answer(at []string, response map[string]any, e Exchange) error {
	have, _, _ := strings.Cut(e.Header.Get("Content-Type"), ";")
	content := object(response, "content")
	switch {
	case len(e.Body) == 0 && (content == nil || e.Method == http.MethodHead):
		return nil
	case content == nil:
		return fmt.Errorf("a body of %d bytes, none is documented", len(e.Body))
	case content[have] == nil:
		return fmt.Errorf("content of type %q is not documented", have)
	case have == mediaLines:
		return eachLine(e.Body)
	}
	at = append(at, "content", have, "schema")
	if have == mediaEvents {
		return v.events(at, e.Body)
	}
	return v.value(at, e.Body)
}

// events holds the data of each "request" event of a stream to a schema. Other
// events carry something else.
func (v *Validator) events(at []string, stream []byte) error {
	for event := range strings.SplitSeq(string(stream), "\n\n") {
		for line := range strings.Lines(event) {
			data, ok := strings.CutPrefix(line, "data: ")
			if !ok || !strings.Contains(event, "event: request\n") {
				continue
			}
			if err := v.value(at, []byte(data)); err != nil {
				return fmt.Errorf("event %q: %w", event, err)
			}
		}
	}
	return nil
}

// eachLine refuses what is no JSON Lines.
func eachLine(text []byte) error {
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) || !json.Valid(line) {
			return fmt.Errorf("no line of JSON: %.200s", line)
		}
	}
	return nil
}

// value holds a JSON text to a schema of the document.
func (v *Validator) value(at []string, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("no JSON: %w: %.200s", err, text)
	}
	return v.validate(at, value)
}

func (v *Validator) validate(at []string, value any) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	pointer := documentURL + "#"
	for _, key := range at {
		pointer += "/" + url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(key))
	}
	schema, err := v.compiler.Compile(pointer)
	if err != nil {
		return fmt.Errorf("compiling %s: %w", pointer, err)
	}
	return schema.Validate(value)
}
