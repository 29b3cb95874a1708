package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
)

// While others export, nobody waits in line: the database has other readers.
func TestExportsAreFew(t *testing.T) {
	t.Parallel()
	s := &Server{exports: make(chan struct{}, 1)}
	s.exports <- struct{}{}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/ledger/export", nil)
	if err := s.export(httptest.NewRecorder(), r, store.Session{}); !errors.Is(err, errExports) {
		t.Errorf("%v, want errExports", err)
	}
	if k, detail := classify(errExports); k.status != http.StatusServiceUnavailable || detail == "" {
		t.Errorf("it is told as %d %q", k.status, detail)
	}
}

// Nobody takes both of the places.
func TestExportsAreOneForEach(t *testing.T) {
	t.Parallel()
	s := &Server{exports: make(chan struct{}, maxExports)}
	s.exporting.Store(canon.ID("a"), true)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/ledger/export", nil)
	if err := s.export(httptest.NewRecorder(), r, store.Session{Person: "a"}); !errors.Is(err, errExporting) {
		t.Errorf("%v, want errExporting", err)
	}
	if k, detail := classify(errExporting); k.status != http.StatusServiceUnavailable || !strings.Contains(detail, "already") {
		t.Errorf("it is told as %d %q", k.status, detail)
	}
	s.exports = nil // there is no place for anybody
	for range 2 {   // who was refused is not exporting
		if err := s.export(httptest.NewRecorder(), r, store.Session{Person: "b"}); errors.Is(err, errExporting) || !errors.Is(err, errExports) {
			t.Errorf("%v, want errExports", err)
		}
	}
}

// TestExportsAreTaken: who takes an export by drops is given no more of it.
func TestExportsAreTaken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n      int64
		waited time.Duration
		slow   bool
	}{
		{0, exportGrace, false},
		{0, exportGrace + 1, true},
		{exportRate, exportGrace + time.Second, true},
		{2 * exportRate, exportGrace + time.Second, false},
		{10 * exportRate, 10 * time.Minute, false},
		{10*exportRate - 1, 10 * time.Minute, true},
	} {
		w := httptest.NewRecorder()
		p := &patient{w: w, rc: http.NewResponseController(w), n: tt.n, waited: tt.waited}
		if _, err := p.Write([]byte("x")); errors.Is(err, errExportSlow) != tt.slow || (w.Body.Len() == 0) != tt.slow {
			t.Errorf("%d bytes in %s: %v, %d written", tt.n, tt.waited, err, w.Body.Len())
		}
	}
}
