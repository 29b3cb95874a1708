// Package audittest owns what changes a bundle for tests: every value of every
// line, and every line's place. It changes and judges nothing; the tests say what
// must come of it.
package audittest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/canon"
)

// Mutant is a JSON value with one thing changed.
type Mutant struct {
	Path  string // of what was changed, "facts.claims.login"; [] for elements
	How   string
	Value any
}

// Pool has, by path, the values that stand there anywhere: what one leaf says is
// tried in another.
type Pool map[string][]any

// Collect adds the values of v.
func (p Pool) Collect(v any, path string) {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			p.Collect(child, join(path, k))
		}
	case []any:
		for _, child := range v {
			p.Collect(child, path+"[]")
		}
	default:
		if !slices.Contains(p[path], v) {
			p[path] = append(p[path], v)
		}
		if inner, ok := embedded(v); ok {
			p.Collect(inner, path)
		}
	}
}

// Mutants returns v with each single value in it changed, in several ways.
func (p Pool) Mutants(v any, path string) []Mutant {
	switch v := v.(type) {
	case map[string]any:
		return p.ofObject(v, path)
	case []any:
		return p.ofArray(v, path)
	default:
		return p.ofValue(v, path)
	}
}

func (p Pool) ofObject(v map[string]any, path string) []Mutant {
	var out []Mutant
	for _, k := range slices.Sorted(maps.Keys(v)) {
		for _, m := range p.Mutants(v[k], join(path, k)) {
			changed := maps.Clone(v)
			changed[k] = m.Value
			out = append(out, Mutant{m.Path, m.How, changed})
		}
		without := maps.Clone(v)
		delete(without, k)
		out = append(out, Mutant{join(path, k), "left out", without})
	}
	more := maps.Clone(v)
	more["zz"] = json.Number("1")
	return append(out, Mutant{join(path, "zz"), "put in", more})
}

func (p Pool) ofArray(v []any, path string) []Mutant {
	var out []Mutant
	for i, child := range v {
		for _, m := range p.Mutants(child, path+"[]") {
			changed := slices.Clone(v)
			changed[i] = m.Value
			out = append(out, Mutant{m.Path, m.How, changed})
		}
	}
	out = append(out, Mutant{path + "[]", "one left out", slices.Clone(v[1:])}, Mutant{path + "[]", "one twice", append(slices.Clone(v), v[0])})
	if len(v) > 1 {
		backwards := slices.Clone(v)
		slices.Reverse(backwards)
		out = append(out, Mutant{path + "[]", "backwards", backwards})
	}
	return out
}

func (p Pool) ofValue(v any, path string) []Mutant {
	var out []Mutant
	add := func(how string, value any) {
		if value != v {
			out = append(out, Mutant{path, how, value})
		}
	}
	switch x := v.(type) {
	case json.Number:
		n, err := x.Int64()
		if err != nil {
			panic(err)
		}
		for _, by := range []int64{1, -1, 5e6, -5e6} {
			if n+by >= 0 {
				add(fmt.Sprintf("%+d", by), json.Number(fmt.Sprint(n+by)))
			}
		}
	case string:
		if inner, ok := embedded(x); ok {
			for _, m := range p.Mutants(inner, path) {
				if text, err := canon.Marshal(m.Value); err == nil {
					out = append(out, Mutant{m.Path, m.How, string(text)})
				}
			}
			return out
		}
		add("one character changed", flip(x, len(x)/2))
		if strings.Contains(x, "\n") { // each line of a leaf, of a signature
			at := 0
			for line := range strings.Lines(x) {
				add("a line changed", flip(x, at+len(line)/2))
				at += len(line)
			}
		}
		add("longer", x+"a")
	case bool:
	}
	same := p[path]
	if i := slices.Index(same, v); i >= 0 && len(same) > 1 {
		add("another's", same[(i+1)%len(same)])
	}
	return out
}

// embedded returns the JSON object that a string is, such as a signed document.
func embedded(v any) (map[string]any, bool) {
	text, ok := v.(string)
	if !ok || !strings.HasPrefix(text, "{") {
		return nil, false
	}
	inner, err := ParseJSON([]byte(text))
	return inner, err == nil
}

// flip changes one character to another of its class.
func flip(s string, at int) string {
	c := s[at]
	switch {
	case c == 'z' || c == 'Z' || c == '9':
		c--
	case c >= 'a' && c < 'z' || c >= 'A' && c < 'Z' || c >= '0' && c < '9':
		c++
	default:
		c = 'x'
	}
	return s[:at] + string(c) + s[at+1:]
}

func join(path, key string) string { return strings.TrimPrefix(path+"."+key, ".") }

// ParseJSON reads a JSON object, its numbers as they are written.
func ParseJSON(text []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v map[string]any
	err := dec.Decode(&v)
	return v, err
}

// Written is v as canonical JSON, or at least as JSON, if it has no such form.
func Written(v any) []byte {
	if text, err := canon.Marshal(v); err == nil {
		return text
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
