package authority

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

// HeartbeatEvery is how often a host says that it lives, and HeartbeatLate how old
// its last word is when it counts as silent.
const (
	HeartbeatEvery = time.Minute
	HeartbeatLate  = 5 * time.Minute
)

// Heartbeat is what a host last said of itself, and when. It is the host's word, and
// decides nothing.
type Heartbeat struct {
	hostcall.HeartbeatBody
	At     canon.Micros  // when it came
	Offset time.Duration // how far the host's clock was off
}

// heartbeatRow is how one is kept.
type heartbeatRow struct {
	SaidAt    canon.Micros           `json:"said_at"` // by the host's clock
	Heartbeat hostcall.HeartbeatBody `json:"heartbeat"`
}

// KeepHeartbeat keeps what a host says of itself, in the place of what it said
// before. One that is older than that is refused: it was said before, and somebody
// says it again.
func (a *Authority) KeepHeartbeat(ctx context.Context, call HostCall) error {
	o, body, err := openCall[hostcall.HeartbeatBody](ctx, a, call)
	if err != nil {
		return err
	}
	row, err := canon.Marshal(heartbeatRow{SaidAt: o.header.At, Heartbeat: body})
	if err != nil {
		return err
	}
	return a.store.Write(ctx, func(tx *store.Tx) error {
		last, err := tx.Heartbeat(string(o.header.Host))
		switch {
		case isNotFound(err):
		case err != nil:
			return err
		default:
			var before heartbeatRow
			if err := canon.Unmarshal(last.Body, &before); err != nil {
				return err
			}
			if before.SaidAt >= o.header.At {
				return fmt.Errorf("%w; sign another one", ErrReplay)
			}
		}
		return tx.PutHeartbeat(string(o.header.Host), row)
	})
}

// HostStanding says whether a host enforces the ledger, as far as it says.
type HostStanding string

// The standings of hosts that are not retired.
const (
	Enforcing  HostStanding = "enforcing"  // it requires certificates of the ledger
	Observing  HostStanding = "observing"  // it logs what it should refuse
	Silent     HostStanding = "silent"     // it has not said a word for longer than HeartbeatLate
	Unenforced HostStanding = "unenforced" // it never said a word: stock sshd without sally-host
)

// FleetHost is a host with what it last said of itself.
type FleetHost struct {
	Host
	Standing  HostStanding
	Heartbeat *Heartbeat // nil if it never said a word
	// Refused is how long after the newest revocation that it knows the host began to
	// refuse by it, as far as the host's clock tells; 0: there is none since it joined.
	Refused time.Duration
}

// Fleet returns every host that ever joined with what it last said, sorted by name.
func Fleet(r *store.Reader, now time.Time) ([]FleetHost, error) {
	hosts, err := Hosts(r)
	if err != nil {
		return nil, err
	}
	said, err := Heartbeats(r)
	if err != nil {
		return nil, err
	}
	out, taken := make([]FleetHost, 0, len(hosts)), make(map[int64]canon.Micros)
	for _, h := range hosts {
		one := FleetHost{Host: h, Standing: Unenforced}
		if beat, ok := said[h.Name]; ok && beat.At >= h.At { // what it said before it joined again is another's
			one.Heartbeat, one.Standing = &beat, beat.standing(now)
			if one.Refused, err = refusedAfter(r, h, beat, taken); err != nil {
				return nil, err
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// refusedAfter is the time from a leaf that took certificates away to when a host
// began to refuse by the list that it made. at keeps the times of such leaves.
func refusedAfter(r *store.Reader, h Host, b Heartbeat, at map[int64]canon.Micros) (time.Duration, error) {
	if b.KRL <= 1 || b.KRLTakenAt == 0 { // number 1 is of a ledger that takes nothing away
		return 0, nil
	}
	revoked, ok := at[b.KRL]
	if !ok {
		entry, err := r.Entry(b.KRL - 1)
		if isNotFound(err) { // a host may say any number
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		revoked = entry.At
		at[b.KRL] = revoked
	}
	if revoked < h.At {
		return 0, nil
	}
	return max(b.KRLTakenAt.Time().Add(-b.Offset).Sub(revoked.Time()), time.Millisecond), nil
}

func (h Heartbeat) standing(now time.Time) HostStanding {
	switch {
	case now.Sub(h.At.Time()) > HeartbeatLate:
		return Silent
	case h.Mode == hostcall.Require:
		return Enforcing
	}
	return Observing
}

// Heartbeats returns what all hosts last said of themselves.
func Heartbeats(r *store.Reader) (map[sshcert.Host]Heartbeat, error) {
	rows, err := r.Heartbeats()
	if err != nil {
		return nil, err
	}
	out := make(map[sshcert.Host]Heartbeat, len(rows))
	for _, h := range rows {
		var row heartbeatRow
		if err := canon.Unmarshal(h.Body, &row); err != nil {
			return nil, fmt.Errorf("heartbeat of host %s: %w", h.Host, err)
		}
		out[sshcert.Host(h.Host)] = Heartbeat{HeartbeatBody: row.Heartbeat, At: h.At, Offset: row.SaidAt.Time().Sub(h.At.Time())}
	}
	return out, nil
}
