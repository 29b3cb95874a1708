package contract

import "strings"

// hint ends an error about an unknown word: the one that was probably meant, or
// all that would pass.
func hint(word string, known []string) string {
	best, distance := "", 3 // more than two slips of the finger are another word
	for _, k := range known {
		if d := slips(word, k, distance); d < distance && d < len(k) {
			best, distance = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	if len(known) == 0 {
		return "there are none"
	}
	const most = 20
	if len(known) > most {
		return "expected one of " + strings.Join(known[:most], ", ") + ", …"
	}
	return "expected one of " + strings.Join(known, ", ")
}

// slips counts the insertions, deletions and replacements that turn a into b
// (Levenshtein), or returns at least limit once it is reached.
func slips(a, b string, limit int) int {
	if len(a) > len(b)+limit || len(b) > len(a)+limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return min(row[len(b)], limit)
}
