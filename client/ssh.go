package client

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/sshcert"
)

// SSHOptions are the settings of [SSH].
type SSHOptions struct {
	Env
	// Ask has one principal. For and Because are needed only where a new
	// request must be made.
	Ask
	// KeyFile keeps the key in a file also where an ssh-agent would take it.
	KeyFile bool
	// Timeout bounds the wait for a decision; 0 waits until it is settled.
	Timeout time.Duration
	// Args are given to ssh after the host: its options, then a command.
	Args []string
	// Exec replaces this program by another; unix.Exec if nil.
	Exec func(path string, argv, environ []string) error
}

// SSH connects to LOGIN@HOST with a certificate: a live one that is kept, else
// one issued under an open grant, else after a request, its own or an open one
// that it joins, was granted. Then it becomes stock ssh, whose exit code is the
// program's.
func SSH(ctx context.Context, o SSHOptions) error {
	p, err := o.check()
	if err != nil {
		return err
	}
	program, err := exec.LookPath("ssh")
	if err != nil {
		return fmt.Errorf("ssh: %w; install the OpenSSH client", err)
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	host, err := a.host(ctx, p.Host)
	if err != nil {
		return err
	}
	if err := a.sweep(ctx); err != nil {
		return err
	}
	id, err := a.certificate(ctx, p, o)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // after the exec nobody would hear of it
		return err
	}
	become := o.Exec
	if become == nil {
		become = unix.Exec
	}
	argv := append([]string{"ssh"}, sshArgs(p, host, id, filepath.Join(a.dir, knownHostsFile), o.Args)...)
	if err := become(program, argv, os.Environ()); err != nil {
		return fmt.Errorf("starting %s: %w", program, err)
	}
	return nil
}

// check refuses what is wrong with the options before any network call.
func (o SSHOptions) check() (sshcert.Principal, error) {
	if len(o.Principals) != 1 {
		return sshcert.Principal{}, Usagef("name one LOGIN@HOST, such as ops@web-1.example")
	}
	p, err := sshcert.ParsePrincipal(o.Principals[0])
	if err != nil {
		return sshcert.Principal{}, Usagef("LOGIN@HOST: %w", err)
	}
	if o.Timeout < 0 {
		return sshcert.Principal{}, Usagef("--timeout: not negative")
	}
	if o.For != "" {
		if _, err := parseLength(o.For); err != nil {
			return sshcert.Principal{}, err
		}
	}
	if o.Because != "" {
		if _, err := parseReason(o.Because); err != nil {
			return sshcert.Principal{}, err
		}
	}
	return p, nil
}

// certificate finds or obtains a certificate. Runs at the same time for one
// principal share it: the second waits for the first and uses its result.
func (a *account) certificate(ctx context.Context, p sshcert.Principal, o SSHOptions) (identity, error) {
	unlock, err := lock(ctx, a.lockFile(p), func() { a.env.say("another sally is at work for %s; waiting for it", p) })
	if err != nil {
		return identity{}, err
	}
	defer unlock()
	if id, ok := a.live(ctx, p, o.KeyFile); ok {
		return id, nil
	}
	r, err := a.grant(ctx, p, o)
	if err != nil {
		return identity{}, err
	}
	is, err := a.issue(ctx, r, p)
	if err != nil {
		return identity{}, err
	}
	a.env.say("certificate serial %d for %s until %s", is.cert.Serial, p, a.env.clock(unixTime(is.cert.ValidBefore)))
	return a.keep(ctx, is, p, o.KeyFile)
}

// leastGrant is how much of a grant must be left to be worth using.
const leastGrant = 10 * time.Second

// grant returns a granted request for p: an active one, else a pending one or a
// new one after it was granted.
func (a *account) grant(ctx context.Context, p sshcert.Principal, o SSHOptions) (api.Request, error) {
	all, err := a.mine(ctx)
	if err != nil {
		return api.Request{}, err
	}
	var best, open *api.Request
	for i, r := range all {
		if !covers(r, p) || (o.Role != "" && r.Role != o.Role) || (o.Contract != "" && r.Contract.ID != o.Contract) {
			continue
		}
		switch {
		case active(r) && a.conn.now().Add(leastGrant).Before(r.Grant.End.Time()):
			if best == nil || r.Grant.End > best.Grant.End {
				best = &all[i]
			}
		case approval.State(r.State) == approval.Pending && open == nil:
			open = &all[i]
		}
	}
	switch {
	case best != nil:
		a.env.say("using the grant of request %s, until %s", best.ID, a.env.clock(best.Grant.End.Time()))
		return *best, nil
	case open != nil:
		a.env.say("joining request %s, open since %s; it is decided at %s", open.ID, a.env.clock(open.SubmittedAt.Time()), open.URL)
		return a.waitGranted(ctx, *open, p, o)
	case o.For == "" || o.Because == "":
		return api.Request{}, Usagef(`you have no open grant or request for %s: add --for 10m --because "…" to ask for one`, p)
	}
	w, err := o.Ask.check()
	if err != nil {
		return api.Request{}, err
	}
	r, err := a.submit(ctx, w)
	if err != nil {
		return api.Request{}, err
	}
	a.tellFiled(r)
	return a.waitGranted(ctx, r, p, o)
}

func (a *account) waitGranted(ctx context.Context, r api.Request, p sshcert.Principal, o SSHOptions) (api.Request, error) {
	r, err := a.waiter(o.Timeout, "sally ssh "+p.String()).wait(ctx, r)
	if err != nil {
		return api.Request{}, err
	}
	return r, a.tellOutcome(r)
}

// sshArgs are ssh's arguments. What decides about host and identity is given on
// the command line, where ssh takes the first value, so no ssh_config can turn
// it off; it holds with -F none too. args go behind the host, where ssh reads
// options first and then the command.
//
// An agent-held certificate is named by IdentityFile X-cert.pub alone: beside a
// CertificateFile ssh would look for the private key in a file.
func sshArgs(p sshcert.Principal, h api.Host, id identity, knownHostsPath string, args []string) []string {
	options := []string{
		"HostName=" + h.Address,
		"HostKeyAlias=" + string(h.Name),
		"UserKnownHostsFile=" + sshPath(knownHostsPath),
		"GlobalKnownHostsFile=/dev/null",
		"KnownHostsCommand=none",
		"StrictHostKeyChecking=yes",
		"VerifyHostKeyDNS=no",
		"NoHostAuthenticationForLocalhost=no",
		"CheckHostIP=no",
		"UpdateHostKeys=no",
		"CanonicalizeHostname=no",
		// A master connection of an earlier certificate must not serve this one.
		"ControlMaster=no",
		"ControlPath=none",
		"PreferredAuthentications=publickey",
		"IdentitiesOnly=yes",
	}
	if id.keyFile == "" {
		options = append(options, "IdentityAgent=SSH_AUTH_SOCK", "IdentityFile="+sshPath(id.certFile))
	} else {
		options = append(options, "IdentityFile="+sshPath(id.keyFile), "CertificateFile="+sshPath(id.certFile))
	}
	out := []string{"-l", string(p.Login), "-p", strconv.Itoa(h.Port)}
	for _, option := range options {
		out = append(out, "-o", option)
	}
	out = append(out, string(h.Name))
	return append(out, args...)
}

// sshPath quotes a path for an ssh_config value: ssh splits it into words and
// expands %. stateRoot refused what cannot be quoted.
func sshPath(path string) string {
	return `"` + strings.ReplaceAll(path, "%", "%%") + `"`
}
