package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// owner is a process that cannot be confused with a later one of the same id:
// the start time (clock ticks since boot, proc_pid_stat(5) field 22) tells them
// apart. Where there is no /proc the start time is 0 and the id alone counts.
type owner struct {
	pid   int
	start uint64
}

// self is the running process.
func self() owner { return ownerOf(os.Getpid()) }

func ownerOf(pid int) owner {
	s, _ := readStat(pid)
	return owner{pid: pid, start: s.start}
}

// alive reports whether the process still runs. A zombie does not.
func (o owner) alive() bool {
	s, err := readStat(o.pid)
	switch {
	case err == nil:
		return s.state != 'Z' && s.state != 'X' && (o.start == 0 || s.start == o.start)
	case errors.Is(err, errors.ErrUnsupported):
		return !errors.Is(syscall.Kill(o.pid, 0), syscall.ESRCH)
	default:
		return false
	}
}

// String is the form that parseOwner reads: "123 start 45678".
func (o owner) String() string { return fmt.Sprintf("%d start %d", o.pid, o.start) }

func parseOwner(s string) (owner, error) {
	pid, start, ok := strings.Cut(strings.TrimSpace(s), " start ")
	if !ok {
		return owner{}, fmt.Errorf("%q names no process", s)
	}
	var o owner
	var err error
	if o.pid, err = strconv.Atoi(pid); err != nil || o.pid <= 0 {
		return owner{}, fmt.Errorf("%q names no process", s)
	}
	if o.start, err = strconv.ParseUint(start, 10, 64); err != nil {
		return owner{}, fmt.Errorf("%q names no process", s)
	}
	return o, nil
}

// stat is what is read of /proc/PID/stat.
type stat struct {
	state  byte
	parent int
	start  uint64
}

// readStat returns an error that wraps errors.ErrUnsupported where there is no
// /proc, and fs.ErrNotExist when the process is gone.
func readStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		if _, procErr := os.Stat("/proc/self/stat"); procErr != nil {
			return stat{}, fmt.Errorf("no /proc here: %w", errors.ErrUnsupported)
		}
		return stat{}, fs.ErrNotExist
	}
	// The second field is the command in parentheses and may hold any character.
	_, rest, ok := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return stat{}, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	s := stat{state: fields[0][0]}
	if s.parent, err = strconv.Atoi(fields[1]); err != nil {
		return stat{}, err
	}
	if s.start, err = strconv.ParseUint(fields[19], 10, 64); err != nil {
		return stat{}, err
	}
	return s, nil
}

// processes lists all processes that keep is true for. Where there is no /proc
// it lists none.
func processes(keep func(pid int, s stat) bool) []owner {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var list []owner
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && keep(pid, s) {
			list = append(list, owner{pid: pid, start: s.start})
		}
	}
	return list
}

// descendants lists the children of a process and theirs. They are found
// through their parents, because sshd gives each connection a session and a
// process group of its own.
func descendants(pid int) []owner {
	parent := map[int]int{}
	all := processes(func(pid int, s stat) bool {
		parent[pid] = s.parent
		return true
	})
	var list []owner
	for _, o := range all {
		// A bound, because the parents were not read at one moment.
		for up, steps := parent[o.pid], 0; up > 1 && steps < 1000; up, steps = parent[up], steps+1 {
			if up == pid {
				list = append(list, o)
				break
			}
		}
	}
	return list
}

// kill ends the process if it is still the same one.
func (o owner) kill(sig syscall.Signal) error {
	if !o.alive() {
		return nil
	}
	if err := syscall.Kill(o.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ending process %d: %w", o.pid, err)
	}
	return nil
}

// ownerUID is the user id that a file belongs to, -1 if the system keeps none.
func ownerUID(info fs.FileInfo) int {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid)
	}
	return -1
}
