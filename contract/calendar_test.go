package contract_test

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/contract"
)

// zoneNames are zones of every kind of rule that the time zone database has in
// 2026: none, both hemispheres, changes before midnight of their day and days
// after it, daylight that is behind standard, half hours. (Not Africa/Casablanca
// and Asia/Gaza, whose changes follow the moon and stand in no rule.)
var zoneNames = []string{
	"UTC", "Europe/Berlin", "Europe/Dublin", "Europe/London", "Europe/Lisbon", "Europe/Chisinau", "America/New_York", "America/St_Johns",
	"America/Nuuk", "America/Scoresbysund", "America/Santiago", "America/Asuncion", "America/Havana", "America/Miquelon", "America/Los_Angeles",
	"Pacific/Easter", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Norfolk", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Marquesas",
	"Australia/Lord_Howe", "Australia/Adelaide", "Australia/Sydney", "Antarctica/Troll", "Africa/Cairo", "Asia/Beirut",
	"Asia/Jerusalem", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Tokyo", "Asia/Tehran", "Atlantic/Azores",
}

// zoneFile returns a zone's file of the system's time zone database, or of the
// one that Go brings along.
func zoneFile(t *testing.T, name string) []byte {
	t.Helper()
	if file, err := os.ReadFile(filepath.Join("/usr/share/zoneinfo", name)); err == nil {
		return file
	}
	archive, err := zip.OpenReader(filepath.Join(runtime.GOROOT(), "lib", "time", "zoneinfo.zip")) //nolint:staticcheck // tests run where they were built
	if err != nil {
		t.Fatalf("no time zone database here: %v", err)
	}
	defer archive.Close() //nolint:errcheck // it was only read
	entry, err := archive.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := io.ReadAll(entry)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// offsetOf is what Go says.
func offsetOf(t time.Time, l *time.Location) time.Duration {
	_, seconds := t.In(l).Zone()
	return time.Duration(seconds) * time.Second
}

// sameOffsets holds a zone to what Go says, every six hours of the years, and every
// minute and the second before where that changes.
func sameOffsets(t rapid.TB, rule string, zone contract.Zone, location *time.Location, from, to int) {
	t.Helper()
	hold := func(at time.Time) {
		if got, want := zone.Offset(at), offsetOf(at, location); got != want {
			t.Fatalf("%s at %s: %s ahead of UTC, Go says %s", rule, at.Format(time.RFC3339), got, want)
		}
	}
	const step = 6 * time.Hour
	for at := time.Date(from, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() <= to; at = at.Add(step) {
		hold(at)
		if offsetOf(at, location) == offsetOf(at.Add(step), location) {
			continue
		}
		for m := at; m.Before(at.Add(step)); m = m.Add(time.Minute) {
			hold(m)
			hold(m.Add(-time.Second))
		}
	}
}

// A zone by its rule is the zone of the database.
func TestZonesAreThoseOfTheDatabase(t *testing.T) {
	t.Parallel()
	for _, name := range zoneNames {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := zoneFile(t, name)
			location, err := time.LoadLocationFromTZData(name, file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(string(file), "\n"), "\n")
			rule := lines[len(lines)-1]
			zone, err := contract.ParseZone(rule)
			if err != nil {
				t.Fatal(err)
			}
			sameOffsets(t, rule, zone, location, 2026, 2037)
		})
	}
}

// tzif is a file of the time zone database that holds nothing but a rule.
func tzif(rule string) []byte {
	part := append([]byte("TZif2"), make([]byte, 15)...)
	for _, count := range []uint32{0, 0, 0, 0, 1, 4} { // one type of local time, four bytes of abbreviations
		part = binary.BigEndian.AppendUint32(part, count)
	}
	part = append(part, 0, 0, 0, 0, 0, 0)
	part = append(part, "UTC\x00"...)
	return append(append(append([]byte{}, part...), part...), "\n"+rule+"\n"...)
}

