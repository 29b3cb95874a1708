// Command screenshots plays a short story in a real installation and a real
// Chromium, and writes what the pages look like as PNG files. `make screenshots`
// runs it; the files in docs/images are its work.
//
//	screenshots -bin DIR -out DIR
//
// Names, requests and the order of things are always the same; times, ids and
// keys are those of the run.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/lab/browser"
	"github.com/sallyport/sallyport/internal/lab/showroom"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// maxSize is how large one file may be, in bytes.
const maxSize = 150 << 10

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// run writes the files and returns the exit code.
func run(ctx context.Context, args []string, out io.Writer) int {
	var bin, into string
	flags := flag.NewFlagSet("screenshots", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&bin, "bin", "bin", "folder of sally and sallyd")
	flags.StringVar(&into, "out", "docs/images", "folder for the pictures")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		fmt.Fprintln(out, "usage: screenshots -bin DIR -out DIR")
		return 2
	}
	if err := shoot(ctx, bin, into, out); err != nil {
		fmt.Fprintln(out, "screenshots:", err)
		return 1
	}
	return 0
}

func shoot(ctx context.Context, bin, into string, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	r, err := showroom.Open(ctx, bin, silent{}, showroom.Others())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := os.MkdirAll(into, 0o755); err != nil {
		return err
	}
	return (&shots{Showroom: r, into: into, out: out}).play(ctx)
}

// shots is the story as it goes on.
type shots struct {
	*showroom.Showroom
	into string
	out  io.Writer
	tab  *browser.Tab // Bob's
}

// The windows that pages are seen in. Bob lives in Berlin.
var (
	light = browser.Look{Width: 1280, Zone: "Europe/Berlin", Scripts: true}
	dark  = browser.Look{Width: 1280, Zone: "Europe/Berlin", Scripts: true, Dark: true}
	phone = browser.Look{Width: 390, Zone: "Europe/Berlin", Scripts: true}
	night = browser.Look{Width: 390, Zone: "Europe/Berlin", Scripts: true, Dark: true}
)

