package client

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/canon"
)

// printCSV writes rows of cells as RFC 4180 text: UTF-8, lines ended by CR LF, as
// many cells in each as in the first, which names them.
func (e Env) printCSV(rows [][]string) error {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.UseCRLF = true
	unseen := canon.Hidden
	if isTerminal(e.Out) { // a terminal reads it; in a file it is UTF-8 whatever the locale
		unseen = e.unseen()
	}
	for _, row := range rows {
		safe := make([]string, len(row))
		for i, cell := range row {
			safe[i] = csvCell(cell, unseen)
		}
		if err := w.Write(safe); err != nil {
			return fmt.Errorf("writing the result: %w", err)
		}
	}
	w.Flush() // into memory
	return e.write(b.Bytes())
}

// csvCell makes a text a cell that a spreadsheet shows and does not run. What a
// reader would not see is spelled out, as on a terminal, so no cell has a line
// break. Where a formula could begin, at the start and after each semicolon
// (spreadsheets of some languages separate cells by it, whatever the file says),
// with or without blanks, a ' makes it text.
func csvCell(s string, unseen func(rune) bool) string {
	var b strings.Builder
	start := true
	for _, r := range spell(s, unseen) {
		if start && beginsFormula(r) {
			b.WriteByte('\'')
		}
		start = r == ';' || (start && unicode.IsSpace(r))
		b.WriteRune(r)
	}
	return b.String()
}

// beginsFormula reports what makes spreadsheets read a cell as a formula: the four
// signs, also in the full-width and small forms that some fold into them, and the
// two controls that some drop before they look.
func beginsFormula(r rune) bool {
	return strings.ContainsRune("=+-@\t\r＝＋－＠﹦﹢﹣﹫", r)
}

// csvTime is a moment in a cell (RFC 3339), empty for none.
func csvTime(m canon.Micros) string {
	if m == 0 {
		return ""
	}
	return m.Time().Format("2006-01-02T15:04:05.000000Z")
}
