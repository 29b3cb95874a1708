// Package postgres owns real PostgreSQL clusters for tests and the demo: made by
// initdb in a workspace, on a free port of 127.0.0.1, with TLS and passwords, and
// with standbys where a test needs them. Nothing of the machine's own PostgreSQL
// is touched, it need not run.
package postgres

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab"
)

const (
	// startTimeout is for a cluster that is made on a busy machine.
	startTimeout = time.Minute
	// role is who sallyd is to the databases.
	role = "sallyd"
	// minVersion is the oldest release that is tested with.
	minVersion = 15
)

// Cluster is a running PostgreSQL server, the primary or a standby. Its methods
// may be called from several goroutines, those that start and end it apart.
type Cluster struct {
	dir      string // of files that only we read
	data     string
	socket   string // folder of its socket
	bin      string // folder of PostgreSQL's programs
	as       *syscall.Credential
	password string
	port     *lab.Port
	proc     *lab.Process

	databases atomic.Int64

	mu    sync.Mutex
	admin *sql.DB // guarded by mu; opened when it is first asked for
}

// Start makes a cluster below the workspace, and starts it. ctx covers only the
// start. Whoever starts one closes it.
func Start(ctx context.Context, w *lab.Dir, name string) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := prepare(ctx, w, name)
	if err != nil {
		return nil, err
	}
	password, err := canon.NewID(rand.Reader)
	if err != nil {
		return nil, err
	}
	c.password = string(password)
	// A locale that sorts as people do: no order that the store relies on may be
	// the database's own.
	if err := c.run(ctx, "initdb", "-D", c.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync",
		"--no-instructions", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"); err != nil {
		return nil, err
	}
	if err := lab.WriteTLS(c.dir); err != nil {
		return nil, err
	}
	if err := c.configure(""); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := c.Exec(ctx, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", role, c.password)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// prepare makes the folders of a cluster and takes a port.
func prepare(ctx context.Context, w *lab.Dir, name string) (*Cluster, error) {
	c := &Cluster{}
	var err error
	if c.bin, err = programs(); err != nil {
		return nil, err
	}
	if c.as, err = unprivileged(); err != nil {
		return nil, err
	}
	if c.dir, err = w.Mkdir(0o755, name); err != nil {
		return nil, err
	}
	for into, folder := range map[*string]string{&c.data: "data", &c.socket: "s"} {
		if *into, err = w.Mkdir(0o700, name, folder); err != nil {
			return nil, err
		}
		if c.as != nil {
			if err := os.Chown(*into, int(c.as.Uid), int(c.as.Gid)); err != nil {
				return nil, err
			}
		}
	}
	c.port, err = lab.ReservePort(ctx)
	return c, err
}

// programs finds the newest PostgreSQL that is installed. Distributions keep
// several side by side, and out of the PATH.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	newest := 0
	for _, path := range found {
		if n, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))); err == nil {
			newest = max(newest, n)
		}
	}
	if newest < minVersion {
		return "", fmt.Errorf("PostgreSQL %d or newer is not installed; scripts/deps.sh installs what the tests and the demo need", minVersion)
	}
	return fmt.Sprintf("/usr/lib/postgresql/%d/bin", newest), nil
}

