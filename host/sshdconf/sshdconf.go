// Package sshdconf owns what a host's sshd is told and what it makes of it: the fragment of sshd_config that puts the
// verifier in force, what `sshd -T` says is in force, the Match blocks that say otherwise for some connections, and the
// findings: each way around the verifier, with its mend.
//
// sshd itself is asked wherever it can answer. A setting that stands in a file says little: which of two lines counts
// depends on the release, on the order of the files and on bugs, so the findings rest on what `sshd -T` prints. The files are
// read only to know the Match blocks, and to say where a setting comes from.
package sshdconf

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrUnreadable is wrapped when what sshd or its configuration says can't be read. It never counts as clean.
var ErrUnreadable = errors.New("the configuration of sshd can't be read")

// Version is a release of OpenSSH, such as 9.2. The zero value is none.
type Version struct{ Major, Minor int }

// released finds the release in what `sshd -V` or `ssh -V` prints: OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.19. An
// sshd before 9.2 answers -V with its usage, which has the same words.
var released = newPattern(`\bOpenSSH_(?:for_Windows_)?([0-9]{1,3})\.([0-9]{1,3})`)

// ParseVersion reads what `sshd -V` or `ssh -V` prints.
func ParseVersion(output string) (Version, error) {
	m := released.FindStringSubmatch(output)
	if m == nil {
		return Version{}, fmt.Errorf("%w: it does not say which OpenSSH it is", ErrUnreadable)
	}
	major, majorErr := strconv.Atoi(m[1])
	minor, minorErr := strconv.Atoi(m[2])
	if err := errors.Join(majorErr, minorErr); err != nil {
		return Version{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return Version{Major: major, Minor: minor}, nil
}

// Before tells whether v is older than the release major.minor.
func (v Version) Before(major, minor int) bool {
	return v.Major < major || v.Major == major && v.Minor < minor
}

// String returns the release as OpenSSH writes it, 9.2.
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }
