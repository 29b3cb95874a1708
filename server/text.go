package server

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/canon"
)

// visible returns s with everything spelled out that a reader would not see as
// itself: characters that take no room, change the reading direction or control
// the output. "a<RLO>b" becomes "a⟨U+202E⟩b". Bytes that are no UTF-8 become
// U+FFFD.
func visible(s string) string {
	return canon.Spell(s, canon.Hidden, func(_ string, r rune) string {
		if r == utf8.RuneError {
			return string(r)
		}
		return fmt.Sprintf("⟨%U⟩", r)
	})
}

// visibleLines is visible for a text of several lines, which stay lines.
func visibleLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = visible(strings.ReplaceAll(line, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}

// clip returns at most n bytes of s, whole characters, with a mark where
// something is missing.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// sentence makes an error's text one for a page: it begins with a capital and
// ends with a full stop.
func sentence(s string) string {
	s = strings.TrimRight(s, ". ")
	if s == "" {
		return ""
	}
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:] + "."
}

// spell writes a length of time in words: "1 hour 30 minutes".
func spell(seconds int64) string {
	var parts []string
	for _, unit := range []struct {
		name string
		size int64
	}{{"hour", 3600}, {"minute", 60}, {"second", 1}} {
		n := seconds / unit.size
		seconds %= unit.size
		switch {
		case n == 1:
			parts = append(parts, "1 "+unit.name)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, unit.name))
		}
	}
	if len(parts) == 0 {
		return "0 seconds"
	}
	return strings.Join(parts, " ")
}

// clock writes a moment of today, short one of these days, stamp any moment; all
// in UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04 UTC") }
func short(t time.Time) string { return t.UTC().Format("2 Jan, 15:04 UTC") }
func stamp(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04:05 UTC") }

// anyOf joins words for a sentence: "a, b or c".
func anyOf(words []string) string {
	n := len(words)
	if n < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:n-1], ", ") + " or " + words[n-1]
}

// verbatim reports whether a paragraph of Markdown loses its meaning when its
// lines are run together: a list, a table, a code block, a heading.
func verbatim(paragraph string) bool {
	for line := range strings.Lines(paragraph) {
		if strings.ContainsRune(" \t-*+|>#`~", rune(line[0])) || line[0] >= '0' && line[0] <= '9' {
			return true
		}
	}
	return false
}

func bytesText(n int64) string { return fmt.Sprintf("%d KiB", n>>10) }
