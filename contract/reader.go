package contract

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// node is a place in terms.yaml: a YAML node with the keys that lead to it.
type node struct {
	yaml *yaml.Node
	path string
}

// reader turns nodes into values. It keeps the first error; after that every
// method returns a zero value at once, so that the code which reads the schema
// is a plain list of keys.
type reader struct {
	err *TermsError
	at  map[string]*yaml.Node // where each path stands, for checks across the file
}

func (r *reader) fail(n node, format string, args ...any) {
	if r.err == nil {
		r.err = &TermsError{Line: n.yaml.Line, Column: n.yaml.Column, Path: n.path, Message: fmt.Sprintf(format, args...)}
	}
}

// failAt reports a flaw found by a check across the file, at path or, if nothing
// was written there, at the nearest key above it.
func (r *reader) failAt(path, format string, args ...any) {
	for above := path; ; above = above[:max(strings.LastIndexAny(above, ".["), 0)] {
		if n, ok := r.at[above]; ok {
			r.fail(node{n, path}, format, args...)
			return
		}
	}
}

func (r *reader) visit(n node) { r.at[n.path] = n.yaml }

// object is a mapping with a fixed set of keys.
type object struct {
	r    *reader
	self node
	keys map[string]node
}

// object reads a mapping that may have the known keys and no other.
func (r *reader) object(n node, known ...string) object {
	o := object{r: r, self: n, keys: make(map[string]node)}
	if r.err != nil {
		return o
	}
	if _, byKey := r.at[n.path]; !byKey { // an entry is found by its key
		r.visit(n)
	}
	if n.yaml.Kind != yaml.MappingNode {
		r.fail(n, "expected a mapping with the keys %s, found %s", strings.Join(known, ", "), strictyaml.Describe(n.yaml))
		return o
	}
	for i := 0; i+1 < len(n.yaml.Content); i += 2 {
		key := n.yaml.Content[i]
		at := strictyaml.Join(n.path, key.Value)
		if !slices.Contains(known, key.Value) {
			r.fail(node{key, at}, "unknown key, %s", strictyaml.Hint(key.Value, known))
			return o
		}
		o.keys[key.Value] = node{n.yaml.Content[i+1], at}
	}
	return o
}

// need returns the value of a key that has to stand there.
func (o object) need(key string) node {
	n, ok := o.keys[key]
	if !ok && o.r.err == nil {
		o.r.fail(node{o.self.yaml, strictyaml.Join(o.self.path, key)}, "missing")
	}
	return n
}

// get returns the value of a key that may be left out.
func (o object) get(key string) (node, bool) {
	n, ok := o.keys[key]
	return n, ok && o.r.err == nil
}

// maxEntries bounds every list and every mapping by id, so that no check over
// pairs takes long.
const maxEntries = 1000

// entry is one member of a mapping whose keys are ids.
type entry struct {
	id    string
	value node
}

// entries reads a mapping of one or more ids, sorted by id.
func (r *reader) entries(n node, what string) []entry {
	if r.err != nil {
		return nil
	}
	r.visit(n)
	if n.yaml.Kind != yaml.MappingNode || len(n.yaml.Content) == 0 {
		found := strictyaml.Describe(n.yaml)
		if n.yaml.Kind == yaml.MappingNode {
			found = "none"
		}
		r.fail(n, "expected one or more %s by id, found %s", what, found)
		return nil
	}
	if count := len(n.yaml.Content) / 2; count > maxEntries {
		r.fail(n, "%d %s; at most %d", count, what, maxEntries)
		return nil
	}
	var out []entry
	for i := 0; i+1 < len(n.yaml.Content); i += 2 {
		key := n.yaml.Content[i]
		at := strictyaml.Join(n.path, key.Value)
		if !idPattern.MatchString(key.Value) {
			r.fail(node{key, at}, "not an id; %s", idForm)
			return nil
		}
		r.at[at] = key
		out = append(out, entry{key.Value, node{n.yaml.Content[i+1], at}})
	}
	slices.SortFunc(out, func(a, b entry) int { return strings.Compare(a.id, b.id) })
	return out
}

// items reads a list. It may be empty only if the caller says so.
func (r *reader) items(n node, what string, empty bool) []node {
	if r.err != nil {
		return nil
	}
	r.visit(n)
	if n.yaml.Kind != yaml.SequenceNode {
		r.fail(n, "expected a list of %s, found %s", what, strictyaml.Describe(n.yaml))
		return nil
	}
	if len(n.yaml.Content) == 0 && !empty {
		r.fail(n, "expected one or more %s, found none", what)
		return nil
	}
	if count := len(n.yaml.Content); count > maxEntries {
		r.fail(n, "%d %s; at most %d", count, what, maxEntries)
		return nil
	}
	out := make([]node, len(n.yaml.Content))
	for i, child := range n.yaml.Content {
		out[i] = node{child, strictyaml.Item(n.path, i)}
		r.visit(out[i])
	}
	return out
}

