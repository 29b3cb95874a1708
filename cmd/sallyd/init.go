package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

func initCommand() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init DIR --origin NAME",
		Short: "Make a server's folder: keys, ledger, settings, pin file",
		Long: "Makes DIR with a log key, a user CA key, a ledger whose leaf 0 names both, keys for hosts, settings and the pin file.\n" +
			"With --ca vault the user CA key lies in HashiCorp Vault's transit engine, which signs and never shows it (docs/vault.md).\n" +
			"With --database the ledger lies in PostgreSQL; several servers then share one, and a mark in Vault (docs/postgresql.md).\n" +
			"The origin is the ledger's permanent name, written like a host name with an optional path. It can't be changed.\n" +
			"Nobody can log in and nothing is issued before a contract is signed and added.",
		Example: "  sallyd init /var/lib/sallyport --origin ssh.acme.example --listen 127.0.0.1:8443\n" +
			"  sallyd init /var/lib/sallyport --origin ssh.acme.example --ca vault --vault-addr https://vault.acme.example:8200 \\\n" +
			"    --vault-key user-ca --vault-version 1 --vault-token-file /etc/sallyport/vault-token",
		Args: exactly("DIR"),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			o.dir = args[0]
			return runInit(cmd, o)
		}),
	}
	o.add(cmd)
	return cmd
}

// add makes the flags that say how a folder is made.
func (o *initOptions) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.origin, "origin", "", "the ledger's permanent `NAME` (required)")
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8443", "address to serve on, `HOST:PORT`")
	cmd.Flags().StringVar(&o.url, "url", "", "`URL` under which people reach the server (default: http on the listen address)")
	o.ca.add(cmd)
	o.database.add(cmd)
	o.mark.add(cmd)
	_ = cmd.MarkFlagRequired("origin") // the flag is there
}

type initOptions struct {
	dir, origin, listen, url string
	ca                       caFlags
	database                 databaseFlags
	mark                     markFlags
}

// config is the settings that the options make.
func (o initOptions) config(cmd *cobra.Command) (config, error) {
	c := config{URL: o.url, Listen: o.listen}
	if o.url == "" {
		c.URL = "http://" + o.listen
	}
	err := c.checkListen()
	if err != nil {
		return config{}, fmt.Errorf("--%w", err)
	}
	if c.CA, err = o.ca.config(cmd); err != nil {
		return config{}, err
	}
	if c.Database, err = o.database.config(cmd); err != nil {
		return config{}, err
	}
	if c.Mark, err = o.mark.config(cmd); err != nil {
		return config{}, err
	}
	err = c.check()
	bad, ok := errors.AsType[*keyError](err)
	switch {
	case ok && bad.key == "url" && o.url == "": // it was made from the other
		err = fmt.Errorf("--listen: %w", bad.err)
	case ok && (bad.key == "url" || bad.key == "listen"):
		err = fmt.Errorf("--%w", bad)
	}
	return c, err
}

func runInit(cmd *cobra.Command, o initOptions) error {
	f, err := o.make(cmd, authority.Create)
	if err != nil {
		return err
	}
	if err := f.close(); err != nil {
		return err
	}
	if err := f.tell(cmd.OutOrStdout()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "next        sign a contract, then `sallyd --dir %s contract add CONTRACT-DIR`\n", canon.Visible(canon.ShellWord(o.dir)))
	return err
}

// newFolder is a folder that was just made, and what people are told of it.
type newFolder struct {
	*folder
	origin, logKey string
}

// make makes the folder, with a ledger that start opens, and leaves it open.
func (o initOptions) make(cmd *cobra.Command, start func(context.Context, authority.Config) (*authority.Authority, error)) (newFolder, error) {
	c, err := o.config(cmd)
	if err != nil {
		return newFolder{}, err
	}
	private, public, err := ledger.NewLogKey(rand.Reader, o.origin)
	if err != nil {
		return newFolder{}, err
	}
	if err := emptyFolder(o.dir); err != nil {
		return newFolder{}, err
	}
	if err := c.checkDatabase(cmd.Context(), o.dir); err != nil {
		return newFolder{}, err
	}
	f := newFolder{&folder{path: o.dir}, o.origin, public}
	if c.CA.Vault != nil { // before anything is made
		if f.signer, err = c.CA.openVault(cmd.Context()); err != nil {
			return newFolder{}, err
		}
	}
	err = f.create(cmd.Context(), private, o.origin, c, start)
	if err == nil {
		err = writeFile(f.file(pinFile), pin(o.origin, public, f.signer.PublicKey()), 0o644)
	}
	if err != nil {
		return newFolder{}, errors.Join(err, f.close())
	}
	return f, nil
}

// tell says what people have to know of it.
func (f newFolder) tell(out io.Writer) error {
	_, err := fmt.Fprintf(out, "ledger      %s\nlog key     %s\nuser CA     %s\npin file    %s\n",
		f.origin, f.logKey, ssh.FingerprintSHA256(f.signer.PublicKey()), canon.Visible(f.file(pinFile)))
	return err
}

// emptyFolder refuses a folder that holds something.
func emptyFolder(dir string) error {
	switch entries, err := os.ReadDir(dir); {
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty; name a folder that is not there yet", dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking at the folder: %w", err)
	}
	return nil
}

// create makes the folder with keys, settings and ledger.
func (f *folder) create(ctx context.Context, logKey, origin string, c config,
	start func(context.Context, authority.Config) (*authority.Authority, error),
) error {
	if err := os.MkdirAll(f.file("keys"), 0o700); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	err := private(f.path)
	if err != nil {
		return err
	}
	if f.lock, err = lockFolder(f.path); err != nil {
		return err
	}
	if err := f.writeKeys(logKey, origin, c); err != nil {
		return err
	}
	engine, err := c.createDatabase(ctx, f.path)
	if err != nil {
		return err
	}
	return f.open(ctx, engine, c, folderOptions{}, start)
}

func (f *folder) writeKeys(logKey, origin string, c config) error {
	if err := writeFile(f.file(logKeyFile), []byte(logKey+"\n"), 0o600); err != nil {
		return err
	}
	if f.signer == nil {
		signer, err := softkey.Create(f.file(userCAFile), "sallyport user CA of "+origin, rand.Reader)
		if err != nil {
			return err
		}
		f.signer = signer
	}
	if err := writeFile(f.file(userCAFile+".pub"), []byte(authorizedKey(f.signer.PublicKey())+"\n"), 0o644); err != nil {
		return err
	}
	if err := f.makeHostKeys(origin); err != nil {
		return err
	}
	text, err := c.text()
	if err != nil {
		return err
	}
	return writeFile(f.file(configFile), text, 0o600)
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
