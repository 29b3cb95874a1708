package contract

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// MaxDuration is the longest duration that terms or a request may name.
const MaxDuration = 366 * 24 * time.Hour

// MaxRetention is the longest retention that terms may name.
const MaxRetention = 36525 * 24 * time.Hour

const day = 24 * time.Hour

var durationPattern = regexp.MustCompile(`^([1-9][0-9]{0,8})([smhd])$`)

// ParseDuration reads a duration as terms and requests write it: a whole number
// of seconds, minutes, hours or days ("20s", "5m", "8h", "30d"), 1 s to 366 d.
func ParseDuration(s string) (time.Duration, error) { return parseDuration(s, MaxDuration) }

func parseDuration(s string, most time.Duration) (time.Duration, error) {
	m := durationPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is no duration; write a whole number and a unit such as 20s, 5m, 8h or 30d", strictyaml.Clip(s))
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: %w", s, err)
	}
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": day}[m[2]]
	if n > int(most/unit) {
		return 0, fmt.Errorf("%s is too long; at most %s", s, FormatDuration(most))
	}
	return time.Duration(n) * unit, nil
}

// FormatDuration writes d the way ParseDuration reads it, in the largest unit
// that holds it exactly. What is no whole number of seconds is rounded down;
// below one second it is "0s", which ParseDuration refuses.
func FormatDuration(d time.Duration) string {
	switch {
	case d >= day && d%day == 0:
		return strconv.FormatInt(int64(d/day), 10) + "d"
	case d >= time.Hour && d%time.Hour == 0:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	case d >= time.Minute && d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	default:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
}
