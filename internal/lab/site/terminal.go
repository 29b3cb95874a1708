package site

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/lab"
)

// Terminal is where one person types commands. Its home is in the workspace, so
// nothing of the real user's settings, keys or agents is read.
type Terminal struct {
	Who string

	site *Site
	home string
	env  []string
}

// NewTerminal is that of somebody more, who has no account.
func (s *Site) NewTerminal(who string) (*Terminal, error) { return s.terminal(who) }

func (s *Site) terminal(who string) (*Terminal, error) {
	home, err := s.Dir.Mkdir(0o700, "people", who)
	if err != nil {
		return nil, err
	}
	if _, err := s.Dir.Mkdir(0o700, "log"); err != nil {
		return nil, err
	}
	return &Terminal{Who: who, site: s, home: home, env: []string{
		"HOME=" + home,
		"USER=" + who,
		"XDG_STATE_HOME=" + filepath.Join(home, ".local", "state"),
		"PATH=" + s.cfg.Bin + ":/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
		"LC_ALL=C.UTF-8",
		"TZ=UTC", // ssh-keygen -L writes local times
		"TERM=dumb",
		"NO_COLOR=1",
		"SSH_ASKPASS_REQUIRE=never",
	}}, nil
}

// Home is a path in the person's home folder.
func (t *Terminal) Home(elem ...string) string {
	return filepath.Join(append([]string{t.home}, elem...)...)
}

// Setenv sets a variable for the commands to come.
func (t *Terminal) Setenv(name, value string) {
	t.env = append(slices.DeleteFunc(t.env, func(v string) bool { return strings.HasPrefix(v, name+"=") }), name+"="+value)
}

func (t *Terminal) command(argv []string) (lab.Command, error) {
	path := filepath.Join(t.site.cfg.Bin, argv[0])
	if argv[0] != "sally" && argv[0] != "sallyd" {
		var err error
		if path, err = lab.FindProgram(argv[0]); err != nil {
			return lab.Command{}, err
		}
	}
	c := lab.Command{Path: path, Args: argv[1:], Dir: t.home, Env: t.env}
	if mask := t.site.cfg.Umask; mask != "" && t == t.site.Operator {
		c.Path, c.Args = "/bin/sh", append([]string{"-c", "umask " + mask + `; exec "$0" "$@"`, path}, argv[1:]...)
	}
	return c, nil
}

// Run types a command and waits for its end. What it answers is told; whether
// that was right is the caller's to judge.
func (t *Terminal) Run(ctx context.Context, argv ...string) (lab.Result, error) {
	c, err := t.command(argv)
	if err != nil {
		return lab.Result{}, err
	}
	t.site.cfg.Tell.Typed(t.Who, t.site.line(argv))
	r, err := lab.Run(ctx, c)
	t.site.cfg.Tell.Answered(r.Output)
	return r, err
}

// Secret is Run for a command that prints a secret, which is told as asterisks.
func (t *Terminal) Secret(ctx context.Context, secret *regexp.Regexp, argv ...string) (lab.Result, error) {
	c, err := t.command(argv)
	if err != nil {
		return lab.Result{}, err
	}
	t.site.cfg.Tell.Typed(t.Who, t.site.line(argv))
	r, err := lab.Run(ctx, c)
	t.site.cfg.Tell.Answered(secret.ReplaceAllString(r.Output, "********"))
	return r, err
}

// Quietly is Must for a question that is asked again and again: it is not told.
func (t *Terminal) Quietly(ctx context.Context, argv ...string) (lab.Result, error) {
	c, err := t.command(argv)
	if err != nil {
		return lab.Result{}, err
	}
	r, err := lab.Run(ctx, c)
	if err == nil {
		err = Exit(r, 0, argv[0])
	}
	return r, err
}

// Must is Run for a command that has to end with exit code 0.
func (t *Terminal) Must(ctx context.Context, argv ...string) (lab.Result, error) {
	r, err := t.Run(ctx, argv...)
	if err == nil {
		err = Exit(r, 0, argv[0])
	}
	return r, err
}

// Exit returns an error that quotes the output if the command did not end with
// the exit code.
func Exit(r lab.Result, code int, what string) error {
	if r.Code == code {
		return nil
	}
	return fmt.Errorf("%s: exit code %d, want %d: %s", what, r.Code, code, strings.TrimSpace(lab.Tail(r.Output, 5)))
}

// Task is a command that goes on while other things happen.
type Task struct {
	*lab.Process

	site *Site
	told int // bytes of the log that were told
}

// Start types a command that goes on in the background.
func (t *Terminal) Start(ctx context.Context, argv ...string) (*Task, error) {
	c, err := t.command(argv)
	if err != nil {
		return nil, err
	}
	t.site.cfg.Tell.Typed(t.Who, t.site.line(argv))
	p, err := t.site.start(ctx, t.Who+"-"+argv[0]+".log", c)
	if err != nil {
		return nil, err
	}
	return &Task{Process: p, site: t.site}, nil
}

// Expect waits for a line with the text and tells everything that came until
// then. It returns the line.
func (k *Task) Expect(ctx context.Context, text string) (string, error) {
	line, err := k.WaitLog(ctx, text)
	k.tell()
	return line, err
}

// End waits for the end of the command and tells the rest of its answer. An
// exit code other than the wanted one is an error that quotes the output.
func (k *Task) End(ctx context.Context, code int, what string) (string, error) {
	got, err := k.Wait(ctx)
	k.tell()
	if err != nil {
		return k.Log(), err
	}
	return k.Log(), Exit(lab.Result{Code: got, Output: k.Log()}, code, what)
}

func (k *Task) tell() {
	log := k.Log()
	if len(log) > k.told {
		k.site.cfg.Tell.Answered(log[k.told:])
		k.told = len(log)
	}
}

// plain is what a shell takes as it stands.
var plain = regexp.MustCompile(`^(\$W|[A-Za-z0-9_@%+=:,./-])+$`)

// line writes a command as a person would type it, with the workspace as $W.
func (s *Site) line(argv []string) string {
	words := make([]string, len(argv))
	for i, word := range argv {
		words[i] = s.quote(word)
	}
	return strings.Join(words, " ")
}

func (s *Site) quote(word string) string {
	if strings.ContainsAny(word, "\"$`\\!\n") { // nothing in it is for the shell, not even $W
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	if word = s.Short(word); plain.MatchString(word) {
		return word
	}
	return `"` + word + `"`
}

// errOutput is wrapped when a command's answer is not what it has to be.
var errOutput = errors.New("unexpected answer")
