// Package clischema holds what sally prints with --json to docs/cli.schema.json, by
// a validator that shares no code with sally.
package clischema

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Schema is the document.
type Schema struct {
	// Verbs are those that have a result, such as "ledger show", and "error".
	Verbs []string

	compiled map[string]*jsonschema.Schema
}

// Load reads the document and compiles what it says of each verb.
func Load(path string) (*Schema, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	const at = "urn:sallyport:cli:v1"
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(at, doc); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := c.Compile(at); err != nil { // the whole of it, unused parts included
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &Schema{compiled: map[string]*jsonschema.Schema{}}
	for _, ref := range refs(doc) {
		name, err := url.PathUnescape(strings.TrimPrefix(ref, "#/$defs/"))
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, ref, err)
		}
		if s.compiled[name], err = c.Compile(at + ref); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		s.Verbs = append(s.Verbs, name)
	}
	slices.Sort(s.Verbs)
	return s, nil
}

// refs lists what the document is any of.
func refs(doc any) []string {
	root, _ := doc.(map[string]any) // another shape lists nothing
	list, _ := root["anyOf"].([]any)
	var out []string
	for _, one := range list {
		m, _ := one.(map[string]any)
		if ref, ok := m["$ref"].(string); ok {
			out = append(out, ref)
		}
	}
	return out
}

// ErrNoVerb is returned for a verb that the document does not describe.
var ErrNoVerb = errors.New("docs/cli.schema.json has no such verb")

// Check returns nil if text is one JSON object as the document says of the verb.
func (s *Schema) Check(verb string, text []byte) error {
	schema, ok := s.compiled[verb]
	if !ok {
		return fmt.Errorf("%s: %w", verb, ErrNoVerb)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w in %.300q", verb, err, text)
	}
	if err := schema.Validate(v); err != nil {
		return fmt.Errorf("%s: %w in %.2000s", verb, err, text)
	}
	return nil
}
