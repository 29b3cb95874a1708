package authority

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// certifyEvery is how often a host gets a certificate at most: each is a leaf for
// good. A host that lost the answer waits so long.
const certifyEvery = time.Minute

// HostCertificate is a host certificate that may leave the authority.
type HostCertificate struct {
	Certificate *ssh.Certificate
	Leaf        int64
}

// CertifyHost makes a host certificate for the name and the key under which a host
// joined. The steps are those of Issue (docs/issuance.md): the rows that decide are
// held to their leaves, one write records the bytes, a signed checkpoint covers them,
// and only then the host CA signs. A failure leaves at most a recorded certificate
// that nobody signed.
func (a *Authority) CertifyHost(ctx context.Context, call HostCall) (HostCertificate, error) {
	if a.hosts.ca == nil {
		return HostCertificate{}, ErrNoHostKeys
	}
	o, _, err := openCall[hostcall.CertifyBody](ctx, a, call)
	if err != nil {
		return HostCertificate{}, err
	}
	unlock, err := a.issuing.lock(ctx, "host "+string(o.header.Host))
	if err != nil {
		return HostCertificate{}, err
	}
	defer unlock()
	if err := a.halting(); err != nil {
		return HostCertificate{}, err
	}
	var rec recordedHost
	for try := 1; ; try++ {
		if err := a.checkHost(ctx, o.header.Host); err != nil {
			return HostCertificate{}, err
		}
		err = a.store.Write(ctx, func(tx *store.Tx) (err error) {
			if err := takeNonce(tx, o.header); err != nil {
				return err
			}
			rec, err = a.recordHost(tx, held{tx, a.proven}, o.header.Host, call)
			return err
		})
		if !errors.Is(err, errUnproved) || try == maxTries {
			break
		}
	}
	if err != nil {
		return HostCertificate{}, err
	}
	return a.finishHost(ctx, rec)
}

// recordedHost is a host certificate that the ledger holds and nothing has signed yet.
type recordedHost struct {
	cert     *ssh.Certificate
	template ca.HostTemplate
	leaf     store.Appended
}

// checkHost holds the rows that decide about a host's certificate to the leaves that
// wrote them, as checkGrant does for a grant: a host key that was put in behind the
// ledger's back is certified by nobody.
func (a *Authority) checkHost(ctx context.Context, name sshcert.Host) error {
	var g gathering
	var rows map[record.Key][]byte
	signed := a.signed().checkpoint.Size
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		view := reading{r, make(map[record.Key][]byte)}
		if _, err := record.JoinedHost(view, name); err != nil {
			return err
		}
		if _, err := record.Log(view); err != nil {
			return err
		}
		if _, err := record.HostCA(view); err != nil && !isNotFound(err) {
			return err
		}
		rows = view.rows
		g, err = newGathering(r, rows, a.proven, signed)
		if err != nil || len(g.rows) == 0 {
			return err
		}
		return g.gather(record.Claims{})
	})
	switch {
	case errors.Is(err, record.ErrHostRetired):
		return err
	case err != nil:
		return haltedHost(ctx, name, err)
	}
	if len(g.rows) > 0 {
		head, err := a.cover(ctx, slices.Max(slices.Collect(maps.Keys(g.leaves))))
		if err != nil {
			return err
		}
		if err := a.store.Read(ctx, func(r *store.Reader) error { return a.refold(r, g, head) }); err != nil {
			return haltedHost(ctx, name, err)
		}
	}
	a.proven.addRows(rows, min(g.size, a.signed().checkpoint.Size))
	return nil
}

func haltedHost(ctx context.Context, name sshcert.Host, err error) error {
	if ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: what the tables say about host %s is not what its leaves say (%w)", ErrHalted, name, err)
}

// recordHost fixes serial, nonce and validity and appends the certificate's leaf.
func (a *Authority) recordHost(tx *store.Tx, view record.View, name sshcert.Host, call HostCall) (recordedHost, error) {
	row, err := record.JoinedHost(view, name)
	if err != nil {
		return recordedHost{}, err
	}
	if err := certifiedLately(tx, name); err != nil {
		return recordedHost{}, err
	}
	if err := a.recordHostKeys(tx); err != nil {
		return recordedHost{}, err
	}
	seconds := int64(ca.HostLife / time.Second)
	template, err := record.HostTemplate(row, tx.Now(), seconds)
	if err != nil {
		return recordedHost{}, err
	}
	nonce := make([]byte, ca.NonceSize)
	if _, err := io.ReadFull(a.rand, nonce); err != nil {
		return recordedHost{}, fmt.Errorf("drawing a nonce: %w", err)
	}
	authority := a.hosts.ca.PublicKey()
	serial := uint64(tx.Next()) + 1 //nolint:gosec // an index is never negative
	cert, err := template.Certificate(serial, nonce, authority)
	if err != nil {
		return recordedHost{}, err
	}
	leaf, err := tx.Append(store.Draft{Facts: record.HostCertify{
		At: tx.Now(), Lineage: row.Lineage, Host: name, Serial: serial, Nonce: canon.B64(nonce), Seconds: seconds,
		Authority: canon.B64(authority.Marshal()), TBS: canon.B64(sshcert.TBS(cert)), Document: call.Document, Signature: call.Signature,
	}})
	return recordedHost{cert: cert, template: template, leaf: leaf}, err
}

// certifiedLately refuses a host that had a certificate recorded a moment ago.
func certifiedLately(tx *store.Tx, name sshcert.Host) error {
	rows, err := tx.List(record.TableHostCertificate, "host", string(name), 1)
	if err != nil || len(rows) == 0 {
		return err
	}
	var last record.HostCertificateRow
	if err := canon.Unmarshal(rows[0], &last); err != nil {
		return err
	}
	if again := last.At.Time().Add(certifyEvery); again.After(tx.Now().Time()) {
		return fmt.Errorf("%w; ask again after %s", ErrTooSoon, again.Format(time.RFC3339))
	}
	return nil
}

// finishHost takes a recorded host certificate through checkpoint, proof, signature
// and lint. It is released only while the host is what it was recorded as.
func (a *Authority) finishHost(ctx context.Context, rec recordedHost) (HostCertificate, error) {
	head, err := a.cover(ctx, rec.leaf.Index)
	if err != nil {
		return HostCertificate{}, err
	}
	proof, err := a.prove(ctx, rec.leaf.Index, nil, head)
	if err != nil {
		return HostCertificate{}, err
	}
	cert, err := ca.FinishHost(ctx, a.hosts.ca, rec.cert, rec.leaf.Leaf, proof, a.policy)
	if err != nil {
		return HostCertificate{}, err
	}
	if err := ca.LintHost(cert.Marshal(), rec.template, a.hosts.ca.PublicKey(), rec.cert.Serial); err != nil {
		return HostCertificate{}, err
	}
	err = a.store.Read(ctx, func(r *store.Reader) error {
		row, err := record.JoinedHost(r, rec.template.Host)
		if err == nil && row.HostKey != canon.B64(rec.template.Key.Marshal()) {
			err = fmt.Errorf("%w: the host joined again with another key meanwhile; try again", ErrVoid)
		}
		return err
	})
	if err != nil {
		return HostCertificate{}, err
	}
	return HostCertificate{Certificate: cert, Leaf: rec.leaf.Index}, nil
}
