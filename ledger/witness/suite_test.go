package witness_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/litewitness"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/witness"
)

const origin = "ledger.example/witnessed"

// peer is a witness that has been told of one log: ours, or an independent one.
type peer struct {
	key ledger.CosignerKey
	url string
}

// peers starts each kind of witness. Both pass the same suite, so that what our
// client and our witness think the protocol is, is what others think.
func peers(t *testing.T, log *ledgertest.Log) map[string]peer {
	t.Helper()
	ours := serve(t, witness.Config{
		Signer: ledgertest.Cosigner(t, "witness.example/ours"), Logs: []*ledger.Policy{log.Policy()}, Heads: folder(t, t.TempDir()), Now: time.Now,
	})
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := litewitness.Start(t.Context(), dir, "witness.example/lite", origin, log.PublicKey())
	if err != nil {
		t.Fatal(errors.Join(err, dir.Remove()))
	}
	t.Cleanup(func() {
		if err := errors.Join(theirs.Close(), dir.Remove()); err != nil {
			t.Error(err)
		}
	})
	return map[string]peer{"ours": ours, "litewitness": {theirs.Key(), theirs.URL()}}
}

func folder(t *testing.T, path string) *witness.Folder {
	t.Helper()
	f, err := witness.OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func serve(t *testing.T, c witness.Config) peer {
	t.Helper()
	w, err := witness.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	return peer{c.Signer.Key(), server.URL}
}

func client(t *testing.T, p peer, now func() time.Time) *witness.Client {
	t.Helper()
	c, err := witness.NewClient(p.key, p.url, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func grown(t *testing.T, n int) *ledgertest.Log {
	t.Helper()
	log := ledgertest.New(t, origin, "witnessed")
	for i := range n {
		log.AppendHash([32]byte{byte(i), 2})
	}
	return log
}

// ask asks for a cosignature of log's head at to, from the head at from.
func ask(ctx context.Context, t *testing.T, c *witness.Client, log *ledgertest.Log, from, to int64) (ledger.Cosignature, error) {
	t.Helper()
	proof, err := ledger.ProveConsistency(from, to, log)
	if err != nil {
		t.Fatal(err)
	}
	return c.Cosign(ctx, ledger.AddCheckpoint{Old: from, Proof: proof, Checkpoint: log.Checkpoint(to)}, log.Head(to))
}

func TestPromiseP11_WitnessesRefuseAnotherHistory(t *testing.T) {
	t.Parallel()
	log := grown(t, 12)
	fork := grown(t, 5)
	for i := range 9 {
		fork.AppendHash([32]byte{byte(i), 99})
	}
	for name, p := range peers(t, log) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, p, time.Now)
			signed, err := ask(t.Context(), t, c, log, 0, 7)
			if err != nil {
				t.Fatalf("the first checkpoint: %v", err)
			}
			if at, err := p.key.Verify(log.Head(7), signed.Line); err != nil || time.Since(at).Abs() > time.Minute {
				t.Errorf("its cosignature: %v, %v", at, err)
			}
			if _, err := ask(t.Context(), t, c, log, 7, 7); err != nil {
				t.Errorf("the same checkpoint again: %v", err)
			}
			if _, err := ask(t.Context(), t, c, log, 7, 12); err != nil {
				t.Fatalf("the next checkpoint: %v", err)
			}
			stale := new(witness.StaleError)
			if _, err := ask(t.Context(), t, c, log, 7, 12); !errors.As(err, &stale) || stale.Size != 12 {
				t.Errorf("from a size that it has left behind: %v, want its size, 12", err)
			}
			if _, err := ask(t.Context(), t, c, log, 0, 7); !errors.As(err, &stale) || stale.Size != 12 {
				t.Errorf("an older checkpoint: %v, want its size, 12", err)
			}
			if _, err := ask(t.Context(), t, c, fork, 12, 14); !errors.Is(err, witness.ErrFork) {
				t.Errorf("another history that grew: %v, want ErrFork", err)
			}
			if _, err := ask(t.Context(), t, c, fork, 12, 12); !errors.Is(err, witness.ErrFork) {
				t.Errorf("another root at the same size: %v, want ErrFork", err)
			}
			if _, err := ask(t.Context(), t, c, log, 12, 12); err != nil {
				t.Errorf("the honest checkpoint afterwards: %v", err)
			}
		})
	}
}

func TestWitnessesRefuseOtherLogs(t *testing.T) {
	t.Parallel()
	log := grown(t, 3)
	for name, p := range peers(t, log) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, p, time.Now)
			stranger := ledgertest.New(t, "stranger.example", "x")
			stranger.AppendHash([32]byte{1})
			if _, err := ask(t.Context(), t, c, stranger, 0, 1); !errors.Is(err, witness.ErrRefused) {
				t.Errorf("a log that it was not told of: %v, want ErrRefused", err)
			}
			thief := ledgertest.New(t, origin, "another key")
			thief.AppendHash([32]byte{1})
			if _, err := ask(t.Context(), t, c, thief, 0, 1); !errors.Is(err, witness.ErrRefused) {
				t.Errorf("its log's name with another key: %v, want ErrRefused", err)
			}
		})
	}
}
