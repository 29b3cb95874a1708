package wholefile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/host/wholefile"
)

// TestWrite: a file is replaced whole, with its mode whatever the umask, and what
// fails leaves the old one and nothing beside it.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "krl")
	for _, text := range []string{"old", "new"} {
		if err := wholefile.Write(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != text {
			t.Errorf("%q, %v, want %q", got, err, text)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	taken := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(taken, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(taken, []byte("file"), 0o600); err == nil {
		t.Error("a folder was replaced by a file")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("%v, %v beside them", left, err)
	}
	if err := wholefile.Write(filepath.Join(dir, "nowhere", "krl"), nil, 0o644); err == nil {
		t.Error("a file was written into no folder")
	}
}
