// Package authority owns the commands: adding contracts and hosts, logging in,
// asking, deciding, issuing. Each is exactly one write of the ledger, and
// whatever leaves the process afterwards rests on a signed checkpoint over it.
//
// It decides nothing by itself: package record says what may be appended. It
// puts the parts together in the one order that docs/issuance.md argues for.
package authority

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
)

// Reasons why a command is refused, beside those of record, approval, contract,
// ca and oidc.
var (
	ErrField            = errors.New("not accepted")
	ErrTooManyOpen      = errors.New("too many open requests")
	ErrTooManyCancelled = errors.New("too many cancelled requests")
	ErrShown            = errors.New("the request changed after this page was loaded")
	ErrNotYours         = errors.New("no such request")
	ErrHalted           = errors.New("the authority has stopped signing")
	ErrVoid             = errors.New("the certificate was recorded and not signed in time")
	ErrIssuer           = errors.New("not an identity provider of a contract in force")
	// ErrMark says that the mark can't be read or written, and so nothing is signed
	// until it can. It is a store.ErrUnavailable.
	ErrMark = fmt.Errorf("%w: the mark can't be read or written", store.ErrUnavailable)
	// ErrMarkMoved says that another process has moved the mark. Trying again is
	// safe.
	ErrMarkMoved = fmt.Errorf("%w: another server signed first", store.ErrConflict)
)

// Config is what an Authority needs.
type Config struct {
	Store *store.Store
	CA    ca.Signer // zero, for Open: nothing can be issued, for those who only record
	Log   *ledger.LogSigner
	// HostCA signs host certificates, KRL the lists of revoked certificates. Zero:
	// the folder has none, so no host joins by itself.
	HostCA ca.Signer
	KRL    ssh.Signer
	Mark   Mark             // where the highest signed checkpoint is kept, outside the database
	Now    func() time.Time // the clock
	Rand   io.Reader        // a cryptographic source
	// Shared says that other processes issue from the same database, and share the
	// mark.
	Shared bool
	// Quorum says which witnesses' words a checkpoint needs before a certificate
	// rests on it, and Cosigners how to reach them. Zero: the log's own signature
	// suffices, where the contract names no cosigner.
	Quorum    ledger.Cosigners
	Cosigners []Cosigner
	// Parties returns how to reach a cosigner that a contract names, or an error
	// that wraps ErrNoAddress. Zero: none can be reached, so nothing is issued under
	// such a contract.
	Parties func(ledger.CosignerKey) (Cosigner, error)
	// Secrets returns the web client secret of an issuer ("contract/issuer"),
	// empty for a public client. Zero: no issuer has one.
	Secrets func(issuer string) string
	Logger  *slog.Logger // zero: nothing is logged
	// Observer hears what an operator counts. Zero: nobody does.
	Observer Observer
}

// Observer hears what an operator counts. Its methods return at once and may be
// called from several goroutines.
type Observer interface {
	// Issued: a certificate was made and is released.
	Issued()
	// Voided: so many certificates were recorded and will never be signed.
	Voided(n int)
	// CheckpointSigned: a checkpoint was signed and kept, or could not be.
	CheckpointSigned(took time.Duration, err error)
	// SignerAsked: the authority key was asked for a certificate's signature.
	SignerAsked(took time.Duration, err error)
	// ProviderAsked: an identity provider was asked for its "metadata" or "keys".
	ProviderAsked(document string, err error)
}

// nobody is the Observer that hears nothing.
type nobody struct{}

func (nobody) Issued()                               {}
func (nobody) Voided(int)                            {}
func (nobody) CheckpointSigned(time.Duration, error) {}
func (nobody) SignerAsked(time.Duration, error)      {}
func (nobody) ProviderAsked(string, error)           {}

