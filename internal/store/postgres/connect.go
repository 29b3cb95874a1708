package postgres

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sallyport/sallyport/internal/store"
)

// lockKey is the advisory lock that processes which write hold: alone, or
// together if they share the mark.
const lockKey int64 = 0x73616c6c79 // "sally"

// errInUse says that another process has the database to itself, or shares it
// with others.
var errInUse = fmt.Errorf("%w: another sallyd works on this database; several need a mark that all of them share (mark.vault in config.yaml)", store.ErrUnavailable)

// purpose is what a connection is for.
type purpose int

const (
	reading purpose = iota
	writing
	migrating
	listening
)

// settings are those that each session has.
func (p purpose) settings(l limits) map[string]string {
	s := map[string]string{
		"application_name": "sallyd",
		"client_encoding":  "UTF8",
		"TimeZone":         "UTC",
		// A process whose machine is gone must not hold the advisory lock for long.
		"tcp_keepalives_idle": "15", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
	}
	for name, value := range p.demanded(l) {
		s[name] = strconv.FormatInt(value, 10)
	}
	return s
}

// demanded are the settings, in milliseconds, without which nothing is written: a
// pooler in between may have dropped them.
func (p purpose) demanded(l limits) map[string]int64 {
	d := map[string]int64{
		"lock_timeout": l.lock.Milliseconds(), "statement_timeout": l.statement.Milliseconds(), "idle_in_transaction_session_timeout": l.idle.Milliseconds(),
	}
	if p == migrating { // an index over a large table takes its time
		d["statement_timeout"] = 0
	}
	return d
}

// connector opens connections for one purpose.
type connector struct {
	e *Engine
	p purpose
}

// Driver returns pgx's driver.
func (c connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

// Connect opens a connection to the first host that will do.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	a := &attempt{connector: c}
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	conn, err := stdlib.GetConnector(*config, stdlib.OptionAfterConnect(a.after), stdlib.OptionResetSession(a.reset)).Connect(ctx)
	return conn, a.explain(ctx, err)
}

// attempt is one connection from when it is asked for.
type attempt struct {
	connector

	opened  atomic.Bool
	mu      sync.Mutex
	refused []error // guarded by mu; why each host would not do
}

// config is what to connect with. Once the connection is opened, the driver can't
// cancel what runs on it if it writes: a commit that waits for its standby would
// be acknowledged by that, and the standby would not have it.
func (a *attempt) config() (*pgx.ConnConfig, error) {
	config := a.e.dsn.Copy()
	if a.e.c.Password != nil {
		var err error
		if config.Password, err = a.e.c.Password(); err != nil {
			return nil, err
		}
	}
	config.ConnectTimeout = a.e.c.limits.connect
	config.RuntimeParams = a.p.settings(a.e.c.limits)
	most := a.e.c.limits.answer
	if a.p == migrating || a.p == listening {
		most = 0
	}
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if a.p == writing && a.opened.Load() {
			return nil, errNoCancel
		}
		conn, err := dial(ctx, network, addr, most)
		return conn, a.refuse(err, "no answer from the database at "+addr)
	}
	if a.p == writing {
		config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { a.e.notices.Add(1) }
	}
	config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		return a.refuse(a.e.validate(ctx, conn, a.p), "the database at "+conn.Conn().RemoteAddr().String())
	}
	return config, nil
}

// refuse notes why a host would not do.
func (a *attempt) refuse(err error, what string) error {
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.refused = append(a.refused, fmt.Errorf("%s: %w", what, err))
	}
	return err
}

// after makes an open connection ready for its purpose.
func (a *attempt) after(ctx context.Context, conn *pgx.Conn) error {
	a.opened.Store(true)
	if a.p != writing {
		return nil
	}
	err := a.e.lockDatabase(ctx, conn)
	if err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	return nil
}

// reset gives a connection up that is to a server which was replaced.
func (a *attempt) reset(_ context.Context, conn *pgx.Conn) error {
	if a.e.outdated(conn.PgConn()) {
		return driver.ErrBadConn
	}
	return nil
}

// explain says in words of our own why there is no connection. The driver's name
// every address twice.
func (a *attempt) explain(ctx context.Context, err error) error {
	connecting, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok || ctx.Err() != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if answer, ok := errors.AsType[*pgconn.PgError](connecting); ok {
		a.refused = append(a.refused, fmt.Errorf("the database refuses the connection: %w", answer))
	}
	if cause, ok := errors.AsType[*tls.CertificateVerificationError](connecting); ok {
		a.refused = append(a.refused, fmt.Errorf("the database's TLS certificate is not trusted: %w; check sslrootcert", cause.Err))
	}
	switch {
	case len(a.refused) > 0:
	case pgconn.Timeout(connecting): // ours, not the caller's
		a.refused = append(a.refused, fmt.Errorf("no answer from the database within %s", a.e.c.limits.connect))
	default:
		return connecting
	}
	return &refusals{a.refused}
}

// refusals are why no host would do.
type refusals struct{ each []error }

func (r *refusals) Error() string {
	texts := make([]string, len(r.each))
	for i, err := range r.each {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns each reason.
func (r *refusals) Unwrap() []error { return r.each }

// lockDatabase takes the advisory lock for as long as the connection lives. A
// process that was just killed may hold it for a moment.
func (e *Engine) lockDatabase(ctx context.Context, conn *pgx.Conn) error {
	take := `SELECT pg_advisory_lock($1)`
	if e.c.Shared {
		take = `SELECT pg_advisory_lock_shared($1)`
	}
	_, err := conn.Exec(ctx, take, lockKey)
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == codeLockTimeout {
		return errInUse
	}
	return err
}
