package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

// DoctorOptions are the settings of [Doctor].
type DoctorOptions struct {
	Machine Machine
	JSON    bool
	Out     io.Writer
}

// ErrBypass says that a host has a way around the verifier.
var ErrBypass = errors.New("there are ways around the verifier")

// Health is what doctor reports, and `sally-host agent` sends with its heartbeats.
type Health struct {
	Name string `json:"name,omitempty"` // of the host; empty: not set up
	Mode Mode   `json:"mode,omitempty"`
	sshdconf.Report
}

// Examine looks at a host and names every way around the verifier. It changes nothing.
func Examine(ctx context.Context, m Machine) (Health, error) {
	m, err := m.Fill()
	if err != nil {
		return Health{}, err
	}
	var h Health
	var bundle trust.Bundle
	in, unread := m.installed()
	if in.Known != nil {
		config := in.Known.Config()
		h.Name, h.Mode, bundle = string(config.Name), config.Mode, in.Known.Bundle()
	}
	if in.Wanted.Program != "" {
		m.Program, m.User = in.Wanted.Program, in.Wanted.User
	}
	look := m.inspection(in.Wanted, bundle)
	if _, err := m.hostCertificate(bundle, sshcert.Host(h.Name)); err == nil {
		look.HostCertificate = m.file(HostCertFile)
	}
	if h.Report, err = sshdconf.Inspect(ctx, look); err != nil {
		return Health{}, err
	}
	if in.Wanted.Program != "" {
		h.Findings = append(h.Findings, m.judgeSessions(in)...)
	}
	if unread != nil {
		h.Findings = append([]sshdconf.Finding{{
			ID: "files-unread", Severity: sshdconf.Bypass, Says: fmt.Sprintf("the host's own files can't be read, so nobody knows what they let in: %v", unread),
			Mend: "run sally-host setup again, as root",
		}}, h.Findings...)
	}
	if in.Known != nil && (h.Mode == Require) != in.Wanted.Require {
		h.Findings = append([]sshdconf.Finding{{
			ID: "mode-differs", Severity: sshdconf.Bypass, Says: fmt.Sprintf("host.json says mode %s, and sshd is told otherwise", h.Mode), Mend: "run sally-host setup again",
		}}, h.Findings...)
	}
	sshdconf.Sort(h.Findings)
	return h, nil
}

// Bypasses counts the ways around the verifier.
func (h Health) Bypasses() int64 { return int64(count(h.Findings, sshdconf.Bypass)) }

// Doctor prints what [Examine] finds, the worst first. The error wraps [ErrBypass] if there is a way around the verifier.
func Doctor(ctx context.Context, o DoctorOptions) error {
	h, err := Examine(ctx, o.Machine)
	if err != nil {
		return err
	}
	if o.JSON {
		err = printJSON(o.Out, h)
	} else {
		err = printHealth(o.Out, h)
	}
	if err != nil {
		return err
	}
	if n := h.Bypasses(); n > 0 {
		return fmt.Errorf("%w: %d of them", ErrBypass, n)
	}
	return nil
}

func printJSON(out io.Writer, h Health) error {
	if h.Findings == nil {
		h.Findings = []sshdconf.Finding{}
	}
	if h.Asked == nil {
		h.Asked = []string{}
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(h)
}

// heads introduce the findings of a severity.
var heads = []struct {
	severity sshdconf.Severity
	head     string
}{
	{sshdconf.Bypass, "Ways around the verifier"},
	{sshdconf.Weak, "Weaker than it should be"},
	{sshdconf.Note, "Worth knowing"},
}

// printHealth writes sentences: they can be read aloud.
func printHealth(out io.Writer, h Health) error {
	var b strings.Builder
	switch {
	case h.Name == "":
		fmt.Fprintf(&b, "This host is not set up. It runs OpenSSH %s.\n", h.OpenSSH)
	case h.Mode == Observe:
		fmt.Fprintf(&b, "%s observes: what would be refused is logged, and let in. It runs OpenSSH %s.\n", h.Name, h.OpenSSH)
	default:
		fmt.Fprintf(&b, "%s requires the ledger's word. It runs OpenSSH %s.\n", h.Name, h.OpenSSH)
	}
	if len(h.Asked) > 0 {
		fmt.Fprintf(&b, "sshd was asked what holds for everybody and in %d more cases.\n", len(h.Asked))
	}
	for _, part := range heads {
		if count(h.Findings, part.severity) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s:\n", part.head)
		for _, f := range h.Findings {
			if f.Severity == part.severity {
				fmt.Fprintf(&b, "- %s%s [%s]\n  Mend: %s.\n", sentence(f.Says), places(f), f.ID, f.Mend)
			}
		}
	}
	if count(h.Findings, sshdconf.Bypass) == 0 {
		b.WriteString("\nNo way around the verifier was found.\n")
	}
	_, err := io.WriteString(out, canon.Spell(b.String(), func(r rune) bool { return r != '\n' && canon.Hidden(r) }, canon.Escape))
	return err
}

// sentence begins with a capital, unless with a path or a name.
func sentence(says string) string {
	if says == "" || strings.HasPrefix(says, "sshd") || strings.HasPrefix(says, "/") || strings.HasPrefix(says, "host.json") {
		return says
	}
	return strings.ToUpper(says[:1]) + says[1:]
}

func count(findings []sshdconf.Finding, severity sshdconf.Severity) int {
	n := 0
	for _, f := range findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}
