package witness_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/witness"
)

// TestPromiseP11_AWitnessForgetsNothing starts a witness again over its folder.
func TestPromiseP11_AWitnessForgetsNothing(t *testing.T) {
	t.Parallel()
	log, dir := grown(t, 9), t.TempDir()
	config := witness.Config{Signer: ledgertest.Cosigner(t, "w"), Logs: []*ledger.Policy{log.Policy()}, Heads: folder(t, dir), Now: time.Now}
	if _, err := witness.OpenFolder(dir); err == nil {
		t.Fatal("two witnesses over one folder")
	}
	if _, err := ask(t.Context(), t, client(t, serve(t, config), time.Now), log, 0, 9); err != nil {
		t.Fatal(err)
	}
	if f, ok := config.Heads.(*witness.Folder); !ok || f.Close() != nil {
		t.Fatal("closing the folder")
	}
	config.Heads = folder(t, dir)
	stale := new(witness.StaleError)
	if _, err := ask(t.Context(), t, client(t, serve(t, config), time.Now), log, 0, 5); !errors.As(err, &stale) || stale.Size != 9 {
		t.Errorf("after a start: %v, want its size, 9", err)
	}
	// A memory that was tampered with is no beginning.
	files, err := filepath.Glob(filepath.Join(dir, "*.head"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for name, text := range map[string]string{"empty": "", "another log's": string(ledgertest.New(t, "other.example", "x").Head(0).Unsigned()), "junk": "junk\n"} {
		if err := os.WriteFile(files[0], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(t.Context(), t, client(t, serve(t, config), time.Now), log, 0, 9); !errors.Is(err, witness.ErrUnreachable) {
			t.Errorf("with a memory that is %s: %v, want no cosignature", name, err)
		}
	}
}

// failing is a memory that can't be written.
type failing struct{ witness.Heads }

func (failing) SetHead(ledger.Checkpoint) error { return errors.New("disk full") }

func TestPromiseP11_NothingIsCosignedThatIsNotKept(t *testing.T) {
	t.Parallel()
	log := grown(t, 3)
	heads := folder(t, t.TempDir())
	p := serve(t, witness.Config{Signer: ledgertest.Cosigner(t, "w"), Logs: []*ledger.Policy{log.Policy()}, Heads: failing{heads}, Now: time.Now})
	if s, err := ask(t.Context(), t, client(t, p, time.Now), log, 0, 3); !errors.Is(err, witness.ErrUnreachable) {
		t.Errorf("%v, %v: want no cosignature", s, err)
	}
}

func TestTheJudgeHasTheLastWord(t *testing.T) {
	t.Parallel()
	log := grown(t, 4)
	heads := folder(t, t.TempDir())
	var asked []int64
	verdict := fmt.Errorf("%w: leaf 3: \x1b[2J made up", witness.ErrUnjustified)
	p := serve(t, witness.Config{
		Signer: ledgertest.Cosigner(t, "w"), Logs: []*ledger.Policy{log.Policy()}, Heads: heads, Now: time.Now,
		Judge: func(_ context.Context, older, newer ledger.Checkpoint) error {
			asked = append(asked, older.Size, newer.Size)
			if newer.Size == 4 {
				return verdict
			}
			return nil
		},
	})
	c := client(t, p, time.Now)
	if _, err := ask(t.Context(), t, c, log, 0, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), t, c, log, 2, 4); !errors.Is(err, witness.ErrUnjustified) || !strings.Contains(err.Error(), `leaf 3: \x1b[2J made up`) {
		t.Errorf("%v, want ErrUnjustified with what it says, on one line that hides nothing", err)
	}
	verdict = errors.New("the openings can't be had")
	if _, err := ask(t.Context(), t, c, log, 2, 4); !errors.Is(err, witness.ErrUnreachable) || !strings.Contains(err.Error(), "the openings can't be had") {
		t.Errorf("%v, want ErrUnreachable: there is no verdict yet", err)
	}
	if head, err := heads.Head(origin); err != nil || head.Size != 2 {
		t.Errorf("it keeps %v, %v; what it did not sign it has not seen", head, err)
	}
	if !slices.Equal(asked, []int64{0, 2, 2, 4, 2, 4}) {
		t.Errorf("the judge was asked about %v", asked)
	}
}

// TestOneAtATime has many ask at once: no two heads that do not follow each other
// are signed.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	log := grown(t, 40)
	p := serve(t, witness.Config{Signer: ledgertest.Cosigner(t, "w"), Logs: []*ledger.Policy{log.Policy()}, Heads: folder(t, t.TempDir()), Now: time.Now})
	c := client(t, p, time.Now)
	var all sync.WaitGroup
	var mu sync.Mutex
	signed := 0
	for to := int64(1); to <= 40; to++ {
		proof, err := ledger.ProveConsistency(0, to, log)
		if err != nil {
			t.Fatal(err)
		}
		request, head := ledger.AddCheckpoint{Proof: proof, Checkpoint: log.Checkpoint(to)}, log.Head(to)
		all.Go(func() {
			if _, err := c.Cosign(t.Context(), request, head); err == nil {
				mu.Lock()
				defer mu.Unlock()
				signed++
			}
		})
	}
	all.Wait()
	if signed != 1 {
		t.Errorf("%d first checkpoints were cosigned, want 1", signed)
	}
}

func TestWitnessHTTP(t *testing.T) {
	t.Parallel()
	log := grown(t, 3)
	p := serve(t, witness.Config{Signer: ledgertest.Cosigner(t, "w"), Logs: []*ledger.Policy{log.Policy()}, Heads: folder(t, t.TempDir()), Now: time.Now})
	good := string(ledger.AddCheckpoint{Checkpoint: log.Checkpoint(3)}.Marshal())
	for _, tt := range []struct {
		name, method, path, body string
		want                     int
	}{
		{"another address", "POST", "/", good, http.StatusNotFound},
		{"another method", "GET", "/add-checkpoint", "", http.StatusMethodNotAllowed},
		{"nothing", "POST", "/add-checkpoint", "", http.StatusBadRequest},
		{"too long", "POST", "/add-checkpoint", strings.Repeat("x", ledger.MaxAddCheckpoint+1), http.StatusBadRequest},
		{"cut short", "POST", "/add-checkpoint", good[:len(good)-5], http.StatusBadRequest},
		{"a changed signature", "POST", "/add-checkpoint", good[:len(good)-10] + "AAAAAAA=\n", http.StatusBadRequest},
		{"good", "POST", "/add-checkpoint", good, http.StatusOK},
		{"stale", "POST", "/add-checkpoint", good, http.StatusConflict},
	} {
		request, err := http.NewRequestWithContext(t.Context(), tt.method, p.url+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil || answer.Body.Close() != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != tt.want {
			t.Errorf("%s: %d %s, want %d", tt.name, answer.StatusCode, body, tt.want)
		}
		if tt.want == http.StatusConflict && (string(body) != "3\n" || answer.Header.Get("Content-Type") != "text/x.tlog.size") {
			t.Errorf("%s: %q as %s", tt.name, body, answer.Header.Get("Content-Type"))
		}
	}
}

func TestClientRefusals(t *testing.T) {
	t.Parallel()
	log := grown(t, 3)
	w, other := ledgertest.Cosigner(t, "w"), ledgertest.Cosigner(t, "other")
	line := func(s *ledger.CosignerSigner, size int64, at time.Time) string {
		t.Helper()
		text, err := s.Cosign(log.Head(size), at)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	now := time.Now()
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"good among others", 200, line(other, 3, now) + line(w, 3, now), nil},
		{"another's word", 200, line(other, 3, now), witness.ErrUnreachable},
		{"a word for another checkpoint", 200, line(w, 2, now), witness.ErrUnreachable},
		{"from the past", 200, line(w, 3, now.Add(-31*time.Second)), witness.ErrClock},
		{"from the future", 200, line(w, 3, now.Add(31*time.Second)), witness.ErrClock},
		{"no answer's body", 200, "", witness.ErrUnreachable},
		{"a flood", 200, strings.Repeat("x", 1<<20), witness.ErrUnreachable},
		{"a conflict without size", 409, "what", witness.ErrUnreachable},
		{"a conflict at the size it was told", 409, "0\n", witness.ErrFork},
		{"unprocessable", 422, "", witness.ErrFork},
		{"unjustified", 451, "", witness.ErrUnjustified},
		{"forbidden", 403, "", witness.ErrRefused},
		{"not found", 404, "", witness.ErrRefused},
		{"broken", 500, "", witness.ErrUnreachable},
		{"a redirect", 302, "", witness.ErrUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				if tt.status == http.StatusFound {
					rw.Header().Set("Location", "/elsewhere")
				}
				rw.WriteHeader(tt.status)
				_, _ = io.WriteString(rw, tt.body)
			}))
			defer server.Close()
			_, err := ask(t.Context(), t, client(t, peer{w.Key(), server.URL}, func() time.Time { return now }), log, 0, 3)
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	for _, url := range []string{"", "w.example", "http://w.example", "ftp://w.example", "https://user@w.example", "https://w.example?x", "https://w.example#x", "https://"} {
		if _, err := witness.NewClient(w.Key(), url, time.Now); !errors.Is(err, witness.ErrConfig) {
			t.Errorf("url %q: %v, want ErrConfig", url, err)
		}
	}
	dead := client(t, peer{w.Key(), "http://127.0.0.1:1"}, time.Now)
	if _, err := ask(t.Context(), t, dead, log, 0, 3); !errors.Is(err, witness.ErrUnreachable) || strings.Contains(err.Error(), "add-checkpoint") {
		t.Errorf("nobody there: %v", err)
	}
}
