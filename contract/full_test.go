package contract_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/contract"
)

// fullTerms are terms that use every key.
func fullTerms(t testing.TB) *contract.Terms {
	t.Helper()
	terms, err := contract.ParseTerms(read(t, "full/terms.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return terms
}

// TestFullVectors: the published compiled form of terms that use every key.
func TestFullVectors(t *testing.T) {
	t.Parallel()
	canonical, err := fullTerms(t).Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(canonical, read(t, "full/terms.canonical.json")) {
		t.Errorf("canonical terms are\n%s", canonical)
	}
	files := map[string][]byte{contract.TermsFile: read(t, "full/terms.yaml"), contract.ProseFile: read(t, "full/contract.md")}
	manifest, err := contract.NewManifest(files)
	if err != nil || !bytes.Equal(manifest, read(t, "full/manifest.json")) {
		t.Fatalf("NewManifest = %s, %v", manifest, err)
	}
	files[contract.ManifestFile] = manifest
	v, err := contract.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	const want = "-L1WZyJ9UFtmbf8SyW7PFBZKVHrXam-GHZtJa6UG4Wg"
	if v.Manifest.Terms.String() != want {
		t.Errorf("terms digest %s, want %s", v.Manifest.Terms, want)
	}
}

// TestFullTermsSetEverything: the vector would not see a key that it does not use.
func TestFullTermsSetEverything(t *testing.T) {
	t.Parallel()
	unset := make(map[string]bool)
	var walk func(path string, v reflect.Value) bool
	walk = func(path string, v reflect.Value) bool { // whether it, or any in a list of it, is set
		switch v.Kind() {
		case reflect.Pointer:
			return !v.IsNil() && walk(path, v.Elem())
		case reflect.Slice, reflect.Map:
			return v.Len() > 0
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				return !v.IsZero()
			}
			return true
		}
		return !v.IsZero()
	}
	var fields func(path string, values []reflect.Value)
	fields = func(path string, values []reflect.Value) { // the same field of all members of a list
		var inner []reflect.Value
		set := false
		for _, v := range values {
			set = set || walk(path, v)
			for v.Kind() == reflect.Pointer && !v.IsNil() {
				v = v.Elem()
			}
			if v.Kind() == reflect.Slice {
				for i := range v.Len() {
					inner = append(inner, v.Index(i))
				}
			} else if v.Kind() == reflect.Struct {
				inner = append(inner, v)
			}
		}
		if !set {
			unset[path] = true
		}
		if len(inner) == 0 || inner[0].Kind() != reflect.Struct || !strings.HasSuffix(inner[0].Type().PkgPath(), "sallyport/contract") {
			return
		}
		for i := range inner[0].NumField() {
			if !inner[0].Type().Field(i).IsExported() {
				continue
			}
			var members []reflect.Value
			for _, v := range inner {
				members = append(members, v.Field(i))
			}
			fields(path+"."+inner[0].Type().Field(i).Name, members)
		}
	}
	fields("Terms", []reflect.Value{reflect.ValueOf(*fullTerms(t))})
	for path := range unset {
		t.Errorf("testdata/full does not set %s", path)
	}
}

// Whatever the spelling of the full terms, they have one digest.
func TestFullTermsInOtherSpellings(t *testing.T) {
	t.Parallel()
	first := fullTerms(t)
	rapid.Check(t, func(rt *rapid.T) {
		again := parse(rt, spell(rt, treeOf(first)))
		if !reflect.DeepEqual(first, again) || digest(rt, first) != digest(rt, again) {
			rt.Fatalf("compiled again they are %+v, first %+v", again, first)
		}
	})
}

// TestMentions: what the prose says of a term is what the terms say.
func TestMentions(t *testing.T) {
	t.Parallel()
	prose := read(t, "full/contract.md")
	load := func(prose []byte) (*contract.Version, error) {
		files := map[string][]byte{contract.TermsFile: read(t, "full/terms.yaml"), contract.ProseFile: prose}
		manifest, err := contract.NewManifest(files)
		if err != nil {
			return nil, err
		}
		files[contract.ManifestFile] = manifest
		return contract.Load(files)
	}
	v, err := load(prose)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := v.Prose("§4.1"); !ok || got.Paragraphs[0] != "Members of sre and nw-support may ask for the login ops for at most\n240m, with a reason of 5 words and a ticket." {
		t.Errorf("people read %q", got)
	}
	for _, tt := range []struct{ name, old, with, want string }{
		{"another number", "ceilings.grant: 8 hours", "ceilings.grant: 9 hours", `contract.md:20:25: it says ceilings.grant: "9 hours", terms.yaml says 8h; change the one that is wrong`},
		{"another unit", "ceilings.grant: 8 hours", "ceilings.grant: 8 minutes", "terms.yaml says 8h"},
		{"a bare number", "ceilings.grant: 8 hours", "ceilings.grant: 8", "terms.yaml says 8h"},
		{"one member less", "who: sre and nw-support", "who: sre", "terms.yaml says nw-support, sre"},
		{"one member more", "who: sre and nw-support", "who: sre, dba and nw-support", "terms.yaml says nw-support, sre"},
		{"another time", "not_before: 2027-01-01T00:00:00Z", "not_before: 2027-01-02T00:00:00Z", "terms.yaml says 2027-01-01T00:00:00Z"},
		{"another hour", "from: 08:00", "from: 09:00", "terms.yaml says 08:00"},
		{"another count", "ciso.need: 1", "ciso.need: 2", "terms.yaml says 1"},
		{"another command", "pgro --read-only}}", "pgro}}", "terms.yaml says /usr/local/bin/pgro --read-only"},
		{"a slip", "ceilings.grant: 8 hours", "ceilings.grnat: 8 hours", `contract.md:20:25: no term "ceilings.grnat" in terms.yaml, did you mean ceilings.grant?`},
		{"no such term", "ceilings.grant: 8 hours", "limits.length: 8 hours", "name one that is set by its keys and ids, such as roles.pci-db.grant.max"},
		{"the term of no stage", "stages.lead.timeout", "stages.boss.timeout", `no term "roles.prod-operator.paths.normal.stages.boss.timeout" in terms.yaml`},
		{"no value", "ceilings.grant: 8 hours", "ceilings.grant", "contract.md:20:25: expected a term and its value, such as {{roles.operator.grant.max: 4h}}"},
		{"empty value", "ceilings.grant: 8 hours", "ceilings.grant:", "expected a term and its value"},
		{"open", "8 hours}}", "8 hours", "contract.md:20:25: {{ without its }} in the same line"},
		{"over two lines", "{{ceilings.grant: 8 hours}}", "{{ceilings.grant:\n8 hours}}", "contract.md:20:25: {{ without its }} in the same line"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(replace(t, prose, tt.old, tt.with))
			if !errors.Is(err, contract.ErrProse) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}
