package contract

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// clauses returns every clause that the terms cite, once each, sorted as text.
func (t *Terms) clauses() []string {
	var out []string
	if t.Retention.Clause != "" {
		out = append(out, t.Retention.Clause)
	}
	if t.Law.Terminate.Clause != "" {
		out = append(out, t.Law.Terminate.Clause)
	}
	for _, c := range t.Effect.Conditions {
		out = append(out, c.Clause)
	}
	for _, o := range t.Obligations {
		out = append(out, o.Clause)
	}
	for i := range t.Roles {
		out = append(out, t.Roles[i].Clause)
		if b := t.Roles[i].BreakGlass; b != nil {
			out = append(out, b.Clause)
		}
		for _, p := range t.Roles[i].Paths {
			out = append(out, p.Clause)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkProse checks contract.md: a text that strictyaml.CheckText passes, in which every
// clause that the terms cite has exactly one heading, and every term that it says
// has the value of the terms.
func checkProse(prose []byte, t *Terms) error {
	if flaw := strictyaml.CheckText(prose, MaxFile); flaw != nil {
		return fmt.Errorf("%w: contract.md:%w", ErrProse, flaw)
	}
	anchors := anchorLines(string(prose))
	for _, clause := range t.clauses() {
		switch lines := anchors[clause]; {
		case len(lines) == 0:
			return fmt.Errorf("%w: contract.md: no heading for clause %s, which terms.yaml cites; add one such as \"## %s Title\"", ErrProse, clause, clause)
		case len(lines) > 1:
			return fmt.Errorf("%w: contract.md:%d:1: a second heading for clause %s, the first is in line %d", ErrProse, lines[1], clause, lines[0])
		}
	}
	if flaw := checkMentions(string(prose), t); flaw != nil {
		return fmt.Errorf("%w: contract.md:%w", ErrProse, flaw)
	}
	return nil
}

// anchorLines returns the lines, from 1, of the headings that contain each
// clause mark.
func anchorLines(prose string) map[string][]int {
	anchors := make(map[string][]int)
	for _, h := range headings(prose) {
		for _, mark := range h.marks {
			anchors[mark] = append(anchors[mark], h.line)
		}
	}
	return anchors
}

// Prose is what contract.md says under one clause.
type Prose struct {
	Title      string   // the heading without its "#"
	Paragraphs []string // as they are written, lines and all, but of a term that it says the value alone
}

// Prose returns what the version's contract.md says under a clause: what stands
// between its heading and the next one, deeper headings without a clause of
// their own included. It is false if no heading is for that clause; every clause
// that the terms cite has one.
func (v *Version) Prose(clause string) (Prose, bool) {
	text := string(v.Files[ProseFile])
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	all := headings(text)
	i := slices.IndexFunc(all, func(h heading) bool { return slices.Contains(h.marks, clause) })
	if i < 0 {
		return Prose{}, false
	}
	end := len(lines)
	for _, next := range all[i+1:] {
		if next.level <= all[i].level || len(next.marks) > 0 {
			end = next.line - 1
			break
		}
	}
	out := Prose{Title: withoutPaths(all[i].title)}
	for paragraph := range strings.SplitSeq(strings.Join(lines[all[i].line:end], "\n"), "\n\n") {
		if paragraph = strings.Trim(paragraph, "\n"); strings.TrimSpace(paragraph) != "" {
			out.Paragraphs = append(out.Paragraphs, withoutPaths(paragraph))
		}
	}
	return out, true
}

// heading is one heading of the prose.
type heading struct {
	line  int // from 1
	level int
	title string
	marks []string // the clauses that it is for
}

// headings finds the headings of a text, in order. A heading is a line of one to
// six "#" and a space (CommonMark ATX headings without indentation) outside of a
// fenced code block. Its clause marks are words: what stands between spaces,
// without ()[].,:; around it.
func headings(prose string) []heading {
	var out []heading
	fence := ""
	for i, line := range strings.Split(prose, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if mark := fenceMark(line); mark != "" && (fence == "" || fence == mark) {
			if fence == "" {
				fence = mark
			} else {
				fence = ""
			}
			continue
		}
		title := strings.TrimLeft(line, "#")
		level := len(line) - len(title)
		if fence != "" || level < 1 || level > 6 || !strings.HasPrefix(title, " ") {
			continue
		}
		h := heading{line: i + 1, level: level, title: strings.TrimSpace(title)}
		for _, word := range strings.Fields(title) {
			word = strings.Trim(word, "()[].,:;")
			if clausePattern.MatchString(word) && !slices.Contains(h.marks, word) {
				h.marks = append(h.marks, word)
			}
		}
		out = append(out, h)
	}
	return out
}

// fenceMark returns "```" or "~~~" if the line begins with it, else "".
func fenceMark(line string) string {
	for _, mark := range []string{"```", "~~~"} {
		if strings.HasPrefix(line, mark) {
			return mark
		}
	}
	return ""
}
