package client

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// table is a list for people. Programs take --json or --csv.
type table struct {
	heading []string
	rows    [][]string
}

// printTable writes a row a line. On a terminal a heading stands above them, and
// where the widest row does not fit each row becomes a few lines instead: a broken
// row is hard to read. Elsewhere a line is always a row, and every line is one.
func (e Env) printTable(t table) error {
	rows := make([][]string, len(t.rows))
	for i, row := range t.rows {
		rows[i] = make([]string, len(row))
		for j, cell := range row {
			rows[i][j] = e.visible(cell)
		}
	}
	wide := columns(e.Out)
	if wide == 0 || len(rows) == 0 {
		return e.write(aligned(rows))
	}
	heading := make([]string, len(t.heading))
	for i, name := range t.heading {
		heading[i] = strings.ToUpper(name)
	}
	text := aligned(append([][]string{heading}, rows...))
	for line := range bytes.Lines(text) {
		if cells(strings.TrimSuffix(string(line), "\n")) > wide {
			return e.write(stacked(t.heading, rows))
		}
	}
	return e.write(text)
}

// aligned lays out rows of visible cells in columns.
func aligned(rows [][]string) []byte {
	widths := columnWidths(rows)
	var b bytes.Buffer
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-cells(cell)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.Bytes()
}

func columnWidths(rows [][]string) []int {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], cells(cell))
		}
	}
	return widths
}

// stacked writes each row as lines of a name and a cell, with a blank line between
// two rows.
func stacked(heading []string, rows [][]string) []byte {
	var out [][]byte
	for _, row := range rows {
		var pairs [][]string
		for i, cell := range row {
			if cell = strings.TrimSpace(cell); cell != "" {
				pairs = append(pairs, []string{heading[i], cell})
			}
		}
		out = append(out, aligned(pairs))
	}
	return bytes.Join(slices.Clip(out), []byte("\n"))
}

// printPairs writes lines of a name and a text, the texts one below the other. On a
// terminal a text goes on below its beginning where it does not fit.
func (e Env) printPairs(pairs [][2]string) error {
	widest := 0
	for _, p := range pairs {
		widest = max(widest, len(p[0]))
	}
	const gap, least = 2, 20 // columns that are worth breaking a text for
	room := columns(e.Out) - widest - gap
	var b bytes.Buffer
	for _, p := range pairs {
		lines := []string{e.visible(p[1])}
		if room >= least {
			lines = wrapped(lines[0], room)
		}
		for i, line := range lines {
			name := p[0]
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(&b, "%-*s%s\n", widest+gap, name, line)
		}
	}
	return e.write(b.Bytes())
}

// wrapped breaks a text at blanks into lines of at most so many columns. A longer
// word has a line of its own.
func wrapped(text string, most int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && cells(line)+1+cells(word) > most {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
