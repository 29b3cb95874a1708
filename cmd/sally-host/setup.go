package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

// setupFlags are the words of the command line before they are read.
type setupFlags struct {
	bundle, digest, name, mode, server, breakGlass string
	pam, agent                                     string
	aliases, logins, options, offline              []string
	maxCert, krlMaxAge                             time.Duration
}

func setupCommand() *cobra.Command {
	var o host.SetupOptions
	var f setupFlags
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Put the verifier in force on this host, from files",
		Long: `Makes the verifier's account and folders, an empty list of revoked keys, the line in
sshd's file of PAM by which sessions end with their grants, what sshd is told, and has
sshd read it. Before that it asks sshd whether what is wanted is in force, for everybody
and in each Match block. At last the agent is started. If anything fails, everything is
put back, and it says what. Run it again to repair.

The digest of the trust bundle has to come to you on another way than the file.

In mode observe nobody is kept out: the verifier logs what it would refuse. In mode
require it refuses, and every other way in is shut but the owner's own: root puts
public keys into break-glass/LOGIN in the host's folder. Keep a session open until you
have logged in once more.`,
		Example: `  sally-host setup --bundle bundle.json --digest Xy… --name web-1.prod --server https://ca.example --mode observe
  sally-host setup --bundle bundle.json --digest Xy… --name web-1.prod --server https://ca.example --mode require`,
		Args: exactly(),
		RunE: verb(func(cmd *cobra.Command, _ []string) error {
			if err := f.read(&o); err != nil {
				return err
			}
			o.Out, o.Now = cmd.OutOrStdout(), time.Now
			return host.Setup(cmd.Context(), o)
		}),
	}
	machineFlags(cmd, &o.Machine)
	reloadFlags(cmd, &o.Reload)
	verifierFlags(cmd, &o)
	f.add(cmd)
	s := cmd.Flags()
	s.StringVar(&f.bundle, "bundle", "", "`FILE` of the trust bundle; - is standard input")
	s.StringVar(&f.digest, "digest", "", "the trust bundle's `DIGEST`, as people told you")
	s.StringVar(&f.name, "name", "", "the host's `NAME`")
	s.StringVar(&f.server, "server", "", "`URL` of the authority")
	for _, name := range []string{"bundle", "digest", "name", "mode", "server"} {
		_ = cmd.MarkFlagRequired(name) // declared above
	}
	return cmd
}

// verifierFlags say how the verifier runs.
func verifierFlags(cmd *cobra.Command, o *host.SetupOptions) {
	s := cmd.Flags()
	s.StringVar(&o.Machine.User, "user", host.DefaultUser, "account that the verifier runs as, `NAME`; made if there is none")
	s.StringVar(&o.Machine.Program, "program", "", "sally-host itself, `PATH`")
	s.StringVar(&o.Machine.Log, "log", "", "`FILE` where the verifier says who is refused, instead of the system's log")
	s.BoolVar(&o.TakeOver, "take-over", false, "replace certificate authorities and lists of revoked keys that sshd has already")
}

// add declares those that say what the host will be.
func (f *setupFlags) add(cmd *cobra.Command) {
	s := cmd.Flags()
	s.StringArrayVar(&f.aliases, "alias", nil, "another `NAME` of the host; may be repeated")
	s.StringVar(&f.mode, "mode", "", "`MODE`: observe or require")
	s.StringVar(&f.breakGlass, "break-glass", "keys", "the owner's own way in, `WAY`: keys or none")
	s.StringArrayVar(&f.offline, "offline", nil, "security keys that open a login when everything else is down, `LOGIN=FILE`; may be repeated")
	s.StringVar(&f.pam, "pam-file", "", "sshd's `FILE` of PAM, which gets the line that ends sessions, "+host.DefaultPAM+" unless told otherwise; or none")
	s.StringVar(&f.agent, "agent", "systemd", "how the agent is started, `WAY`: systemd, where that runs, or none")
	s.StringArrayVar(&f.logins, "login", nil, "only this `LOGIN` may be opened by certificates; may be repeated")
	s.StringArrayVar(&f.options, "option", nil, "only this extension or critical option, `NAME`, is taken; may be repeated")
	s.DurationVar(&f.maxCert, "max-cert", 0, "longest life of a certificate, `DURATION`; 0: as the contract says")
	s.DurationVar(&f.krlMaxAge, "krl-max-age", 0, "refuse everybody when the list of revoked keys is older, `DURATION`; 0: no limit")
}

