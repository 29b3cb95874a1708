package host

// Reason is the word by which logs and counts know why somebody was refused. It is
// an error, so that errors.Is(err, host.Scope) tells.
type Reason string

// Error is the word.
func (r Reason) Error() string { return string(r) }

// The reasons, in the order of the checks.
const (
	Usage Reason = "usage" // sshd did not call the command as it must
	Panic Reason = "panic" // a fault of ours

	Files  Reason = "files"  // a file is missing, unreadable, too large, or others can write to it
	Policy Reason = "policy" // host.json is malformed
	Bundle Reason = "bundle" // bundle.json is malformed, or not of the lineage that host.json names

	Size         Reason = "size"          // more bytes than a certificate has
	Malformed    Reason = "malformed"     // no certificate, or over a key that nobody may use
	NotCanonical Reason = "not-canonical" // it can be written in another way
	Authority    Reason = "authority"     // signed by a key that the bundle does not name
	Signature    Reason = "signature"     // that key did not sign it
	Type         Reason = "type"          // a host certificate
	NoPrincipals Reason = "no-principals" // for everybody, in some readers
	BadPrincipal Reason = "bad-principal" // one that is not login@host
	NotYet       Reason = "not-yet-valid"
	Expired      Reason = "expired"
	KeyID        Reason = "key-id"     // not one that the authority writes
	GrantOver    Reason = "grant-over" // the grant has ended, or the certificate would outlive it
	User         Reason = "user"       // an account that no certificate can name
	Scope        Reason = "scope"      // no principal for this login on this host
	Option       Reason = "option"     // a critical option that OpenSSH does not know

	NoProof      Reason = "no-proof"      // it carries no ledger proof
	BadProof     Reason = "bad-proof"     // a proof that can't be read
	Checkpoint   Reason = "checkpoint"    // another ledger, or too few cosigners
	NotInLedger  Reason = "not-in-ledger" // the proof does not lead to this certificate
	Lineage      Reason = "lineage"       // of another contract
	BundleOver   Reason = "bundle-expired"
	LongLived    Reason = "policy-lifetime" // longer than the host's policy allows
	OtherLogin   Reason = "policy-login"    // a login that the host's policy does not allow
	OtherOption  Reason = "policy-option"   // an option that the host's policy does not allow
	NoKRL        Reason = "krl-missing"
	BadKRL       Reason = "krl"       // the statement is malformed or not signed as it must be
	StaleKRL     Reason = "krl-stale" // older than the host's policy allows
	FutureKRL    Reason = "krl-from-the-future"
	WithoutProof Reason = "ca-without-ledger" // an alarm, never the reason of a refusal: see [Verdict]
)

// Refusal says why a certificate opens nothing.
type Refusal struct {
	Reason Reason
	Err    error // what is wrong in particular; may repeat what a stranger wrote
}

// Error is the reason, and what is wrong in particular.
func (r *Refusal) Error() string {
	if r.Err == nil {
		return string(r.Reason)
	}
	return string(r.Reason) + ": " + r.Err.Error()
}

// Unwrap lets errors.Is find both the reason and the error beneath.
func (r *Refusal) Unwrap() []error {
	if r.Err == nil {
		return []error{r.Reason}
	}
	return []error{r.Reason, r.Err}
}

func refuse(reason Reason, err error) *Refusal { return &Refusal{Reason: reason, Err: err} }

// Reasons are all of them, in the order of the checks.
func Reasons() []Reason {
	return []Reason{
		Usage, Panic, Files, Policy, Bundle, Size, Malformed, NotCanonical, Authority, Signature, Type, NoPrincipals, BadPrincipal, NotYet, Expired,
		KeyID, GrantOver, User, Scope, Option, NoProof, BadProof, Checkpoint, NotInLedger, Lineage, BundleOver, LongLived, OtherLogin, OtherOption,
		NoKRL, BadKRL, StaleKRL, FutureKRL, WithoutProof,
	}
}
