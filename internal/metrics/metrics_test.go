package metrics_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/internal/metrics"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/server"
)

var (
	_ authority.Observer = (*metrics.Metrics)(nil)
	_ server.Observer    = (*metrics.Metrics)(nil)
)

// world is Metrics over an empty database.
type world struct {
	*metrics.Metrics
	engine *sqlite.Engine
	store  *store.Store
	parts  api.Readiness
	log    bytes.Buffer
	page   http.Handler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Metrics: metrics.New("v1.2.3"), parts: api.Readiness{Status: api.PartDegraded, Parts: []api.Part{
		{Part: "database", Status: api.PartOK}, {Part: "signer", Status: api.PartDegraded},
	}}}
	var err error
	if w.engine, err = sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db")); err != nil {
		t.Fatal(err)
	}
	if w.store, err = store.New(store.Config{Engine: w.engine, Now: time.Now, Rand: rand.Reader, Observe: w.Wrote}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	w.WatchConsumer("siem_file")
	for _, name := range []string{"siem_file", "switched_off"} {
		if err := w.store.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.TakeCursor(name, "mzxw6ytboi2dqmrvgm4tanrwge", tx.Now(), false)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	logger := slog.New(slog.NewJSONHandler(&w.log, nil))
	w.Watch(metrics.Sources{
		Store: w.store, Ready: func(context.Context) (api.Readiness, error) { return w.parts, nil }, Now: time.Now, Logger: logger,
	})
	w.page = w.Handler(logger)
	return w
}

func (w *world) scrape(t *testing.T) string {
	t.Helper()
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, metrics.Path, nil)
	r.Host = "127.0.0.1:9"
	w.page.ServeHTTP(rec, r)
	if rec.Code != http.StatusOK {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// everything tells the metrics something of each kind.
func (w *world) everything() {
	w.Requested("GET", "/v1/server", 200, time.Millisecond)
	w.Limited("address")
	w.Issued()
	w.Voided(2)
	w.NotIssued("grant-over")
	w.CheckpointSigned(time.Millisecond, nil)
	w.CheckpointSigned(time.Millisecond, errors.New("x"))
	w.SignerAsked(time.Millisecond, nil)
	w.SignerAsked(time.Second, fmt.Errorf("x: %w", ca.ErrUnavailable))
	w.SignerAsked(time.Second, ca.ErrSigner)
	w.ProviderAsked("keys", nil)
	w.ProviderAsked("metadata", oidc.ErrUnreachable)
	w.ProviderAsked("metadata", oidc.ErrMetadata)
	w.Wrote(store.Transaction{Writes: 3, Took: time.Millisecond})
	w.Wrote(store.Transaction{Writes: 1, Took: time.Millisecond, Err: store.ErrUnavailable})
	w.ConsumerFailed("siem_file")
}

func TestFigures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.everything()
	text := w.scrape(t)
	for _, line := range []string{
		`sallyport_build_info{version="v1.2.3"} 1`,
		`sallyport_http_requests_total{method="GET",route="/v1/server",status="200"} 1`,
		`sallyport_http_request_duration_seconds_count{route="/v1/server"} 1`,
		`sallyport_rate_limited_total{limit="address"} 1`,
		`sallyport_certificates_issued_total 1`,
		`sallyport_certificates_void_total 2`,
		`sallyport_certificates_refused_total{reason="grant-over"} 1`,
		`sallyport_checkpoint_duration_seconds_count 1`,
		`sallyport_checkpoint_failures_total 1`,
		`sallyport_signer_duration_seconds_count 3`,
		`sallyport_signer_failures_total{reason="unavailable"} 1`,
		`sallyport_signer_failures_total{reason="unusable"} 1`,
		`sallyport_provider_fetches_total{document="keys",outcome="ok"} 1`,
		`sallyport_provider_fetches_total{document="metadata",outcome="unreachable"} 1`,
		`sallyport_provider_fetches_total{document="metadata",outcome="unusable"} 1`,
		`sallyport_write_batch_size_sum 5`,
		`sallyport_write_failures_total 1`,
		`sallyport_writes_waiting 0`,
		`sallyport_consumer_failures_total{consumer="siem_file"} 1`,
		`sallyport_consumer_lag_entries{consumer="siem_file"} 0`,
		`sallyport_consumer_lag_seconds{consumer="siem_file"} 0`,
		`sallyport_ledger_entries 0`,
		`sallyport_ledger_signed_entries 0`,
		`sallyport_sessions_open{kind="cli"} 0`,
		`sallyport_part_status{part="signer",status="degraded"} 1`,
		`sallyport_part_status{part="signer",status="ok"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("%s is not there", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestLag: a consumer is behind by what is signed and not taken, and since the first
// of it was recorded. One that is switched off is not shown.
func TestLag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := recordtest.New(t, t.Name())
	if err := w.store.Write(t.Context(), func(tx *store.Tx) error {
		told.Setup(storetest.Ledger{Tx: tx})
		return tx.PutCheckpoint(ledger.Checkpoint{Size: 4}, []byte("note"))
	}); err != nil {
		t.Fatal(err)
	}
	text := w.scrape(t)
	if !strings.Contains(text, "\nsallyport_consumer_lag_entries{consumer=\"siem_file\"} 4\n") || strings.Contains(text, "switched_off") {
		t.Error(text)
	}
	m := regexp.MustCompile(`\nsallyport_consumer_lag_seconds\{consumer="siem_file"\} (\S+)\n`).FindStringSubmatch(text)
	if m == nil {
		t.Fatal(text)
	}
	if since, err := strconv.ParseFloat(m[1], 64); err != nil || since <= 0 {
		t.Errorf("%s seconds, %v", m[1], err)
	}
}

// TestNamesFollowTheConventions lints what is shown as promtool does.
func TestNamesFollowTheConventions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.everything()
	problems, err := promlint.New(strings.NewReader(w.scrape(t))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestDocumented holds the operators' page to the figures that there are.
func TestDocumented(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.everything()
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`sallyport_[a-z_]+`)
	told := map[string]bool{}
	for _, name := range names.FindAllString(string(page), -1) {
		told[name] = true
	}
	shown := map[string]bool{}
	for line := range strings.Lines(w.scrape(t)) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			if name = names.FindString(name); name != "" {
				shown[name] = true
			}
		}
	}
	for name := range shown {
		if !told[name] {
			t.Errorf("docs/operations.md does not tell of %s", name)
		}
	}
	for name := range told {
		if !shown[name] {
			t.Errorf("docs/operations.md tells of %s, which is not there", name)
		}
	}
}

func TestADatabaseThatIsAwayHidesNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.everything()
	if err := w.engine.Close(); err != nil {
		t.Fatal(err)
	}
	text := w.scrape(t)
	if strings.Contains(text, "sallyport_ledger_entries ") || !strings.Contains(text, "sallyport_certificates_issued_total 1") ||
		!strings.Contains(text, `sallyport_part_status{part="database",status="ok"} 1`) {
		t.Error(text)
	}
	if !strings.Contains(w.log.String(), "figures not read") {
		t.Errorf("the log does not say it: %s", w.log.String())
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := httptest.NewServer(w.page)
	t.Cleanup(s.Close)
	for _, tt := range []struct {
		method, path, host string
		status             int
	}{
		{http.MethodGet, "/metrics", "", 200},
		{http.MethodHead, "/metrics", "", 200},
		{http.MethodGet, "/metrics", "localhost:9464", 200},
		{http.MethodGet, "/metrics", "[::1]:9464", 200},
		{http.MethodGet, "/metrics", "evil.test", 421},
		{http.MethodGet, "/metrics", "127.0.0.1.evil.test:80", 421},
		{http.MethodPost, "/metrics", "", 405},
		{http.MethodGet, "/", "", 404},
		{http.MethodGet, "/metrics/", "", 404},
		{http.MethodGet, "/healthz", "", 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, s.URL+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.host != "" {
			req.Host = tt.host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		_ = resp.Body.Close() // it was read
		if resp.StatusCode != tt.status || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s at %q: %d, want %d", tt.method, tt.path, tt.host, resp.StatusCode, tt.status)
		}
	}
}
