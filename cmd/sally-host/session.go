package main

import (
	"crypto/rand"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/session"
)

func sessionCommand() *cobra.Command {
	var dir, state, log string
	cmd := &cobra.Command{
		Use:   "session [--dir DIR] [--state DIR] [--log PLACE]",
		Short: "Keep a session to its grant; PAM calls it when one begins and ends",
		Long: `pam_exec calls it in the session part of sshd's PAM file, behind pam_systemd and
before pam_env. It puts a session that a certificate opened into a cgroup of its own
and records it, so that sally-host agent can end it with all that was started in it.
What can't be kept so is refused, unless host.json says observe.`,
		Example: `  session required pam_exec.so quiet /usr/bin/sally-host session`,
		Args:    exactly(),
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			return host.SessionStep(host.SessionOptions{
				Folder: host.Folder{Path: dir}, State: state, Log: logTo(cmd, log), Now: time.Now, Rand: rand.Reader,
				Getenv: pamEnvironment(), Caller: os.Getppid(),
			})
		}),
	}
	cmd.Flags().StringVar(&dir, "dir", host.DefaultDir, "the host's folder, `DIR`")
	cmd.Flags().StringVar(&state, "state", host.DefaultState, "folder of what sally-host keeps, `DIR`")
	cmd.Flags().StringVar(&log, "log", "syslog", "where to say what was done, `PLACE`: syslog, stderr or a file")
	return cmd
}

// pamEnvironment is what pam_exec hands over, and leaves nothing of it: there may be
// anything in it that whoever logs in has asked pam_env for, such as a TZ that names a
// file.
func pamEnvironment() func(string) string {
	block, err := os.ReadFile("/proc/self/environ")
	if err != nil { // without /proc no session can be kept; the owner still gets in
		block = []byte(strings.Join(os.Environ(), "\x00"))
	}
	os.Clearenv()
	return session.Environ(block)
}
