package host

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// PrincipalsOptions are the settings of [Principals].
type PrincipalsOptions struct {
	Folder Folder
	Spool  string // for alarms; empty: none
	Agent  string // socket of the agent, which counts refusals; empty: nobody does
	Out    io.Writer
	Log    Log
	Now    func() time.Time
}

// Principals is sshd's AuthorizedPrincipalsCommand: it is given a certificate in
// base64 (%k) and a user (%u), and writes the one principal that the certificate
// opens for that user here, or nothing. Whatever happens it returns: an exit code
// other than 0 would have sshd log the whole certificate. What is refused is one line
// in the log.
//
// In mode observe it writes what stock sshd would let in, and logs what would be
// refused.
func Principals(o PrincipalsOptions, certificate, user string) {
	answer := ""
	defer func() {
		if fault := recover(); fault != nil {
			o.refused(refuse(Panic, fmt.Errorf("%v", fault)), user, nil)
			return
		}
		if answer != "" {
			_, _ = io.WriteString(o.Out, answer+"\n") // who does not hear it lets nobody in
		}
	}()
	answer = o.answer(certificate, user)
}

// answer returns what to print, or nothing, and logs.
func (o PrincipalsOptions) answer(certificate, user string) string {
	wire, r := decode(certificate)
	if r != nil {
		o.refused(r, user, nil)
		return ""
	}
	v, err := Load(o.Folder)
	if err != nil {
		r, ok := errors.AsType[*Refusal](err)
		if !ok {
			r = refuse(Files, err)
		}
		o.refused(r, user, nil)
		return ""
	}
	now := o.Now()
	verdict := v.Check(wire, user, now)
	if verdict.WithoutProof != nil {
		o.alarm(v.config.Name, verdict, wire, user, now)
	}
	switch {
	case verdict.Refused == nil:
		return verdict.Principal.String()
	case v.config.Mode == Observe && verdict.Stock != sshcert.Principal{}:
		o.Log(Notice, line("would-refuse", about(verdict.Refused, user, verdict.Certificate)...))
		return verdict.Stock.String()
	default:
		o.refused(verdict.Refused, user, verdict.Certificate)
		return ""
	}
}

func (o PrincipalsOptions) refused(r *Refusal, user string, cert *ssh.Certificate) {
	refused(o.Log, r, user, cert)
	tellAgent(o.Agent, r.Reason)
}

// Refused logs that the command was not called as it must be.
func Refused(log Log, err error) { refused(log, refuse(Usage, err), "", nil) }

// ownFaults are the reasons that lie with the host, not with who knocks.
var ownFaults = []Reason{Panic, Usage, Files, Policy, Bundle, BundleOver, NoKRL, BadKRL, StaleKRL, FutureKRL}

func refused(log Log, r *Refusal, user string, cert *ssh.Certificate) {
	severity := Notice
	if slices.Contains(ownFaults, r.Reason) {
		severity = Failure
	}
	log(severity, line("refused", about(r, user, cert)...))
}

// about is what a line says of a refusal: nothing that is secret, and nothing as it
// was written by others.
func about(r *Refusal, user string, cert *ssh.Certificate) []field {
	out := []field{{"reason", string(r.Reason)}, {"user", user}}
	out = append(out, named(cert)...)
	if r.Err != nil {
		out = append(out, field{"detail", r.Err.Error()})
	}
	return out
}

func named(cert *ssh.Certificate) []field {
	if cert == nil {
		return nil
	}
	return []field{
		{"serial", strconv.FormatUint(cert.Serial, 10)},
		{"key_id", cert.KeyId},
		{"key", ssh.FingerprintSHA256(cert.Key)},
		{"ca", ssh.FingerprintSHA256(cert.SignatureKey)},
	}
}

// alarm says aloud that the authority's key signed what the ledger does not hold. It
// never changes the verdict.
func (o PrincipalsOptions) alarm(name sshcert.Host, verdict Verdict, wire []byte, user string, now time.Time) {
	fields := append([]field{{"event", string(WithoutProof)}, {"user", user}}, named(verdict.Certificate)...)
	fields = append(fields, field{"detail", verdict.WithoutProof.Error()})
	if o.Spool != "" {
		err := spool(o.Spool, Alarm{
			V: AlarmVersion, Event: WithoutProof, At: canon.At(now), Host: name,
			Detail: plain(verdict.WithoutProof.Error()), Certificate: canon.B64(wire),
		}, wire)
		if err != nil {
			fields = append(fields, field{"spool", err.Error()})
		}
	}
	o.Log(Alert, line("alarm", fields...))
}

// decode reads %k, bounded.
func decode(certificate string) ([]byte, *Refusal) {
	if n := base64.StdEncoding.DecodedLen(len(certificate)); n > sshcert.MaxCertificate+2 {
		return nil, refuse(Size, fmt.Errorf("%d characters of base64", len(certificate)))
	}
	wire, err := base64.StdEncoding.Strict().DecodeString(certificate)
	if err != nil {
		return nil, refuse(Malformed, errors.New("it is not base64, as sshd writes %k"))
	}
	return wire, nil
}
