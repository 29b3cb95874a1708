// Package openssh runs OpenSSH's own regression scripts (Debian's package openssh-tests) with an ssh-keygen in front of the
// real one that has certificates and revocation lists made by this project. What the scripts expect of sshd and ssh is
// OpenSSH's, so a certificate or a list that ours writes otherwise than ssh-keygen does turns them red.
//
// The scripts run on a copy, sshd in inetd mode: nothing listens. Which they are, and how much of the work ours has to have
// done in each, stands in testdata/expectations.txt.
package openssh

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// scripts is where Debian's package has them.
const scripts = "/usr/lib/openssh/regress"

// perScript bounds one script: the longest takes some minutes with all types of keys.
const perScript = 20 * time.Minute

// quick are the types of keys of a quick run. The scripts ask `ssh -Q` which there are, and repeat themselves for each.
var quick = []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com"}

// Suite is a copy of the scripts.
type Suite struct {
	dir    string // of the copy
	keygen string // the wrapper's path
	ssh    string
	user   string
}

// New copies the scripts into a folder below dir. standIn is a command line of the shell that behaves as ssh-keygen does,
// and calls [Keygen]. A full run is over all types of keys.
func New(ctx context.Context, dir *lab.Dir, name, standIn string, full bool) (*Suite, error) {
	if _, err := os.Stat(scripts); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there: scripts/deps.sh installs it (Debian's package openssh-tests)", scripts)
	}
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	s := &Suite{dir: dir.Path(name), user: me.Username}
	r, err := lab.Run(ctx, lab.Command{Path: "cp", Args: []string{"-rL", scripts, s.dir}})
	if err != nil || r.Code != 0 {
		return nil, errors.Join(err, fmt.Errorf("copying the scripts: %s", r.Output))
	}
	if s.ssh, err = lab.FindProgram("ssh"); err != nil {
		return nil, err
	}
	keygen, err := lab.FindProgram("ssh-keygen")
	if err != nil {
		return nil, err
	}
	s.keygen, err = dir.Write(0o755, fmt.Sprintf("#!/bin/sh\n%s=%s %s=%s\nexport %s %s\ncase \" $*\" in\n*' -s'*|*' -k'*|*' -qk'*) exec %s \"$@\" ;;\n*) exec %s \"$@\" ;;\nesac\n",
		realKeygen, keygen, journal, s.file(journalFile), realKeygen, journal, standIn, keygen), name, "ssh-keygen-of-ours")
	if err != nil {
		return nil, err
	}
	if !full {
		s.ssh, err = dir.Write(0o755, fmt.Sprintf("#!/bin/sh\ncase \"$*\" in\n*'-Q key-plain') printf '%%s\\n' %[1]s ;;\n*'-Q key') printf '%%s\\n' %[1]s %[2]s ;;\n*) exec %[3]s \"$@\" ;;\nesac\n",
			strings.Join(quick, " "), strings.Join(certified(quick), " "), s.ssh), name, "ssh-of-few-types")
	}
	return s, err
}

// certified are the types of certificates for types of keys.
func certified(types []string) []string {
	var list []string
	for _, t := range types {
		list = append(list, strings.TrimSuffix(t, "@openssh.com")+"-cert-v01@openssh.com")
	}
	return list
}

func (s *Suite) file(name string) string { return filepath.Join(s.dir, name) }

// Run runs a script, cert-userkey say, and returns what it said and how much of its work ours has done.
func (s *Suite) Run(ctx context.Context, script string) (output string, done Done, err error) {
	ctx, cancel := context.WithTimeout(ctx, perScript)
	defer cancel()
	sshd, err := lab.FindProgram("sshd")
	if err != nil {
		return "", Done{}, err
	}
	r, err := lab.Run(ctx, lab.Command{
		Path: "/bin/sh", Args: []string{"test-exec.sh", s.dir, s.file(script + ".sh")}, Dir: s.dir,
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "USER=" + s.user, "LOGNAME=" + s.user, "LC_ALL=C", "TEST_SHELL=sh", "OBJ=" + s.dir, "BUILDDIR=" + s.dir,
			"TEST_SSH_SSH=" + s.ssh, "TEST_SSH_SSHD=" + sshd, "TEST_SSH_SSHKEYGEN=" + s.keygen, "TEST_SSH_UNSAFE_PERMISSIONS=1", "TEST_SSH_ECC=yes",
		},
	})
	if err != nil {
		return r.Output, Done{}, err
	}
	if done, err = s.done(); err != nil {
		return r.Output, done, err
	}
	if r.Code != 0 {
		return r.Output, done, fmt.Errorf("%s failed with exit code %d", script, r.Code)
	}
	return r.Output, done, nil
}

// Done counts what ours has made in a script.
type Done struct{ Certificates, Lists, Left int }

// done reads the journal that the stand-in has written.
func (s *Suite) done() (Done, error) {
	var d Done
	text, err := os.ReadFile(s.file(journalFile))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	for line := range strings.Lines(string(text)) {
		switch strings.TrimSpace(line) {
		case madeCertificate:
			d.Certificates++
		case madeList:
			d.Lists++
		default:
			d.Left++
		}
	}
	return d, err
}

// Expectation is what a script comes to with a release of OpenSSH.
type Expectation struct {
	Script                      string
	Certificates, Lists         int // at least so many are ours, in a quick run
	FullCertificates, FullLists int // and in a full one
}

// ParseExpectations reads the lines that hold for a release: those under the last heading that is not newer.
func ParseExpectations(text string, major, minor int) ([]Expectation, error) {
	var list []Expectation
	scanner := bufio.NewScanner(strings.NewReader(text))
	for scanner.Scan() {
		f := strings.Fields(scanner.Text())
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if f[0] == "since" && len(f) == 2 {
			var since [2]int
			if _, err := fmt.Sscanf(f[1], "%d.%d", &since[0], &since[1]); err != nil {
				return nil, fmt.Errorf("%q: %w", scanner.Text(), err)
			}
			if since[0] > major || since[0] == major && since[1] > minor {
				break
			}
			list = nil
			continue
		}
		if len(f) != 5 {
			return nil, fmt.Errorf("%q: a script and four numbers", scanner.Text())
		}
		var n [4]int
		for i := range n {
			var err error
			if n[i], err = strconv.Atoi(f[i+1]); err != nil {
				return nil, fmt.Errorf("%q: %w", scanner.Text(), err)
			}
		}
		list = append(list, Expectation{Script: f[0], Certificates: n[0], Lists: n[1], FullCertificates: n[2], FullLists: n[3]})
	}
	return list, scanner.Err()
}
