// Command recording plays an engineer's session against a real installation (see
// package site), in a terminal of its own, and writes it down as an asciicast
// (https://docs.asciinema.org/manual/asciicast/v2/): what was typed, what the
// programs answered, and when. `make recording` makes the picture in README of it.
//
//	recording -bin DIR >session.cast
//
// Nothing in it is made up: the approver's click is a click in a browser without a
// screen, and only what she does is told in a line of our own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

const (
	columns, rows = 104, 34
	keystroke     = 28 * time.Millisecond
	pause         = 900 * time.Millisecond // to read
	wholeTime     = 3 * time.Minute
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	bin := flag.String("bin", "bin", "folder of sally and sallyd")
	flag.Parse()
	err := record(ctx, *bin, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "recording:", err)
		os.Exit(1)
	}
}

// silent hears what is done to set up, and keeps it to itself.
type silent struct{}

func (silent) Typed(string, string) {}
func (silent) Answered(string)      {}

func record(ctx context.Context, bin string, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, wholeTime, errors.New("it takes too long"))
	defer cancel()
	s, err := site.Open(ctx, site.Config{Bin: bin, Tell: silent{}, Plan: site.Plan{CertTTL: 5 * time.Minute, Grant: time.Hour, Timeout: 15 * time.Minute}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.SetUp(ctx); err != nil {
		return err
	}
	if err := s.Alice.LogIn(ctx); err != nil {
		return err
	}
	if _, err := s.Bob.SignIn(ctx, "/"); err != nil {
		return err
	}
	s.Alice.Setenv("TERM", "xterm-256color")
	s.Alice.Setenv("LC_ALL", "C.UTF-8")
	r := &recorder{s: s, enc: json.NewEncoder(out), start: time.Now()}
	r.enc.SetEscapeHTML(false)
	if err := r.enc.Encode(map[string]any{"version": 2, "width": columns, "height": rows, "title": "sally ssh"}); err != nil {
		return err
	}
	return r.play(ctx)
}

// recorder writes events as they happen.
type recorder struct {
	s     *site.Site
	enc   *json.Encoder
	start time.Time
}

func (r *recorder) put(text string) error {
	return r.enc.Encode([]any{time.Since(r.start).Seconds(), "o", strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")})
}

func (r *recorder) play(ctx context.Context) error {
	web1 := r.s.Principal(site.Web1)
	if err := r.run(ctx, "sally hosts", nil); err != nil {
		return err
	}
	ask := `sally ssh ` + web1 + ` --for 10m --because "INC-42 checkout latency" -- "echo; id -un; uptime -p"`
	if err := r.run(ctx, ask, r.approve); err != nil {
		return err
	}
	if err := r.run(ctx, "sally status", nil); err != nil {
		return err
	}
	return r.run(ctx, "sally ledger list --limit 4", nil)
}

// run types a command, runs it in a terminal and writes down what it prints.
// Once it waits for a decision, meanwhile is called with what it has printed.
func (r *recorder) run(ctx context.Context, command string, meanwhile func(context.Context, string) error) error {
	if err := r.put("\x1b[32malice\x1b[0m $ "); err != nil {
		return err
	}
	time.Sleep(pause)
	for _, c := range command {
		if err := r.put(string(c)); err != nil {
			return err
		}
		time.Sleep(keystroke)
	}
	if err := r.put("\n"); err != nil {
		return err
	}
	// script(1) gives it a terminal.
	inner := fmt.Sprintf("stty cols %d rows %d; exec %s", columns, rows, command)
	if strings.Contains(command, "--for") {
		inner = strings.Replace(inner, " --for", " --key-file --for", 1)
	}
	task, err := r.s.Alice.Start(ctx, "script", "-qefc", inner, "/dev/null")
	if err != nil {
		return err
	}
	told := 0
	tell := func() error {
		log := task.Log()
		if len(log) == told {
			return nil
		}
		text := hide(log[told:])
		told = len(log)
		return r.put(text)
	}
	for {
		if err := tell(); err != nil {
			return err
		}
		if meanwhile != nil && strings.Contains(task.Log(), "waiting for") {
			if err := meanwhile(ctx, task.Log()); err != nil {
				return err
			}
			meanwhile = nil
		}
		select {
		case <-task.Done():
			if err := tell(); err != nil {
				return err
			}
			if code, err := task.Wait(ctx); err != nil || code != 0 {
				return fmt.Errorf("%s: exit code %d: %w\n%s", command, code, err, lab.Tail(task.Log(), 5))
			}
			time.Sleep(2 * pause)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// hide leaves out the line about --key-file, which is there because the session
// has no ssh-agent.
func hide(text string) string {
	return keyFileLine.ReplaceAllString(text, "")
}

var (
	keyFileLine = regexp.MustCompile(`sally: asked for with --key-file[^\n]*\n`)
	requestPath = regexp.MustCompile(`/requests/[a-z2-7]{26}`)
)

// approve is what the approver does in her browser.
func (r *recorder) approve(ctx context.Context, printed string) error {
	path := requestPath.FindString(printed)
	time.Sleep(3 * pause)
	page, err := r.s.Bob.OpenPage(ctx, path)
	if err != nil {
		return err
	}
	if err := r.put("\r\x1b[K\x1b[36m        Bob, in his browser: opens the request, types 5 minutes, presses Approve\x1b[0m\n"); err != nil {
		return err
	}
	time.Sleep(pause)
	_, err = r.s.Bob.Submit(ctx, page, path+"/decisions", map[string]string{"minutes": "5", "words": "five minutes will do"}, "approve")
	return err
}
