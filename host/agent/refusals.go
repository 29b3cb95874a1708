package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/ledger/hostcall"
)

const (
	// alarmsEvery is how often the verifier's alarms are looked for.
	alarmsEvery = 5 * time.Second
	// others is what reasons beyond those that one count may have are counted as.
	others = "other"
)

// refusals counts who was refused, by minute and reason. The verifier runs as a user of
// its own and has no other way to say so; what it says is a word of a fixed list, so
// nothing that somebody wrote gets into a count.
type refusals struct {
	words map[string]bool

	mu     sync.Mutex
	minute canon.Micros     // guarded by mu
	counts map[string]int64 // guarded by mu
}

func newRefusals() *refusals {
	r := &refusals{words: map[string]bool{}, counts: map[string]int64{}}
	for _, reason := range host.Reasons() {
		r.words[host.Counted(reason)] = true
	}
	return r
}

func minuteOf(now time.Time) canon.Micros { return canon.At(now.Truncate(time.Minute)) }

// add counts a word. The minute that it falls into is the agent's.
func (r *refusals) add(now time.Time, word string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.words[word] {
		return
	}
	if len(r.counts) == 0 {
		r.minute = minuteOf(now)
	}
	if _, there := r.counts[word]; !there && len(r.counts) >= hostcall.MaxReasons-1 {
		word = others
	}
	r.counts[word]++
}

// due returns the count of a minute that is over, if anybody was refused in it. What
// comes late is of that minute as well: the ledger has one count a minute.
func (r *refusals) due(now time.Time) (hostcall.Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.counts) == 0 || minuteOf(now) == r.minute {
		return hostcall.Event{}, false
	}
	e := hostcall.Event{What: hostcall.Refused, MinuteAt: r.minute}
	for reason, n := range r.counts {
		e.Counts = append(e.Counts, hostcall.Count{Reason: reason, Count: n})
	}
	slices.SortFunc(e.Counts, func(a, b hostcall.Count) int {
		if a.Reason < b.Reason {
			return -1
		}
		return 1
	})
	clear(r.counts)
	return e, true
}

// listen makes the socket that the verifier writes to. Everybody may write to it, and
// who writes is asked of the kernel: only root and the verifier's user count.
func (a *Agent) listen(ctx context.Context) (*net.UnixConn, error) {
	if err := os.MkdirAll(filepath.Dir(a.Socket), 0o755); err != nil { //nolint:gosec // everybody reaches the socket in it
		return nil, fmt.Errorf("the socket for refusals: %w", err)
	}
	if err := os.Remove(a.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an agent before this one
		return nil, fmt.Errorf("the socket for refusals: %w", err)
	}
	// Who writes is asked for before anybody can.
	var setting error
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		err := raw.Control(func(fd uintptr) { setting = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
		return errors.Join(err, setting)
	}}
	conn, err := config.ListenPacket(ctx, "unixgram", a.Socket)
	if err != nil {
		return nil, fmt.Errorf("the socket for refusals: %w", err)
	}
	if err := os.Chmod(a.Socket, 0o666); err != nil { //nolint:gosec // see above
		return nil, errors.Join(fmt.Errorf("the socket for refusals: %w", err), conn.Close())
	}
	return conn.(*net.UnixConn), nil
}

// hear counts what the verifier says, until the socket is closed.
func (a *Agent) hear(conn *net.UnixConn) {
	buffer, control := make([]byte, 64), make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	for {
		n, oob, _, _, err := conn.ReadMsgUnix(buffer, control)
		if err != nil {
			return
		}
		if a.mayTell(control[:oob]) {
			a.refusals.add(a.Now(), string(buffer[:n]))
		}
	}
}

// mayTell reports whether a message is root's or the verifier's: it owns its spool.
func (a *Agent) mayTell(control []byte) bool {
	list, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(list) != 1 {
		return false
	}
	from, err := unix.ParseUnixCredentials(&list[0])
	if err != nil {
		return false
	}
	if from.Uid == 0 || int(from.Uid) == os.Geteuid() {
		return true
	}
	info, err := os.Lstat(a.Spool)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && st.Uid == from.Uid
}

// raise says the verifier's alarms aloud and counts them, until ctx ends. Their folder
// belongs to the verifier, who is believed no more than a stranger.
func (a *Agent) raise(ctx context.Context) {
	for ctx.Err() == nil {
		files, err := host.Alarms(a.Spool)
		if err != nil {
			a.Log.LogAttrs(ctx, slog.LevelWarn, "alarms can't be listed", slog.String("error", err.Error()))
		}
		for _, file := range files {
			alarm, err := host.ReadAlarm(file)
			if err != nil {
				a.Log.LogAttrs(ctx, slog.LevelWarn, "an alarm can't be read", slog.String("error", err.Error()))
			} else {
				a.Log.LogAttrs(ctx, slog.LevelError, "a certificate that the authority signed is not in the ledger: its key may be stolen",
					slog.Time("at", alarm.At.Time()), slog.String("detail", canon.Visible(alarm.Detail)), slog.String("certificate", alarm.Certificate))
				a.refusals.add(a.Now(), host.Counted(host.WithoutProof))
			}
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				a.Log.LogAttrs(ctx, slog.LevelWarn, "an alarm can't be removed", slog.String("error", err.Error()))
			}
		}
		wait(ctx, alarmsEvery, nil)
	}
}
