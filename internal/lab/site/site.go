// Package site owns one complete Sallyport installation on loopback: two hosts
// with real sshd, an identity provider, a contract with its signatory, sallyd,
// and the people who use them, each at a terminal and a browser of their own.
//
// Its methods are the single acts of a story (init, sign, add a host, log in,
// ask, approve); the demo and the integration tests put them in order and
// assert. Every act is told to a [Teller] as a person would do it, with the raw
// answer.
package site

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/postgres"
	"github.com/sallyport/sallyport/internal/lab/vault"
)

// Origin is the ledger's name in every lab installation.
const Origin = "demo.sallyport.test"

// Web1 and Web2 are the two hosts.
const (
	Web1 = "web-1.demo"
	Web2 = "web-2.demo"
)

// Teller hears what happens at a site. Its methods may be called from several
// goroutines.
type Teller interface {
	// Typed is told what somebody types or clicks, before it is done.
	Typed(who, what string)
	// Answered is told the raw answer, possibly in several parts.
	Answered(text string)
}

// Config says how a site is set up. Bin and Tell are required.
type Config struct {
	Bin  string // folder of the programs sally and sallyd
	Tell Teller
	Keep bool // Close leaves the workspace
	Plan Plan // of the contract; its zero value is a plan
	// Umask is what the operator's shell has set, such as "077"; empty is ours.
	Umask string
	// Vault has the CA key lie in a real Vault; else it lies in a file.
	Vault bool
	// Settings are lines that config.yaml has beside the usual ones.
	Settings string
	// Front puts a reverse proxy before sallyd, which every request goes through:
	// it is given what hands a request on.
	Front func(on http.Handler) http.Handler
	// Metrics has sallyd show its figures; see MetricsURL.
	Metrics bool
	// Others have accounts beside Alice's and Bob's.
	Others []Other
	// Postgres has the ledger lie in a real PostgreSQL; else it lies in SQLite.
	Postgres bool
	// Cosigner has the contract name a cosigner of its party. It is started by
	// StartCosigner.
	Cosigner bool
	// Replicas is how many more sallyd there can be on the site's database. They
	// share a mark in a real Vault; without any it lies in a file.
	Replicas int
}

// Other is one person more.
type Other struct {
	Who    string // username; Site.Others has the person under it
	Name   string
	Groups []string
}

// Site is an installation. Its acts are called from one goroutine.
type Site struct {
	Dir      *lab.Dir
	Account  *lab.Account
	IDP      *idp.Server
	Operator *Terminal
	Owner    *Terminal // signs the contract
	Auditor  *Terminal // has files and no login
	Alice    *Person   // an engineer, and a lead as well: only the rule against self-approval stops her
	Bob      *Person   // a lead
	Others   map[string]*Person
	Hosts    map[string]*lab.SSHD
	Joined   map[string]*Joined // by name; see NewJoined
	Vault    *vault.Server      // nil without Config.Vault and Config.Replicas
	Postgres *postgres.Cluster  // nil without Config.Postgres
	Database string             // in it

	cfg      Config
	verifier *lab.Account // of the joined hosts; nil without them
	front    *front       // nil without Config.Front
	cosigner *cosigner    // nil without Config.Cosigner
	port     *lab.Port
	figures  *lab.Port   // nil without Config.Metrics
	spare    []*lab.Port // of the replicas that are not there yet
	server   *lab.Process

	mu    sync.Mutex
	tasks []*lab.Process // guarded by mu; everything started in the background
	done  bool           // guarded by mu; Close was called
}

