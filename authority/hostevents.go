package authority

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
)

// Told says what became of one event of a host.
type Told struct {
	Recorded bool                // now, or before
	Finding  record.LoginFinding // why the ledger can't explain a login
	Refused  error               // why it is not recorded, and never will be
}

// HostEvents records what happened on a host: all of it in one write, each event by
// itself. One that was told before counts as recorded, so a repeat is safe; one that
// can't be true is refused and does not keep the others away.
func (a *Authority) HostEvents(ctx context.Context, call HostCall) ([]Told, error) {
	o, body, err := openCall[hostcall.EventsBody](ctx, a, call)
	if err != nil {
		return nil, err
	}
	ids := make([]canon.ID, len(body.Events))
	for i := range ids {
		if ids[i], err = canon.NewID(a.rand); err != nil {
			return nil, err
		}
	}
	var out []Told
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		out = out[:0]
		if err := takeNonce(tx, o.header); err != nil {
			return err
		}
		for i, e := range body.Events {
			told, err := tellOne(tx, o, e, ids[i])
			if err != nil {
				return err
			}
			out = append(out, told)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	a.settle(ctx)
	return out, nil
}

// tellOne records one event. Its error is of the transaction.
func tellOne(tx *store.Tx, o openedCall, e hostcall.Event, id canon.ID) (Told, error) {
	facts, err := factsOf(tx, o, e, id)
	if err == nil {
		_, err = tx.Append(store.Draft{Facts: facts})
	}
	told := Told{Recorded: err == nil}
	if f, ok := facts.(record.LoginOpen); ok {
		told.Finding = f.Finding
	}
	switch {
	case errors.Is(err, record.ErrExists):
		told.Recorded = ownEvent(tx, o, e)
		if !told.Recorded {
			told.Refused = err
		}
	case errors.Is(err, record.ErrEvent), errors.Is(err, record.ErrNotFound):
		told.Refused = err
	case err != nil:
		return Told{}, err
	}
	return told, nil
}

// ownEvent reports whether what is recorded already is this host's: another host's
// session has an id of its own.
func ownEvent(tx *store.Tx, o openedCall, e hostcall.Event) bool {
	if e.What == hostcall.Refused {
		return true // its key has the host's name
	}
	row, err := record.HostSession(tx, e.Session)
	return err == nil && row.Host == o.host.Name
}

func factsOf(tx *store.Tx, o openedCall, e hostcall.Event, id canon.ID) (record.Facts, error) {
	host := o.host
	switch e.What {
	case hostcall.Opened:
		f := record.LoginOpen{
			At: tx.Now(), Session: e.Session, Lineage: host.Lineage, Host: host.Name, Login: e.Login, Serial: e.Serial, OpenedAt: e.OpenedAt, Call: o.digest,
		}
		found, err := record.ExplainLogin(tx, f)
		f.Finding, f.Certificate = found.Finding, found.Certificate
		return f, err
	case hostcall.Offline:
		return record.LoginOffline{
			At: tx.Now(), Session: e.Session, Lineage: host.Lineage, Host: host.Name, Login: e.Login, Key: e.Key, OpenedAt: e.OpenedAt, Call: o.digest,
		}, nil
	case hostcall.Closed:
		row, err := record.HostSession(tx, e.Session)
		return record.LoginClose{
			At: tx.Now(), Session: e.Session, Lineage: host.Lineage, Host: host.Name, Open: row.Leaf, How: e.How, ClosedAt: e.ClosedAt, Call: o.digest,
		}, err
	case hostcall.Refused:
		return record.LoginRefuse{
			At: tx.Now(), Refusal: id, Lineage: host.Lineage, Host: host.Name, MinuteAt: e.MinuteAt, Counts: e.Counts, Call: o.digest,
		}, nil
	}
	return nil, fmt.Errorf("%w: there is no event %q", record.ErrEvent, e.What)
}
