package metrics

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// readTime is how long the database and the parts have to say how they are.
const readTime = 5 * time.Second

// Sources are read each time that the page is asked for. All are required.
type Sources struct {
	Store *store.Store
	// Ready returns how the parts of the server are; it is cheap to ask.
	Ready  func(context.Context) (api.Readiness, error)
	Now    func() time.Time
	Logger *slog.Logger
}

// Watch has the page show what the sources say. It is called once.
func (m *Metrics) Watch(s Sources) {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	m.registry.MustRegister(&reader{
		Sources: s, watches: m.watches,
		behind:   desc("consumer_lag_entries", "Signed entries that a consumer of the ledger has not taken.", "consumer"),
		since:    desc("consumer_lag_seconds", "How long ago the first entry was recorded that a consumer has not taken; 0 if it has all.", "consumer"),
		waiting:  desc("writes_waiting", "Writes that wait for the writer."),
		entries:  desc("ledger_entries", "Entries of the ledger."),
		signed:   desc("ledger_signed_entries", "Entries under the newest signed checkpoint."),
		sessions: desc("sessions_open", "Sessions that are alive, by kind.", "kind"),
		part:     desc("part_status", "1 for the status that the part has now, as /readyz tells it; 0 for the others.", "part", "status"),
	})
}

// reader is a prometheus.Collector. What can't be read is left out.
type reader struct {
	Sources
	watches                                                 func(consumer string) bool
	waiting, entries, signed, sessions, part, behind, since *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (r *reader) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{r.waiting, r.entries, r.signed, r.sessions, r.part, r.behind, r.since} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (r *reader) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), readTime)
	defer cancel()
	gauge := func(d *prometheus.Desc, n float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, n, labels...)
	}
	gauge(r.waiting, float64(r.Store.Waiting()))
	err := r.Store.Read(ctx, func(db *store.Reader) error {
		head, err := db.Head()
		if err != nil {
			return err
		}
		gauge(r.entries, float64(head.Tree.Size))
		size, _, _, err := db.Checkpoint()
		if err != nil && !errors.Is(err, record.ErrNotFound) {
			return err
		}
		gauge(r.signed, float64(size))
		for _, kind := range []store.SessionKind{store.Web, store.CLI} {
			n, err := db.CountSessions(kind, canon.At(r.Now()))
			if err != nil {
				return err
			}
			gauge(r.sessions, float64(n), string(kind))
		}
		return r.lags(db, size, gauge)
	})
	if err != nil {
		r.Logger.LogAttrs(ctx, slog.LevelWarn, "figures not read", slog.Any("error", err))
	}
	ready, err := r.Ready(ctx)
	if err != nil {
		r.Logger.LogAttrs(ctx, slog.LevelWarn, "figures not read", slog.Any("error", err))
		return
	}
	for _, p := range ready.Parts {
		for _, status := range []string{api.PartOK, api.PartDegraded, api.PartFailed} {
			n := 0.0
			if p.Status == status {
				n = 1
			}
			gauge(r.part, n, p.Part, status)
		}
	}
}

// lags shows how far behind the consumers are.
func (r *reader) lags(db *store.Reader, signed int64, gauge func(d *prometheus.Desc, n float64, labels ...string)) error {
	list, err := db.Cursors()
	if err != nil {
		return err
	}
	for _, c := range list {
		if !r.watches(c.Name) {
			continue
		}
		behind, since := max(0, signed-c.Next), 0.0
		if behind > 0 {
			next, err := db.Entry(c.Next)
			if err != nil {
				return err
			}
			since = max(0, r.Now().Sub(next.At.Time()).Seconds())
		}
		gauge(r.behind, float64(behind), c.Name)
		gauge(r.since, since, c.Name)
	}
	return nil
}
