package host

import (
	"net"
	"strings"
	"time"
)

// DefaultSocket is where the agent hears of refusals.
const DefaultSocket = "/run/sally-host/refusals"

// socketWait is how long a word waits for an agent that does not read.
const socketWait = 20 * time.Millisecond

// tellAgent says to the agent, if there is one, that somebody was refused. It is a
// word for a count: if it is lost, the log has the line.
func tellAgent(socket string, reason Reason) {
	if socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return
	}
	if conn.SetWriteDeadline(time.Now().Add(socketWait)) == nil {
		_, _ = conn.Write([]byte(Counted(reason)))
	}
	_ = conn.Close() // it was said, or it was not
}

// Counted is a reason as counts in the ledger have it.
func Counted(r Reason) string { return strings.ReplaceAll(string(r), "-", "_") }