func (s *shots) play(ctx context.Context) error {
	bob, err := s.Browser.Person()
	if err != nil {
		return err
	}
	s.tab = bob.Tab()
	if err := s.tab.See(ctx, light); err != nil {
		return err
	}
	for _, who := range []*site.Person{s.Alice, s.Others["dan"]} {
		if err := who.LogIn(ctx); err != nil {
			return err
		}
	}
	if err := s.signIn(ctx); err != nil {
		return err
	}
	web, err := s.Ask(ctx, s.Alice, "ops@"+site.Web1, "10m", "INC-42 checkout latency, restart the workers")
	if err != nil {
		return err
	}
	data, err := s.Ask(ctx, s.Others["dan"], "postgres@"+site.Web2, "30m", "CHG-117 rebuild the index on orders; no rows change")
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return s.decide(ctx, data, "", "", "approve") },
		func() error { return s.picture(ctx, "inbox", "/", light, night) },
		func() error { return s.picture(ctx, "request", web, light, dark, phone) },
		func() error { return s.decide(ctx, web, "5", "five minutes will do", "approve") },
		func() error { return s.GoIn(ctx, s.Alice, "ops@"+site.Web1) },
		func() error { return s.picture(ctx, "granted", web, light, phone) },
		func() error { return s.audit(ctx) },
		func() error { return s.deny(ctx) },
		func() error { return s.picture(ctx, "hosts", "/hosts", light, night) },
		func() error { return s.picture(ctx, "problem", "/requests/mzxw6ytboi2dqmrvgm4tanrwge", dark) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// audit has Ada find the certificate and verify it.
func (s *shots) audit(ctx context.Context) error {
	person, err := s.Browser.Person()
	if err != nil {
		return err
	}
	defer person.Close()
	bob := s.tab
	defer func() { s.tab = bob }()
	s.tab = person.Tab()
	if err := errors.Join(s.tab.See(ctx, light), s.SignIn(ctx, s.tab, s.Others["ada"], "/ledger")); err != nil {
		return err
	}
	const found = "/ledger?host=" + site.Web1 + "&since=7d"
	if err := s.picture(ctx, "ledger", found, light, night); err != nil {
		return err
	}
	entry, err := browser.Eval[string](ctx, s.tab, "document.querySelector('.timeline .entry a').getAttribute('href')")
	if err != nil {
		return err
	}
	for _, l := range []browser.Look{phone, night} {
		if err := errors.Join(s.tab.See(ctx, l), s.tab.Open(ctx, s.URL()+entry), s.tab.Click(ctx, "#verify button"), s.tab.WaitText(ctx, "It verifies")); err != nil {
			return err
		}
		if err := s.shot(ctx, "verified", l); err != nil {
			return err
		}
	}
	return nil
}

// signIn signs Bob in, with a picture of where he does that.
func (s *shots) signIn(ctx context.Context) error {
	if err := s.picture(ctx, "signed-out", "/logout", light); err != nil {
		return err
	}
	if err := s.tab.See(ctx, light); err != nil {
		return err
	}
	return s.SignIn(ctx, s.tab, s.Bob, "/")
}

// decide presses a button on a request's page.
func (s *shots) decide(ctx context.Context, path, minutes, words, verdict string) error {
	if err := errors.Join(s.tab.See(ctx, light), s.tab.Open(ctx, s.URL()+path)); err != nil {
		return err
	}
	if minutes != "" {
		if err := s.tab.Fill(ctx, "#minutes", minutes); err != nil {
			return err
		}
	}
	if words != "" {
		if err := s.tab.Fill(ctx, "#words", words); err != nil {
			return err
		}
	}
	if err := s.tab.Click(ctx, "button[value="+verdict+"]"); err != nil {
		return err
	}
	return s.tab.Wait(ctx, "document.querySelector('#main') && !document.querySelector('form.decide')")
}

// deny has Alice ask once more, and Bob say no.
func (s *shots) deny(ctx context.Context) error {
	path, err := s.Ask(ctx, s.Alice, "deploy@"+site.Web2, "1h", "roll back the search service")
	if err != nil {
		return err
	}
	if err := s.decide(ctx, path, "", "web-2 is frozen until Monday; web-1 would do", "deny"); err != nil {
		return err
	}
	return s.picture(ctx, "denied", path, dark, night)
}

// picture writes a page's pictures, one for each window.
func (s *shots) picture(ctx context.Context, name, path string, looks ...browser.Look) error {
	for _, l := range looks {
		if err := errors.Join(s.tab.See(ctx, l), s.tab.Open(ctx, s.URL()+path)); err != nil {
			return err
		}
		if err := s.shot(ctx, name, l); err != nil {
			return err
		}
	}
	return nil
}

// shot writes what the window shows.
func (s *shots) shot(ctx context.Context, name string, l browser.Look) error {
	raw, err := s.tab.Picture(ctx, false)
	if err != nil {
		return err
	}
	small, err := shrink(raw)
	if err != nil {
		return err
	}
	scheme := "light"
	if l.Dark {
		scheme = "dark"
	}
	file := filepath.Join(s.into, fmt.Sprintf("%s-%s-%d.png", name, scheme, l.Width))
	if len(small) > maxSize {
		return fmt.Errorf("%s would have %d bytes, at most %d", file, len(small), maxSize)
	}
	if err := os.WriteFile(file, small, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%7d  %s\n", len(small), file)
	return nil
}

// shrink writes a PNG as small as it gets without losing anything.
func shrink(raw []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	opaque := image.NewNRGBA(from.Bounds())
	draw.Draw(opaque, opaque.Bounds(), from, from.Bounds().Min, draw.Src)
	var b bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, opaque)
	return b.Bytes(), err
}

// silent hears what is done, and keeps it to itself.
type silent struct{}

// Typed hears nothing.
func (silent) Typed(string, string) {}

// Answered hears nothing.
func (silent) Answered(string) {}
