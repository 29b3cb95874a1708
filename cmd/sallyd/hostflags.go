package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// hostOptions are the flags of hosts add and hosts invite. What they may say is decided when the
// host is recorded; here they are read so that whoever mistyped one is told which.
type hostOptions struct {
	name, addr, keyFile, contract string
	labels, aliases               []string
}

func (o hostOptions) parse() (authority.NewHost, error) {
	h, err := o.parseInventory()
	if err != nil {
		return authority.NewHost{}, err
	}
	if h.Key, err = readHostKey(o.keyFile); err != nil {
		return authority.NewHost{}, fmt.Errorf("--host-key: %w", err)
	}
	return h, nil
}

// parseInventory reads everything but the key.
func (o hostOptions) parseInventory() (authority.NewHost, error) {
	name, err := sshcert.ParseHost(o.name)
	if err != nil {
		return authority.NewHost{}, err
	}
	h := authority.NewHost{Name: name, Contract: o.contract, Labels: make(map[string]string)}
	if h.Address, h.Port, err = parseAddr(o.addr); err != nil {
		return authority.NewHost{}, fmt.Errorf("--addr %q: %w", strictyaml.Clip(o.addr), err)
	}
	for _, l := range o.labels {
		k, v, ok := strings.Cut(l, "=")
		if !ok {
			return authority.NewHost{}, fmt.Errorf("--label %q: it is NAME=VALUE", strictyaml.Clip(l))
		}
		if err := contract.CheckLabel(k, v); err != nil {
			return authority.NewHost{}, fmt.Errorf("--label: %w", err)
		}
		if first, twice := h.Labels[k]; twice {
			return authority.NewHost{}, fmt.Errorf("--label %s=%s: %s is %s already; a host has each label once", k, v, k, first)
		}
		h.Labels[k] = v
	}
	if len(o.aliases) == 0 {
		return h, nil
	}
	if h.Aliases, err = sshcert.ParseHosts(o.aliases); err == nil {
		err = record.CheckAliases(h.Name, h.Aliases)
	}
	if err != nil {
		return authority.NewHost{}, fmt.Errorf("--alias: %w", err)
	}
	return h, nil
}

var hostAddress = regexp.MustCompile(`^[a-z0-9.:][a-z0-9.:-]{0,252}$`)

func parseAddr(text string) (host string, port int, err error) {
	host, number, err := net.SplitHostPort(text)
	if err != nil {
		return "", 0, errors.New("it is not HOST:PORT, such as 10.20.0.11:22")
	}
	if !hostAddress.MatchString(host) {
		return "", 0, errors.New("before the port stands a lower-case DNS name or an IP address, at most 253 characters")
	}
	port, err = strconv.Atoi(number)
	if err != nil || port < 1 || port > 65535 || strconv.Itoa(port) != number {
		return "", 0, errors.New("the port is a number from 1 to 65535")
	}
	return host, port, nil
}

// readHostKey reads a file that holds one public key, as sshd's
// ssh_host_…_key.pub do.
func readHostKey(path string) (ssh.PublicKey, error) {
	text, err := readLimited(path)
	if err != nil {
		return nil, err
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s holds no SSH public key; name the file that ends in .pub", path)
	case len(options) > 0:
		return nil, fmt.Errorf("%s holds options before its key; name the host's own file, which has none", path)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("%s holds more than one line; name a file with one public key", path)
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return nil, fmt.Errorf("%s holds a certificate; name the file with the plain key", path)
	}
	return key, nil
}
