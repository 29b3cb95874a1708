package lab_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

// askedHost is a host whose sshd asks the built sally-host about each certificate.
type askedHost struct {
	t       *testing.T
	world   *hosttest.World
	root    *lab.RootDir
	dir     *lab.Dir
	account *lab.Account
	sshd    *lab.SSHD
	key     string // file of the engineer's private key
	subject ssh.PublicKey
	log     string // what sally-host says
	spool   string
}

func newAskedHost(t *testing.T) *askedHost {
	t.Helper()
	v := prepareHost(t)
	v.install()
	v.start()
	return v
}

// prepareHost makes everything but the sshd and what it asks.
func prepareHost(t *testing.T) *askedHost {
	t.Helper()
	d, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	})
	root, err := lab.NewRootDir(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := root.Remove(context.Background()); err != nil {
			t.Error(err)
		}
	})
	a, err := lab.NewAccount(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Remove(); err != nil {
			t.Error(err)
		}
	})
	v := &askedHost{t: t, root: root, dir: d, account: a, world: hosttest.New(t, time.Now(), a.Login, "web-1.demo")}
	v.key = d.Path("id")
	if err := lab.KeyPair(t.Context(), v.key, "engineer"); err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(v.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if v.subject, _, _, _, err = ssh.ParseAuthorizedKey(line); err != nil {
		t.Fatal(err)
	}
	return v
}

// install builds sally-host and puts it where sshd believes it.
func (v *askedHost) install() {
	v.t.Helper()
	built := v.dir.Path("sally-host")
	r, err := lab.Run(v.t.Context(), lab.Command{
		Path: "go", Args: []string{"build", "-o", built, "github.com/sallyport/sallyport/cmd/sally-host"}, Env: append(os.Environ(), "CGO_ENABLED=0"),
	})
	if err != nil || r.Code != 0 {
		v.t.Fatal(err, r.Output)
	}
	if _, err := v.root.Install(v.t.Context(), built, 0o755, "sally-host"); err != nil {
		v.t.Fatal(err)
	}
	v.reset()
}

// reset puts the host's files in order.
func (v *askedHost) reset() {
	v.t.Helper()
	v.policy(v.world.Config(), v.world.Bundle())
}

func (v *askedHost) policy(c host.Config, b trust.Bundle) {
	v.t.Helper()
	config, err := c.Marshal()
	if err != nil {
		v.t.Fatal(err)
	}
	for name, text := range map[string][]byte{host.ConfigFile: config, host.BundleFile: v.world.BundleFile(b), host.SignedFile: v.world.SignedKRL(v.world.Now)} {
		if _, err := v.root.InstallText(v.t.Context(), string(text), 0o644, name); err != nil {
			v.t.Fatal(err)
		}
	}
}

func (v *askedHost) start() {
	v.t.Helper()
	var err error
	if v.sshd, err = lab.NewSSHD(v.t.Context(), v.dir, "web-1.demo"); err != nil {
		v.t.Fatal(err)
	}
	// As root sshd runs the command as another user, to whom nothing belongs.
	user := "nobody"
	if os.Geteuid() != 0 {
		user = string(v.account.Login)
	}
	if v.log, err = v.dir.Write(0o666, "", "sally-host.log"); err != nil {
		v.t.Fatal(err)
	}
	if v.spool, err = v.dir.Mkdir(0o777, "spool"); err != nil {
		v.t.Fatal(err)
	}
	ca, err := v.dir.Write(0o644, string(ssh.MarshalAuthorizedKey(v.world.CA.PublicKey())), "user-ca.pub")
	if err != nil {
		v.t.Fatal(err)
	}
	fragment, err := v.dir.Write(0o644, fmt.Sprintf(`TrustedUserCAKeys %s
AuthorizedPrincipalsFile none
AuthorizedPrincipalsCommand %s principals --dir %s --spool %s --log %s %%k %%u
AuthorizedPrincipalsCommandUser %s
`, ca, v.root.Path("sally-host"), v.root.Path(), v.spool, v.log, user), "sallyport.conf")
	if err != nil {
		v.t.Fatal(err)
	}
	if err := v.sshd.Start(v.t.Context(), fragment); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() {
		if err := v.sshd.Stop(); err != nil {
			v.t.Error(err)
		}
	})
}

func (v *askedHost) template() *ssh.Certificate {
	v.t.Helper()
	return v.world.Template(v.subject)
}

// says is what sally-host has logged since the last call.
func (v *askedHost) says() string {
	v.t.Helper()
	text, err := os.ReadFile(v.log)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := os.Truncate(v.log, 0); err != nil {
		v.t.Fatal(err)
	}
	return string(text)
}

// knock tries a certificate as the account and tells whether it opened the login.
func (v *askedHost) knock(wire []byte, keyType string) bool {
	v.t.Helper()
	line := keyType + " " + base64.StdEncoding.EncodeToString(wire) + "\n"
	if err := os.WriteFile(v.key+"-cert.pub", []byte(line), 0o600); err != nil {
		v.t.Fatal(err)
	}
	return v.connects()
}

