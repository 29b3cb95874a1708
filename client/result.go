package client

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// ResultVersion stands in every JSON document that sally prints, as the member v.
// docs/cli.schema.json describes the documents of that version: members are added
// to them, never removed, renamed or given another meaning.
const ResultVersion = "sally/v1"

// printJSON writes the result as one JSON object, with the version as its first
// member.
func (e Env) printJSON(v any) error {
	text, err := versioned(v)
	if err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	b.WriteByte('\n')
	return e.write(visibleJSON(b.Bytes(), e.unseen()))
}

// versioned returns the JSON of a struct with the member v before its own.
func versioned(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	text := bytes.TrimSpace(b.Bytes())
	rest, ok := bytes.CutPrefix(text, []byte("{"))
	if !ok {
		return nil, fmt.Errorf("%T is no JSON object", v)
	}
	out := fmt.Appendf(nil, `{"v":%q`, ResultVersion)
	if !bytes.Equal(rest, []byte("}")) {
		out = append(out, ',')
	}
	return append(out, rest...), nil
}
