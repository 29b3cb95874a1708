package contract_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
)

// TestProseOfAClause reads what people read under a clause.
func TestProseOfAClause(t *testing.T) {
	t.Parallel()
	const text = `# Title

Not of a clause.

## §1 One (and §7)

First, in
two lines.

    kept as it is

### Detail

Of the detail.

### §1.1 Its own

Below one.

` + "```\n## §3 no heading\n```" + `
##No heading either

## §2 Two
## §4 Four

Last.
`
	v := &contract.Version{Files: map[string][]byte{contract.ProseFile: []byte(text)}}
	crlf := &contract.Version{Files: map[string][]byte{contract.ProseFile: []byte(strings.ReplaceAll(text, "\n", "\r\n"))}}
	for _, tt := range []struct {
		name, clause string
		want         contract.Prose
		ok           bool
	}{
		{"with a deeper heading", "§1", contract.Prose{Title: "§1 One (and §7)", Paragraphs: []string{
			"First, in\ntwo lines.", "    kept as it is", "### Detail", "Of the detail.",
		}}, true},
		{"the second mark of a heading", "§7", contract.Prose{Title: "§1 One (and §7)", Paragraphs: []string{
			"First, in\ntwo lines.", "    kept as it is", "### Detail", "Of the detail.",
		}}, true},
		{"a clause in a clause", "§1.1", contract.Prose{Title: "§1.1 Its own", Paragraphs: []string{
			"Below one.", "```\n## §3 no heading\n```\n##No heading either",
		}}, true},
		{"nothing under it", "§2", contract.Prose{Title: "§2 Two"}, true},
		{"the last", "§4", contract.Prose{Title: "§4 Four", Paragraphs: []string{"Last."}}, true},
		{"in a code block", "§3", contract.Prose{}, false},
		{"nowhere", "§9", contract.Prose{}, false},
		{"no clause", "", contract.Prose{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, v := range []*contract.Version{v, crlf} {
				if got, ok := v.Prose(tt.clause); ok != tt.ok || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %q, %t, want %q", got, ok, tt.want)
				}
			}
		})
	}
}
