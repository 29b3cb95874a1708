// Package litewitness owns a real, independent witness for tests:
// filippo.io/torchwood's litewitness, with its key in a real ssh-agent.
//
// scripts/litewitness.sh builds the program, outside of the tree.
package litewitness

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/mattn/go-sqlite3" // witnessctl does not build here; two rows of its database are all that it would write
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger"
)

// ProgramVar names the variable that says where the program is.
const ProgramVar = "SALLYPORT_LITEWITNESS"

// Server is a running witness. Its acts are called from one goroutine.
type Server struct {
	dir   *lab.Dir
	name  string
	port  *lab.Port
	agent *lab.SSHAgent
	proc  *lab.Process
	key   ledger.CosignerKey
	print string // the key's fingerprint
}

// schema is the one that litewitness makes itself (v0.9.0), to put the log into
// it before the start.
const schema = `
CREATE TABLE IF NOT EXISTS log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));`

// Start starts a witness of one log whose files lie in dir. ctx covers only the
// start. Whoever starts one closes it.
func Start(ctx context.Context, dir *lab.Dir, name, origin, logKey string) (*Server, error) {
	s := &Server{dir: dir, name: name}
	if err := s.prepare(ctx, origin, logKey); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Run(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) prepare(ctx context.Context, origin, logKey string) (err error) {
	if s.agent, err = lab.StartAgent(ctx, s.dir, s.file("agent")); err != nil {
		return err
	}
	if err := s.newKey(ctx); err != nil {
		return err
	}
	if s.port, err = lab.ReservePort(ctx); err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", s.dir.Path(s.file("db")))
	if err != nil {
		return err
	}
	empty := ledger.EmptyCheckpoint(origin).Root
	_, err = db.ExecContext(ctx, schema)
	if err == nil {
		_, err = db.ExecContext(ctx, `INSERT INTO log (origin, tree_size, tree_hash) VALUES ($1, 0, $2)`, origin, empty.String())
	}
	if err == nil {
		_, err = db.ExecContext(ctx, `INSERT INTO key (origin, key) VALUES ($1, $2)`, origin, logKey)
	}
	return errors.Join(err, db.Close())
}

// newKey draws the witness's key and puts it into its agent.
func (s *Server) newKey(ctx context.Context) error {
	text, public, err := ledger.NewCosignerKey(rand.Reader, s.name)
	if err != nil {
		return err
	}
	if s.key, err = ledger.ParseCosignerKey(public); err != nil {
		return err
	}
	// The agent takes the key itself: the last part of the text, behind its type.
	raw, err := base64.StdEncoding.DecodeString(text[len(text)-base64.StdEncoding.EncodedLen(1+ed25519.SeedSize):])
	if err != nil {
		return err
	}
	private := ed25519.NewKeyFromSeed(raw[1:])
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return err
	}
	sshKey := signer.PublicKey()
	s.print = ssh.FingerprintSHA256(sshKey)
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", s.agent.Socket())
	if err != nil {
		return err
	}
	return errors.Join(agent.NewClient(conn).Add(agent.AddedKey{PrivateKey: &private}), conn.Close())
}

func (s *Server) file(what string) string {
	return strings.NewReplacer("/", "-").Replace(s.name) + "." + what
}

// Run starts the program, at first or after Stop.
func (s *Server) Run(ctx context.Context) error {
	program, err := program(ctx)
	if err != nil {
		return err
	}
	if err := s.port.Release(); err != nil {
		return err
	}
	s.proc, err = lab.Start(ctx, s.dir.Path(s.file("log")), lab.Command{Path: program, Args: []string{
		"-db", s.dir.Path(s.file("db")), "-ssh-agent", s.agent.Socket(), "-name", s.name, "-key", s.print, "-listen", s.port.Addr(),
	}})
	if err != nil {
		return err
	}
	return lab.Poll(ctx, "litewitness's port", func() (bool, error) {
		select {
		case <-s.proc.Done():
			return false, fmt.Errorf("litewitness: %w: %s", lab.ErrExited, lab.Tail(s.proc.Log(), 5))
		default:
		}
		return !lab.PortClosed(ctx, s.port.Addr()), nil
	})
}

func program(ctx context.Context) (string, error) {
	if path := os.Getenv(ProgramVar); path != "" {
		return path, nil
	}
	r, err := lab.Run(ctx, lab.Command{Path: "go", Args: []string{"env", "GOMOD"}})
	if err != nil {
		return "", err
	}
	script := filepath.Join(filepath.Dir(strings.TrimSpace(r.Stdout)), "scripts", "litewitness.sh")
	if r, err = lab.Run(ctx, lab.Command{Path: script}); err == nil && r.Code != 0 {
		err = errors.New(strings.TrimSpace(r.Output))
	}
	if err != nil {
		return "", fmt.Errorf("scripts/litewitness.sh: %w", err)
	}
	return strings.TrimSpace(r.Stdout), nil
}

// Key is the key by which its word is known.
func (s *Server) Key() ledger.CosignerKey { return s.key }

// URL is its submission prefix.
func (s *Server) URL() string { return "http://" + s.port.Addr() }

// Stop ends the program; what it has seen stays.
func (s *Server) Stop() error {
	if s.proc == nil {
		return nil
	}
	return s.proc.Stop()
}

// Close ends everything. It may be called again.
func (s *Server) Close() error {
	err := s.Stop()
	if s.agent != nil {
		err = errors.Join(err, s.agent.Stop())
	}
	if s.port != nil {
		err = errors.Join(err, s.port.Release())
	}
	return err
}
