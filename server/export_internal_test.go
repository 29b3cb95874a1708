package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

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
