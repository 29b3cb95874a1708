package session

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Pseudo-terminals have the device majors 136 to 143, Documentation/admin-guide/
// devices.txt of the kernel; only the first is in use since they are made on demand.
const (
	firstPseudo = 136
	lastPseudo  = 143
)

// warningText is what people read. It is ours alone, but for numbers.
func warningText(left time.Duration, end time.Time, over bool) string {
	at := end.UTC().Format("15:04:05")
	switch {
	case over:
		return fmt.Sprintf("your grant was over at %s UTC; this session ends %s", at, in(left))
	default:
		return fmt.Sprintf("your grant is over at %s UTC; this session ends %s. What still runs then is killed", at, in(left))
	}
}

func endText(why Why) string {
	if why == Revoked {
		return "your certificate was revoked; this session ends now"
	}
	return "your grant is over; this session ends now"
}

// in is a time to come in whole words.
func in(left time.Duration) string {
	seconds := int((left + time.Second - 1) / time.Second)
	switch {
	case seconds <= 0:
		return "now"
	case seconds == 1:
		return "in 1 second"
	case seconds < 120:
		return fmt.Sprintf("in %d seconds", seconds)
	default:
		return fmt.Sprintf("in %d minutes", (seconds+30)/60)
	}
}

// tell writes a line to each terminal that a process of the list has, if it belongs
// to the login. It never waits: a terminal may be stopped. It returns how many were
// written to.
func tell(list []Process, uid uint32, text string) int {
	seen := map[uint64]bool{}
	told := 0
	for _, p := range list {
		if p.TTY == 0 || seen[p.TTY] {
			continue
		}
		seen[p.TTY] = true
		major, minor := unix.Major(p.TTY), unix.Minor(p.TTY)
		if major < firstPseudo || major > lastPseudo {
			continue
		}
		if writeTerminal("/dev/pts/"+strconv.FormatUint(uint64(major-firstPseudo)<<20|uint64(minor), 10), p.TTY, uid, text) == nil {
			told++
		}
	}
	return told
}

// writeTerminal writes to a terminal that is this device and belongs to uid. In a
// container the same number is another terminal.
func writeTerminal(path string, device uint64, uid uint32, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFCHR || st.Rdev != device || st.Uid != uid {
		return fmt.Errorf("%s is not the terminal of the session", path)
	}
	_, err = unix.Write(fd, []byte("\r\n\asallyport: "+text+"\r\n"))
	return err
}
