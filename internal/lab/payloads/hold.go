package payloads

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
)

// MaxMarks is how many marks may stand on one character (Unicode Mn and Me): more
// of them cover the lines above and below. Living languages use up to four.
const MaxMarks = 4

// Seen demands that a text is UTF-8 in which a reader sees everything as itself,
// on one line.
func Seen(text string) error {
	marks := 0
	for i, r := range text {
		switch {
		case r == utf8.RuneError && strings.HasPrefix(text[i:], "\uFFFD"):
		case r == utf8.RuneError:
			return fmt.Errorf("no UTF-8 at byte %d of %q", i, text)
		case Unseen(r):
			return fmt.Errorf("%U at byte %d of %q", r, i, text)
		}
		if !unicode.In(r, unicode.Mn, unicode.Me) {
			marks = 0
			continue
		}
		if marks++; marks > MaxMarks {
			return fmt.Errorf("more than %d marks on one character at byte %d of %q", MaxMarks, i, text)
		}
	}
	return nil
}

// Terminal demands that what is written to a terminal are lines in which a reader
// sees everything as itself; the last one is ended.
func Terminal(output string) error {
	if output != "" && !strings.HasSuffix(output, "\n") {
		return fmt.Errorf("the last line is not ended: %q", output)
	}
	for line := range strings.Lines(output) {
		if err := Seen(strings.TrimSuffix(line, "\n")); err != nil {
			return err
		}
	}
	return nil
}

// CSV demands that a file has so many rows of so many cells, each row on one line,
// and that no spreadsheet finds a formula in a cell, whether it separates cells by
// commas or by semicolons.
func CSV(text string, rows, columns int) error {
	if n := strings.Count(text, "\r\n"); n != rows || strings.Count(text, "\n") != rows || strings.Count(text, "\r") != rows {
		return fmt.Errorf("%d lines for %d rows: %q", n, rows, text)
	}
	var cells []string
	for line := range strings.SplitSeq(text, "\r\n") {
		if err := Seen(line); err != nil {
			return err
		}
		cells = append(cells, strings.Split(line, ";")...)
	}
	table, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(table) != rows {
		return fmt.Errorf("read %d rows, want %d: %w in %q", len(table), rows, err, text)
	}
	for _, row := range table {
		if len(row) != columns {
			return fmt.Errorf("%d cells, want %d, in %q", len(row), columns, row)
		}
		cells = append(cells, row...)
	}
	for _, cell := range cells {
		start := strings.TrimLeftFunc(cell, unicode.IsSpace)
		if r, _ := utf8.DecodeRuneInString(start); start != "" && strings.ContainsRune("=+-@＝＋－＠﹦﹢﹣﹫", r) {
			return fmt.Errorf("the cell %q is a formula", cell)
		}
	}
	return nil
}

// Log demands that each line is one JSON object with none but the known members,
// in which a reader sees everything as itself, and that no payload is in it.
func Log(text string, members ...string) error {
	for line := range strings.Lines(text) {
		if err := Terminal(line); err != nil {
			return err
		}
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			return fmt.Errorf("%w in the line %q", err, line)
		}
		for name, value := range entry {
			if !slices.Contains(members, name) {
				return fmt.Errorf("the member %q in the line %q", name, line)
			}
			if p, found := Inside(fmt.Sprint(value)); found {
				return fmt.Errorf("%s in the line %q", p, line)
			}
		}
	}
	return nil
}

// Inside reports a payload that stands in a text as it is, or as JSON writes it.
// Those that are too short or too common to prove anything are not looked for.
func Inside(text string) (name string, found bool) {
	for _, p := range All() {
		if len(p.Text) < 8 {
			continue
		}
		quoted, err := json.Marshal(p.Text)
		if err != nil {
			return err.Error(), true
		}
		if strings.Contains(text, p.Text) || strings.Contains(text, strings.Trim(string(quoted), `"`)) {
			return p.Name, true
		}
	}
	return "", false
}

