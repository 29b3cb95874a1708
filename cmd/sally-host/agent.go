package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/agent"
	"github.com/sallyport/sallyport/host/session"
)

func agentCommand() *cobra.Command {
	var dir, state, spool, socket, key, reload, main string
	cmd := &cobra.Command{
		Use:   "agent [--dir DIR] [--state DIR] [--spool DIR] [--socket SOCKET] [--host-key FILE] [--reload-command COMMAND] [--sshd-config FILE]",
		Short: "End sessions with their grants, and keep what the host pins new",
		Long: `It runs as long as the host does. Sessions end when their grants are over or
revoked, with or without network; who is in them is warned before. It says on standard
error what it does.`,
		Example: `  systemctl enable --now sally-host
  sally-host agent --state /var/lib/sally-host`,
		Args: exactly(),
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			network := &agent.Network{Folder: host.Folder{Path: dir}, HostKey: key, Now: time.Now, HTTP: host.NewHTTP()}
			network.Reload = host.ReloadService
			if words := strings.Fields(reload); len(words) > 0 {
				network.Reload = func(ctx context.Context) error { return exec.CommandContext(ctx, words[0], words[1:]...).Run() } //nolint:gosec // root names it
			}
			if err := session.Leave(); err != nil { // whoever starts it by hand
				return err
			}
			a, err := agent.New(agent.Config{
				Folder: host.Folder{Path: dir}, State: state, Refresh: network, Report: network, Renew: network, Spool: spool, Socket: socket, Version: strings.Trim(version(), "()"), Scopes: session.Scopes{},
				Examine: func(ctx context.Context) (int64, error) {
					h, err := host.Examine(ctx, host.Machine{Dir: dir, State: state, Spool: spool, Main: main})
					return h.Bypasses(), err
				},
				Now:    time.Now,
				Chance: rand.Float64,
				Log:    slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)),
			})
			if err != nil {
				return err
			}
			a.Run(cmd.Context())
			return a.Close()
		}),
	}
	cmd.Flags().StringVar(&dir, "dir", host.DefaultDir, "the host's folder, `DIR`")
	cmd.Flags().StringVar(&state, "state", host.DefaultState, "folder of what sally-host keeps, `DIR`")
	cmd.Flags().StringVar(&main, "sshd-config", host.DefaultMain, "sshd's configuration, `FILE`")
	cmd.Flags().StringVar(&spool, "spool", host.DefaultSpool, "folder of the verifier's alarms, `DIR`")
	cmd.Flags().StringVar(&socket, "socket", host.DefaultSocket, "where the verifier tells of refusals, `SOCKET`")
	cmd.Flags().StringVar(&key, "host-key", agent.DefaultHostKey, "the private host key that the ledger has, `FILE`")
	cmd.Flags().StringVar(&reload, "reload-command", "", "what has sshd read a new host certificate, `COMMAND`, without a shell; systemctl reload of its service unless told otherwise")
	return cmd
}
