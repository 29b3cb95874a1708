package ca_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/sshcert"
)

// Stock ssh-keygen reads a finished certificate and agrees on every field.
func TestPromiseP02_SSHKeygenReadsTheSame(t *testing.T) {
	t.Parallel()
	i := newIssuance(t)
	cert := i.finished()
	file := filepath.Join(t.TempDir(), "key-cert.pub")
	text := ssh.CertAlgoED25519v01 + " " + base64.StdEncoding.EncodeToString(cert.Marshal()) + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-L", "-f", file)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen -L: %v\n%s", err, out)
	}
	got, lists := readListing(string(out))
	day := func(seconds uint64) string {
		return time.Unix(int64(seconds), 0).UTC().Format("2006-01-02T15:04:05")
	}
	for name, want := range map[string]string{
		"Type":             "ssh-ed25519-cert-v01@openssh.com user certificate",
		"Public key":       "ED25519-CERT " + ssh.FingerprintSHA256(i.key.PublicKey()),
		"Signing CA":       "ED25519 " + ssh.FingerprintSHA256(i.authority.PublicKey()) + " (using ssh-ed25519)",
		"Key ID":           `"` + sshcert.KeyID{Person: i.grant.Person, Request: i.grant.ID, Contract: i.grant.Contract, End: i.grant.End}.String() + `"`,
		"Serial":           "6",
		"Valid":            "from " + day(cert.ValidAfter) + " to " + day(cert.ValidBefore),
		"Critical Options": "(none)",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if want := []string{"deploy@web-1.demo", "deploy@web-2.demo", "ops@web-1.demo", "ops@web-2.demo"}; !slices.Equal(lists["Principals"], want) {
		t.Errorf("principals %q, want %q", lists["Principals"], want)
	}
	proof := fmt.Sprintf("%s UNKNOWN OPTION: %x", sshcert.ProofExtension, ssh.Marshal(struct{ S string }{cert.Extensions[sshcert.ProofExtension]}))
	if want := []string{proof, "permit-port-forwarding", "permit-pty"}; !slices.EqualFunc(lists["Extensions"], want, sameExtension) {
		t.Errorf("extensions %q, want %q", lists["Extensions"], want)
	}
	if want := "from 2026-12-01T08:01:01 to 2026-12-01T08:07:00"; got["Valid"] != want {
		t.Errorf("issued at %s it is valid %s, want %s", i.now.Format(time.RFC3339Nano), got["Valid"], want)
	}
}

// sameExtension compares a line of the listing; how an unknown extension's value
// is shown differs between releases of OpenSSH.
func sameExtension(got, want string) bool {
	name, _, unknown := strings.Cut(want, " UNKNOWN OPTION")
	return got == want || unknown && strings.HasPrefix(got, name+" UNKNOWN OPTION")
}

// readListing reads what ssh-keygen -L prints: "name: value" lines, and lists
// whose entries are indented further.
func readListing(text string) (values map[string]string, lists map[string][]string) {
	values, lists = make(map[string]string), make(map[string][]string)
	current := ""
	for line := range strings.SplitSeq(text, "\n") {
		trimmed := strings.TrimSpace(line)
		indent := len(line) - len(strings.TrimLeft(line, " "))
		name, value, ok := strings.Cut(trimmed, ":")
		switch {
		case indent > 8 && current != "":
			lists[current] = append(lists[current], trimmed)
		case ok:
			current, values[name] = name, strings.TrimSpace(value)
		}
	}
	return values, lists
}
