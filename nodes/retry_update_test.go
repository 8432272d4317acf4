package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestRetryUpdate(t *testing.T) {
	silent := ota.Message{Event: ota.StateTimeout, Kind: ota.Firmware}
	under := func(attempt int) func(*world) {
		return func(w *world) {
			w.offer(app12).Attempt = attempt
			w.session("mqtt")
			w.firmware().Report(ota.Report{State: "DOWNLOADING"}, start)
		}
	}
	waits := func(want time.Duration) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, _ engine.Trial) {
			u := w.firmware().Update
			same(t, "state", u.State, ota.Queued)
			same(t, "wait", u.NotBefore.Sub(start), want)
		}
	}
	scheduled := []string{"retry_update scheduled"}
	facts(t, []fact{
		{"the second attempt", under(1), "retry_fixed", silent, scheduled, nil, "", waits(10 * time.Minute)},
		{"the third", under(2), "retry_fixed", silent, scheduled, nil, "", waits(30 * time.Minute)},
		{"no wait is longer than the longest", under(3), "retry_fixed", silent, scheduled, nil, "", waits(time.Hour)},
		{"used up", under(3), "state_timeout", silent, []string{"retry_update exhausted", "give_up.fail_update failed"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			u := w.firmware().Update
			same(t, "state", u.State, ota.Failed)
			same(t, "silent", u.Silent, true)
		}},
		{"with jitter", under(1), "state_timeout", silent, scheduled, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			if wait := w.firmware().Update.NotBefore.Sub(start); wait < 4*time.Minute || wait > 6*time.Minute || wait == 5*time.Minute {
				t.Errorf("waits %v, want 5m give or take a fifth", wait)
			}
		}},
		{"offered to a device that is away", func(w *world) { w.offer(app12).Attempt = 3 }, "state_timeout", silent, scheduled, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			u := w.firmware().Update
			same(t, "state", u.State, ota.Queued)
			same(t, "away", u.Away, true)
			same(t, "attempt", u.Attempt, 3)
		}},
		{"offered to a device that is there", func(w *world) {
			w.offer(app12)
			w.session("mqtt")
		}, "state_timeout", silent, scheduled, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "attempt", w.firmware().Update.Attempt, 2)
		}},
	})
}
