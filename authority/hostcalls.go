package authority

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Reasons why a host's call is refused, beside those of record and hostcall.
var (
	ErrTooSoon = errors.New("this host was certified a moment ago")
	ErrReplay  = errors.New("the host's call came before")
)

// HostCall is what a host posts.
type HostCall struct {
	Document  string // package hostcall
	Signature string // by the host key
	// Admit is asked once it is known which host calls, before anything is written;
	// its error refuses the call. Nil: every host is admitted.
	Admit func(sshcert.Host) error
}

// openedCall is a call of a host whose key signed it.
type openedCall struct {
	header hostcall.Header
	host   record.HostRow
	digest canon.Digest // SHA-256 of the document
}

// openCall reads a call of a host that has joined and checks that its key has signed
// it. Whether there is no such host, or another key signed, is not told: nobody
// learns by it which hosts there are.
func openCall[B hostcall.Body](ctx context.Context, a *Authority, call HostCall) (o openedCall, body B, err error) {
	header, parsed, err := a.parseCall(call)
	if err != nil {
		return o, body, err
	}
	body, ok := parsed.(B)
	if !ok {
		return o, body, fmt.Errorf("%w: it is a %s", hostcall.ErrCall, parsed.Call())
	}
	var row record.HostRow
	err = a.store.Read(ctx, func(r *store.Reader) (err error) {
		row, err = record.Host(r, header.Host)
		return err
	})
	if isNotFound(err) {
		return o, body, unknownHost(header)
	}
	if err != nil {
		return o, body, err
	}
	key, err := hostcall.ParseHostKey(row.HostKey)
	if err != nil {
		return o, body, fmt.Errorf("host %s: %w: %w", row.Name, hostcall.ErrCall, err)
	}
	if hostcall.Verify(key, call.Document, call.Signature) != nil {
		return o, body, unknownHost(header)
	}
	if call.Admit != nil {
		if err := call.Admit(row.Name); err != nil {
			return o, body, err
		}
	}
	if err := row.Gone(); err != nil {
		return o, body, err
	}
	return openedCall{header: header, host: row, digest: sha256.Sum256([]byte(call.Document))}, body, nil
}

func unknownHost(h hostcall.Header) error {
	return fmt.Errorf("%w: no host %s has joined with the key that signed it; join it with `sally-host join`", hostcall.ErrCall, h.Host)
}

// parseCall reads a call that is for this ledger and not too old.
func (a *Authority) parseCall(call HostCall) (hostcall.Header, hostcall.Body, error) {
	header, body, err := hostcall.Parse(call.Document)
	if err != nil {
		return header, nil, err
	}
	if header.Origin != a.Origin() {
		return header, nil, fmt.Errorf("%w: it was signed for another ledger", hostcall.ErrCall)
	}
	return header, body, header.Fresh(canon.At(a.now()))
}

// takeNonce refuses a call that came before, as long as its time would still be
// accepted.
func takeNonce(tx *store.Tx, h hostcall.Header) error {
	hash := canon.Sum("sallyport.host-nonce/v1", []byte(h.Host), []byte{0}, []byte(h.Nonce))
	err := tx.UseOnce(hash, canon.At(h.At.Time().Add(2*hostcall.Skew)))
	if errors.Is(err, store.ErrUsed) {
		return fmt.Errorf("%w; sign another one", ErrReplay)
	}
	return err
}
