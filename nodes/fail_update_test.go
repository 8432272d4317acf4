package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestFailUpdate(t *testing.T) {
	facts(t, []fact{{
		name: "its reason tells how long nothing was said",
		given: func(w *world) {
			w.offer(app12).Attempt = 3
			w.session("mqtt")
			w.now = start.Add(90 * time.Minute)
		},
		chain: "state_timeout", msg: ota.Message{Event: ota.StateTimeout, Kind: ota.Firmware},
		path: []string{"retry_update exhausted", "give_up.fail_update failed"},
		then: func(t *testing.T, w *world, _ engine.Trial) {
			u := w.firmware().Update
			same(t, "error", u.Error, "no word in INITIATED for 1h30m")
			same(t, "silent", u.Silent, true)
			same(t, "on offer", w.firmware().Offer.Package, app12)
		},
	}, {
		name: "what the device has failed by itself is given the reason",
		given: func(w *world) {
			w.offer(app12).Attempt = 3
			w.firmware().Fail("bad flash", false, start)
		},
		chain: "chain: x\nsummary: A test.\ntrigger: update_finished\nsteps: [{node: fail_update, with: {reason: \"${update.attempt} attempts, last: ${update.error}\"}}]\n",
		msg:   ota.Message{Event: ota.UpdateFinished, Kind: ota.Firmware}, path: []string{"fail_update failed"},
		then: func(t *testing.T, w *world, _ engine.Trial) {
			u := w.firmware().Update
			same(t, "error", u.Error, "3 attempts, last: bad flash")
			same(t, "state", u.State, ota.Failed)
			same(t, "entered once", len(u.History), 3)
		},
	}, {
		name:  "nothing is open",
		chain: "state_timeout", msg: ota.Message{Event: ota.StateTimeout, Kind: ota.Firmware},
		path: []string{"retry_update exhausted", "give_up.fail_update error"}, code: ota.Conflict,
	}})
}
