package contract

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rows of the usual shapes. Each says in its name what allows less.

// metadata is a path that decides nothing.
func metadata[T any](path string, get func(*T) string) row[T] {
	return row[T]{path: path, spell: get, class: func(_, _ *T) Class { return Equivalent }}
}

// unordered is a path whose values can't be compared.
func unordered[T any](path string, get func(*T) string) row[T] {
	return row[T]{path: path, spell: get, class: func(_, _ *T) Class { return Mixed }}
}

// shorterIsLess is a duration of which a shorter one allows less; 0 is the absent
// key and no limit.
func shorterIsLess[T any](path string, get func(*T) time.Duration) row[T] {
	return row[T]{
		path:  path,
		spell: func(v *T) string { return spellDuration(get(v)) },
		class: func(a, b *T) Class { return ordered(unlimited(get(a)), unlimited(get(b))) },
	}
}

// longerIsLess is a duration of which a longer one allows less; 0 is the least.
func longerIsLess[T any](path string, get func(*T) time.Duration) row[T] {
	return row[T]{
		path:  path,
		spell: func(v *T) string { return spellDuration(get(v)) },
		class: func(a, b *T) Class { return ordered(get(b), get(a)) },
	}
}

// moreIsLess is a number of which a larger one allows less.
func moreIsLess[T any](path string, get func(*T) int) row[T] {
	return row[T]{
		path:  path,
		spell: func(v *T) string { return strconv.Itoa(get(v)) },
		class: func(a, b *T) Class { return ordered(get(b), get(a)) },
	}
}

// fewerIsLess is a number of which a smaller one allows less; 0 is the absent
// key and no limit.
func fewerIsLess[T any](path string, get func(*T) int) row[T] {
	return row[T]{
		path:  path,
		spell: func(v *T) string { return spellCount(get(v)) },
		class: func(a, b *T) Class { return ordered(unlimited(get(a)), unlimited(get(b))) },
	}
}

// trueIsLess is a switch that allows less when it is on.
func trueIsLess[T any](path string, get func(*T) bool) row[T] {
	return row[T]{
		path:  path,
		spell: func(v *T) string { return spellSwitch(get(v)) },
		class: func(a, b *T) Class { return within(get(b) || !get(a), get(a) || !get(b)) },
	}
}

// subsetIsLess is a set that allows less the fewer it has.
func subsetIsLess[T any, E ~string](path string, get func(*T) []E) row[T] {
	return row[T]{
		path:  path,
		spell: func(v *T) string { return spellSet(get(v)) },
		class: func(a, b *T) Class { return subsets(get(a), get(b)) },
	}
}

// supersetIsLess is a set that allows less the more it has.
func supersetIsLess[T any, E ~string](path string, get func(*T) []E) row[T] {
	return row[T]{
		path:  path,
		spell: func(v *T) string { return spellOptional(get(v)) },
		class: func(a, b *T) Class { return subsets(get(b), get(a)) },
	}
}

// setIsLess is a text that allows less when it is there; two texts can't be compared.
func setIsLess[T any](path string, get func(*T) string) row[T] {
	return row[T]{
		path:  path,
		spell: func(v *T) string { return spellText(get(v)) },
		class: func(a, b *T) Class {
			was, is := get(a), get(b)
			return within(was == "" || was == is, is == "" || was == is)
		},
	}
}

// laterIsLess is one of a list of words, of which a later one allows less. A word
// that is not in the list can't be compared.
func laterIsLess[T any, E ~string](path string, words []E, get func(*T) E) row[T] {
	return row[T]{
		path:  path,
		spell: func(v *T) string { return string(get(v)) },
		class: func(a, b *T) Class {
			was, is := slices.Index(words, get(a)), slices.Index(words, get(b))
			if was < 0 || is < 0 {
				return Mixed
			}
			return ordered(is, was)
		},
	}
}

// constitution marks rows as constitutional.
func constitution[T any](rows ...row[T]) []row[T] {
	for i := range rows {
		rows[i].constitutional = true
	}
	return rows
}

// unlimited puts an absent limit, 0, above every other.
func unlimited[N int | time.Duration](n N) int64 {
	if n == 0 {
		return math.MaxInt64
	}
	return int64(n)
}

// The spelling of values, as terms.yaml would have them. Absent is empty.

func spellDuration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return FormatDuration(d)
}

func spellSwitch(on bool) string {
	if !on {
		return ""
	}
	return "true"
}

func spellCount(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func spellSet[E ~string](set []E) string {
	words := make([]string, len(set))
	for i, v := range set {
		words[i] = spellText(string(v))
	}
	return "[" + strings.Join(words, ", ") + "]"
}

func spellOptional[E ~string](set []E) string {
	if len(set) == 0 {
		return ""
	}
	return spellSet(set)
}

// spellText quotes what YAML would not read as the same plain text in a list.
func spellText(s string) string {
	if s == "" {
		return ""
	}
	for _, r := range s {
		plain := r == '.' || r == '_' || r == '-' || r == '/' || r == '§' || r == '@' ||
			'0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !plain {
			return strconv.Quote(s)
		}
	}
	return s
}

func spellKeys(keys []Key) string {
	words := make([]string, len(keys))
	for i, k := range keys {
		words[i] = k.Name + ": " + keyLine(k.PublicKey)
	}
	return "{" + strings.Join(words, ", ") + "}"
}

// fields writes a mapping, leaving out what is empty: pairs of key and value.
func fields(pairs ...string) string {
	var out []string
	for pair := range slices.Chunk(pairs, 2) {
		if value := pair[len(pair)-1]; value != "" && value != "{}" {
			out = append(out, pair[0]+": "+value)
		}
	}
	return "{" + strings.Join(out, ", ") + "}"
}

// spellRows writes all that a T has, for one that came or went.
func spellRows[T any](rows []row[T]) func(*T) string {
	return func(v *T) string {
		pairs := make([]string, 0, 2*len(rows))
		for _, r := range rows {
			pairs = append(pairs, r.path, r.spell(v))
		}
		return nest(pairs)
	}
}

// nest is fields with keys such as grant.max, which become mappings.
func nest(pairs []string) string {
	var order []string
	below := make(map[string][]string)
	for i := 0; i < len(pairs); i += 2 {
		key, rest, _ := strings.Cut(pairs[i], ".")
		if _, known := below[key]; !known {
			order = append(order, key)
		}
		below[key] = append(below[key], rest, pairs[i+1])
	}
	var out []string
	for _, key := range order {
		if b := below[key]; b[0] == "" {
			out = append(out, key, b[1])
		} else {
			out = append(out, key, nest(b))
		}
	}
	return fields(out...)
}

// sortedKeys returns the keys of both maps, each once.
func sortedKeys[K cmp.Ordered, V any](a, b map[K]V) []K {
	var out []K
	for k := range a {
		out = append(out, k)
	}
	for k := range b {
		out = append(out, k)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
