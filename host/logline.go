package host

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Severity is how loud a line is, by syslog's numbers (RFC 5424 §6.2.1).
type Severity int

// The severities that are used.
const (
	Alert   Severity = 1
	Failure Severity = 3
	Notice  Severity = 5
)

// Log takes one line at a time. What it can't write it drops: no verdict waits for a
// log.
type Log func(severity Severity, line string)

// field is a word of a line and what it says.
type field struct{ key, value string }

// maxField is the longest value of a line, in bytes before it is spelled out.
const maxField = 300

// line writes an event and its fields as one line of ASCII: event key=value …. What
// somebody else wrote is quoted, with everything but printable ASCII spelled out, and
// cut off where it is long. Fields without value are left out.
func line(event string, fields ...field) string {
	var b strings.Builder
	b.WriteString(event)
	for _, f := range fields {
		if f.value != "" {
			b.WriteString(" " + f.key + "=" + plain(f.value))
		}
	}
	return b.String()
}

// plain returns a value as it is where it can't be mistaken for anything else.
func plain(s string) string {
	cut := ""
	if len(s) > maxField {
		s, cut = s[:maxField], "..."
	}
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@._:/+-", r)
	}
	if cut == "" && !strings.ContainsFunc(s, func(r rune) bool { return !safe(r) }) {
		return s
	}
	return strconv.QuoteToASCII(s + cut)
}

const (
	facilityAuthPriv = 10 // LOG_AUTHPRIV: for who may read what people do

	// SyslogSocket is where the system's log listens.
	SyslogSocket = "/dev/log"
	// syslogWait is how long a line waits for a syslog that does not read.
	syslogWait = 200 * time.Millisecond
)

// Syslog returns the log that listens at a socket. Each line is one datagram, as
// syslog(3) sends it. One that is away, or does not read, misses the line.
func Syslog(socket string, now func() time.Time) Log {
	return func(severity Severity, line string) {
		conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			return
		}
		at := now()
		if conn.SetWriteDeadline(time.Now().Add(syslogWait)) == nil {
			_, _ = fmt.Fprintf(conn, "<%d>%s sally-host[%d]: %s", facilityAuthPriv<<3|int(severity), at.Format(time.Stamp), os.Getpid(), line)
		}
		_ = conn.Close() // it was said, or it was not
	}
}

// WriterLog returns a log that writes lines to w, for people and tests.
func WriterLog(w io.Writer) Log {
	return func(_ Severity, line string) { _, _ = io.WriteString(w, "sally-host: "+line+"\n") }
}

// FileLog returns a log that appends lines to a file, which is made if it is not
// there.
func FileLog(path string) Log {
	return func(severity Severity, line string) {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600) //nolint:gosec // the administrator names it
		if err != nil {
			return
		}
		WriterLog(file)(severity, line)
		_ = file.Close()
	}
}