// set reads a list without order and without repetitions, sorted.
func (r *reader) set(n node, what string, empty bool, read func(node) string) []string {
	var out []string
	for _, it := range r.items(n, what, empty) {
		v := read(it)
		if r.err == nil && slices.Contains(out, v) {
			r.fail(it, "%q stands twice in the list", v)
		}
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// oneOf reads a word from a list of known ones.
func (r *reader) oneOf(n node, known []string) string {
	s := r.scalar(n, "one of "+strings.Join(known, ", "))
	if r.err == nil && !slices.Contains(known, s) {
		r.fail(n, "%q is not known here, %s", strictyaml.Clip(s), strictyaml.Hint(s, known))
	}
	return s
}

// scalar reads text: quoted, or such that every YAML reader takes it for text.
func (r *reader) scalar(n node, expected string) string {
	if r.err != nil {
		return ""
	}
	r.visit(n)
	switch {
	case n.yaml.Kind != yaml.ScalarNode:
		r.fail(n, "expected %s, found %s", expected, strictyaml.Describe(n.yaml))
	case n.yaml.Tag != "!!str", strictyaml.Ambiguous(n.yaml):
		r.fail(n, "expected %s, found %s; put it in quotes if it is meant as text", expected, strictyaml.Describe(n.yaml))
	case !norm.NFC.IsNormalString(n.yaml.Value):
		r.fail(n, "the text is not in Unicode form NFC once its escapes are read")
	}
	return n.yaml.Value
}

// text reads 1 to most printable characters without space around them.
func (r *reader) text(n node, most int) string {
	s := r.scalar(n, "text")
	if r.err != nil {
		return ""
	}
	odd := strings.IndexFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
	if count := len([]rune(s)); odd >= 0 || count == 0 || count > most || strings.TrimSpace(s) != s {
		r.fail(n, "expected 1 to %d printable characters on one line without space around them, found %q", most, strictyaml.Clip(s))
	}
	return s
}

var idPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}$`)

const idForm = "an id is 1 to 63 characters of a-z, 0-9 and -, starting with a letter"

func (r *reader) id(n node) string { return r.match(n, "an id", idPattern, idForm) }

// match reads text of a fixed form.
func (r *reader) match(n node, what string, form *regexp.Regexp, means string) string {
	s := r.scalar(n, what)
	if r.err == nil && !form.MatchString(s) {
		r.fail(n, "expected %s, found %q; %s", what, strictyaml.Clip(s), means)
	}
	return s
}

var integerPattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})$`)

// integer reads an unquoted decimal number.
func (r *reader) integer(n node, least, most int) int {
	if r.err != nil {
		return 0
	}
	r.visit(n)
	if n.yaml.Kind == yaml.ScalarNode && n.yaml.Style == 0 && integerPattern.MatchString(n.yaml.Value) {
		if v, err := strconv.Atoi(n.yaml.Value); err == nil && v >= least && v <= most {
			return v
		}
	}
	r.fail(n, "expected a whole number from %d to %d in plain digits, found %s", least, most, strictyaml.Describe(n.yaml))
	return 0
}

// boolean reads an unquoted true or false.
func (r *reader) boolean(n node) bool {
	if r.err != nil {
		return false
	}
	r.visit(n)
	if n.yaml.Kind == yaml.ScalarNode && n.yaml.Style == 0 && (n.yaml.Value == "true" || n.yaml.Value == "false") {
		return n.yaml.Value == "true"
	}
	r.fail(n, "expected true or false without quotes, found %s", strictyaml.Describe(n.yaml))
	return false
}

// duration reads a duration of at least least.
func (r *reader) duration(n node, least time.Duration) time.Duration {
	return r.span(n, least, MaxDuration)
}

// span reads a duration from least to most.
func (r *reader) span(n node, least, most time.Duration) time.Duration {
	s := r.scalar(n, "a duration such as 20s, 5m, 8h or 30d")
	if r.err != nil {
		return 0
	}
	d, err := parseDuration(s, most)
	switch {
	case err != nil:
		r.fail(n, "%v", err)
	case d < least:
		r.fail(n, "%s is too short; at least %s", s, FormatDuration(least))
	}
	return d
}

const timeForm = "2006-01-02T15:04:05Z"

// moment reads a time in UTC with whole seconds.
func (r *reader) moment(n node) time.Time {
	const expected = `a time in UTC in quotes such as "2026-12-01T00:00:00Z"`
	s := r.scalar(n, expected)
	if r.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(timeForm, s)
	if err != nil || t.Format(timeForm) != s || t.Year() < 2000 || t.Year() > 2200 {
		r.fail(n, "expected %s from 2000 to 2200, found %q", expected, strictyaml.Clip(s))
	}
	return t
}
