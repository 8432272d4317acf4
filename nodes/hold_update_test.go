package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func holding(with string) string {
	return "chain: x\nsummary: A test.\ntrigger: offer_due\nsteps:\n  - {node: log, with: {message: asked}}\n  - {node: hold_update, when: not device.online, with: {" + with + "}, to: {overdue: late}}\n" +
		"  - {node: resolve_package, to: {absent: end}}\n  - {node: admit_update}\n  - {node: offer_update}\nbranches:\n  late: [{node: fail_update, with: {reason: too late}}]\n"
}

func TestHoldUpdate(t *testing.T) {
	due := ota.Message{Event: ota.OfferDue, Kind: ota.Firmware}
	held := []string{"log done", "hold_update"}
	until := func(want time.Time, reason string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, _ engine.Trial) {
			u := w.firmware().Update
			same(t, "not before", u.NotBefore, want)
			same(t, "held", u.Held, reason)
			same(t, "waiting", u.Waiting(), false)
			same(t, "moved", moved(u), "QUEUED")
		}
	}
	queued := func(w *world) { w.assign(app12); w.queue(app12) }
	facts(t, []fact{
		{"for", queued, holding(`for: 30m, reason: "it is ${device.name}"`), due, held, nil, "", until(start.Add(30*time.Minute), "it is dev-1")},
		{"until", queued, holding("until: 2026-11-24T01:00:00Z, reason: night"), due, held, nil, "", until(time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC), "night")},
		{"until a moment that is past", queued, holding("until: 2026-11-20T01:00:00Z, reason: night"), due, held, nil, "", until(start.Add(time.Second), "night")},
		{"no longer than give_up", queued, holding("for: 30m, give_up: 10m, reason: night"), due, held, nil, "", until(start.Add(10*time.Minute), "night")},
		{"until an event", queued, holding("wake_on: [connected], reason: away"), due, held, nil, "", func(t *testing.T, w *world, tr engine.Trial) {
			until(start.Add(30*24*time.Hour), "away")(t, w, tr)
			tr1 := w.firmware()
			same(t, "another event", tr1.Wake(ota.Telemetry, start.Add(time.Hour)), false)
			same(t, "its event", tr1.Wake(ota.Connected, start.Add(time.Hour)), true)
			same(t, "in line", tr1.Update.Waiting(), true)
			same(t, "held for", tr1.Update.HeldFor, time.Hour)
			same(t, "reason", tr1.Update.Held, "")
		}},
		{"not applied", func(w *world) { queued(w); w.session("mqtt") }, holding("for: 30m, reason: night"), due,
			[]string{"log done", "hold_update", "resolve_package found", "admit_update held"}, nil, "", nil},
		{"overdue", func(w *world) { queued(w); w.firmware().Update.HeldFor = 30 * 24 * time.Hour }, holding("for: 30m, reason: night"), due,
			[]string{"log done", "hold_update overdue", "late.fail_update failed"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
				same(t, "moved", moved(w.firmware().Update), "QUEUED FAILED")
			}},
		{"the time in line does not count", func(w *world) {
			queued(w)
			w.firmware().HoldBack(ota.Hold{Reason: "x", Until: start.Add(time.Hour)}, start)
			w.firmware().Ripe(start.Add(9 * time.Hour))
			w.now = start.Add(9 * time.Hour)
		}, holding("for: 30m, give_up: 2h, reason: night"), due, held, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "held for", w.firmware().Update.HeldFor, time.Hour)
		}},
		{"back from under way", func(w *world) { w.assign(app12); w.offer(app12) },
			"chain: x\nsummary: A test.\ntrigger: state_timeout\nsteps: [{node: hold_update, with: {for: 1h, reason: later}, to: {overdue: late}}]\nbranches: {late: [{node: fail_update, with: {reason: too late}}]}\n",
			ota.Message{Event: ota.StateTimeout, Kind: ota.Firmware}, []string{"hold_update"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
				same(t, "moved", moved(w.firmware().Update), "QUEUED INITIATED QUEUED")
				same(t, "attempt", w.firmware().Update.Attempt, 1)
			}},
	})
}

func TestHoldUpdateSettings(t *testing.T) {
	refused(t, holding, []refusal{
		{"for: 1h", "needs the setting reason"},
		{"reason: x", "one of for, until, wake_on is required"},
		{"reason: x, for: 1h, until: 2026-11-24T01:00:00Z", "until and for exclude each other"},
		{"reason: x, wake_on: [offer_due]", `wake_on is "offer_due", want one of`},
		{"reason: x, wake_on: [connectd]", "did you mean connected?"},
		{"reason: x, for: 1h, give_up: 0s", "give_up is"},
	})
}
