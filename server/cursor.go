package server

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// cursor is where a search goes on: it names entries by their index, so it stays
// good while the ledger grows.
type cursor struct {
	from   int64
	before int64        // open: the end of the ledger, wherever that is then
	query  canon.Digest // of what is searched for: a cursor is good for that alone
}

// open stands for the end of the ledger.
const open = int64(-1)

const cursorVersion = "sallyport.cursor/v1"

// String returns the cursor's one text.
func (c cursor) String() string {
	return canon.B64(fmt.Appendf(nil, "%s %d %d %s", cursorVersion, c.from, c.before, c.query))
}

// maxCursor is the longest text of a cursor.
const maxCursor = 200

// parseCursor reads what String writes, and nothing else.
func parseCursor(text string) (cursor, error) {
	refused := fmt.Errorf("cursor: %w: it is none of this server's; begin again without", authority.ErrField)
	if len(text) > maxCursor {
		return cursor{}, refused
	}
	inner, err := canon.ParseB64(text)
	if err != nil {
		return cursor{}, refused
	}
	parts := strings.Split(string(inner), " ")
	if len(parts) != 4 || parts[0] != cursorVersion {
		return cursor{}, refused
	}
	c := cursor{before: open}
	if c.from, err = parseNumber(parts[1], "cursor"); err != nil {
		return cursor{}, refused
	}
	if parts[2] != "-1" {
		if c.before, err = parseNumber(parts[2], "cursor"); err != nil || c.before < c.from {
			return cursor{}, refused
		}
	}
	if c.query, err = canon.ParseDigest(parts[3]); err != nil || c.from > ledger.MaxSize || c.before > ledger.MaxSize || c.String() != text {
		return cursor{}, refused
	}
	return c, nil
}
