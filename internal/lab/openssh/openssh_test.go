package openssh

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/internal/lab"
)

// full has the scripts repeat themselves for all types of keys, which takes several minutes.
var full = flag.Bool("full", false, "run OpenSSH's scripts over all types of keys")

func TestMain(m *testing.M) {
	if AsKeygen() {
		os.Exit(Keygen(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// OpenSSH's own scripts pass with certificates and revocation lists that ours has made.
func TestRegressionScriptsOfOpenSSH(t *testing.T) {
	t.Parallel()
	for _, want := range expectations(t) {
		t.Run(want.Script, func(t *testing.T) {
			t.Parallel()
			dir, err := lab.NewDir()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := dir.Remove(); err != nil {
					t.Error(err)
				}
			})
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			s, err := New(t.Context(), dir, "regress", self, *full)
			if err != nil {
				t.Fatal(err)
			}
			output, done, err := s.Run(t.Context(), want.Script)
			if want.Script == "principals-command" && os.Geteuid() != 0 { // its command has to be root's
				if err != nil || !strings.Contains(output, "need SUDO") {
					t.Errorf("%v\n%s", err, lab.Tail(output, 30))
				}
				return
			}
			if err != nil || !strings.Contains(output, "\nok ") && !strings.HasPrefix(output, "ok ") || strings.Contains(output, "SKIPPED") {
				t.Errorf("%v\n%s", err, lab.Tail(output, 30))
			}
			certificates, lists := want.Certificates, want.Lists
			if *full {
				certificates, lists = want.FullCertificates, want.FullLists
			}
			if done.Certificates < certificates || done.Lists < lists {
				t.Errorf("ours made %d certificates and %d lists, and left %d calls; want at least %d and %d", done.Certificates, done.Lists, done.Left, certificates, lists)
			}
			t.Logf("%d certificates and %d lists of ours, %d left to ssh-keygen", done.Certificates, done.Lists, done.Left)
		})
	}
}

// expectations are those for this machine's OpenSSH.
func expectations(t *testing.T) []Expectation {
	t.Helper()
	path, err := lab.FindProgram("sshd")
	if err != nil {
		t.Fatal(err)
	}
	version, err := sshdconf.SSHD{Path: path}.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/expectations.txt")
	if err != nil {
		t.Fatal(err)
	}
	list, err := ParseExpectations(string(text), version.Major, version.Minor)
	if err != nil || len(list) == 0 {
		t.Fatalf("nothing is expected of OpenSSH %s: %v", version, err)
	}
	return list
}

func TestParseExpectations(t *testing.T) {
	t.Parallel()
	const text = "# x\nsince 8.2\na 1 2 3 4\nsince 9.2\nb 1 2 3 4\nc 5 6 7 8\nsince 10.3\nd 1 1 1 1\n"
	for _, tt := range []struct {
		major, minor int
		want         string
	}{{8, 1, "[]"}, {8, 9, "[{a 1 2 3 4}]"}, {9, 2, "[{b 1 2 3 4} {c 5 6 7 8}]"}, {10, 0, "[{b 1 2 3 4} {c 5 6 7 8}]"}, {11, 0, "[{d 1 1 1 1}]"}} {
		if got, err := ParseExpectations(text, tt.major, tt.minor); err != nil || fmt.Sprint(got) != tt.want {
			t.Errorf("%d.%d: %v, %v, want %s", tt.major, tt.minor, got, err, tt.want)
		}
	}
	for _, text := range []string{"since x\n", "a 1 2 3\n", "a 1 2 3 x\n"} {
		if got, err := ParseExpectations(text, 9, 2); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestParseCall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args string
		want string
	}{
		{"-q -s ca -z 7 -I id -n a,b -t rsa-sha2-256 key.pub", "{false false ca  7 rsa-sha2-256 false [key.pub]}"},
		{"-kf out -s NONE spec", "{true false NONE out 0  false [spec]}"},
		{"-z 3 -kf out -", "{true false  out 3  false [-]}"},
		{"-kquf out key", "{true true  out 0  false [key]}"},
		{"-Y sign -f key", "{false false  key 0  true []}"},
		{"-h -sca -Iid key", "{false false ca  0  false [key]}"},
	} {
		if got := fmt.Sprint(parseCall(strings.Fields(tt.args))); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.args, got, tt.want)
		}
	}
}
