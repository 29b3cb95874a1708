package site

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

const webSecretFile = "web-client-secret"

// ServerDir is sallyd's folder.
func (s *Site) ServerDir() string { return s.Dir.Path("sallyd") }

// PinFile is what people get out of band.
func (s *Site) PinFile() string { return filepath.Join(s.ServerDir(), "pin.txt") }

// Init makes sallyd's folder and keys, and adds to its settings.
func (s *Site) Init(ctx context.Context) error {
	argv := []string{"sallyd", "init", s.ServerDir(), "--origin", Origin, "--listen", s.listens().Addr()}
	if s.front != nil {
		argv = append(argv, "--url", s.URL())
	}
	if _, err := s.Operator.Must(ctx, slices.Concat(argv, s.vaultFlags(), s.databaseFlags(), s.markFlags())...); err != nil {
		return err
	}
	return s.configure()
}

// configure adds to the configuration the secret of the web client at the
// identity provider, and what this site wants beside the usual.
func (s *Site) configure() (err error) {
	f, err := os.OpenFile(filepath.Join(s.ServerDir(), "config.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = fmt.Fprintf(f, "issuers:\n  %s/lab:\n    web_secret_file: %s\n", ContractID, strconv.Quote(s.Dir.Path(webSecretFile)))
	if err == nil && s.cfg.Settings != "" {
		_, err = fmt.Fprintln(f, s.cfg.Settings)
	}
	if err == nil && s.cosigner != nil {
		_, err = fmt.Fprintf(f, "cosigners:\n  %s: {url: %q}\n", CosignerName, "http://"+s.cosigner.port.Addr())
	}
	if err == nil && s.figures != nil {
		_, err = fmt.Fprintf(f, "metrics: {listen: %q}\n", s.figures.Addr())
	}
	return err
}

// AddContract hands the signed contract to sallyd.
func (s *Site) AddContract(ctx context.Context) (lab.Result, error) {
	return s.Operator.Run(ctx, "sallyd", "contract", "add", s.ContractDir(), "--dir", s.ServerDir())
}

// AddHost enters a host in the inventory.
func (s *Site) AddHost(ctx context.Context, name string) error {
	h := s.Hosts[name]
	_, err := s.Operator.Must(ctx, "sallyd", "hosts", "add", name, "--addr", h.Addr(), "--host-key", h.HostKeyFile(),
		"--label", "env=demo", "--dir", s.ServerDir())
	return err
}

// fragmentDir is the host's own /etc/ssh/sallyport.
func (s *Site) fragmentDir(name string) string {
	return filepath.Join(s.Hosts[name].Dir(), "sallyport")
}

// ConfigureHost lets sallyd write the host's sshd fragment.
func (s *Site) ConfigureHost(ctx context.Context, name string) error {
	_, err := s.Operator.Must(ctx, "sallyd", "hosts", "config", name, "--out", s.fragmentDir(name), "--dir", s.ServerDir())
	return err
}

// StartHost starts the host's sshd with the fragment.
func (s *Site) StartHost(ctx context.Context, name string) error {
	h := s.Hosts[name]
	fragment := filepath.Join(s.fragmentDir(name), "sallyport.conf")
	s.cfg.Tell.Typed("operator", s.line([]string{"sshd", "-D", "-e", "-f", filepath.Join(h.Dir(), "sshd_config")}))
	if err := h.Start(ctx, fragment); err != nil {
		return err
	}
	line, err := h.WaitLog(ctx, "Server listening")
	s.cfg.Tell.Answered(line)
	return err
}

// Serve starts sallyd and returns when it serves.
func (s *Site) Serve(ctx context.Context) error {
	task, err := s.Launch(ctx)
	if err != nil {
		return err
	}
	return task.serves(ctx, s.URL())
}

// serves waits until a sallyd serves.
func (k *Task) serves(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, err := k.Expect(ctx, "serving "+url)
	return err
}

// StopServing ends sallyd as a service manager does, and demands that it ends
// well.
func (s *Site) StopServing() error {
	s.cfg.Tell.Typed("operator", "kill -TERM "+strconv.Itoa(s.server.PID())+" # sallyd")
	if err := s.server.Stop(); err != nil {
		return err
	}
	if code := s.server.Code(); code != 0 {
		return fmt.Errorf("sallyd ended with exit code %d:\n%s", code, lab.Tail(s.server.Log(), 10))
	}
	return nil
}

// Signal sends sallyd a signal.
func (s *Site) Signal(sig syscall.Signal) error { return syscall.Kill(s.server.PID(), sig) }

// Launch starts sallyd and returns at once.
func (s *Site) Launch(ctx context.Context) (*Task, error) {
	if s.figures != nil {
		if err := s.figures.Release(); err != nil {
			return nil, err
		}
	}
	task, err := s.launch(ctx, s.listens(), s.ServerDir())
	if err != nil {
		return nil, err
	}
	s.server = task.Process
	return task, nil
}

func (s *Site) launch(ctx context.Context, port *lab.Port, dir string) (*Task, error) {
	if err := port.Release(); err != nil {
		return nil, err
	}
	return s.Operator.Start(ctx, "sallyd", "serve", "--dir", dir)
}

// Kill ends sallyd as a crash would (SIGKILL). Serve starts it again.
func (s *Site) Kill() { s.server.Kill() }

// SetUp does everything up to a serving sallyd with both hosts running.
func (s *Site) SetUp(ctx context.Context) error {
	acts := []func(context.Context) error{
		s.Init,
		s.MakeCosigner,
		func(context.Context) error { return s.WriteContract() },
		s.SignContract,
		func(ctx context.Context) error {
			r, err := s.AddContract(ctx)
			if err != nil {
				return err
			}
			return Exit(r, 0, "sallyd contract add")
		},
	}
	for _, name := range s.HostNames() {
		for _, act := range []func(context.Context, string) error{s.AddHost, s.ConfigureHost, s.StartHost} {
			acts = append(acts, func(ctx context.Context) error { return act(ctx, name) })
		}
	}
	for _, act := range append(acts, s.Serve) {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ServerPID is the process id of the sallyd that Serve started.
func (s *Site) ServerPID() int { return s.server.PID() }

// ServerLog is the file that sallyd writes its log to.
func (s *Site) ServerLog() string { return s.server.LogFile() }

// ServerDone is closed when the sallyd that Serve started has ended.
func (s *Site) ServerDone() <-chan struct{} { return s.server.Done() }

// HostNames lists the hosts in order.
func (s *Site) HostNames() []string { return sortedKeys(s.Hosts) }

// Log is what one server wrote.
type Log struct{ Name, Text string }

// Logs are the last lines of sallyd and of each sshd that was started.
func (s *Site) Logs(lines int) []Log {
	var logs []Log
	if s.server != nil {
		logs = append(logs, Log{"sallyd", lab.Tail(s.server.Log(), lines)})
	}
	if s.Vault != nil {
		logs = append(logs, Log{"Vault", lab.Tail(s.Vault.Log(), lines)})
	}
	if s.Postgres != nil && s.Postgres.PID() != 0 {
		logs = append(logs, Log{"PostgreSQL", lab.Tail(s.Postgres.Log(), lines)})
	}
	for _, name := range s.HostNames() {
		if h := s.Hosts[name]; h.PID() != 0 {
			logs = append(logs, Log{"sshd of " + name, lab.Tail(h.Log(), lines)})
		}
	}
	for _, name := range sortedKeys(s.Joined) {
		h := s.Joined[name]
		logs = append(logs, Log{"sshd of " + name, lab.Tail(h.sshd.Log(), lines)}, Log{"sally-host of " + name, lab.Tail(h.VerifierLog(), lines)})
		if h.Agent != nil {
			logs = append(logs, Log{"sally-host agent of " + name, lab.Tail(h.Agent.Log(), lines)})
		}
	}
	return logs
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
