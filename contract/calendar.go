package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// ErrZone says that a text is no rule of a time zone.
var ErrZone = errors.New("no rule of a time zone")

// Zone is a time zone by rule: a standard offset, and for part of each year
// perhaps another. ParseZone makes it.
type Zone struct {
	standard time.Duration // east of Greenwich
	daylight time.Duration // meant only if changes
	changes  bool
	start    zoneChange // to daylight, at a time of standard
	end      zoneChange // back, at a time of daylight
}

// zoneChange is a moment of each year.
type zoneChange struct {
	kind             byte          // 'M' month, week, day; 'J' day 1 to 365, never 29 February; '0' day 0 to 365
	month, week, day int           // the day: of the week of 'M', else of the year
	at               time.Duration // after midnight of that day, -167 h to 167 h
}

// ParseZone reads a rule as POSIX.1-2017 §8.3 describes TZ, with the times of
// RFC 9636 (-167 to 167 hours): the last line of a zone's file in the time zone
// database, such as CET-1CEST,M3.5.0,M10.5.0/3. A zone with daylight saving time
// needs both of its changes. The error wraps ErrZone and says what would pass.
func ParseZone(rule string) (Zone, error) {
	p := zoneParser{rest: rule}
	var z Zone
	p.name()
	z.standard = -p.clock(24)
	if p.rest != "" && p.what == "" {
		z.changes = true
		p.name()
		z.daylight = z.standard + time.Hour
		if p.rest != "" && p.rest[0] != ',' {
			z.daylight = -p.clock(24)
		}
		z.start = p.change()
		z.end = p.change()
	}
	if p.rest != "" {
		p.fail("nothing more")
	}
	if p.what != "" || len(rule) > maxText {
		return Zone{}, fmt.Errorf("%q is %w: expected %s at character %d; write it as the last line of the zone's file in the time zone database, such as CET-1CEST,M3.5.0,M10.5.0/3",
			strictyaml.Clip(rule), ErrZone, p.what, len(rule)-len(p.left)+1)
	}
	return z, nil
}

// zoneParser reads a rule from the left. After the first fault nothing is left
// to read.
type zoneParser struct {
	rest string
	what string // what was expected instead of left; empty without a fault
	left string
}

func (p *zoneParser) fail(what string) {
	if p.what == "" {
		p.what, p.left = what, p.rest
	}
	p.rest = ""
}

