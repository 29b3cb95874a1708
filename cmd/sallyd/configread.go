package main

import (
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

const maxConfig = 64 << 10 // bytes of config.yaml

// keyError is a refusal of what a key of config.yaml says.
type keyError struct {
	key string // from the top, such as ca.vault.address
	err error
}

func (e *keyError) Error() string { return e.key + ": " + e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// badKey refuses the value of a key.
func badKey(key, format string, args ...any) error {
	return &keyError{key, fmt.Errorf(format, args...)}
}

// loadConfig reads config.yaml strictly: the little of YAML that strictyaml
// takes, keys that there are, once each, values of their type and in their range.
// Errors say "FILE:LINE:COLUMN: KEY: what is wrong", and for a key that is not
// there which one was probably meant; they never repeat the value of an unknown
// key, which may be a secret that somebody put in the wrong place.
func loadConfig(path string) (config, error) {
	text, err := readOwned(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is not there; `sallyd init` writes one, docs/config.md says what is in it", path)
	}
	if err != nil {
		return config{}, err
	}
	var c config
	if flaw := readSettings(text, reflect.ValueOf(&c).Elem(), func() error { return c.check() }); flaw != nil {
		return config{}, fmt.Errorf("%s:%w", path, flaw)
	}
	return c, nil
}

// readSettings fills a struct from YAML and has it checked.
func readSettings(text []byte, into reflect.Value, check func() error) *strictyaml.Error {
	if flaw := strictyaml.CheckText(text, maxConfig); flaw != nil {
		return flaw
	}
	root, flaw := strictyaml.Parse(text, strictyaml.Kind{Name: "settings", Empty: "empty; at least url and listen must be there (docs/config.md)"})
	if flaw != nil {
		return flaw
	}
	d := &configReader{at: map[string]*yaml.Node{}}
	d.value(root, "", into, "")
	if d.flaw == nil {
		d.checked(check())
	}
	return d.flaw
}

// readOwned reads a file that only its owner can change.
func readOwned(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("%s has mode %o; others can write to it, so make it 0600", path, info.Mode().Perm())
	}
	return os.ReadFile(path) //nolint:gosec // the operator names the folder
}

// configReader fills a config from YAML. It keeps the first flaw.
type configReader struct {
	at   map[string]*yaml.Node // where each key stands
	flaw *strictyaml.Error
}

func (d *configReader) fail(n *yaml.Node, path, format string, args ...any) {
	if d.flaw == nil {
		d.flaw = &strictyaml.Error{Line: n.Line, Column: n.Column, Path: path, Message: fmt.Sprintf(format, args...)}
	}
}

// checked takes up what a check over all settings found, at its key or, if that
// does not stand in the file, at the nearest one above.
func (d *configReader) checked(err error) {
	if err == nil {
		return
	}
	e, ok := errors.AsType[*keyError](err)
	if !ok {
		e = &keyError{"", err}
	}
	above := e.key
	for d.at[above] == nil && above != "" {
		above = above[:max(strings.LastIndexByte(above, '.'), 0)]
	}
	d.fail(d.at[above], e.key, "%v", e.err)
}

// value reads what stands at a key into a value of its type; bounds is the key's
// range.
func (d *configReader) value(n *yaml.Node, path string, v reflect.Value, bounds string) {
	if d.flaw != nil {
		return
	}
	d.at[path] = n
	if text, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := text.UnmarshalText([]byte(d.text(n, path))); err != nil {
			d.fail(n, path, "%v", err)
		}
		return
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(d.duration(n, path, bounds)))
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, path, v.Elem(), bounds)
	case v.Kind() == reflect.Struct:
		d.object(n, path, v)
	case v.Kind() == reflect.Map:
		d.entries(n, path, v)
	case v.Kind() == reflect.Slice:
		d.list(n, path, v, bounds)
	case v.Kind() == reflect.String:
		v.SetString(d.text(n, path))
	case v.Kind() == reflect.Bool:
		v.SetBool(d.truth(n, path))
	case v.CanInt():
		v.SetInt(d.integer(n, path, bounds))
	default:
		panic("sallyd: a key of config.yaml has the type " + v.Type().String())
	}
}

// object reads a mapping with a fixed set of keys.
func (d *configReader) object(n *yaml.Node, path string, v reflect.Value) {
	fields := fieldsOf(v.Type())
	known := make([]string, len(fields))
	for i, f := range fields {
		known[i] = f.name
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "expected a mapping with the keys %s, found %s", strings.Join(known, ", "), strictyaml.Describe(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		at := slices.Index(known, key.Value)
		if at < 0 {
			d.fail(key, strictyaml.Join(path, key.Value), "unknown key, %s", unknownKey(key.Value, known))
			return
		}
		seen[key.Value] = true
		d.value(n.Content[i+1], strictyaml.Join(path, key.Value), v.Field(fields[at].index), fields[at].tag.Get("range"))
	}
	for _, f := range fields {
		if f.tag.Get("need") != "" && !seen[f.name] {
			d.fail(n, strictyaml.Join(path, f.name), "missing")
		}
	}
}

// unknownKey ends the error about a key that is not there: the one that was
// probably meant, here or elsewhere in the file.
func unknownKey(word string, known []string) string {
	hint := strictyaml.Hint(word, known)
	if strings.HasPrefix(hint, "did you mean") {
		return hint
	}
	for _, k := range known {
		if word != "" && strings.HasPrefix(k, word) {
			return "did you mean " + k + "?"
		}
	}
	for _, k := range configKeys() {
		if strings.HasSuffix(k.path, "."+word) {
			return "did you mean " + k.path + "?"
		}
	}
	return hint
}

// entries reads a mapping by names.
func (d *configReader) entries(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "expected a mapping, found %s", strictyaml.Describe(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i := 0; i+1 < len(n.Content); i += 2 {
		entry := reflect.New(v.Type().Elem()).Elem()
		d.value(n.Content[i+1], strictyaml.Join(path, n.Content[i].Value), entry, "")
		v.SetMapIndex(reflect.ValueOf(n.Content[i].Value), entry)
	}
}

func (d *configReader) list(n *yaml.Node, path string, v reflect.Value, bounds string) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, path, "expected a list, found %s", strictyaml.Describe(n))
		return
	}
	seen := map[string]bool{}
	for i, child := range n.Content {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(child, strictyaml.Item(path, i), item, bounds)
		if child.Kind == yaml.ScalarNode && seen[child.Value] {
			d.fail(child, strictyaml.Item(path, i), "%q stands twice in the list", strictyaml.Clip(child.Value))
		}
		seen[child.Value] = true
		v.Set(reflect.Append(v, item))
	}
}
