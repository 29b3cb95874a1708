package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// errNoAgent says that there is no ssh-agent to give a key to.
var errNoAgent = errors.New("no ssh-agent runs (SSH_AUTH_SOCK is not set)")

const agentTime = 10 * time.Second // for everything that one run asks of it

// withAgent calls use with the person's ssh-agent (draft-miller-ssh-agent).
func withAgent(ctx context.Context, getenv func(string) string, use func(agent.Agent) error) (err error) {
	socket := getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return errNoAgent
	}
	var d net.Dialer
	ctx, cancel := context.WithTimeout(ctx, agentTime)
	defer cancel()
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("the ssh-agent does not answer: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.SetDeadline(time.Now().Add(agentTime)); err != nil {
		return fmt.Errorf("the ssh-agent does not answer: %w", err)
	}
	return use(agent.NewClient(c))
}

// addToAgent hands certificate and key to the agent as one entry, which the
// agent forgets when the certificate ends. The bare key is not added: ssh would
// then offer it without the certificate.
func addToAgent(a agent.Agent, is issued, comment string, now time.Time) error {
	left := math.Ceil(unixTime(is.cert.ValidBefore).Sub(now).Seconds())
	if left < 1 || left > math.MaxUint32 {
		return fmt.Errorf("a lifetime of %.0f seconds", left)
	}
	err := a.Add(agent.AddedKey{
		PrivateKey: is.key, Certificate: is.cert, Comment: comment, LifetimeSecs: uint32(left),
	})
	if err != nil {
		return fmt.Errorf("the ssh-agent refused the certificate: %w", err)
	}
	held, err := agentHolds(a, is.cert)
	if err == nil && !held {
		err = errors.New("the ssh-agent took the certificate but does not list it")
	}
	return err
}

// agentHolds reports whether the agent has an entry for exactly this
// certificate.
func agentHolds(a agent.Agent, cert *ssh.Certificate) (bool, error) {
	keys, err := a.List()
	if err != nil {
		return false, fmt.Errorf("the ssh-agent does not list its keys: %w", err)
	}
	wire := cert.Marshal()
	for _, k := range keys {
		if bytes.Equal(k.Blob, wire) {
			return true, nil
		}
	}
	return false, nil
}
