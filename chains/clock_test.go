package chains_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis"
)

// clocks are zones all over the world whose clocks are changed in 2027.
var clocks = []string{
	"Europe/Kyiv", "Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles", "America/St_Johns",
	"America/Havana", "America/Santiago", "Australia/Sydney", "Australia/Lord_Howe", "Pacific/Auckland", "Pacific/Chatham",
}

// changed is a change of a zone's clocks: when, and what they show then and
// would have shown.
type changed struct {
	at     time.Time
	is, be int // minutes of the day
}

func changesOf(t *testing.T, zone *time.Location) (out []changed) {
	t.Helper()
	minute := func(t time.Time) int { return t.Hour()*60 + t.Minute() }
	for at := time.Date(2027, 1, 1, 0, 0, 0, 0, zone); ; {
		_, next := at.ZoneBounds()
		if next.IsZero() || next.Year() > 2027 {
			break
		}
		_, offset := next.Add(-time.Second).Zone()
		out = append(out, changed{next.UTC(), minute(next.In(zone)), minute(next.In(time.FixedZone("", offset)))})
		at = next
	}
	if len(out) != 2 {
		t.Fatalf("the clocks of %s are changed %d times", zone, len(out))
	}
	return out
}

// firstMinute is the first minute behind after at which the clock of the zone
// has come to a minute of a day, read off minute by minute.
func firstMinute(after time.Time, minute int, zone *time.Location) time.Time {
	was := after.In(zone)
	for t := after.Truncate(time.Minute).Add(time.Minute); ; t = t.Add(time.Minute) {
		is := t.In(zone)
		m, before := is.Hour()*60+is.Minute(), was.Hour()*60+was.Minute()
		if was.Day() != is.Day() && is.Sub(was) > 0 && m < before {
			before = -1
		}
		if m >= minute && before < minute {
			return t.UTC()
		}
		was = is
	}
}

// waiting is a plant with one of each that waits for a time: an update for a
// window, a schedule, a delay, an event that never comes.
type waiting struct {
	*plant
	valve, clock, deaf ota.Ref // what is updated; waits 26 hours; hears nothing for a day
	schedule           ota.Ref
}

// newWaiting makes one in which all begin to wait at a moment. The update is
// assigned then.
func newWaiting(t *testing.T, at time.Time, opens, closes, cron, zone string) *waiting {
	t.Helper()
	p := newPlant(t,
		"chain: night\nsummary: A test.\ntrigger: {event: offer_due, profiles: [valve]}\nsteps:\n  - node: check_offer\n"+
			"  - {node: window, name: hours, with: {opens: \""+opens+"\", closes: \""+closes+"\", zone: "+zone+"}, to: {outside: wait}}\n"+
			"  - {node: raise_alarm, with: {key: offered, message: x}, to: {repeated: next}}\n  - node: admit_update\n  - {node: offer_update, with: {timeout: 30d}}\n"+
			"branches:\n  wait: [{node: hold_update, with: {until: \"${steps.hours.opens_at}\", reason: not now}, to: {overdue: late}}]\n  late: [{node: fail_update, with: {reason: never}}]\n",
		"chain: nap\nsummary: A test.\ntrigger: {event: attributes, profiles: [clock]}\nsteps: [{node: delay, with: {for: 26h}}, "+raise("over")+"]\n",
		"chain: deaf\nsummary: A test.\ntrigger: {event: attributes, profiles: [deaf]}\nsteps: [{node: wait_for, with: {event: telemetry, timeout: 1d}, to: {timed_out: late}}]\nbranches: {late: ["+raise("late")+"]}\n",
		"chain: daily\nsummary: A test.\ntrigger: {node: schedule_in, with: {cron: \""+cron+"\", zone: "+zone+"}}\nsteps: [{node: raise_alarm, with: {key: \"${msg.due_at}\", message: x}, to: {repeated: next}}]\n")
	w := &waiting{plant: p, schedule: ota.RefOfInlet(ota.DefaultTenant, "daily.1")}
	p.at(at)
	p.work()
	p.must(p.engine.Arm(t.Context(), ota.DefaultTenant))
	valve := p.profile("valve")
	w.valve, w.clock, w.deaf = p.device("v", valve), p.device("c", p.profile("clock")), p.device("d", p.profile("deaf"))
	p.assign(p.pkg("1.2", ota.Firmware, valve), valve)
	for _, d := range []ota.Ref{w.clock, w.deaf} {
		p.say(d, ota.AttributesReported, func(m *ota.Message) { m.Values = []byte(`{"a":1}`) })
	}
	return w
}