var (
	idPattern    = regexp.MustCompile(`\b[a-z2-7]{26}\b`)
	hashPattern  = regexp.MustCompile(`[A-Za-z0-9_-]{43}`)
	digitPattern = regexp.MustCompile(`[0-9]+`)
)

// Twin demands that a page is built as its harmless twin: the same elements in the
// same places, with the same attributes, whose values differ in ids, digests and
// numbers alone. What was typed into a field may stand in the field's value. In
// text and attributes a reader sees everything as itself. Lists that grow from page
// to page are held to having no elements that the twin's have not.
func Twin(page, harmless string) error {
	got, listed, err := skeleton(page)
	if err != nil {
		return err
	}
	want, known, err := skeleton(harmless)
	if err != nil {
		return fmt.Errorf("the twin: %w", err)
	}
	for element := range listed {
		if !known[element] {
			return fmt.Errorf("a list has %s, which the twin's has not", element)
		}
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Errorf("the page ends before %s", want[i])
		case i >= len(want):
			return fmt.Errorf("the page goes on with %s", got[i])
		case got[i] != want[i]:
			return fmt.Errorf("the page has %s in the place of %s", got[i], want[i])
		}
	}
	return nil
}

// growing are the classes of lists that hold more from page to page: who else may
// decide, what was decided lately.
var growing = []string{"others", "dense"}

// listed reports whether an element stands in a growing list.
func listed(n *html.Node) bool {
	for above := range n.Ancestors() {
		for _, a := range above.Attr {
			if a.Key == "class" && slices.ContainsFunc(strings.Fields(a.Val), func(c string) bool { return slices.Contains(growing, c) }) {
				return true
			}
		}
	}
	return false
}

// skeleton lists the elements of a page, each with its depth and attributes, those
// in growing lists as a set of their own.
func skeleton(page string) (out []string, inLists map[string]bool, err error) {
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return nil, nil, err
	}
	inLists = map[string]bool{}
	for n := range root.Descendants() {
		switch n.Type {
		case html.TextNode:
			text := strings.NewReplacer("\n", " ", "\t", " ").Replace(n.Data) // of the template
			if err := Seen(text); err != nil {
				return nil, nil, fmt.Errorf("in the text: %w", err)
			}
		case html.ElementNode:
			element := fmt.Sprintf("%d <%s", depth(n), n.Data)
			for _, a := range n.Attr {
				if err := Seen(a.Val); err != nil {
					return nil, nil, fmt.Errorf("in the attribute %s of %s: %w", a.Key, n.Data, err)
				}
				element += fmt.Sprintf(" %s=%q", a.Key, masked(n, a))
			}
			if listed(n) {
				inLists[element+">"] = true
				continue
			}
			out = append(out, element+">")
		case html.CommentNode:
			return nil, nil, errors.New("a comment: " + n.Data)
		case html.DoctypeNode, html.DocumentNode, html.ErrorNode, html.RawNode:
		}
	}
	return out, inLists, nil
}

// masked is an attribute's value without what differs from page to page.
func masked(n *html.Node, a html.Attribute) string {
	if n.Data == "input" && a.Key == "value" {
		return "typed"
	}
	v := idPattern.ReplaceAllString(strings.ReplaceAll(a.Val, "%2f", "/"), "ID")
	v = hashPattern.ReplaceAllString(v, "HASH")
	return digitPattern.ReplaceAllString(v, "0")
}

func depth(n *html.Node) int {
	d := 0
	for range n.Ancestors() {
		d++
	}
	return d
}

// Spelled demands that a page's text shows each character of a payload that a
// reader would not see, by its number.
func Spelled(pageText, payload string) error {
	for _, r := range payload {
		if name := fmt.Sprintf("%U", r); r != utf8.RuneError && Unseen(r) && !strings.Contains(pageText, name) {
			return fmt.Errorf("no %s in %q", name, pageText)
		}
	}
	return nil
}
