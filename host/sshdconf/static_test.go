package sshdconf_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/sshcert"
)

// What a host with stock sshd is given says in words what it does not enforce, and
// names no revocation list that is not there.
func TestStaticFiles(t *testing.T) {
	t.Parallel()
	s := sshdconf.Static{By: "sally hosts config", Host: "web-1.demo", At: "/etc/ssh/sallyport", CA: "ssh-ed25519 AAAA", Logins: []sshcert.Login{"deploy", "ops"}}
	files := s.Files()
	if len(files) != 4 || files[0].Path != "sallyport.conf" || files[2].Path != "principals/deploy" || string(files[3].Body) != "ops@web-1.demo\n" {
		t.Fatalf("%+v", files)
	}
	text := string(files[0].Body)
	for _, want := range append([]string{"TrustedUserCAKeys /etc/ssh/sallyport/user-ca.pub\n", "AuthorizedPrincipalsFile /etc/ssh/sallyport/principals/%u\n"}, sshdconf.NotEnforced...) {
		if !strings.Contains(text, want) {
			t.Errorf("the fragment lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "RevokedKeys") {
		t.Error("the fragment names a list that is not there: nobody would get in")
	}
	s.KRL = []byte{0, 1}
	files = s.Files()
	if last := files[len(files)-1]; last.Path != "krl" || !last.Binary || !strings.Contains(string(files[0].Body), "\nRevokedKeys /etc/ssh/sallyport/krl\n") {
		t.Errorf("with a list: %+v", files)
	}
	for at, ok := range map[string]bool{"/etc/ssh/sallyport": true, "relative": false, "/a b": false, "/a%u": false, "/a\"": false, "/a\n": false, "": false} {
		if (sshdconf.CheckStaticFolder(at) == nil) != ok {
			t.Errorf("%q: want %t", at, ok)
		}
	}
}
