package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/store"
)

// A server that could lose what it acknowledged, or is none that we work with, is
// refused with one sentence.
func TestPromiseP11_UnsafeServersAreRefused(t *testing.T) {
	t.Parallel()
	demanded := writing.demanded(defaults)
	for _, tt := range []struct {
		name   string
		change func(*told)
		accept bool
		want   error
		text   string // in the refusal
	}{
		{name: "a good one", change: func(*told) {}},
		{name: "waits until the standby applied it", change: func(s *told) { s.durability.commit = "remote_apply" }},
		{name: "no standby, accepted", change: func(s *told) { s.durability.standbys = "" }, accept: true},
		{name: "no standby", change: func(s *told) { s.durability.standbys = " " }, want: store.ErrUnsafe, text: "accept_asynchronous"},
		{name: "nothing is synced", change: func(s *told) { s.durability.fsync = "off" }, accept: true, want: store.ErrUnsafe, text: "fsync=off"},
		{name: "pages may be torn", change: func(s *told) { s.durability.pages = "off" }, accept: true, want: store.ErrUnsafe, text: "full_page_writes=off"},
		{name: "acknowledged first", change: func(s *told) { s.durability.commit = "off" }, accept: true, want: store.ErrUnsafe, text: "synchronous_commit=off"},
		{name: "local only", change: func(s *told) { s.durability.commit = "local" }, accept: true, want: store.ErrUnsafe, text: "synchronous_commit=local"},
		{name: "in the standby's memory only", change: func(s *told) { s.durability.commit = "remote_write" }, want: store.ErrUnsafe, text: "remote_write"},
		{name: "too old", change: func(s *told) { s.version = "140012" }, want: store.ErrSchema, text: "PostgreSQL 14, 15 or newer"},
		{name: "no version", change: func(s *told) { s.version = "x" }, want: store.ErrSchema, text: "15 or newer"},
		{name: "a standby", change: func(s *told) { s.recovering, s.timeline = "t", "0" }, want: store.ErrUnavailable, text: "is a standby"},
		{name: "read-only", change: func(s *told) { s.readOnly = "on" }, want: store.ErrUnavailable, text: "takes no writes"},
		{name: "another encoding", change: func(s *told) { s.encoding = "SQL_ASCII" }, want: store.ErrSchema, text: "SQL_ASCII"},
		{name: "waits for locks for ever", change: func(s *told) { s.lock = "0" }, want: store.ErrUnsafe, text: "lock_timeout=0, not 5000"},
		{name: "statements take for ever", change: func(s *told) { s.statement = "0" }, want: store.ErrUnsafe, text: "statement_timeout=0"},
		{name: "a frozen process holds the head", change: func(s *told) { s.idle = "0" }, want: store.ErrUnsafe, text: "pooler"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := told{
				version: "150018", recovering: "f", readOnly: "off", encoding: "UTF8", system: "7", timeline: "0000000A",
				durability: durability{"on", "on", "on", "ANY 1 (a, b)"}, lock: "5000", statement: "10000", idle: "10000",
			}
			tt.change(&s)
			got, err := s.check(demanded, tt.accept)
			if !errors.Is(err, tt.want) || (err != nil) != (tt.want != nil) || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("%v, want %v with %q", err, tt.want, tt.text)
			}
			if err == nil && got != (server{"7", 10}) {
				t.Errorf("it is %+v", got)
			}
		})
	}
}

// What a session is set to is read from the live one.
func TestPromiseP11_SettingsAreReadBack(t *testing.T) {
	t.Parallel()
	c := newDatabase(t, cluster, template)
	name := databaseOf(t, c)
	newProcess(t, c, time.Minute).setup()
	db, err := cluster.AdminOf(name)
	must(t, err)
	defer func() { must(t, db.Close()) }()
	set := func(setting, value string) {
		t.Helper()
		_, err := db.ExecContext(t.Context(), fmt.Sprintf("ALTER DATABASE %s SET %s = '%s'", name, setting, value))
		must(t, err)
	}
	for setting, value := range map[string]string{"synchronous_commit": "off", "default_transaction_read_only": "on"} {
		set(setting, value)
		if _, err := Open(t.Context(), c); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s=%s: %v", setting, value, err)
		}
		set(setting, "on")
		set("default_transaction_read_only", "off")
	}
	// The timeouts are the session's own, whatever the database says.
	for _, name := range []string{"lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"} {
		set(name, "0")
	}
	e := opened(t, c)
	tx, err := e.Read(t.Context())
	must(t, err)
	for name, want := range reading.demanded(defaults) {
		var have int64
		must(t, tx.QueryRowContext(t.Context(), `SELECT setting FROM pg_settings WHERE name = $1`, name).Scan(&have))
		if have != want {
			t.Errorf("%s is %d, want %d", name, have, want)
		}
	}
	must(t, errors.Join(tx.Rollback(), e.Close()))
	c.AcceptAsynchronous = false
	if _, err := Open(t.Context(), c); !errors.Is(err, store.ErrUnsafe) || strings.Contains(err.Error(), "\n") {
		t.Errorf("at a start: %v", err)
	}
}

// Another cluster, and a primary that a standby has replaced, are not gone back
// to.
func TestPromiseP11_OldTimelinesAreRefused(t *testing.T) {
	t.Parallel()
	e := &Engine{}
	for _, tt := range []struct {
		name string
		s    server
		want error
	}{
		{"the first", server{"a", 3}, nil},
		{"again", server{"a", 3}, nil},
		{"another cluster", server{"b", 3}, store.ErrUnavailable},
		{"a promoted standby", server{"a", 4}, nil},
		{"the old primary", server{"a", 3}, store.ErrUnavailable},
		{"another cluster, further on", server{"b", 9}, store.ErrUnavailable},
	} {
		wants(t, tt.name, e.follow(tt.s), tt.want)
	}
}
