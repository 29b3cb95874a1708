package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// listenAgain is how long a lost connection is not replaced.
const listenAgain = time.Second

// Listen calls grown with the size of the ledger whenever it may have changed,
// through whichever process, until ctx ends. Processes notify each other when they
// commit leaves; should a notice get lost, the size is looked at now and then.
func (e *Engine) Listen(ctx context.Context, grown func(size int64)) {
	for ctx.Err() == nil {
		_ = e.listen(ctx, grown) // the connection was lost; reads and writes tell why
		timer := time.NewTimer(listenAgain)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// listen is Listen over one connection.
func (e *Engine) listen(ctx context.Context, grown func(size int64)) (err error) {
	a := &attempt{connector: connector{e, listening}}
	config, err := a.config()
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return err
	}
	for !e.outdated(conn.PgConn()) {
		size, err := sizeNow(ctx, conn, e.c.limits.statement)
		if err != nil {
			return err
		}
		grown(size)
		if size, err = notice(ctx, conn, e.c.limits.look); err != nil {
			return err
		}
		if size > 0 {
			grown(size)
		}
	}
	return nil
}

func sizeNow(ctx context.Context, conn *pgx.Conn, most time.Duration) (size int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	err = conn.QueryRow(ctx, `SELECT size FROM head WHERE id = 1`).Scan(&size)
	return size, err
}

// notice waits for a notice and returns the size that it names, 0 if none comes in
// time.
func notice(ctx context.Context, conn *pgx.Conn, most time.Duration) (int64, error) {
	waiting, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	n, err := conn.WaitForNotification(waiting)
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case waiting.Err() != nil && !conn.IsClosed():
		return 0, nil
	case err != nil:
		return 0, err
	}
	size, err := strconv.ParseInt(n.Payload, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("a notice on channel %s that is not ours: %w", channel, err)
	}
	return size, nil
}
