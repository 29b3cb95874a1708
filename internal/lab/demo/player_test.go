package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPlayTicksWhatWasAsserted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := &player{out: &out}
	err := p.play(t.Context(), []step{
		{"the first act", func(context.Context) (string, error) {
			p.Typed("alice", `sally ssh ops@web-1.demo --because "INC-42 latency"`)
			p.Answered("one\r\n\ttwo\x1b[2J\n")
			return "exit 0", nil
		}},
		{"the second act", func(context.Context) (string, error) {
			p.Typed("bob's browser", "opens the inbox")
			return "one request waits", nil
		}},
	})
	const want = `
 1  the first act
  alice $ sally ssh ops@web-1.demo --because "INC-42 latency"
      one
      	two\x1b[2J
  ✓ exit 0

 2  the second act
  bob's browser: opens the inbox
  ✓ one request waits
`
	if err != nil || p.count() != 2 || out.String() != want {
		t.Errorf("%v, %d steps:\n%s\nwant:\n%s", err, p.count(), out.String(), want)
	}
}

func TestPlayNamesTheFailingStep(t *testing.T) {
	t.Parallel()
	interrupted := errors.New("interrupted")
	stopped, stop := context.WithCancelCause(t.Context())
	stop(interrupted)
	good := step{"a good act", func(context.Context) (string, error) { return "fine", nil }}
	after := step{"an act after it", func(context.Context) (string, error) { panic("the story went on") }}
	tests := []struct {
		name string
		ctx  context.Context
		bad  step
		want string
		is   error
	}{
		{
			"an assertion", t.Context(),
			step{"the bad act", func(context.Context) (string, error) { return "", wrong("4, want %d", 5) }},
			"demo: FAILED at step 2: the bad act: not as promised: 4, want 5", errCheck,
		},
		{
			"nothing asserted", t.Context(),
			step{"the empty act", func(context.Context) (string, error) { return "", nil }},
			"demo: FAILED at step 2: the empty act: the step asserted nothing", nil,
		},
		{
			"a signal", stopped,
			step{"the stopped act", func(ctx context.Context) (string, error) { return "", ctx.Err() }},
			"demo: FAILED at step 2: the stopped act: stopped: interrupted", interrupted,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			p := &player{out: &out}
			err := p.play(tt.ctx, []step{good, tt.bad, after})
			if err == nil || err.Error() != tt.want || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v\nwant %s", err, tt.want)
			}
			if p.count() != 1 || strings.Count(out.String(), "✓") != 1 {
				t.Errorf("%d steps ticked:\n%s", p.count(), out.String())
			}
		})
	}
}

func TestPlayerColours(t *testing.T) {
	t.Parallel()
	for _, colour := range []bool{false, true} {
		var out strings.Builder
		p := &player{out: &out, colour: colour}
		p.begin("act")
		p.Typed("alice", "sally version")
		p.tick("fine")
		if strings.Contains(out.String(), "\x1b[") != colour {
			t.Errorf("colour %v: %q", colour, out.String())
		}
	}
}

const listing = `/tmp/id-cert.pub:
        Type: ssh-ed25519-cert-v01@openssh.com user certificate
        Public key: ED25519-CERT SHA256:8r
        Signing CA: ED25519 SHA256:LQ (using ssh-ed25519)
        Key ID: "p=a;r=b;c=c;e=1"
        Serial: 9
        Valid: from 2026-11-23T16:00:00 to 2026-11-23T16:01:20
        Principals:
                ops@web-1.demo
                ops@web-2.demo
        Critical Options: (none)
        Extensions:
                ledger-proof@sallyport UNKNOWN OPTION: 000003 (len 3)
                permit-pty
`

func TestParsePrinted(t *testing.T) {
	t.Parallel()
	c, err := parsePrinted(listing)
	if err != nil {
		t.Fatal(err)
	}
	if c.keyID != "p=a;r=b;c=c;e=1" || c.serial != 9 || c.before.Sub(c.after) != 80*time.Second ||
		strings.Join(c.principals, " ") != "ops@web-1.demo ops@web-2.demo" || len(c.critical) != 0 ||
		len(c.extensions) != 2 || c.extensions[1] != "permit-pty" || !strings.HasSuffix(c.kind, "user certificate") {
		t.Errorf("%+v", c)
	}
	for _, cut := range []string{"Serial: 9", "Valid: from", "Principals:", "Key ID:", "Critical Options: (none)"} {
		if c, err := parsePrinted(strings.Replace(listing, cut, "Nothing: x", 1)); !errors.Is(err, errCheck) {
			t.Errorf("without %q: %+v, %v", cut, c, err)
		}
	}
}
