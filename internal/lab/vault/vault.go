// Package vault owns a real HashiCorp Vault for tests and the demo: on loopback,
// with TLS by a certificate of its own, file storage, initialised and unsealed by
// us. It is no -dev server, which could not be sealed and unsealed again.
//
// scripts/vault.sh builds the program, outside of the tree and not for the
// product: Vault is under the Business Source License.
package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	vaultapi "github.com/hashicorp/vault/api"

	"github.com/sallyport/sallyport/internal/lab"
)

// ProgramVar names the variable that says where the program is, so that each
// test need not ask scripts/vault.sh.
const ProgramVar = "SALLYPORT_VAULT"

// Mount is where the transit engine is mounted.
const Mount = "transit"

// Key is a key of the transit engine.
type Key struct {
	Name string
	Type string // ed25519, ecdsa-p256, …
}

// startTimeout is for a server that starts on a busy machine.
const startTimeout = time.Minute

// Server is a running Vault. Its acts are called from one goroutine.
type Server struct {
	dir    string
	port   *lab.Port
	proc   *lab.Process
	root   *vaultapi.Client
	unseal string // the one key share
}

// Program returns the path of the program: what SALLYPORT_VAULT names, else what
// scripts/vault.sh finds or builds.
func Program(ctx context.Context) (string, error) {
	if path := os.Getenv(ProgramVar); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s: %w", ProgramVar, err)
		}
		return path, nil
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	script := filepath.Join(filepath.Dir(strings.TrimSpace(string(out))), "scripts", "vault.sh")
	r, err := lab.Run(ctx, lab.Command{Path: script})
	if err == nil && r.Code != 0 {
		err = errors.New(strings.TrimSpace(r.Output))
	}
	if err != nil {
		return "", fmt.Errorf("scripts/vault.sh: %w", err)
	}
	return strings.TrimSpace(r.Stdout), nil
}

// Start starts a Vault whose files lie in dir, which exists, and returns when it
// is unsealed and has the keys, none of which can leave it. ctx covers only the
// start. Whoever starts one closes it.
func Start(ctx context.Context, dir string, keys ...Key) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s := &Server{dir: dir}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.setUp(ctx, keys); err != nil {
		return nil, errors.Join(fmt.Errorf("setting Vault up: %w", err), s.Close())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	program, err := Program(ctx)
	if err != nil {
		return err
	}
	if s.port, err = lab.ReservePort(ctx); err != nil {
		return err
	}
	if err := lab.WriteTLS(s.dir); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("vault.hcl"), []byte(s.config()), 0o600); err != nil {
		return err
	}
	if s.root, err = s.Client(""); err != nil {
		return err
	}
	if err := s.port.Release(); err != nil {
		return err
	}
	s.proc, err = lab.Start(ctx, s.file("vault.log"), lab.Command{
		Path: program, Args: []string{"server", "-config", s.file("vault.hcl")}, Dir: s.dir,
		Env: []string{"HOME=" + s.dir, "PATH=/usr/local/bin:/usr/bin:/bin"},
	})
	return err
}

// config is Vault's. It keeps no memory locked: nothing in it is a secret worth
// more than the test.
func (s *Server) config() string {
	return fmt.Sprintf(`
storage "file" { path = %[1]q }
listener "tcp" {
  address       = %[2]q
  tls_cert_file = %[3]q
  tls_key_file  = %[4]q
}
api_addr           = %[5]q
disable_mlock      = true
disable_clustering = true
log_level          = "warn"
`, s.file("storage"), s.port.Addr(), s.file(lab.TLSCertificate), s.file(lab.TLSKey), s.Address())
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// Address is Vault's URL.
func (s *Server) Address() string { return "https://" + s.port.Addr() }

// CAFile holds who vouches for its TLS certificate.
func (s *Server) CAFile() string { return s.file(lab.TLSAuthority) }

// Addr is where it listens, as 127.0.0.1:N.
func (s *Server) Addr() string { return s.port.Addr() }

// PID is its process id, 0 before it was started.
func (s *Server) PID() int {
	if s.proc == nil {
		return 0
	}
	return s.proc.PID()
}

// Log is what the server wrote.
func (s *Server) Log() string { return s.proc.Log() }

// Root is a client with every right.
func (s *Server) Root() *vaultapi.Client { return s.root }

// Client returns a client with a token, none if it is empty.
func (s *Server) Client(token string) (*vaultapi.Client, error) {
	config := vaultapi.DefaultConfig()
	if config.Error != nil {
		return nil, config.Error
	}
	config.Address, config.MaxRetries = s.Address(), 0
	if err := config.ConfigureTLS(&vaultapi.TLSConfig{CACert: s.CAFile()}); err != nil {
		return nil, err
	}
	c, err := vaultapi.NewClient(config)
	if err != nil {
		return nil, err
	}
	c.SetToken(token)
	return c, nil
}

func (s *Server) setUp(ctx context.Context, keys []Key) error {
	if err := s.wait(ctx, "its answer", func(h *vaultapi.HealthResponse) bool { return h != nil }); err != nil {
		return err
	}
	made, err := s.root.Sys().InitWithContext(ctx, &vaultapi.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return err
	}
	s.unseal = made.KeysB64[0]
	s.root.SetToken(made.RootToken)
	if err := s.Unseal(ctx); err != nil {
		return err
	}
	if err := s.root.Sys().MountWithContext(ctx, Mount, &vaultapi.MountInput{Type: "transit"}); err != nil {
		return err
	}
	for _, k := range keys {
		if err := s.NewKey(ctx, k, nil); err != nil {
			return err
		}
	}
	return nil
}

// wait waits until the health is as wanted; it is nil while there is no answer.
func (s *Server) wait(ctx context.Context, what string, ready func(*vaultapi.HealthResponse) bool) error {
	return lab.Poll(ctx, "Vault: "+what, func() (bool, error) {
		select {
		case <-s.proc.Done():
			return false, fmt.Errorf("%w: %s", lab.ErrExited, lab.Tail(s.proc.Log(), 10))
		default:
		}
		h, err := s.root.Sys().HealthWithContext(ctx)
		if err != nil {
			h = nil // not yet; the deadline says when that is wrong
		}
		return ready(h), nil
	})
}

// NewKey makes a key. Its options are those of transit/keys/NAME.
func (s *Server) NewKey(ctx context.Context, k Key, options map[string]any) error {
	body := map[string]any{"type": k.Type, "exportable": false, "allow_plaintext_backup": false}
	for name, value := range options {
		body[name] = value
	}
	_, err := s.root.Logical().WriteWithContext(ctx, Mount+"/keys/"+k.Name, body)
	return err
}

// KVMount is where MountKV mounts the KV engine.
const KVMount = "secret"

// MountKV mounts a KV engine of version 2 and returns when it takes writes.
func (s *Server) MountKV(ctx context.Context) error {
	input := &vaultapi.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}
	if err := s.root.Sys().MountWithContext(ctx, KVMount, input); err != nil {
		return err
	}
	return lab.Poll(ctx, "Vault: its KV engine", func() (bool, error) {
		_, err := s.root.Logical().ReadWithContext(ctx, KVMount+"/config")
		return err == nil, nil // it is being upgraded; the deadline says when that takes too long
	})
}

