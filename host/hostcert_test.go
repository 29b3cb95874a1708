package host_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger/trust"
)

// certified is a joining host whose bundle names a host CA, and what that CA signs for it.
func certified(t *testing.T) (j *joining, certificate func(name, validity string) string) {
	t.Helper()
	j = newJoining(t)
	ca := j.dir.Path("host-ca")
	if err := lab.KeyPair(t.Context(), ca, "host CA"); err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(ca + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		t.Fatal(err)
	}
	key, err := trust.KeyOf(public)
	if err != nil {
		t.Fatal(err)
	}
	b := j.world.Bundle()
	b.HostCAs = []trust.Key{key}
	j.options.Bundle = j.world.BundleFile(b)
	signed, err := trust.Parse(j.options.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	j.options.Digest = signed.Digest()
	return j, func(name, validity string) string {
		t.Helper()
		r, err := lab.Run(t.Context(), lab.Command{Path: "ssh-keygen", Args: []string{"-q", "-h", "-s", ca, "-I", "x", "-n", name, "-V", validity, j.dir.Path("host_key.pub")}})
		if err != nil || r.Code != 0 {
			t.Fatal(err, r.Output)
		}
		text, err := os.ReadFile(j.dir.Path("host_key-cert.pub"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

var certificateFindings = []string{"host-certificate-missing", "host-certificate-bad", "host-certificate-unnamed", "revoked-old"}

// Setup names the host certificate that the agent has got, and doctor says where the two do not agree.
func TestSetupNamesTheHostCertificate(t *testing.T) {
	t.Parallel()
	j, certificate := certified(t)
	named := "HostCertificate " + j.dir.Path("etc", "ssh", "sallyport", host.HostCertFile)
	setup := func(names bool, finds ...string) {
		t.Helper()
		if err := host.Setup(t.Context(), j.options); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(j.dir.Path("etc", "ssh", "sallyport", host.FragmentFile))
		if err != nil || strings.Contains(string(text), named) != names {
			t.Errorf("%v: that the certificate is named is to be %t:\n%s", err, names, text)
		}
		if ids := j.finds(t, certificateFindings...); !slices.Equal(ids, finds) {
			t.Errorf("doctor finds %q, want %q", ids, finds)
		}
	}
	put := func(text string) {
		t.Helper()
		if _, err := j.dir.Write(0o644, text, "etc", "ssh", "sallyport", host.HostCertFile); err != nil {
			t.Fatal(err)
		}
	}
	original := j.state(t)
	setup(false, "host-certificate-missing")
	good := certificate("web-1.demo", "always:20991231235959Z")
	put(good)
	if ids := j.finds(t, certificateFindings...); !slices.Equal(ids, []string{"host-certificate-unnamed"}) {
		t.Errorf("before setup is run again doctor finds %q", ids)
	}
	setup(true)
	setup(true) // and once more, which once took it out
	put(certificate("web-1.demo", "20200101Z:20200102Z"))
	setup(true, "host-certificate-bad") // the agent renews it
	put(certificate("web-2.demo", "always:20991231235959Z"))
	setup(false, "host-certificate-bad")
	put("garbage")
	setup(false, "host-certificate-bad")
	put(good)
	setup(true)
	if err := j.leave(t); err != nil {
		t.Fatal(err)
	}
	delete(original, j.dir.Path("host_key-cert.pub"))
	after := j.state(t)
	delete(after, j.dir.Path("host_key-cert.pub"))
	same(t, original, after)
}

// A revocation list that should have been replaced is named: what was revoked since, the host does not know.
func TestDoctorNamesAnOldList(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	if _, err := j.dir.Write(0o644, string(j.world.SignedKRL(now)), "etc", "ssh", "sallyport", host.SignedFile); err != nil {
		t.Fatal(err)
	}
	j.options.Machine.Now = func() time.Time { return now }
	if ids := j.finds(t, certificateFindings...); len(ids) > 0 {
		t.Errorf("doctor finds %q", ids)
	}
	j.options.Machine.Now = func() time.Time { return now.AddDate(0, 1, 0) }
	if ids := j.finds(t, certificateFindings...); !slices.Equal(ids, []string{"revoked-old"}) {
		t.Errorf("a month later doctor finds %q", ids)
	}
}
