package ledger_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/ledger"
)

func TestTiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path   string
		size   int64 // the smallest tree that has it
		levels bool
	}{
		{"tile/0/000", 256, true},
		{"tile/0/000.p/1", 1, true},
		{"tile/0/001.p/255", 511, true},
		{"tile/1/000.p/1", 256, true},
		{"tile/1/000", 65536, true},
		{"tile/2/000.p/3", 3 * 65536, true},
		{"tile/entries/000", 256, false},
		{"tile/entries/x001/234.p/7", 1234*256 + 7, false},
	} {
		tile, err := ledger.ParseTilePath(tt.path)
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		if !tile.Within(tt.size) || tile.Within(tt.size-1) || tile.Entries() == tt.levels {
			t.Errorf("%s: at size %d %t, before %t, entries %t", tt.path, tt.size, tile.Within(tt.size), tile.Within(tt.size-1), tile.Entries())
		}
	}
	for _, path := range []string{
		"", "tile", "tile/", "tile/0", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/1000", "tile/0/x000/001", "tile/0/000.p/0", "tile/0/000.p/256",
		"tile/0/000.p/01", "tile/00/000", "tile/-1/000", "tile/8/0/000", "tile/data/000", "tile/entries/0", "/tile/0/000", "tile/0/000/", "tile/0/000\n",
		"tile/0/" + strings.Repeat("x999/", 40) + "999",
	} {
		if _, err := ledger.ParseTilePath(path); !errors.Is(err, ledger.ErrTile) {
			t.Errorf("%q: %v, want ErrTile", path, err)
		}
	}
	// A path may be well-formed and name more than a ledger can ever have.
	for _, path := range []string{"tile/64/000", "tile/63/000.p/1", "tile/9/000", "tile/0/x999/x999/x999/x999/x999/999"} {
		if tile, err := ledger.ParseTilePath(path); err == nil && tile.Within(ledger.MaxSize) {
			t.Errorf("%s is within a ledger", path)
		}
	}
}

func TestTileData(t *testing.T) {
	t.Parallel()
	log := grown(t, 300)
	tile, err := ledger.ParseTilePath("tile/0/001.p/44")
	if err != nil {
		t.Fatal(err)
	}
	data, err := tile.Hashes(log)
	if err != nil || len(data) != 44*32 || !bytes.Equal(data[:32], append([]byte{0, 1}, make([]byte, 30)...)) {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	leaves, err := ledger.ParseTilePath("tile/entries/000")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaves.Hashes(log); !errors.Is(err, ledger.ErrTile) {
		t.Errorf("hashes of a tile of leaves: %v", err)
	}
	packed, err := ledger.PackEntries([][]byte{[]byte("ab"), {}, []byte("c")})
	if err != nil || string(packed) != "\x00\x02ab\x00\x00\x00\x01c" {
		t.Errorf("%q, %v", packed, err)
	}
	if _, err := ledger.PackEntries([][]byte{make([]byte, 1<<16)}); !errors.Is(err, ledger.ErrLeaf) {
		t.Errorf("a leaf that no tile holds: %v", err)
	}
}

func FuzzParseTilePath(f *testing.F) {
	for _, s := range []string{"tile/0/000", "tile/entries/x001/234.p/7", "tile/63/x999/999", "tile/-1/000"} {
		f.Add(s, int64(1000))
	}
	f.Fuzz(func(t *testing.T, path string, size int64) {
		tile, err := ledger.ParseTilePath(path)
		if err != nil || size < 0 || size > ledger.MaxSize || !tile.Within(size) {
			return
		}
		if tile.Entries() && tile.First()+int64(tile.Count()) > size {
			t.Fatalf("%q at size %d reaches past the end", path, size)
		}
	})
}
