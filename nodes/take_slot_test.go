package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestTakeSlot(t *testing.T) {
	due := ota.Message{Event: ota.OfferDue, Kind: ota.Firmware}
	chain := `chain: x
summary: Two at a time.
trigger: offer_due
steps:
  - {node: take_slot, with: {key: site, max: 2}, to: {full: busy}}
  - node: check_offer
  - node: admit_update
  - node: offer_update
branches:
  busy: [{node: hold_update, with: {for: 5m, reason: busy}, to: {overdue: late}}]
  late: [{node: fail_update, with: {reason: never free}}]
`
	queued := func(others ...string) func(w *world) {
		return func(w *world) {
			w.assign(app12)
			w.queue(app12)
			w.slots = map[string]bool{}
			for _, o := range others {
				w.slots["site "+o] = true
			}
		}
	}
	facts(t, []fact{
		{"there is room", queued("a"), chain, due, []string{"take_slot taken", "check_offer due", "admit_update held"}, nil, "", func(t *testing.T, w *world, r engine.Trial) {
			same(t, "slots", w.firmware().Update.Slots, []ota.HeldSlot{{Key: "site", Num: 1}})
			out := ota.Tells(&ota.Home{Ref: r.Home.Ref, Device: w.device()}, r.Home) // the run ends without an offer
			if len(out) != 1 || out[0].Message.Key != ota.SlotHolder(device, ota.Firmware, 1) {
				t.Errorf("it gives back %+v", out)
			}
		}},
		{"full", queued("a", "b"), chain, due, []string{"take_slot full", "busy.hold_update"}, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "slots", w.firmware().Update.Slots, []ota.HeldSlot(nil))
		}},
		{"has one already", func(w *world) {
			queued("a", "b")(w)
			w.firmware().Update.Slots = []ota.HeldSlot{{Key: "site", Num: 1}}
		}, chain, due, []string{"take_slot taken", "check_offer due", "admit_update held"}, nil, "", nil},
	})
}
