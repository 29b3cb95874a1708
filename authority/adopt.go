package authority

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// ErrCopy says that a copy of the ledger can't give back what its database has
// lost.
var ErrCopy = errors.New("this copy can't give back what is lost")

// CopyLeaf is a leaf as somebody else has kept it.
type CopyLeaf struct {
	Index       int64
	Text        []byte
	Opening     record.Opening
	Certificate []byte // signed, in wire form; nil if there is none
}

// Copy is a ledger as somebody else has kept it.
type Copy struct {
	Checkpoint []byte // signed by the log, over all of its leaves
	// Leaves returns the leaves from index 0 on. It is called several times and gives
	// the same each time.
	Leaves func() iter.Seq2[CopyLeaf, error]
}

// Adopted says what Adopt did.
type Adopted struct {
	Had, Has     int64 // leaves before and after
	Certificates int   // signed ones that were put back
}

// adoptBatch is how many leaves are written in one transaction.
const adoptBatch = 256

// Adopt gives a database back the leaves that it has lost, from a copy. Before
// anything is written all of this holds: the copy has the root that the log signed,
// it begins with every leaf of the database and with all that the mark knows to be
// signed, and shows what each lost leaf hides. Each leaf then goes through the
// fold, as it was: bytes, salts, time. Sessions end first, because those of a backup
// may have been ended since; the mark moves to the copy's checkpoint, if that is
// further, before anything is written or refused for another reason.
//
// It may be ended at any moment and repeated: what was written is a beginning of
// the same ledger, and nothing is signed before all of it is there.
func Adopt(ctx context.Context, c Config, from Copy) (Adopted, error) {
	a, err := newAuthority(c)
	if err != nil {
		return Adopted{}, err
	}
	if err := a.loadMark(ctx); err != nil {
		return Adopted{}, err
	}
	if err := a.checkKeys(ctx); err != nil {
		return Adopted{}, err
	}
	have, err := rehash(ctx, a.store, ledger.MaxSize)
	if err != nil {
		return Adopted{}, err
	}
	s := survey{a: a, have: have, note: from.Checkpoint}
	if s.checkpoint, err = a.policy.OpenCheckpoint(from.Checkpoint); err != nil {
		return Adopted{}, fmt.Errorf("the copy's checkpoint: %w", err)
	}
	if err := s.run(ctx, from.Leaves); err != nil {
		return Adopted{}, err
	}
	out := Adopted{Had: have, Has: max(have, s.checkpoint.Size)}
	if err := a.store.WriteUrgent(ctx, (*store.Tx).EndEverything); err != nil {
		return out, err
	}
	if out.Certificates, err = s.write(ctx, from.Leaves()); err != nil {
		return out, err
	}
	// The backup had what was destroyed since.
	if err := a.destroyAgain(ctx, len(s.erased) > 0); err != nil {
		return out, err
	}
	_, err = a.Checkpoint(ctx)
	return out, err
}

// copied is a leaf of a copy, read.
type copied struct {
	CopyLeaf
	leaf  ledger.Leaf
	hash  tlog.Hash
	facts record.Facts // nil if they are not shown
	cert  *ssh.Certificate
}

// open reads a leaf of a copy and holds its opening and its certificate to it.
func (a *Authority) open(l CopyLeaf) (o copied, err error) {
	o.CopyLeaf, o.hash = l, tlog.RecordHash(l.Text)
	if o.leaf, err = ledger.ParseLeaf(l.Text); err != nil {
		return o, err
	}
	if l.Opening.Facts != nil {
		if o.facts, _, err = record.Open(o.leaf, l.Opening); err != nil {
			return o, err
		}
	}
	if l.Certificate == nil {
		return o, nil
	}
	cert, proved, err := certproof.VerifyWire(l.Certificate, a.policy)
	switch {
	case err != nil:
		return o, fmt.Errorf("its certificate: %w", err)
	case proved.Index != l.Index || proved.LeafHash != o.hash:
		return o, fmt.Errorf("%w: its certificate is the one of leaf %d", ErrCopy, proved.Index)
	case !bytes.Equal(cert.SignatureKey.Marshal(), a.ca.PublicKey().Marshal()):
		return o, fmt.Errorf("%w: its certificate was signed by another authority key", ErrCopy)
	}
	o.cert = cert
	return o, nil
}

// keepCertificate puts a signed certificate back, if the leaf has one.
func (o copied) keepCertificate(tx *store.Tx) (kept int, err error) {
	issue, ok := o.facts.(record.CertificateIssue)
	if !ok || o.cert == nil {
		return 0, nil
	}
	if _, err := tx.SignedCertificate(issue.Serial); !isNotFound(err) {
		return 0, err
	}
	return 1, tx.PutCertificate(issue.Serial, issue.Grant, canon.Digest(sha256.Sum256(o.cert.Key.Marshal())), o.Certificate)
}

// before returns until when a recorded certificate is valid.
func before(f record.CertificateIssue) (time.Time, error) {
	tbs, err := canon.ParseB64(f.TBS)
	if err != nil {
		return time.Time{}, err
	}
	cert, err := sshcert.ParseTBS(tbs)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(int64(cert.ValidBefore), 0), nil //nolint:gosec // seconds of this century
}
