package audit_test

import (
	"bytes"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/audittest"
)

// attempt is one changed bundle and what became of it.
type attempt struct {
	name   string
	bundle []byte
	report audit.Report
	err    error
}

// silent says that nothing was found.
func (a attempt) silent() bool { return a.err == nil && a.report.OK() }

// verifyAll verifies bundles on every core.
func verifyAll(t *testing.T, c audit.Config, list []attempt) {
	t.Helper()
	var wait sync.WaitGroup
	work := make(chan *attempt)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for a := range work {
				a.report, a.err = audit.Verify(t.Context(), bytes.NewReader(a.bundle), c)
			}
		})
	}
	for i := range list {
		work <- &list[i]
	}
	close(work)
	wait.Wait()
}

// Whoever has no key can change nothing in a bundle: no value of any line, no
// line's place. What is left out is missed where it matters, and told.
func TestPromiseP12_ATamperedBundleIsRefused(t *testing.T) {
	t.Parallel()
	b := wholeStory(t)
	bundle := b.bundle(b.entries())
	var list []attempt
	for _, c := range audittest.Tampered(bundle) {
		list = append(list, attempt{name: c.Name, bundle: c.Bundle})
	}
	verifyAll(t, b.config(), list)
	honest := b.verify(t, bundle)
	told := 0
	for _, a := range list {
		if !a.silent() {
			continue
		}
		// What is left out is no lie: the report says how much is missing, and what
		// rests on it does not pass.
		less := a.report.NoPerson > honest.NoPerson || a.report.Closed > honest.Closed || count(a.report, signed) < count(honest, signed)
		if !less || !strings.HasSuffix(a.name, "left out") {
			t.Errorf("%s: passes", a.name)
		}
		told++
	}
	t.Logf("%d bundles, %d of them without something that is not needed", len(list), told)
}

func signed(c audit.Certificate) bool { return c.Signed }

func count(r audit.Report, what func(audit.Certificate) bool) int {
	n := 0
	for _, c := range r.Certificates {
		if what(c) {
			n++
		}
	}
	return n
}
