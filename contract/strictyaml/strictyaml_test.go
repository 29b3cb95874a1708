package strictyaml_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// TestHint: the word that was probably meant, however the finger slipped.
func TestHint(t *testing.T) {
	t.Parallel()
	known := []string{"url", "listen", "tls", "issuers"}
	for word, want := range map[string]string{
		"tsl": "did you mean tls?", "tl": "did you mean tls?", "tlss": "did you mean tls?", "tks": "did you mean tls?",
		"lsiten": "did you mean listen?", "isusers": "did you mean issuers?", "isuser": "did you mean issuers?",
		"tcx": "expected one of url, listen, tls, issuers", "colour": "expected one of url, listen, tls, issuers", "": "expected one of url, listen, tls, issuers",
	} {
		if got := strictyaml.Hint(word, known); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
	if got := strictyaml.Hint("x", nil); got != "there are none" {
		t.Error(got)
	}
}

// TestParseSaysWhatTheFileIs: errors speak of what the reader has before them.
func TestParseSaysWhatTheFileIs(t *testing.T) {
	t.Parallel()
	kind := strictyaml.Kind{Name: "settings", Empty: "empty; write something"}
	for text, want := range map[string]string{
		"":                "1:1: empty; write something",
		"a: 1\n---\nb: 2": "2:1: a second document; settings are one document",
		"a: &b 1":         "1:4: a: an anchor; settings have no anchors and aliases",
		"a: *b":           "1:4: an alias; write the value out, settings have no anchors and aliases",
		"a: !!str 1":      "1:4: a: a tag; settings have no YAML tags, leave it out",
		"a: 1\na: 2":      "2:1: a: stands twice, first in line 1",
		"a: [1":           "not YAML at or just before here: ",
	} {
		if _, flaw := strictyaml.Parse([]byte(text), kind); flaw == nil || !strings.Contains(flaw.Error(), want) {
			t.Errorf("%q: %v, want %s", text, flaw, want)
		}
	}
	if root, flaw := strictyaml.Parse([]byte("a: {b: [1]}"), kind); flaw != nil || len(root.Content) != 2 {
		t.Errorf("%+v, %v", root, flaw)
	}
}

// FuzzParse: whatever the bytes are, there is a document or a place.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "a: 1\n", "a: [b, {c: d}]", "a: *b", "\"\\x1b\": ! 1", "- - - -", "a: |\n  x\n", "? [a]\n: b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if strictyaml.CheckText(text, 1<<16) != nil {
			return
		}
		root, flaw := strictyaml.Parse(text, strictyaml.Kind{Name: "settings", Empty: "empty"})
		if (root == nil) == (flaw == nil) {
			t.Fatalf("%v and %v", root, flaw)
		}
		if flaw != nil && (flaw.Line < 1 || flaw.Column < 1 || flaw.Message == "" || strings.ContainsAny(flaw.Path, "\x1b\n")) {
			t.Errorf("%+v", flaw)
		}
	})
}
