package record

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// checkRevoker holds a revocation to somebody who may revoke its target, and to a
// login of theirs; the operator is the server's word. r is the request that the
// target belongs to, nil for a person, a role or a host.
func checkRevoker(v View, f AccessRevoke, r *approval.Request) error {
	if f.By == ByOperator {
		if f.Person != "" || f.Claims != (Claims{}) || f.Assurance != "" || f.Document != "" || f.Signature != "" {
			return fmt.Errorf("%w: the operator's word names nobody", ErrEvent)
		}
		return nil
	}
	if f.By != ByPerson || f.Person == "" {
		return fmt.Errorf("%w: revoked by %q", ErrEvent, f.By)
	}
	if err := notErased(v, f.Person); err != nil {
		return err
	}
	login, err := Login(v, f.Claims.Login)
	if err != nil {
		return err
	}
	if login.Person != f.Person {
		return fmt.Errorf("%w: the login is another person's", ErrEvent)
	}
	version, err := v.Version(f.Contract)
	if err != nil {
		return err
	}
	subject, err := subjectOf(v, version.Terms, f.Person, f.Claims, f.At, denyMaxAge)
	if err != nil {
		return err
	}
	if err := checkRevokeDoc(v, f, login); err != nil {
		return err
	}
	return mayRevoke(v, version, f, r, subject)
}

// MayRevoke returns nil if somebody could revoke a request, or what it granted, with
// a login now. version is the newest of the contract.
func MayRevoke(v View, version *contract.Version, r approval.Request, by canon.ID, c Claims, now canon.Micros) error {
	subject, err := subjectOf(v, version.Terms, by, c, now, denyMaxAge)
	if err != nil {
		return err
	}
	f := AccessRevoke{Target: Target{Type: TargetRequest, ID: r.ID}, Person: by, Claims: c}
	return mayRevoke(v, version, f, &r, subject)
}

// mayRevoke says who may revoke what. One's own is everybody's to revoke, and what
// one decided on; so is what one could have decided on, and by the contract's
// offices everything by the operator and the reviewer, a host by the host-admin. Who
// is locked revokes their own alone.
func mayRevoke(v View, version *contract.Version, f AccessRevoke, r *approval.Request, subject contract.Subject) error {
	t, by := f.Target, f.Person
	if t.Type == TargetPerson && t.ID == by || r != nil && r.By == by {
		return nil
	}
	if err := notLocked(v, by); err != nil {
		return err
	}
	if r != nil && slices.ContainsFunc(r.Decisions, func(d approval.Decision) bool { return d.By == by }) {
		return nil
	}
	if err := newest(v, by, f.Claims); err != nil {
		return err
	}
	for _, office := range revokers(t) {
		if in, _ := version.Terms.Holds(subject, office); in { // what is not known is not held
			return nil
		}
	}
	if r != nil {
		for _, s := range r.Stages {
			if in, _ := version.Terms.Eligible(subject, contract.Stage{ID: s.ID, From: s.From}); in {
				return nil
			}
		}
		return fmt.Errorf("%w: it is revoked by who asked for it, by who decides on it, and by who holds the office operator or reviewer of contract %s", ErrNotRevoker, version.Terms.ID)
	}
	return fmt.Errorf("%w: %s is revoked by who holds one of the offices %s of contract %s, or by the operator of the server", ErrNotRevoker, t, officeList(revokers(t)), version.Terms.ID)
}

// revokers are the offices that revoke a target.
func revokers(t Target) []contract.Office {
	out := []contract.Office{contract.Operator, contract.Reviewer}
	if t.Type == TargetHost {
		out = append(out, contract.HostAdmin)
	}
	return out
}

func officeList(list []contract.Office) string {
	text := ""
	for i, o := range list {
		if i > 0 {
			text += ", "
		}
		text += string(o)
	}
	return text
}

// checkRevokeDoc holds a revocation to the device key of its login, where that has
// one: a bearer alone revokes nothing. A browser has none; of it there is the
// server's word.
func checkRevokeDoc(v View, f AccessRevoke, login LoginRow) error {
	switch {
	case f.Assurance == AssuranceDevice:
	case f.Assurance != AssuranceSession:
		return fmt.Errorf("%w: assurance %q", ErrEvent, f.Assurance)
	case login.DeviceKey != "":
		return fmt.Errorf("%w: it is not signed by the device key of the login", ErrDocument)
	case f.Document != "" || f.Signature != "":
		return fmt.Errorf("%w: a signature by no device key", ErrEvent)
	default:
		return nil
	}
	log, err := Log(v)
	if err != nil {
		return err
	}
	device, err := deviceKey(login)
	if err != nil {
		return err
	}
	doc, err := checkingOf(v).openRevoke(f.Document, f.Signature, device)
	if err != nil {
		return err
	}
	if doc != (RevokeDoc{V: doc.V, Origin: log.Origin, Revocation: f.Revocation, Person: f.Person, Lineage: f.Lineage, Target: f.Target, ExpiresAt: doc.ExpiresAt}) {
		return fmt.Errorf("%w: it was signed for another revocation, person or server", ErrDocument)
	}
	return Fresh(doc.ExpiresAt, f.At.Time(), DocumentLife)
}
