package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/api"
)

// print writes the checks, the leaf and its openings.
func (v *verification) print(e Env) error {
	var b bytes.Buffer
	for _, c := range v.checks {
		fmt.Fprintf(&b, "%s %s: %s\n", mark(e, c.Result), c.Name, e.visible(c.Text))
	}
	section := func(title, text string) {
		if text == "" {
			return
		}
		fmt.Fprintf(&b, "\n%s\n", title)
		for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			fmt.Fprintf(&b, "  %s\n", e.visible(line))
		}
	}
	shown := withoutSecrets(v.entry.Entry)
	section("leaf", shown.Leaf)
	section("facts", indented(shown.Facts))
	section("person part", indented(shown.Person))
	section("certificate", v.entry.Certificate)
	return e.write(b.Bytes())
}

func mark(e Env, r Result) string {
	passed, failed := "✓", "✗"
	if !e.utf8() {
		passed, failed = "ok", "FAILED"
	}
	switch r {
	case Passed:
		return e.colour("32", passed)
	case Failed:
		return e.colour("31", failed)
	case Unknown:
		return e.colour("33", "?")
	default:
		return "?"
	}
}

func (v *verification) printJSON(e Env) error {
	entry := v.entry
	entry.Entry = withoutSecrets(entry.Entry)
	return e.printJSON(entryResult{v.count(Failed) == 0, v.checks, entry})
}

// entryResult is what --json prints.
type entryResult struct {
	OK     bool           `json:"ok"` // no check failed
	Checks []Check        `json:"checks"`
	Entry  api.EntryProof `json:"entry"`
}

// withoutSecrets takes the ID token of a login and the nonce's secret out of
// the person part before it is printed.
func withoutSecrets(e api.Entry) api.Entry {
	var part map[string]json.RawMessage
	if e.Person == "" || json.Unmarshal([]byte(e.Person), &part) != nil {
		return e
	}
	found := false
	for _, name := range []string{"id_token", "rz"} {
		if _, ok := part[name]; ok {
			part[name], found = json.RawMessage(`"[redacted]"`), true
		}
	}
	if !found {
		return e
	}
	b, err := json.Marshal(part)
	if err != nil {
		e.Person = ""
		return e
	}
	e.Person = string(b)
	return e
}

// indented lays out a JSON text; what is none stays as it is.
func indented(text string) string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return b.String()
}
