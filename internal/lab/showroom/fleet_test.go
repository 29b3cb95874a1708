package showroom_test

import (
	"testing"

	"github.com/sallyport/sallyport/internal/lab/browser"
)

// fleet: who looks after hosts sees at one look which of them do not enforce the
// ledger.
func fleet(t *testing.T, r *room, look browser.Look) {
	bob := r.tab(t, r.Bob, look, "/")
	bob.click(".places a[href='/hosts']")
	bob.shows("Hosts", "of them do not enforce the ledger", "web-1.demo", "not enforcing", "It never said a word", "sally hosts list")
	bob.clean("the hosts")
}