// KVPolicy is what a service needs that reads and writes one value, and no more.
func KVPolicy(path string) string {
	return fmt.Sprintf("path \"%s/data/%s\" { capabilities = [\"create\", \"read\", \"update\"] }\n", KVMount, path)
}

// Rotate makes another version of a key.
func (s *Server) Rotate(ctx context.Context, key string) error {
	_, err := s.root.Logical().WriteWithContext(ctx, Mount+"/keys/"+key+"/rotate", nil)
	return err
}

// Policy is what the service that signs with a key needs, and no more.
func Policy(key string) string {
	return fmt.Sprintf("path \"%[1]s/sign/%[2]s\" { capabilities = [\"update\"] }\npath \"%[1]s/keys/%[2]s\" { capabilities = [\"read\"] }\n", Mount, key)
}

// Token makes a token that may sign with one key and nothing else, beside what
// Vault's default policy lets every token do to itself. It lives for period and
// can be renewed.
func (s *Server) Token(ctx context.Context, key string, period time.Duration) (string, error) {
	return s.NewToken(ctx, "sign-"+key, Policy(key), period)
}

// NewToken makes a token that may do what the policy says, which is kept under
// name. It lives for period and can be renewed.
func (s *Server) NewToken(ctx context.Context, name, policy string, period time.Duration) (string, error) {
	if err := s.root.Sys().PutPolicyWithContext(ctx, name, policy); err != nil {
		return "", err
	}
	made, err := s.root.Auth().Token().CreateOrphanWithContext(ctx, &vaultapi.TokenCreateRequest{
		Policies: []string{name}, Period: strconv.Itoa(int(period.Seconds())) + "s", DisplayName: "sallyd",
	})
	if err != nil {
		return "", err
	}
	return made.Auth.ClientToken, nil
}

// WriteToken puts a token into a file of mode 0600.
func WriteToken(path, token string) error {
	return errors.Join(os.WriteFile(path, []byte(token+"\n"), 0o600), os.Chmod(path, 0o600))
}

// Revoke ends a token.
func (s *Server) Revoke(ctx context.Context, token string) error {
	return s.root.Auth().Token().RevokeTreeWithContext(ctx, token)
}

// Seal seals Vault: it forgets how to read its storage.
func (s *Server) Seal(ctx context.Context) error {
	if err := s.root.Sys().SealWithContext(ctx); err != nil {
		return err
	}
	return s.wait(ctx, "the seal", func(h *vaultapi.HealthResponse) bool { return h != nil && h.Sealed })
}

// Unseal opens it again, and returns when it serves.
func (s *Server) Unseal(ctx context.Context) error {
	if _, err := s.root.Sys().UnsealWithContext(ctx, s.unseal); err != nil {
		return err
	}
	return s.wait(ctx, "the end of the seal", func(h *vaultapi.HealthResponse) bool {
		return h != nil && h.Initialized && !h.Sealed && !h.Standby
	})
}

// OtherCA writes the certificate of an authority that vouches for no server of
// ours into a folder, and returns its file.
func OtherCA(dir string) (string, error) {
	return filepath.Join(dir, lab.TLSAuthority), lab.WriteTLS(dir)
}

// Pause stops the process in its tracks: connections stay open, no answer comes.
func (s *Server) Pause(ctx context.Context) error { return s.proc.Pause(ctx) }

// Resume lets a paused process go on.
func (s *Server) Resume() error { return s.proc.Resume() }

// Close ends the server, paused or not. Its files stay. It may be called again.
func (s *Server) Close() error {
	var errs []error
	if s.proc != nil {
		errs = append(errs, s.Resume()) // else it would not hear that it shall end
		errs = append(errs, s.proc.Stop())
	}
	if s.port != nil {
		errs = append(errs, s.port.Release())
	}
	return errors.Join(errs...)
}
