// Command vault is HashiCorp Vault's server for the tests and the demo, out of the parts of its own module that they use:
// core and HTTP interface, the engines transit, ssh and kv, AppRole and token logins, the file audit device, storage in
// files or raft. It answers to `vault server -config FILE` as the whole program does; the rest of the program (a hundred
// plugins, the cloud providers' storages, the command line) would more than double the time of the build.
// scripts/vault.sh builds it.
//
// Vault is under the Business Source License. This module of its own keeps it out of the product's: it is never linked
// into a binary of ours, nor shipped with one.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/audit"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/ssh"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/command/server"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/physical/raft"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
)

// shutdownTimeout is for calls under way when the server is told to end.
const shutdownTimeout = 5 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "vault:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 || args[0] != "server" || args[1] != "-config" {
		return errors.New("usage: vault server -config FILE")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := server.LoadConfigFile(args[2])
	if err != nil {
		return err
	}
	logger := hclog.New(&hclog.LoggerOptions{Name: "vault", Level: hclog.LevelFromString(config.LogLevel)})
	core, err := newCore(config, logger)
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, core, config), core.Shutdown())
}

// storages are the kinds of storage that a config may name.
var storages = map[string]physical.Factory{"file": file.NewFileBackend, "raft": raft.NewRaftBackend}

func newCore(config *server.Config, logger hclog.Logger) (*vault.Core, error) {
	if config.Storage == nil || storages[config.Storage.Type] == nil {
		return nil, errors.New("the config names no storage of type file or raft")
	}
	backend, err := storages[config.Storage.Type](config.Storage.Config, logger.Named("storage"))
	if err != nil {
		return nil, err
	}
	core := &vault.CoreConfig{
		RawConfig: config, Physical: backend, StorageType: config.Storage.Type, Logger: logger, BuiltinRegistry: none{},
		RedirectAddr: config.APIAddr, ClusterAddr: config.ClusterAddr, DisableMlock: config.DisableMlock, LogLevel: config.LogLevel,
		LogicalBackends:    map[string]logical.Factory{"transit": transit.Factory, "ssh": ssh.Factory, "kv": kv.Factory},
		CredentialBackends: map[string]logical.Factory{"approle": approle.Factory},
		AuditBackends:      map[string]audit.Factory{"file": audit.NewFileBackend},
	}
	if ha, ok := backend.(physical.HABackend); ok && ha.HAEnabled() {
		core.HAPhysical = ha
	}
	return vault.NewCore(core)
}

// serve answers on the config's listeners until ctx ends.
func serve(ctx context.Context, core *vault.Core, config *server.Config) error {
	var servers []*http.Server
	ended := make(chan error, len(config.Listeners))
	for _, l := range config.Listeners {
		listener, _, _, err := server.NewListener(l, os.Stderr, nil)
		if err != nil {
			return err
		}
		s := newServer(core, l)
		servers = append(servers, s)
		go func(listener net.Listener) { ended <- s.Serve(listener) }(listener)
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	wait, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	for _, s := range servers {
		err = errors.Join(err, s.Shutdown(wait))
	}
	return err
}

func newServer(core *vault.Core, l *configutil.Listener) *http.Server {
	return &http.Server{
		Handler:           vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: l}),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
	}
}

// none is a registry without plugins: all engines are linked in, above.
type none struct{}

func (none) Contains(string, consts.PluginType) bool { return false }

func (none) Get(string, consts.PluginType) (func() (any, error), bool) { return nil, false }

func (none) Keys(consts.PluginType) []string { return nil }

func (none) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Unknown, false
}

func (none) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
