package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
)

// tile answers GET /tile/…: the ledger as C2SP tlog-tiles, for whoever wants to
// check that the whole of it is what the checkpoints say. Leaves hold kinds,
// lineages and commitments, no names.
func (s *Server) tile(w http.ResponseWriter, r *http.Request) error {
	tile, err := ledger.ParseTilePath(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		return err
	}
	var data []byte
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		head, err := reader.Head()
		if err != nil {
			return err
		}
		if !tile.Within(head.Tree.Size) {
			return fmt.Errorf("%w yet; the ledger has %d leaves", ledger.ErrTile, head.Tree.Size)
		}
		if tile.Entries() {
			data, err = entries(reader, tile)
		} else {
			data, err = tile.Hashes(reader)
		}
		return err
	})
	if err != nil {
		return err
	}
	// A tile that is there never changes, a partial one neither: its width is in
	// its name.
	who := "private"
	if s.publicTiles {
		who = "public"
	}
	w.Header().Set("Cache-Control", who+", max-age=31536000, immutable")
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(data) // a client that went away needs no answer
	return nil
}

func entries(r *store.Reader, tile ledger.Tile) ([]byte, error) {
	list, err := r.Stored(tile.First(), tile.Count())
	if err != nil {
		return nil, err
	}
	leaves := make([][]byte, 0, len(list))
	for i, l := range list {
		if l.Index != tile.First()+int64(i) {
			return nil, fmt.Errorf("%w: leaf %d is missing", ledger.ErrTree, tile.First()+int64(i))
		}
		leaves = append(leaves, l.Text)
	}
	if len(leaves) != tile.Count() {
		return nil, fmt.Errorf("%w: %d of %d leaves are missing", ledger.ErrTree, tile.Count()-len(leaves), tile.Count())
	}
	return ledger.PackEntries(leaves)
}

// tiles is the route of the tiles: for everybody where the operator has said so,
// else for those who are logged in.
func (s *Server) tiles() route {
	r := route{method: http.MethodGet, path: "/tile/{tile:.+}"}
	if s.publicTiles {
		r.anyone = s.tile
		return r
	}
	r.bearer = func(w http.ResponseWriter, r *http.Request, _ store.Session) error { return s.tile(w, r) }
	return r
}