// connects tells whether what the account has opens the login.
func (v *askedHost) connects() bool {
	v.t.Helper()
	known, err := v.sshd.KnownHosts()
	if err != nil {
		v.t.Fatal(err)
	}
	file, err := v.dir.Write(0o600, known, "known_hosts")
	if err != nil {
		v.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(v.t.Context(), time.Minute)
	defer cancel()
	r, err := lab.Run(ctx, lab.Command{Path: "ssh", Args: []string{
		"-F", "none", "-i", v.key, "-p", strconv.Itoa(v.sshd.Port()), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + file, "-o", "HostKeyAlias=" + v.sshd.Name,
		string(v.account.Login) + "@127.0.0.1", "echo", "opened",
	}})
	if err != nil {
		v.t.Fatal(err)
	}
	return r.Code == 0 && strings.Contains(r.Output, "opened")
}

func (v *askedHost) knockWith(cert *ssh.Certificate) bool {
	v.t.Helper()
	return v.knock(cert.Marshal(), cert.Type())
}

// TestPromiseP08_SSHDAsksTheVerifier tries certificates on a real sshd that asks
// sally-host about them.
func TestPromiseP08_SSHDAsksTheVerifier(t *testing.T) {
	t.Parallel()
	v := newAskedHost(t)
	w := v.world
	// padded has about so many bytes: proofs differ by a hash or two.
	padded := func(bytes int) *ssh.Certificate {
		c := v.template()
		c.Extensions["padding@example"] = "x"
		n := bytes - len(w.Issue(c).Marshal())
		c.Extensions["padding@example"] = strings.Repeat("x", n)
		return w.Issue(c)
	}
	with := func(change func(c *ssh.Certificate)) *ssh.Certificate {
		c := v.template()
		change(c)
		return w.Issue(c)
	}
	for _, tt := range []struct {
		name string
		cert *ssh.Certificate
		says string // in sally-host's log; empty if it is let in; "-" if sshd has not asked
	}{
		{"as the ledger holds it", w.Issue(v.template()), ""},
		{"with 60 extensions more", with(func(c *ssh.Certificate) {
			for i := range 60 {
				c.Extensions[fmt.Sprintf("more-%02d@example", i)] = "x"
			}
		}), ""},
		{"of 90 KB", padded(90000), ""},
		{"of almost 98000 bytes", padded(97800), ""},
		{"of over 98000 bytes", padded(98130), "refused reason=size "},
		{"larger than an argument can be", padded(98600), "-"},
		{"with a critical option to come", with(func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"sealed@example": ""} }), "refused reason=option "},
		{"with 64 critical options", with(func(c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{}
			for i := range 64 {
				c.CriticalOptions[fmt.Sprintf("o%02d@example", i)] = "x"
			}
		}), "refused reason=option "},
		{"for another host", with(func(c *ssh.Certificate) { c.ValidPrincipals = []string{string(v.account.Login) + "@web-2.demo"} }), "refused reason=scope "},
		{"for another login", with(func(c *ssh.Certificate) { c.ValidPrincipals = []string{"someoneelse@web-1.demo"} }), "refused reason=scope "},
		{"for the login alone", with(func(c *ssh.Certificate) { c.ValidPrincipals = []string{string(v.account.Login)} }), "refused reason=bad-principal "},
		{"with two @", with(func(c *ssh.Certificate) {
			c.ValidPrincipals = []string{string(v.account.Login) + "@web-1.demo@web-1.demo"}
		}), "refused reason=bad-principal "},
		{"for nobody", with(func(c *ssh.Certificate) { c.ValidPrincipals = nil }), "refused reason=no-principals "},
		{"with a key ID in other letters", with(func(c *ssh.Certificate) { c.KeyId = "рoot\u202e\n" }), `refused reason=key-id `},
		{"of a grant that is over", with(func(c *ssh.Certificate) { c.KeyId = w.KeyID(w.Now.Add(-time.Second)) }), "refused reason=grant-over "},
		{"ten minutes early", with(func(c *ssh.Certificate) { c.ValidAfter += 660 }), "refused reason=not-yet-valid "},
		{"ten minutes late", with(func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = c.ValidAfter-900, c.ValidBefore-900 }), "refused reason=expired "},
		{"of another contract", w.IssueBy(v.template(), w.Log, canon.Digest(hosttest.Derived("other")), hosttest.Cosigner), "refused reason=lineage "},
		{"without the cosigner's word", w.IssueBy(v.template(), w.Log, w.Lineage), "refused reason=checkpoint "},
		{"of a thief's ledger", w.IssueBy(v.template(), ledgertest.New(t, hosttest.Origin, "thief"), w.Lineage, hosttest.Cosigner), "refused reason=checkpoint "},
		{"with the stolen key alone", w.Sign(v.template(), w.CA), "refused reason=no-proof "},
		{"with another certificate's proof", func() *ssh.Certificate {
			real := w.Issue(v.template())
			c := v.template()
			c.Serial, c.Nonce = real.Serial, hosttest.Derived("thief")
			return w.Sign(w.Embed(c, []byte(real.Extensions[sshcert.ProofExtension])), w.CA)
		}(), "refused reason=not-in-ledger "},
		{"by another authority", func() *ssh.Certificate {
			thief := hosttest.Signer(t, "thief")
			c := v.template()
			c.SignatureKey = thief.PublicKey()
			return w.Sign(c, thief)
		}(), "-"},
		{"as the ledger holds it, once more", w.Issue(v.template()), ""},
	} {
		in, said := v.knockWith(tt.cert), v.says()
		switch {
		case in != (tt.says == ""):
			t.Errorf("%s: let in: %t; it says %q; sshd:\n%s", tt.name, in, said, v.sshd.Log())
		case tt.says == "" || tt.says == "-":
			if said != "" {
				t.Errorf("%s: it says %q", tt.name, said)
			}
		case !strings.Contains(said, tt.says):
			t.Errorf("%s: it says %q, want %q", tt.name, said, tt.says)
		}
	}
	if alarms, err := filepath.Glob(filepath.Join(v.spool, "*.alarm")); err != nil || len(alarms) != 4 {
		t.Errorf("%d alarms, want one for each certificate that the ledger does not hold: %v", len(alarms), err)
	}
	if strings.Contains(v.sshd.Log(), "failed, status") {
		t.Errorf("the command ended with another exit code than 0, so sshd logs the certificate:\n%s", v.sshd.Log())
	}
}

