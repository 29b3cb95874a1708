package host

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/sshcert"
)

// krlAhead is how far in the future a revocation list may have been made: what two
// clocks differ by.
const krlAhead = 5 * time.Minute

// criticalOptions are those that OpenSSH knows (PROTOCOL.certkeys). sshd refuses
// others, too.
var criticalOptions = []string{"force-command", "source-address", "verify-required"}

// Verdict is what a host makes of a certificate.
type Verdict struct {
	// Principal is what the certificate opens; zero if it is refused.
	Principal sshcert.Principal
	// Refused says why not; nil if it is let in.
	Refused *Refusal
	// Stock is what it would open on a host with stock sshd, which asks for no
	// ledger: what a host in mode observe lets in. Zero if nothing.
	Stock sshcert.Principal
	// WithoutProof is set if the authority signed the certificate and the ledger was
	// not shown to hold it, whatever else is wrong with it: somebody else has the
	// authority's key, or it signs past the ledger.
	WithoutProof error
	// Certificate is what was read; nil if nothing could be.
	Certificate *ssh.Certificate
}

// Principal returns what a certificate opens as a user at a time, or a [*Refusal].
// It is what [Verifier.Check] says, without what is logged.
func (v *Verifier) Principal(wire []byte, user string, now time.Time) (sshcert.Principal, error) {
	verdict := v.Check(wire, user, now)
	if verdict.Refused != nil {
		return sshcert.Principal{}, verdict.Refused
	}
	return verdict.Principal, nil
}

// Check decides whether a certificate opens the login of a user on this host. In
// order, each step refusing with the reason named:
//
//  1. The certificate has at most [sshcert.MaxCertificate] bytes ([Size]), is
//     one, over a key that passes the key policy ([Malformed]), and has one writing
//     ([NotCanonical]).
//  2. Its authority is one of the bundle's ([Authority]) and signed it
//     ([Signature]).
//  3. It is a user certificate ([Type]).
//  4. It names 1 to [sshcert.MaxPrincipals] principals ([NoPrincipals]), all of them
//     login@host ([BadPrincipal]).
//  5. The host's clock is within its time, without any tolerance ([NotYet],
//     [Expired]).
//  6. Its key ID is one that the authority writes ([KeyID]), the grant in it has not
//     ended, and the certificate does not outlive it ([GrantOver]).
//  7. The user is a login ([User]), and login@name stands among the principals for
//     one of the host's names ([Scope]).
//  8. It has only critical options that OpenSSH knows ([Option]).
//  9. The ledger holds it, by the proof that it carries and the bundle's policy: log
//     keys, party cosigners, witnesses ([NoProof], [BadProof], [Checkpoint],
//     [NotInLedger]).
//  10. Its leaf is of the host's lineage ([Lineage]).
//  11. The bundle has not expired ([BundleOver]).
//  12. The host's policy allows its lifetime, the login and its options
//     ([LongLived], [OtherLogin], [OtherOption]).
//  13. The revocation list is as new as the host's policy demands ([NoKRL],
//     [BadKRL], [StaleKRL], [FutureKRL]). Whether it lists the certificate, sshd
//     has asked before (RevokedKeys).
func (v *Verifier) Check(wire []byte, user string, now time.Time) Verdict {
	cert, refused := v.read(wire) // 1, 2
	if refused != nil {
		return Verdict{Refused: refused, Certificate: cert}
	}
	out := Verdict{Certificate: cert}
	proved, proofErr := certproof.Verify(cert, v.policy)
	if errors.Is(proofErr, certproof.ErrSignature) { // 2
		out.Refused = refuse(Signature, proofErr)
		return out
	}
	out.WithoutProof = proofErr
	out.Stock = v.stock(cert, user, now)
	principal, refused := v.decide(cert, proved, proofErr, user, now)
	if refused != nil {
		out.Refused = refused
		return out
	}
	out.Principal = principal
	return out
}

