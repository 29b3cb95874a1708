package lab

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestSmallDisk fills one, either way of having it.
func TestSmallDisk(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	first, err := NewSmallDisk(t.Context(), filepath.Join(t.TempDir(), "disk"), size)
	if err != nil {
		t.Fatal(err)
	}
	held, err := holdSmallDisk(t.Context(), filepath.Join(t.TempDir(), "disk"), size)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*SmallDisk{first, held} {
		file := filepath.Join(d.path, "file")
		if err := errors.Join(os.WriteFile(file, make([]byte, size/2), 0o600), d.Fill()); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file+"2", make([]byte, size/2), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("writing to a full disk: %v", err)
		}
		if err := errors.Join(d.Free(), os.WriteFile(file+"2", make([]byte, size/3), 0o600)); err != nil {
			t.Errorf("with room again: %v", err)
		}
		if err := errors.Join(d.Close(), d.Close()); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(d.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after Close: %v", err)
		}
	}
}
