package lab

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/krl"
)

// TestPromiseP09_SSHDReadsOurLists: a real sshd refuses what a list of ours revokes,
// and nothing else, at the next login after the file changed; a list of a hundred
// thousand serials, near to each other or far apart, is read at each login.
func TestPromiseP09_SSHDReadsOurLists(t *testing.T) {
	t.Parallel()
	d := workspace(t)
	a := account(t, d)
	s, err := NewSSHD(t.Context(), d, "web-1.demo")
	if err != nil {
		t.Fatal(err)
	}
	caKey := d.Path("ca")
	if err := KeyPair(t.Context(), caKey, "ca"); err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(caKey + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	ca, _, _, _, err := cryptossh.ParseAuthorizedKey(line)
	if err != nil {
		t.Fatal(err)
	}
	publish := func(l krl.List) (file string) {
		text, err := l.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if file, err = d.Write(0o644, string(text), "krl"); err != nil {
			t.Fatal(err)
		}
		return file
	}
	principals, err := d.Mkdir(0o755, "hosts", "principals")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(0o644, fmt.Sprintf("%s@web-1.demo\n", a.Login), "hosts", "principals", string(a.Login)); err != nil {
		t.Fatal(err)
	}
	file := publish(krl.List{Number: 1})
	fragment, err := d.Write(0o644, fmt.Sprintf("TrustedUserCAKeys %s.pub\nAuthorizedPrincipalsFile %s/%%u\nRevokedKeys %s\n", caKey, principals, file), "fragment")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), fragment); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	const serial = 1_000_001
	key := certificate(t, d, caKey, string(a.Login)+"@web-1.demo", "-1m:+10m")
	run(t, 0, Command{Path: "ssh-keygen", Args: []string{
		"-q", "-s", caKey, "-I", "test", "-z", fmt.Sprint(serial), "-n", string(a.Login) + "@web-1.demo", "-V", "-1m:+10m", key + ".pub",
	}})
	every := func(step uint64, but uint64) krl.List {
		var all []uint64
		for n := range uint64(100_000) {
			if one := serial - 500*step + n*step; one != but {
				all = append(all, one)
			}
		}
		return krl.List{Number: 2, MadeAt: 1, Issued: []krl.Issued{{CA: ca, Serials: krl.Serials(all...)}}}
	}
	for _, tt := range []struct {
		name string
		list krl.List
		code int
	}{
		{"an empty list", krl.List{Number: 1}, 0},
		{"the serial", krl.List{Issued: []krl.Issued{{CA: ca, Serials: krl.Serials(serial)}}}, 255},
		{"the serials around it", krl.List{Issued: []krl.Issued{{CA: ca, Serials: krl.Serials(serial-1, serial+1)}}}, 0},
		{"the authority", krl.List{Keys: []cryptossh.PublicKey{ca}}, 255},
		{"a hundred thousand in a row", every(1, 0), 255},
		{"a hundred thousand in a row but it", every(1, serial), 0},
		{"a hundred thousand, every seventh", every(7, 0), 255},
		{"a hundred thousand, every seventh but it", every(7, serial), 0},
		{"a hundred thousand far apart", every(1009, 0), 255},
		{"a hundred thousand far apart but it", every(1009, serial), 0},
	} {
		publish(tt.list)
		begun := time.Now()
		r := run(t, tt.code, ssh(t, d, s, a, key, "true"))
		t.Logf("%s: a login took %s", tt.name, time.Since(begun).Round(time.Millisecond))
		if tt.code != 0 && !strings.Contains(r.Output, "Permission denied") {
			t.Errorf("%s: ssh said %s", tt.name, r.Output)
		}
	}
}
