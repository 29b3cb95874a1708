package pamconf

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// ErrNoPlace is wrapped when a file has no place for the line.
var ErrNoPlace = errors.New("the PAM file has no place for the line that keeps sessions to their grants")

// Comment stands above the line.
const Comment = "# Put here by sally-host setup, removed by sally-host leave: sessions end with their grants."

// execModule runs the session step.
const execModule = "pam_exec.so"

// Step is the line.
type Step struct {
	Program string   // the path of sally-host
	Args    []string // what it is called with: session, and what is not where it mostly is
}

// Line is the line, without its end. Without "quiet" people would read the path of a
// program when they are refused; "required" is why they are.
func (s Step) Line() string {
	return "session required " + execModule + " " + strings.Join(s.args(), " ")
}

func (s Step) args() []string {
	return append([]string{"quiet", s.Program}, s.Args...)
}

// is tells whether a module is the step of a sally-host, whatever it is called with.
func (s Step) is(m module) bool {
	if m.name != execModule {
		return false
	}
	for i := 1; i < len(m.args); i++ {
		name := path.Base(m.args[i-1])
		if m.args[i] == "session" && (name == "sally-host" || name == path.Base(s.Program)) {
			return true
		}
	}
	return false
}

// wrong says what is wrong with a module that is a step, empty if nothing is.
func (s Step) wrong(m module) (id, says string) {
	switch {
	case m.control != "required" && m.control != "requisite":
		return "session-step-optional", "is " + strconv.Quote(m.control) + " where it has to be required, so that a session that can't be kept to its grant is opened all the same"
	case m.included:
		return "session-step-misplaced", "stands in a file that other services read as well"
	case !slices.Equal(m.args, s.args()):
		return "session-step-edited", "is called as " + strconv.Quote(strings.Join(m.args, " ")) + ", not as " + strconv.Quote(strings.Join(s.args(), " "))
	}
	return "", ""
}

// bounds are the lines between which the step has to stand: behind low, in front of high.
// Neither is one of the step's own.
type bounds struct {
	low, high  int // indexes into lines; -1 and len(lines) where there is none
	lowSays    string
	highSays   string
	lastOfPart int // the last line with a session part, -1
}

// bounds looks for what counts: pam_systemd, or else the last include, in front; a
// pam_env that lets people set variables of PAM's behind.
func (f File) bounds(s Step) bounds {
	b := bounds{low: -1, high: len(f.lines), lastOfPart: -1}
	include := -1
	for i, l := range f.lines {
		for _, m := range l.modules {
			if s.is(m) {
				continue
			}
			b.lastOfPart = i
			if m.included {
				include = i
			}
			if m.name == "pam_systemd.so" {
				b.low, b.lowSays = i, fmt.Sprintf("pam_systemd (%s), which moves the session into a cgroup of its own", m.where)
			}
			if b.high == len(f.lines) && m.name == "pam_env.so" && userReads(m.args) {
				b.high, b.highSays = i, fmt.Sprintf("pam_env with user_readenv=1 (%s), by which people set variables that the step reads", m.where)
			}
		}
	}
	if b.low < 0 && include >= 0 && include < b.high {
		b.low, b.lowSays = include, fmt.Sprintf("the session part of what is included (%s:%d)", f.Path, f.lines[include].number)
	}
	return b
}

// userReads tells whether a pam_env reads a file of the user's.
func userReads(args []string) bool {
	on := false
	for _, a := range args {
		if value, ok := strings.CutPrefix(a, "user_readenv="); ok {
			on = value != "0"
		}
	}
	return on
}

// Insert returns the text with the step in its place, and what was put into it. Nothing
// is put in where it stands as it should.
func (f File) Insert(s Step) (text, inserted string, err error) {
	found := f.Judge(s)
	if len(found) == 0 {
		return f.text, "", nil
	}
	if f.has(s) {
		return "", "", fmt.Errorf("%w: %s; remove that line, then run this again", ErrNoPlace, found[0].Says)
	}
	b := f.bounds(s)
	at := b.low + 1 // behind what it has to stand behind
	if b.low < 0 {
		at = min(b.lastOfPart+1, b.high)
	}
	switch {
	case b.lastOfPart < 0:
		return "", "", fmt.Errorf("%w: %s has no line for sessions; have it say what the distribution's says, or name the file that sshd's service has", ErrNoPlace, f.Path)
	case b.low >= b.high:
		return "", "", fmt.Errorf("%w: it has to stand behind %s, and in front of %s; move the latter below the former", ErrNoPlace, b.lowSays, b.highSays)
	}
	if m, ok := f.skips(at); ok {
		return "", "", fmt.Errorf("%w: %s may end sessions' lines before it is reached (%s %s); make that line optional or required", ErrNoPlace, m.where, m.control, m.name)
	}
	lines := Comment + "\n" + s.Line()
	if at == len(f.lines) && !strings.HasSuffix(f.text, "\n") {
		inserted = "\n" + lines
		return f.text + inserted, inserted, nil
	}
	inserted = lines + "\n"
	offset := len(f.text)
	if at < len(f.lines) {
		offset = f.lines[at].start
	}
	return f.text[:offset] + inserted + f.text[offset:], inserted, nil
}

// has tells whether a step stands somewhere.
func (f File) has(s Step) bool {
	return slices.ContainsFunc(f.lines, func(l line) bool { return slices.ContainsFunc(l.modules, s.is) })
}

// Remove returns the text without what Insert has put in. Where that was edited since,
// our comment goes, and each line of the file's own that is a step, since without the
// program it would refuse everybody; removed says how many.
func (f File) Remove(s Step, inserted string) (text string, removed int) {
	if before, after, found := strings.Cut(f.text, inserted); inserted != "" && found {
		return before + after, 1
	}
	var b strings.Builder
	for _, l := range f.lines {
		step := slices.ContainsFunc(l.modules, func(m module) bool { return s.is(m) && !m.included })
		if step {
			removed++
		}
		if text := f.text[l.start:l.end]; !step && strings.TrimSpace(text) != Comment {
			b.WriteString(text)
		}
	}
	return b.String(), removed
}
