package site

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/internal/lab"
)

// Replica is one more sallyd on the site's database.
type Replica struct {
	site *Site
	dir  string
	port *lab.Port
	proc *lab.Process
}

// AddReplica makes a folder like the site's own, as an operator copies it to
// another machine.
func (s *Site) AddReplica(ctx context.Context, name string) (*Replica, error) {
	if len(s.spare) == 0 {
		return nil, errors.New("the site has no more replicas")
	}
	r := &Replica{site: s, dir: s.Dir.Path(name), port: s.spare[0]}
	s.spare = s.spare[1:]
	if _, err := s.Operator.Must(ctx, "cp", "-r", s.ServerDir(), r.dir); err != nil {
		return nil, err
	}
	file := filepath.Join(r.dir, "config.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return r, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), s.port.Addr(), r.port.Addr())), 0o600)
}

// URL is where it serves.
func (r *Replica) URL() string { return "http://" + r.port.Addr() }

// Serve starts it and returns when it serves.
func (r *Replica) Serve(ctx context.Context) error {
	task, err := r.site.launch(ctx, r.port, r.dir)
	if err != nil {
		return err
	}
	r.proc = task.Process
	return task.serves(ctx, r.URL())
}

// Kill ends it as a crash would (SIGKILL).
func (r *Replica) Kill() { r.proc.Kill() }

// Pause stops it in its tracks.
func (r *Replica) Pause(ctx context.Context) error { return r.proc.Pause(ctx) }

// Resume lets it go on.
func (r *Replica) Resume() error { return r.proc.Resume() }

// Log is what it wrote since it was started last.
func (r *Replica) Log() string { return r.proc.Log() }
