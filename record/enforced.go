package record

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/contract"
)

// enforced refuses a version that says what nothing would enforce: nobody signs
// words here that the server does not keep.
func enforced(version *contract.Version) error {
	list := contract.Unenforced(version.Terms)
	if len(list) == 0 {
		return nil
	}
	return fmt.Errorf("contract %s version %d: %w: %s; take that out of terms.yaml and propose it again, or update the server first if a newer release enforces it",
		version.Terms.ID, version.Manifest.Version, ErrUnenforced, strings.Join(list, "; "))
}
