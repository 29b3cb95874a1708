package host_test

import (
	"testing"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/sshcert"
)

// A host certificate has the host's name, and beside it only other names of that host.
func TestHostCertificateNames(t *testing.T) {
	t.Parallel()
	c := host.Caller{Host: "web-1.demo", Aliases: []sshcert.Host{"a.demo", "www.demo"}}
	for _, tt := range []struct {
		principals []string
		own        bool
	}{
		{[]string{"web-1.demo"}, true},
		{[]string{"web-1.demo", "a.demo", "www.demo"}, true},
		{[]string{"web-1.demo", "www.demo"}, true},
		{[]string{"a.demo", "www.demo"}, false},
		{[]string{"web-1.demo", "web-2.demo"}, false},
		{[]string{"web-1.demo", "*"}, false},
		{nil, false},
	} {
		if c.IsOwn(tt.principals) != tt.own {
			t.Errorf("%q: want %t", tt.principals, tt.own)
		}
	}
}
