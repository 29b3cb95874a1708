package client

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes of `sally`. Scripts rely on them.
const (
	ExitOK          = 0
	ExitFailed      = 1   // something else went wrong; the message says what
	ExitUsage       = 2   // the command line is not understood
	ExitDenied      = 3   // denied, expired unanswered or cancelled: the request is settled
	ExitLogin       = 4   // log in first, or again
	ExitTimeout     = 5   // the wait is over, the request is still open
	ExitUnreachable = 6   // the server or the identity provider does not answer
	ExitForbidden   = 7   // the contract forbids it, whoever approves
	ExitInterrupted = 130 // Ctrl-C, as shells count it (128 + SIGINT)
)

// Error is a failure that ends the program with its own exit code.
type Error struct {
	Code int
	Err  error
}

// Error returns the sentence for the person.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Usagef returns an error that ends the program with ExitUsage.
func Usagef(format string, args ...any) error { return fail(ExitUsage, format, args...) }

func fail(code int, format string, args ...any) error {
	return &Error{Code: code, Err: fmt.Errorf(format, args...)}
}

// ExitCode returns the code that a program which met err exits with.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if errors.Is(err, context.Canceled) {
		return ExitInterrupted
	}
	return ExitFailed
}

// exitName names an exit code in JSON.
func exitName(code int) string {
	switch code {
	case ExitUsage:
		return "usage"
	case ExitDenied:
		return "denied"
	case ExitLogin:
		return "login"
	case ExitTimeout:
		return "timeout"
	case ExitUnreachable:
		return "unreachable"
	case ExitForbidden:
		return "forbidden"
	case ExitInterrupted:
		return "interrupted"
	default:
		return "failed"
	}
}

// errorResult is what --json makes of an error.
type errorResult struct {
	Error errorDetail `json:"error"`
}

type errorDetail struct {
	Code    int    `json:"code"`              // the exit code
	Kind    string `json:"kind"`              // its name
	Message string `json:"message"`           // the sentence for people
	Problem string `json:"problem,omitempty"` // the kind of the server's refusal, if it was that
}

// ReportJSON is Report for a program that reads: the last line of standard error is
// one JSON object.
func ReportJSON(e Env, err error) int {
	code := ExitCode(err)
	if err == nil {
		return code
	}
	detail := errorDetail{Code: code, Kind: exitName(code), Message: err.Error()}
	if isBareInterrupt(err) {
		detail.Message = "interrupted"
	}
	if p, ok := errors.AsType[*ProblemError](err); ok {
		detail.Problem = p.Slug
	}
	text, jsonErr := versioned(errorResult{detail})
	if jsonErr != nil { // a struct of texts and a number
		return Report(e, err)
	}
	// Standard error is where a failure to write would be told.
	_, _ = e.Err.Write(append(visibleJSON(text, e.unseen()), '\n'))
	return code
}

// isBareInterrupt tells an interrupt that nobody made a sentence of.
func isBareInterrupt(err error) bool {
	_, told := errors.AsType[*Error](err)
	return !told && errors.Is(err, context.Canceled)
}

// Report tells the person about err, if there is one, and returns the exit code.
func Report(e Env, err error) int {
	switch {
	case err == nil:
	case isBareInterrupt(err):
		e.say("interrupted")
	default:
		e.say("%s", err.Error())
	}
	return ExitCode(err)
}
