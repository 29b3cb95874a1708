package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
)

// The operator's export has everything and verifies elsewhere.
func TestLedgerExport(t *testing.T) {
	t.Parallel()
	f := newToldFolder(t)
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	out, errs, code := sallydIn(f.dir, "ledger", "export", "--out", file)
	if code != 0 || out != "wrote       "+file+"\nleaves      19, person parts 6, signed certificates 1\n" {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the export has mode %o", info.Mode().Perm())
	}
	text, err := os.ReadFile(file)
	must(t, err)
	report, err := audit.Verify(t.Context(), bytes.NewReader(text), audit.Config{
		LogKeys: []string{f.w.LogKey}, UserCA: f.w.CA.PublicKey(), Contracts: []canon.Digest{f.w.Version.Digest}, ReadToken: client.ReadIDToken,
	})
	must(t, err)
	if !report.OK() || report.Closed != 0 || report.NoPerson != 0 || len(report.Certificates) != 2 {
		t.Errorf("%+v", report)
	}
	if _, errs, code := sallydIn(f.dir, "ledger", "export", "--out", file); code != 1 || !strings.Contains(errs, "is there already and is not replaced") {
		t.Errorf("over a file: exit %d %s", code, errs)
	}
	if again, err := os.ReadFile(file); err != nil || !bytes.Equal(again, text) {
		t.Errorf("the file was changed: %v", err)
	}
	other := filepath.Join(t.TempDir(), "again.jsonl")
	sallydIn(f.dir, "ledger", "export", "--out", other)
	if again, err := os.ReadFile(other); err != nil || !bytes.Equal(again, text) {
		t.Errorf("the second export is another: %v", err)
	}
	f.write(func(l storetest.Ledger) error { return f.w.LogIn(l, f.w.Bob) })
	third := filepath.Join(t.TempDir(), "third.jsonl")
	if out, _, _ := sallydIn(f.dir, "ledger", "export", "--out", third); !strings.Contains(out, "not in it   what is newer (2)") {
		t.Errorf("with leaves that nothing is signed over: %s", out)
	}
	if _, errs, code := sallydIn(f.dir, "ledger", "export"); code != 2 || !strings.Contains(errs, "out") {
		t.Errorf("without --out: exit %d %s", code, errs)
	}
	must(t, f.s.Close())
	broken := f.copied(t, `UPDATE opening SET facts_salt = x'00' WHERE leaf = 9`)
	left := filepath.Join(t.TempDir(), "broken.jsonl")
	if _, _, code := sallydIn(broken, "ledger", "export", "--out", left); code != 1 {
		t.Errorf("of a broken database: exit %d", code)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what did not get finished is left: %v", err)
	}
}

// What was read while a server started does not count.
func TestReadingIsOvertaken(t *testing.T) {
	t.Parallel()
	f := newToldFolder(t)
	must(t, f.s.Close())
	err := reading(t.Context(), f.dir, func(*store.Reader) error {
		engine, err := sqlite.Open(t.Context(), f.path(databaseFile))
		must(t, err)
		t.Cleanup(func() { _ = engine.Close() })
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "a server was started on this folder meanwhile") {
		t.Errorf("%v", err)
	}
}

// With witnesses in the settings an export ends where they have come to.
func TestLedgerExportEndsAtTheConfirmedCheckpoint(t *testing.T) {
	t.Parallel()
	f := newToldFolder(t)
	witness := ledgertest.Cosigner(t, "witness.example/1")
	quorum := ledger.Cosigners{Need: 1, Witnesses: []ledger.CosignerKey{witness.Key()}}
	write(t, f.path(configFile), goodConfig+"witnesses: {need: 1, of: {one: {verifier: "+witness.PublicKey()+", url: \"https://witness.example\"}}}\n")
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	if _, errs, code := sallydIn(f.dir, "ledger", "export", "--out", file); code != 1 || !strings.Contains(errs, "no checkpoint has the words of the witnesses") {
		t.Errorf("before they have confirmed any: exit %d %s", code, errs)
	}
	policy, err := audit.PolicyOf([]string{f.w.LogKey})
	must(t, err)
	var older int64
	must(t, f.s.Write(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.CheckpointRows(0, ledger.MaxSize)
		if err != nil {
			return err
		}
		older = rows[0].Size
		c, err := policy.OpenCheckpoint(rows[0].Note)
		must(t, err)
		line, err := witness.Cosign(c, f.now)
		must(t, err)
		note, err := ledger.AddCosignatures(rows[0].Note, ledger.Cosignature{Key: witness.Key(), Line: line})
		must(t, err)
		return tx.PutCosigned(c, note)
	}))
	out, errs, code := sallydIn(f.dir, "ledger", "export", "--out", file)
	if code != 0 || !strings.Contains(out, "not in it   what is newer (1), over which no checkpoint is signed or confirmed yet") {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	text, err := os.ReadFile(file)
	must(t, err)
	report, err := audit.Verify(t.Context(), bytes.NewReader(text), audit.Config{
		LogKeys: []string{f.w.LogKey}, UserCA: f.w.CA.PublicKey(), Contracts: []canon.Digest{f.w.Version.Digest}, ReadToken: client.ReadIDToken, Cosigners: quorum,
	})
	must(t, err)
	if !report.OK() || report.Size != older || len(report.Cosigned) != 1 {
		t.Errorf("%d leaves, confirmed by %v", report.Size, report.Cosigned)
	}
	if out, errs, code := sallydIn(f.dir, "ledger", "fsck"); code != 0 {
		t.Errorf("fsck: exit %d\n%s%s", code, out, errs)
	}
	write(t, f.path(configFile), "nonsense: x\n")
	if _, errs, code := sallydIn(f.dir, "ledger", "export", "--out", file+"2"); code != 1 || !strings.Contains(errs, "config.yaml:1:1: nonsense: ") {
		t.Errorf("with settings that are none: exit %d %s", code, errs)
	}
}
