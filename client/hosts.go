package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// ErrHost is wrapped by every refusal of a host's facts.
var ErrHost = errors.New("the server's facts about a host are refused")

// provenHosts is the file of the hosts that the ledger was seen to name. They
// are as good as the log key that proved them, so they hold under that key alone.
type provenHosts struct {
	LogKey string     `json:"log_key"`
	Hosts  []api.Host `json:"hosts"` // newest first
}

// host returns where a host is reached and makes sure that known_hosts has its
// key. What the server says of a host is believed once its ledger entry has
// proved it, and then for as long as the server says the same. While the server
// does not answer, what was proved before is used: a certificate that is still
// good should not need the server.
func (a *account) host(ctx context.Context, name sshcert.Host) (api.Host, error) {
	h, err := a.inventory(ctx, name)
	if ExitCode(err) == ExitUnreachable {
		kept := a.keptHosts()
		if at := slices.IndexFunc(kept, func(h api.Host) bool { return isCalled(h, name) }); at >= 0 {
			a.env.say("%s; using what it proved about hosts last", err)
			h, err = kept[at], nil
		}
	}
	if err != nil {
		return api.Host{}, err
	}
	if !slices.ContainsFunc(a.keptHosts(), func(kept api.Host) bool { return sameHost(kept, h) }) {
		if err := a.proveHost(ctx, h); err != nil {
			return api.Host{}, err
		}
	}
	return h, a.keepHost(ctx, h)
}

// isCalled reports whether a name is a host's own or another one of it. No two hosts
// have one name.
func isCalled(h api.Host, name sshcert.Host) bool {
	return h.Name == name || slices.Contains(h.Aliases, name)
}

// inventory returns what the server says of a host, by its own or by another name.
func (a *account) inventory(ctx context.Context, name sshcert.Host) (api.Host, error) {
	list, err := a.allHosts(ctx)
	if err != nil {
		return api.Host{}, err
	}
	at := slices.IndexFunc(list, func(h api.Host) bool { return isCalled(h, name) })
	if at < 0 {
		return api.Host{}, fmt.Errorf("host %s: it is not in the inventory of %s that your groups are shown; ask a host admin to add it, or log in again if your groups changed", name, a.at.pin.Origin)
	}
	return list[at], nil
}

// hostsPage is how many hosts are asked for at once, maxHosts how many there are at most.
const (
	hostsPage = 500
	maxHosts  = 100_000
)

// allHosts returns the hosts that the server shows, page by page. A server of before
// knows no pages and answers all at once.
func (a *account) allHosts(ctx context.Context) ([]api.Host, error) {
	all := []api.Host{}
	query := url.Values{"limit": {strconv.Itoa(hostsPage)}}
	for {
		var page []api.Host
		if err := a.conn.get(ctx, "/v1/hosts", query, &page); err != nil {
			return nil, err
		}
		for _, h := range page {
			if len(all) > 0 && h.Name <= all[len(all)-1].Name || len(all) == maxHosts {
				return nil, fmt.Errorf("the server at %s does not come to an end with its hosts; tell the operator", a.at.server)
			}
			all = append(all, h)
		}
		if len(page) != hostsPage {
			return all, nil
		}
		query.Set("after", string(page[len(page)-1].Name))
	}
}

// proveHost refuses a host of which the ledger does not say what the server says.
func (a *account) proveHost(ctx context.Context, h api.Host) error {
	v, err := a.verifyHost(ctx, h)
	if err != nil {
		return err
	}
	return v.unproved(h)
}

// verifyHost holds the server's facts about a host to the entry of the ledger
// that recorded them, as `sally ledger show` checks it, with one check more.
func (a *account) verifyHost(ctx context.Context, h api.Host) (*verification, error) {
	if _, err := knownHosts([]api.Host{h}); err != nil {
		return nil, err
	}
	v := verification{pin: a.at.pin, index: h.Leaf}
	if err := a.conn.get(ctx, "/v1/ledger/entries/"+strconv.FormatInt(h.Leaf, 10), nil, &v.entry); err != nil {
		return nil, fmt.Errorf("host %s cannot be checked: %w", h.Name, err)
	}
	if err := v.run(); err != nil {
		return nil, err
	}
	v.checkHost(h)
	if h.LabelLeaf > 0 {
		return &v, a.verifyLabels(ctx, h, &v)
	}
	return &v, nil
}

