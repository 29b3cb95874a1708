package server

import (
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/internal/store"
)

// OpenFor is openFor, for tests with a world.
func OpenFor(r *store.Reader, ask audit.FeedRequest, most int) (audit.FeedPage, error) {
	return openFor(r, ask, most)
}
