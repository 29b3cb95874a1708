package host

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

const maxHostCert = 64 << 10

// hostCertificate returns until when the certificate is good that clients are to be
// shown, or what is wrong with it. One that is over is renewed, and named as well.
func (m Machine) hostCertificate(b trust.Bundle, name sshcert.Host) (time.Time, error) {
	text, err := Folder{Path: m.Dir, Owner: m.Owner}.Read(HostCertFile, maxHostCert)
	if err != nil {
		return time.Time{}, err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%s holds no certificate", m.file(HostCertFile))
	}
	cert, err := sshcert.ParseCertificate(key.Marshal())
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", m.file(HostCertFile), err)
	}
	switch {
	case cert.CertType != ssh.HostCert || !slices.Contains(cert.ValidPrincipals, string(name)):
		return time.Time{}, fmt.Errorf("%s is no certificate of the host %s", m.file(HostCertFile), name)
	case !b.SignsHosts(cert.SignatureKey):
		return time.Time{}, fmt.Errorf("%s is signed by a key that the trust bundle does not name", m.file(HostCertFile))
	}
	return time.Unix(int64(cert.ValidBefore), 0), nil //nolint:gosec // what is out of range is over, or far ahead
}

// hostCertificate is the file that sshd is told of, empty if there is none that is good.
func (p plan) hostCertificate() string {
	signed, err := trust.Parse(p.pinned())
	if err != nil {
		return ""
	}
	if _, err := p.machine.hostCertificate(signed.Bundle, p.config.Name); err != nil {
		return ""
	}
	return p.machine.file(HostCertFile)
}