// decide does steps 3 to 13.
func (v *Verifier) decide(cert *ssh.Certificate, proved certproof.Result, proofErr error, user string, now time.Time) (sshcert.Principal, *Refusal) {
	if cert.CertType != ssh.UserCert { // 3
		return sshcert.Principal{}, refuse(Type, fmt.Errorf("it has type %d", cert.CertType))
	}
	if r := checkPrincipals(cert); r != nil { // 4
		return sshcert.Principal{}, r
	}
	if r := checkTime(cert, now); r != nil { // 5
		return sshcert.Principal{}, r
	}
	if r := checkKeyID(cert, now); r != nil { // 6
		return sshcert.Principal{}, r
	}
	principal, r := v.scope(cert, user) // 7
	if r != nil {
		return sshcert.Principal{}, r
	}
	if r := checkCritical(cert); r != nil { // 8
		return sshcert.Principal{}, r
	}
	if proofErr != nil { // 9
		return sshcert.Principal{}, refuse(reasonOf(proofErr), proofErr)
	}
	if proved.Lineage != v.config.Lineage { // 10
		return sshcert.Principal{}, refuse(Lineage, fmt.Errorf("its leaf is of lineage %s, the host of %s", proved.Lineage, v.config.Lineage))
	}
	if v.bundle.Expired(now) { // 11
		return sshcert.Principal{}, refuse(BundleOver, fmt.Errorf("bundle %d has expired at %s", v.bundle.Number, v.bundle.ExpiresAt.Time().Format(time.RFC3339)))
	}
	if r := v.checkPolicy(cert, principal.Login); r != nil { // 12
		return sshcert.Principal{}, r
	}
	if r := v.checkKRL(now); r != nil { // 13
		return sshcert.Principal{}, r
	}
	return principal, nil
}

// read does step 1 and the first half of step 2.
func (v *Verifier) read(wire []byte) (*ssh.Certificate, *Refusal) {
	if len(wire) > sshcert.MaxCertificate {
		return nil, refuse(Size, fmt.Errorf("%d bytes, at most %d", len(wire), sshcert.MaxCertificate))
	}
	cert, err := sshcert.ParseCertificate(wire)
	switch {
	case errors.Is(err, sshcert.ErrNotCanonical):
		return nil, refuse(NotCanonical, err)
	case err != nil:
		return nil, refuse(Malformed, err)
	case !v.bundle.SignsUsers(cert.SignatureKey):
		return cert, refuse(Authority, fmt.Errorf("%s is not a key of bundle %d", ssh.FingerprintSHA256(cert.SignatureKey), v.bundle.Number))
	}
	return cert, nil
}

func checkPrincipals(cert *ssh.Certificate) *Refusal {
	if n := len(cert.ValidPrincipals); n < 1 || n > sshcert.MaxPrincipals {
		return refuse(NoPrincipals, fmt.Errorf("%d principals, want 1 to %d", n, sshcert.MaxPrincipals))
	}
	for _, p := range cert.ValidPrincipals {
		if _, err := sshcert.ParsePrincipal(p); err != nil {
			return refuse(BadPrincipal, err)
		}
	}
	return nil
}

// checkTime is sshd's rule: from ValidAfter, and before ValidBefore.
func checkTime(cert *ssh.Certificate, now time.Time) *Refusal {
	at := now.Unix()
	switch {
	case at < 0 || uint64(at) < cert.ValidAfter:
		return refuse(NotYet, fmt.Errorf("valid from %s, the host's clock says %s", moment(cert.ValidAfter), now.UTC().Format(time.RFC3339)))
	case uint64(at) >= cert.ValidBefore:
		return refuse(Expired, fmt.Errorf("valid until %s, the host's clock says %s", moment(cert.ValidBefore), now.UTC().Format(time.RFC3339)))
	}
	return nil
}

// moment writes a time of a certificate; some have no calendar.
func moment(seconds uint64) string {
	const year9999 = 253402300800
	if seconds >= year9999 {
		return fmt.Sprint(seconds)
	}
	return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
}

func checkKeyID(cert *ssh.Certificate, now time.Time) *Refusal {
	id, err := sshcert.ParseKeyID(cert.KeyId)
	switch {
	case err != nil:
		return refuse(KeyID, err)
	case !now.Before(id.End):
		return refuse(GrantOver, fmt.Errorf("the grant ended at %s", id.End.Format(time.RFC3339)))
	case cert.ValidBefore > uint64(id.End.Unix()): //nolint:gosec // the end has no sign
		return refuse(GrantOver, fmt.Errorf("it is valid until %s, the grant ends at %s", moment(cert.ValidBefore), id.End.Format(time.RFC3339)))
	}
	return nil
}

