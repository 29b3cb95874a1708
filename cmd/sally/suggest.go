package main

import (
	"maps"
	"slices"
)

// didYouMean names what was probably meant by a word, of the known words and how
// each is written in full; empty if none is near.
func didYouMean(typed string, known map[string]string) string {
	const near = 3 // more than two slips of the finger are another word
	best, distance := "", near
	for _, word := range slices.Sorted(maps.Keys(known)) {
		if d := slips(typed, word); d < distance && d < len(word) {
			best, distance = word, d
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + known[best] + "?)"
}

// slips counts the insertions, deletions, replacements and swaps of neighbours that
// turn a into b (optimal string alignment).
func slips(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := last[j]
			if a[i] != b[j] {
				cost = 1 + min(last[j], last[j+1], row[j])
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				cost = min(cost, before[j-1]+1)
			}
			row[j+1] = cost
		}
		before, last = last, row
	}
	return last[len(b)]
}

// shortened is as much of a word as a sentence bears.
func shortened(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
