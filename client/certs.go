package client

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/sallyport/sallyport/sshcert"
)

const certSuffix = "-cert.pub"

// identity is a certificate that ssh can use now.
type identity struct {
	cert     *ssh.Certificate
	certFile string
	keyFile  string   // empty where the ssh-agent holds the key with its certificate
	options  []string // of ssh, that a key of the person's own needs
}

// Files of one principal in the authority's folder. "+" stands in no login, so
// the names of two principals never collide.
func (a *account) certFile(p sshcert.Principal) string {
	return filepath.Join(a.dir, p.String()+certSuffix)
}

func (a *account) keyFile(p sshcert.Principal) string {
	return filepath.Join(a.dir, "key+"+p.String())
}

func (a *account) lockFile(p sshcert.Principal) string {
	return filepath.Join(a.dir, "lock+"+p.String())
}

// readCert returns the kept certificate of a principal.
func (a *account) readCert(p sshcert.Principal) (*ssh.Certificate, error) {
	b, err := readPrivate(a.certFile(p))
	if err != nil {
		return nil, err
	}
	return parseCertificateLine(string(b))
}

// live returns the kept certificate of a principal if ssh can use it now: ours,
// from the pinned CA, not about to end, for a key such as was asked for, and its
// key is at hand. Whatever is wrong with it, the answer is that there is none.
func (a *account) live(ctx context.Context, p sshcert.Principal, choice keyChoice, wantFile bool) (identity, bool) {
	cert, err := a.readCert(p)
	if err != nil || !a.usable(cert, p) || !choice.allows(cert.Key) {
		return identity{}, false
	}
	if choice.own != nil {
		return choice.own.identity(a.env, cert, a.certFile(p)), true
	}
	id := identity{cert: cert, certFile: a.certFile(p)}
	if !wantFile {
		held := false
		err := withAgent(ctx, a.env.Getenv, func(ag agent.Agent) (err error) {
			held, err = agentHolds(ag, cert)
			return err
		})
		if err == nil && held {
			return id, true
		}
	}
	id.keyFile = a.keyFile(p)
	text, err := readPrivate(id.keyFile)
	if err != nil {
		return identity{}, false
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil || !sameKey(key.PublicKey(), cert.Key) {
		return identity{}, false
	}
	return id, true
}

func (a *account) usable(cert *ssh.Certificate, p sshcert.Principal) bool {
	id, err := sshcert.ParseKeyID(cert.KeyId)
	if err != nil || id.Person != a.session.Person || cert.CertType != ssh.UserCert || !sameKey(cert.SignatureKey, a.at.pin.CA) {
		return false
	}
	named := false
	for _, have := range cert.ValidPrincipals {
		named = named || have == p.String()
	}
	before := unixTime(cert.ValidBefore)
	// Time to connect: a tenth of its life, at most ten seconds.
	margin := min(before.Sub(unixTime(cert.ValidAfter))/10, 10*time.Second)
	return named && a.conn.now().Add(margin).Before(before)
}

// keep makes an issued certificate usable for ssh: into the ssh-agent with its
// key, or, where no agent takes it, into files. It says so when a private key
// touches the disk. A key of the person's own stays where it is.
func (a *account) keep(ctx context.Context, is issued, p sshcert.Principal, choice keyChoice, wantFile bool) (identity, error) {
	id := identity{cert: is.cert, certFile: a.certFile(p)}
	if choice.own != nil {
		if err := remove(a.keyFile(p)); err != nil {
			return identity{}, err
		}
		return choice.own.identity(a.env, is.cert, id.certFile), writeFile(id.certFile, []byte(keyLine(is.cert)+"\n"), 0o600)
	}
	refused := errors.New("asked for with --key-file")
	if !wantFile {
		refused = withAgent(ctx, a.env.Getenv, func(ag agent.Agent) error {
			return addToAgent(ag, is, p.String()+" (sally)", a.conn.now())
		})
		if err := ctx.Err(); err != nil {
			return identity{}, err
		}
	}
	if refused == nil {
		if err := remove(a.keyFile(p)); err != nil {
			return identity{}, err
		}
		return id, writeFile(id.certFile, []byte(keyLine(is.cert)+"\n"), 0o600)
	}
	id.keyFile = a.keyFile(p)
	block, err := ssh.MarshalPrivateKey(is.key, p.String())
	if err != nil {
		return identity{}, fmt.Errorf("keeping the key: %w", err)
	}
	if err := writeFile(id.keyFile, pem.EncodeToMemory(block), 0o600); err != nil {
		return identity{}, err
	}
	a.env.say("%s; the key lies in %s, worthless after %s", refused, id.keyFile, a.env.clock(unixTime(is.cert.ValidBefore)))
	return id, writeFile(id.certFile, []byte(keyLine(is.cert)+"\n"), 0o600)
}

// sweep deletes the files of certificates that have ended. One that another run
// is working on is left to that run.
func (a *account) sweep(ctx context.Context) error {
	now := a.conn.now()
	return a.eachPrincipal(func(p sshcert.Principal) error {
		unlock, err := lock(ctx, a.lockFile(p), nil)
		if errors.Is(err, errLocked) {
			return nil
		}
		if err != nil {
			return err
		}
		defer unlock()
		if cert, err := a.readCert(p); err == nil && now.Before(unixTime(cert.ValidBefore)) {
			return nil
		}
		return errors.Join(remove(a.keyFile(p)), remove(a.certFile(p)))
	})
}

// dropCertificates deletes every kept certificate and its key, in files and in
// the agent.
func (a *account) dropCertificates() error {
	return a.eachPrincipal(func(p sshcert.Principal) error {
		if cert, err := a.readCert(p); err == nil {
			// An agent that is gone, or does not have the entry, has nothing to forget.
			_ = withAgent(context.Background(), a.env.Getenv, func(ag agent.Agent) error { return ag.Remove(cert) })
		}
		return errors.Join(remove(a.keyFile(p)), remove(a.certFile(p)))
	})
}

// eachPrincipal calls do for each principal that has a certificate file or a
// key file in the authority's folder.
func (a *account) eachPrincipal(do func(sshcert.Principal) error) error {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return fmt.Errorf("looking through the state folder: %w", err)
	}
	seen := make(map[sshcert.Principal]bool, len(entries))
	for _, e := range entries {
		name, isCert := strings.CutSuffix(e.Name(), certSuffix)
		if key, isKey := strings.CutPrefix(e.Name(), "key+"); isKey {
			name = key
		} else if !isCert {
			continue
		}
		p, err := sshcert.ParsePrincipal(name)
		if err != nil || seen[p] {
			continue // not a file of ours
		}
		seen[p] = true
		if err := do(p); err != nil {
			return err
		}
	}
	return nil
}
