package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/host"
)

// machineFlags are where a host's files and programs are. Most hosts need none of them.
func machineFlags(cmd *cobra.Command, m *host.Machine) {
	f := cmd.Flags()
	f.StringVar(&m.Dir, "dir", host.DefaultDir, "the host's folder, `DIR`")
	f.StringVar(&m.State, "state", host.DefaultState, "folder of what setup has changed, `DIR`")
	f.StringVar(&m.Spool, "spool", host.DefaultSpool, "folder for alarms that the agent takes on, `DIR`")
	f.StringVar(&m.Main, "sshd-config", host.DefaultMain, "sshd's configuration, `FILE`")
	f.StringVar(&m.Fragment, "fragment", "", "what it is to include, `FILE`; sshd_config.d/00-sallyport.conf beside it unless told otherwise")
	f.StringVar(&m.SSHD, "sshd", "", "sshd's program, `PATH`")
}

// reloadFlags say how sshd is told to read its configuration again.
func reloadFlags(cmd *cobra.Command, r *host.Reload) {
	f := cmd.Flags()
	f.StringVar(&r.Command, "reload-command", "", "have sshd read its configuration again by this `COMMAND`; it is not given to a shell")
	f.StringVar(&r.PIDFile, "pid-file", "", "have the sshd whose process `FILE` names read it again, by SIGHUP")
	cmd.MarkFlagsMutuallyExclusive("reload-command", "pid-file")
}

func doctorCommand() *cobra.Command {
	var o host.DoctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Name every way around the verifier, with its mend",
		Long: `Asks sshd what is in force, for everybody, in each Match block and for each user,
and looks at the files that it names. It changes nothing, and needs root to read what
sshd reads.

It ends with exit code 1 if somebody can get in without the verifier, or if it could
not look.`,
		Example: `  sally-host doctor
  sally-host doctor --json | jq -r '.findings[] | select(.severity == "bypass") | .says'`,
		Args: exactly(),
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			o.Out = cmd.OutOrStdout()
			return host.Doctor(cmd.Context(), o)
		}),
	}
	machineFlags(cmd, &o.Machine)
	cmd.Flags().StringVar(&o.Machine.PAM, "pam-file", "", "sshd's `FILE` of PAM; unless told otherwise the one that setup has changed, or "+host.DefaultPAM)
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print JSON")
	return cmd
}

func leaveCommand() *cobra.Command {
	var o host.LeaveOptions
	cmd := &cobra.Command{
		Use:   "leave",
		Short: "Undo what setup has done to this host",
		Long: `Takes back what sshd was told and has it read that, stops the agent, then removes the
files, the line for PAM, the folders and the account that setup has made. What was there before is as it was. What
others have put into those folders stays, and is named.`,
		Example: `  sally-host leave`,
		Args:    exactly(),
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			o.Out = cmd.OutOrStdout()
			return host.Leave(cmd.Context(), o)
		}),
	}
	machineFlags(cmd, &o.Machine)
	reloadFlags(cmd, &o.Reload)
	return cmd
}
