// Package metrics owns the figures that an operator watches, in the form that
// Prometheus reads: their names, their labels, and the page that shows them.
//
// The packages that do the work tell it what happened, through small interfaces
// of their own; what is read from the database is read when the page is asked
// for. No label has a value that anybody outside wrote: each is one of a list that
// the code names.
package metrics

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
)

const namespace = "sallyport"

// Metrics counts what it is told. It is an authority.Observer and a
// server.Observer, and safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests *prometheus.CounterVec   // method, route, status
	answers  *prometheus.HistogramVec // route
	limited  *prometheus.CounterVec   // limit

	issued  prometheus.Counter
	void    prometheus.Counter
	refused *prometheus.CounterVec // reason

	batch         prometheus.Histogram
	write         prometheus.Histogram
	writeFailures prometheus.Counter

	checkpoint         prometheus.Histogram
	checkpointFailures prometheus.Counter

	signer         prometheus.Histogram
	signerFailures *prometheus.CounterVec // reason

	fetches *prometheus.CounterVec // document, outcome

	stuck *prometheus.CounterVec // consumer

	mu        sync.Mutex
	consumers []string // guarded by mu; whose lag is shown
}

var _ authority.Observer = (*Metrics)(nil)

// New returns Metrics that have counted nothing. version is the program's.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.server()
	m.certificates()
	m.storage()
	m.outside()
	m.stuck = m.counters("consumer_failures_total", "Times that a consumer of the ledger could not take the entries that were its turn.", "consumer")
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1, with the version of sallyd as a label.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) server() {
	m.requests = m.counters("http_requests_total", "Requests that were answered.", "method", "route", "status")
	m.answers = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "http_request_duration_seconds", Help: "How long requests took to be answered.", Buckets: prometheus.DefBuckets,
	}, []string{"route"})
	m.registry.MustRegister(m.answers)
	m.limited = m.counters("rate_limited_total", "Requests that were refused because of a rate limit.", "limit")
}

func (m *Metrics) certificates() {
	m.issued = m.counter("certificates_issued_total", "Certificates that were made and released.")
	m.void = m.counter("certificates_void_total", "Certificates that were recorded and will never be signed.")
	m.refused = m.counters("certificates_refused_total", "Calls for a certificate that were refused, by the type of the problem.", "reason")
}

func (m *Metrics) storage() {
	m.batch = m.histogram("write_batch_size", "Writes that shared one transaction.", prometheus.ExponentialBuckets(1, 2, 9))
	m.write = m.histogram("write_duration_seconds", "How long a transaction of the writer took, its sync to disk included.", prometheus.DefBuckets)
	m.writeFailures = m.counter("write_failures_total", "Transactions of the writer that failed as a whole.")
	m.checkpoint = m.histogram("checkpoint_duration_seconds", "How long a checkpoint took to be checked, signed and kept.", prometheus.DefBuckets)
	m.checkpointFailures = m.counter("checkpoint_failures_total", "Checkpoints that could not be signed or kept.")
}

func (m *Metrics) outside() {
	m.signer = m.histogram("signer_duration_seconds", "How long the authority key took for a certificate's signature.", prometheus.DefBuckets)
	m.signerFailures = m.counters("signer_failures_total", "Signatures that the authority key did not give.", "reason")
	m.fetches = m.counters("provider_fetches_total", "Documents that identity providers were asked for.", "document", "outcome")
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

// Requested counts a request that was answered. method is one that HTTP names or "other",
// route the template of its address or "none".
func (m *Metrics) Requested(method, route string, status int, took time.Duration) {
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.answers.WithLabelValues(route).Observe(took.Seconds())
}

// Limited counts a request that was refused because of a rate limit.
func (m *Metrics) Limited(limit string) { m.limited.WithLabelValues(limit).Inc() }

// NotIssued counts a call for a certificate that was refused; problem is the last
// part of its type.
func (m *Metrics) NotIssued(problem string) { m.refused.WithLabelValues(problem).Inc() }

// Issued implements authority.Observer.
func (m *Metrics) Issued() { m.issued.Inc() }

// Voided implements authority.Observer.
func (m *Metrics) Voided(n int) { m.void.Add(float64(n)) }

// CheckpointSigned implements authority.Observer.
func (m *Metrics) CheckpointSigned(took time.Duration, err error) {
	if err != nil {
		m.checkpointFailures.Inc()
		return
	}
	m.checkpoint.Observe(took.Seconds())
}

// SignerAsked implements authority.Observer.
func (m *Metrics) SignerAsked(took time.Duration, err error) {
	m.signer.Observe(took.Seconds())
	switch {
	case err == nil:
	case errors.Is(err, ca.ErrUnavailable):
		m.signerFailures.WithLabelValues("unavailable").Inc()
	default:
		m.signerFailures.WithLabelValues("unusable").Inc()
	}
}

// ProviderAsked implements authority.Observer.
func (m *Metrics) ProviderAsked(document string, err error) {
	outcome := "ok"
	switch {
	case errors.Is(err, oidc.ErrMetadata):
		outcome = "unusable"
	case err != nil:
		outcome = "unreachable"
	}
	m.fetches.WithLabelValues(document, outcome).Inc()
}

// ConsumerFailed counts a try at which a consumer of the ledger did not take what
// was its turn.
func (m *Metrics) ConsumerFailed(consumer string) { m.stuck.WithLabelValues(consumer).Inc() }

// WatchConsumer has the page show how far behind a consumer is. The name is one
// that the code has.
func (m *Metrics) WatchConsumer(consumer string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.consumers = append(m.consumers, consumer)
	m.stuck.WithLabelValues(consumer)
}

// watches reports whether a consumer's lag is shown.
func (m *Metrics) watches(consumer string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.consumers, consumer)
}

// Wrote is for store.Config.Observe.
func (m *Metrics) Wrote(t store.Transaction) {
	if t.Err != nil {
		m.writeFailures.Inc()
		return
	}
	m.batch.Observe(float64(t.Writes))
	m.write.Observe(t.Took.Seconds())
}