// Rules that no zone has mean to us what they mean to Go.
func TestZonesOfAnyRule(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		clock := func(name string, least, most int) string {
			minutes := rapid.IntRange(60*least, 60*most).Draw(t, name)
			sign := ""
			if minutes < 0 {
				sign, minutes = "-", -minutes
			}
			if minutes%60 == 0 && rapid.Bool().Draw(t, "short") {
				return fmt.Sprintf("%s%d", sign, minutes/60)
			}
			return fmt.Sprintf("%s%02d:%02d", sign, minutes/60, minutes%60)
		}
		day := func(name string, month int) string {
			month += rapid.IntRange(0, 3).Draw(t, name)
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				return fmt.Sprintf("J%d", 30*month)
			case 1:
				return fmt.Sprint(30 * month)
			}
			return fmt.Sprintf("M%d.%d.%d", month, rapid.IntRange(1, 5).Draw(t, "week"), rapid.IntRange(0, 6).Draw(t, "weekday"))
		}
		rule := rapid.SampledFrom([]string{"CET", "<-03>", "<+0530>"}).Draw(t, "name") + clock("offset", -14, 14)
		if rapid.IntRange(0, 9).Draw(t, "changes") > 0 {
			rule += "CEST"
			if rapid.Bool().Draw(t, "other offset") {
				rule += clock("daylight", -14, 14)
			}
			early, late := day("early", 2), day("late", 8)
			if rapid.Bool().Draw(t, "south") {
				early, late = late, early
			}
			rule += "," + early + "/" + clock("start", -48, 72) + "," + late
			if rapid.Bool().Draw(t, "end given") {
				rule += "/" + clock("end", -48, 72)
			}
		}
		zone, err := contract.ParseZone(rule)
		if err != nil {
			t.Fatal(err)
		}
		location, err := time.LoadLocationFromTZData("rule", tzif(rule))
		if err != nil {
			t.Fatal(err)
		}
		year := rapid.IntRange(2026, 2061).Draw(t, "year")
		sameOffsets(t, rule, zone, location, year, year)
	})
}

// RFC 9636, section 3.3: daylight saving time that starts when it ends lasts all year.
func TestZoneOfDaylightAllYear(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]time.Duration{"EST5EDT,0/0,J365/25": -4 * time.Hour, "XXX3EDT4,0/0,J365/23": -4 * time.Hour} {
		zone, err := contract.ParseZone(rule)
		if err != nil {
			t.Fatal(err)
		}
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2029; at = at.Add(time.Hour) {
			if got := zone.Offset(at); got != want {
				t.Fatalf("%s at %s: %s", rule, at.Format(time.RFC3339), got)
			}
		}
	}
}

func TestParseZoneRefuses(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		"":                             "expected a name such as CET or <+03> at character 1;",
		"Europe/Berlin":                "expected hours, 0 to 24, at character 7;",
		"CE-1":                         "expected a name such as CET or <+03> at character 1;",
		"CET":                          "expected hours, 0 to 24, at character 4;",
		"CET-":                         "expected hours, 0 to 24, at character 5;",
		"CET25":                        "expected hours, 0 to 24, at character 4;",
		"CET1:60":                      "expected minutes, 0 to 59, at character 6;",
		"CET1:00:61":                   "expected seconds, 0 to 59, at character 9;",
		"CET-1CEST":                    "expected a comma and the day of a change such as M3.5.0 at character 10;",
		"CET-1CEST,M3.5.0":             "expected a comma and the day of a change such as M3.5.0 at character 17;",
		"CET-1CEST,M13.5.0,M10.5.0":    "expected a month, 1 to 12, at character 12;",
		"CET-1CEST,M3.6.0,M10.5.0":     "expected a week of the month, 1 to 5, at character 14;",
		"CET-1CEST,M3.5.7,M10.5.0":     "expected a day of the week, 0 to 6, at character 16;",
		"CET-1CEST,M3.5,M10.5.0":       "expected a point and a day of the week at character 15;",
		"CET-1CEST,M3,M10.5.0":         "expected a point and a week at character 13;",
		"CET-1CEST,J0,J60":             "expected a day of the year, 1 to 365, at character 12;",
		"CET-1CEST,366,J60":            "expected a day of the year, 0 to 365, at character 11;",
		"CET-1CEST,M3.5.0/168,M10.5.0": "expected hours, 0 to 167, at character 18;",
		"CET-1CEST,M3.5.0,M10.5.0/3 ":  "expected nothing more at character 27;",
		"<+03-3":                       "expected a name such as CET or <+03> at character 1;",
		"<+0\x1b>-3":                   "\"<+0\\x1b>-3\" is no rule of a time zone",
		":Europe/Berlin":               "expected a name such as CET or <+03> at character 1;",
		"CET-1000000000000000000000":   "expected hours, 0 to 24, at character 5;",
	} {
		if _, err := contract.ParseZone(rule); !errors.Is(err, contract.ErrZone) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", rule, err, want)
		}
	}
}

