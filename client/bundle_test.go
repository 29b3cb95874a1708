package client

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// rooted is a folder with bundle 1, whose roots are the keys ada and ben of acme, and
// with bundle 2, whose root is cleo.
type rooted struct {
	t      *testing.T
	folder string
	first  trust.Bundle
	env    *testEnv
}

// testEnv is an environment whose output a test reads.
type testEnv struct {
	Env
	out, err *strings.Builder
}

func newTestEnv() *testEnv {
	e := &testEnv{out: &strings.Builder{}, err: &strings.Builder{}}
	e.Env = Env{Out: e.out, Err: e.err, Now: time.Now, Getenv: func(string) string { return "" }}
	return e
}

func newRooted(t *testing.T) *rooted {
	t.Helper()
	r := &rooted{t: t, folder: t.TempDir(), env: newTestEnv()}
	const origin = "ledger.example/prod"
	ca, err := trust.KeyOf(sshcerttest.Signer(t, ssh.KeyAlgoED25519).PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	digest := canon.Sum("a contract")
	r.first = trust.Bundle{
		V: trust.Version, Origin: origin, Lineage: digest, Contract: digest, Number: 1, MadeAt: canon.At(time.Now()), ExpiresAt: canon.At(time.Now().Add(time.Hour)),
		LogKeys: []string{ledgertest.New(t, origin, "x").PublicKey()}, UserCAs: []trust.Key{ca}, Cosigners: []string{ledgertest.Cosigner(t, "c.example").PublicKey()},
		Witnesses: &trust.Witnesses{Need: 1, Keys: []string{ledgertest.Cosigner(t, "w.example").PublicKey()}},
		Roots:     []trust.Root{{Party: "acme", Need: 2, Keys: []trust.NamedKey{r.root("ada"), r.root("ben")}}},
	}
	second := r.first
	second.Number, second.Roots = 2, []trust.Root{{Party: "acme", Need: 1, Keys: []trust.NamedKey{r.root("cleo")}}}
	r.write("first", r.first)
	r.write("second", second)
	return r
}

func (r *rooted) path(name string) string { return filepath.Join(r.folder, name) }

func (r *rooted) root(name string) trust.NamedKey {
	r.t.Helper()
	r.keygen("-q", "-t", "ed25519", "-N", "", "-f", r.path(name))
	line, err := os.ReadFile(r.path(name + ".pub"))
	if err != nil {
		r.t.Fatal(err)
	}
	public, err := parsePublicLine(line)
	if err != nil {
		r.t.Fatal(err)
	}
	key, err := trust.KeyOf(public)
	if err != nil {
		r.t.Fatal(err)
	}
	return trust.NamedKey{Name: name, Key: key}
}

func (r *rooted) keygen(args ...string) {
	r.t.Helper()
	if out, err := exec.CommandContext(r.t.Context(), "ssh-keygen", args...).CombinedOutput(); err != nil {
		r.t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
}

func (r *rooted) write(name string, b trust.Bundle) {
	r.t.Helper()
	text, err := trust.Make(b)
	if err != nil {
		r.t.Fatal(err)
	}
	file, err := trust.Signed{Text: text}.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), file, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rooted) options(file string) BundleOptions {
	return BundleOptions{Env: r.env.Env, File: r.path(file)}
}

func (r *rooted) sign(key, after string) error {
	o := r.options("second")
	o.Key = r.path(key)
	if after != "" {
		o.After = r.path(after)
	}
	return BundleSign(r.t.Context(), o)
}

func (r *rooted) verify(after string) error {
	o := r.options("second")
	o.After = r.path(after)
	return BundleVerify(o)
}

// TestPromiseP08_RootsSignTheNextBundle: with ssh-keygen, by key file and by a
// signature that was made elsewhere, until a host would take the bundle.
func TestPromiseP08_RootsSignTheNextBundle(t *testing.T) {
	t.Parallel()
	r := newRooted(t)
	wantExit(t, r.verify("first"), ExitFailed, "0 of the 2 that party acme needs, by the roots in the bundle before")
	wantExit(t, r.sign("ada", ""), ExitFailed, "is no root of this bundle; a root of the bundle before signs with --after")
	wantExit(t, r.sign("ada", "first"), 0)
	wantExit(t, r.sign("ada", "first"), ExitFailed, "root ada of acme has signed it already")
	wantExit(t, r.verify("first"), ExitFailed, "1 of the 2 that party acme needs")
	wantExit(t, r.sign("cleo", ""), 0)

	// Where the root key lies there is only stock OpenSSH.
	show := r.options("second")
	show.Text = true
	r.env.out.Reset()
	wantExit(t, BundleShow(show), 0)
	if err := os.WriteFile(r.path("text"), []byte(r.env.out.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r.keygen("-q", "-Y", "sign", "-n", "sallyport-bundle", "-f", r.path("ben"), r.path("text"))
	o := r.options("second")
	o.Signature, o.After = r.path("text.sig"), r.path("first")
	wantExit(t, BundleSign(t.Context(), o), 0)
	r.env.out.Reset()
	wantExit(t, r.verify("first"), 0)
	for _, want := range []string{"bundle      2 of ledger.example/prod\n", "root        cleo of acme, SHA256:", "has signed (1 needed)\n", "            1 of them must have cosigned\n", "cosigner    c.example+"} {
		if !strings.Contains(r.env.out.String(), want) {
			t.Errorf("it prints %q, want %q", r.env.out.String(), want)
		}
	}
	if text := r.env.err.String(); !strings.Contains(text, "sally: root ben of acme has signed bundle 2 of ledger.example/prod\n") {
		t.Errorf("%q", text)
	}
	wantExit(t, r.verify("second"), ExitFailed, "it has number 2, the host pins 2")
}

func TestTheFirstBundleIsVerifiedByItsDigest(t *testing.T) {
	t.Parallel()
	r := newRooted(t)
	text, err := trust.Make(r.first)
	if err != nil {
		t.Fatal(err)
	}
	o := r.options("first")
	o.Digest, o.JSON = trust.Digest(text).String(), true
	wantExit(t, BundleVerify(o), 0)
	if out := r.env.out.String(); !strings.Contains(out, `"witnesses_need": 1`) || strings.Contains(out, `"signed"`) {
		t.Errorf("it prints %s", out)
	}
	o.Digest = canon.Sum("another").String()
	wantExit(t, BundleVerify(o), ExitFailed, "its digest is")
}

func TestBundlesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	r := newRooted(t)
	for name, text := range map[string]string{"junk": "junk", "huge": strings.Repeat("x", trust.MaxEnvelope+1)} {
		if err := os.WriteFile(r.path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A signature for another purpose.
	r.keygen("-q", "-Y", "sign", "-n", "sallyport-contract", "-f", r.path("cleo"), r.path("junk"))
	if err := os.Rename(r.path("junk.sig"), r.path("other.sig")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path("none.sig"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(file string, change func(*BundleOptions)) BundleOptions {
		o := r.options(file)
		if change != nil {
			change(&o)
		}
		return o
	}
	for _, tt := range []struct {
		name string
		err  error
		code int
		says string
	}{
		{"no file", BundleShow(BundleOptions{Env: r.env.Env}), ExitUsage, "name the bundle's FILE"},
		{"nothing there", BundleShow(r.options("nowhere")), ExitFailed, "no such file"},
		{"a folder", BundleShow(r.options(".")), ExitFailed, "is no plain file"},
		{"junk", BundleShow(r.options("junk")), ExitFailed, "not a trust bundle"},
		{"a huge one", BundleShow(r.options("huge")), ExitFailed, "over 524288 bytes"},
		{"verify by nothing", BundleVerify(r.options("first")), ExitUsage, "name --digest for a first bundle, or --after"},
		{"verify by both", BundleVerify(with("first", func(o *BundleOptions) { o.Digest, o.After = "x", "y" })), ExitUsage, "name --digest"},
		{"no digest", BundleVerify(with("first", func(o *BundleOptions) { o.Digest = "x" })), ExitUsage, "--digest: malformed encoding"},
		{"verify after junk", BundleVerify(with("second", func(o *BundleOptions) { o.After = r.path("junk") })), ExitFailed, "not a trust bundle"},
		{"sign by nothing", BundleSign(t.Context(), r.options("first")), ExitUsage, "name --key"},
		{"a key that is not there", BundleSign(t.Context(), with("first", func(o *BundleOptions) { o.Key = r.path("nobody") })), ExitUsage, "--key "},
		{"another purpose", BundleSign(t.Context(), with("second", func(o *BundleOptions) { o.Signature = r.path("other.sig") })), ExitFailed, `not "sallyport-bundle"`},
		{"no signature", BundleSign(t.Context(), with("second", func(o *BundleOptions) { o.Signature = r.path("none.sig") })), ExitFailed, "it is no SSHSIG file"},
		{"after junk", BundleSign(t.Context(), with("second", func(o *BundleOptions) { o.Signature, o.After = r.path("other.sig"), r.path("junk") })), ExitFailed, "not a trust bundle"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantExit(t, tt.err, tt.code, tt.says) })
	}
}
