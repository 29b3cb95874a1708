package host_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// token is a security key's line, as ssh-keygen writes it.
func token(t *testing.T, keyType string) string {
	t.Helper()
	return string(ssh.MarshalAuthorizedKey(sshcerttest.NewToken(t, keyType, "ssh:offline").PublicKey()))
}

// Only keys that lie in a security key open a login when everything else is down, and what stands in front of them is ours.
func TestPromiseP08_OfflineKeysLieInSecurityKeys(t *testing.T) {
	t.Parallel()
	ed, ec := token(t, ssh.KeyAlgoSKED25519), token(t, ssh.KeyAlgoSKECDSA256)
	plain := string(ssh.MarshalAuthorizedKey(hosttest.Signer(t, "plain").PublicKey()))
	website := string(ssh.MarshalAuthorizedKey(sshcerttest.NewToken(t, ssh.KeyAlgoSKED25519, "https://acme.example").PublicKey()))
	for _, tt := range []struct {
		name, text string
		keys       int // 0: refused
	}{
		{"one", ed, 1},
		{"two, with a comment", "# custody: safe 4\n" + ed + "\n" + ec, 2},
		{"one twice", ed + ed, 1},
		{"none", "# nothing\n", 0},
		{"a key in a file", plain, 0},
		{"a key in a file among others", ed + plain, 0},
		{"a website's", website, 0},
		{"an authority", "cert-authority " + ed, 0},
		{"without a touch", "no-touch-required " + ed, 0},
		{"no key", "hello\n", 0},
		{"half a key", ed[:40] + "\n", 0},
		{"too much", strings.Repeat("# x\n", 100_000), 0},
	} {
		keys, err := host.ParseOfflineKeys([]byte(tt.text))
		if len(keys) != tt.keys || (err == nil) != (tt.keys > 0) || err != nil && !errors.Is(err, host.ErrOfflineKey) || !slices.IsSorted(keys) {
			t.Errorf("%s: %v, %d keys", tt.name, err, len(keys))
		}
	}
}

func FuzzParseOfflineKeys(f *testing.F) {
	f.Add("")
	f.Add("sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIDtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdopAAAABHNzaDo= x\n")
	f.Add("cert-authority ssh-ed25519 AAAA\n# x\n\"")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := host.ParseOfflineKeys([]byte(text))
		if err != nil {
			return
		}
		for _, k := range keys {
			if public, err := k.Public(); err != nil || !strings.HasPrefix(public.Type(), "sk-") {
				t.Fatalf("%s: %v", k, err)
			}
		}
	})
}

// offline gives a host offline keys for ops.
func (j *joining) offline(t *testing.T, lines ...string) {
	t.Helper()
	keys, err := host.ParseOfflineKeys([]byte(strings.Join(lines, "")))
	if err != nil {
		t.Fatal(err)
	}
	j.options.Config.Offline = []host.Offline{{Login: "ops", Keys: keys}}
}

var offlineFindings = []string{"offline-changed", "offline-missing", "offline-refused", "offline-open", "keys-file", "plain-keys", "cert-authority"}

