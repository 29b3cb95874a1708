// Package join owns how a host comes in by itself: it takes an invitation, pins the
// trust bundle that the invitation names, puts the verifier in force, and gets a
// host certificate.
package join

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/agent"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/ledger/trust"
)

// maxOlder is how many bundles are looked at for the one that an invitation names.
const maxOlder = 64

// Options are the settings of [Run].
type Options struct {
	// Setup says what becomes of the host. Bundle and Digest are put in.
	Setup      host.SetupOptions
	Invitation hostcall.Invitation
	HostKey    string       // file of the private host key that sshd uses
	Token      string       // a workload's identity token, where the invitation names one; else empty
	HTTP       *http.Client // how to reach the server; nil: [host.NewHTTP]
}

// Run lets a host join. In order:
//
//  1. the server takes the invitation for this host's name and key, and records it;
//  2. the trust bundle that the invitation names is fetched: by its digest, so the
//     server can't give another;
//  3. the verifier is put in force ([host.Setup]), or everything on the host is as
//     before;
//  4. the host gets its certificate, from a key that the bundle names, sshd is told of
//     it, and the agent started.
//
// The invitation is used up by the first step. Running it again with the same host
// key is safe after every failure, and carries on.
func Run(ctx context.Context, o Options) error {
	if o.HTTP == nil {
		o.HTTP = host.NewHTTP()
	}
	if err := o.Setup.Check(); err != nil { // before the invitation is used up
		return err
	}
	caller, err := o.caller()
	if err != nil {
		return err
	}
	joined, err := caller.JoinBy(ctx, o.Invitation, o.Token)
	if err != nil {
		return fmt.Errorf("joining: %w", err)
	}
	o.say("%s has joined, for %s: entry %d of %s", joined.Name, canon.Visible(address(joined.Address, joined.Port)), joined.Leaf, o.Invitation.Origin)
	if o.Setup.Bundle, err = bundle(ctx, caller, joined.Lineage, o.Invitation.Bundle); err != nil {
		return again(err)
	}
	o.Setup.Digest = o.Invitation.Bundle
	signed, err := trust.First(o.Setup.Bundle, o.Setup.Digest, o.Setup.Now())
	switch {
	case err != nil:
		return again(err)
	case signed.Bundle.Origin != o.Invitation.Origin || signed.Bundle.Lineage != joined.Lineage:
		return again(fmt.Errorf("%w: it is of %s and lineage %s", trust.ErrOther, signed.Bundle.Origin, signed.Bundle.Lineage))
	}
	return again(o.putInForce(ctx, len(signed.Bundle.HostCAs) > 0))
}

// putInForce does what setup does, gets the host's certificate, and then has sshd show it
// and the agent started: a host gets one certificate a minute, and the agent would ask
// for it at the same time. Without a certificate the rest is in force all the same.
func (o Options) putInForce(ctx context.Context, certify bool) error {
	first := o.Setup
	first.Agent = false
	if err := host.Setup(ctx, first); err != nil {
		return err
	}
	var uncertified error
	if certify {
		uncertified = o.certify(ctx)
	}
	if !certify && !o.Setup.Agent {
		return nil
	}
	if err := host.Setup(ctx, o.Setup); err != nil {
		return errors.Join(uncertified, fmt.Errorf("the verifier is in force, but not all is done: %w", err))
	}
	if certify && uncertified == nil {
		o.say("host certificate in %s", canon.Visible(filepath.Join(o.Setup.Machine.Dir, host.HostCertFile)))
	}
	return uncertified
}

// certify gets the host's certificate.
func (o Options) certify(ctx context.Context) error {
	folder := host.Folder{Path: o.Setup.Machine.Dir, Owner: o.Setup.Machine.Owner}
	network := agent.Network{Folder: folder, HostKey: o.HostKey, Now: o.Setup.Now, HTTP: o.HTTP}
	if _, err := network.Renew(ctx); err != nil {
		return fmt.Errorf("the verifier is in force, but the host has no certificate yet: %w", err)
	}
	return nil
}

func (o Options) caller() (*host.Caller, error) {
	server, err := url.Parse(o.Setup.Config.Server)
	if err != nil {
		return nil, err
	}
	key, err := host.ReadKey(o.HostKey, o.Setup.Machine.Owner)
	if err != nil {
		return nil, err
	}
	return &host.Caller{
		Server: server, Origin: o.Invitation.Origin, Host: o.Setup.Config.Name, Aliases: o.Setup.Config.Aliases, Key: key, Now: o.Setup.Now, Rand: rand.Reader, HTTP: o.HTTP,
	}, nil
}

func (o Options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.Setup.Out, format+"\n", args...) // what is done does not depend on it
}

// bundle returns the file of the bundle with a digest: the newest, or one before it.
func bundle(ctx context.Context, c *host.Caller, lineage, digest canon.Digest) ([]byte, error) {
	file, err := c.Bundle(ctx, lineage, 0)
	for range maxOlder {
		if err != nil {
			return nil, fmt.Errorf("fetching the trust bundle: %w", err)
		}
		signed, err := trust.Parse(file)
		if err != nil {
			return nil, err
		}
		if signed.Digest() == digest {
			return file, nil
		}
		if signed.Bundle.Number <= 1 {
			break
		}
		if file, err = c.Bundle(ctx, lineage, signed.Bundle.Number-1); err != nil {
			return nil, fmt.Errorf("fetching the trust bundle: %w", err)
		}
	}
	return nil, fmt.Errorf("%w: the server has none with the digest %s that the invitation names", trust.ErrOther, digest)
}

// again says of an error behind the first step how to carry on.
func again(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w; it has joined, so run the same command again to carry on", err)
}

func address(name string, port int) string { return name + ":" + strconv.Itoa(port) }
