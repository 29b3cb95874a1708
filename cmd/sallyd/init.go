package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/ledger"
)

func initCommand() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init DIR --origin NAME",
		Short: "Make a server's folder: keys, ledger, settings, pin file",
		Long: "Makes DIR with a log key, a user CA key, a ledger whose leaf 0 names both, settings and the pin file.\n" +
			"The origin is the ledger's permanent name, written like a host name with an optional path. It can't be changed.\n" +
			"Nobody can log in and nothing is issued before a contract is signed and added.",
		Example: "  sallyd init /var/lib/sallyport --origin ssh.acme.example --listen 127.0.0.1:8443",
		Args:    cobra.ExactArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			o.dir = args[0]
			return runInit(cmd, o)
		}),
	}
	cmd.Flags().StringVar(&o.origin, "origin", "", "the ledger's permanent name (required)")
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8443", "address to serve on")
	cmd.Flags().StringVar(&o.url, "url", "", "URL under which people reach the server (default: http on the listen address)")
	_ = cmd.MarkFlagRequired("origin") // the flag is there
	return cmd
}

type initOptions struct{ dir, origin, listen, url string }

func runInit(cmd *cobra.Command, o initOptions) error {
	if o.url == "" {
		o.url = "http://" + o.listen
	}
	c := config{URL: o.url, Listen: o.listen}
	if err := c.check(); err != nil {
		return err
	}
	private, public, err := ledger.NewLogKey(rand.Reader, o.origin)
	if err != nil {
		return err
	}
	if err := newFolder(o.dir); err != nil {
		return err
	}
	f := &folder{path: o.dir}
	if f.lock, err = lockFolder(o.dir); err != nil {
		return err
	}
	signer, err := f.writeKeys(private, o.origin, c)
	if err == nil {
		err = f.open(cmd.Context(), folderOptions{}, authority.Create)
	}
	if err == nil {
		err = writeFile(f.file(pinFile), pin(o.origin, public, signer.PublicKey()), 0o644)
	}
	if err := errors.Join(err, f.close()); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	_, err = fmt.Fprintf(out, "ledger      %s\nlog key     %s\nuser CA     %s\npin file    %s\nnext        sign a contract, then `sallyd --dir %s contract add CONTRACT-DIR`\n",
		o.origin, public, ssh.FingerprintSHA256(signer.PublicKey()), f.file(pinFile), o.dir)
	return err
}

// newFolder makes the folder; one that holds something is left alone.
func newFolder(dir string) error {
	switch entries, err := os.ReadDir(dir); {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty; name a folder that is not there yet", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking at the folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "keys"), 0o700); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	return private(dir)
}

func (f *folder) writeKeys(private, origin string, c config) (*softkey.Signer, error) {
	if err := writeFile(f.file(logKeyFile), []byte(private+"\n"), 0o600); err != nil {
		return nil, err
	}
	signer, err := softkey.Create(f.file(userCAFile), "sallyport user CA of "+origin, rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := writeFile(f.file(userCAFile+".pub"), []byte(authorizedKey(signer.PublicKey())+"\n"), 0o644); err != nil {
		return nil, err
	}
	text, err := c.text()
	if err != nil {
		return nil, err
	}
	return signer, writeFile(f.file(configFile), text, 0o600)
}

// pin is what people get out of band: whose ledger it is and whose keys count
// (docs/formats.md, "Pin file").
func pin(origin, logKey string, userCA ssh.PublicKey) []byte {
	return fmt.Appendf(nil, "sallyport.pin/v1\norigin %s\nlog %s\nca %s\n", origin, logKey, authorizedKey(userCA))
}

// loopback reports whether a host is this machine for sure.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
