package engine

import (
	"fmt"
	"sync"
	"time"
)

// Hours is a span of clock times that comes back every day in a time zone. It may
// cross midnight. Where clocks are changed it begins at the first moment at which
// the clock there has come to the opening time, and ends at the first at which it
// has come to the closing time: an hour that comes twice counts once, and in one
// that is left out it begins when the clock goes on.
type Hours struct {
	opens, closes int // minutes of a day
	zone          *time.Location
}

// NewHours makes hours of two clock times, as "22:00", and the name of a time
// zone. An error says which of them is none, or that the two are the same.
func NewHours(opens, closes, zone string) (h Hours, err error) {
	if h.opens, err = ParseClock(opens); err != nil {
		return h, err
	}
	if h.closes, err = ParseClock(closes); err != nil {
		return h, err
	}
	if h.opens == h.closes {
		return h, fmt.Errorf("opens and closes are both %s", opens)
	}
	h.zone, err = LoadZone(zone)
	return h, err
}

// ParseClock reads a clock time as the minute of its day.
func ParseClock(s string) (int, error) {
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != 5 {
		return 0, fmt.Errorf("%q is no clock time, such as 02:00", s)
	}
	return t.Hour()*60 + t.Minute(), nil
}

var zones sync.Map // name → *time.Location

// LoadZone finds a time zone by its name in the IANA database; "" is UTC.
func LoadZone(name string) (*time.Location, error) {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), nil
	}
	z, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // which is another one on each machine
		return nil, fmt.Errorf("%q is no time zone, such as Europe/Kyiv", name)
	}
	zones.Store(name, z)
	return z, nil
}

// On is the span that begins on t's day in the zone, some days later. It is
// empty where the clocks leave all of it out.
func (h Hours) On(t time.Time, days int) (opens, closes time.Time) {
	y, m, d := t.In(h.zone).Date()
	last := d + days
	if h.closes <= h.opens {
		last++
	}
	return clockAt(y, m, d+days, h.opens, h.zone), clockAt(y, m, last, h.closes, h.zone)
}

// Open says whether t lies in a span.
func (h Hours) Open(t time.Time) bool {
	for days := -1; days <= 0; days++ {
		if opens, closes := h.On(t, days); !t.Before(opens) && t.Before(closes) {
			return true
		}
	}
	return false
}

// Day is the day of t in the zone.
func (h Hours) Day(t time.Time) time.Time { return t.In(h.zone) }

// clockAt is the first moment of a day, in a zone, at which the clock has come to
// a minute. [time.Date] does not say which moment it takes where clocks change.
func clockAt(y int, m time.Month, d, minute int, zone *time.Location) time.Time {
	wall := time.Date(y, m, d, minute/60, minute%60, 0, 0, time.UTC)
	const day = 24 * time.Hour
	_, before := wall.Add(-day).In(zone).Zone()
	_, after := wall.Add(day).In(zone).Zone()
	early, late := wall.Add(-time.Duration(before)*time.Second), wall.Add(-time.Duration(after)*time.Second)
	if late.Before(early) {
		early, late = late, early
	}
	for _, t := range [...]time.Time{early, late} {
		if x := t.In(zone); x.Hour()*60+x.Minute() == minute && x.Day() == wall.Day() {
			return x
		}
	}
	// The clock leaves that minute out: it goes on at the change between the two.
	if from, _ := late.In(zone).ZoneBounds(); !from.IsZero() && from.After(early.Add(-day)) {
		return from
	}
	return late.In(zone)
}