// raised is when an alarm was raised; it must have been once.
func (w *waiting) raised(of ota.Ref, key string) time.Time {
	w.t.Helper()
	h, err := w.store.Load(w.t.Context(), of)
	w.must(err)
	for _, a := range h.Alarms {
		if a.Key == key {
			if a.Count != 1 {
				w.t.Errorf("%s was raised %d times", key, a.Count)
			}
			return a.Raised
		}
	}
	return time.Time{}
}

// fired are the times for which the schedule has run: each of them once, and not
// before it came.
func (w *waiting) fired() (times []time.Time) {
	w.t.Helper()
	h, err := w.store.Load(w.t.Context(), w.schedule)
	w.must(err)
	for _, a := range h.Alarms {
		at, err := time.Parse(time.RFC3339Nano, a.Key)
		w.must(err)
		if a.Count != 1 || a.Raised.Before(at) {
			w.t.Errorf("the schedule ran %d times for %s, first at %s", a.Count, a.Key, a.Raised)
		}
		times = append(times, at)
	}
	return times
}

// TestWaitsWhereClocksChange: over each change of the clocks of each zone a
// window opens at the right local minute, a schedule runs once a day, and what
// waits for so many hours waits for that many.
func TestWaitsWhereClocksChange(t *testing.T) {
	for _, name := range clocks {
		zone, err := engine.LoadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range changesOf(t, zone) {
			t.Run(fmt.Sprint(name, " ", c.at.Format("01-02")), func(t *testing.T) {
				// Of the minutes that the clock leaves out, or shows twice.
				minute := (min(c.is, c.be) + 15) % (24 * 60)
				if d := c.is - c.be; d > 720 || d < -720 { // over midnight
					minute = (max(c.is, c.be) + 15) % (24 * 60)
				}
				opens := fmt.Sprintf("%02d:%02d", minute/60, minute%60)
				until := (minute + 180) % (24 * 60)
				from := c.at.Add(-12 * time.Hour)
				started := time.Now()
				w := newWaiting(t, from, opens, fmt.Sprintf("%02d:%02d", until/60, until%60), fmt.Sprintf("%d %d * * *", minute%60, minute/60), name)
				began := w.now
				first := firstMinute(from, minute, zone)
				w.pass(first.Sub(w.now) - time.Second)
				if s := w.state(w.valve); s != ota.Queued {
					t.Errorf("a second before %s it is %s", first.In(zone), s)
				}
				w.pass(time.Second)
				if u := w.track(w.valve, ota.Firmware).Update; u.State != ota.Initiated {
					t.Errorf("at %s it is %s until %s", first.In(zone), u.State, u.NotBefore.In(zone))
				}
				w.kill()
				w.pass(4 * 24 * time.Hour)
				assertAt(t, "the offer", started, w.raised(w.valve, "offered"), first)
				assertAt(t, "the delay", started, w.raised(w.clock, "over"), began.Add(26*time.Hour))
				assertAt(t, "the end of patience", started, w.raised(w.deaf, "late"), began.Add(24*time.Hour))
				assertDaily(t, w.fired(), from, w.now, minute, c, zone)
				w.check()
			})
		}
	}
}

// assertAt holds that something came at its time. Between the moments to which a
// test sets the clock it goes on as the machine's does, so what the test has
// taken itself since it began may be added.
func assertAt(t *testing.T, what string, began, got, want time.Time) {
	t.Helper()
	if d := got.Sub(want); d < 0 || d > 2*time.Second+time.Since(began) {
		t.Errorf("%s came at %s, want %s", what, got, want)
	}
}

