package canary_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// scrape reads the figures as Prometheus does.
func (s *story) scrape() string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.MetricsURL(), nil)
	must(s.t, err)
	resp, err := http.DefaultClient.Do(req)
	must(s.t, err)
	text, err := io.ReadAll(resp.Body)
	must(s.t, err)
	_ = resp.Body.Close() // it was read
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("the figures: %d %s", resp.StatusCode, text)
	}
	return string(text)
}

// labels are the values that a label may have. Whatever happens, there are no
// others.
var labels = map[string]string{
	"method":   `GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|other`,
	"route":    `none|/|(/[a-z0-9]+|/\{[a-z]+\})+`,
	"status":   `[1-5][0-9][0-9]`,
	"limit":    `person|taking_away|address|login|logins`,
	"reason":   `[a-z]+(-[a-z]+)*`,
	"kind":     `web|cli`,
	"document": `metadata|keys`,
	"outcome":  `ok|unreachable|unusable`,
	"part":     `database|ledger|witnesses|signer|clock|contract|identity_providers`,
	"consumer": `siem_file|siem_syslog`,
	"version":  `dev`,
}

// most series that a figure may have, by name; a histogram's labels are meant.
var mostSeries = map[string]int{
	"sallyport_http_requests_total": 400, "sallyport_http_request_duration_seconds": 50, "sallyport_part_status": 21,
}

// checkFigures parses the figures, lints their names, holds series and labels to
// their bounds, and looks whether they tell what happened.
func checkFigures(t *testing.T, text string, wanted []figure) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, family := range families {
		if !strings.HasPrefix(name, "sallyport_") {
			continue // the Go runtime's and the process's own
		}
		most, ok := mostSeries[name]
		if !ok {
			most = 12
		}
		if n := len(family.GetMetric()); n > most {
			t.Errorf("%s has %d series, at most %d are expected", name, n, most)
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				pattern := labels[label.GetName()]
				if name == "sallyport_part_status" && label.GetName() == "status" {
					pattern = `ok|degraded|failed`
				}
				if pattern == "" || !regexp.MustCompile(`^(`+pattern+`)$`).MatchString(label.GetValue()) {
					t.Errorf("%s has the label %s=%q", name, label.GetName(), label.GetValue())
				}
			}
		}
	}
	for _, f := range wanted {
		if got := f.in(families); got < f.least {
			t.Errorf("%s%v is %v, want at least %v", f.name, f.labels, got, f.least)
		}
	}
}

// figure is one that has to be there: the sum over the series with these labels.
type figure struct {
	name   string
	labels []string // name=value
	least  float64
}

func (f figure) in(families map[string]*dto.MetricFamily) float64 {
	total := 0.0
	for _, m := range families[f.name].GetMetric() {
		all := " "
		for _, l := range m.GetLabel() {
			all += l.GetName() + "=" + l.GetValue() + " "
		}
		matches := true
		for _, want := range f.labels {
			matches = matches && strings.Contains(all, " "+want+" ")
		}
		if matches {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return total
}

// ofTheStory are the figures after all went well.
var ofTheStory = []figure{
	{"sallyport_certificates_issued_total", nil, 1},
	{"sallyport_signer_duration_seconds", nil, 1},
	{"sallyport_checkpoint_duration_seconds", nil, 5},
	{"sallyport_http_requests_total", []string{"method=POST", "route=/v1/grants/{id}/certificates", "status=200"}, 1},
	{"sallyport_http_requests_total", []string{"method=POST", "route=/requests/{id}/decisions", "status=303"}, 2},
	{"sallyport_http_requests_total", []string{"method=POST", "route=/v1/sessions", "status=201"}, 1},
	{"sallyport_provider_fetches_total", []string{"document=metadata", "outcome=ok"}, 1},
	{"sallyport_provider_fetches_total", []string{"document=keys", "outcome=ok"}, 1},
	{"sallyport_sessions_open", []string{"kind=web"}, 1},
	{"sallyport_sessions_open", []string{"kind=cli"}, 1},
	{"sallyport_part_status", []string{"part=identity_providers", "status=ok"}, 1},
}

// ofTheNoise are the figures at the end. sallyd was started anew before the noise:
// 600 requests with made-up addresses, methods, bearers and cookies.
var ofTheNoise = []figure{
	{"sallyport_http_requests_total", []string{"method=other", "route=none", "status=404"}, 100},
	{"sallyport_http_requests_total", []string{"method=POST", "route=/v1/challenges", "status=200"}, 20},
	{"sallyport_http_requests_total", []string{"method=POST", "route=/v1/challenges", "status=429"}, 20},
	{"sallyport_http_request_duration_seconds", []string{"route=/v1/challenges"}, 100},
	{"sallyport_rate_limited_total", []string{"limit=login"}, 20},
	{"sallyport_write_batch_size", nil, 20},
	{"sallyport_write_duration_seconds", nil, 20},
	{"sallyport_ledger_entries", nil, 20},
	{"sallyport_ledger_signed_entries", nil, 20},
	{"sallyport_provider_fetches_total", []string{"document=metadata", "outcome=unreachable"}, 1},
	{"sallyport_part_status", []string{"part=identity_providers", "status=failed"}, 1},
	{"sallyport_part_status", []string{"part=signer", "status=ok"}, 1},
	{"sallyport_sessions_open", []string{"kind=web"}, 1},
	{"sallyport_sessions_open", []string{"kind=cli"}, 1},
	{"sallyport_build_info", nil, 1},
	{"go_goroutines", nil, 1},
	{"process_open_fds", nil, 1},
}