func FuzzParseZone(f *testing.F) {
	for _, s := range []string{"CET-1CEST,M3.5.0,M10.5.0/3", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "EST5EDT,0/0,J365/25", "UTC0", "<+01>-1", "CET", "M,,,///"} {
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, rule string, second int64) {
		zone, err := contract.ParseZone(rule)
		if err != nil {
			if !errors.Is(err, contract.ErrZone) {
				t.Fatal(err)
			}
			return
		}
		if d := zone.Offset(time.Unix(second, 0)); d < -26*time.Hour || d > 26*time.Hour {
			t.Fatalf("%s: %s", rule, d)
		}
	})
}

func TestCalendarContains(t *testing.T) {
	t.Parallel()
	business := contract.Calendar{
		ID: "de-business", Zone: "CET-1CEST,M3.5.0,M10.5.0/3", Days: []string{"mon", "tue", "wed", "thu", "fri"}, From: 8 * 60, To: 18 * 60,
		Holidays: []string{"2026-12-25", "2027-01-01"},
	}
	for _, tt := range []struct {
		name   string
		at     string
		change func(c *contract.Calendar)
		want   bool
	}{
		{"monday morning", "2026-11-30T08:00:00+01:00", nil, true},
		{"a second too early", "2026-11-30T07:59:59.999999999+01:00", nil, false},
		{"last moment", "2026-11-30T17:59:59.999999999+01:00", nil, true},
		{"too late", "2026-11-30T18:00:00+01:00", nil, false},
		{"by the clocks of its zone, not of the asker", "2026-11-30T16:30:00-08:00", nil, false},
		{"from another zone", "2026-11-30T01:00:00-08:00", nil, true},
		{"summer", "2026-07-01T06:00:00Z", nil, true},
		{"summer, too early", "2026-07-01T05:59:59Z", nil, false},
		{"winter, at the hour of summer", "2026-12-01T06:00:00Z", nil, false},
		{"saturday", "2026-11-28T12:00:00+01:00", nil, false},
		{"christmas", "2026-12-25T12:00:00+01:00", nil, false},
		{"the day before", "2026-12-24T12:00:00+01:00", nil, true},
		{"same day of another year", "2028-12-25T12:00:00+01:00", nil, true},
		{"whole day, first moment", "2026-11-30T00:00:00+01:00", func(c *contract.Calendar) { c.From, c.To = 0, 1440 }, true},
		{"whole day, last moment", "2026-11-30T23:59:59+01:00", func(c *contract.Calendar) { c.From, c.To = 0, 1440 }, true},
		{"sunday there is monday here", "2026-11-29T23:30:00Z", func(c *contract.Calendar) { c.From, c.To = 0, 1440 }, true},
		{"no rule", "2026-11-30T12:00:00+01:00", func(c *contract.Calendar) { c.Zone = "Europe/Berlin" }, false},
		{"no days", "2026-11-30T12:00:00+01:00", func(c *contract.Calendar) { c.Days = nil }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := business
			if tt.change != nil {
				tt.change(&c)
			}
			at, err := time.Parse(time.RFC3339Nano, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Contains(at); got != tt.want {
				t.Errorf("Contains = %t", got)
			}
		})
	}
}
