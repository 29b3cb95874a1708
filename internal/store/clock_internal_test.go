package store

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
)

// What the ledger dates wrongly it dates wrongly for ever, so a clock that
// jumped, or is behind the newest leaf, dates nothing.
func TestPromiseP14_AWrongClockDatesNothing(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		shown  time.Duration // what the clock says has gone by
		passed time.Duration // what has gone by
		head   time.Duration // of the newest leaf, after start
		want   error
	}{
		{"right", time.Hour, time.Hour, time.Hour, nil},
		{"a little off", time.Hour + 29*time.Second, time.Hour, 0, nil},
		{"ten years ahead", 10 * 365 * 24 * time.Hour, time.Minute, 0, ErrClock},
		{"a minute ahead", 2 * time.Minute, time.Minute, 0, ErrClock},
		{"an hour back", -time.Hour, time.Second, -2 * time.Hour, ErrClock},
		{"behind the newest leaf", time.Minute, time.Minute, 91 * time.Second, ErrClock},
		{"just behind the newest leaf", time.Minute, time.Minute, 89 * time.Second, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := &clock{first: start}
			err := c.held(start.Add(tt.shown), tt.passed, Head{At: canon.At(start.Add(tt.head))})
			if !errors.Is(err, tt.want) || (err != nil && !errors.Is(err, ErrUnavailable)) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}