// unprivileged is whom a cluster runs as: it refuses to be root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // ourselves
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("finding whom PostgreSQL runs as: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// configure writes what the server shall listen on, and who may connect how.
// Without a password one comes in through the socket only, whose folder is
// private. more are further lines of its settings.
func (c *Cluster) configure(more string) error {
	for name, mode := range map[string]os.FileMode{lab.TLSCertificate: 0o644, lab.TLSAuthority: 0o644, lab.TLSKey: 0o600} {
		if err := os.Chmod(c.file(name), mode); err != nil {
			return err
		}
	}
	if c.as != nil {
		if err := os.Chown(c.file(lab.TLSKey), int(c.as.Uid), int(c.as.Gid)); err != nil {
			return err
		}
	}
	if err := c.write("pg_hba.conf", "local all all trust\nlocal replication all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"); err != nil {
		return err
	}
	return c.write("postgresql.auto.conf", fmt.Sprintf(`listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
ssl = on
ssl_cert_file = '%s'
ssl_key_file = '%s'
max_connections = 200
shared_buffers = 32MB
%s`, c.port.Number(), c.socket, c.file(lab.TLSCertificate), c.file(lab.TLSKey), more))
}

// write puts a file into the data folder.
func (c *Cluster) write(name, text string) error {
	path := filepath.Join(c.data, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if c.as == nil {
		return nil
	}
	return os.Chown(path, int(c.as.Uid), int(c.as.Gid))
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.port.Release(); err != nil {
		return err
	}
	var err error
	if c.proc, err = lab.Start(ctx, c.file("log"), c.command("postgres", "-D", c.data)); err != nil {
		return err
	}
	return c.wait(ctx)
}

// wait waits until the server answers.
func (c *Cluster) wait(ctx context.Context) error {
	return lab.Poll(ctx, "PostgreSQL: its answer", func() (bool, error) {
		select {
		case <-c.proc.Done():
			return false, fmt.Errorf("%w: %s", lab.ErrExited, lab.Tail(c.proc.Log(), 10))
		default:
		}
		db, err := c.Admin()
		return err == nil && db.PingContext(ctx) == nil, err
	})
}

func (c *Cluster) command(program string, args ...string) lab.Command {
	return lab.Command{
		Path: filepath.Join(c.bin, program), Args: args, Dir: c.dir, As: c.as,
		Env: []string{"HOME=" + c.data, "PATH=" + c.bin + ":/usr/bin:/bin", "LC_ALL=C.UTF-8", "TZ=UTC"},
	}
}

// run runs one of PostgreSQL's programs to its end.
func (c *Cluster) run(ctx context.Context, program string, args ...string) error {
	r, err := lab.Run(ctx, c.command(program, args...))
	if err == nil && r.Code != 0 {
		err = errors.New(strings.TrimSpace(r.Output))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return nil
}

func (c *Cluster) file(name string) string { return filepath.Join(c.dir, name) }

// Admin is a pool of connections of the superuser, through the socket. Close ends
// it.
func (c *Cluster) Admin() (*sql.DB, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.admin == nil {
		var err error
		if c.admin, err = c.AdminOf("postgres"); err != nil {
			return nil, err
		}
		c.admin.SetMaxOpenConns(4)
	}
	return c.admin, nil
}

// AdminOf is a pool of connections of the superuser to one database. Whoever asks
// for it closes it.
func (c *Cluster) AdminOf(database string) (*sql.DB, error) {
	return sql.Open("pgx", fmt.Sprintf("host=%s port=%d user=postgres dbname=%s sslmode=disable", c.socket, c.port.Number(), database))
}

// Exec runs statements as the superuser, one by one.
func (c *Cluster) Exec(ctx context.Context, statements ...string) error {
	db, err := c.Admin()
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%.60s: %w", s, err)
		}
	}
	return nil
}

// NewDatabase makes a database that sallyd's role owns, as a copy of another, to
// which nobody is connected ("template1" is empty), and returns its name.
func (c *Cluster) NewDatabase(ctx context.Context, template string) (string, error) {
	name := fmt.Sprintf("sallyport_%d", c.databases.Add(1))
	return name, c.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE %s", name, role, template))
}

// NewDatabaseAt is NewDatabase in a folder of its own, on a small disk for example,
// which is empty and readable for its owner alone.
func (c *Cluster) NewDatabaseAt(ctx context.Context, template, folder string) (string, error) {
	if c.as != nil {
		if err := os.Chown(folder, int(c.as.Uid), int(c.as.Gid)); err != nil {
			return "", err
		}
	}
	name := fmt.Sprintf("sallyport_%d", c.databases.Add(1))
	return name, c.Exec(ctx, fmt.Sprintf("CREATE TABLESPACE %s_disk LOCATION '%s'", name, folder),
		fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE %s TABLESPACE %s_disk", name, role, template, name))
}

// URL is where sallyd finds a database; the password is not in it. If there are
// others, the database is at the first of all these that takes writes.
func (c *Cluster) URL(database string, others ...*Cluster) string {
	hosts := c.port.Addr()
	for _, o := range others {
		hosts += "," + o.port.Addr()
	}
	options := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {c.file(lab.TLSAuthority)}}
	return "postgres://" + role + "@" + hosts + "/" + database + "?" + options.Encode()
}

// Password is that of sallyd's role.
func (c *Cluster) Password() string { return c.password }

// Addr is where it listens, as 127.0.0.1:N.
func (c *Cluster) Addr() string { return c.port.Addr() }

// Socket is the socket through which one comes in without a password.
func (c *Cluster) Socket() string {
	return filepath.Join(c.socket, fmt.Sprintf(".s.PGSQL.%d", c.port.Number()))
}

// PID is its process id, 0 before it was started.
func (c *Cluster) PID() int {
	if c.proc == nil {
		return 0
	}
	return c.proc.PID()
}

// Log is what the server wrote.
func (c *Cluster) Log() string { return c.proc.Log() }

// Set changes settings as ALTER SYSTEM does, pairs of name and value, and returns
// when the server has taken them up.
func (c *Cluster) Set(ctx context.Context, settings ...string) error {
	for pair := range slices.Chunk(settings, 2) {
		if err := c.Exec(ctx, fmt.Sprintf("ALTER SYSTEM SET %s = '%s'", pair[0], pair[1])); err != nil {
			return err
		}
	}
	if err := c.Exec(ctx, "SELECT pg_reload_conf()"); err != nil {
		return err
	}
	db, err := c.Admin()
	if err != nil {
		return err
	}
	return lab.Poll(ctx, "PostgreSQL: its new settings", func() (bool, error) {
		for pair := range slices.Chunk(settings, 2) {
			var have string
			if err := db.QueryRowContext(ctx, "SELECT current_setting($1)", pair[0]).Scan(&have); err != nil || have != pair[1] {
				return false, err
			}
		}
		return true, nil
	})
}

// Pause stops the server in its tracks: connections stay open, no answer comes.
func (c *Cluster) Pause(ctx context.Context) error { return c.proc.Pause(ctx) }

// Resume lets a paused server go on.
func (c *Cluster) Resume() error { return c.proc.Resume() }

// Kill ends the server as a crash would.
func (c *Cluster) Kill() { c.proc.Kill() }

// Restart starts a server that has ended.
func (c *Cluster) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return c.start(ctx)
}

// Close ends the server, paused or not. Its files stay. It may be called again.
func (c *Cluster) Close() error {
	c.mu.Lock()
	admin := c.admin
	c.admin = nil
	c.mu.Unlock()
	var errs []error
	if admin != nil {
		errs = append(errs, admin.Close())
	}
	if c.proc != nil {
		// SIGQUIT ends it at once: it need not be fit to be started again, and a
		// standby that is away can't hold it up.
		errs = append(errs, c.proc.Resume(), c.proc.Signal(syscall.SIGQUIT), c.proc.Stop())
	}
	if c.port != nil {
		errs = append(errs, c.port.Release())
	}
	return errors.Join(errs...)
}
