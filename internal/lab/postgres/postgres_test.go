package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/postgres"
)

func workspace(t *testing.T) *lab.Dir {
	t.Helper()
	w, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Remove(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func closes(t *testing.T, c *postgres.Cluster) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if c.PID() != 0 && lab.Alive(c.PID()) {
			t.Error("PostgreSQL still runs")
		}
		if !lab.PortClosed(context.Background(), c.Addr()) {
			t.Error("somebody listens on its port")
		}
	})
}

// dial tries one connection.
func dial(ctx context.Context, address string) error {
	db, err := sql.Open("pgx", address)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // it was only a question
	return db.PingContext(ctx)
}

// TestCluster: sallyd's role comes in over TLS with its password and in no other
// way; a standby follows, commits wait for it, and it can take over.
func TestCluster(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := workspace(t)
	c, err := postgres.Start(ctx, w, "primary")
	if err != nil {
		t.Fatal(err)
	}
	closes(t, c)
	name, err := c.NewDatabase(ctx, "template1")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(c.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	with := func(user *url.Userinfo, options string) string {
		other := *u
		other.User = user
		if options != "" {
			other.RawQuery = options
		}
		return other.String()
	}
	sallyd := url.UserPassword("sallyd", c.Password())
	if err := dial(ctx, with(sallyd, "")); err != nil {
		t.Errorf("sallyd with its password: %v", err)
	}
	for what, address := range map[string]string{
		"without a password":    with(url.User("sallyd"), ""),
		"with another password": with(url.UserPassword("sallyd", "x"), ""),
		"without TLS":           with(sallyd, "sslmode=disable"),
		"as the superuser":      with(url.User("postgres"), ""),
		"trusting other CAs":    with(sallyd, "sslmode=verify-full&sslrootcert=/dev/null"),
		"another server's name": fmt.Sprintf("host=localhost port=%s user=sallyd password=%s dbname=%s sslmode=verify-full sslrootcert=%s", u.Port(), c.Password(), name, u.Query().Get("sslrootcert")),
	} {
		if err := dial(ctx, address); err == nil {
			t.Errorf("%s one gets in", what)
		}
	}
	if os.Geteuid() == 0 {
		if info, err := os.Stat(w.Path("primary", "s")); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("the socket's folder: %v, %v", info, err)
		}
	}

	standby, err := c.Standby(ctx, w, "standby")
	if err != nil {
		t.Fatal(err)
	}
	closes(t, standby)
	if err := c.Synchronous(ctx, "standby"); err != nil {
		t.Fatal(err)
	}
	if err := c.Exec(ctx, "CREATE TABLE t (n int)"); err != nil {
		t.Fatal(err)
	}
	if err := standby.Pause(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Exec(ctx, "INSERT INTO t VALUES (1)") }()
	if _, err := c.WaitSyncRep(ctx, "postgres"); err != nil {
		t.Fatal(err)
	}
	if err := standby.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.Kill()
	if err := standby.Promote(ctx); err != nil {
		t.Fatal(err)
	}
	db, err := standby.Admin()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRowContext(ctx, "SELECT n FROM t").Scan(&n); err != nil || n != 1 {
		t.Errorf("after the failover: %d, %v", n, err)
	}
	if err := c.Restart(ctx); err != nil {
		t.Errorf("the old primary does not come back: %v", err)
	}
}