// assertDaily holds that a schedule ran once on each day, at its local minute;
// one that the clock leaves out comes as much later as the clock is put on.
func assertDaily(t *testing.T, times []time.Time, from, to time.Time, minute int, c changed, zone *time.Location) {
	t.Helper()
	var want []time.Time
	for day := from.In(zone).AddDate(0, 0, -1); ; day = day.AddDate(0, 0, 1) {
		y, m, d := day.Date()
		midnight := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
		wall := midnight.Add(time.Duration(minute) * time.Minute)
		_, offset := c.at.Add(-time.Second).In(zone).Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if !at.Before(c.at) { // by the clock as it was it comes behind the change
			_, is := c.at.In(zone).Zone()
			if later := wall.Add(-time.Duration(is) * time.Second); !later.Before(c.at) {
				at = later
			}
		}
		if at.After(to) {
			break
		}
		if at.After(from) {
			want = append(want, at)
		}
	}
	if fmt.Sprint(utc(times)) != fmt.Sprint(utc(want)) {
		t.Errorf("the schedule ran for\n%v, want\n%v", utc(times), utc(want))
	}
}

func utc(times []time.Time) (out []string) {
	for _, t := range times {
		out = append(out, t.UTC().Format(time.RFC3339))
	}
	return out
}

// TestClockJumps: a clock that is put on or back by a day, before or after what
// waits has come, fires nothing twice, nothing before its time, and forgets
// nothing.
func TestClockJumps(t *testing.T) {
	const zone = "Europe/Berlin"
	berlin, err := engine.LoadZone(zone)
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	for _, x := range []struct {
		name  string
		after time.Duration // since noon of the first day
		by    time.Duration
	}{
		{"a day on, before", 3 * time.Hour, day}, {"a day back, before", 3 * time.Hour, -day},
		{"a day on, in the window", 15 * time.Hour, day}, {"a day back, in the window", 15 * time.Hour, -day},
		{"a day on, after all", 30 * time.Hour, day}, {"a day back, after all", 30 * time.Hour, -day},
	} {
		t.Run(x.name, func(t *testing.T) {
			w := newWaiting(t, noon, "02:00", "05:00", "30 3 * * *", zone)
			w.pass(x.after)
			jump := w.now
			w.at(w.now.Add(x.by))
			w.work()
			other, err := redis.NewOwner(w.store, "another") // who looks what it could take over
			w.must(err)
			_, err = other.Own(t.Context())
			w.must(err)
			w.at(w.now.Add(time.Minute)) // it goes again
			w.kill()
			w.pass(6 * day)
			if s := w.state(w.valve); s != ota.Initiated {
				t.Errorf("it is %s", s)
			}
			if at := w.raised(w.valve, "offered").In(berlin); at.Hour() < 2 || at.Hour() >= 5 {
				t.Errorf("it was offered at %s", at)
			}
			for _, y := range []struct {
				what string
				at   time.Time
				wait time.Duration
			}{{"the delay", w.raised(w.clock, "over"), 26 * time.Hour}, {"the end of patience", w.raised(w.deaf, "late"), day}} {
				due := noon.Add(y.wait)
				late := time.Duration(0)
				if x.by > 0 && due.After(jump) && due.Before(jump.Add(day)) {
					late = jump.Add(day).Sub(due) // its time was jumped over
				}
				if got := y.at.Sub(due); got < late || got > late+time.Minute {
					t.Errorf("%s came at %s, want %s after %s", y.what, y.at, late, due)
				}
			}
			for i, at := range w.fired() {
				if in := at.In(berlin); in.Hour() != 3 || in.Minute() != 30 {
					t.Errorf("run %d of the schedule was for %s", i, in)
				}
			}
			days := int(w.now.Sub(time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC)) / day)
			if n := len(w.fired()); n != days {
				t.Errorf("in %d days the schedule ran for %v", days, w.fired())
			}
			w.check()
			if dead, err := w.store.DeadLetters(t.Context(), ota.DefaultTenant, 10); err != nil || len(dead) > 0 {
				t.Errorf("dead letters %+v, %v", dead, err)
			}
		})
	}
}
