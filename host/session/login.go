package session

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	maxWord     = 255
	maxAuthInfo = 1 << 18
	certSuffix  = "-cert-v01@openssh.com"
)

// ErrLogin is wrapped when what PAM says about a login can't be read.
var ErrLogin = errors.New("what PAM says about the login can't be read")

// What pam_exec says that PAM is doing.
const (
	typeOpen  = "open_session"
	typeClose = "close_session"
)

// login is what pam_exec hands over in the environment.
type login struct {
	opens    bool
	service  string
	user     string
	tty      string
	from     string
	authInfo string // SSH_AUTH_INFO_0: how sshd has satisfied itself, a method a line
}

func readLogin(getenv func(string) string) (login, error) {
	l := login{
		service: plain(getenv("PAM_SERVICE")), user: plain(getenv("PAM_USER")), tty: plain(getenv("PAM_TTY")),
		from: plain(getenv("PAM_RHOST")), authInfo: getenv("SSH_AUTH_INFO_0"),
	}
	switch t := getenv("PAM_TYPE"); t {
	case typeOpen:
		l.opens = true
	case typeClose:
	default:
		return l, fmt.Errorf("%w: PAM_TYPE is %.40q; pam_exec calls this step, in a line that begins with session", ErrLogin, t)
	}
	if l.user == "" || l.service == "" {
		return l, fmt.Errorf("%w: PAM_USER or PAM_SERVICE is missing", ErrLogin)
	}
	return l, nil
}

// plain is a word of printable ASCII: a name server may have written it.
func plain(s string) string {
	if len(s) > maxWord {
		s = s[:maxWord]
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// usedCertificate reports whether sshd says that a certificate took part, whoever
// signed it.
func (l login) usedCertificate() bool { return strings.Contains(l.authInfo, certSuffix) }

// certificate returns the certificate by which sshd let somebody in, if one of the
// authorities has signed it. Two are one too many: each has an end of its own.
func (l login) certificate(authorities []ssh.PublicKey) (*ssh.Certificate, sshcert.KeyID, error) {
	var found *ssh.Certificate
	if len(l.authInfo) > maxAuthInfo {
		return nil, sshcert.KeyID{}, fmt.Errorf("%w: SSH_AUTH_INFO_0 has %d bytes, at most %d", ErrLogin, len(l.authInfo), maxAuthInfo)
	}
	for line := range strings.Lines(l.authInfo) {
		cert, err := lineCertificate(line)
		switch {
		case err != nil:
			return nil, sshcert.KeyID{}, fmt.Errorf("%w: %w", ErrLogin, err)
		case cert == nil || !signedByOneOf(authorities, cert):
		case found != nil:
			return nil, sshcert.KeyID{}, fmt.Errorf("%w: two certificates took part; AuthenticationMethods has to ask for one", ErrLogin)
		default:
			found = cert
		}
	}
	if found == nil {
		return nil, sshcert.KeyID{}, nil
	}
	id, err := sshcert.ParseKeyID(found.KeyId)
	if err != nil {
		return nil, sshcert.KeyID{}, fmt.Errorf("%w: the certificate with serial %d is by our authority and names no grant: %w", ErrLogin, found.Serial, err)
	}
	return found, id, nil
}

// lineCertificate reads "publickey TYPE BASE64"; of other methods there is none.
func lineCertificate(line string) (*ssh.Certificate, error) {
	f := strings.Fields(line)
	if len(f) < 3 || f[0] != "publickey" || !strings.HasSuffix(f[1], certSuffix) {
		return nil, nil
	}
	wire, err := base64.StdEncoding.DecodeString(f[2])
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	return sshcert.ParseCertificate(wire)
}

// offlineKey returns the key by which sshd let somebody in, if it is one that opens the
// login when everything else is down.
func (l login) offlineKey(opens func(login string, key ssh.PublicKey) bool) ssh.PublicKey {
	if opens == nil || len(l.authInfo) > maxAuthInfo {
		return nil
	}
	for line := range strings.Lines(l.authInfo) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "publickey" {
			continue
		}
		wire, err := base64.StdEncoding.DecodeString(f[2])
		if err != nil {
			continue
		}
		key, err := hostcall.ParseOfflineKey(canon.B64(wire))
		if err == nil && opens(l.user, key) {
			return key
		}
	}
	return nil
}

func signedByOneOf(authorities []ssh.PublicKey, cert *ssh.Certificate) bool {
	for _, a := range authorities {
		if string(a.Marshal()) == string(cert.SignatureKey.Marshal()) {
			return cert.Signature != nil && a.Verify(sshcert.SignedBytes(cert), cert.Signature) == nil
		}
	}
	return false
}

// b64 is the certificate as a record has it.
func b64(cert *ssh.Certificate) string { return canon.B64(cert.Marshal()) }