// verifyLabels holds the labels of a host that was given others than it joined with
// to the entry that says so.
func (a *account) verifyLabels(ctx context.Context, h api.Host, v *verification) error {
	l := verification{pin: a.at.pin, index: h.LabelLeaf}
	if err := a.conn.get(ctx, "/v1/ledger/entries/"+strconv.FormatInt(h.LabelLeaf, 10), nil, &l.entry); err != nil {
		return fmt.Errorf("the labels of host %s cannot be checked: %w", h.Name, err)
	}
	if err := l.run(); err != nil {
		return err
	}
	facts, err := record.ParseFacts(l.leaf.Kind, []byte(l.entry.Facts))
	label, ok := facts.(record.HostLabel)
	if err != nil || !ok || label.Host != h.Name || !sameLabels(h.Labels, label.Labels) || label.Lineage != h.Lineage {
		l.fail("labels", "entry %d does not give the host these labels", h.LabelLeaf)
	} else {
		l.pass("labels", "entry %d gave it these labels", h.LabelLeaf)
	}
	v.checks = append(v.checks, l.checks...)
	return nil
}

func sameLabels(have map[string]string, list []record.Label) bool {
	for _, l := range list {
		if value, ok := have[l.Name]; !ok || value != l.Value {
			return false
		}
	}
	return len(have) == len(list)
}

// checkHost compares a host with the facts of its entry.
func (v *verification) checkHost(h api.Host) {
	facts, err := record.ParseFacts(v.leaf.Kind, []byte(v.entry.Facts))
	if err != nil {
		v.fail("host", "%s", err)
		return
	}
	join, ok := facts.(record.HostJoin)
	if !ok {
		v.fail("host", "it is a %s, not the joining of a host", v.leaf.Kind)
		return
	}
	if field := differs(h, join, v.leaf); field != "" {
		v.fail("host", "it has another %s", field)
		return
	}
	v.pass("host", "%s joined there with these names, address, port, key, labels and contract", h.Name)
}

// unproved returns the refusal of a host whose entry did not pass every check.
func (v *verification) unproved(h api.Host) error {
	for _, c := range v.checks {
		if c.Result != Passed {
			return refuseHost(h, fmt.Sprintf("%s: %s", c.Name, c.Text))
		}
	}
	return nil
}

func refuseHost(h api.Host, why string) error {
	return fmt.Errorf("%w: host %s: entry %d of the ledger does not say what the server says (%s); do not connect, and tell whoever gave you the pin file",
		ErrHost, h.Name, h.Leaf, why)
}

// differs names the first thing in which a host is not what its leaf says, or
// nothing.
func differs(h api.Host, join record.HostJoin, leaf ledger.Leaf) string {
	wire, err := canon.ParseB64(join.HostKey)
	if err != nil {
		return "host key"
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return "host key"
	}
	switch {
	case join.Name != h.Name:
		return "name"
	case join.Address != h.Address:
		return "address"
	case join.Port != h.Port:
		return "port"
	case keyLine(key) != h.HostKey:
		return "host key"
	case h.LabelLeaf == 0 && !sameLabels(h.Labels, join.Labels):
		return "set of labels"
	case !slices.Equal(join.Aliases, h.Aliases):
		return "set of other names"
	case join.Lineage != h.Lineage || leaf.Lineage != h.Lineage:
		return "contract"
	case join.Reference() != leaf.Reference:
		return "reference"
	}
	return ""
}

func sameHost(a, b api.Host) bool {
	return a.Name == b.Name && a.Address == b.Address && a.Port == b.Port && a.HostKey == b.HostKey &&
		maps.Equal(a.Labels, b.Labels) && slices.Equal(a.Aliases, b.Aliases) && a.Lineage == b.Lineage && a.Leaf == b.Leaf && a.LabelLeaf == b.LabelLeaf
}

// keptHosts returns the hosts that were proved under the pinned log key. A file
// that cannot be read is none: its hosts are proved again.
func (a *account) keptHosts() []api.Host {
	var kept provenHosts
	b, err := readPrivate(filepath.Join(a.dir, hostsFile))
	if err != nil || json.Unmarshal(b, &kept) != nil || kept.LogKey != a.at.pin.LogKey {
		return nil
	}
	return kept.Hosts
}

// keepHost writes a proved host down beside the others, for ssh as a known_hosts
// file. Runs at the same time do so one after the other, else one could take
// another's host out before its ssh has read the file.
func (a *account) keepHost(ctx context.Context, h api.Host) error {
	unlock, err := lock(ctx, filepath.Join(a.dir, hostsLock), func() {})
	if err != nil {
		return err
	}
	defer unlock()
	others := slices.DeleteFunc(a.keptHosts(), func(kept api.Host) bool { return kept.Name == h.Name })
	kept := provenHosts{LogKey: a.at.pin.LogKey, Hosts: append([]api.Host{h}, others...)}
	var b []byte
	for { // what does not fit is proved again when it is used
		if b, err = json.Marshal(kept); err != nil {
			return fmt.Errorf("keeping the hosts: %w", err)
		}
		if len(b) <= maxPrivate || len(kept.Hosts) == 1 {
			break
		}
		kept.Hosts = kept.Hosts[:len(kept.Hosts)-1]
	}
	text, err := knownHosts(kept.Hosts)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(a.dir, hostsFile), b, 0o600); err != nil {
		return err
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
