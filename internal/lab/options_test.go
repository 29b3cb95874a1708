package lab

import (
	"crypto/rand"
	"encoding/base64"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// optioned writes the certificate that a grant with these options gives over the key
// of a file, signed by the authority key of another file.
func optioned(t *testing.T, a *Account, caKey, key string, o approval.Options) {
	t.Helper()
	pem, err := os.ReadFile(caKey)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := gossh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	subject, _, _, _, err := gossh.ParseAuthorizedKey(line)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template, err := ca.NewTemplate(approval.Grant{
		ID: "mzxw6ytboi2dqmrvgm4tanrwge", Person: "aaaaaaaaaaaaaaaaaaaaaaaaae", Contract: canon.Sum("contract"), Lineage: canon.Sum("lineage"),
		Logins: []sshcert.Login{a.Login}, Hosts: []sshcert.Host{"web-1.demo"},
		Start: now.Add(-time.Minute), End: now.Add(10 * time.Minute), TTL: 5 * time.Minute, Options: o,
	}, subject, now)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := template.Certificate(1, make([]byte, ca.NonceSize), authority.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if cert.Signature, err = authority.Sign(rand.Reader, sshcert.SignedBytes(cert)); err != nil {
		t.Fatal(err)
	}
	text := cert.Type() + " " + base64.StdEncoding.EncodeToString(cert.Marshal()) + "\n"
	if err := os.WriteFile(key+"-cert.pub", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Stock sshd holds a certificate of ours to its critical options: nobody comes in
// from elsewhere, and nothing runs but the forced command.
func TestPromiseP06_StockSSHDEnforcesTheCriticalOptions(t *testing.T) {
	t.Parallel()
	d := workspace(t)
	a := account(t, d)
	s, caKey := host(t, d, a)
	key := certificate(t, d, caKey, string(a.Login)+"@web-1.demo", "+5m")
	network := func(list ...string) []netip.Prefix {
		var out []netip.Prefix
		for _, n := range list {
			out = append(out, netip.MustParsePrefix(n))
		}
		return out
	}
	for _, tt := range []struct {
		name    string
		options approval.Options
		code    int
		says    string
	}{
		{"none", approval.Options{}, 0, "asked"},
		{"from here", approval.Options{SourceAddress: network("127.0.0.0/8", "192.0.2.0/24", "2001:db8::/32")}, 0, "asked"},
		{"from elsewhere", approval.Options{SourceAddress: network("192.0.2.0/24", "2001:db8::/32")}, 255, "Permission denied"},
		{"another command", approval.Options{ForceCommand: `/bin/echo "forced, not $SSH_ORIGINAL_COMMAND"`}, 0, "forced, not echo asked"},
		{"both", approval.Options{SourceAddress: network("127.0.0.1/32"), ForceCommand: "/bin/echo forced"}, 0, "forced"},
	} {
		optioned(t, a, caKey, key, tt.options)
		r := run(t, tt.code, ssh(t, d, s, a, key, "echo asked"))
		if !strings.Contains(r.Output, tt.says) || tt.options.ForceCommand != "" && strings.HasPrefix(r.Output, "asked") {
			t.Errorf("%s: %q, want %q", tt.name, r.Output, tt.says)
		}
	}
}
