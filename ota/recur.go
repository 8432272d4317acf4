package ota

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
)

// Recurrence finds the first time behind after of what happens again and again;
// zero where there is none. Times of day hold in a time zone, over its changes of
// daylight saving time: one that a change leaves out comes as much later as the
// clock was put on, and one that comes twice counts the first time.
type Recurrence func(after time.Time) time.Time

// Every is a time at each multiple of d.
func Every(d time.Duration) (Recurrence, error) {
	if d < time.Second {
		return nil, errors.New("is shorter than 1s")
	}
	return func(after time.Time) time.Time { return after.UTC().Truncate(d).Add(d) }, nil
}

// firstAlike is t, or an earlier time that a clock on the wall shows alike.
func firstAlike(t time.Time) time.Time {
	for _, back := range []time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour} {
		if e := t.Add(-back); sameWall(e, t) {
			return e
		}
	}
	return t
}

// clockShows is the moment at which a clock of the zone shows what wall reads,
// whatever wall's own zone: the first of two, and where the clock leaves it out
// as much later as it is put on.
func clockShows(wall time.Time, zone *time.Location) time.Time {
	want := onWall(wall)
	t := time.Date(want.Year(), want.Month(), want.Day(), want.Hour(), want.Minute(), want.Second(), 0, zone)
	if is := onWall(t); is.Before(want) { // left out, and reckoned by the clock as it is later
		t = t.Add(want.Sub(is))
	}
	return firstAlike(t)
}

// onWall is what a clock shows, as a time of its own.
func onWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

func sameWall(a, b time.Time) bool {
	const wall = "2006-01-02T15:04:05"
	return a.Format(wall) == b.Format(wall)
}

// maxRule bounds a rule, in bytes.
const maxRule = 1000

// recurEpoch is when a rule begins that does not say.
var recurEpoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// RRule is a rule of RFC 5545, such as FREQ=WEEKLY;BYDAY=MO;BYHOUR=3;BYMINUTE=0.
// DTSTART=… may stand in it. What comes more than once a day is refused: an
// interval says that.
func RRule(text string, zone *time.Location) (Recurrence, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "RRULE:")
	if len(text) > maxRule || strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("has more than one line or %d bytes", maxRule)
	}
	o, err := rrule.StrToROptionInLocation(text, zone)
	if err != nil {
		return nil, fmt.Errorf("is no rule of RFC 5545: %w", err)
	}
	began := !o.Dtstart.IsZero()
	switch {
	case o.Freq > rrule.DAILY:
		return nil, errors.New("comes more than once a day; say it by every or cron")
	case !began && (o.Count > 0 || o.Interval > 1):
		return nil, errors.New("counts from a beginning, so it needs DTSTART")
	case !began:
		o.Dtstart = time.Date(recurEpoch.Year(), recurEpoch.Month(), recurEpoch.Day(), 0, 0, 0, 0, zone)
	}
	// The rule is worked out on the wall: where clocks change that is not the same.
	o.Dtstart = onWall(o.Dtstart.In(zone))
	if !o.Until.IsZero() {
		o.Until = onWall(o.Until.In(zone))
	}
	r, err := rrule.NewRRule(*o)
	if err != nil {
		return nil, fmt.Errorf("is no rule of RFC 5545: %w", err)
	}
	return func(after time.Time) (best time.Time) {
		const most = 3 * time.Hour // that a clock is put on
		at := onWall(after.In(zone)).Add(-most)
		var last time.Time
		for {
			at = r.After(at, false)
			if at.IsZero() || !last.IsZero() && at.After(last) {
				return best
			}
			if t := clockShows(at, zone).UTC(); t.After(after) && (best.IsZero() || t.Before(best)) {
				if best.IsZero() {
					last = at.Add(most)
				}
				best = t
			}
		}
	}, nil
}