// Mark keeps the newest signed checkpoint outside the database, so that a
// restored backup is noticed. Several processes on one database share one. Errors
// name it by its String method, if it has one.
type Mark interface {
	// Load returns the signed checkpoint, or an error that wraps
	// record.ErrNotFound if none was ever saved.
	Load(ctx context.Context) ([]byte, error)
	// Save puts next in the place of old, which is nil for the first. It is durable
	// when Save returns. If something else than old is there, that stays and the
	// error is ErrMarkMoved.
	Save(ctx context.Context, old, next []byte) error
}

// Authority runs the commands. It is safe for concurrent use.
type Authority struct {
	store  *store.Store
	ca     ca.Signer
	hosts  hostKeys
	log    *ledger.LogSigner
	policy *ledger.Policy
	mark   Mark
	shared bool // others move the mark, too
	now    func() time.Time
	rand   io.Reader
	logger *slog.Logger
	watch  Observer
	ids    *providers
	proven *provenRows // rows that were held against their leaves

	revoked revocations

	issuing   locks                    // one for each grant and key
	unsigned  atomic.Pointer[unsigned] // what Sweep is to void; nil if nothing
	doubted   atomic.Bool              // the last signature failed
	cosigning *cosigning

	signing sync.Mutex // one checkpoint at a time
	last    signedHead // guarded by signing
	held    bool       // guarded by signing: the stored tree was held against last since the start
	stopped error      // guarded by signing: why nothing is signed any more
}

// Create opens a new ledger: leaf 0 names the origin, the log key and the user
// CA for good. It refuses a ledger that has leaves.
func Create(ctx context.Context, c Config) (*Authority, error) { return create(ctx, c, nil) }

// Predecessor is the ledger in whose place a new one goes on.
type Predecessor struct {
	Origin, LogKey string
	Checkpoint     []byte // the newest that it is known to have signed
	Kept           []byte // the newest of which all leaves are kept, if it is another
}

// CreateSuccessor is Create for a ledger that goes on in the place of another one:
// leaf 1 names it.
func CreateSuccessor(ctx context.Context, c Config, of Predecessor) (*Authority, error) {
	return create(ctx, c, &of)
}

func create(ctx context.Context, c Config, of *Predecessor) (*Authority, error) {
	a, err := newAuthority(c)
	if err == nil && c.CA == nil {
		err = errors.New("authority: a new ledger needs the authority key")
	}
	if err != nil {
		return nil, err
	}
	switch _, err := a.mark.Load(ctx); {
	case err == nil:
		return nil, fmt.Errorf("%s is there already, of this ledger or another: %w", a.markName(), record.ErrExists)
	case !isNotFound(err):
		return nil, a.markFailed("read", err)
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		id, err := canon.NewID(a.rand)
		if err != nil {
			return err
		}
		if tx.Next() != 0 {
			return fmt.Errorf("the ledger has %d leaves: %w", tx.Next(), record.ErrExists)
		}
		_, err = tx.Append(store.Draft{Facts: record.LedgerOpen{
			At: tx.Now(), Ledger: id, Origin: a.log.Origin(), LogKey: a.log.PublicKey(), UserCA: canon.B64(a.ca.PublicKey().Marshal()),
		}})
		if err != nil || of == nil {
			return err
		}
		if id, err = canon.NewID(a.rand); err != nil {
			return err
		}
		_, err = tx.Append(store.Draft{Facts: record.LedgerSucceed{
			At: tx.Now(), Succession: id, Origin: of.Origin, LogKey: of.LogKey, Checkpoint: string(of.Checkpoint), Kept: string(of.Kept),
		}})
		return err
	})
	if err != nil {
		return nil, err
	}
	_, err = a.Checkpoint(ctx)
	return a, err
}

