package contract_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

func TestLoad(t *testing.T) {
	t.Parallel()
	files := goodFiles(t)
	v, err := contract.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	if v.Manifest.Contract != "acme-northwind" || v.Manifest.Version != 1 || v.Terms.ID != "acme-northwind" {
		t.Errorf("Load = %+v", v.Manifest)
	}
	if v.Lineage() != v.Digest {
		t.Errorf("Lineage = %s, want the digest of version 1", v.Lineage())
	}
	files[contract.TermsFile][0] = 'X'
	if v.Files[contract.TermsFile][0] == 'X' {
		t.Error("the version shares its files with the caller")
	}
}

// TestLoadRefusals changes one thing in the example contract each.
func TestLoadRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, files map[string][]byte)
		is     error
		want   string
	}{
		{"no manifest", func(_ *testing.T, f map[string][]byte) { delete(f, "manifest.json") }, contract.ErrManifest, "manifest.json is missing"},
		{"no prose", func(_ *testing.T, f map[string][]byte) { delete(f, "contract.md") }, contract.ErrManifest, "contract.md is missing"},
		{"no terms", func(_ *testing.T, f map[string][]byte) { delete(f, "terms.yaml") }, contract.ErrManifest, "terms.yaml is missing"},
		{"extra file", func(_ *testing.T, f map[string][]byte) { f["../evil"] = nil }, contract.ErrManifest, `"../evil" is no file of a contract version, which has manifest.json, contract.md and terms.yaml and nothing else`},
		{"prose changed, same size", func(t *testing.T, f map[string][]byte) {
			f["contract.md"] = replace(t, f["contract.md"], "at most 4 hours", "at most 9 hours")
		}, contract.ErrManifest, "contract.md is not the file that the manifest names by its digest"},
		{"prose longer", func(_ *testing.T, f map[string][]byte) { f["contract.md"] = append(f["contract.md"], '\n') }, contract.ErrManifest, "contract.md has 1410 bytes, the manifest says 1409"},
		{"terms changed", func(t *testing.T, f map[string][]byte) {
			f["terms.yaml"] = replace(t, f["terms.yaml"], "{max: 1h}", "{max: 2h}")
		}, contract.ErrManifest, "terms.yaml is not the file that the manifest names by its digest"},
		{"newline after the manifest", func(_ *testing.T, f map[string][]byte) { f["manifest.json"] = append(f["manifest.json"], '\n') }, contract.ErrManifest, "not canonical JSON"},
		{"unknown field", edit(`"version":1`, `"version":1,"zeal":1`), contract.ErrManifest, `unknown field "zeal"`},
		{"other format", edit("sallyport.manifest/v1", "sallyport.manifest/v2"), contract.ErrManifest, `v is "sallyport.manifest/v2"`},
		{"other contract", edit(`"contract":"acme-northwind"`, `"contract":"acme-southwind"`), contract.ErrManifest, "terms.yaml is about the contract acme-northwind, the manifest says acme-southwind"},
		{"bad contract id", edit(`"contract":"acme-northwind"`, `"contract":"ACME"`), contract.ErrManifest, `contract is "ACME"`},
		{"version 2", edit(`"version":1`, `"version":2`), contract.ErrManifest, "parent is missing: version 2 amends another one"},
		{"version 0", edit(`"version":1`, `"version":0`), contract.ErrManifest, "version is 0"},
		{"parent", edit(`"terms":"`, `"parent":"x6DXccGEZMtQ-vqujEH-CgvfJGjAuch1ioF44c7D75o","terms":"`), contract.ErrManifest, "version 1 has no parent, class or plan"},
		{"class", edit(`{"contract"`, `{"class":"widening","contract"`), contract.ErrManifest, "version 1 has no parent, class or plan"},
		{"plan", edit(`"terms":"`, `"plan":"x6DXccGEZMtQ-vqujEH-CgvfJGjAuch1ioF44c7D75o","terms":"`), contract.ErrManifest, "version 1 has no parent, class or plan"},
		{"no terms digest", edit(`"terms":"xFbdac8ncjYFD_lfxedXEC_hRHkJhJbra2Kgh0qxMec",`, ""), contract.ErrManifest, "terms is missing"},
		{"other terms digest", edit(`"terms":"xFb`, `"terms":"xFc`), contract.ErrManifest, "terms.yaml has the terms digest xFb"},
		{"path with a slash", edit("contract.md", "../contract.md"), contract.ErrManifest, `"../contract.md" is no path`},
		{"other path", edit("contract.md", "contrast.md"), contract.ErrManifest, `files are ["contrast.md" "terms.yaml"]`},
		{"other file digest", edit(`"sha256":"x6D`, `"sha256":"x6E`), contract.ErrManifest, "contract.md is not the file"},
		{"other size", edit(`"bytes":1409`, `"bytes":1408`), contract.ErrManifest, "contract.md has 1409 bytes, the manifest says 1408"},
		{"no files", func(t *testing.T, f map[string][]byte) {
			from := bytes.Index(f["manifest.json"], []byte(`"files"`))
			to := bytes.Index(f["manifest.json"], []byte(`"terms":"`))
			f["manifest.json"] = append(f["manifest.json"][:from:from], f["manifest.json"][to:]...)
		}, contract.ErrManifest, "files are []"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := goodFiles(t)
			tt.change(t, files)
			v, err := contract.Load(files)
			if v != nil || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// edit changes the manifest.
func edit(old, with string) func(*testing.T, map[string][]byte) {
	return func(t *testing.T, f map[string][]byte) {
		t.Helper()
		f["manifest.json"] = replace(t, f["manifest.json"], old, with)
	}
}

// TestProse covers prose and terms that NewManifest refuses, and that Load
// refuses them as well when somebody else has made the manifest.
func TestProse(t *testing.T) {
	t.Parallel()
	good := string(read(t, "good/contract.md"))
	for _, tt := range []struct{ name, old, with, want string }{
		{"as it is", "", "", ""},
		{"heading in brackets", "### §5.2 Who decides", "### Who decides (§5.2)", ""},
		{"heading with a colon", "### §5.2 Who decides", "###### §5.2: Who decides", ""},
		{"windows line ends", "### §5.2 Who decides\n", "### §5.2\r\n", ""},
		{"mark in other text too", "within a day.", "within a day, as §5.2 says.", ""},
		{"no heading", "### §5.2 Who decides", "### Who decides", `contract.md: no heading for clause §5.2, which terms.yaml cites; add one such as "## §5.2 Title"`},
		{"paragraph only", "### §5.2 Who decides", "§5.2 Who decides", "no heading for clause §5.2"},
		{"no space", "### §5.2 Who decides", "###§5.2 Who decides", "no heading for clause §5.2"},
		{"seven signs", "### §5.2 Who decides", "####### §5.2 Who decides", "no heading for clause §5.2"},
		{"part of a word", "### §5.2 Who decides", "### §5.20 Who decides", "no heading for clause §5.2"},
		{"in a code block", "### §5.2 Who decides", "```\n### §5.2 Who decides\n```", "no heading for clause §5.2"},
		{"in a code block within another fence", "### §5.2 Who decides", "```\n~~~\n### §5.2 Who decides\n```", "no heading for clause §5.2"},
		{"two headings", "within a day.", "within a day.\n\n## §5.2 Again", "contract.md:42:1: a second heading for clause §5.2, the first is in line 38"},
		{"not UTF-8", "within a day.", "\xff", "contract.md:40:84: not UTF-8"},
		{"not NFC", "within a day.", "e\u0301", "contract.md:40:84: not in Unicode form NFC"},
		{"reordered", "within a day.", "\u2067", "contract.md:40:84: the character U+2067"},
		{"too large", "within a day.", strings.Repeat("x", contract.MaxFile), "contract.md:1:1: 263540 bytes; at most 262144"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			prose := []byte(good)
			if tt.old != "" {
				prose = replace(t, prose, tt.old, tt.with)
			}
			files := map[string][]byte{contract.ProseFile: prose, contract.TermsFile: read(t, "good/terms.yaml")}
			manifest, err := contract.NewManifest(files)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				files[contract.ManifestFile] = manifest
				if _, err := contract.Load(files); err != nil {
					t.Error(err)
				}
				return
			}
			if manifest != nil || !errors.Is(err, contract.ErrProse) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			files[contract.ManifestFile] = forgeManifest(t, prose, files[contract.TermsFile])
			if _, err := contract.Load(files); !errors.Is(err, contract.ErrProse) {
				t.Errorf("Load = %v, want ErrProse", err)
			}
		})
	}
}

