package record

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// maxRevoked bounds how many revocations of one person, role or host are told
// apart. Where there are more, what was asked for before all of them is as good as
// revoked by the first of those that are left.
const maxRevoked = 16

// sealedFor is under whose key the words are sealed: of a role or a host under that
// of whoever revoked it, of the operator's under one of their own, which is
// nobody's.
func (f AccessRevoke) sealedFor() canon.ID {
	switch {
	case f.About != "":
		return f.About
	case f.Person != "":
		return f.Person
	}
	return f.Revocation
}

// accessRevoke takes away what was granted. Like a denial it needs no fresh claims,
// and no contract in force (ADR 8): it only takes away.
func (e Event) accessRevoke(v View, f AccessRevoke) ([]Change, error) {
	if err := f.Target.check(); err != nil {
		return nil, err
	}
	lineage, err := Lineage(v, f.Lineage)
	if err != nil {
		return nil, err
	}
	newest, err := Newest(v, f.Lineage, f.At)
	if err != nil {
		return nil, err
	}
	if f.Contract != newest.Digest {
		return nil, fmt.Errorf("it names contract version %s, the newest of the lineage is %s: %w", f.Contract, newest.Digest, ErrNotInForce)
	}
	switch _, err := Revocation(v, f.Revocation); {
	case err == nil:
		return nil, fmt.Errorf("revocation %s: %w", f.Revocation, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	out, about, err := e.takeAway(v, f, lineage)
	if err != nil {
		return nil, err
	}
	if about != f.About {
		return nil, fmt.Errorf("%w: it was not the access of %q that was revoked", ErrEvent, f.About)
	}
	mark, err := putRevocation(f.Revocation, RevocationRow{At: f.At, Leaf: e.LeafHash, Lineage: f.Lineage, Target: f.Target})
	return append(out, mark), err
}

// putRevocation lists what takes certificates away by its leaf.
func putRevocation(id canon.ID, row RevocationRow) (Change, error) {
	return fresh(put(TableRevocation, string(id), row, Index{"all", ""}))
}

// takeAway returns the rows that a revocation changes, and whose access it was. It
// asks first who revokes: what is not theirs they learn nothing of.
func (e Event) takeAway(v View, f AccessRevoke, lineage LineageRow) (out []Change, about canon.ID, err error) {
	by := approval.Revocation{At: f.At, Leaf: e.LeafHash}
	switch f.Target.Type {
	case TargetCertificate:
		return revokeCertificate(v, f, by)
	case TargetGrant, TargetRequest:
		return revokeRequest(v, f, by)
	case TargetPerson:
		about = f.Target.ID
		if _, err := Person(v, about); err != nil {
			return nil, "", err
		}
	case TargetHost:
		host, err := Host(v, f.Target.Host)
		if err != nil {
			return nil, "", err
		}
		if host.Lineage != f.Lineage {
			return nil, "", fmt.Errorf("%w: host %s belongs to another contract", ErrEvent, f.Target.Host)
		}
	case TargetRole:
		version, err := v.Version(f.Contract)
		if err != nil {
			return nil, "", err
		}
		if _, ok := version.Terms.Role(f.Target.Role); !ok {
			return nil, "", fmt.Errorf("role %s: %w", f.Target.Role, contract.ErrRoleUnknown)
		}
	}
	if err := checkRevoker(v, f, nil); err != nil {
		return nil, "", err
	}
	row, err := get[RevokedRow](v, TableRevoked, f.Target.key(f.Lineage))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, "", err
	}
	row.Times = append(slices.Clip(row.Times), by)
	row.Times = row.Times[max(0, len(row.Times)-maxRevoked):]
	whole, err := put(TableRevoked, f.Target.key(f.Lineage), row)
	if err != nil {
		return nil, "", err
	}
	lineage.Revoked = by
	newest, err := put(TableLineage, f.Lineage.String(), lineage, Index{"all", ""})
	return []Change{whole, newest}, about, err
}

// revokeRequest ends a request, with the grant that it gave.
func revokeRequest(v View, f AccessRevoke, by approval.Revocation) ([]Change, canon.ID, error) {
	raw, err := Request(v, f.Target.ID)
	if err != nil {
		return nil, "", err
	}
	if raw.Lineage != f.Lineage {
		return nil, "", fmt.Errorf("%w: request %s belongs to another contract", ErrEvent, raw.ID)
	}
	if err := checkRevoker(v, f, &raw); err != nil {
		return nil, "", err
	}
	r, err := Standing(v, raw)
	if err != nil {
		return nil, "", err
	}
	version, err := v.Version(r.Contract)
	if err != nil {
		return nil, "", err
	}
	if status := r.Status(f.At.Time()); f.Target.Type == TargetGrant && status.State == approval.Pending {
		return nil, "", fmt.Errorf("it waits for a decision; deny it, or revoke the request: %w", approval.ErrNotGranted)
	}
	if r, err = r.Revoke(version.Terms, by); err != nil {
		return nil, "", err
	}
	out, err := changes(putRequest(r))
	return out, r.By, err
}

// revokeCertificate takes one certificate away. Its grant goes on; its key gets no
// other certificate, for it may be the key that somebody else has now.
func revokeCertificate(v View, f AccessRevoke, by approval.Revocation) ([]Change, canon.ID, error) {
	row, err := Certificate(v, f.Target.Serial)
	if err != nil {
		return nil, "", err
	}
	r, err := Request(v, row.Grant)
	if err != nil {
		return nil, "", err
	}
	if r.Lineage != f.Lineage {
		return nil, "", fmt.Errorf("%w: certificate %d belongs to another contract", ErrEvent, row.Serial)
	}
	if err := checkRevoker(v, f, &r); err != nil {
		return nil, "", err
	}
	end, err := Ends(v, row, r)
	if err != nil {
		return nil, "", err
	}
	switch {
	case row.Revoked.At != 0:
		return nil, "", fmt.Errorf("certificate %d: %w at %s", row.Serial, approval.ErrRevoked, row.Revoked.At.Time().Format(time.RFC3339))
	case Over(end, f.At):
		return nil, "", fmt.Errorf("certificate %d and its grant ended at %s, so there is nothing to revoke: %w", row.Serial, end.Time().Format(time.RFC3339), approval.ErrGrantOver)
	}
	row.Revoked = by
	cert, err := putCertificate(row)
	if err != nil {
		return nil, "", err
	}
	key, err := put(TableRevoked, revokedKey(row.Key), RevokedRow{Times: []approval.Revocation{by}})
	return []Change{cert, key}, row.Person, err
}

// revokedKey is the key of TableRevoked for the subject key of a certificate that
// was revoked by itself.
func revokedKey(b64 string) string {
	return "key/" + canon.Digest(sha256.Sum256([]byte(b64))).String()
}

// keyRevoked refuses a key of which a certificate was revoked.
func keyRevoked(v View, b64 string) error {
	switch row, err := get[RevokedRow](v, TableRevoked, revokedKey(b64)); {
	case err == nil:
		return fmt.Errorf("a certificate of this key: %w at %s; make another key, as sally does by itself", approval.ErrRevoked, row.Times[0].At.Time().Format(time.RFC3339))
	case errors.Is(err, ErrNotFound):
		return nil
	default:
		return err
	}
}

// Standing returns a request with what revoked it, also if that was its person, its
// role, one of its hosts, or a lock of its person's, and with what ends it because its
// contract changes. The row of the request itself does not say so.
func Standing(v View, r approval.Request) (approval.Request, error) {
	if r.Cancelled.At != 0 || r.Revoked.At != 0 {
		return r, nil
	}
	r, err := withEnding(v, r)
	if err != nil {
		return r, err
	}
	by, err := revokedBy(v, r)
	if err != nil || by.At == 0 {
		return r, err
	}
	// What was settled otherwise by then, or over, stays what it was.
	version, err := v.Version(r.Contract)
	if err != nil {
		return r, err
	}
	revoked, err := r.Revoke(version.Terms, by)
	if errors.Is(err, approval.ErrSettled) || errors.Is(err, approval.ErrGrantOver) {
		return r, nil
	}
	if errors.Is(err, approval.ErrDecision) { // a decision behind it, which no fold allows
		r.Revoked = by
		return r, nil
	}
	if err != nil {
		return r, err
	}
	return revoked, nil
}

// revokedBy returns the first revocation since a request was made of what it
// belongs to, zero if there is none.
func revokedBy(v View, r approval.Request) (approval.Revocation, error) {
	var first approval.Revocation
	take := func(by approval.Revocation) {
		if by.At >= r.At && (first.At == 0 || by.At < first.At) {
			first = by
		}
	}
	person, err := Person(v, r.By)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return first, err
	}
	if person.Lock.At != 0 {
		take(approval.Revocation{At: person.Lock.At, Leaf: person.Lock.Leaf})
	}
	lineage, err := Lineage(v, r.Lineage)
	if err != nil {
		return first, err
	}
	if lineage.Revoked.At == 0 || lineage.Revoked.At < r.At {
		return first, nil
	}
	for _, t := range wholes(r) {
		row, err := get[RevokedRow](v, TableRevoked, t.key(r.Lineage))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return first, err
		}
		for _, by := range row.Times {
			take(by)
		}
	}
	return first, nil
}
