package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/host"
)

// verbPrincipals is how sshd calls the verb below.
const verbPrincipals = "principals"

func principalsCommand() *cobra.Command {
	var dir, spool, log, socket string
	cmd := &cobra.Command{
		Use:   verbPrincipals + " [--dir DIR] [--spool DIR] [--log PLACE] [--agent SOCKET] CERTIFICATE USER",
		Short: "Tell sshd which principal of a certificate opens a login here, if any",
		Long: `sshd calls it as AuthorizedPrincipalsCommand, with the certificate (%k) and the
user (%u). It prints user@host, if the certificate names that login on this host and
the ledger holds it, by the trust bundle that the host pins. Else it prints nothing,
ends with exit code 0, and says why in the system's log.`,
		Example: `  AuthorizedPrincipalsCommand /usr/bin/sally-host principals %k %u
  sally-host principals --log stderr "$(cut -d' ' -f2 id-cert.pub)" ops`,
		Args: exactly("CERTIFICATE", "USER"),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			host.Principals(host.PrincipalsOptions{
				Folder: host.Folder{Path: dir}, Spool: spool, Agent: socket, Out: cmd.OutOrStdout(), Log: logTo(cmd, log), Now: time.Now,
			}, args[0], args[1])
			return nil
		}),
	}
	// What stands behind the certificate is never a flag, whatever a user is called.
	cmd.Flags().SetInterspersed(false)
	cmd.Flags().StringVar(&dir, "dir", host.DefaultDir, "the host's folder, `DIR`")
	cmd.Flags().StringVar(&spool, "spool", host.DefaultSpool, "folder for alarms that the agent takes on, `DIR`")
	cmd.Flags().StringVar(&log, "log", "syslog", "where to say who is refused, `PLACE`: syslog, stderr or a file")
	cmd.Flags().StringVar(&socket, "agent", host.DefaultSocket, "where the agent counts refusals, `SOCKET`")
	return cmd
}

func logTo(cmd *cobra.Command, place string) host.Log {
	switch place {
	case "syslog":
		return host.Syslog(host.SyslogSocket, time.Now)
	case "stderr":
		return host.WriterLog(cmd.ErrOrStderr())
	default:
		return host.FileLog(place)
	}
}

// misused logs that sshd called the verb in a way that is not understood, where no
// flag could say where to. It is a refusal like others, so it ends like one.
func misused(err error) int {
	host.Refused(host.Syslog(host.SyslogSocket, time.Now), err)
	return exitOK
}

// asksForPrincipals reports whether a command line is that of the verb.
func asksForPrincipals(args []string) bool {
	return len(args) > 0 && args[0] == verbPrincipals
}