// Open makes the workspace, the account, the identity provider and the hosts'
// folders and keys. Nothing of Sallyport is set up yet. Whoever opens a site
// closes it, whatever happened.
func Open(ctx context.Context, cfg Config) (*Site, error) {
	bin, err := filepath.Abs(cfg.Bin)
	if err != nil {
		return nil, err
	}
	cfg.Bin = bin
	s := &Site{cfg: cfg, Hosts: map[string]*lab.SSHD{}, Joined: map[string]*Joined{}, Others: map[string]*Person{}}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Site) open(ctx context.Context) error {
	for _, program := range []string{"sally", "sallyd"} {
		if _, err := os.Stat(filepath.Join(s.cfg.Bin, program)); err != nil {
			return fmt.Errorf("%w: build it first (make build)", err)
		}
	}
	var err error
	if s.Dir, err = lab.NewDir(); err != nil {
		return err
	}
	if s.Account, err = lab.NewAccount(ctx, s.Dir); err != nil {
		return err
	}
	if s.port, err = lab.ReservePort(ctx); err != nil {
		return err
	}
	if err := s.startFront(ctx); err != nil {
		return err
	}
	if err := s.reserveCosigner(ctx); err != nil {
		return err
	}
	if s.cfg.Metrics {
		if s.figures, err = lab.ReservePort(ctx); err != nil {
			return err
		}
	}
	for range s.cfg.Replicas {
		port, err := lab.ReservePort(ctx)
		if err != nil {
			return err
		}
		s.spare = append(s.spare, port)
	}
	if s.Operator, err = s.terminal("operator"); err != nil {
		return err
	}
	if s.Owner, err = s.terminal("owner"); err != nil {
		return err
	}
	if s.Auditor, err = s.terminal("auditor"); err != nil {
		return err
	}
	if s.Alice, err = s.person("alice", "Alice Example", "engineers", "leads"); err != nil {
		return err
	}
	if s.Bob, err = s.person("bob", "Bob Example", "leads"); err != nil {
		return err
	}
	for _, o := range s.cfg.Others {
		if s.Others[o.Who], err = s.person(o.Who, o.Name, o.Groups...); err != nil {
			return err
		}
	}
	if err := s.startIDP(ctx); err != nil {
		return err
	}
	if err := s.startVault(ctx); err != nil {
		return err
	}
	if err := s.startPostgres(ctx); err != nil {
		return err
	}
	for _, name := range []string{Web1, Web2} {
		host, err := lab.NewSSHD(ctx, s.Dir, name)
		if err != nil {
			return err
		}
		s.Hosts[name] = host
	}
	if err := lab.KeyPair(ctx, s.SignatoryKey(), signer); err != nil {
		return err
	}
	return s.writeSSHConfig()
}

// startIDP starts the provider with everybody's account. The web client's
// secret goes to a file, as an operator would get it.
func (s *Site) startIDP(ctx context.Context) error {
	secret, err := canon.NewID(rand.Reader)
	if err != nil {
		return err
	}
	if _, err := s.Dir.Write(0o600, string(secret)+"\n", webSecretFile); err != nil {
		return err
	}
	cfg := idp.Config{WebSecret: string(secret), WebRedirects: []string{s.URL() + "/callback"}}
	for _, port := range s.spare {
		cfg.WebRedirects = append(cfg.WebRedirects, "http://"+port.Addr()+"/callback")
	}
	for _, p := range s.people() {
		cfg.Accounts = append(cfg.Accounts, p.account)
	}
	s.IDP, err = idp.Start(ctx, cfg)
	return err
}

// people are all who have an account.
func (s *Site) people() []*Person {
	list := slices.Collect(maps.Values(s.Others))
	return slices.DeleteFunc(append(list, s.Alice, s.Bob), func(p *Person) bool { return p == nil })
}

// URL is where sallyd serves.
func (s *Site) URL() string { return "http://" + s.port.Addr() }

// MetricsURL is where sallyd shows its figures.
func (s *Site) MetricsURL() string { return "http://" + s.figures.Addr() + "/metrics" }

// Principal is the login on a host, "ops@web-1.demo".
func (s *Site) Principal(host string) string { return string(s.Account.Login) + "@" + host }

// Short writes the workspace's path as $W, as the story introduces it.
func (s *Site) Short(text string) string { return strings.ReplaceAll(text, s.Dir.Path(), "$W") }

