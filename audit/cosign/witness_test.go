package cosign_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/witness"
)

// hashes are the stored hashes of a tree.
type hashes []tlog.Hash

// ReadHashes returns stored hashes, as tlog.HashReader says.
func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(h)) {
			return nil, fmt.Errorf("no stored hash %d", x)
		}
		out[i] = h[x]
	}
	return out, nil
}

// offer asks a cosigner over HTTP for its word on what the server shows, from a
// size that it has seen, as a ledger's server does.
func (w *world) offer(c *witness.Client, log *ledger.LogSigner, old int64, entries []audit.Entry) error {
	w.t.Helper()
	var stored hashes
	tree := ledger.Tree{}
	for _, e := range entries {
		next, more, err := tree.Append(tlog.RecordHash(e.Text))
		must(w.t, err)
		for _, s := range more {
			stored = append(stored, s.Hash)
		}
		tree = next
	}
	root, err := tree.Root()
	must(w.t, err)
	at := ledger.Checkpoint{Origin: log.Origin(), Size: tree.Size, Root: root}
	signed, err := log.Sign(at)
	must(w.t, err)
	proof, err := ledger.ProveConsistency(old, at.Size, stored)
	must(w.t, err)
	_, err = c.Cosign(w.t.Context(), ledger.AddCheckpoint{Old: old, Proof: proof, Checkpoint: signed}, at)
	return err
}

// TestPromiseP11_CosignerAnswersAsAWitness asks the cosigner as a ledger's server
// does: a stale size is told, another history refused, what is not justified
// answered with the leaf and the rule, and the memory survives a restart.
func TestPromiseP11_CosignerAnswersAsAWitness(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "as a witness")
	log, err := ledger.NewLogSigner(w.w.LogPrivate)
	must(t, err)
	policy, err := ledger.NewPolicy(log.Origin(), log.PublicKey())
	must(t, err)
	heads, err := witness.OpenFolder(t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, heads.Close()) })
	signer := ledgertest.Cosigner(t, "cosigner.example/1")
	judge := func(ctx context.Context, older, newer ledger.Checkpoint) error { return w.c.Judge(ctx, older, newer) }
	h, err := witness.New(witness.Config{Signer: signer, Logs: []*ledger.Policy{policy}, Heads: heads, Now: w.config().Now, Judge: judge})
	must(t, err)
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := witness.NewClient(signer.Key(), srv.URL, w.config().Now)
	must(t, err)

	w.issued()
	first := w.next()
	must(t, w.offer(c, log, 0, w.entries))
	w.open()
	stale := new(witness.StaleError)
	if err := w.offer(c, log, 0, w.entries); !errors.As(err, &stale) || stale.Size != first {
		t.Errorf("a stale size: %v, want the one that it has seen, %d", err, first)
	}
	must(t, w.offer(c, log, first, w.entries)) // the same once more
	// Another history, which the log signs as well.
	fork := append([]audit.Entry{}, w.entries...)
	fork[2].Text = fork[3].Text
	if err := w.offer(c, log, first, fork); !errors.Is(err, witness.ErrFork) {
		t.Errorf("another history of that size: %v, want ErrFork", err)
	}
	w.pass(1e9)
	w.issued()
	grown := append(fork[:first:first], w.entries[first:]...)
	if err := w.offer(c, log, first, grown); !errors.Is(err, witness.ErrFork) {
		t.Errorf("another history that grew: %v, want ErrFork", err)
	}
	must(t, w.offer(c, log, first, w.entries))
	good := w.next()
	w.decided(w.w.Alice, w.askedFor())
	err = w.offer(c, log, good, w.entries)
	if !errors.Is(err, witness.ErrUnjustified) || !strings.Contains(err.Error(), fmt.Sprintf("leaf %d (request.decide): nobody decides on their own request", w.next()-1)) {
		t.Errorf("a decision that was made up: %v, want ErrUnjustified with the leaf and the rule", err)
	}
	// The log signs another history behind that: it was seen, too.
	fork = append([]audit.Entry{}, w.entries...)
	fork[len(fork)-1].Text = fork[3].Text
	if err := w.offer(c, log, good, fork); !errors.Is(err, witness.ErrUnjustified) || !strings.Contains(err.Error(), "are not those that the log signed for") {
		t.Errorf("the made-up leaf taken back: %v, want a refusal", err)
	}
}
