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
	for i := range t.Roles {
		out = append(out, t.Roles[i].Clause)
		for _, p := range t.Roles[i].Paths {
			out = append(out, p.Clause)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// checkProse checks contract.md: a text that strictyaml.CheckText passes, in which every
// clause that the terms cite has exactly one heading.
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
	return nil
}

// anchorLines returns the lines, from 1, of the headings that contain each
// clause mark as a word. A heading is a line of one to six "#" and a space
// (CommonMark ATX headings without indentation) outside of a fenced code block; a
// word is what stands between spaces, without ()[].,:; around it.
func anchorLines(prose string) map[string][]int {
	anchors := make(map[string][]int)
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
		if level := len(line) - len(title); fence != "" || level < 1 || level > 6 || !strings.HasPrefix(title, " ") {
			continue
		}
		var marks []string
		for _, word := range strings.Fields(title) {
			word = strings.Trim(word, "()[].,:;")
			if clausePattern.MatchString(word) && !slices.Contains(marks, word) {
				marks = append(marks, word)
				anchors[word] = append(anchors[word], i+1)
			}
		}
	}
	return anchors
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
