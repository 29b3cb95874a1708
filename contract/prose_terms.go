package contract

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// The prose can say a term in place, such as
//
//	for at most {{roles.web-operator.grant.max: 4 hours}}
//
// Readers see "4 hours". A version whose prose says another value than its terms
// does not load, so that nobody signs two rules.

// mention is one term said in the prose.
type mention struct {
	line, column int // from 1, the column in characters
	path, value  string
}

var mentionPattern = regexp.MustCompile(`\{\{([^{}]*)\}\}`)

// mentions finds the terms that a prose says. What stands in a fenced code block
// is an example. The error is a place where braces begin that are no mention.
func mentions(prose string) ([]mention, *strictyaml.Error) {
	var out []mention
	for i, line := range outsideFences(prose) {
		for _, at := range mentionPattern.FindAllStringSubmatchIndex(line, -1) {
			m := mention{line: i + 1, column: 1 + len([]rune(line[:at[0]]))}
			path, value, found := strings.Cut(line[at[2]:at[3]], ":")
			m.path, m.value = strings.TrimSpace(path), strings.TrimSpace(value)
			if !found || m.path == "" || m.value == "" {
				return nil, &strictyaml.Error{Line: m.line, Column: m.column, Message: "expected a term and its value, such as {{roles.operator.grant.max: 4h}}"}
			}
			out = append(out, m)
		}
		rest := mentionPattern.ReplaceAllStringFunc(line, func(s string) string { return strings.Repeat("x", len(s)) })
		if at := strings.Index(rest, "{{"); at >= 0 {
			return nil, &strictyaml.Error{Line: i + 1, Column: 1 + len([]rune(line[:at])), Message: "{{ without its }} in the same line; a term is said as {{roles.operator.grant.max: 4h}}"}
		}
	}
	return out, nil
}

// outsideFences returns the lines of a text, those of fenced code blocks empty.
func outsideFences(prose string) []string {
	lines := strings.Split(prose, "\n")
	fence := ""
	for i, line := range lines {
		mark := fenceMark(line)
		switch {
		case mark != "" && fence == "":
			fence = mark
		case mark != "" && fence == mark:
			fence = ""
		case fence == "":
			continue
		}
		lines[i] = ""
	}
	return lines
}

// withoutPaths writes a text as people read it: of each term that it says, the
// value alone.
func withoutPaths(text string) string {
	return mentionPattern.ReplaceAllStringFunc(text, func(s string) string {
		_, value, _ := strings.Cut(strings.TrimSuffix(s, "}}"), ":")
		return strings.TrimSpace(value)
	})
}

// sameProse tells whether the prose of an amendment is that of the version before,
// but for the values of terms that it says. Those are held to the terms, so that
// what is compared there is compared here as well.
func (v *Version) sameProse() bool {
	return withoutValues(string(v.Files[ProseFile])) == withoutValues(string(v.Parent.Files[ProseFile]))
}

// withoutValues writes a prose with the path alone of each term that it says.
func withoutValues(prose string) string {
	lines := strings.Split(prose, "\n")
	for i, line := range outsideFences(prose) {
		if line != "" {
			lines[i] = mentionPattern.ReplaceAllStringFunc(line, func(s string) string {
				path, _, _ := strings.Cut(s, ":")
				return path + "}}"
			})
		}
	}
	return strings.Join(lines, "\n")
}

// checkMentions holds every term that the prose says to the terms.
func checkMentions(prose string, t *Terms) *strictyaml.Error {
	list, flaw := mentions(prose)
	if flaw != nil || len(list) == 0 {
		return flaw
	}
	terms, err := t.values()
	if err != nil {
		return &strictyaml.Error{Line: list[0].line, Column: list[0].column, Message: err.Error()}
	}
	for _, m := range list {
		at := func(format string, args ...any) *strictyaml.Error {
			return &strictyaml.Error{Line: m.line, Column: m.column, Message: fmt.Sprintf(format, args...)}
		}
		v, ok := terms[m.path]
		if !ok {
			return at("no term %q in terms.yaml, %s", strictyaml.Clip(m.path), nearestTerm(m.path, terms))
		}
		if !v.is(m.value) {
			return at("it says %s: %q, terms.yaml says %s; change the one that is wrong", m.path, strictyaml.Clip(m.value), strictyaml.Clip(v.String()))
		}
	}
	return nil
}

