package main

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const sample = `# Whoever asked may say yes.
promise: P03
file: door/door.go
test: ./door ./...
run: TestOpen

--- old
	one
--- new
	1
--- old
	two
--- new
`

func TestParseFault(t *testing.T) {
	t.Parallel()
	got, err := ParseFault("self-approval", sample)
	if err != nil {
		t.Fatal(err)
	}
	want := Fault{
		Name: "self-approval", Promise: "P03", File: "door/door.go", Packages: []string{"./door", "./..."}, Run: "TestOpen",
		Edits: []Edit{{Old: "\tone\n", New: "\t1\n"}, {Old: "\ttwo\n"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// An editor that drops the last newline changes nothing.
	if again, err := ParseFault("self-approval", strings.TrimSuffix(sample, "\n")); err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("without its last newline: %+v, %v", again, err)
	}
}

func TestParseFaultRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, fault, old, new, says string }{
		{name: "a name with a capital", fault: "Self", says: "lower-case words"},
		{name: "no edit", old: sample[strings.Index(sample, oldMark):], says: `no line "--- old"`},
		{name: "an unknown key", old: "run: TestOpen", new: "skip: yes", says: `line 5: unknown key "skip"`},
		{name: "a key twice", old: "run: TestOpen", new: "test: .", says: "line 5: test stands twice"},
		{name: "a key without a value", old: "run: TestOpen", new: "run:", says: "line 5: want `key: value`"},
		{name: "no promise", old: "promise: P03\n", says: "promise: want P01"},
		{name: "a file outside", old: "door/door.go", new: "../door.go", says: "file: want a file"},
		{name: "an absolute file", old: "door/door.go", new: "/door.go", says: "file: want a file"},
		{name: "a fault in a test", old: "door/door.go", new: "door/door_test.go", says: "file: want a file"},
		{name: "no packages", old: "test: ./door ./...\n", says: "test: want package patterns"},
		{name: "a flag for a package", old: "./door", new: "-exec=true", says: "test: want patterns that begin with ./"},
		{name: "a bad pattern", old: "TestOpen", new: "Test(", says: "run: error parsing regexp"},
		{name: "new before old", old: "--- old\n\tone\n", says: `"--- new" without "--- old" before it`},
		{name: "old without new", old: "--- new\n\t1\n", says: `two times "--- old"`},
		{name: "old at the end", old: "\ttwo\n--- new\n", new: "\ttwo\n", says: `"--- old" without "--- new" behind it`},
		{name: "new twice", old: "\t1\n", new: "--- new\n", says: `"--- new" without "--- old" before it`},
		{name: "an empty old text", old: "\ttwo\n", says: "edit 2: the old text is empty"},
		{name: "no change", old: "\t1\n", new: "\tone\n", says: "edit 1: old and new text are the same"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name := "self-approval"
			if tt.fault != "" {
				name = tt.fault
			}
			text := strings.Replace(sample, tt.old, tt.new, 1)
			if tt.old != "" && text == sample {
				t.Fatalf("the sample has no %q", tt.old)
			}
			_, err := ParseFault(name, text)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want an error with %q", err, tt.says)
			}
		})
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	edit := func(old, new string) []Edit { return []Edit{{old, new}} }
	tests := []struct {
		name  string
		text  string
		edits []Edit
		want  string // empty: refused
		says  string
	}{
		{name: "in the middle", text: "a\nb\nc\n", edits: edit("b\n", "B\n"), want: "a\nB\nc\n"},
		{name: "the first line", text: "a\nb\n", edits: edit("a\n", "A\n"), want: "A\nb\n"},
		{name: "lines vanish", text: "a\nb\nc\n", edits: edit("a\nb\n", ""), want: "c\n"},
		{name: "one after the other", text: "a\nb\n", edits: []Edit{{"a\n", "c\n"}, {"c\nb\n", "d\n"}}, want: "d\n"},
		{name: "absent", text: "a\n", edits: edit("b\n", ""), says: "stands 0 times"},
		{name: "twice", text: "a\nb\na\n", edits: edit("a\n", ""), says: "stands 2 times"},
		{name: "twice, overlapping", text: "a\na\na\n", edits: edit("a\na\n", ""), says: "stands 2 times"},
		{name: "only the end of a line", text: "xb\n", edits: edit("b\n", ""), says: "stands 0 times"},
		{name: "only the beginning of a line", text: "bx\n", edits: edit("b\n", ""), says: "stands 0 times"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := Fault{File: "x.go", Edits: tt.edits}
			got, err := f.Apply([]byte(tt.text))
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %q and error %v, want an error with %q", got, err, tt.says)
				}
				return
			}
			if err != nil || string(got) != tt.want {
				t.Errorf("got %q and error %v, want %q", got, err, tt.want)
			}
		})
	}
}

// TestPlantedFaultsApply tells whoever changes the code that a fault needs the same change, long before `make sabotage`.
func TestPlantedFaultsApply(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	faults, errs := LoadFaults("faults")
	for _, err := range errs {
		t.Error(err)
	}
	for _, f := range faults {
		if err := fits(root, f); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}
