package authority

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
)

// ErrDegraded is wrapped by what a check says of a part that works, but not as it
// should, or that can't be judged because another part is away.
var ErrDegraded = errors.New("not as it should be")

// readier is a ca.Signer that can say whether it would sign, without signing.
type readier interface {
	// Ready returns an error if nothing could be signed now.
	Ready(ctx context.Context) error
}

// CheckDatabase reads and writes, through the same goroutine as everybody. It
// writes what is there, and leaves no leaf.
func (a *Authority) CheckDatabase(ctx context.Context) error {
	err := a.store.Read(ctx, func(r *store.Reader) error {
		_, err := r.Head()
		return err
	})
	if err != nil {
		return err
	}
	err = a.store.WriteUrgent(ctx, func(tx *store.Tx) error { return tx.Touch() })
	if errors.Is(err, store.ErrClock) {
		return fmt.Errorf("%w: %w", ErrDegraded, err) // that is the clock's fault
	}
	return err
}

// CheckClock looks whether the clock can be right.
func (a *Authority) CheckClock(ctx context.Context) error {
	var head store.Head
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		head, err = r.Head()
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: the clock can't be compared with the ledger: %w", ErrDegraded, err)
	}
	return a.store.CheckClock(head)
}

// CheckLedger looks whether the committed head can be signed, or is, and whether
// the mark is what was written last.
func (a *Authority) CheckLedger(ctx context.Context) error {
	a.signing.Lock()
	defer a.signing.Unlock()
	head, err := a.signHead(ctx)
	if errors.Is(err, store.ErrUnavailable) && !errors.Is(err, ErrMark) {
		return fmt.Errorf("%w: the ledger can't be looked at: %w", ErrDegraded, err)
	}
	if err != nil {
		return err
	}
	note, err := a.mark.Load(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", a.markName(), err)
	case bytes.Equal(note, head.note):
		return nil
	case !a.shared:
		return fmt.Errorf("%w: %s is not what was written there last", ErrHalted, a.markName())
	}
	// Another server has signed since; its checkpoint must be of this ledger, too.
	if err := a.loadMark(ctx); err != nil {
		return err
	}
	_, err = a.checkHead(ctx, nil)
	return err
}

// CheckSigner asks the authority key's home whether it would sign. If the last
// signature failed it has something signed that is no certificate, because a
// home may show a key and not sign with it.
func (a *Authority) CheckSigner(ctx context.Context) error {
	if home, ok := a.ca.(readier); ok {
		if err := home.Ready(ctx); err != nil {
			return err
		}
	}
	if !a.doubted.Load() {
		return nil
	}
	sig, err := a.ca.Sign(ctx, []byte(ca.Probe))
	if err != nil {
		return err
	}
	if sig == nil || a.ca.PublicKey().Verify([]byte(ca.Probe), sig) != nil {
		return fmt.Errorf("%w: it does not verify", ca.ErrSigner)
	}
	a.doubted.Store(false)
	return nil
}

// CheckWitnesses looks whether enough witnesses have confirmed the ledger, if
// anybody's word is asked for.
func (a *Authority) CheckWitnesses(context.Context) error {
	if err := a.cosigning.health(); err != nil {
		return err
	}
	for _, s := range a.Cosigners() {
		if s.Err != nil {
			return fmt.Errorf("%w: %s: %w", ErrDegraded, s.Name, s.Err)
		}
	}
	return nil
}

// CheckContracts looks whether any contract is in force.
func (a *Authority) CheckContracts(ctx context.Context) error {
	var list []*contract.Version
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		list, err = InForce(r, canon.At(a.now()))
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w: the contracts can't be read: %w", ErrDegraded, err)
	case len(list) == 0:
		return fmt.Errorf("no contract: %w; sign one and run `sallyd contract add`", record.ErrNotInForce)
	}
	return nil
}

// CheckProviders asks each identity provider of a contract in force for its
// metadata and keys, unless they are fresh. ErrDegraded says that some can't be
// used, or are used by what was fetched before; another error, that none can.
func (a *Authority) CheckProviders(ctx context.Context) error {
	var list []Issuer
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		list, err = Issuers(r, canon.At(a.now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: the contracts can't be read: %w", ErrDegraded, err)
	}
	answers := make(chan error, len(list))
	for _, i := range list {
		go func() { answers <- a.checkProvider(ctx, i) }()
	}
	var wrong []error
	away := 0
	for range list {
		err := <-answers
		if err == nil {
			continue
		}
		wrong = append(wrong, err)
		if !errors.Is(err, ErrDegraded) {
			away++
		}
	}
	switch {
	case len(wrong) == 0:
		return nil
	case away == len(list):
		return joined(wrong)
	default:
		return fmt.Errorf("%w: %w", ErrDegraded, joined(wrong))
	}
}

func (a *Authority) checkProvider(ctx context.Context, i Issuer) error {
	provider, err := a.ids.get(i, i.anyClient())
	if err != nil {
		return err
	}
	switch fresh, err := provider.Usable(ctx); {
	case err != nil:
		return err
	case !fresh:
		return fmt.Errorf("%w: issuer %q: %w", ErrDegraded, i.Ref, oidc.ErrUnreachable)
	}
	return nil
}

// joined is errors on one line.
func joined(list []error) error {
	texts := make([]string, len(list))
	for i, err := range list {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}
