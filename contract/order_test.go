package contract_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/contract"
)

// The class of an amendment is that of its only change, and the change back is
// the reverse.
func TestCompareOneChange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		do    func(*contract.Terms)
		path  string
		class contract.Class
	}{
		{"title", func(t *contract.Terms) { t.Title = "x" }, "contract.title", contract.Equivalent},
		{"shorter grant", func(t *contract.Terms) { t.Roles[0].Grant.Max = time.Minute }, "roles.db-reader.grant.max", contract.Narrowing},
		{"quorum", func(t *contract.Terms) { t.Roles[0].Paths[0].Stages[0].Quorum++ }, "roles.db-reader.paths", contract.Narrowing},
		{"role gone", func(t *contract.Terms) { t.Roles = t.Roles[1:] }, "roles.db-reader", contract.Narrowing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a, b := goodVersion(t).Terms, goodVersion(t).Terms
			tt.do(b)
			got := contract.Compare(a, b)
			if len(got.Changes) != 1 || got.Changes[0].Path != tt.path || got.Class != tt.class {
				t.Errorf("%+v, want %s at %s", got, tt.class, tt.path)
			}
			if same := contract.Compare(b, b); same.Class != contract.Equivalent || len(same.Changes) != 0 {
				t.Errorf("compared with itself: %+v", same)
			}
		})
	}
}