// writeSSHConfig writes what stock ssh needs to find the hosts, so that plain
// ssh can be typed as ssh -F $W/ssh_config LOGIN@HOST.
func (s *Site) writeSSHConfig() error {
	var config, known strings.Builder
	for _, name := range []string{Web1, Web2} {
		line, err := s.Hosts[name].KnownHosts()
		if err != nil {
			return err
		}
		known.WriteString(line)
		fmt.Fprintf(&config, "Host %s\n\tHostName 127.0.0.1\n\tPort %d\n\tHostKeyAlias %s\n", name, s.Hosts[name].Port(), name)
	}
	file, err := s.Dir.Write(0o644, known.String(), "known_hosts")
	if err != nil {
		return err
	}
	fmt.Fprintf(&config, "Host *\n\tUserKnownHostsFile %q\n\tGlobalKnownHostsFile none\n\tStrictHostKeyChecking yes\n"+
		"\tBatchMode yes\n\tIdentitiesOnly yes\n\tIdentityAgent none\n\tConnectTimeout 10\n", file)
	_, err = s.Dir.Write(0o644, config.String(), "ssh_config")
	return err
}

// start runs a command in the background until the site is closed.
func (s *Site) start(ctx context.Context, log string, c lab.Command) (*lab.Process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil, errors.New("the site is closed")
	}
	p, err := lab.Start(ctx, s.Dir.Path("log", fmt.Sprintf("%02d-%s", len(s.tasks), log)), c)
	if err != nil {
		return nil, err
	}
	s.tasks = append(s.tasks, p)
	return p, nil
}

// Close ends everything and removes account and workspace. It may be called
// again.
func (s *Site) Close() error {
	s.mu.Lock()
	s.done = true
	tasks := s.tasks
	s.mu.Unlock()
	var errs []error
	for i := len(tasks) - 1; i >= 0; i-- { // clients before the server
		errs = append(errs, tasks[i].Stop())
	}
	for _, h := range s.Hosts {
		errs = append(errs, h.Stop())
	}
	for _, h := range s.Joined {
		errs = append(errs, h.close())
	}
	for _, p := range s.people() {
		p.Browser.Close()
	}
	if s.Vault != nil {
		errs = append(errs, s.Vault.Close())
	}
	if s.Postgres != nil {
		errs = append(errs, s.Postgres.Close())
	}
	if s.IDP != nil {
		errs = append(errs, s.IDP.Close())
		s.IDP = nil
	}
	if s.front != nil {
		errs = append(errs, s.front.close())
		s.front = nil
	}
	for _, p := range []*lab.Port{s.port, s.figures} {
		if p != nil {
			errs = append(errs, p.Release())
		}
	}
	if s.cosigner != nil {
		errs = append(errs, s.cosigner.port.Release())
	}
	for _, port := range s.spare {
		errs = append(errs, port.Release())
	}
	for _, a := range []*lab.Account{s.Account, s.verifier} {
		if a != nil {
			errs = append(errs, a.Remove())
		}
	}
	if s.Dir != nil && !s.cfg.Keep {
		errs = append(errs, s.Dir.Remove())
	}
	return errors.Join(errs...)
}

// Running lists what of the site is still there after Close: processes, open
// ports, the account, the workspace. It is empty if nothing is.
func (s *Site) Running(ctx context.Context) []string {
	var list []string
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.tasks {
		if lab.Alive(p.PID()) {
			list = append(list, "process "+strconv.Itoa(p.PID()))
		}
	}
	addrs := []string{s.port.Addr()}
	hosts := slices.Collect(maps.Values(s.Hosts))
	for _, h := range s.Joined {
		hosts = append(hosts, h.sshd)
	}
	for _, h := range hosts {
		if h.PID() != 0 && lab.Alive(h.PID()) {
			list = append(list, "sshd of "+h.Name)
		}
		addrs = append(addrs, h.Addr())
	}
	if s.Vault != nil {
		if lab.Alive(s.Vault.PID()) {
			list = append(list, "Vault")
		}
		addrs = append(addrs, s.Vault.Addr())
	}
	if s.Postgres != nil {
		if lab.Alive(s.Postgres.PID()) {
			list = append(list, "PostgreSQL")
		}
		addrs = append(addrs, s.Postgres.Addr())
	}
	for _, addr := range addrs {
		if !lab.PortClosed(ctx, addr) {
			list = append(list, "a listener on "+addr)
		}
	}
	if there, err := s.Account.Exists(); err != nil {
		list = append(list, err.Error())
	} else if there && s.Account.Temporary() {
		list = append(list, "the account "+string(s.Account.Login))
	}
	if _, err := os.Stat(s.Dir.Path()); err == nil && !s.cfg.Keep {
		list = append(list, s.Dir.Path())
	}
	return list
}
