package server_test

import (
	"bytes"
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/witness"
)

// yeaSayer is a cosigner that confirms what it is shown, unless it is away.
type yeaSayer struct {
	signer *ledger.CosignerSigner
	now    func() time.Time
	away   atomic.Bool
}

func (y *yeaSayer) Key() ledger.CosignerKey { return y.signer.Key() }

func (y *yeaSayer) Cosign(_ context.Context, _ ledger.AddCheckpoint, c ledger.Checkpoint) (ledger.Cosignature, error) {
	if y.away.Load() {
		return ledger.Cosignature{}, witness.ErrUnreachable
	}
	at := y.now()
	line, err := y.signer.Cosign(c, at)
	return ledger.Cosignature{Key: y.Key(), Line: line, At: at}, err
}

// An export ends where the witnesses have come to, so that it can be shown to who
// asks for their words.
func TestExportEndsAtTheConfirmedCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	y := &yeaSayer{signer: ledgertest.Cosigner(t, "witness.example/1"), now: w.clock.Now}
	w.settings.Quorum = ledger.Cosigners{Need: 1, Witnesses: []ledger.CosignerKey{y.Key()}}
	w.settings.Cosigners = []authority.Cosigner{y}
	w.authority.Close()
	var err error
	w.authority, err = authority.Open(t.Context(), w.settings)
	must(t, err)
	t.Cleanup(w.authority.Close)
	w.serve()
	alice := w.logIn("alice")
	policy, err := w.policy.WithCosigners(w.settings.Quorum)
	must(t, err)
	confirmed := w.size()
	must(t, lab.Poll(t.Context(), "the witness's word", func() (bool, error) {
		c, err := policy.OpenCheckpoint(w.send(http.MethodGet, "/checkpoint", nil, nil).body)
		return err == nil && c.Size == confirmed, nil
	}))
	y.away.Store(true)
	alice.submit(nil)

	bundle := alice.call("/v1/ledger/export", nil).body
	config := w.auditOf(bundle)
	config.Cosigners = w.settings.Quorum
	report, err := audit.Verify(t.Context(), bytes.NewReader(bundle), config)
	must(t, err)
	if report.Size != confirmed || report.Size >= w.size() || len(report.Cosigned) != 1 {
		t.Errorf("the export has %d leaves of %d, of which %d are confirmed by %v", report.Size, w.size(), confirmed, report.Cosigned)
	}
}
