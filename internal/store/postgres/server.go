package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/store"
)

// minVersion is the oldest server that is worked with.
const minVersion = 15

// server tells one server, and its past, from another.
type server struct {
	system   string // the system identifier that initdb drew
	timeline int64  // goes up with each promotion of a standby
}

const timelineKey = "timeline"

// durability are the settings on which it rests that what the server has
// acknowledged stays.
type durability struct{ fsync, pages, commit, standbys string }

const durabilityColumns = `current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'), current_setting('synchronous_standby_names')`

func (d *durability) into() []any { return []any{&d.fsync, &d.pages, &d.commit, &d.standbys} }

func (d *durability) check(acceptAsynchronous bool) error {
	refuse := func(text string) error { return fmt.Errorf("%w: %s", store.ErrUnsafe, text) }
	switch {
	case d.fsync != "on":
		return refuse("the server runs with fsync=" + d.fsync + "; set it on")
	case d.pages != "on":
		return refuse("the server runs with full_page_writes=" + d.pages + "; set it on")
	case d.commit != "on" && d.commit != "remote_apply":
		return refuse("commits are made with synchronous_commit=" + d.commit + "; set it on, for this role and this database too")
	case strings.TrimSpace(d.standbys) == "" && !acceptAsynchronous:
		return refuse("commits wait for no standby, so a failover would lose some that were acknowledged; " +
			"set synchronous_standby_names, or accept it with database.accept_asynchronous: true")
	}
	return nil
}

// told is what a server tells of itself and of a session, as text.
type told struct {
	version, recovering, readOnly, encoding string
	system, timeline                        string
	durability                              durability
	// What the session has of what is demanded, in milliseconds.
	lock, statement, idle string
}

// read asks the server.
func (t *told) read(ctx context.Context, conn *pgconn.PgConn) error {
	into := []any{&t.version, &t.recovering, &t.readOnly, &t.encoding, &t.system, &t.timeline}
	query := `SELECT current_setting('server_version_num'), pg_is_in_recovery(), current_setting('transaction_read_only'), current_setting('server_encoding'),
		(SELECT system_identifier FROM pg_control_system()),
		CASE WHEN pg_is_in_recovery() THEN '0' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END, ` + durabilityColumns
	into = append(into, t.durability.into()...)
	// pg_settings has them as numbers, current_setting with units.
	for _, name := range []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} {
		query += `, (SELECT setting FROM pg_settings WHERE name = '` + name + `')`
	}
	return scanOne(ctx, conn, query, append(into, &t.lock, &t.statement, &t.idle))
}

// check refuses a server or a session that must not be worked with.
func (t *told) check(demanded map[string]int64, acceptAsynchronous bool) (server, error) {
	version, err := strconv.Atoi(t.version)
	if err != nil || version < minVersion*10000 {
		return server{}, fmt.Errorf("%w: the server is PostgreSQL %d, %d or newer is needed", store.ErrSchema, version/10000, minVersion)
	}
	timeline, err := strconv.ParseInt(t.timeline, 16, 64)
	if err != nil {
		return server{}, fmt.Errorf("reading the timeline: %w", err)
	}
	switch {
	case t.recovering != "f":
		return server{}, fmt.Errorf("%w: the server is a standby", store.ErrUnavailable)
	case t.readOnly != "off":
		return server{}, fmt.Errorf("%w: the server takes no writes", store.ErrUnavailable)
	case t.encoding != "UTF8":
		return server{}, fmt.Errorf("%w: the database's encoding is %s, it has to be UTF8", store.ErrSchema, t.encoding)
	}
	for name, have := range map[string]string{"lock_timeout": t.lock, "statement_timeout": t.statement, "idle_in_transaction_session_timeout": t.idle} {
		if want := strconv.FormatInt(demanded[name], 10); have != want {
			return server{}, fmt.Errorf("%w: a session has %s=%s, not %s; connect to the server itself, not through a pooler", store.ErrUnsafe, name, have, want)
		}
	}
	return server{t.system, timeline}, t.durability.check(acceptAsynchronous)
}

// validate refuses a server that must not be worked with; then the next host is
// tried.
func (e *Engine) validate(ctx context.Context, conn *pgconn.PgConn, p purpose) error {
	var t told
	if err := t.read(ctx, conn); err != nil {
		return err
	}
	s, err := t.check(p.demanded(e.c.limits), e.c.AcceptAsynchronous)
	if err != nil {
		return err
	}
	conn.CustomData()[timelineKey] = s.timeline
	return e.follow(s)
}

// follow refuses a server whose past is not that of the newest one that was
// connected to: another cluster, or a primary that a standby has replaced.
func (e *Engine) follow(s server) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.seen.system != "" && s.system != e.seen.system:
		return fmt.Errorf("%w: the server is not the one that was connected to before (system identifier %s, before %s)", store.ErrUnavailable, s.system, e.seen.system)
	case s.timeline < e.seen.timeline:
		return fmt.Errorf("%w: the server is on timeline %d, a standby was promoted since to %d; end the old primary", store.ErrUnavailable, s.timeline, e.seen.timeline)
	}
	e.seen = s
	return nil
}

// outdated reports whether a standby was promoted since the connection was opened.
func (e *Engine) outdated(conn *pgconn.PgConn) bool {
	timeline, _ := conn.CustomData()[timelineKey].(int64)
	e.mu.Lock()
	defer e.mu.Unlock()
	return timeline < e.seen.timeline
}

// scanOne reads one row of text before the connection is handed out.
func scanOne(ctx context.Context, conn *pgconn.PgConn, query string, into []any) error {
	results, err := conn.Exec(ctx, query).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 || len(results[0].Rows[0]) != len(into) {
		return errors.New("postgres: the server's answer is of another form")
	}
	for i, value := range results[0].Rows[0] {
		text, ok := into[i].(*string)
		if !ok {
			return fmt.Errorf("postgres: column %d is no text", i)
		}
		*text = string(value)
	}
	return nil
}
