package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/wholefile"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	// DefaultHostKey signs what a host tells the server.
	DefaultHostKey = "/etc/ssh/ssh_host_ed25519_key"

	listWait   = 20 * time.Second // how long the server holds a question for another list
	maxBundles = 64               // that are followed at once
	maxKeyFile = 64 << 10
	noKeyPause = time.Hour // between two looks for a key that signs host certificates
)

// Network speaks to the server that host.json names, as the host that it names. Both
// are read for each call: sally-host join changes them.
type Network struct {
	Folder  host.Folder
	HostKey string // file of the private host key that the ledger has
	Now     func() time.Time
	HTTP    *http.Client
	// Reload tells sshd that there is a new host certificate; nil: nobody does.
	Reload func(ctx context.Context) error
}

var (
	_ Refresher = (*Network)(nil)
	_ Reporter  = (*Network)(nil)
	_ Renewer   = (*Network)(nil)
)

// caller returns what speaks for the host, and what the host pins.
func (n *Network) caller() (*host.Caller, trust.Bundle, error) {
	verifier, err := host.Load(n.Folder)
	if err != nil {
		return nil, trust.Bundle{}, err
	}
	server, err := url.Parse(verifier.Config().Server)
	if err != nil {
		return nil, trust.Bundle{}, err
	}
	key, err := host.ReadKey(n.HostKey, n.Folder.Owner)
	if err != nil {
		return nil, trust.Bundle{}, err
	}
	return &host.Caller{
		Server: server, Origin: verifier.Bundle().Origin, Host: verifier.Config().Name, Aliases: verifier.Config().Aliases, Key: key, Now: n.Now, Rand: rand.Reader, HTTP: n.HTTP,
	}, verifier.Bundle(), nil
}

// List asks for the newest list; the server holds the question until there is another.
func (n *Network) List(ctx context.Context, have trust.KRL) (*List, error) {
	c, bundle, err := n.caller()
	if err != nil {
		return nil, err
	}
	answer, err := c.RevocationList(ctx, bundle.Lineage, have.Number, listWait)
	if err != nil {
		return nil, err
	}
	l := &List{Statement: answer.Statement, Signature: answer.Signature}
	if answer.KRL != "" {
		if l.KRL, err = canon.ParseB64(answer.KRL); err != nil {
			return nil, fmt.Errorf("the revocation list: %w", err)
		}
	}
	return l, nil
}

// Bundles asks for one bundle after the other, until there is none.
func (n *Network) Bundles(ctx context.Context, number int64) ([][]byte, error) {
	c, bundle, err := n.caller()
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for len(list) < maxBundles {
		number++
		file, err := c.Bundle(ctx, bundle.Lineage, number)
		if e, ok := errors.AsType[*host.RefusedError](err); ok && e.Status == http.StatusNotFound {
			break
		}
		if err != nil {
			return nil, err
		}
		list = append(list, file)
	}
	return list, nil
}

// Tell tells of events.
func (n *Network) Tell(ctx context.Context, events []hostcall.Event) (map[int]string, error) {
	c, _, err := n.caller()
	if err != nil {
		return nil, err
	}
	answers, err := c.Events(ctx, events)
	if err != nil {
		return nil, err
	}
	refused := map[int]string{}
	for i, a := range answers {
		switch {
		case a.Recorded:
		case a.Refused != "":
			refused[i] = canon.Visible(a.Refused)
		default:
			return nil, fmt.Errorf("%w: it does not say what became of an event", host.ErrUnreachable)
		}
	}
	return refused, nil
}

// Heartbeat says how the host is set up.
func (n *Network) Heartbeat(ctx context.Context, body hostcall.HeartbeatBody) error {
	c, _, err := n.caller()
	if err != nil {
		return err
	}
	return c.Heartbeat(ctx, body)
}

// Renew gets a new host certificate when half of the life of the old one is over, from
// a key that the bundle names.
func (n *Network) Renew(ctx context.Context) (time.Duration, error) {
	c, bundle, err := n.caller()
	if err != nil {
		return 0, err
	}
	if len(bundle.HostCAs) == 0 {
		return noKeyPause, nil
	}
	if left := n.goodFor(c); left > 0 {
		return left, nil
	}
	cert, authority, err := c.Certify(ctx)
	if err != nil {
		return 0, err
	}
	if !bundle.SignsHosts(authority) {
		return 0, errors.New("the host certificate that the server made is signed by a key that the trust bundle does not name; it is not taken")
	}
	if err := wholefile.Write(filepath.Join(n.Folder.Path, host.HostCertFile), ssh.MarshalAuthorizedKey(cert), 0o644); err != nil {
		return 0, err
	}
	if n.Reload != nil {
		if err := n.Reload(ctx); err != nil {
			return 0, fmt.Errorf("there is a new host certificate, and sshd was not told: %w", err)
		}
	}
	return max(n.goodFor(c), time.Minute), nil
}

// goodFor is how long the host certificate at hand need not be renewed.
func (n *Network) goodFor(c *host.Caller) time.Duration {
	text, err := n.Folder.Read(host.HostCertFile, maxKeyFile)
	if err != nil {
		return 0
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return 0
	}
	cert, err := sshcert.ParseCertificate(key.Marshal())
	if err != nil || string(cert.Key.Marshal()) != string(c.Key.PublicKey().Marshal()) || !c.IsOwn(cert.ValidPrincipals) {
		return 0
	}
	from, until := time.Unix(int64(cert.ValidAfter), 0), time.Unix(int64(cert.ValidBefore), 0) //nolint:gosec // times of our days
	return from.Add(until.Sub(from) / 2).Sub(n.Now())
}
