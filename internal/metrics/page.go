package metrics

import (
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Path is where the page is.
const Path = "/metrics"

const (
	maxScrapes = 4 // at once
	scrapeTime = 10 * time.Second
)

// Handler shows the figures under Path. Over plain HTTP it answers only who calls
// it by an address or as localhost: a page of somebody else's, open in a browser
// on this machine, must not read it under a name of its own (DNS rebinding).
func (m *Metrics) Handler(logger *slog.Logger) http.Handler {
	page := promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slogAt(logger), MaxRequestsInFlight: maxScrapes, Timeout: scrapeTime,
		ErrorHandling: promhttp.ContinueOnError, // one source that fails hides no other
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case r.TLS == nil && !plainHost(r.Host):
			http.Error(w, "ask by address", http.StatusMisdirectedRequest)
		case r.URL.Path != Path:
			http.Error(w, "there is only "+Path, http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "it is only read", http.StatusMethodNotAllowed)
		default:
			page.ServeHTTP(w, r)
		}
	})
}

func plainHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	_, err = netip.ParseAddr(name)
	return name == "localhost" || err == nil
}

// slogAt is the logger of a library that knows the standard one.
func slogAt(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
}
