package strictyaml

import "strings"

// Hint ends an error about an unknown word: the one that was probably meant, or
// all that would pass.
func Hint(word string, known []string) string {
	best, distance := "", 3 // more than two slips of the finger are another word
	for _, k := range known {
		most := 2
		if len(k) <= 4 { // so are two in a short one
			most = 1
		}
		if d := slips(word, k, distance); d < distance && d <= most && d < len(k) {
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

// slips counts the insertions, deletions, replacements and swaps of neighbours
// that turn a into b (optimal string alignment), or returns limit if there are
// more.
func slips(a, b string, limit int) int {
	if len(a) > len(b)+limit || len(b) > len(a)+limit {
		return limit
	}
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			switch {
			case a[i] == b[j]:
				row[j+1] = above[j]
			case i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j]:
				row[j+1] = 1 + min(before[j-1], above[j], row[j], above[j+1])
			default:
				row[j+1] = 1 + min(above[j], row[j], above[j+1])
			}
		}
		before, above, row = above, row, before
	}
	return min(above[len(b)], limit)
}