// forgeManifest is a manifest for the example's terms and any prose.
func forgeManifest(t *testing.T, prose, terms []byte) []byte {
	t.Helper()
	m := goodVersion(t).Manifest
	for i, content := range [][]byte{prose, terms} {
		m.Files[i].Bytes, m.Files[i].SHA256 = len(content), sha256Digest(content)
	}
	b, err := canon.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLoadRefusesTerms(t *testing.T) {
	t.Parallel()
	files := goodFiles(t)
	files[contract.TermsFile] = replace(t, files[contract.TermsFile], "{max: 1h}", "{max: 9h}")
	files[contract.ManifestFile] = forgeManifest(t, files[contract.ProseFile], files[contract.TermsFile])
	if _, err := contract.Load(files); !errors.Is(err, contract.ErrTerms) {
		t.Errorf("Load = %v, want ErrTerms", err)
	}
	delete(files, contract.ManifestFile)
	if _, err := contract.NewManifest(files); !errors.Is(err, contract.ErrTerms) {
		t.Errorf("NewManifest = %v, want ErrTerms", err)
	}
	delete(files, contract.TermsFile)
	if _, err := contract.NewManifest(files); !errors.Is(err, contract.ErrManifest) {
		t.Errorf("NewManifest = %v, want ErrManifest", err)
	}
}

func TestInForceFrom(t *testing.T) {
	t.Parallel()
	v := goodVersion(t)
	notBefore := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name       string
		last, want time.Time
	}{
		{"signed before", notBefore.Add(-time.Hour), notBefore},
		{"signed then", notBefore, notBefore},
		{"signed later", notBefore.Add(time.Microsecond), notBefore.Add(time.Microsecond)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := v.InForceFrom(tt.last); !got.Equal(tt.want) {
				t.Errorf("InForceFrom(%v) = %v, want %v", tt.last, got, tt.want)
			}
		})
	}
	without := contract.Version{Terms: &contract.Terms{}}
	if got := without.InForceFrom(notBefore); !got.Equal(notBefore) {
		t.Errorf("without not_before InForceFrom = %v", got)
	}
}
