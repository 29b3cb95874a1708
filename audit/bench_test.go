package audit_test

import (
	"bytes"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/audit"
)

// manyCertificates is a ledger in which people ask, decide and have so many
// certificates made, one a request.
func manyCertificates(t fataler, n int) told {
	b := newTold(t, "many certificates")
	for range n {
		b.pass(time.Second)
		b.issue(b.w.Granted(b.m, 0))
		if b.m.Clock.Time().Sub(b.w.Alice.Claims.ClaimsAt.Time()) > 10*time.Minute {
			must(t, b.w.LogIn(b.m, b.w.Alice))
			must(t, b.w.LogIn(b.m, b.w.Bob))
		}
	}
	return b
}

// BenchmarkVerify replays a ledger in which every third leaf is a certificate,
// with every signature.
func BenchmarkVerify(b *testing.B) {
	ledger := manyCertificates(b, 2000)
	entries := ledger.entries()
	bundle := ledger.bundle(entries)
	before, certificates := cpu(), 0
	for b.Loop() {
		report, err := audit.Verify(b.Context(), bytes.NewReader(bundle), ledger.config())
		if err != nil || !report.OK() {
			b.Fatal(report.Findings, err)
		}
		certificates = len(report.Certificates)
	}
	report(b, before, certificates, "certificates")
}

// BenchmarkOpen is tree and commitments alone: lines are read and opened, and the
// tree is built.
func BenchmarkOpen(b *testing.B) {
	ledger := newTold(b, "logins")
	for range 2000 {
		ledger.pass(time.Second)
		must(b, ledger.w.LogIn(ledger.m, ledger.w.Alice))
	}
	entries := ledger.entries()
	bundle := ledger.bundle(entries)
	before := cpu()
	for b.Loop() {
		if _, _, err := audit.CheckTree(b.Context(), bytes.NewReader(bundle), ledger.config().LogKeys); err != nil {
			b.Fatal(err)
		}
	}
	report(b, before, len(entries), "leaves")
}

// report says how much was done in a second, and in a second of processor time,
// which does not depend on who else uses the machine.
func report(b *testing.B, before time.Duration, n int, what string) {
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), what+"/s")
	b.ReportMetric(float64(n*b.N)/(cpu()-before).Seconds(), what+"/cpu-s")
	b.ReportMetric(0, "ns/op")
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
