package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sallyport/sallyport/authority"
)

// decode reads a request's body into a struct of strings, as all bodies of the
// interface are: one JSON object with exactly the members that the struct's json
// tags name, each once; those with omitempty may be absent. Each refusal names the member.
func decode(r *http.Request, into any) error {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return fmt.Errorf("%w: send application/json", errMedia)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("%w: reading the body: %w", errMalformed, err)
	}
	if !utf8.Valid(body) {
		return fmt.Errorf("%w: the body is not UTF-8", errMalformed)
	}
	fields := fieldsOf(into)
	if err := readObject(json.NewDecoder(bytes.NewReader(body)), fields); err != nil {
		return err
	}
	for _, f := range fields {
		if !f.seen && !f.optional {
			return fmt.Errorf("%w: the field %s is missing", errMalformed, f.name)
		}
	}
	return nil
}

// field is one member that a body has.
type field struct {
	name string
	into *string
	seen bool
	// optional says that it may be absent; then it is as if it were empty.
	optional bool
}

// fieldsOf lists the fields of a pointer to a struct of strings.
func fieldsOf(into any) []*field {
	v := reflect.ValueOf(into).Elem()
	out := make([]*field, 0, v.NumField())
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		text, ok := v.Field(i).Addr().Interface().(*string)
		if !ok || name == "" {
			panic("server: " + v.Type().String() + " is no struct of tagged strings")
		}
		out = append(out, &field{name: name, into: text, optional: options == "omitempty"})
	}
	return out
}

func readObject(dec *json.Decoder, fields []*field) error {
	notJSON := fmt.Errorf("%w: the body is not one JSON object", errMalformed)
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return notJSON
	}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return notJSON
		}
		i := slices.IndexFunc(fields, func(f *field) bool { return f.name == name })
		if i < 0 {
			return fmt.Errorf("%w: there is no field %q", errMalformed, clip(name, 60))
		}
		f := fields[i]
		if f.seen {
			return fmt.Errorf("%w: the field %s stands twice", errMalformed, f.name)
		}
		t, err = dec.Token()
		if err != nil {
			return notJSON
		}
		text, ok := t.(string)
		if !ok {
			return fmt.Errorf("%w: the field %s is not a string", errMalformed, f.name)
		}
		*f.into, f.seen = text, true
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return notJSON
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the JSON object", errMalformed)
	}
	return nil
}

// single returns a parameter that stands once or not at all.
func single(values url.Values, name string) (string, error) {
	if len(values[name]) > 1 {
		return "", fmt.Errorf("%s: %w: it is given %d times", name, authority.ErrField, len(values[name]))
	}
	return values.Get(name), nil
}

// only refuses parameters with other names.
func only(values url.Values, names ...string) error {
	for name := range values {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%w: there is no field %q", errMalformed, clip(name, 60))
		}
	}
	return nil
}

// query reads the parameters of the address, which may have these names only.
func query(r *http.Request, names ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: the parameters can't be read", errMalformed)
	}
	return values, only(values, names...)
}

// writeJSON answers with a JSON value.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it is JSON, marked as such
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a client that went away needs no answer
	return nil
}
