package ledger

import (
	"errors"
	"fmt"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrTile says that a text is no tile's path, or the tile is not there yet.
var ErrTile = errors.New("there is no such tile")

// TileWidth is how many hashes or leaves a full tile has.
const TileWidth = torchwood.TileWidth

// Tile is a part of the tree as C2SP tlog-tiles cuts it: up to 256 hashes of one
// level, or up to 256 leaves. It never changes, so whoever has it may keep it.
type Tile struct{ tile tlog.Tile }

// ParseTilePath reads a path such as tile/0/x001/234 or tile/entries/000.p/5,
// strictly.
func ParseTilePath(path string) (Tile, error) {
	t, err := torchwood.ParseTilePath(path)
	if err != nil || torchwood.TilePath(t) != path {
		return Tile{}, fmt.Errorf("%.100q: %w: want tile/LEVEL/N or tile/entries/N, as C2SP tlog-tiles writes them", path, ErrTile)
	}
	return Tile{t}, nil
}

// Entries reports whether the tile holds leaves rather than hashes.
func (t Tile) Entries() bool { return t.tile.L == -1 }

// First and Count say which leaves an entries tile holds.
func (t Tile) First() int64 { return t.tile.N * TileWidth }

// Count returns how many hashes or leaves the tile holds.
func (t Tile) Count() int { return t.tile.W }

// Within reports whether a tree of size leaves has the whole tile.
func (t Tile) Within(size int64) bool {
	level := max(t.tile.L, 0)
	// Tiles of a level above 7 need more leaves than MaxSize.
	if level > 7 || t.tile.N > MaxSize>>8 {
		return false
	}
	have := size >> (uint(level) * torchwood.TileHeight)
	return t.tile.N*TileWidth+int64(t.tile.W) <= have
}

// Hashes returns the bytes of a tile of hashes, from the stored ones.
func (t Tile) Hashes(r tlog.HashReader) ([]byte, error) {
	if t.Entries() {
		return nil, fmt.Errorf("%w: it holds leaves", ErrTile)
	}
	data, err := tlog.ReadTileData(t.tile, r)
	if err != nil {
		return nil, fmt.Errorf("reading a tile: %w", err)
	}
	return data, nil
}

// PackEntries returns the bytes of a tile of leaves.
func PackEntries(leaves [][]byte) ([]byte, error) {
	var out []byte
	for _, leaf := range leaves {
		var err error
		if out, err = torchwood.AppendTileEntry(out, leaf); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrLeaf, err)
		}
	}
	return out, nil
}
