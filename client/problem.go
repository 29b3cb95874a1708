package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/api"
)

// ErrProblem is wrapped by every error that a server's problem document became.
var ErrProblem = errors.New("the server refused")

// ProblemError is a problem document (RFC 9457) as an error.
type ProblemError struct {
	// Slug is the last part of the document's type, such as "not-found".
	Slug string
	text string
	// after is how long the server wants not to be asked; 0: it does not say.
	after time.Duration
}

// Error returns one sentence: what happened and what to do next.
func (e *ProblemError) Error() string { return e.text }

// Unwrap returns ErrProblem.
func (e *ProblemError) Unwrap() error { return ErrProblem }

// remedy is what a problem means for the person: the exit code and what to do
// next. A detail that already names a `sally` command needs no second advice.
type remedy struct {
	slug string
	code int
	next string
}

// remedies has a row for each problem type of the server.
func remedies() []remedy {
	return []remedy{
		{"malformed", ExitFailed, "this version of sally may not fit the server; see sally version"},
		{"unauthenticated", ExitLogin, "log in: sally login"},
		{"login-too-old", ExitLogin, "log in again: sally login"},
		{"forbidden", ExitFailed, ""},
		{"method-not-allowed", ExitFailed, "this version of sally may not fit the server; see sally version"},
		{"misdirected", ExitFailed, "log in with the server's own address: sally login --server URL"},
		{"self-approval", ExitFailed, "somebody else must decide"},
		{"not-eligible", ExitFailed, ""},
		{"not-requester", ExitFailed, ""},
		{"groups-unknown", ExitFailed, "log in again: sally login; if that does not help, ask whoever runs the identity provider to send your groups"},
		{"contract-forbids", ExitForbidden, ""},
		{"not-found", ExitFailed, ""},
		{"settled", ExitFailed, "sally status shows how"},
		{"changed", ExitFailed, "look at it again: sally status"},
		{"decided-twice", ExitFailed, ""},
		{"not-granted", ExitFailed, "sally status shows who is waited for"},
		{"grant-over", ExitFailed, "ask again: sally request"},
		{"key-refused", ExitFailed, ""},
		{"field-refused", ExitFailed, ""},
		{"too-large", ExitFailed, ""},
		{tooMuch, ExitFailed, "wait a minute and try again"},
		{"internal", ExitFailed, "tell the operator"},
		{"unavailable", ExitUnreachable, "try again, a retry is safe"},
	}
}

// whereToLook adds to the server's "not found" where one finds what there is.
func whereToLook(err error, advice string) error {
	if p, ok := errors.AsType[*ProblemError](err); ok && p.Slug == "not-found" {
		return fmt.Errorf("%w; %s", err, advice)
	}
	return err
}

// problem turns a problem document into an error with its exit code.
func problem(p api.Problem) error {
	slug := p.Type[strings.LastIndexByte(p.Type, '/')+1:]
	r := remedy{slug: slug, code: ExitFailed}
	for _, known := range remedies() {
		if known.slug == slug {
			r = known
		}
	}
	text := strings.TrimRight(first(p.Detail, first(p.Title, slug)), ". \n")
	if slug == "internal" && p.Instance != "" {
		text += " (log line " + p.Instance + ")"
	}
	advised := strings.Contains(text, "sally ") || slug == tooMuch && p.Detail != ""
	if r.next != "" && !advised {
		text += "; " + r.next
	}
	return &Error{Code: r.code, Err: &ProblemError{Slug: slug, text: text}}
}
