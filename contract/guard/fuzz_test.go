package guard_test

import (
	"errors"
	"testing"

	"github.com/sallyport/sallyport/contract/guard"
)

// What is accepted has a canonical text that is accepted, and an outcome; what
// is refused has a place and an error that upsets no terminal.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "ticket", `grant_seconds <= 3600 && ticket && !first_time_host && "sre" in groups && "de-business" in calendars`,
		`!(hosts in [1, 2] || flow != "co\"de\\") && issuer in ["acme"]`, "((((((((((ticket", "!!!!!!!!!!ticket", `"\`, `"a" in`, "hosts in [", "hosts == 99999999999999999999", "\xff\u202e",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, err := guard.Parse(src)
		if err != nil {
			se, ok := errors.AsType[*guard.SyntaxError](err)
			if !ok || e != nil || se.Column < 1 || se.Column > len([]rune(src))+1 {
				t.Fatalf("%#v", err)
			}
			for _, r := range se.Error() {
				if r < ' ' || r > '~' && r != '…' && r < 0xa0 || r == '\u202e' {
					t.Fatalf("the error would upset a terminal: %q", se.Error())
				}
			}
			return
		}
		again, err := guard.Parse(e.String())
		if err != nil || again.String() != e.String() {
			t.Fatalf("canonical text %s: %v, %v", e, again, err)
		}
		a, err := e.Eval(known())
		if err != nil {
			t.Fatal(err)
		}
		if b, err := again.Eval(known()); err != nil || a != b {
			t.Fatalf("%s is %t, its canonical text %t, %v", src, a, b, err)
		}
		if _, err := e.Eval(nil); !errors.Is(err, guard.ErrMissing) {
			t.Fatalf("no facts: %v", err)
		}
		if cells, err := guard.Cells(e); err == nil {
			for cell := range cells {
				if _, err := e.Eval(cell); err != nil && !errors.Is(err, guard.ErrMissing) {
					t.Fatalf("%s in the cell %v: %v", e, cell, err)
				}
				break
			}
		}
	})
}