// scope finds the principal of a user on this host: sshd compares what is printed
// with the certificate's principals, and no longer with the login, so that it has to
// be exactly this one.
func (v *Verifier) scope(cert *ssh.Certificate, user string) (sshcert.Principal, *Refusal) {
	login, err := sshcert.ParseLogin(user)
	if err != nil {
		return sshcert.Principal{}, refuse(User, err)
	}
	for _, name := range v.config.Names() {
		p := sshcert.Principal{Login: login, Host: name}
		if slices.Contains(cert.ValidPrincipals, p.String()) {
			return p, nil
		}
	}
	return sshcert.Principal{}, refuse(Scope, fmt.Errorf("it does not name %s on %s", login, v.config.Name))
}

func checkCritical(cert *ssh.Certificate) *Refusal {
	for name := range cert.CriticalOptions {
		if !slices.Contains(criticalOptions, name) {
			return refuse(Option, fmt.Errorf("OpenSSH does not know the critical option %.80q", name))
		}
	}
	return nil
}

// reasonOf sorts what can be wrong with a proof.
func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, certproof.ErrNoProof):
		return NoProof
	case errors.Is(err, ledger.ErrOrigin), errors.Is(err, ledger.ErrUntrusted), errors.Is(err, ledger.ErrCheckpoint):
		return Checkpoint
	case errors.Is(err, ledger.ErrNotIncluded), errors.Is(err, certproof.ErrSerial):
		return NotInLedger
	default: // of sshcert, which has read it before; of the proof's text and its extra data
		return BadProof
	}
}

func (v *Verifier) checkPolicy(cert *ssh.Certificate, login sshcert.Login) *Refusal {
	c := v.config
	// ValidAfter < ValidBefore: the clock was between them.
	if lifetime := cert.ValidBefore - cert.ValidAfter; c.MaxCertSeconds > 0 && lifetime > uint64(c.MaxCertSeconds) {
		return refuse(LongLived, fmt.Errorf("it is valid for %d seconds, the host allows %d", lifetime, c.MaxCertSeconds))
	}
	if len(c.Logins) > 0 && !slices.Contains(c.Logins, login) {
		return refuse(OtherLogin, fmt.Errorf("the host allows no certificate for %s", login))
	}
	if len(c.Options) == 0 {
		return nil
	}
	for _, options := range []map[string]string{cert.CriticalOptions, cert.Extensions} {
		for name := range options {
			if name != sshcert.ProofExtension && !slices.Contains(c.Options, name) {
				return refuse(OtherOption, fmt.Errorf("the host does not allow %.80q", name))
			}
		}
	}
	return nil
}

func (v *Verifier) checkKRL(now time.Time) *Refusal {
	most := time.Duration(v.config.KRLMaxAgeSeconds) * time.Second
	switch {
	case v.krlErr != nil:
		return v.krlErr
	case most == 0:
		return nil
	case v.krl == nil:
		return refuse(NoKRL, fmt.Errorf("there is no %s, and the host's policy demands one of at most %s", SignedFile, most))
	}
	switch age := now.Sub(v.krl.MadeAt.Time()); {
	case age > most:
		return refuse(StaleKRL, fmt.Errorf("number %d was made at %s, the host's policy demands one of at most %s", v.krl.Number, v.krl.MadeAt.Time().Format(time.RFC3339), most))
	case age < -krlAhead:
		return refuse(FutureKRL, fmt.Errorf("number %d was made at %s, the host's clock says %s", v.krl.Number, v.krl.MadeAt.Time().Format(time.RFC3339), now.UTC().Format(time.RFC3339)))
	}
	return nil
}

// stock is what a host without sally-host lets in, by the principals files that
// `sallyd hosts config` makes: the right authority, a user certificate within its
// time that names this login on this host.
func (v *Verifier) stock(cert *ssh.Certificate, user string, now time.Time) sshcert.Principal {
	principal, refused := v.scope(cert, user)
	if cert.CertType != ssh.UserCert || checkTime(cert, now) != nil || refused != nil {
		return sshcert.Principal{}
	}
	return principal
}
