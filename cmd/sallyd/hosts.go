package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

func hostsCommand(dir *string) *cobra.Command {
	return group("hosts", "Look after hosts: what they join by, pin and are set up with",
		hostsAddCommand(dir), hostsListCommand(dir), hostsConfigCommand(dir), hostsKeysCommand(dir), hostsBundleCommand(dir), hostsPublishCommand(dir),
		hostsInviteCommand(dir), hostsRetireCommand(dir))
}

func hostsAddCommand(dir *string) *cobra.Command {
	var o hostOptions
	cmd := &cobra.Command{
		Use:     "add NAME --addr HOST:PORT --host-key FILE [--label NAME=VALUE]… [--alias NAME]… [--contract ID]",
		Short:   "Record a host in the ledger",
		Long:    "Records a host with its address, its public host key and its labels. The labels decide which roles of the contract reach it.",
		Example: "  sallyd hosts add web-1.prod --addr 10.20.0.11:22 --host-key ssh_host_ed25519_key.pub --label env=prod --label tier=web",
		Args:    exactly("NAME"),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return runHostsAdd(cmd, *dir, o)
		}),
	}
	cmd.Flags().StringVar(&o.addr, "addr", "", "where ssh reaches the host, `HOST:PORT` (required)")
	cmd.Flags().StringVar(&o.keyFile, "host-key", "", "`FILE` with the host's public key (required)")
	cmd.Flags().StringArrayVar(&o.labels, "label", nil, "a label, `NAME=VALUE`; may be given several times")
	cmd.Flags().StringArrayVar(&o.aliases, "alias", nil, "another `NAME` of the host, which is no other host's; may be given several times")
	cmd.Flags().StringVar(&o.contract, "contract", "", "`ID` of the contract it belongs to; needed if several are in force")
	_ = cmd.MarkFlagRequired("addr")     // the flags are there
	_ = cmd.MarkFlagRequired("host-key") //
	return cmd
}

func runHostsAdd(cmd *cobra.Command, dir string, o hostOptions) (err error) {
	h, err := o.parse()
	if err != nil {
		return err
	}
	f, err := openFolder(cmd.Context(), dir, folderOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	added, err := f.auth.AddHost(cmd.Context(), h)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "host        %s at %s\nhost key    %s\nlabels      %s\nlineage     %s\nnext        `sallyd hosts config %s`\n",
		added.Name, net.JoinHostPort(added.Address, strconv.Itoa(added.Port)), ssh.FingerprintSHA256(h.Key), labels(added.Labels), added.Lineage, added.Name)
	return err
}

func hostsListCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the hosts of the ledger", Args: exactly(),
		Long: "Lists name, address and labels of each host, separated by tabs, and behind them whether it is retired, or released to\n" +
			"which contract without having joined it.",
		Example: "  sallyd hosts list",
		RunE: verb(func(cmd *cobra.Command, _ []string) (err error) {
			f, err := openFolder(cmd.Context(), *dir, folderOptions{})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.close()) }()
			return f.store.Read(cmd.Context(), func(r *store.Reader) error {
				hosts, err := authority.Hosts(r)
				if err != nil {
					return err
				}
				for _, h := range hosts {
					state := ""
					switch {
					case !h.ReleasedTo.IsZero():
						state = "\treleased to " + h.ReleasedTo.String()
					case h.Retired():
						state = "\tretired"
					}
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\t%s%s\n", h.Name, net.JoinHostPort(h.Address, strconv.Itoa(h.Port)), labels(h.Labels), state); err != nil {
						return err
					}
				}
				return nil
			})
		}),
	}
}

