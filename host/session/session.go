// Package session owns what happens to a login on a host after sshd has let
// somebody in: a PAM step puts the session into a cgroup of its own and records
// which certificate opened it, and what is in that cgroup is warned and killed
// when the grant is over or revoked.
//
// The certificate comes from sshd itself, through PAM (SSH_AUTH_INFO_0), never from
// a log line. It is the key ID that says when the grant ends, so a session ends on
// time without any network. [Plan] decides who is warned and who ends, and is pure;
// [Host] is the PAM step, [Scopes] kills.
//
// A session that no certificate of ours opened (the owner's own key, the console)
// is recorded and left alone: it has no cgroup, so nothing can kill it.
package session

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

// Version is the version of a session's record.
const Version = "sallyport.session/v1"

// ErrRecord is wrapped by every refusal of a record.
var ErrRecord = errors.New("not a session's record")

// Record is what the PAM step writes down about a session, in canonical JSON in a
// file that only root can read.
type Record struct {
	V  string   `json:"v"`
	ID canon.ID `json:"id"` // drawn by the host; the ledger knows the session by it

	// What PAM said, in printable ASCII.
	Login   string `json:"login"`
	Service string `json:"service"`
	TTY     string `json:"tty,omitempty"`  // sshd says "ssh": it has no terminal yet
	From    string `json:"from,omitempty"` // the address, or a name where sshd looks names up

	OpenedAt canon.Micros `json:"opened_at"`
	Boot     string       `json:"boot"`    // the kernel's boot id: after a restart no session is left
	PID      int          `json:"pid"`     // of the process that called PAM: sshd's monitor of the connection
	Started  uint64       `json:"started"` // its start, in clock ticks: process ids are used again

	Cgroup      string `json:"cgroup,omitempty"`      // the session's own, as a path; absent without a certificate of ours
	Certificate string `json:"certificate,omitempty"` // b64 of the wire form; absent without one of ours

	OfflineKey string `json:"offline_key,omitempty"` // b64 of the wire form of the offline key that opened it

	Told bool `json:"told,omitempty"` // the agent has put its beginning into the spool
}

// Session is a record that was read.
type Session struct {
	Record
	// Cert is the certificate that opened it, nil if none of ours did.
	Cert *ssh.Certificate
	// End is when the grant behind Cert ends.
	End time.Time
	// ClosedAt is when PAM said that whoever was in it left, 0 before that.
	ClosedAt canon.Micros
}

// Marshal writes a record in canonical form.
func (r Record) Marshal() ([]byte, error) {
	r.V = Version
	text, err := canon.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return text, nil
}

// ParseRecord reads what Marshal writes, and the certificate in it.
func ParseRecord(text []byte) (Session, error) {
	var r Record
	if err := canon.Unmarshal(text, &r); err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if _, err := canon.ParseID(string(r.ID)); err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	switch {
	case r.V != Version:
		return Session{}, fmt.Errorf("%w: it says that it is %.60q, want %s", ErrRecord, r.V, Version)
	case r.PID < 1 || r.OpenedAt < 1 || r.Login == "" || r.Boot == "":
		return Session{}, fmt.Errorf("%w: a member is missing", ErrRecord)
	case (r.Cgroup == "") != (r.Certificate == ""):
		return Session{}, fmt.Errorf("%w: a certificate without a cgroup, or a cgroup without a certificate", ErrRecord)
	}
	if r.OfflineKey != "" {
		if _, err := hostcall.ParseOfflineKey(r.OfflineKey); err != nil || r.Certificate != "" {
			return Session{}, fmt.Errorf("%w: an offline key that is none, or that stands beside a certificate", ErrRecord)
		}
	}
	s := Session{Record: r}
	if r.Certificate == "" {
		return s, nil
	}
	if err := checkScope(r.Cgroup, r.ID); err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	wire, err := canon.ParseB64(r.Certificate)
	if err != nil {
		return Session{}, fmt.Errorf("%w: certificate: %w", ErrRecord, err)
	}
	if s.Cert, err = sshcert.ParseCertificate(wire); err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	id, err := sshcert.ParseKeyID(s.Cert.KeyId)
	if err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	s.End = id.End
	return s, nil
}

// Serial is the certificate's serial, 0 if none of ours opened the session.
func (s Session) Serial() uint64 {
	if s.Cert == nil {
		return 0
	}
	return s.Cert.Serial
}
