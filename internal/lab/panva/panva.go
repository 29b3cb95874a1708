// Package panva owns the lab's second identity provider: npm's oidc-provider, in
// a process of its own. It is written by other people in another language than
// idp, and stricter, so what works with both works by the standard.
//
// scripts/npm.sh installs it, from the versions and digests in package-lock.json,
// into a folder of the user's cache. No product binary links this package.
package panva

import (
	"context"
	_ "embed" // the program and its lock file
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// Names of the two clients. Both take answers on http://127.0.0.1:PORT/callback
// with any port.
const (
	CLIClient = "sally-cli"     // public
	WebClient = "sallyport-web" // confidential, authenticates with client_secret_basic
)

//go:embed op.mjs
var program []byte

//go:embed package-lock.json
var lockFile []byte

// Account is one person's account at the provider.
type Account struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Subject  string `json:"subject"`
	ACR      string `json:"acr,omitempty"` // how the person signs in
	// Claims stand in the ID token beside the standard ones.
	Claims map[string]any `json:"claims,omitempty"`
}

// Accounts are the people that tests need: alice has groups, nogroups has no
// groups claim, and many is in so many groups that the provider left them out.
// Passwords are NAME-pw.
func Accounts() []Account {
	account := func(name string, claims map[string]any) Account {
		claims["name"], claims["email"], claims["email_verified"] = strings.ToUpper(name[:1])+name[1:]+" of Panva", name+"@panva.test", true
		return Account{Username: name, Password: name + "-pw", Subject: "panva-" + name, ACR: "urn:panva:password", Claims: claims}
	}
	return []Account{
		account("alice", map[string]any{"groups": []string{"engineers", "leads"}}),
		account("bob", map[string]any{"groups": []string{"leads"}}),
		account("nogroups", map[string]any{}),
		account("many", map[string]any{
			"_claim_names":   map[string]string{"groups": "src1"},
			"_claim_sources": map[string]any{"src1": map[string]string{"endpoint": "https://panva.test/groups"}},
		}),
	}
}

// Config says what the provider knows.
type Config struct {
	Accounts  []Account `json:"accounts"`
	WebSecret string    `json:"webSecret"` // of WebClient
	// IDTokenSeconds is exp − iat; five minutes if zero.
	IDTokenSeconds int `json:"idTokenSeconds"`
}

// Server is a running provider.
type Server struct {
	url     string
	process *lab.Process
}

// Start starts the provider with its files in dir and returns when it serves.
func Start(ctx context.Context, dir string, c Config) (*Server, error) {
	modules, err := lab.NodeModules("panva", lockFile)
	if err != nil {
		return nil, err
	}
	node, err := lab.FindProgram("node")
	if err != nil {
		return nil, err
	}
	if c.IDTokenSeconds == 0 {
		c.IDTokenSeconds = 300
	}
	settings, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	main := filepath.Join(dir, "op.mjs")
	if err := errors.Join(os.WriteFile(main, program, 0o600), os.Symlink(modules, filepath.Join(dir, "node_modules"))); err != nil {
		return nil, err
	}
	p, err := lab.Start(ctx, filepath.Join(dir, "panva.log"), lab.Command{
		Path: node, Args: []string{"--no-warnings", main, string(settings)}, Dir: dir, Env: append(os.Environ(), "NODE_ENV=test"),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	line, err := p.WaitLog(ctx, "panva at ")
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return &Server{url: strings.TrimPrefix(line, "panva at "), process: p}, nil
}

// URL is the issuer identifier, without a slash at the end.
func (s *Server) URL() string { return s.url }

// Log is what the provider has written.
func (s *Server) Log() string { return s.process.Log() }

// Close ends the provider.
func (s *Server) Close() error { return s.process.Stop() }