func hostsConfigCommand(dir *string) *cobra.Command {
	var out, at string
	cmd := &cobra.Command{
		Use:   "config NAME [--out DIR] [--at DIR]",
		Short: "Print or write the sshd settings of a host",
		Long: "Prints the files that make stock sshd accept certificates for this host: the user CA key, a principals file for each\n" +
			"login that the contract names on it, and a fragment for sshd_config. With --out they are written to a folder.\n" +
			"Without sally-host the host trusts the user CA alone: it does not ask for the ledger proof.",
		Example: "  sallyd hosts config web-1.prod --out ./web-1 --at /etc/ssh/sallyport",
		Args:    exactly("NAME"),
		RunE:    verb(func(cmd *cobra.Command, args []string) error { return runHostsConfig(cmd, *dir, args[0], out, at) }),
	}
	cmd.Flags().StringVar(&out, "out", "", "folder to write the files to, `DIR`")
	cmd.Flags().StringVar(&at, "at", "", "folder in which the host will have them, `DIR` (default: the folder of --out, else /etc/ssh/sallyport)")
	return cmd
}

func runHostsConfig(cmd *cobra.Command, dir, name, out, at string) (err error) {
	host, err := sshcert.ParseHost(name)
	if err != nil {
		return err
	}
	if at, err = hostFolder(out, at); err != nil {
		return err
	}
	f, err := openFolder(cmd.Context(), dir, folderOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	var static sshdconf.Static
	err = f.store.Read(cmd.Context(), func(r *store.Reader) error {
		static, err = staticOf(r, host)
		return err
	})
	if err != nil {
		return err
	}
	static.By, static.At = "sallyd hosts config", at
	for _, file := range static.Files() {
		if out == "" {
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "# --- %s\n%s", canon.Visible(filepath.Join(at, file.Path)), file.Body)
		} else {
			err = writeHostFile(cmd, filepath.Join(out, file.Path), file.Body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hostFolder is where the files will lie on the host. sshd wants absolute paths.
func hostFolder(out, at string) (string, error) {
	switch {
	case at != "":
	case out != "":
		var err error
		if at, err = filepath.Abs(out); err != nil {
			return "", err
		}
	default:
		at = sshdconf.DefaultStaticFolder
	}
	if err := sshdconf.CheckStaticFolder(at); err != nil {
		return "", fmt.Errorf("--at %w", err)
	}
	return at, nil
}

func writeHostFile(cmd *cobra.Command, path string, body []byte) error {
	if err := makeOpenFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := writeFile(path, body, 0o644); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "wrote       %s\n", canon.Visible(path))
	return err
}

// makeOpenFolder makes a folder, and those above it that are missing, with mode
// 0755 whatever the umask: sshd's child reads the principals file as the user.
// A folder that is there keeps its mode.
func makeOpenFolder(path string) error {
	switch info, err := os.Stat(path); {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := makeOpenFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil { //nolint:gosec // see above
		return err
	}
	return os.Chmod(path, 0o755) //nolint:gosec // see above
}

// staticOf is what a host needs by the ledger: the CA of leaf 0 and the logins that the
// contract in force names for the host's labels. It names no revocation list, which a
// running server has.
func staticOf(r *store.Reader, name sshcert.Host) (sshdconf.Static, error) {
	host, err := record.Host(r, name)
	if errors.Is(err, record.ErrNotFound) {
		return sshdconf.Static{}, fmt.Errorf("%s is not in the inventory; add it with `sallyd hosts add %s …`", name, name)
	}
	if err != nil {
		return sshdconf.Static{}, err
	}
	if err := host.Gone(); err != nil {
		return sshdconf.Static{}, err
	}
	userCA, err := authority.UserCA(r)
	if err != nil {
		return sshdconf.Static{}, err
	}
	head, err := r.Head()
	if err != nil {
		return sshdconf.Static{}, err
	}
	version, err := record.InForce(r, host.Lineage, head.At)
	if err != nil {
		return sshdconf.Static{}, err
	}
	have := make(map[string]string, len(host.Labels))
	for _, l := range host.Labels {
		have[l.Name] = l.Value
	}
	logins := version.Terms.LoginsOn(have)
	if len(logins) == 0 {
		return sshdconf.Static{}, fmt.Errorf("no role of contract %s reaches %s by its labels %s", version.Terms.ID, host.Name, labels(host.Labels))
	}
	return sshdconf.Static{Host: name, CA: authorizedKey(userCA), Logins: logins}, nil
}

func labels(list []record.Label) string {
	out := make([]string, 0, len(list))
	for _, l := range list {
		out = append(out, l.Name+"="+l.Value)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, " ")
}
