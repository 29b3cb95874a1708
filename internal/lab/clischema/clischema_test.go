package clischema_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/lab/clischema"
)

// The validator takes what is described, and nothing else: a schema that lets all
// pass would pass every test.
func TestCheck(t *testing.T) {
	t.Parallel()
	s, err := clischema.Load("../../../docs/cli.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"v":"sally/v1","version":"v1","go":"go1.26","os":"linux","arch":"amd64"}`
	for _, tt := range []struct {
		name, verb, text string
		ok               bool
	}{
		{"a result", "version", good, true},
		{"an error", "error", `{"v":"sally/v1","error":{"code":2,"kind":"usage","message":"x"}}`, true},
		{"an empty list", "list", `{"v":"sally/v1","requests":[]}`, true},
		{"another verb's", "list", good, false},
		{"a member missing", "version", `{"v":"sally/v1","version":"v1","go":"go1.26","os":"linux"}`, false},
		{"a member too many", "version", `{"v":"sally/v1","version":"v1","go":"go1.26","os":"linux","arch":"amd64","x":1}`, false},
		{"another version", "list", `{"v":"sally/v2","requests":[]}`, false},
		{"no version", "list", `{"requests":[]}`, false},
		{"another type", "list", `{"v":"sally/v1","requests":{}}`, false},
		{"nothing where a list stands", "list", `{"v":"sally/v1","requests":null}`, false},
		{"an exit code that there is not", "error", `{"v":"sally/v1","error":{"code":9,"kind":"usage","message":"x"}}`, false},
		{"a list of results", "version", "[" + good + "]", false},
		{"two results", "version", good + good, false},
		{"no JSON", "version", "sally v1", false},
		{"nothing", "version", "", false},
	} {
		if err := s.Check(tt.verb, []byte(tt.text)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if err := s.Check("logout", []byte(`{}`)); !errors.Is(err, clischema.ErrNoVerb) {
		t.Errorf("a verb without results: %v", err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON": "{", "a type that there is not": `{"anyOf":[{"$ref":"#/$defs/x"}],"$defs":{"x":{"type":"text"}}}`, "a part that there is not": `{"anyOf":[{"$ref":"#/$defs/x"}]}`,
	} {
		file := filepath.Join(t.TempDir(), "schema.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := clischema.Load(file); err == nil {
			t.Errorf("%s is a schema", name)
		}
	}
}
