package contract_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/contract"
)

// TestRetention: a contract that says nothing keeps people readable for a year,
// and its digest is what it was before terms could say anything.
func TestRetention(t *testing.T) {
	t.Parallel()
	good := string(read(t, "good/terms.yaml"))
	before, err := contract.ParseTerms([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if want := (contract.Retention{Period: 365 * 24 * time.Hour}); before.Retention != want {
		t.Errorf("the default is %+v", before.Retention)
	}
	if text, err := before.Canonical(); err != nil || strings.Contains(string(text), "retention") {
		t.Errorf("the default is written out: %s, %v", text, err)
	}
	for period, want := range map[string]time.Duration{
		"10s": 10 * time.Second, "90d": 90 * 24 * time.Hour, "365d": 365 * 24 * time.Hour, "2190d": 2190 * 24 * time.Hour, "36525d": contract.MaxRetention,
	} {
		terms, err := contract.ParseTerms([]byte(good + "retention: {clause: §4.1, period: " + period + "}\n"))
		if err != nil {
			t.Errorf("%s: %v", period, err)
			continue
		}
		if terms.Retention != (contract.Retention{Clause: "§4.1", Period: want}) {
			t.Errorf("%s is read as %+v", period, terms.Retention)
		}
		text, err := terms.Canonical()
		if err != nil || !strings.Contains(string(text), `"retention":{"clause":"§4.1","period_seconds":`) {
			t.Errorf("%s: %s, %v", period, text, err)
		}
	}
	for line, want := range map[string]string{
		"{period: 90d}":                         "retention.clause: missing",
		"{clause: §4.1}":                        "retention.period: missing",
		"{clause: §4.1, period: 9s}":            "9s is too short; at least 10s",
		"{clause: §4.1, period: 36526d}":        "36526d is too long; at most 36525d",
		"{clause: §4.1, period: forever}":       `"forever" is no duration`,
		"{clause: §4.1, period: 90d, of: them}": "unknown key",
		"90d":                                   "expected a mapping",
	} {
		if _, err := contract.ParseTerms([]byte(good + "retention: " + line + "\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// TestRetentionIsCited: the clause that terms keep people by stands in the prose.
func TestRetentionIsCited(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{
		contract.TermsFile: append(read(t, "good/terms.yaml"), "retention: {clause: §9, period: 90d}\n"...),
		contract.ProseFile: read(t, "good/contract.md"),
	}
	manifest, err := contract.NewManifest(files)
	if err == nil {
		files[contract.ManifestFile] = manifest
		_, err = contract.Load(files)
	}
	if err == nil || !strings.Contains(err.Error(), "no heading for clause §9") {
		t.Errorf("%v", err)
	}
}
