package postgres

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// errNoCancel keeps the driver from asking the server to cancel a statement.
var errNoCancel = errors.New("postgres: nothing is cancelled on this connection")

// patientConn is a connection on which an answer takes at most so long. A server
// that stands still keeps its connections open; this is what notices.
type patientConn struct {
	net.Conn
	most time.Duration

	mu    sync.Mutex
	until time.Time // guarded by mu; the deadline that was set from outside
}

// dial connects, with probes that notice within half a minute that the other
// machine is gone.
func dial(ctx context.Context, network, addr string, most time.Duration) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}
	c, err := d.DialContext(ctx, network, addr)
	if err != nil || most == 0 {
		return c, err
	}
	return &patientConn{Conn: c, most: most}, nil
}

// Read reads what comes in time.
func (c *patientConn) Read(b []byte) (int, error) {
	if err := c.apply(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// SetDeadline sets a deadline that holds beside that of each answer.
func (c *patientConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.Conn.SetWriteDeadline(t))
}

// SetReadDeadline is SetDeadline for reading.
func (c *patientConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	c.until = t
	c.mu.Unlock()
	return c.apply()
}

// apply has the connection wait for whichever deadline comes first.
func (c *patientConn) apply() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	until := time.Now().Add(c.most)
	if !c.until.IsZero() && c.until.Before(until) {
		until = c.until
	}
	return c.Conn.SetReadDeadline(until)
}
