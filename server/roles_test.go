package server_test

import (
	"slices"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/sshcert"
)

// TestAllRoles reads what people may ask for.
func TestAllRoles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	roles := into[[]api.RoleOption](t, alice.call("/v1/roles", nil), 200)
	if len(roles) != 2 || roles[0].Role != "admin" || roles[1].Role != "operator" {
		t.Fatalf("alice may ask for %+v", roles)
	}
	demo := []sshcert.Host{"web-1.demo", "web-2.demo"}
	if r := roles[1]; !slices.Equal(r.Hosts, demo) || !slices.Equal(r.Logins, []sshcert.Login{"deploy", "ops"}) || r.MaxSeconds != 1800 || r.CertSeconds != 120 {
		t.Errorf("operator is %+v", r)
	}
	if s := roles[0].Stages; len(s) != 2 || s[0].Stage != "leads" || s[0].Need != 2 || !slices.Equal(s[0].From, []string{"leads"}) || s[0].TimeoutSeconds != 900 ||
		s[1].Stage != "security" || s[1].Need != 1 {
		t.Errorf("admin is decided by %+v", s)
	}
	for who, want := range map[string]string{"sam": "auditor", "bob": "", "eve": ""} {
		got := ""
		for _, r := range into[[]api.RoleOption](t, w.logIn(who).call("/v1/roles", nil), 200) {
			got += r.Role
		}
		if got != want {
			t.Errorf("%s may ask for %q, want %q", who, got, want)
		}
	}
}