func (p *zoneParser) take(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// while takes the longest beginning of which each byte passes.
func (p *zoneParser) while(passes func(c byte) bool) string {
	n := 0
	for n < len(p.rest) && passes(p.rest[n]) {
		n++
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	return s
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// name takes the abbreviation of a zone: three or more letters, or in <> also
// digits and signs.
func (p *zoneParser) name() {
	passes, before := isAlpha, p.rest
	angle := p.take('<')
	if angle {
		passes = func(c byte) bool { return isAlpha(c) || isDigit(c) || c == '+' || c == '-' }
	}
	if s := p.while(passes); len(s) < 3 || len(s) > 10 || angle && !p.take('>') {
		p.rest = before
		p.fail("a name such as CET or <+03>")
	}
}

// number takes a whole number from least to most.
func (p *zoneParser) number(least, most int, what string) int {
	before := p.rest
	s := p.while(isDigit)
	n := 0
	for _, c := range s {
		n = min(10*n+int(c-'0'), 1000)
	}
	if s == "" || len(s) > 3 || n < least || n > most {
		p.rest = before
		p.fail(fmt.Sprintf("%s, %d to %d,", what, least, most))
		return least
	}
	return n
}

// clock takes [+-]hh[:mm[:ss]].
func (p *zoneParser) clock(most int) time.Duration {
	sign := time.Duration(1)
	if !p.take('+') && p.take('-') {
		sign = -1
	}
	d := time.Duration(p.number(0, most, "hours")) * time.Hour
	if p.take(':') {
		d += time.Duration(p.number(0, 59, "minutes")) * time.Minute
		if p.take(':') {
			d += time.Duration(p.number(0, 59, "seconds")) * time.Second
		}
	}
	return sign * d
}

// change takes ,date[/time].
func (p *zoneParser) change() zoneChange {
	c := zoneChange{at: 2 * time.Hour}
	switch {
	case !p.take(','):
		p.fail("a comma and the day of a change such as M3.5.0")
	case p.take('M'):
		c.kind = 'M'
		c.month = p.number(1, 12, "a month")
		if !p.take('.') {
			p.fail("a point and a week")
		}
		c.week = p.number(1, 5, "a week of the month")
		if !p.take('.') {
			p.fail("a point and a day of the week")
		}
		c.day = p.number(0, 6, "a day of the week")
	case p.take('J'):
		c.kind, c.day = 'J', p.number(1, 365, "a day of the year")
	default:
		c.kind, c.day = '0', p.number(0, 365, "a day of the year")
	}
	if p.take('/') {
		c.at = p.clock(167)
	}
	return c
}

// in returns the moment of the change in the year, if clocks are offset then.
func (c zoneChange) in(year int, offset time.Duration) time.Time {
	date := time.Date(year, time.January, 1, 0, 0, 0, 0, time.UTC)
	switch c.kind {
	case 'M':
		first := time.Date(year, time.Month(c.month), 1, 0, 0, 0, 0, time.UTC)
		date = first.AddDate(0, 0, (c.day-int(first.Weekday())+7)%7+7*(c.week-1))
		if date.Month() != first.Month() { // week 5 is the last one
			date = date.AddDate(0, 0, -7)
		}
	case 'J':
		date = date.AddDate(0, 0, c.day-1)
		if leap := time.Date(year, time.February, 29, 0, 0, 0, 0, time.UTC); leap.Day() == 29 && !date.Before(leap) {
			date = date.AddDate(0, 0, 1)
		}
	default:
		date = date.AddDate(0, 0, c.day)
	}
	return date.Add(c.at - offset)
}

// Offset returns how far the clocks of the zone are ahead of UTC at t.
func (z Zone) Offset(t time.Time) time.Duration {
	if !z.changes {
		return z.standard
	}
	offset, since := z.standard, time.Time{}
	year := t.UTC().Year()
	for y := year - 1; y <= year+1; y++ { // a change may lie days outside of its year
		if end := z.end.in(y, z.daylight); !end.After(t) && end.After(since) {
			offset, since = z.standard, end
		}
		// Daylight that starts in the moment in which it ends goes on: so a rule says all year.
		if start := z.start.in(y, z.standard); !start.After(t) && !start.Before(since) {
			offset, since = z.daylight, start
		}
	}
	return offset
}

// dayNames are the days of a Calendar, by time.Weekday.
var dayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Contains tells whether t is in the calendar: on one of its days, from From on
// and before To by the clocks of its zone, and on none of its holidays. A calendar
// whose zone is no rule, which no file has, contains nothing.
func (c Calendar) Contains(t time.Time) bool {
	in, err := c.contains(t)
	return err == nil && in
}

func (c Calendar) contains(t time.Time) (bool, error) {
	z, err := ParseZone(c.Zone)
	if err != nil {
		return false, err
	}
	local := t.UTC().Add(z.Offset(t))
	minute := 60*local.Hour() + local.Minute()
	return slices.Contains(c.Days, dayNames[local.Weekday()]) && c.From <= minute && minute < c.To &&
		!slices.Contains(c.Holidays, local.Format(time.DateOnly)), nil
}

// calendarsAt returns the ids of the calendars that t is in.
func (t *Terms) calendarsAt(at time.Time) ([]string, error) {
	var ids []string
	var faults []string
	for _, c := range t.Calendars {
		in, err := c.contains(at)
		if err != nil {
			faults = append(faults, c.ID)
		}
		if in {
			ids = append(ids, c.ID)
		}
	}
	if faults != nil {
		return nil, fmt.Errorf("calendars %s: %w", strings.Join(faults, ", "), ErrZone)
	}
	return ids, nil
}
