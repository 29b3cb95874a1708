// Package client owns what `sally` does on an engineer's machine: logging in,
// asking for a login on a host, waiting for the answer, having a certificate
// made, handing it to stock ssh, and checking the ledger's word against the pin
// file.
//
// Each verb is an Options struct and one function: [Login], [Whoami], [Logout],
// [Request], [Status], [Cancel], [SSH], [LedgerList], [LedgerShow], [Version]. Results go
// to standard output, everything for people to standard error, and nothing that
// a server or a person wrote reaches a terminal before it went through visible.
// Nothing that the server says is believed beyond the pin file: a certificate is
// verified before it is used. docs/cli.md describes each verb.
package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// Env is what a verb has of the world besides the network and its state folder.
type Env struct {
	// Out takes results and nothing else.
	Out io.Writer
	// Err takes everything for people: progress, hints, questions.
	Err io.Writer
	// Getenv reads the environment, as os.Getenv does.
	Getenv func(string) string
	// Now is the clock.
	Now func() time.Time
	// Rand is a cryptographic source of randomness.
	Rand io.Reader
}

// say writes one line for people. What it is given may come from anywhere.
func (e Env) say(format string, args ...any) {
	// Standard error is where a failure to write would be told.
	_, _ = io.WriteString(e.Err, "sally: "+visible(fmt.Sprintf(format, args...))+"\n")
}

// print writes result lines.
func (e Env) print(lines ...string) error {
	var b bytes.Buffer
	for _, line := range lines {
		b.WriteString(visible(line) + "\n")
	}
	return e.write(b.Bytes())
}

// printJSON writes one JSON value as the result.
func (e Env) printJSON(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return e.write(visibleJSON(b.Bytes()))
}

func (e Env) write(b []byte) error {
	if _, err := e.Out.Write(b); err != nil {
		return fmt.Errorf("writing the result: %w", err)
	}
	return nil
}

// terminal reports whether w is a terminal that understands cursor movement.
func (e Env) terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && e.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
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
