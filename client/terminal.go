package client

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"
	"golang.org/x/text/width"

	"github.com/sallyport/sallyport/canon"
)

// say writes one line for people. What it is given may come from anywhere.
func (e Env) say(format string, args ...any) {
	// Standard error is where a failure to write would be told.
	_, _ = io.WriteString(e.Err, "sally: "+e.visible(fmt.Sprintf(format, args...))+"\n")
}

// print writes result lines.
func (e Env) print(lines ...string) error {
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteString(e.visible(line) + "\n")
	}
	return e.write(b.Bytes())
}

func (e Env) write(b []byte) error {
	if _, err := e.Out.Write(b); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// visible returns s as one line that the reader's terminal shows as it is.
func (e Env) visible(s string) string { return spell(s, e.unseen()) }

// unseen tells which characters the reader's terminal does not show as themselves.
// Where the locale is not UTF-8 that is all but ASCII: such a terminal reads the
// bytes of other characters as something else, some of them as commands (the last
// byte of U+06DB is 0x9B, which is CSI to a terminal with 8-bit controls).
func (e Env) unseen() func(rune) bool {
	if e.utf8() {
		return canon.Hidden
	}
	return func(r rune) bool { return r > unicode.MaxASCII || canon.Hidden(r) }
}

// utf8 reports whether the locale is UTF-8, as POSIX finds it: LC_ALL, else
// LC_CTYPE, else LANG, and without any of them it is not.
func (e Env) utf8() bool {
	locale := first(e.Getenv("LC_ALL"), first(e.Getenv("LC_CTYPE"), e.Getenv("LANG")))
	_, charset, _ := strings.Cut(locale, ".")
	charset, _, _ = strings.Cut(strings.ToLower(charset), "@")
	return charset == "utf-8" || charset == "utf8" || locale == "UTF-8" // the last is macOS's LC_CTYPE
}

// terminal reports whether w is a terminal that understands cursor movement.
func (e Env) terminal(w io.Writer) bool { return e.Getenv("TERM") != "dumb" && isTerminal(w) }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// columns is how many columns w has; 0 if it is no terminal or does not say.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	n, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return n
}

// cells is how many columns a terminal gives to a visible text: two for East
// Asian wide characters (UAX #11), none for marks that stand on another.
func cells(s string) int {
	n := 0
	for _, r := range s {
		switch kind := width.LookupRune(r).Kind(); {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
			n += 2
		default:
			n++
		}
	}
	return n
}

// clipped returns as much of a visible text as most columns hold; less than all
// ends in "...".
func clipped(s string, most int) string {
	const dots = "..."
	if cells(s) <= most {
		return s
	}
	n := 0
	for i, r := range s {
		if n += cells(string(r)); n > most-len(dots) {
			return s[:i] + dots[:min(len(dots), max(most, 0))]
		}
	}
	return s
}

// colour wraps a text of ours in an SGR colour where results go to a terminal
// and nobody asked for none (https://no-color.org).
func (e Env) colour(sgr, text string) string {
	if e.Getenv("NO_COLOR") != "" || !e.terminal(e.Out) {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// clock shows a moment in the machine's zone, with the date if it is not today.
func (e Env) clock(t time.Time) string {
	t, now := t.Local(), e.Now().Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05 MST")
	}
	return t.Format("2006-01-02 15:04:05 MST")
}