func nearestTerm(path string, terms map[string]termValue) string {
	var known []string
	for p := range terms {
		known = append(known, p)
	}
	slices.Sort(known)
	if hint := strictyaml.Hint(path, known); strings.HasPrefix(hint, "did you mean") {
		return hint
	}
	return "name one that is set by its keys and ids, such as roles." + exampleRole(known) + ".grant.max"
}

func exampleRole(known []string) string {
	for _, p := range known {
		if id, ok := strings.CutSuffix(p, ".grant.max"); ok {
			return strings.TrimPrefix(id, "roles.")
		}
	}
	return "operator"
}

// termValue is the value of one term, as terms.yaml writes it.
type termValue struct {
	text     string
	duration time.Duration // 0: it is none
	members  []string      // nil: it is no list
}

// String writes the value as terms.yaml does.
func (v termValue) String() string {
	if v.members != nil {
		return strings.Join(v.members, ", ")
	}
	return v.text
}

var spelledDuration = regexp.MustCompile(`^([1-9][0-9]{0,8}) ?(s|m|h|d|seconds?|minutes?|hours?|days?)$`)

// is tells whether a text of the prose says this value: as terms.yaml writes it,
// a duration also in another unit or as "4 hours", a list in any order with
// commas and one "and" or "or".
func (v termValue) is(said string) bool {
	switch {
	case v.duration > 0:
		m := spelledDuration.FindStringSubmatch(said)
		if m == nil {
			return false
		}
		d, err := parseDuration(m[1]+m[2][:1], MaxRetention)
		return err == nil && d == v.duration
	case v.members != nil:
		parts := strings.Split(said, ", ")
		if last := parts[len(parts)-1]; !slices.Contains(v.members, last) {
			for _, word := range []string{" and ", " or "} {
				if a, b, found := strings.Cut(last, word); found {
					parts = append(parts[:len(parts)-1], a, b)
					break
				}
			}
		}
		slices.Sort(parts)
		return slices.Equal(parts, slices.Sorted(slices.Values(v.members)))
	}
	return said == v.text
}

// values returns every term that is set or has a default in the compiled form, by
// its path: keys and ids with dots between them, signatories by party and
// capacity.
func (t *Terms) values() (map[string]termValue, error) {
	text, err := t.Canonical()
	if err != nil {
		return nil, err
	}
	tree, err := parseTree(text)
	if err != nil {
		return nil, err
	}
	out := make(map[string]termValue)
	gather(out, "", tree)
	for _, g := range t.Groups {
		delete(out, "groups."+g.ID+".issuer")
		delete(out, "groups."+g.ID+".claim")
		out["groups."+g.ID] = termValue{text: "oidc:" + g.Issuer + "/" + g.Claim}
	}
	return out, nil
}

// gather adds the values under one part of the compiled form.
func gather(out map[string]termValue, path string, tree any) {
	under := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	switch tree := tree.(type) {
	case map[string]any:
		_, member := tree["id"]
		for key, value := range tree {
			if key == "id" && path != "contract" {
				continue
			}
			name, isDuration := strings.CutSuffix(key, "_seconds")
			at := under(name)
			if member && len(tree) == 2 { // what a mapping by id has under the id itself
				at = path
			}
			if n, ok := value.(json.Number); ok && isDuration {
				gatherDuration(out, at, n)
				continue
			}
			gather(out, at, value)
		}
	case []any:
		gatherList(out, path, tree)
	case json.Number:
		n, err := strconv.ParseInt(tree.String(), 10, 64)
		if err != nil {
			return
		}
		if key, ok := strings.CutSuffix(path, "_at"); ok {
			out[key] = termValue{text: time.UnixMicro(n).UTC().Format(timeForm)}
		} else if key, ok := strings.CutSuffix(path, "_minutes"); ok {
			out[key] = termValue{text: clockTime(int(n))}
		} else {
			out[path] = termValue{text: tree.String()}
		}
	case string:
		out[path] = termValue{text: tree}
	case bool:
		out[path] = termValue{text: "true"}
	}
}

func gatherDuration(out map[string]termValue, path string, seconds json.Number) {
	if n, err := seconds.Int64(); err == nil {
		d := time.Duration(n) * time.Second
		out[path] = termValue{text: FormatDuration(d), duration: d}
	}
}

func gatherList(out map[string]termValue, path string, list []any) {
	var members []string
	for _, item := range list {
		switch item := item.(type) {
		case string:
			members = append(members, item)
		case map[string]any:
			name, ok := memberName(item)
			if ok {
				gather(out, path+"."+strings.ReplaceAll(name, "/", "."), item)
			}
		}
	}
	if members != nil {
		out[path] = termValue{members: members}
	}
}
