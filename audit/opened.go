package audit

import (
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Opened is what can be said of an entry without looking at others. It is made
// by [Replay.Open], for many entries at the same time.
type Opened struct {
	Entry
	// Mismatch says that the entry is not a leaf, or that its opening is not what
	// the leaf commits to: then nothing of the opening counts.
	Mismatch error

	leaf     ledger.Leaf
	hash     tlog.Hash
	facts    record.Facts // nil if closed, wrong or of an unknown kind
	person   any
	wrong    error            // why facts that the leaf does commit to are not its own
	recorded *ssh.Certificate // of a certificate's facts: what was to be signed, without proof
	signed   *signed          // of the certificate that came with the entry
}

// Leaf returns the leaf; zero if the entry is none.
func (o Opened) Leaf() ledger.Leaf { return o.leaf }

// Facts returns the facts, nil if they are not shown, not the leaf's or of a kind
// that this version does not know.
func (o Opened) Facts() record.Facts { return o.facts }

// Hash returns the leaf's hash.
func (o Opened) Hash() tlog.Hash { return o.hash }

// Signed returns the certificate that came with the entry, nil if there was none
// or it can't be read.
func (o Opened) Signed() *ssh.Certificate {
	if o.signed == nil {
		return nil
	}
	return o.signed.cert
}

// signed is a certificate that somebody has.
type signed struct {
	cert   *ssh.Certificate
	proved certproof.Result
	// unconfirmed says that the proof inside lacks the words of the cosigners.
	unconfirmed bool
	wrong       error
}

// Open reads an entry: its leaf, its opening, and the certificate with its
// signature and its proof. It is safe for concurrent use.
func (p *Replay) Open(e Entry) Opened {
	o := Opened{Entry: e, hash: tlog.RecordHash(e.Text)}
	if o.leaf, o.Mismatch = ledger.ParseLeaf(e.Text); o.Mismatch != nil {
		return o
	}
	if e.Certificate != nil {
		o.signed = p.openCertificate(o)
	}
	switch {
	case e.Opening.Facts == nil:
		return o
	case !o.leaf.Kind.Known():
		if ledger.FactsCommitment(e.Opening.FactsSalt, e.Opening.Facts) != o.leaf.Facts {
			o.Mismatch = fmt.Errorf("the facts: %w", record.ErrOpening)
		}
		return o
	}
	facts, person, err := record.Open(o.leaf, e.Opening)
	switch {
	case errors.Is(err, record.ErrOpening):
		o.Mismatch = err
	case err != nil:
		o.wrong = err
	default:
		o.facts, o.person = facts, person
		p.prepare(&o)
	}
	return o
}

// prepare does beforehand what Check would ask for: the signatures, whoever made
// them.
func (p *Replay) prepare(o *Opened) {
	switch f := o.facts.(type) {
	case record.RequestSubmit:
		p.memo.prepare(sshcert.NamespaceDevice, f.Document, f.Signature)
	case record.PersonErase:
		for _, s := range f.Signatures {
			p.memo.prepare(sshcert.NamespaceErase, f.Document, s)
		}
	case record.RequestCancel:
		p.memo.prepare(sshcert.NamespaceDevice, f.Document, f.Signature) // of neither there is none where a browser did it
	case record.AccessRevoke:
		p.memo.prepare(sshcert.NamespaceDevice, f.Document, f.Signature)
	case record.CertificateIssue:
		p.memo.prepare(sshcert.NamespaceDevice, f.Document, f.DeviceSig)
		p.memo.prepare(sshcert.NamespacePossession, f.Document, f.Possession)
		if tbs, err := canon.ParseB64(f.TBS); err == nil {
			o.recorded, _ = sshcert.ParseTBS(tbs) // only shown; Check makes it again
		}
	}
}

// openCertificate holds a certificate to its leaf and to the keys.
func (p *Replay) openCertificate(o Opened) *signed {
	s := &signed{}
	if o.leaf.Kind != ledger.CertificateIssue {
		s.wrong = fmt.Errorf("a certificate stands with a leaf of kind %s", o.leaf.Kind)
		return s
	}
	s.cert, s.proved, s.wrong = certproof.VerifyWire(o.Certificate, p.policy)
	switch {
	case s.wrong != nil:
		s.wrong = fmt.Errorf("the signed certificate: %w", s.wrong)
	case s.proved.Index != o.Index || s.proved.LeafHash != o.hash:
		s.wrong = fmt.Errorf("the signed certificate is another leaf's, of index %d", s.proved.Index)
	case !p.config.Cosigners.Empty():
		_, err := certproof.Included(s.cert, p.whole)
		s.unconfirmed = err != nil
	}
	return s
}
