package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api/apitest"
)

var update = flag.Bool("update", false, "write the documents that are made from the code")

const (
	referenceFile = "../../docs/config.md"
	referenceMark = "<!-- keys: what follows is written by `make generate` -->\n"
)

// TestGeneratedConfigReference makes the keys' part of docs/config.md from the
// struct that config.yaml is read into, and compares it with what is checked in.
func TestGeneratedConfigReference(t *testing.T) {
	want := configReference(t)
	if *update {
		if err := os.WriteFile(referenceFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if read(t, referenceFile) != string(want) {
		t.Error("docs/config.md is not what the settings in cmd/sallyd make; run `make generate`")
	}
}

// configReference is what docs/config.md must be: its prose, and what is made
// from the keys.
func configReference(t *testing.T) []byte {
	t.Helper()
	prose, _, ok := strings.Cut(read(t, referenceFile), referenceMark)
	if !ok {
		t.Fatalf("%s has no line %s", referenceFile, referenceMark)
	}
	return []byte(prose + referenceMark + reference(t))
}

// reference lists the keys in a table, then each in full, then a file with all.
func reference(t *testing.T) string {
	t.Helper()
	comments, err := apitest.ReadComments(".")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("\n## Keys\n\n| key | type | without it |\n|---|---|---|\n")
	for _, k := range configKeys() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.path, typeOf(t, k), without(k))
	}
	for _, k := range allConfigKeys() {
		fmt.Fprintf(&b, "\n### `%s`\n\n%s\n", k.path, meaning(t, comments, k))
		if k.group {
			continue
		}
		b.WriteString("\n")
		for _, line := range [][2]string{
			{"type", typeOf(t, k)}, {"range", strings.Replace(k.tag.Get("range"), "..", " to ", 1)}, {"without it", without(k)}, {"secret", k.tag.Get("secret")},
		} {
			if line[1] != "" {
				fmt.Fprintf(&b, "- %s: %s\n", line[0], line[1])
			}
		}
		fmt.Fprintf(&b, "- example: `%s`\n", k.tag.Get("example"))
	}
	b.WriteString("\n## A file with every key\n\nTwo keys that exclude each other stand in entries of their own.\n\n```yaml\n")
	b.WriteString(wholeExample())
	b.WriteString("```\n")
	return b.String()
}

// meaning is the comment of the key's field, with the key in place of the field's
// name, or without "Name is" in front.
func meaning(t *testing.T, comments apitest.Comments, k configKey) string {
	t.Helper()
	text := comments["main."+k.owner]
	if text == "" {
		t.Errorf("%s: the field %s has no comment", k.path, k.owner)
		return ""
	}
	field := k.owner[strings.LastIndexByte(k.owner, '.')+1:]
	if rest, ok := strings.CutPrefix(text, field+" is "); ok {
		text = strings.ToUpper(rest[:1]) + rest[1:]
	} else if rest, ok := strings.CutPrefix(text, field+" "); ok {
		text = "`" + k.path[strings.LastIndexByte(k.path, '.')+1:] + "` " + rest
	}
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

func without(k configKey) string {
	if k.tag.Get("need") != "" {
		return "refused"
	}
	return k.tag.Get("default")
}

func typeOf(t *testing.T, k configKey) string {
	t.Helper()
	name := ""
	switch k.typ.Kind() {
	case reflect.String:
		name = "text"
	case reflect.Bool:
		return "`true` or `false`"
	case reflect.Slice:
		name = "a list"
	case reflect.Map:
		name = "a mapping"
	default:
		switch {
		case k.typ == reflect.TypeFor[time.Duration]():
			name = "a duration"
		case reflect.Zero(k.typ).CanInt():
			name = "a whole number"
		default:
			name = "text"
		}
	}
	switch form := k.tag.Get("form"); {
	case form == "":
		return name
	case strings.ToLower(form) == form: // words, no pattern
		return name + ", " + form
	default:
		return name + ", `" + form + "`"
	}
}

// wholeExample is a config.yaml of the keys' examples.
func wholeExample() string {
	var b strings.Builder
	var open []string // the mappings that the last key stood in
	for _, k := range configKeys() {
		parts := strings.Split(k.path, ".")
		if parts[len(parts)-1] == "web_secret_env" { // excludes web_secret_file
			parts[1] = "acme/partner"
		}
		for i, part := range parts {
			if part == "CONTRACT/ISSUER" {
				parts[i] = "acme/okta"
			}
		}
		same := 0
		for same < len(open) && same < len(parts)-1 && open[same] == parts[same] {
			same++
		}
		for i := same; i < len(parts)-1; i++ {
			fmt.Fprintf(&b, "%s%s:\n", strings.Repeat("  ", i), parts[i])
		}
		if k.path == "database.password_env" { // excludes password_file
			b.WriteString("# or:\n#")
		}
		open = parts[:len(parts)-1]
		fmt.Fprintf(&b, "%s%s: %s\n", strings.Repeat("  ", len(parts)-1), parts[len(parts)-1], k.tag.Get("example"))
	}
	return b.String()
}

// TestWholeExampleIsGood loads the file that the reference ends with.
func TestWholeExampleIsGood(t *testing.T) {
	t.Parallel()
	text := wholeExample()
	c, err := loadConfig(writeConfig(t, text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if c.CA.Vault == nil || c.CA.Vault.Version != 1 || len(c.Issuers) != 2 || c.TLS.Key == "" {
		t.Errorf("%+v", c)
	}
}

// TestConfigKeysAreWhole: each key says what the reference has to say of it.
func TestConfigKeysAreWhole(t *testing.T) {
	t.Parallel()
	secret := regexp.MustCompile(`(secret|token|password|key)(_file|_env)?$`)
	for _, k := range configKeys() {
		_, example := k.tag.Lookup("example")
		_, def := k.tag.Lookup("default")
		_, need := k.tag.Lookup("need")
		if !example || def == need {
			t.Errorf("%s: the field %s needs an example tag, and either need or default", k.path, k.owner)
		}
		if low, high, ok := splitRange(k.tag.Get("range")); ok {
			_, e1 := strconv.ParseInt(low, 10, 64)
			_, e2 := strconv.ParseInt(high, 10, 64)
			if k.typ == reflect.TypeFor[time.Duration]() {
				mustDuration(low)
				mustDuration(high)
			} else if e1 != nil || e2 != nil {
				t.Errorf("%s: the range %s..%s is none of numbers", k.path, low, high)
			}
		}
		if name := filepath.Ext("." + k.path[strings.LastIndexByte(k.path, '.')+1:])[1:]; secret.MatchString(name) && k.path != "ca.vault.key" && k.tag.Get("secret") == "" {
			t.Errorf("%s: it sounds like a secret; say in a secret tag how it is kept", k.path)
		}
	}
}
