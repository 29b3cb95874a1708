package contract_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
)

const lintsFile = "../docs/lints.md"

const lintsHead = `# Lints of a contract

What ` + "`sally contract lint`" + ` looks for. An error (E) blocks signing. A warning (W) asks whoever signs to say that they
know. The rest (I) is to be read. ` + "`go test ./contract -run TestLintsDocument -update`" + ` writes this page from the table in the code; each row has a pair of examples in
` + "`contract/testdata/lint`" + `, one that it speaks about and one mended.

Three things to know:

- *Unknown is no pass.* A lint that needs what is not at hand, such as who is in which group, says that it could not look. It
  does not block then.
- *Quorums are solved, not guessed.* Whether somebody's request could ever get through is answered exactly, for everybody who
  may ask and over all stages together: nobody decides on their own request, nor twice on one, nor where ` + "`duties`" + ` forbids it
  for who has their manager. Those to whom a stage escalates count; delegates don't, as they stand in for somebody who does.
- *Guards are looked through, not sampled*, in cells that stand for every request that the role accepts, facts that are missing
  included.

Terms that the loader refuses have one finding, under the code of the lint that looks for the same, or under E00.

| code | name | what is wrong | example | smallest mend |
|---|---|---|---|---|
`

// TestLintsDocument holds docs/lints.md to the table, and the table to its rules:
// codes in order, each once, each with words for people.
func TestLintsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString(lintsHead)
	seen := make(map[string]bool)
	for _, row := range contract.Lints() {
		cells := []string{row.Code, row.Name, row.What, row.Example, row.Mend}
		for _, c := range append(cells, string(row.Severity)) {
			if c == "" {
				t.Errorf("%s has an empty cell", row.Code)
			}
		}
		if seen[row.Code] || seen[row.Name] {
			t.Errorf("%s %s stands twice", row.Code, row.Name)
		}
		seen[row.Code], seen[row.Name] = true, true
		for i, c := range cells {
			cells[i] = strings.ReplaceAll(c, "|", `\|`)
		}
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	if *update {
		if err := os.WriteFile(lintsFile, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(lintsFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != b.String() {
		t.Errorf("%s is stale; run go test ./contract -run TestLintsDocument -update", lintsFile)
	}
}

// TestLintPairs: no golden pair stands there that no lint has.
func TestLintPairs(t *testing.T) {
	files, err := filepath.Glob("testdata/lint/???.*")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, row := range contract.Lints() {
		known = append(known, row.Code+".want", row.Code+".yaml")
	}
	for _, f := range files {
		if !slices.Contains(known, filepath.Base(f)) {
			t.Errorf("%s belongs to no lint", f)
		}
	}
	if len(files) != len(known) {
		t.Errorf("%d files of golden pairs, want %d", len(files), len(known))
	}
}