// Setup has sshd read them, from a file of root's for one account; doctor finds whatever else gets into it; they go when
// they are not wanted any more, and with leave.
func TestPromiseP08_SetupOfOfflineKeys(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	before := j.state(t)
	first, second := token(t, ssh.KeyAlgoSKED25519), token(t, ssh.KeyAlgoSKECDSA256)
	j.offline(t, first, second)
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	folder := j.dir.Path("etc", "ssh", "sallyport", host.OfflineFolder)
	if s := j.state(t)["sshd -T"]; !strings.Contains(s, "\nauthorizedkeysfile "+folder+"/%u "+j.dir.Path("etc", "ssh", "sallyport", host.BreakGlassFolder)+"/%u\n") {
		t.Errorf("sshd reads otherwise:\n%s", s)
	}
	text, err := os.ReadFile(folder + "/ops")
	if err != nil || strings.Count(string(text), "\nrestrict,pty,verify-required sk-") != 2 {
		t.Errorf("%v: it is\n%s", err, text)
	}
	if ids := j.finds(t, offlineFindings...); len(ids) > 0 {
		t.Errorf("doctor finds %q", ids)
	}
	for _, tt := range []struct {
		name, login, text string
		id                string
	}{
		{"another key", "ops", string(text) + first, "offline-changed"},
		{"a key without a PIN", "ops", strings.Replace(string(text), "verify-required", "no-touch-required", 1), "offline-changed"},
		{"an authority", "ops", "cert-authority " + first, "offline-changed"},
	} {
		if err := os.WriteFile(folder+"/"+tt.login, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if ids := j.finds(t, offlineFindings...); !slices.Contains(ids, tt.id) {
			t.Errorf("%s: doctor finds %q, want %s", tt.name, ids, tt.id)
		}
		if err := host.Setup(t.Context(), j.options); err != nil {
			t.Fatal(err)
		}
		if ids := j.finds(t, offlineFindings...); len(ids) > 0 {
			t.Errorf("%s: after setup doctor finds %q", tt.name, ids)
		}
	}
	if err := os.Remove(folder + "/ops"); err != nil {
		t.Fatal(err)
	}
	if ids := j.finds(t, offlineFindings...); !slices.Equal(ids, []string{"offline-missing"}) {
		t.Errorf("without the file doctor finds %q", ids)
	}
	j.options.Config.Offline = nil
	if err := os.WriteFile(folder+"/ops", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadFile(folder + "/ops"); err != nil || bytes.Contains(left, []byte("sk-")) {
		t.Errorf("%v: after they were taken back it is\n%s", err, left)
	}
	if ids := j.finds(t, offlineFindings...); len(ids) > 0 {
		t.Errorf("after they were taken back doctor finds %q", ids)
	}
	if err := j.leave(t); err != nil {
		t.Fatal(err)
	}
	same(t, before, j.state(t))
}

// A file for a login that host.json does not list is a way in, and setup shuts it.
func TestPromiseP08_OfflineKeysOfOtherLogins(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	j.offline(t, token(t, ssh.KeyAlgoSKED25519))
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	if _, err := j.dir.Write(0o644, token(t, ssh.KeyAlgoSKED25519), "etc", "ssh", "sallyport", host.OfflineFolder, "root"); err != nil {
		t.Fatal(err)
	}
	if ids := j.finds(t, offlineFindings...); !slices.Equal(ids, []string{"offline-changed"}) {
		t.Errorf("doctor finds %q", ids)
	}
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	if ids := j.finds(t, offlineFindings...); len(ids) > 0 {
		t.Errorf("after setup doctor finds %q", ids)
	}
}

// A key that can be copied is refused wherever it comes from, and nothing is changed.
func TestPromiseP08_SetupRefusesOfflineKeysInFiles(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	before := j.state(t)
	j.options.Config.Offline = []host.Offline{{Login: "ops", Keys: []trust.Key{hosttest.Key(t, hosttest.Signer(t, "plain"))}}}
	if err := host.Setup(t.Context(), j.options); !errors.Is(err, host.ErrOfflineKey) || !strings.Contains(err.Error(), "security key") {
		t.Errorf("setup: %v", err)
	}
	same(t, before, j.state(t))
}

// The step records by which offline key a session was opened: for its login alone, and none but those of host.json.
func TestPromiseP08_OfflineLoginsAreRecorded(t *testing.T) {
	t.Parallel()
	w := world(t)
	listed, other := sshcerttest.NewToken(t, ssh.KeyAlgoSKED25519, "ssh:"), sshcerttest.NewToken(t, ssh.KeyAlgoSKED25519, "ssh:")
	for _, tt := range []struct {
		name  string
		login string
		key   ssh.PublicKey
		want  bool
	}{
		{"a listed key", "ops", listed.PublicKey(), true},
		{"another key", "ops", other.PublicKey(), false},
		{"a key of another login", "root", listed.PublicKey(), false},
		{"the owner's own key", "ops", hosttest.Signer(t, "owner").PublicKey(), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := w.Config()
			c.Offline = []host.Offline{{Login: "ops", Keys: []trust.Key{trust.Key(canon.B64(listed.PublicKey().Marshal()))}}}
			if tt.login != "ops" {
				c.Offline[0].Login = "rescue"
			}
			o := host.SessionOptions{Folder: folder(t, w), State: t.TempDir()}
			w.Write(o.Folder.Path, c, w.Bundle())
			log, err := stepOf(t, o, "open_session", tt.key)
			if err != nil {
				t.Fatal(err)
			}
			list := records(t, o.State)
			if len(list) != 1 || (list[0].OfflineKey == canon.B64(tt.key.Marshal())) != tt.want || tt.want != (list[0].OfflineKey != "") || list[0].Cgroup != "" {
				t.Errorf("records: %+v", list)
			}
			if strings.Contains(log, "offline_key=") != tt.want {
				t.Errorf("log: %s", log)
			}
		})
	}
}
