package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/host/agent"
	"github.com/sallyport/sallyport/host/join"
	"github.com/sallyport/sallyport/ledger/hostcall"
)

func joinCommand() *cobra.Command {
	var o join.Options
	var f setupFlags
	var invite, token string
	cmd := &cobra.Command{
		Use:   "join URL --invite FILE --mode MODE [--name NAME] [--token-file FILE]",
		Short: "Take an invitation, and put the verifier in force",
		Long: `Joins the ledger with the host's own key, pins the trust bundle that the invitation
names, does what setup does, and gets a host certificate. If anything fails on the host,
everything there is put back; run it again to carry on.

The invitation is a line that a host admin got from sally hosts invite. Whoever has it
can join as this host, so it is read from a file, or from standard input (-), and not
from the command line, which everybody on this host can see.`,
		Example: `  sally-host join https://ca.example --invite - --mode observe
  sally-host join https://ca.example --invite invitation --name web-1.prod --mode require`,
		Args: exactly("URL"),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			var err error
			if f.name == "" {
				if f.name, err = os.Hostname(); err != nil {
					return fmt.Errorf("the host's name: %w; say --name", err)
				}
			}
			f.server = args[0]
			if err := f.readConfig(&o.Setup); err != nil {
				return err
			}
			if o.Invitation, err = readInvitation(cmd.InOrStdin(), invite); err != nil {
				return err
			}
			if token != "" {
				if o.Token, err = readToken(token); err != nil {
					return err
				}
			}
			o.Setup.Out, o.Setup.Now = cmd.OutOrStdout(), time.Now
			return join.Run(cmd.Context(), o)
		}),
	}
	machineFlags(cmd, &o.Setup.Machine)
	reloadFlags(cmd, &o.Setup.Reload)
	verifierFlags(cmd, &o.Setup)
	f.add(cmd)
	s := cmd.Flags()
	s.StringVar(&invite, "invite", "", "`FILE` with the invitation; - is standard input")
	s.StringVar(&token, "token-file", "", "`FILE` with the identity token of this workload, if the invitation is for one")
	s.StringVar(&f.name, "name", "", "the host's `NAME`, as it was invited (default: what the machine is called)")
	s.StringVar(&o.HostKey, "host-key", agent.DefaultHostKey, "the private host key that sshd uses, `FILE`")
	for _, name := range []string{"invite", "mode"} {
		_ = cmd.MarkFlagRequired(name) // declared above
	}
	return cmd
}

// readInvitation reads one line: from standard input up to its end, from a file all
// there is. Its errors never repeat it.
func readInvitation(in io.Reader, path string) (hostcall.Invitation, error) {
	const most = 1 << 10
	var text []byte
	var err error
	if path == "-" {
		text, err = bufio.NewReader(io.LimitReader(in, most)).ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
	} else {
		file, openErr := os.Open(path) //nolint:gosec // the administrator's own file
		if openErr != nil {
			return hostcall.Invitation{}, fmt.Errorf("--invite: %w", hidden(openErr))
		}
		text, err = io.ReadAll(io.LimitReader(file, most))
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return hostcall.Invitation{}, fmt.Errorf("reading the invitation: %w", hidden(err))
	}
	return hostcall.ParseInvitation(strings.TrimSpace(string(text)))
}

// readToken reads a file with one identity token. Its errors never repeat it.
func readToken(path string) (string, error) {
	const most = 16 << 10
	file, err := os.Open(path) //nolint:gosec // the administrator's own file
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", hidden(err))
	}
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("--token-file: %w", hidden(err))
	}
	if len(text) > most {
		return "", fmt.Errorf("--token-file: the file is larger than %d bytes, so it is no identity token", most)
	}
	return strings.TrimSpace(string(text)), nil
}

// hidden is an error of a file without its name: an invitation that was given in the
// place of the file's name is not shown.
func hidden(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("the file can't be read: %w", e.Err)
	}
	return errors.New("the file can't be read")
}
