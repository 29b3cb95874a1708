package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// auditSteps are what is done with the ledger afterwards, by people who need not
// believe the server.
func (s *story) auditSteps() []step {
	return []step{
		{"The operator exports the ledger while it is served, and checks the database", s.export},
		{"An auditor verifies the export with two files, a digest and the cosigner's key, without the server", s.audit},
		{"She reads the story of the certificate", s.explain},
		{"One number is changed in the export, and nothing in it counts", s.tamper},
	}
}

// bundle is the file that the auditor is given.
func (s *story) bundle() string { return s.Auditor.Home("ledger.jsonl") }

func (s *story) export(ctx context.Context) (string, error) {
	r, err := s.Operator.Must(ctx, "sallyd", "ledger", "export", "--out", s.bundle(), "--dir", s.ServerDir())
	if err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "wrote       "+s.bundle()); err != nil {
		return "", err
	}
	r, err = s.Operator.Must(ctx, "sallyd", "ledger", "fsck", "--dir", s.ServerDir())
	if err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "ok          leaves "); err != nil {
		return "", err
	}
	return "exit 0, and exit 0: every row of the database is what the ledger says", nil
}

// against are the flags of the auditor: what she has from people.
func (s *story) against() []string {
	return []string{"--pin", s.PinFile(), "--contract", s.contract.Lineage().String(), "--cosigner", s.CosignerKey()}
}

func (s *story) audit(ctx context.Context) (string, error) {
	r, err := s.Auditor.Must(ctx, append([]string{"sally", "audit", "verify", s.bundle()}, s.against()...)...)
	if err != nil {
		return "", err
	}
	line := lineOf(r.Stdout, fmt.Sprintf("✓ certificate %d  attested  ", s.cert.Serial))
	if err := contains(line, s.Principal(site.Web1)); err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "signed by c-owner for acme", "its version 1 is one that you named", " 0 unknown, 0 unjustified"); err != nil {
		return "", err
	}
	if left, err := filepath.Glob(s.Auditor.Home(".local", "state", "*")); err != nil || len(left) > 0 {
		return "", wrong("the auditor has a login: %v, %v", left, err)
	}
	return fmt.Sprintf("exit 0; certificate %d is attested, nothing is unknown or unjustified; she has no login and no server", s.cert.Serial), nil
}

func (s *story) explain(ctx context.Context) (string, error) {
	argv := append([]string{"sally", "audit", "explain", fmt.Sprint(s.cert.Serial), "--bundle", s.bundle()}, s.against()...)
	r, err := s.Auditor.Must(ctx, argv...)
	if err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "Contract "+s.contract.Terms.ID+" version 1", "signed by c-owner", "  | §", reason,
		"Bob Example", "approved it for 5m0s at most", "five minutes will do", "made again from the grant, byte for byte"); err != nil {
		return "", err
	}
	if !joining() {
		return "clause, request, decision and certificate, each with its leaf", nil
	}
	argv[3] = fmt.Sprint(s.shortSerial)
	if r, err = s.Auditor.Must(ctx, argv...); err != nil {
		return "", err
	}
	if err := contains(r.Stdout, "\nLogins on hosts\n", ": "+s.login+" on "+site.App1+"  [leaf ", ": the host ended it, since the grant was over  [leaf "); err != nil {
		return "", err
	}
	return "clause, request, decision, certificate, and the login on the host with its end, each with its leaf", nil
}

func (s *story) tamper(ctx context.Context) (string, error) {
	text, err := os.ReadFile(s.bundle())
	if err != nil {
		return "", err
	}
	const was, now = `"for_seconds":300`, `"for_seconds":600`
	changed := bytes.Replace(text, []byte(was), []byte(now), 1)
	if bytes.Equal(changed, text) {
		return "", wrong("the bundle has no %s", was)
	}
	s.tell.Typed("somebody", "makes "+was+" into "+now)
	file := s.Auditor.Home("changed.jsonl")
	if err := os.WriteFile(file, changed, 0o600); err != nil {
		return "", err
	}
	r, err := s.Auditor.Run(ctx, append([]string{"sally", "audit", "verify", file}, s.against()...)...)
	if err != nil {
		return "", err
	}
	if err := site.Exit(r, client.ExitFailed, "sally audit verify"); err != nil {
		return "", err
	}
	if err := contains(r.Output, "the facts: it is not what the leaf commits to; nothing in it counts"); err != nil {
		return "", err
	}
	return "exit 1; it names the line that does not open its leaf", nil
}
