package audit_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
)

// A ledger counts only if those whose word the auditor asks for saw this one.
func TestPromiseP12_CosignersConfirmTheLedger(t *testing.T) {
	t.Parallel()
	b := newTold(t, t.Name())
	b.issue(b.w.Granted(b.m, 0))
	w1, w2, w3 := ledgertest.Cosigner(t, "witness.example/1"), ledgertest.Cosigner(t, "witness.example/2"), ledgertest.Cosigner(t, "witness.example/3")
	party := ledgertest.Cosigner(t, "acme.example/c")
	b.cosigners = []*ledger.CosignerSigner{w1, w3}
	entries := b.entries()
	confirmed := b.bundle(entries)
	b.cosigners = nil
	bare := b.bundle(entries)
	older := b.entries()
	alone := b.bundle(older)
	changed := bytes.Clone(confirmed)
	changed[bytes.Index(changed, []byte("witness.example/3 "))+60] ^= 1
	key := func(list ...*ledger.CosignerSigner) (out []ledger.CosignerKey) {
		for _, s := range list {
			out = append(out, s.Key())
		}
		return out
	}
	for _, tt := range []struct {
		name     string
		bundle   []byte
		ask      ledger.Cosigners
		want     error
		cosigned []string
	}{
		{"nobody is asked for", confirmed, ledger.Cosigners{}, nil, nil},
		{"one of one", confirmed, ledger.Cosigners{Need: 1, Witnesses: key(w1)}, nil, []string{"witness.example/1"}},
		{"two of three", confirmed, ledger.Cosigners{Need: 2, Witnesses: key(w1, w2, w3)}, nil, []string{"witness.example/1", "witness.example/3"}},
		{"two of three, where three are needed", confirmed, ledger.Cosigners{Need: 3, Witnesses: key(w1, w2, w3)}, audit.ErrUnconfirmed, nil},
		{"none of one", confirmed, ledger.Cosigners{Need: 1, Witnesses: key(w2)}, audit.ErrUnconfirmed, nil},
		{"a party", confirmed, ledger.Cosigners{All: key(w1)}, nil, []string{"witness.example/1"}},
		{"a party that has not", confirmed, ledger.Cosigners{All: key(party), Need: 1, Witnesses: key(w1)}, audit.ErrUnconfirmed, nil},
		{"the certificate only", bare, ledger.Cosigners{Need: 1, Witnesses: key(w1)}, audit.ErrUnconfirmed, nil},
		{"nothing", alone, ledger.Cosigners{Need: 1, Witnesses: key(w1)}, audit.ErrUnconfirmed, nil},
		{"nothing, and nobody is asked for", alone, ledger.Cosigners{}, nil, nil},
		{"half of two", confirmed, ledger.Cosigners{Need: 1, Witnesses: key(w1, w2)}, ledger.ErrPolicy, nil},
		{"a changed word that nobody asks for", changed, ledger.Cosigners{Need: 1, Witnesses: key(w1)}, nil, []string{"witness.example/1"}},
		{"a changed word", changed, ledger.Cosigners{Need: 2, Witnesses: key(w1, w2, w3)}, ledger.ErrUntrusted, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := b.config()
			c.Cosigners = tt.ask
			report, err := audit.Verify(t.Context(), bytes.NewReader(tt.bundle), c)
			if !errors.Is(err, tt.want) || err == nil && (!report.OK() || !slices.Equal(report.Cosigned, tt.cosigned) || report.Unconfirmed != 0) {
				t.Errorf("%v, cosigned by %v, %d unconfirmed; want %v", err, report.Cosigned, report.Unconfirmed, tt.want)
			}
		})
	}
	// A certificate from before the cosigners stands, and is counted.
	b.cosigners = []*ledger.CosignerSigner{w1}
	late := b.bundle(older)
	report := b.verify(t, late, func(c *audit.Config) { c.Cosigners = ledger.Cosigners{Need: 1, Witnesses: key(w1)} })
	if !report.OK() || report.Unconfirmed != 1 {
		t.Errorf("OK = %t, %d unconfirmed", report.OK(), report.Unconfirmed)
	}
}
