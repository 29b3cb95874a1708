package authority

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// IssueCall is what a client posts to have a certificate made.
type IssueCall struct {
	Grant      canon.ID // from the address; the document must name the same
	Document   string   // record.IssueDoc
	DeviceSig  string
	Possession string
}

// Issued is a certificate that may leave the authority.
type Issued struct {
	Certificate *ssh.Certificate
	GrantEnd    time.Time
}

// recorded is a certificate that the ledger holds and nothing has signed yet.
type recorded struct {
	cert  *ssh.Certificate
	grant approval.Grant
	facts record.CertificateIssue
	leaf  store.Appended
	key   ssh.PublicKey
	under *contract.Version // it says whose words the certificate needs
}

// maxTries is how often a row may change between its check and the write.
const maxTries = 5

// Issue makes a certificate. The steps are those of docs/issuance.md; a failure
// in any of them leaves at most a recorded certificate that was never signed,
// never a signed one that is not recorded (P01). A repeat of the same key
// answers the same certificate while half its life is left.
func (a *Authority) Issue(ctx context.Context, s store.Session, call IssueCall) (Issued, error) {
	// Step 1: both signatures, before anything is written.
	key, doc, err := a.openIssue(s, call)
	if err != nil {
		return Issued{}, err
	}
	// One at a time for this grant and key: who repeats an answer that got lost
	// gets the certificate that the first call made.
	unlock, err := a.issuing.lock(ctx, string(call.Grant)+" "+doc.Key)
	if err != nil {
		return Issued{}, err
	}
	defer unlock()
	if err := a.cosigning.confirmed(doc.Lineage); err != nil {
		return Issued{}, err
	}
	var rec recorded
	var again []byte
	for try := 1; ; try++ {
		// Step 2: every row that decides is what its leaves say.
		if err := a.checkGrant(ctx, s, call.Grant); err != nil {
			return Issued{}, err
		}
		// Steps 2 and 3: one write decides and records; nothing is signed inside it.
		err = a.store.Write(ctx, func(tx *store.Tx) error {
			if err := tx.TakeChallenge(doc.Challenge, PurposeIssue); err != nil {
				return err
			}
			view := held{tx, a.proven}
			if again, err = reusable(tx, view, s, doc, key); err != nil || again != nil {
				return err
			}
			rec, err = a.record(tx, view, s, call, key)
			return err
		})
		if errors.Is(err, record.ErrUncarried) && try < maxTries {
			if err := a.carry(ctx, s, call.Grant); err != nil {
				return Issued{}, err
			}
			continue
		}
		// A login in between changes a person's row: that one is checked then.
		if !errors.Is(err, errUnproved) || try == maxTries {
			break
		}
	}
	if err != nil {
		return Issued{}, err
	}
	if again != nil {
		return a.answer(ctx, s, call.Grant, again)
	}
	return a.finish(ctx, s, rec)
}

// deviceOf returns the device key of a session.
func deviceOf(s store.Session) (ssh.PublicKey, error) {
	wire, err := canon.ParseB64(s.DeviceKey)
	if err != nil || len(wire) == 0 {
		return nil, fmt.Errorf("%w: this session has no device key; log in with `sally login`", record.ErrDocument)
	}
	return sshcert.ParseDeviceKey(wire)
}

// openIssue checks the issue call against the session's device key.
func (a *Authority) openIssue(s store.Session, call IssueCall) (ssh.PublicKey, record.IssueDoc, error) {
	device, err := deviceOf(s)
	if err != nil {
		return nil, record.IssueDoc{}, err
	}
	doc, key, err := record.OpenIssue(call.Document, call.DeviceSig, call.Possession, device)
	if err != nil {
		return nil, record.IssueDoc{}, err
	}
	if doc.Grant != call.Grant || doc.Person != s.Person || doc.Origin != a.Origin() {
		return nil, record.IssueDoc{}, fmt.Errorf("%w: it was signed for another grant, person or server", record.ErrDocument)
	}
	return key, doc, nil
}

// reusable returns the newest certificate of this grant and key while half its
// life is left and the grant still gives one, else nil.
func reusable(tx *store.Tx, view record.View, s store.Session, doc record.IssueDoc, key ssh.PublicKey) ([]byte, error) {
	_, version, err := record.GrantAt(view, doc.Grant, s.Claims(), tx.Now())
	if err != nil {
		return nil, err
	}
	wire, err := tx.NewestCertificate(doc.Grant, sha256.Sum256(key.Marshal()))
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	cert, err := sshcert.ParseCertificate(wire)
	if err != nil {
		return nil, err
	}
	row, err := record.Certificate(tx, cert.Serial)
	if err != nil || row.Revoked.At != 0 { // the fold says that its key gets no other
		return nil, err
	}
	if row.Contract != version.Digest { // it says what a version says that is superseded
		return nil, nil
	}
	left := time.Unix(int64(cert.ValidBefore), 0).Sub(tx.Now().Time())    //nolint:gosec // seconds of this century
	life := time.Duration(cert.ValidBefore-cert.ValidAfter) * time.Second //nolint:gosec // minutes
	if left < life/2 || cert.KeyId == "" || !bytes.Equal(cert.Key.Marshal(), key.Marshal()) {
		return nil, nil
	}
	return wire, nil
}