// Open takes up an existing ledger. It refuses keys that are not the ledger's
// own, and a database that has lost leaves which were signed for, or changed one
// of the newest 100,000. What erase leaves say is destroyed is destroyed again.
func Open(ctx context.Context, c Config) (*Authority, error) {
	a, err := newAuthority(c)
	if err != nil {
		return nil, err
	}
	if err := a.loadMark(ctx); err != nil {
		return nil, err
	}
	if err := a.checkKeys(ctx); err != nil {
		return nil, err
	}
	// Whatever else is found: what was erased is not readable for a moment longer.
	if err := a.destroyAgain(ctx, false); err != nil {
		return nil, err
	}
	if _, err := rehash(ctx, a.store, maxRehash); err != nil {
		return nil, err
	}
	if _, err := a.Checkpoint(ctx); err != nil {
		return nil, err
	}
	a.cosigning.start()
	if err := a.voidLeft(ctx, c.Shared); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Close ends what the authority does by itself. Calls that run go on.
func (a *Authority) Close() {
	a.cosigning.close()
}

// checkKeys compares the keys with what leaf 0 names.
func (a *Authority) checkKeys(ctx context.Context) error {
	return a.store.Read(ctx, func(r *store.Reader) error {
		log, err := record.Log(r)
		if err != nil {
			return err
		}
		if a.ca == nil {
			public, err := UserCA(r)
			if err != nil {
				return err
			}
			a.ca = recordsOnly{public}
		}
		if log.Origin != a.log.Origin() || log.LogKey != a.log.PublicKey() || log.UserCA != canon.B64(a.ca.PublicKey().Marshal()) {
			return fmt.Errorf("%w: the log key or the authority key in this folder is not the one that leaf 0 names", ErrHalted)
		}
		return nil
	})
}

func newAuthority(c Config) (*Authority, error) {
	if c.Store == nil || c.Log == nil || c.Mark == nil || c.Now == nil || c.Rand == nil {
		return nil, errors.New("authority: store, log key, mark, clock and randomness must be given")
	}
	policy, err := ledger.NewPolicy(c.Log.Origin(), c.Log.PublicKey())
	if err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Secrets == nil {
		c.Secrets = func(string) string { return "" }
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	a := &Authority{
		store: c.Store, ca: c.CA, hosts: hostKeys{c.HostCA, c.KRL}, log: c.Log, policy: policy, mark: c.Mark, shared: c.Shared, now: c.Now, rand: c.Rand, logger: c.Logger, watch: c.Observer,
		ids: &providers{secrets: c.Secrets, now: c.Now, asked: c.Observer.ProviderAsked, open: make(map[string]*oidc.Provider)}, proven: newProvenRows(),
	}
	if a.cosigning, err = newCosigning(a, policy, c.Quorum, c.Cosigners, c.Parties); err != nil {
		return nil, err
	}
	return a, nil
}

// UserCA returns the authority key that leaf 0 names.
func UserCA(r record.View) (ssh.PublicKey, error) {
	log, err := record.Log(r)
	if err != nil {
		return nil, err
	}
	wire, err := canon.ParseB64(log.UserCA)
	if err != nil {
		return nil, err
	}
	return ssh.ParsePublicKey(wire)
}

// recordsOnly is the ca.Signer of an authority that was opened without one.
type recordsOnly struct{ public ssh.PublicKey }

// PublicKey returns the key that leaf 0 names.
func (r recordsOnly) PublicKey() ssh.PublicKey { return r.public }

// Sign refuses.
func (recordsOnly) Sign(context.Context, []byte) (*ssh.Signature, error) {
	return nil, fmt.Errorf("%w: it was not opened", ca.ErrUnavailable)
}

// Store returns the store, for readers.
func (a *Authority) Store() *store.Store { return a.store }

// Origin returns the ledger's permanent name.
func (a *Authority) Origin() string { return a.log.Origin() }

// secret draws 32 random bytes and returns their text and the hash that is kept.
func (a *Authority) secret() (text string, hash canon.Digest, err error) {
	var b [32]byte
	if _, err := io.ReadFull(a.rand, b[:]); err != nil {
		return "", canon.Digest{}, fmt.Errorf("drawing a secret: %w", err)
	}
	text = canon.B64(b[:])
	return text, store.SecretHash(text), nil
}
