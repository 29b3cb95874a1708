package client

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/ledger"
)

// AuditExplainOptions are the settings of [AuditExplain].
type AuditExplainOptions struct {
	Env
	AuditOptions
	// Serial names the certificate.
	Serial string
	// Bundle is the file. Empty: the server is asked for what one may see.
	Bundle string
	// People asks the server for person parts about others, too, which an auditor
	// may see; the server records that.
	People bool
}

// AuditExplain tells the story of one certificate: the clause that it rests on,
// the request, who decided, and the certificate, each with the leaf that says so
// and what vouches for it. The whole bundle is verified first. The error is nil
// only if the certificate's verdict passes.
func AuditExplain(ctx context.Context, o AuditExplainOptions) error {
	serial, err := strconv.ParseUint(o.Serial, 10, 53)
	if err != nil || serial == 0 || strconv.FormatUint(serial, 10) != o.Serial {
		return Usagef("SERIAL %q: a number from 1, as sshd logs it and ssh-keygen -L shows it", o.Serial)
	}
	if o.People && o.Bundle != "" {
		return Usagef("--people asks the server; a bundle shows what it shows")
	}
	if o.Bundle == "" {
		done, err := o.fetch(ctx)
		if err != nil {
			return err
		}
		defer done()
		if !o.People { // who others are is not shown to everybody, and the story says so
			o.Waive = append(slices.Clone(o.Waive), audit.WaivePeople)
		}
	} else if info, err := os.Stat(o.Bundle); err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0 {
		return Usagef("--bundle %s: a story is read more than once, so give a file and no pipe", o.Bundle)
	}
	config, err := o.config(o.Env)
	if err != nil {
		return err
	}
	config.Parts = func(s uint64) bool { return s == serial }
	report, err := verifyBundle(ctx, o.Bundle, config)
	if err != nil {
		return err
	}
	s := story{origin: report.Origin}
	if err := s.find(report, serial); err != nil {
		return err
	}
	if err := s.read(o.Bundle); err != nil {
		return err
	}
	if o.JSON {
		err = o.printJSON(s.result())
	} else {
		err = s.print(o.Env)
	}
	if err != nil {
		return err
	}
	if s.certificate.Failed() {
		return fmt.Errorf("certificate %d does not pass: it is %s", serial, s.certificate.Verdict)
	}
	return nil
}

// fetch asks the server for an export and takes the pinned keys of the login. The
// file is gone when done is called.
func (o *AuditExplainOptions) fetch(ctx context.Context) (done func(), err error) {
	if o.Pin != "" || len(o.LogKeys) > 0 {
		return nil, Usagef("--pin and --log-key go with --bundle FILE; without it the server of the last login is asked, and its pin counts")
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(a.dir, ".explain-*")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	done = func() { _ = os.RemoveAll(dir) } // it is in our own state folder
	o.Bundle = filepath.Join(dir, "ledger.jsonl")
	o.pinned = &a.at.pin
	if err := a.download(ctx, o.Bundle, o.People); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// find takes the verdict on the certificate out of a report, and what is wrong
// with leaves that it may rest on.
func (s *story) find(r audit.Report, serial uint64) error {
	s.verdicts = make(map[int64]audit.Verdict)
	for _, f := range r.Findings {
		s.verdicts[f.Leaf] = audit.Unjustified
	}
	for _, c := range r.Certificates {
		if c.Serial != serial {
			continue
		}
		s.certificate = c
		for _, p := range c.Parts {
			s.verdicts[p.Leaf] = p.Verdict
			s.words = append(s.words, p)
		}
		if len(c.Parts) == 0 {
			s.verdicts[c.Leaf] = c.Verdict
		}
		return nil
	}
	if serial > uint64(r.Size) { //nolint:gosec // a size is never negative
		return fmt.Errorf("there is no certificate %d: the bundle has %d leaves, so serials up to %d", serial, r.Size, ledger.Serial(r.Size-1))
	}
	return fmt.Errorf("there is no certificate %d: leaf %d is of another kind; sally audit verify lists the certificates", serial, serial-1)
}
