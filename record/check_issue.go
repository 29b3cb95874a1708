package record

import (
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// certificateIssue allows exactly the certificate that the grant, the proved key
// and the moment determine (docs/issuance.md, step 2): the recorded bytes are
// made again here and must be equal.
func (e Event) certificateIssue(v View, f CertificateIssue) ([]Change, error) {
	grant, _, err := GrantAt(v, f.Grant, f.Claims, f.At)
	if err != nil {
		return nil, err
	}
	r, err := Request(v, f.Grant)
	if err != nil {
		return nil, err
	}
	key, doc, err := openIssue(v, f)
	if err != nil {
		return nil, err
	}
	switch {
	case f.Person != grant.Person || doc.Person != grant.Person:
		return nil, fmt.Errorf("%w: the grant is another person's", ErrDocument)
	case doc.Lineage != grant.Lineage || f.Lineage != grant.Lineage:
		return nil, fmt.Errorf("%w: the grant is under another contract", ErrDocument)
	case f.Contract != grant.Contract:
		return nil, fmt.Errorf("%w: it names contract version %s, under which the grant is not, but under %s: %w", ErrDocument, f.Contract, grant.Contract, ErrNotInForce)
	case doc.Grant != f.Grant || f.GrantLeaf != r.GrantLeaf():
		return nil, fmt.Errorf("%w: it is for another grant", ErrDocument)
	case f.Serial != uint64(e.Index)+1: //nolint:gosec // an index is never negative
		return nil, fmt.Errorf("%w: serial %d at index %d", ErrEvent, f.Serial, e.Index)
	}
	if err := Fresh(doc.ExpiresAt, f.At.Time(), DocumentLife); err != nil {
		return nil, err
	}
	if err := keyRevoked(v, doc.Key); err != nil {
		return nil, err
	}
	cert, err := Recorded(v, f, grant, key)
	if err != nil {
		return nil, err
	}
	row := CertificateRow{
		Serial: f.Serial, Person: f.Person, Grant: f.Grant, Contract: f.Contract,
		Key: doc.Key, Before: canon.Micros(cert.ValidBefore) * 1e6, Leaf: e.LeafHash, //nolint:gosec // seconds of this century
	}
	return changes(fresh(putCertificate(row)))
}

func putCertificate(row CertificateRow) (Change, error) {
	index := []Index{{"grant", string(row.Grant)}, {"person", string(row.Person)}, {"all", ""}}
	if row.Void {
		index = append(index, Index{"void", ""}) // by the leaf that voids it
	}
	return put(TableCertificate, serialKey(row.Serial), row, index...)
}

// certificateVoid marks a recorded certificate as one that will never be
// signed. That no signature was released is the server's word.
func (e Event) certificateVoid(v View, f CertificateVoid) ([]Change, error) {
	row, err := Certificate(v, f.Serial)
	if err != nil {
		return nil, err
	}
	r, err := Request(v, row.Grant)
	if err != nil {
		return nil, err
	}
	switch {
	case row.Leaf != f.Leaf || r.Lineage != f.Lineage:
		return nil, fmt.Errorf("%w: it voids another certificate than its serial's", ErrEvent)
	case row.Void:
		return nil, fmt.Errorf("certificate %d is void: %w", f.Serial, ErrExists)
	}
	row.Void = true
	return changes(putCertificate(row))
}

// Recorded returns the unsigned certificate that the facts stand for, without
// its proof. It makes it from the grant and compares it with the recorded bytes.
func Recorded(v View, f CertificateIssue, grant approval.Grant, key ssh.PublicKey) (*ssh.Certificate, error) {
	log, err := Log(v)
	if err != nil {
		return nil, err
	}
	authority, err := parseKey(log.UserCA)
	if err != nil {
		return nil, err
	}
	template, err := ca.NewTemplate(grant, key, f.At.Time())
	if err != nil {
		return nil, err
	}
	nonce, err := canon.ParseB64(f.Nonce)
	if err != nil {
		return nil, fmt.Errorf("%w: nonce: %w", ErrEvent, err)
	}
	cert, err := template.Certificate(f.Serial, nonce, authority)
	if err != nil {
		return nil, err
	}
	if canon.B64(sshcert.TBS(cert)) != f.TBS {
		return nil, fmt.Errorf("%w: the recorded bytes are not those of the grant", ErrEvent)
	}
	return cert, nil
}

// GrantAt returns the grant that request id gives at now: settled in favour and
// not revoked, under the version in force, to a person who is not locked and still
// eligible by claims that are fresh enough. It is asked before each certificate.
func GrantAt(v View, id canon.ID, claims Claims, now canon.Micros) (approval.Grant, *contract.Version, error) {
	r, err := Request(v, id)
	if err != nil {
		return approval.Grant{}, nil, err
	}
	if r, err = Standing(v, r); err != nil {
		return approval.Grant{}, nil, err
	}
	version, err := InForce(v, r.Lineage, now)
	if err != nil {
		return approval.Grant{}, nil, err
	}
	if err := granted(r, now); err != nil {
		return approval.Grant{}, nil, err
	}
	if r.Contract != version.Digest {
		return approval.Grant{}, nil, fmt.Errorf("the contract changed since this was granted: %w: %w", ErrUncarried, ErrNotInForce)
	}
	grant, err := r.Grant(version.Terms)
	if err != nil {
		return approval.Grant{}, nil, err
	}
	if err := grant.Active(now.Time()); err != nil {
		return approval.Grant{}, nil, err
	}
	if err := checkHumans(v, r); err != nil {
		return approval.Grant{}, nil, err
	}
	if err := firstInTime(v, version.Terms, grant, now); err != nil {
		return approval.Grant{}, nil, err
	}
	if err := exclusive(v, version.Terms, r, grant.Start, grant.End); err != nil {
		return approval.Grant{}, nil, err
	}
	if err := notLocked(v, r.By); err != nil {
		return approval.Grant{}, nil, err
	}
	if err := newest(v, r.By, claims); err != nil {
		return approval.Grant{}, nil, err
	}
	subject, err := subjectOf(v, version.Terms, r.By, claims, now, version.Terms.Ceilings.ClaimsMaxAge.Issue)
	if err != nil {
		return approval.Grant{}, nil, err
	}
	// The whole request is judged again: a host that was relabelled or a person
	// who left the group gets nothing. What the guards, the reason and the ticket were
	// judged by was the moment of the request, and stays.
	ask, err := Ask(v, r.Lineage, r.Role, r.Logins, r.Hosts, r.Seconds, 0)
	if err != nil {
		return approval.Grant{}, nil, err
	}
	if err := version.Terms.StillAllows(ask, subject); err != nil {
		return approval.Grant{}, nil, err
	}
	return grant, version, nil
}

// openIssue checks both signatures of the issue call against the login that the
// facts name.
func openIssue(v View, f CertificateIssue) (ssh.PublicKey, IssueDoc, error) {
	log, err := Log(v)
	if err != nil {
		return nil, IssueDoc{}, err
	}
	login, err := Login(v, f.Claims.Login)
	if err != nil {
		return nil, IssueDoc{}, err
	}
	device, err := deviceKey(login)
	if err != nil {
		return nil, IssueDoc{}, err
	}
	doc, key, err := checkingOf(v).openIssue(f.Document, f.DeviceSig, f.Possession, device)
	if err != nil {
		return nil, IssueDoc{}, err
	}
	if doc.Origin != log.Origin {
		return nil, IssueDoc{}, fmt.Errorf("%w: it was signed for %q", ErrDocument, doc.Origin)
	}
	if slices.Contains([]string{log.UserCA, login.DeviceKey}, doc.Key) {
		return nil, IssueDoc{}, fmt.Errorf("%w: the certificate key must be a key of its own", ErrDocument)
	}
	return key, doc, nil
}

func deviceKey(login LoginRow) (ssh.PublicKey, error) {
	if login.DeviceKey == "" {
		return nil, fmt.Errorf("%w: this login has no device key; log in with `sally login`", ErrDocument)
	}
	return parseKey(login.DeviceKey)
}
