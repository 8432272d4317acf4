package engine

import (
	"testing"
	"time"
)

// changes are the changes of clocks of zones all over the world in 2026: forward
// in spring and back in autumn, as the local clock shows them.
var changes = []struct{ zone, forward, back string }{
	{"Europe/Kyiv", "2026-03-29 03:00+04:00", "2026-10-25 04:00-03:00"},
	{"Europe/Berlin", "2026-03-29 02:00+03:00", "2026-10-25 03:00-02:00"},
	{"Europe/London", "2026-03-29 01:00+02:00", "2026-10-25 02:00-01:00"},
	{"America/New_York", "2026-03-08 02:00+03:00", "2026-11-01 02:00-01:00"},
	{"America/Los_Angeles", "2026-03-08 02:00+03:00", "2026-11-01 02:00-01:00"},
	{"America/St_Johns", "2026-03-08 02:00+03:00", "2026-11-01 02:00-01:00"},
	{"America/Havana", "2026-03-08 00:00+01:00", "2026-11-01 01:00-00:00"},
	{"America/Santiago", "2026-09-06 00:00+01:00", "2026-04-05 00:00-23:00"},
	{"Australia/Sydney", "2026-10-04 02:00+03:00", "2026-04-05 03:00-02:00"},
	{"Australia/Lord_Howe", "2026-10-04 02:00+02:30", "2026-04-05 02:00-01:30"},
	{"Pacific/Auckland", "2026-09-27 02:00+03:00", "2026-04-05 03:00-02:00"},
	{"Pacific/Chatham", "2026-09-27 02:45+03:45", "2026-04-05 03:45-02:45"},
}

// TestHoursWhereClocksChange goes through both changes of each zone minute by
// minute, and holds each moment against a clock that is read off.
func TestHoursWhereClocksChange(t *testing.T) {
	for _, c := range changes {
		t.Run(c.zone, func(t *testing.T) {
			zone, err := LoadZone(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			for _, change := range []string{c.forward, c.back} {
				at := change[:10]
				day, err := time.ParseInLocation("2006-01-02", at, zone)
				if err != nil {
					t.Fatal(err)
				}
				before, after := change[11:16], change[17:22]
				from := day.Add(-36 * time.Hour).Truncate(time.Minute)
				through(t, zone, from, from.Add(96*time.Hour), [][2]string{
					{before, "12:00"}, {"12:00", before}, {after, "06:30"}, {"22:15", after}, {"01:15", "05:00"}, {"23:30", "02:45"}, {"00:00", "23:59"}, {"02:30", "03:30"},
				})
				saw := map[string]bool{}
				for m := day.Add(-3 * time.Hour); m.Before(day.Add(9 * time.Hour)); m = m.Add(time.Minute) {
					was, is := m.Add(-time.Minute).In(zone), m.In(zone)
					_, a := was.Zone()
					_, b := is.Zone()
					if a != b {
						saw[is.Format("15:04")] = true
					}
				}
				if !saw[after] || len(saw) != 1 {
					t.Fatalf("the clock changes to %v, want %s", saw, after)
				}
			}
		})
	}
}

// through walks over time and keeps what a person would: the window is opened
// when the clock on the wall first comes to the opening time of a day, or jumps
// over it, and closed by the same rule.
func through(t *testing.T, zone *time.Location, from, to time.Time, spans [][2]string) {
	t.Helper()
	for _, s := range spans {
		h, err := NewHours(s[0], s[1], zone.String())
		if err != nil {
			if s[0] == s[1] {
				continue
			}
			t.Fatal(err)
		}
		opened := map[string]int{}
		open, known := false, false
		var passed string // the latest the clock has shown, on its latest day
		for m := from; m.Before(to); m = m.Add(time.Minute) {
			wall := m.In(zone).Format("2006-01-02 15:04")
			day := wall[:10]
			if wall > passed {
				// The clock has come to what it has not shown before.
				last := passed
				passed = wall
				if last != "" {
					for _, d := range []string{last[:10], day} {
						if o, c := d+" "+s[0], d+" "+s[1]; o > c {
							if c > last && c <= wall {
								open, known = false, true
							}
							if o > last && o <= wall {
								open, known = true, true
								opened[d]++
							}
						} else {
							if o > last && o <= wall {
								open, known = true, true
								opened[d]++
							}
							if c > last && c <= wall {
								open, known = false, true
							}
						}
						if d == day {
							break
						}
					}
				}
			}
			if known && h.Open(m) != open {
				t.Fatalf("%s to %s: at %s (%s) open is %v", s[0], s[1], wall, m.UTC().Format(time.RFC3339), !open)
			}
		}
		for d, n := range opened {
			if n > 1 {
				t.Errorf("%s to %s opens %d times on %s", s[0], s[1], n, d)
			}
		}
	}
}

func TestClockAt(t *testing.T) {
	tests := []struct {
		zone   string
		y      int
		m      time.Month
		d      int
		minute int
		want   string
	}{
		{"Europe/Kyiv", 2026, time.March, 29, 2*60 + 59, "2026-03-29T00:59:00Z"},
		{"Europe/Kyiv", 2026, time.March, 29, 3 * 60, "2026-03-29T01:00:00Z"},      // there is no 03:00
		{"Europe/Kyiv", 2026, time.March, 29, 3*60 + 30, "2026-03-29T01:00:00Z"},   // nor that: the clock goes on at 04:00
		{"Europe/Kyiv", 2026, time.March, 29, 4 * 60, "2026-03-29T01:00:00Z"},      //
		{"Europe/Kyiv", 2026, time.October, 25, 3*60 + 30, "2026-10-25T00:30:00Z"}, // the first of two
		{"America/Havana", 2026, time.March, 8, 0, "2026-03-08T05:00:00Z"},         // the day begins at 01:00
		{"America/Havana", 2026, time.November, 1, 30, "2026-11-01T04:30:00Z"},     // its first half hour comes twice
		{"Pacific/Apia", 2011, time.December, 30, 12 * 60, "2011-12-30T10:00:00Z"}, // a day that was left out
		{"UTC", 2026, time.March, 31, 24 * 60, "2026-04-01T00:00:00Z"},
	}
	for _, x := range tests {
		zone, err := LoadZone(x.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := clockAt(x.y, x.m, x.d, x.minute, zone).UTC().Format(time.RFC3339); got != x.want {
			t.Errorf("%s, %d-%02d-%02d %02d:%02d: %s, want %s", x.zone, x.y, x.m, x.d, x.minute/60, x.minute%60, got, x.want)
		}
	}
}

func TestInHours(t *testing.T) {
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		from, to, zone string
		want, fails    bool
	}{
		{"08:00", "10:00", "UTC", true, false}, {"22:00", "09:00", "UTC", false, false}, {"22:00", "09:01", "UTC", true, false}, {"09:00", "09:00", "UTC", false, false},
		{"11:00", "12:00", "Europe/Kyiv", true, false}, {"11:00", "12:00", "Atlantis", false, true}, {"11", "12:00", "UTC", false, true}, {"11:00", "12:00", "Local", false, true},
	} {
		got, err := inHours(at, x.from, x.to, x.zone)
		if got != x.want || (err != nil) != x.fails {
			t.Errorf("%s to %s in %s: %v, %v", x.from, x.to, x.zone, got, err)
		}
	}
}
