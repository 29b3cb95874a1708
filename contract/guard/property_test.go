package guard_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/contract/guard"
)

// drawGuard draws the source of a guard, with more parentheses and spaces than it needs.
func drawGuard(t *rapid.T, depth int) string {
	pad := rapid.SampledFrom([]string{"", " ", "  ", "\t", "\n"})
	if depth > 0 {
		switch rapid.IntRange(0, 5).Draw(t, "form") {
		case 0:
			return drawGuard(t, depth-1) + pad.Draw(t, "pad") + "&&" + pad.Draw(t, "pad") + drawGuard(t, depth-1)
		case 1:
			return drawGuard(t, depth-1) + pad.Draw(t, "pad") + "||" + pad.Draw(t, "pad") + drawGuard(t, depth-1)
		case 2:
			return "!" + pad.Draw(t, "pad") + "(" + drawGuard(t, depth-1) + ")"
		case 3:
			return "(" + pad.Draw(t, "pad") + drawGuard(t, depth-1) + pad.Draw(t, "pad") + ")"
		}
	}
	return drawTest(t)
}

var words = []string{"a", "b", "c", `d"\`}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func drawTest(t *rapid.T) string {
	name := rapid.SampledFrom([]string{"grant_seconds", "hosts", "hosts", "ticket", "first_time_host", "groups", "logins", "flow", "issuer"}).Draw(t, "field")
	word := func() string { return quoted(rapid.SampledFrom(words).Draw(t, "word")) }
	number := func() string { return fmt.Sprint(drawNumber(t, name)) }
	switch guard.Known[name].Type {
	case guard.Int:
		if rapid.Bool().Draw(t, "list") {
			return name + " in [" + number() + "]"
		}
		return name + " " + rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "op") + " " + number()
	case guard.Bool:
		return rapid.SampledFrom([]string{name, "!" + name, "!!" + name, name + " == true", name + " != true", name + "==false", name + "!=false"}).Draw(t, "bool")
	case guard.Set:
		return word() + " in " + name
	case guard.String:
		if rapid.Bool().Draw(t, "list") {
			if a, b := word(), word(); a != b {
				return name + " in [" + a + ", " + b + "]"
			}
		}
		return name + " " + rapid.SampledFrom([]string{"==", "!="}).Draw(t, "op") + " " + word()
	}
	panic(name)
}

// drawNumber draws a constant near the numbers that others draw, or at an end of the range.
func drawNumber(t *rapid.T, name string) int64 {
	f := guard.Known[name]
	return rapid.SampledFrom([]int64{0, f.Least - 1, f.Least, f.Least + 1, 20, 21, 22, 23, 40, f.Most - 1, f.Most, f.Most + 1, f.Most + 40}).Draw(t, "number")
}

// drawFacts draws a value for every field; missing says whether some may be missing.
func drawFacts(t *rapid.T, missing bool) guard.Facts {
	facts := guard.Facts{}
	for _, name := range []string{"grant_seconds", "hosts", "ticket", "first_time_host", "groups", "logins", "flow", "issuer"} {
		if missing && rapid.IntRange(0, 19).Draw(t, "missing") == 0 {
			continue
		}
		f := guard.Known[name]
		switch f.Type {
		case guard.Int:
			n := rapid.OneOf(rapid.Int64Range(f.Least, f.Most), rapid.Int64Range(f.Least, 50), rapid.Int64Range(max(f.Least, f.Most-3), f.Most)).Draw(t, name)
			facts[name] = guard.OfInt(n)
		case guard.Bool:
			facts[name] = guard.OfBool(rapid.Bool().Draw(t, name))
		case guard.String:
			facts[name] = guard.OfString(rapid.SampledFrom(append([]string{"other", "zz", ""}, words...)).Draw(t, name))
		case guard.Set:
			facts[name] = guard.OfSet(rapid.SliceOfN(rapid.SampledFrom(append([]string{"zz"}, words...)), 0, 4).Draw(t, name)...)
		}
	}
	return facts
}

// outcome is what a guard makes of facts.
func outcome(t *rapid.T, e *guard.Expr, facts guard.Facts) string {
	ok, err := e.Eval(facts)
	switch {
	case err == nil:
		return fmt.Sprint(ok)
	case errors.Is(err, guard.ErrMissing) && !ok:
		return "missing"
	}
	t.Fatalf("%s of %v: %t, %v", e, facts, ok, err)
	return ""
}

func parse(t *rapid.T, src string) *guard.Expr {
	e, err := guard.Parse(src)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return e
}

// For all facts there is a cell where both guards do the same: what holds in all
// cells holds always.
func TestCellsAreComplete(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := parse(t, drawGuard(t, 2)), parse(t, drawGuard(t, 2))
		cells, err := guard.Cells(a, nil, b)
		if errors.Is(err, guard.ErrCells) {
			t.Skip("too many cells")
		}
		if err != nil {
			t.Fatal(err)
		}
		seen := map[[2]string]bool{}
		for cell := range cells {
			seen[[2]string{outcome(t, a, cell), outcome(t, b, cell)}] = true
		}
		for range 20 {
			facts := drawFacts(t, true)
			if got := [2]string{outcome(t, a, facts), outcome(t, b, facts)}; !seen[got] {
				t.Fatalf("%s and %s are %v for %v, and in no cell", a, b, got, facts)
			}
		}
	})
}

// The canonical text means the same, and is its own canonical text.
func TestCanonicalTextMeansTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := parse(t, drawGuard(t, 4))
		b := parse(t, a.String())
		if a.String() != b.String() {
			t.Fatalf("%s becomes %s", a, b)
		}
		facts := drawFacts(t, true)
		if x, y := outcome(t, a, facts), outcome(t, b, facts); x != y {
			t.Fatalf("%s is %s, as canonical text %s", a, x, y)
		}
	})
}

func TestCells(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		src  string
		want int // how many, missing included
	}{
		{"ticket", 3},
		{"ticket && ticket", 3},
		{"grant_seconds <= 3600", 4},
		{"grant_seconds <= 3600 || grant_seconds <= 3601", 5},
		{"hosts >= 1", 3},  // none has no hosts
		{"hosts > 64", 3},  // nor 65
		{"hosts > 100", 2}, // no number of hosts is special
		{`flow == "code"`, 3},
		{`flow in ["code", "other"]`, 4},
		{`"a" in groups || "b" in groups`, 5},
		{`"a" in groups && ticket && hosts == 5`, 36},
	} {
		e, err := guard.Parse(tt.src)
		if err != nil {
			t.Fatal(err)
		}
		cells, err := guard.Cells(e)
		if err != nil {
			t.Fatal(err)
		}
		different := map[string]bool{}
		for cell := range cells {
			different[fmt.Sprint(cell)] = true
		}
		if len(different) != tt.want {
			t.Errorf("%s has %d cells, want %d", tt.src, len(different), tt.want)
		}
		for range cells {
			break // asking for one only is no fault
		}
	}
	one, err := guard.Cells(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for cell := range one {
		if len(cell) != 0 {
			t.Errorf("no guard has the cell %v", cell)
		}
	}
}

func TestCellsAreBounded(t *testing.T) {
	t.Parallel()
	groups := func(n int) string {
		tests := make([]string, n)
		for i := range tests {
			tests[i] = fmt.Sprintf(`"g%d" in groups`, i)
		}
		return strings.Join(tests, " || ")
	}
	for _, tt := range []struct {
		src string
		ok  bool
	}{
		{groups(16), true}, // 2^16+1
		{groups(17), false},
		{groups(120), false},
		{groups(14) + " && hosts == 5", true},            // (2^14+1)·4
		{groups(14) + " && hosts == 5 && ticket", false}, // ·3
		{groups(14) + " && hosts in [5, 9, 13]", false},  // (2^14+1)·10
		{groups(5) + " && " + "hosts != 5 || hosts != 6", true},
	} {
		e, err := guard.Parse(tt.src)
		if err != nil {
			t.Fatal(err)
		}
		cells, err := guard.Cells(e)
		if (err == nil) != tt.ok || !tt.ok && (!errors.Is(err, guard.ErrCells) || cells != nil) {
			t.Errorf("%s: %v", tt.src, err)
		}
	}
}
