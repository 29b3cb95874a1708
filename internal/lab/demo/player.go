package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// stepTimeout is far more than any step needs; a step that hangs is named.
const stepTimeout = 45 * time.Second

// step is one sentence of the story. run does it and returns what was asserted:
// the text of the tick, made from parsed answers.
type step struct {
	name string
	run  func(context.Context) (string, error)
}

// player prints the story. It is the site's Teller.
type player struct {
	colour  bool
	verbose bool // long lines in full

	mu    sync.Mutex
	out   io.Writer // guarded by mu
	steps int       // guarded by mu; finished ones
}

// failure is a step that went wrong.
type failure struct {
	number int
	name   string
	err    error
}

// Error returns the line that names the step.
func (f *failure) Error() string {
	return fmt.Sprintf("demo: FAILED at step %d: %s: %v", f.number, f.name, f.err)
}

// Unwrap returns the reason.
func (f *failure) Unwrap() error { return f.err }

// play runs the steps one after the other. A step is ticked only when it
// returned without an error; the first error ends the story and is a *failure.
func (p *player) play(ctx context.Context, steps []step) error {
	for _, s := range steps {
		number := p.begin(s.name)
		tick, err := runStep(ctx, s)
		if err != nil {
			if ctx.Err() != nil { // not the step's fault, and what it says then misleads
				err = fmt.Errorf("stopped: %w", context.Cause(ctx))
			}
			return &failure{number: number, name: s.name, err: err}
		}
		p.tick(tick)
	}
	return nil
}

func runStep(ctx context.Context, s step) (tick string, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	tick, err = s.run(ctx)
	if err == nil && tick == "" {
		err = errors.New("the step asserted nothing")
	}
	return tick, err
}

func (p *player) begin(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "\n%s\n", p.paint("1", fmt.Sprintf("%2d  %s", p.steps+1, name)))
	return p.steps + 1
}

func (p *player) tick(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps++
	fmt.Fprintf(p.out, "  %s %s\n", p.paint("32", "✓"), text)
}

// count is how many steps were ticked.
func (p *player) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.steps
}

// Typed prints a command behind a prompt, and what was not typed at a terminal
// (a click in somebody's browser) behind its name.
func (p *player) Typed(who, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	prompt := who + " $"
	if strings.Contains(who, " ") {
		prompt = who + ":"
	}
	fmt.Fprintf(p.out, "  %s %s\n", p.paint("36", prompt), what)
}

// Answered prints a raw answer, indented. Control characters other than the
// newline and the tab are shown, not obeyed; of very long lines, such as a proof
// in hex, the beginning is shown unless verbose.
func (p *player) Answered(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(text) {
		fmt.Fprintf(p.out, "      %s\n", p.cut(printable(strings.TrimRight(line, "\r\n"))))
	}
}

// longLine is the most that is shown of a line, in characters.
const longLine = 240

func (p *player) cut(line string) string {
	r := []rune(line)
	if p.verbose || len(r) <= longLine {
		return line
	}
	return fmt.Sprintf("%s… (%d characters more; -v shows them)", string(r[:longLine]), len(r)-longLine)
}

func printable(line string) string {
	var b strings.Builder
	for _, r := range line {
		if r < 0x20 && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			fmt.Fprintf(&b, `\x%02x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// say prints a line of the demo's own.
func (p *player) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *player) paint(sgr, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}
