package sshdconf

import (
	"fmt"
	"path"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// DefaultStaticFolder is where a host has its files unless something else is said.
const DefaultStaticFolder = "/etc/ssh/sallyport"

// Static is what stock sshd needs to accept the certificates of a ledger for one host,
// without sally-host.
type Static struct {
	By     string // the command that makes it, for whoever finds the files
	Host   sshcert.Host
	At     string // folder on the host, as CheckStaticFolder allows it
	CA     string // the user CA's key, one line of authorized_keys
	Logins []sshcert.Login
	KRL    []byte // the revocation list in OpenSSH's form; nil: sshd is told of none
}

// StaticFile is one file of a host.
type StaticFile struct {
	Path   string // below the host's folder
	Body   []byte
	Binary bool
}

// NotEnforced says what a host with stock sshd does not do, and sally-host does.
var NotEnforced = []string{
	"It trusts the user CA alone: whoever has that key gets in, also with a certificate that the ledger does not hold.",
	"Sessions go on when their grant is over or revoked; only new logins need a certificate that is still good.",
	"A revoked certificate stays good until it is over, or until the file krl is replaced by a newer one.",
	"It tells the ledger of no login, no refusal and no end of a session; the fleet shows it as not enforcing.",
	"Passwords, authorized_keys and other authorities count as sshd_config says; nothing here shuts them.",
}

// CheckStaticFolder refuses a folder that sshd_config can't name as it is.
func CheckStaticFolder(at string) error {
	if !path.IsAbs(at) || strings.ContainsAny(at, " \"'%") || strings.ContainsFunc(at, canon.Hidden) {
		return fmt.Errorf("%q: sshd needs an absolute path without spaces, quotes or %%", at)
	}
	return nil
}

// Files are the host's files, the fragment for sshd_config first. Root owns them and
// the folder, and nobody else can write to them.
func (s Static) Files() []StaticFile {
	var b strings.Builder
	fmt.Fprintf(&b, "# sshd settings of %s, made by `%s`.\n# Include this file at the top of sshd_config, then check with `sshd -t`.\n", s.Host, s.By)
	b.WriteString("# What a host with these settings and without sally-host does not enforce:\n")
	for _, line := range NotEnforced {
		b.WriteString("#  - " + line + "\n")
	}
	fmt.Fprintf(&b, "TrustedUserCAKeys %s/user-ca.pub\nAuthorizedPrincipalsFile %s/principals/%%u\n", s.At, s.At)
	if s.KRL != nil {
		fmt.Fprintf(&b, "# Without this file sshd lets nobody in with a key.\nRevokedKeys %s/krl\n", s.At)
	}
	files := []StaticFile{{Path: "sallyport.conf", Body: []byte(b.String())}, {Path: "user-ca.pub", Body: []byte(s.CA + "\n")}}
	for _, l := range s.Logins {
		files = append(files, StaticFile{Path: "principals/" + string(l), Body: []byte(sshcert.Principal{Login: l, Host: s.Host}.String() + "\n")})
	}
	if s.KRL != nil {
		files = append(files, StaticFile{Path: "krl", Body: s.KRL, Binary: true})
	}
	return files
}
