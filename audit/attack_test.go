package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
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
	lines := bytes.Split(bytes.TrimSuffix(bundle, []byte("\n")), []byte("\n"))
	values := make([]map[string]any, len(lines))
	seen := pool{}
	for i, line := range lines {
		v, err := parseJSON(line)
		must(t, err)
		values[i] = v
		seen.collect(v, "")
	}
	var list []attempt
	for i, v := range values {
		for _, m := range append(seen.mutants(v, ""), without(v)...) {
			changed := slices.Clone(lines)
			changed[i] = written(m.value)
			if i < len(lines)-1 {
				changed = recounted(t, changed)
			}
			list = append(list, attempt{name: fmt.Sprintf("line %d, %s %s", i+1, m.path, m.how), bundle: joined(changed)})
		}
	}
	list = append(list, movedLines(t, lines)...)
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

// without leaves out, in a leaf's line, what belongs together: the certificate,
// the person part, all that the leaf hides.
func without(line map[string]any) []mutant {
	var out []mutant
	for name, keys := range map[string][]string{
		"certificate": {"certificate"}, "person": {"person", "person_salt"}, "opening": {"person", "person_salt", "facts", "facts_salt", "certificate"},
	} {
		less := maps.Clone(line)
		for _, k := range keys {
			delete(less, k)
		}
		if len(less) < len(line) {
			out = append(out, mutant{name, "left out", less})
		}
	}
	return out
}

// movedLines are bundles whose lines are whole and stand elsewhere.
func movedLines(t *testing.T, lines [][]byte) []attempt {
	t.Helper()
	var list []attempt
	add := func(name string, lines [][]byte) { list = append(list, attempt{name: name, bundle: joined(lines)}) }
	for i := range lines {
		dropped := slices.Delete(slices.Clone(lines), i, i+1)
		doubled := slices.Insert(slices.Clone(lines), i, lines[i])
		add(fmt.Sprintf("line %d dropped", i+1), dropped)
		add(fmt.Sprintf("line %d twice", i+1), doubled)
		if i > 0 && i < len(lines)-1 {
			add(fmt.Sprintf("line %d dropped, the next ones numbered again", i+1), renumbered(t, dropped))
			add(fmt.Sprintf("line %d twice, the next ones numbered again", i+1), renumbered(t, doubled))
		}
		if i+1 < len(lines) {
			swapped := slices.Clone(lines)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			add(fmt.Sprintf("lines %d and %d swapped", i+1, i+2), swapped)
			if i > 0 && i+2 < len(lines) {
				add(fmt.Sprintf("lines %d and %d swapped, numbered again", i+1, i+2), renumbered(t, swapped))
			}
		}
	}
	whole := joined(lines)
	at := 0
	for i, line := range lines {
		for _, cut := range []int{at, at + len(line)/2, at + len(line)} {
			list = append(list, attempt{name: fmt.Sprintf("cut off in line %d", i+1), bundle: whole[:cut]})
		}
		at += len(line) + 1
	}
	list = append(list,
		attempt{name: "a line behind the last", bundle: append(slices.Clone(whole), "{}\n"...)},
		attempt{name: "an empty line behind the last", bundle: append(slices.Clone(whole), '\n')},
		attempt{name: "the bundle twice", bundle: append(slices.Clone(whole), whole...)},
		attempt{name: "with carriage returns", bundle: bytes.ReplaceAll(whole, []byte("\n"), []byte("\r\n"))},
		attempt{name: "with a byte order mark", bundle: append([]byte("\uFEFF"), whole...)},
	)
	return list
}

// renumbered gives the leaves their places' indexes, and counts them anew.
func renumbered(t *testing.T, lines [][]byte) [][]byte {
	t.Helper()
	out := make([][]byte, len(lines))
	for i, line := range lines {
		v, err := parseJSON(line)
		must(t, err)
		switch {
		case i == 0:
			v["size"] = json.Number(fmt.Sprint(len(lines) - 2))
		case i < len(lines)-1:
			v["index"] = json.Number(fmt.Sprint(i - 1))
		}
		out[i] = written(v)
	}
	return recounted(t, out)
}

func joined(lines [][]byte) []byte { return append(bytes.Join(lines, []byte("\n")), '\n') }

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

// recounted has a last line that counts right.
func recounted(t *testing.T, lines [][]byte) [][]byte {
	t.Helper()
	last := len(lines) - 1
	end, err := parseJSON(lines[last])
	must(t, err)
	counts := map[string]int{"facts": 0, "person": 0, "certificate": 0, "index": 0}
	for _, line := range lines[1:last] {
		members, err := canon.Members(line)
		if err != nil {
			return lines // it is refused for more than its numbers
		}
		for _, m := range members {
			counts[m.Key]++
		}
	}
	for name, member := range map[string]string{"facts": "facts", "persons": "person", "certificates": "certificate", "leaves": "index"} {
		end[name] = json.Number(fmt.Sprint(counts[member]))
	}
	out := slices.Clone(lines)
	out[last] = written(end)
	return out
}
