package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/sshcert"
)

// ErrHost is wrapped by every refusal of a host's facts.
var ErrHost = errors.New("the server's facts about a host are refused")

// host returns where a host is reached and makes sure that known_hosts has its
// key. While the server does not answer, what it said last is used: a
// certificate that is still good should not need the server.
func (a *account) host(ctx context.Context, name sshcert.Host) (api.Host, error) {
	var list []api.Host
	err := a.conn.get(ctx, "/v1/hosts", nil, &list)
	if ExitCode(err) == ExitUnreachable {
		if kept, ok := a.keptHosts(); ok {
			a.env.say("%s; using what it said about hosts last", err)
			list, err = kept, nil
		}
	}
	if err != nil {
		return api.Host{}, err
	}
	if err := a.keepHosts(list); err != nil {
		return api.Host{}, err
	}
	for _, h := range list {
		if h.Name == name {
			return h, nil
		}
	}
	return api.Host{}, fmt.Errorf("host %s: it is not in the inventory of %s; ask a host admin to add it", name, a.at.pin.Origin)
}

func (a *account) keptHosts() ([]api.Host, bool) {
	var list []api.Host
	b, err := readPrivate(filepath.Join(a.dir, hostsFile))
	return list, err == nil && json.Unmarshal(b, &list) == nil
}

// keepHosts checks the hosts' facts and writes them down, for ssh as a
// known_hosts file.
func (a *account) keepHosts(list []api.Host) error {
	text, err := knownHosts(list)
	if err != nil {
		return err
	}
	b, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("keeping the hosts: %w", err)
	}
	if len(b) <= maxPrivate { // else it could not be read again; the server is then asked each time
		if err := writeFile(filepath.Join(a.dir, hostsFile), b, 0o600); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(a.dir, knownHostsFile), []byte(text), 0o600)
}

// knownHosts returns a known_hosts file (sshd(8)) with one line for each host,
// under the host's name: ssh is told to look the name up, not the address. It
// refuses facts that ssh could read as something else.
func knownHosts(list []api.Host) (string, error) {
	var b strings.Builder
	for _, h := range list {
		if _, err := sshcert.ParseHost(string(h.Name)); err != nil {
			return "", fmt.Errorf("%w: %w", ErrHost, err)
		}
		if !plainAddress(h.Address) || h.Port < 1 || h.Port > 65535 {
			return "", fmt.Errorf("%w: host %s: %q port %d is no address", ErrHost, h.Name, h.Address, h.Port)
		}
		key, err := parseKeyLine(h.HostKey)
		if err != nil {
			return "", fmt.Errorf("%w: host %s: host key: %w", ErrHost, h.Name, err)
		}
		fmt.Fprintf(&b, "%s %s\n", h.Name, keyLine(key))
	}
	return b.String(), nil
}

// plainAddress holds an address to a DNS name or an IP address: nothing that a
// shell, ssh_config or ssh's own % expansion would read.
func plainAddress(s string) bool {
	if s == "" || len(s) > 253 || s[0] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '.' && r != ':' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}
