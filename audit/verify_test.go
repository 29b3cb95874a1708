package audit_test

import (
	"encoding/json"
	"testing"

	"github.com/sallyport/sallyport/audit"
)

func TestPromiseP12_AnHonestLedgerPasses(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]told{"whole": wholeStory(t), "random": randomStory(t, "random", 400)} {
		report := b.verify(t, b.bundle(b.entries()))
		text, _ := json.MarshalIndent(report, "", " ")
		if !report.OK() || report.Count(audit.Attested) != len(report.Certificates) || len(report.Certificates) == 0 {
			t.Errorf("%s: %s", name, text)
		}
		if name == "whole" {
			t.Logf("%s", text)
		}
	}
}
