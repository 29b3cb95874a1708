package session

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// noAudit is the audit session of a process that has none.
const noAudit = "4294967295"

// Process is one process as /proc shows it.
type Process struct {
	PID     int
	Parent  int
	Leader  int    // of its terminal session, setsid(2)
	TTY     uint64 // device number, 0 without a terminal
	Started uint64 // in clock ticks since the boot
	UID     uint32
	Audit   string // audit session: children keep it, whatever they do; empty if the kernel has none
	Name    string // comm: whoever runs it writes it, so it is never printed as it is
	Dead    bool   // it runs no more, its parent has not asked for it yet
}

// parseStat reads /proc/PID/stat. A name in it may hold anything, brackets and line
// ends included, so the fields begin behind the last bracket.
func parseStat(text []byte) (Process, error) {
	open, end := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || end < open {
		return Process{}, errors.New("/proc/PID/stat has no name")
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:open])))
	if err != nil {
		return Process{}, fmt.Errorf("/proc/PID/stat: %w", err)
	}
	p := Process{PID: pid, Name: string(text[open+1 : end])}
	f := strings.Fields(string(text[end+1:])) // f[0] is field 3, the state
	if len(f) < 20 {
		return Process{}, errors.New("/proc/PID/stat is too short")
	}
	p.Dead = f[0] == "Z" || f[0] == "X"
	numbers := [4]uint64{}
	for i, field := range []int{1, 3, 4, 19} { // parent, leader, terminal, start
		n, err := strconv.ParseInt(f[field], 10, 64)
		if err != nil || n < 0 {
			return Process{}, fmt.Errorf("/proc/PID/stat: field %d is no number", field+3)
		}
		numbers[i] = uint64(n)
	}
	p.Parent, p.Leader, p.TTY, p.Started = int(numbers[0]), int(numbers[1]), numbers[2], numbers[3] //nolint:gosec // process ids have 22 bits
	return p, nil
}

// lookUp reads a process; ok is false if there is none (any more).
func lookUp(pid int) (p Process, ok bool, err error) {
	if p, ok, err = glance(pid); err != nil || !ok {
		return Process{}, false, err
	}
	dir := "/proc/" + strconv.Itoa(pid)
	info, err := os.Stat(dir)
	if gone(err) {
		return Process{}, false, nil
	}
	if err != nil {
		return Process{}, false, err
	}
	if st, isStat := info.Sys().(*syscall.Stat_t); isStat {
		p.UID = st.Uid
	}
	audit, err := os.ReadFile(dir + "/sessionid") //nolint:gosec // a number
	if err == nil && string(bytes.TrimSpace(audit)) != noAudit {
		p.Audit = string(bytes.TrimSpace(audit))
	}
	return p, true, nil
}

// glance is lookUp without UID and Audit: one file, not three.
func glance(pid int) (p Process, ok bool, err error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if gone(err) {
		return Process{}, false, nil
	}
	if err != nil {
		return Process{}, false, err
	}
	p, err = parseStat(text)
	return p, err == nil, err
}

// gone reports whether an error of /proc means that the process has ended.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) }

// Alive reports whether the process that opened a session still runs: not another
// one that has its number by now.
func (r Record) Alive() (bool, error) {
	p, ok, err := lookUp(r.PID)
	return ok && !p.Dead && p.Started == r.Started, err
}

// everybody lists all processes, as look shows them. Those that end meanwhile are left
// out.
func everybody(look func(pid int) (Process, bool, error)) ([]Process, error) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var list []Process
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		p, ok, err := look(pid)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// BootID names the time since the machine was started.
func BootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	return plain(strings.TrimSpace(string(text))), nil
}