// record fixes serial, nonce and validity and appends the certificate's leaf
// (steps 2 and 3). What decides is read through view, in the same transaction in
// which the fold reads it again.
func (a *Authority) record(tx *store.Tx, view record.View, s store.Session, call IssueCall, key ssh.PublicKey) (recorded, error) {
	if _, err := record.Log(view); err != nil {
		return recorded{}, err
	}
	grant, version, err := record.GrantAt(view, call.Grant, s.Claims(), tx.Now())
	if err != nil {
		return recorded{}, err
	}
	if grant.Person != s.Person {
		return recorded{}, ErrNotYours
	}
	q, err := record.Request(view, call.Grant)
	if err != nil {
		return recorded{}, err
	}
	template, err := ca.NewTemplate(grant, key, tx.Now().Time())
	if err != nil {
		return recorded{}, err
	}
	nonce := make([]byte, ca.NonceSize)
	if _, err := io.ReadFull(a.rand, nonce); err != nil {
		return recorded{}, fmt.Errorf("drawing a nonce: %w", err)
	}
	serial := uint64(tx.Next()) + 1 //nolint:gosec // an index is never negative
	cert, err := template.Certificate(serial, nonce, a.ca.PublicKey())
	if err != nil {
		return recorded{}, err
	}
	f := record.CertificateIssue{
		At: tx.Now(), Lineage: grant.Lineage, Contract: version.Digest, Person: s.Person, Grant: grant.ID,
		GrantLeaf: q.GrantLeaf(), Claims: s.Claims(), Serial: serial, Nonce: canon.B64(nonce),
		TBS: canon.B64(sshcert.TBS(cert)), Document: call.Document, DeviceSig: call.DeviceSig, Possession: call.Possession,
	}
	leaf, err := tx.Append(store.Draft{Facts: f})
	return recorded{cert: cert, grant: grant, facts: f, leaf: leaf, key: key, under: version}, err
}

// maxAge is how old a recorded certificate may be when it is signed without
// asking again whether it is still allowed.
const maxAge = 5 * time.Second

// finish takes a recorded certificate through steps 4 to 6: checkpoint and
// proof, signature, lint, keep, release.
func (a *Authority) finish(ctx context.Context, s store.Session, rec recorded) (Issued, error) {
	head, policy, err := a.required(ctx, rec.under, rec.leaf.Index)
	if err != nil {
		return Issued{}, err
	}
	proof, err := a.prove(ctx, rec.leaf.Index, certproof.Extra(rec.grant.Lineage, rec.leaf.Leaf.Facts), head)
	if err != nil {
		return Issued{}, err
	}
	if err := a.stillAllowed(ctx, s, rec); err != nil {
		return Issued{}, err
	}
	cert, err := ca.Finish(ctx, watchedSigner{a.ca, a}, rec.cert, proof, policy)
	a.doubted.Store(errors.Is(err, ca.ErrUnavailable) || errors.Is(err, ca.ErrSigner))
	if err != nil {
		return Issued{}, err
	}
	wire := cert.Marshal()
	if err := ca.Lint(wire, rec.grant, rec.key, a.ca.PublicKey(), rec.facts.Serial, rec.facts.At.Time(), policy); err != nil {
		return Issued{}, err
	}
	// The same write that keeps the certificate asks once more, if the signature
	// took its time: a denial, a new contract or an end in between wins.
	err = a.store.WriteUrgent(ctx, func(tx *store.Tx) error {
		if err := release(tx, s, rec); err != nil {
			return err
		}
		return tx.PutCertificate(rec.facts.Serial, rec.grant.ID, sha256.Sum256(rec.key.Marshal()), wire)
	})
	if err != nil {
		return Issued{}, err
	}
	a.watch.Issued()
	return Issued{Certificate: cert, GrantEnd: rec.grant.End}, nil
}

// watchedSigner tells how long the authority key took.
type watchedSigner struct {
	ca.Signer
	a *Authority
}

// Sign has tbs signed.
func (s watchedSigner) Sign(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
	begin := s.a.now()
	sig, err := s.Signer.Sign(ctx, tbs)
	s.a.watch.SignerAsked(s.a.now().Sub(begin), err)
	return sig, err
}

// answer gives out a certificate that was made before.
func (a *Authority) answer(ctx context.Context, s store.Session, grant canon.ID, wire []byte) (Issued, error) {
	cert, err := sshcert.ParseCertificate(wire)
	if err != nil {
		return Issued{}, err
	}
	var g approval.Grant
	err = a.store.Read(ctx, func(r *store.Reader) error {
		g, _, err = record.GrantAt(r, grant, s.Claims(), canon.At(a.now()))
		return err
	})
	return Issued{Certificate: cert, GrantEnd: g.End}, err
}
