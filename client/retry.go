package client

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// tooMuch is the problem of requests that come too fast. Where the server says
// when to try again, it has done nothing; without that, waiting alone may not
// help.
const tooMuch = "rate"

// withRetry notes in a problem when the server wants to be asked again: seconds,
// or a time (RFC 9110, 10.2.3).
func withRetry(err error, header http.Header, now time.Time) error {
	p, ok := errors.AsType[*ProblemError](err)
	text := header.Get("Retry-After")
	if !ok || text == "" {
		return err
	}
	if n, parsed := strconv.ParseUint(text, 10, 16); parsed == nil {
		p.after = time.Duration(n) * time.Second
	} else if at, parsed := http.ParseTime(text); parsed == nil {
		p.after = at.Sub(now).Round(time.Second)
	}
	return err
}

// retryAfter is how long to wait before a request is made again that the server
// refused because it came too soon; 0 for every other error.
func retryAfter(err error) time.Duration {
	p, ok := errors.AsType[*ProblemError](err)
	if !ok || p.Slug != tooMuch || p.after <= 0 {
		return 0
	}
	return p.after
}