// read checks the words and puts them where setup looks for them.
func (f *setupFlags) read(o *host.SetupOptions) error {
	digest, err := canon.ParseDigest(f.digest)
	if err != nil {
		return fmt.Errorf("--digest: %w", err)
	}
	if err := f.readConfig(o); err != nil {
		return err
	}
	o.Digest = digest
	o.Bundle, err = readBundle(f.bundle)
	return err
}

// readConfig checks the words about what the host will be.
func (f *setupFlags) readConfig(o *host.SetupOptions) error {
	name, err := sshcert.ParseHost(f.name)
	if err != nil {
		return fmt.Errorf("--name: %w", err)
	}
	if f.breakGlass != "keys" && f.breakGlass != "none" {
		return fmt.Errorf("--break-glass is %.40q; say keys or none", f.breakGlass)
	}
	config := host.Config{
		Name: name, Mode: host.Mode(f.mode), Server: f.server,
		MaxCertSeconds: int64(f.maxCert.Seconds()), KRLMaxAgeSeconds: int64(f.krlMaxAge.Seconds()),
	}
	if len(f.aliases) > 0 {
		if config.Aliases, err = sshcert.ParseHosts(f.aliases); err != nil {
			return fmt.Errorf("--alias: %w", err)
		}
	}
	if len(f.logins) > 0 {
		if config.Logins, err = sshcert.ParseLogins(f.logins); err != nil {
			return fmt.Errorf("--login: %w", err)
		}
	}
	if err := f.readSessions(o); err != nil {
		return err
	}
	if config.Offline, err = readOffline(f.offline); err != nil {
		return err
	}
	slices.Sort(f.options)
	config.Options = slices.Compact(f.options)
	o.Config, o.BreakGlass = config, f.breakGlass == "keys"
	return nil
}

// readOffline reads the keys of offline logins, each LOGIN=FILE.
func readOffline(words []string) ([]host.Offline, error) {
	var list []host.Offline
	for _, word := range words {
		name, file, found := strings.Cut(word, "=")
		login, err := sshcert.ParseLogin(name)
		if err != nil || !found {
			return nil, fmt.Errorf("--offline %.80q: say LOGIN=FILE", word)
		}
		text, err := readBounded(file, maxOffline)
		if err != nil {
			return nil, fmt.Errorf("--offline: %w", err)
		}
		keys, err := host.ParseOfflineKeys(text)
		if err != nil {
			return nil, fmt.Errorf("--offline %s: %w", file, err)
		}
		list = append(list, host.Offline{Login: login, Keys: keys})
	}
	slices.SortFunc(list, func(a, b host.Offline) int { return strings.Compare(string(a.Login), string(b.Login)) })
	return list, nil
}

// readSessions checks the words about what ends sessions. Which file of PAM counts for an
// sshd of another configuration is not guessed: the wrong one would be changed.
func (f *setupFlags) readSessions(o *host.SetupOptions) error {
	switch {
	case f.agent != "systemd" && f.agent != "none":
		return fmt.Errorf("--agent is %.40q; say systemd or none", f.agent)
	case f.pam == "" && o.Machine.Main != host.DefaultMain:
		return fmt.Errorf("sshd has another configuration than %s, so say with --pam-file which file of PAM its service has, or none", host.DefaultMain)
	}
	o.Sessions, o.Agent = f.pam != "none", f.agent == "systemd"
	if o.Sessions {
		o.Machine.PAM = f.pam
	}
	return nil
}

// maxOffline is how many bytes a file of offline keys may have.
const maxOffline = 64 << 10

// readBundle reads a file, or standard input, up to what a bundle may have.
func readBundle(path string) ([]byte, error) {
	text, err := readBounded(path, trust.MaxEnvelope)
	if err != nil {
		return nil, fmt.Errorf("reading the trust bundle: %w", err)
	}
	return text, nil
}

// readBounded reads a file, or standard input, up to one byte more than it may have.
func readBounded(path string, most int64) (text []byte, err error) {
	in := os.Stdin
	if path != "-" {
		if in, err = os.Open(path); err != nil { //nolint:gosec // the administrator's own file
			return nil, err
		}
		defer func() { err = errors.Join(err, in.Close()) }()
	}
	return io.ReadAll(io.LimitReader(in, most+1))
}
