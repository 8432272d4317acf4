package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// finished is the message of an update that has ended, which many chains hear.
var finished = ota.Message{Event: ota.UpdateFinished, Kind: ota.Firmware, State: ota.Updated}

func waiting(with string) string {
	return "chain: x\nsummary: A test.\ntrigger: update_finished\nsteps:\n  - {node: delay, with: {" + with + "}}\n"
}

func TestDelay(t *testing.T) {
	until := func(at time.Time) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, _ *world, tr engine.Trial) {
			same(t, "waits", tr.Waits, &engine.Wait{At: at, Outlet: "elapsed"})
		}
	}
	facts(t, []fact{
		{"for", nil, waiting("for: 90m"), finished, nil, nil, "", until(start.Add(90 * time.Minute))},
		{"no time is a wait too", nil, waiting("for: 0s"), finished, nil, nil, "", until(start)},
		{"until", nil, waiting("until: 2026-11-24T06:00:00Z"), finished, nil, nil, "", until(time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC))},
		{"until a moment that is past", nil, waiting("until: 2026-11-20T06:00:00Z"), finished, nil, nil, "", until(start)},
		{"worked out", nil, waiting(`until: "${now + duration('3d')}"`), finished, nil, nil, "", until(start.Add(72 * time.Hour))},
		{"jitter makes it longer, never shorter", nil, waiting("for: 100m, jitter: 50%"), finished, nil, nil, "", func(t *testing.T, _ *world, tr engine.Trial) {
			if d := tr.Waits.At.Sub(start); d <= 100*time.Minute || d > 150*time.Minute {
				t.Errorf("waits %s", d)
			}
		}},
	})
}

func TestDelaySettings(t *testing.T) {
	refused(t, waiting, []refusal{
		{"jitter: 5%", "exactly one of for and until is required"},
		{"for: 1h, until: 2026-11-24T06:00:00Z", "exactly one of for and until is required"},
		{"for: 1h, jitter: 120%", "is no share"},
		{"for: soon", "for: "},
	})
}
