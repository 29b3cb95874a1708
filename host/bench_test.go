package host_test

import "testing"

// BenchmarkCheck is the verifier inside of a process: no start, no files.
func BenchmarkCheck(b *testing.B) {
	w := world(b)
	wire := w.Issue(template(b, w)).Marshal()
	v := verifier(b, w, nil)
	for b.Loop() {
		if verdict := v.Check(wire, "ops", now); verdict.Refused != nil {
			b.Fatal(verdict.Refused)
		}
	}
}
