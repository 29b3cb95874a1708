package client

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
)

func TestKnownHosts(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	text, err := knownHosts(f.hosts)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, h := range f.hosts { // stock ssh-keygen finds each host under its name
		out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-F", string(h.Name), "-f", path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), string(h.Name)+" "+h.HostKey) {
			t.Errorf("ssh-keygen -F %s: %v %s", h.Name, err, out)
		}
	}
	tests := []struct {
		name   string
		change func(*api.Host)
	}{
		{"a pattern as the name", func(h *api.Host) { h.Name = "*" }},
		{"a marker in the name", func(h *api.Host) { h.Name = "@cert-authority" }},
		{"two names", func(h *api.Host) { h.Name = "a,b" }},
		{"an option as the address", func(h *api.Host) { h.Address = "-oProxyCommand=x" }},
		{"a command in the address", func(h *api.Host) { h.Address = "$(id).demo" }},
		{"a % in the address", func(h *api.Host) { h.Address = "%h.evil.example" }},
		{"a space in the address", func(h *api.Host) { h.Address = "a b" }},
		{"no address", func(h *api.Host) { h.Address = "" }},
		{"no port", func(h *api.Host) { h.Port = 0 }},
		{"too high a port", func(h *api.Host) { h.Port = 65536 }},
		{"no key", func(h *api.Host) { h.HostKey = "" }},
		{"a key with a second line", func(h *api.Host) { h.HostKey += "\n* " + h.HostKey }},
		{"a key with options", func(h *api.Host) { h.HostKey = "cert-authority " + h.HostKey }},
		{"a key with a comment", func(h *api.Host) { h.HostKey += " x" }},
		{"a certificate", func(h *api.Host) { h.HostKey = keyLine(f.bareCertificate()) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list := slices.Clone(f.hosts)
			tt.change(&list[1])
			if text, err := knownHosts(list); !errors.Is(err, ErrHost) {
				t.Errorf("got %q, %v; want ErrHost", text, err)
			}
		})
	}
}