// TestPromiseP08_SSHDAndTheFilesOfAHost changes what a running host has pinned.
func TestPromiseP08_SSHDAndTheFilesOfAHost(t *testing.T) {
	t.Parallel()
	v := newAskedHost(t)
	w := v.world
	cert := w.Issue(v.template())
	unlogged := w.Sign(v.template(), w.CA)
	ctx := t.Context()
	observe := w.Config()
	observe.Mode = host.Observe
	narrow := w.Config()
	narrow.Logins = []sshcert.Login{"nobody"}
	expired := w.Bundle()
	expired.ExpiresAt = canon.At(w.Now)
	stricter := w.Bundle()
	stricter.Cosigners = append(stricter.Cosigners, ledgertest.Cosigner(t, "cosigner.bank.example").PublicKey())
	for _, tt := range []struct {
		name   string
		change func() error
		cert   *ssh.Certificate
		in     bool
		says   string
	}{
		{"in order", func() error { return nil }, cert, true, ""},
		{"no host.json", func() error { return v.root.Delete(ctx, host.ConfigFile) }, cert, false, "refused reason=files "},
		{"no bundle.json", func() error { return v.root.Delete(ctx, host.BundleFile) }, cert, false, "refused reason=files "},
		{"host.json that it can't read", func() error { return v.root.Chmod(ctx, 0o600, host.ConfigFile) }, cert, false, "refused reason=files "},
		{"bundle.json for all to write", func() error { return v.root.Chmod(ctx, 0o666, host.BundleFile) }, cert, false, "refused reason=files "},
		{"half a host.json", func() error {
			_, err := v.root.InstallText(ctx, `{"lineage"`, 0o644, host.ConfigFile)
			return err
		}, cert, false, "refused reason=policy "},
		{"another login's host", func() error { v.policy(narrow, w.Bundle()); return nil }, cert, false, "refused reason=policy-login "},
		{"a bundle that is over", func() error { v.policy(w.Config(), expired); return nil }, cert, false, "refused reason=bundle-expired "},
		{"a cosigner more", func() error { v.policy(w.Config(), stricter); return nil }, cert, false, "refused reason=checkpoint "},
		{"it only looks", func() error { v.policy(observe, w.Bundle()); return nil }, unlogged, true, "would-refuse reason=no-proof "},
		{"it requires again", func() error { v.reset(); return nil }, unlogged, false, "refused reason=no-proof "},
		{"the command for all to write", func() error { return v.root.Chmod(ctx, 0o777, "sally-host") }, cert, false, ""},
		{"in order again", func() error { return v.root.Chmod(ctx, 0o755, "sally-host") }, cert, true, ""},
		{"no command", func() error { return v.root.Delete(ctx, "sally-host") }, cert, false, ""},
	} {
		if !strings.HasPrefix(tt.name, "it ") {
			v.reset()
		}
		if err := tt.change(); err != nil {
			t.Fatal(err)
		}
		in, said := v.knockWith(tt.cert), v.says()
		if in != tt.in || tt.says == "" && said != "" || !strings.Contains(said, tt.says) {
			t.Errorf("%s: let in: %t; it says %q, want %q; sshd:\n%s", tt.name, in, said, tt.says, v.sshd.Log())
		}
	}
}
