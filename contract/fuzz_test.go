package contract_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
)

// Terms that pass have a canonical form and a digest; terms that do not are
// refused with a place inside the file.
func FuzzParseTerms(f *testing.F) {
	good := string(read(f, "good/terms.yaml"))
	f.Add([]byte(good))
	f.Add(read(f, "full/terms.yaml"))
	for _, s := range []string{
		"", "terms: sallyport/v1\n", "a: &a [*a]\n", "<<: {a: 1}\n", "? [a]\n: b\n", "a: 017\nb: 1e3\nc: 2026-01-01\n", "a: !!binary eA==\n",
		"---\na: b\n---\nc: d\n", "\ufeffa: b\n", "a: \"\\u202e\"\n", "a: |\n  b\n", "{a: b, a: c}", "a: 'b", "\t", "%YAML 1.3\n---\na: b\n",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", strings.Replace(good, "quorum: 2", "quorum: ! 2", 1), strings.Replace(good, "8h", "99999999999999999999h", 1),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		terms, err := contract.ParseTerms(text)
		if err != nil {
			te, ok := errors.AsType[*contract.TermsError](err)
			if !ok || terms != nil || te.Line < 1 || te.Column < 1 || te.Line > strings.Count(string(text), "\n")+2 {
				t.Fatalf("%#v", err)
			}
			for _, r := range te.Error() {
				if r < ' ' || r == '\u202e' {
					t.Fatalf("the error would upset a terminal: %q", te.Error())
				}
			}
			return
		}
		if _, err := contract.TermsDigest(terms); err != nil {
			t.Fatal(err)
		}
		again, err := contract.ParseTerms(text)
		if err != nil || !reflect.DeepEqual(terms, again) {
			t.Fatalf("read twice, two meanings: %v", err)
		}
	})
}

// A version that loads has the digest of its manifest, which NewManifest makes
// from the other two files.
func FuzzLoad(f *testing.F) {
	good := goodFiles(f)
	f.Add(good["manifest.json"], good["contract.md"], good["terms.yaml"])
	f.Add(read(f, "full/manifest.json"), read(f, "full/contract.md"), read(f, "full/terms.yaml"))
	f.Add([]byte("{}"), []byte("# §1\n"), []byte("terms: sallyport/v1\n"))
	f.Add([]byte("{}"), []byte("# §1\n{{ceilings.grant: 8h}} {{{{}}"), []byte("terms: sallyport/v1\n"))
	f.Add([]byte(`{"contract":"a","files":[],"version":2}`), []byte("```\n# §1\n"), []byte(nil))
	f.Fuzz(func(t *testing.T, manifest, prose, terms []byte) {
		files := map[string][]byte{"contract.md": prose, "terms.yaml": terms}
		made, makeErr := contract.NewManifest(files)
		files["manifest.json"] = manifest
		v, err := contract.Load(files)
		if err != nil {
			if v != nil || !errors.Is(err, contract.ErrManifest) && !errors.Is(err, contract.ErrTerms) && !errors.Is(err, contract.ErrProse) {
				t.Fatalf("%v, %v", v, err)
			}
		} else if makeErr != nil || string(made) != string(manifest) {
			t.Fatalf("Load takes a manifest that NewManifest would not make: %v", makeErr)
		} else {
			for _, role := range v.Terms.Roles {
				if clause, ok := v.Prose(role.Clause); !ok || !strings.Contains(clause.Title, role.Clause) {
					t.Fatalf("clause %s of role %s has the prose %+v, %t", role.Clause, role.ID, clause, ok)
				}
			}
		}
		if makeErr == nil {
			files["manifest.json"] = made
			if _, err := contract.Load(files); err != nil {
				t.Fatalf("Load refuses what NewManifest made: %v", err)
			}
		}
	})
}

// No bytes but the three published statements verify with a published signature.
func FuzzVerifySignature(f *testing.F) {
	v := goodVersion(f)
	known := make(map[string]bool)
	for _, s := range readVectors(f).Signatures {
		text, armored := read(f, "good/"+s.Statement), read(f, "good/"+s.Signature)
		known[string(text)] = true
		f.Add(text, armored)
		f.Add(text, []byte(strings.Replace(string(armored), "U1NIU0lH", "U1NIU0lI", 1)))
	}
	f.Add([]byte("{}"), []byte("-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n"))
	f.Fuzz(func(t *testing.T, text, armored []byte) {
		signed, err := v.VerifySignature(text, armored)
		if (err == nil) != (signed != contract.Signed{}) {
			t.Fatalf("%+v, %v", signed, err)
		}
		if err == nil && !known[string(text)] {
			t.Fatalf("a signature over %q", text)
		}
	})
}
