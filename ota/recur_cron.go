package ota

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// cron is a line of five fields: what each lets pass, as bits.
type cron struct {
	minute, hour, day, month, weekday uint64
	anyDay, anyWeekday, anyHour       bool
	zone                              *time.Location
}

// cronField is the form of one of them.
type cronField struct {
	name   string
	lo, hi int
	words  string // three letters each, from lo on
}

var cronFields = [5]cronField{
	{"minute", 0, 59, ""}, {"hour", 0, 23, ""}, {"day", 1, 31, ""},
	{"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"}, {"weekday", 0, 7, "sunmontuewedthufrisat"},
}

var cronWords = map[string]string{
	"@yearly": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@hourly": "0 * * * *",
}

// Cron is a line of crontab(5): minute, hour, day of the month, month, day of the
// week. Where both days are given either of them will do.
func Cron(line string, zone *time.Location) (Recurrence, error) {
	if full, ok := cronWords[strings.TrimSpace(line)]; ok {
		line = full
	}
	words := strings.Fields(line)
	if len(words) != len(cronFields) {
		return nil, fmt.Errorf("has %d fields, want 5: minute, hour, day, month, weekday", len(words))
	}
	var bits [5]uint64
	for i, w := range words {
		var err error
		if bits[i], err = cronFields[i].read(strings.ToLower(w)); err != nil {
			return nil, err
		}
	}
	if bits[4]&(1<<7) != 0 { // Sunday is 0 and 7
		bits[4] |= 1
	}
	c := &cron{bits[0], bits[1], bits[2], bits[3], bits[4], strings.HasPrefix(words[2], "*"), strings.HasPrefix(words[4], "*"), words[1] == "*", zone}
	if c.next(recurEpoch).IsZero() {
		return nil, fmt.Errorf("never comes")
	}
	return c.next, nil
}

func (f cronField) read(text string) (bits uint64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		span, every, stepped := strings.Cut(part, "/")
		lo, hi, step := f.lo, f.hi, 1
		if f.name == "weekday" {
			hi = 6
		}
		if span != "*" {
			from, to, ranged := strings.Cut(span, "-")
			if lo, err = f.number(from); err != nil {
				return 0, err
			}
			switch {
			case ranged:
				if hi, err = f.number(to); err != nil {
					return 0, err
				}
			case !stepped:
				hi = lo
			}
		}
		if stepped {
			if step, err = strconv.Atoi(every); err != nil || step < 1 {
				return 0, fmt.Errorf("%s: %q is no step", f.name, every)
			}
		}
		if lo > hi {
			return 0, fmt.Errorf("%s: %s goes backwards", f.name, part)
		}
		for n := lo; n <= hi; n += step {
			bits |= 1 << n
		}
	}
	return bits, nil
}

func (f cronField) number(text string) (int, error) {
	if len(text) == 3 {
		if i := strings.Index(f.words, text); i >= 0 && i%3 == 0 {
			return f.lo + i/3, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < f.lo || n > f.hi {
		return 0, fmt.Errorf("%s: %q is not within %d and %d", f.name, text, f.lo, f.hi)
	}
	return n, nil
}

// maxDays is how far a line is looked along: 29 February comes within it.
const maxDays = 9 * 366

func (c *cron) next(after time.Time) time.Time {
	local := after.In(c.zone)
	for n := -1; n < maxDays; n++ { // a time that was put on may come from the day before
		y, m, d := local.Date()
		day := time.Date(y, m, d+n, 12, 0, 0, 0, c.zone)
		if !c.on(day) {
			continue
		}
		if t := c.within(day, after); !t.IsZero() {
			return t.UTC()
		}
	}
	return time.Time{}
}

func (c *cron) on(day time.Time) bool {
	if c.month&(1<<int(day.Month())) == 0 {
		return false
	}
	dom, dow := c.day&(1<<day.Day()) != 0, c.weekday&(1<<int(day.Weekday())) != 0
	if c.anyDay || c.anyWeekday {
		return dom && dow
	}
	return dom || dow
}

// within finds the first time of a day behind after; zero where there is none.
func (c *cron) within(day, after time.Time) (best time.Time) {
	y, mon, d := day.Date()
	better := func(t time.Time) {
		if t.After(after) && (best.IsZero() || t.Before(best)) {
			best = t
		}
	}
	for h := range 24 {
		if c.hour&(1<<h) == 0 {
			continue
		}
		for m := range 60 {
			if c.minute&(1<<m) == 0 {
				continue
			}
			t := clockShows(time.Date(y, mon, d, h, m, 0, 0, time.UTC), c.zone)
			left := t.Hour() != h || t.Minute() != m // the clock is put on over it
			if left && c.anyHour {
				continue
			}
			better(t)
			if c.anyHour { // an hour that comes twice has it twice
				for _, on := range []time.Duration{30 * time.Minute, time.Hour} {
					if again := t.Add(on); sameWall(again, t) {
						better(again)
					}
				}
			}
		}
		if !best.IsZero() && !c.anyHour && best.Hour() == h { // not put on, so nothing of a later hour comes before it
			return best
		}
	}
	return best
}
