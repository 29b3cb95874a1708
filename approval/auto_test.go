package approval_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
)

// A request without stages is granted, at the moment it was made, only if a guard did
// so; nobody's decision makes up for that.
func TestPromiseP05_OnlyAGuardGrantsWithoutStages(t *testing.T) {
	t.Parallel()
	leaf := canon.Sum("leaf")
	r := approval.Request{By: id(0), At: canon.At(start), Auto: true, Leaf: leaf}
	if s := r.Status(start.Add(time.Hour)); s.State != approval.Granted || !s.At.Equal(start) {
		t.Errorf("by a guard: %+v", s)
	}
	if r.GrantLeaf() != leaf {
		t.Error("its grant is in another leaf than its own")
	}
	claimed := r
	claimed.Auto = false
	if s := claimed.Status(start); s.State != approval.Expired {
		t.Errorf("by nobody: %+v", s)
	}
	decided := r
	decided.Decisions = []approval.Decision{{By: id(1), Verdict: approval.Approve, At: canon.At(start)}}
	if s := decided.Status(start); s.State != approval.Expired {
		t.Errorf("with a decision that no stage asked for: %+v", s)
	}
	staged := r
	staged.Stages = []approval.Stage{{ID: "lead", From: []string{"leads"}, Quorum: 1, Timeout: 60}}
	if s := staged.Status(start); s.State != approval.Pending {
		t.Errorf("marked so, with a stage: %+v", s)
	}
}
