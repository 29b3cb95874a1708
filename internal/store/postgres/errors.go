package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/store"
)

// SQLSTATE codes that mean that somebody else was there first. Class 23 is a
// broken rule such as uniqueness.
const (
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeLockTimeout   = "55P03"
	classIntegrity    = "23"
)

// MapError turns a broken uniqueness rule and a lock that was not given into
// ErrConflict, and whatever else the server or the way to it says into
// ErrUnavailable: a full disk, a server that shuts down or takes no writes, a lost
// connection.
func (e *Engine) MapError(err error) error {
	switch {
	case err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrConflict):
		return err
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return err // the caller's own end
	}
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch code := answer.Code; {
		case code == codeSerialization || code == codeDeadlock || code == codeLockTimeout || len(code) == 5 && code[:2] == classIntegrity:
			return fmt.Errorf("%w: %w", store.ErrConflict, err)
		}
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if lost(err) {
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	return err
}

// lost reports whether an error is of the way to the server.
func lost(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	_, refused := errors.AsType[*refusals](err)
	_, network := errors.AsType[net.Error](err)
	return connecting || refused || network || pgconn.Timeout(err) || pgconn.SafeToRetry(err) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn)
}
