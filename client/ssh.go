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

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
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
	// KeyType is the type of the key that is made, one of KeyTypes; the first if
	// empty, and then a live certificate for a key of any type is used.
	KeyType string
	// Identity is the public key file of a key of the person's own, or the private
	// one's beside which it lies. The certificate is made for that key, which stays
	// where it is. Empty: a new key is made.
	Identity string
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
	p, w, err := o.check()
	if err != nil {
		return err
	}
	choice, err := o.choose()
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
	if host.Name != p.Host { // what is asked for, decided and certified is a host by its own name
		a.env.say("%s is another name of host %s", p.Host, host.Name)
		p.Host, w.hosts[0] = host.Name, host.Name
	}
	if err := a.sweep(ctx); err != nil {
		return err
	}
	id, err := a.certificate(ctx, p, w, choice, o)
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
func (o SSHOptions) check() (sshcert.Principal, wanted, error) {
	if len(o.Principals) != 1 {
		return sshcert.Principal{}, wanted{}, Usagef("name one LOGIN@HOST, such as ops@web-1.example")
	}
	w, err := o.checkGiven()
	if err != nil {
		return sshcert.Principal{}, wanted{}, err
	}
	if o.Timeout < 0 {
		return sshcert.Principal{}, wanted{}, Usagef("--timeout: not negative")
	}
	return sshcert.Principal{Login: w.logins[0], Host: w.hosts[0]}, w, nil
}

// resume is the command that goes on with the request once it is open: it joins
// it, so that neither length nor reason is needed again.
func (o SSHOptions) resume() string {
	words := []string{"sally", "ssh", o.Principals[0]}
	for _, flag := range []struct{ name, value string }{
		{"--role", o.Role}, {"--contract", o.Contract}, {"--key-type", o.KeyType}, {"--identity", o.Identity},
	} {
		if flag.value != "" {
			words = append(words, flag.name, flag.value)
		}
	}
	if o.KeyFile {
		words = append(words, "--key-file")
	}
	if len(o.Args) > 0 {
		words = append(append(words, "--"), o.Args...)
	}
	for i, word := range words {
		words[i] = canon.ShellWord(word)
	}
	return strings.Join(words, " ")
}

// certificate finds or obtains a certificate. Runs at the same time for one
// principal share it: the second waits for the first and uses its result.
func (a *account) certificate(ctx context.Context, p sshcert.Principal, w wanted, choice keyChoice, o SSHOptions) (identity, error) {
	unlock, err := lock(ctx, a.lockFile(p), func() { a.env.say("another sally is at work for %s; waiting for it", p) })
	if err != nil {
		return identity{}, err
	}
	defer unlock()
	if id, ok := a.live(ctx, p, choice, o.KeyFile); ok {
		if ok, err = a.asNamed(ctx, id.cert, w); ok || err != nil {
			return id, err
		}
	}
	r, err := a.grant(ctx, w, o)
	if err != nil {
		return identity{}, err
	}
	key, err := choice.subject(a.env)
	if err != nil {
		return identity{}, err
	}
	is, err := a.issue(ctx, r, p, key)
	if err != nil {
		return identity{}, err
	}
	a.env.say("certificate serial %d for %s until %s", is.cert.Serial, p, a.env.clock(unixTime(is.cert.ValidBefore)))
	return a.keep(ctx, is, p, choice, o.KeyFile)
}

// asNamed reports whether a certificate is under the role and contract that w
// names, if it names any. The certificate itself does not say, so the server is
// asked about its request.
func (a *account) asNamed(ctx context.Context, cert *ssh.Certificate, w wanted) (bool, error) {
	if w.role == "" && w.contract == "" {
		return true, nil
	}
	id, err := sshcert.ParseKeyID(cert.KeyId)
	if err != nil {
		return false, err
	}
	r, err := a.request(ctx, id.Request)
	return err == nil && w.coveredBy(r), err
}

// grant returns a granted request for what is wanted: an active one, else an open
// or a new one after it was granted.
func (a *account) grant(ctx context.Context, w wanted, o SSHOptions) (api.Request, error) {
	r, err := a.obtain(ctx, w, false)
	if err != nil || active(r) {
		return r, err
	}
	if r, err = a.waiter(o.Timeout, o.resume()).wait(ctx, r); err != nil {
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
	options = append(options, id.options...)
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
