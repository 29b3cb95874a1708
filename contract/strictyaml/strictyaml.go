// Package strictyaml owns the little of YAML that people sign or that decides
// how a server runs: whatever two readers could read differently is refused, with
// line and column. Access contracts are written in it, and the server's settings.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

const maxDepth = 16 // the deepest key of a contract's terms stands at 9

// Error says where a file is wrong and what would pass.
type Error struct {
	Line    int    // from 1
	Column  int    // from 1, in characters
	Path    string // keys from the top, such as "roles.operator.cert.ttl"; empty if the file as a whole is meant
	Message string
}

// Error returns "LINE:COLUMN: PATH: MESSAGE".
func (e *Error) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
	}
	return fmt.Sprintf("%d:%d: %s: %s", e.Line, e.Column, e.Path, e.Message)
}

// Kind says what a file is, for the words of errors.
type Kind struct {
	Name  string // in the plural, such as "terms"
	Empty string // what to say of a file without a document
}

// Parse reads the one document of a text that CheckText has passed, and refuses
// everything that two YAML readers could read differently: a second document,
// aliases, merge keys, tags, repeated keys, nulls.
func Parse(text []byte, kind Kind) (*yaml.Node, *Error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, &Error{Line: 1, Column: 1, Message: kind.Empty}
	}
	if err != nil {
		return nil, syntaxError(text, kind, err)
	}
	root := doc.Content[0]
	f := form{kind: kind}
	for line := range strings.SplitSeq(string(text), "\n") {
		f.lines = append(f.lines, []rune(line))
	}
	if err := f.check(root, "", 0); err != nil {
		return nil, err
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
		return root, nil
	case err != nil:
		return nil, syntaxError(text, kind, err)
	default:
		return nil, &Error{Line: second.Line, Column: second.Column, Message: "a second document; " + kind.Name + " are one document"}
	}
}

var (
	yamlPrefix    = regexp.MustCompile(`^yaml: (line \d+: )?`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '([^']*)'`)
)

// syntaxError says where the YAML reader stopped. The library's own line numbers
// name the start of the construct it was in, or nothing; so the text is read
// again byte by byte, and the last byte taken is the place.
func syntaxError(text []byte, kind Kind, err error) *Error {
	r := &slowReader{rest: text}
	dec := yaml.NewDecoder(r)
	for {
		var n yaml.Node
		if dec.Decode(&n) != nil {
			break
		}
	}
	message := yamlPrefix.ReplaceAllString(err.Error(), "")
	if m := unknownAnchor.FindStringSubmatch(message); m != nil {
		line, column := place(text, max(bytes.LastIndex(text[:r.taken], []byte("*"+m[1])), 0))
		return &Error{Line: line, Column: column, Message: kind.noAliases()}
	}
	line, column := place(text, max(r.taken-1, 0))
	return &Error{Line: line, Column: column, Message: "not YAML at or just before here: " + message}
}

func (k Kind) noAliases() string {
	return "an alias; write the value out, " + k.Name + " have no anchors and aliases"
}

// slowReader hands out one byte at a time, so that taken tells how far its
// reader has come.
type slowReader struct {
	rest  []byte
	taken int
}

func (r *slowReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest[:1])
	r.rest = r.rest[n:]
	r.taken += n
	return n, nil
}

// form checks what holds for every node, whatever its key.
type form struct {
	kind  Kind
	lines [][]rune // of the source
}

func (f form) check(n *yaml.Node, path string, depth int) *Error {
	fail := func(message string) *Error {
		return &Error{Line: n.Line, Column: n.Column, Path: path, Message: message}
	}
	switch {
	case depth > maxDepth:
		return fail(fmt.Sprintf("nested deeper than %d", maxDepth))
	case n.Kind == yaml.AliasNode:
		return fail(f.kind.noAliases())
	case n.Anchor != "":
		return fail("an anchor; " + f.kind.Name + " have no anchors and aliases")
	case n.Style&yaml.TaggedStyle != 0 || f.startsWith(n, '!'):
		return fail("a tag; " + f.kind.Name + " have no YAML tags, leave it out")
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return fail("no value; write one or leave the key out")
	case n.Kind == yaml.MappingNode:
		return f.checkMapping(n, path, depth)
	}
	for i, child := range n.Content {
		if err := f.check(child, Item(path, i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (f form) checkMapping(n *yaml.Node, path string, depth int) *Error {
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		fail := func(at, message string) *Error {
			return &Error{Line: key.Line, Column: key.Column, Path: at, Message: message}
		}
		if key.Kind != yaml.ScalarNode {
			return fail(path, "a key that is no plain word")
		}
		if key.Tag == "!!merge" {
			return fail(path, "a merge key; write the keys out")
		}
		at := Join(path, key.Value)
		if err := f.check(key, at, depth+1); err != nil {
			return err
		}
		if key.Tag != "!!str" || Ambiguous(key) {
			return fail(at, fmt.Sprintf("the key is %s; put it in quotes if it is meant as text", Describe(key)))
		}
		if line, twice := seen[key.Value]; twice {
			return fail(at, fmt.Sprintf("stands twice, first in line %d", line))
		}
		seen[key.Value] = key.Line
		if err := f.check(value, at, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// startsWith tells whether the source text of n starts with c. The library drops
// the tag "!", which makes a number of 1 in one reader and the text "1" in another.
func (f form) startsWith(n *yaml.Node, c rune) bool {
	if n.Line < 1 || n.Line > len(f.lines) {
		return false
	}
	line := f.lines[n.Line-1]
	return n.Column >= 1 && n.Column <= len(line) && line[n.Column-1] == c
}

// ambiguousPlain are unquoted scalars that go.yaml.in/yaml/v3 takes for text and
// a YAML 1.1 reader for a truth value, a sexagesimal number or a date.
var ambiguousPlain = regexp.MustCompile(`(?i)^(?:y|n|yes|no|on|off|=|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[t \t].*)?)$`)

// Ambiguous tells whether n is unquoted text that other readers take for
// something else.
func Ambiguous(n *yaml.Node) bool {
	return n.Style == 0 && n.Tag == "!!str" && ambiguousPlain.MatchString(n.Value)
}

// Describe names what stands at n, for "expected …, found …".
func Describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
	case yaml.DocumentNode, yaml.AliasNode: // never met: form.check refuses aliases
		return "no value"
	}
	value := Clip(n.Value)
	switch {
	case n.Tag == "!!int", n.Tag == "!!float":
		return "the number " + value
	case n.Tag == "!!bool":
		return "the truth value " + value
	case n.Tag == "!!timestamp":
		return "the date " + value
	case Ambiguous(n):
		return fmt.Sprintf("%q without quotes, which not every YAML reader takes for text", value)
	default:
		return fmt.Sprintf("%q", value)
	}
}

// Clip keeps what an error repeats of a value short.
func Clip(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_/-]{1,64}$`)

// Join extends a path by a key. A key that could upset the terminal an error is
// printed on is quoted.
func Join(path, key string) string {
	if !plainKey.MatchString(key) {
		key = fmt.Sprintf("%q", Clip(key))
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// Item extends a path by a place in a list.
func Item(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

// place turns an offset into line and column, both from 1, the column in
// characters.
func place(text []byte, offset int) (line, column int) {
	before := text[:min(offset, len(text))]
	line = 1 + bytes.Count(before, []byte("\n"))
	start := bytes.LastIndexByte(before, '\n') + 1
	return line, 1 + len([]rune(string(before[start:])))
}
