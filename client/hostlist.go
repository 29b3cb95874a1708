package client

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/sshcert"
)

// HostsOptions are the settings of [Hosts].
type HostsOptions struct {
	Env
	// Name is one host to show in full, with its proof; empty lists all that the
	// person may ask for.
	Name string
	JSON bool
}

// hostsResult is what --json prints without a name.
type hostsResult struct {
	Hosts []hostRoles `json:"hosts"`
}

// hostRoles is a host and the roles by which the person may ask for it.
type hostRoles struct {
	Name  sshcert.Host     `json:"name"`
	Roles []api.RoleOption `json:"roles"`
}

// hostResult is what --json prints of one host: what the server says of it, and
// whether the pinned ledger says the same.
type hostResult struct {
	OK     bool             `json:"ok"` // no check failed, and none is unknown
	Host   api.Host         `json:"host"`
	Roles  []api.RoleOption `json:"roles"`
	Checks []Check          `json:"checks"`
}

// Hosts prints the hosts that the person may ask for, and by which roles; or one
// host in full, held to the ledger entry that recorded it. Which roles there are is
// the server's word: a certificate comes only if the contract says the same.
func Hosts(ctx context.Context, o HostsOptions) error {
	var name sshcert.Host
	if o.Name != "" {
		var err error
		if name, err = sshcert.ParseHost(o.Name); err != nil {
			return Usagef("NAME: %w", err)
		}
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	var roles []api.RoleOption
	if err := a.conn.get(ctx, "/v1/roles", nil, &roles); err != nil {
		return err
	}
	if name != "" {
		return a.showHost(ctx, o, name, roles)
	}
	list := byHost(roles)
	switch {
	case o.JSON:
		return o.printJSON(hostsResult{list})
	case len(list) == 0:
		o.say("no contract in force lets you ask for a host; sally whoami shows your groups")
		return nil
	default:
		return o.printTable(hostTable(list))
	}
}

// byHost lists the hosts of the roles by name, each with its roles.
func byHost(roles []api.RoleOption) []hostRoles {
	of := map[sshcert.Host][]api.RoleOption{}
	for _, role := range roles {
		hosts := role.Hosts
		role.Hosts = nil // the one that it stands beside
		for _, name := range hosts {
			of[name] = append(of[name], role)
		}
	}
	list := []hostRoles{}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		list = append(list, hostRoles{name, of[name]})
	}
	return list
}

func hostTable(list []hostRoles) table {
	t := table{heading: []string{"host", "logins", "role", "clause", "at most", "decided by"}}
	for _, h := range list {
		for _, r := range h.Roles {
			t.rows = append(t.rows, []string{
				string(h.Name), strings.ReplaceAll(joined(r.Logins), " ", ","), r.Contract.ID + "/" + r.Role, r.Clause, seconds(r.MaxSeconds).String(), decidedBy(r),
			})
		}
	}
	return t
}

// decidedBy says who decides, stage by stage: "leads", "2 of leads, then security".
func decidedBy(r api.RoleOption) string {
	var stages []string
	for _, s := range r.Stages {
		who := strings.Join(s.From, " or ")
		if s.Need > 1 {
			who = fmt.Sprintf("%d of %s", s.Need, who)
		}
		stages = append(stages, who)
	}
	return strings.Join(stages, ", then ")
}

// showHost prints one host, what its ledger entry says included. The error is nil
// only if the entry says what the server says.
func (a *account) showHost(ctx context.Context, o HostsOptions, name sshcert.Host, all []api.RoleOption) error {
	h, err := a.inventory(ctx, name)
	if err != nil {
		return err
	}
	v, err := a.verifyHost(ctx, h)
	if err != nil {
		return err
	}
	roles := []api.RoleOption{}
	for _, r := range all {
		if slices.Contains(r.Hosts, name) {
			r.Hosts = nil
			roles = append(roles, r)
		}
	}
	refused := v.unproved(h)
	if o.JSON {
		err = o.printJSON(hostResult{OK: refused == nil, Host: h, Roles: roles, Checks: v.checks})
	} else {
		err = o.printHost(h, roles, v.checks)
	}
	if err != nil {
		return err
	}
	return refused
}

func (e Env) printHost(h api.Host, roles []api.RoleOption, checks []Check) error {
	labels := make([]string, 0, len(h.Labels))
	for name, value := range h.Labels {
		labels = append(labels, name+"="+value)
	}
	slices.Sort(labels)
	fingerprint := h.HostKey
	if key, err := parseKeyLine(h.HostKey); err == nil {
		fingerprint = key.Type() + " " + ssh.FingerprintSHA256(key)
	}
	pairs := [][2]string{
		{"host", string(h.Name)},
		{"address", fmt.Sprintf("%s port %d", h.Address, h.Port)},
		{"host key", fingerprint},
		{"labels", first(strings.Join(labels, ", "), "none")},
		{"joined", fmt.Sprintf("entry %d of the ledger", h.Leaf)},
	}
	if len(h.Aliases) > 0 {
		pairs = append(pairs, [2]string{"also", joined(h.Aliases)})
	}
	for _, r := range roles {
		pairs = append(pairs, [2]string{"role", fmt.Sprintf("%s/%s %s: %s for at most %s, decided by %s; a certificate lasts %s",
			r.Contract.ID, r.Role, r.Clause, strings.ReplaceAll(joined(r.Logins), " ", ", "), seconds(r.MaxSeconds), decidedBy(r), seconds(r.CertSeconds))})
	}
	if len(roles) == 0 {
		pairs = append(pairs, [2]string{"role", "none lets you ask for this host"})
	}
	if err := e.printPairs(pairs); err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteByte('\n')
	for _, c := range checks {
		fmt.Fprintf(&b, "%s %s: %s\n", mark(e, c.Result), c.Name, e.visible(c.Text))
	}
	return e.write(b.Bytes())
}
