package contract_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/contract"
)

const schemaFile = "../docs/terms.schema.json"

func readSchema(t *testing.T) (document any, compiled *jsonschema.Schema) {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if document, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("urn:sallyport:terms:v1", document); err != nil {
		t.Fatal(err)
	}
	if compiled, err = c.Compile("urn:sallyport:terms:v1"); err != nil {
		t.Fatal(err)
	}
	return document, compiled
}

// TestSchemaHasTheParsersKeys: each mapping that the parser reads has its keys in
// the schema, and each of the schema is read.
func TestSchemaHasTheParsersKeys(t *testing.T) {
	t.Parallel()
	document, _ := readSchema(t)
	var inSchema []string
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if properties, ok := v["properties"].(map[string]any); ok && v["additionalProperties"] == false {
				inSchema = append(inSchema, strings.Join(slices.Sorted(maps.Keys(properties)), " "))
				for key, p := range properties {
					schema, _ := p.(map[string]any)
					if d, ok := schema["description"].(string); !ok || d == "" {
						t.Errorf("the schema does not describe %s", key)
					}
				}
			}
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, member := range v {
				walk(member)
			}
		}
	}
	walk(document)
	var inParser []string
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) < 2 {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || method.Sel.Name != "object" {
				return true
			}
			if receiver, ok := method.X.(*ast.Ident); !ok || receiver.Name != "r" {
				return true
			}
			var keys []string
			for _, arg := range call.Args[1:] {
				literal, ok := arg.(*ast.BasicLit)
				if !ok {
					t.Errorf("%s: a key that is no literal", file)
					return true
				}
				key, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, key)
			}
			slices.Sort(keys)
			inParser = append(inParser, strings.Join(keys, " "))
			return true
		})
	}
	slices.Sort(inSchema)
	slices.Sort(inParser)
	if !slices.Equal(inSchema, inParser) || len(inParser) < 30 {
		t.Errorf("mappings of the parser\n%s\nof %s\n%s", strings.Join(inParser, "\n"), schemaFile, strings.Join(inSchema, "\n"))
	}
}

// tree reads YAML that the parser takes as JSON values.
func yamlTree(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestExamplesPassTheSchema(t *testing.T) {
	t.Parallel()
	_, schema := readSchema(t)
	files, err := filepath.Glob("../examples/*/*/terms.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, "testdata/good/terms.yaml", "testdata/full/terms.yaml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(yamlTree(t, text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestWhatTheSchemaRefuses is refused by the parser too: an editor never marks
// what would pass. Each value of the full terms is changed in turn.
func TestWhatTheSchemaRefuses(t *testing.T) {
	t.Parallel()
	_, schema := readSchema(t)
	tree := yamlTree(t, read(t, "full/terms.yaml"))
	refused, unknown := 0, 0
	judge := func(what string, strict bool) {
		if schema.Validate(tree) == nil {
			if strict {
				t.Errorf("the schema takes %s", what)
			}
			return
		}
		refused++
		text, err := yaml.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := contract.ParseTerms(text); err == nil {
			t.Errorf("the schema refuses %s, the parser takes it", what)
		}
	}
	judge("nothing", false)
	if refused > 0 {
		t.Fatal("the schema refuses the full terms")
	}
	var change func(path string, v any, put func(any))
	change = func(path string, v any, put func(any)) {
		for _, other := range []any{"Upper x", 0, []any{}} {
			put(other)
			judge(fmt.Sprintf("%s: %#v", path, other), false)
		}
		put(v)
		switch v := v.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				was := v[key]
				delete(v, key)
				judge("no "+path+"."+key, false)
				v[key] = was
				change(path+"."+key, was, func(other any) { v[key] = other })
			}
			v["Unknown"] = "x"
			judge(path+".Unknown", true)
			unknown++
			delete(v, "Unknown")
		case []any:
			for i := range v[:min(len(v), 1)] {
				change(fmt.Sprintf("%s[%d]", path, i), v[i], func(other any) { v[i] = other })
			}
			if len(v) == 0 {
				return
			}
			put(append(slices.Clone(v), v[0]))
			judge(path+" with a repetition", false)
			put(v)
		}
	}
	root, ok := tree.(map[string]any)
	if !ok {
		t.Fatalf("%T", tree)
	}
	for _, key := range slices.Sorted(maps.Keys(root)) {
		change(key, root[key], func(other any) { root[key] = other })
	}
	if refused < 400 || unknown < 40 {
		t.Errorf("the schema refused %d of the changes, of %d unknown keys", refused, unknown)
	}
}
