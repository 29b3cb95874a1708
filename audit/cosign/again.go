package cosign

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
)

// maxAgain is how many leaves are asked for again in one call.
const maxAgain = 50

// A leaf that was asked for again and still lacks something is left alone for a
// pause, which doubles each time.
const (
	firstPause   = time.Second
	longestPause = time.Minute
)

// again is how a leaf was asked for again the last time.
type again struct {
	at        time.Time
	pause     time.Duration // after it
	undecided error         // that it brought, nil if none
}

// rests reports whether the leaf is left alone now. A clock that was set back ends
// the pause.
func (a again) rests(now time.Time) bool {
	since := now.Sub(a.at)
	return since >= 0 && since < a.pause
}

// askAgain asks for what was not shown, or could not be judged, the last time.
func (c *Cosigner) askAgain(ctx context.Context) error {
	if c.broken != nil {
		return c.broken
	}
	now := c.config.Now()
	list, undecided := c.due(now)
	if len(list) == 0 {
		return undecided
	}
	var b batch
	var missing error
	for _, index := range list {
		page, err := c.config.Feed.Page(ctx, index, index+1)
		if err != nil { // the others may be had
			if missing = cmp.Or(missing, fmt.Errorf("leaf %d can't be had: %w", index, err)); ctx.Err() != nil {
				break
			}
			continue
		}
		for _, entries := range [][]audit.Entry{page.Leaves, page.Named} {
			for _, e := range entries {
				c.takeLate(e, &b)
			}
		}
	}
	err := cmp.Or(c.settle(ctx, c.tree, canon.At(now), b), missing)
	for _, index := range list {
		pause := min(max(2*c.again[index].pause, firstPause), longestPause)
		c.again[index] = again{at: now, pause: pause, undecided: err}
	}
	return cmp.Or(err, undecided)
}

// due returns the leaves to ask for again now, the newest first: what was just
// asked for is of use before what has been missing for long. Nothing is asked for
// that holds up nothing. undecided is what one that is left alone for now brought
// the last time.
func (c *Cosigner) due(now time.Time) (list []int64, undecided error) {
	for _, h := range slices.Backward(c.blocking()) {
		if !c.fold.lacking(h.leaf) {
			continue
		}
		switch a := c.again[h.index]; {
		case a.rests(now):
			undecided = cmp.Or(undecided, a.undecided)
		case len(list) < maxAgain:
			list = append(list, h.index)
		}
	}
	return list, undecided
}
