package nodes_test

import (
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestAdmitUpdate(t *testing.T) {
	due := ota.Message{Event: ota.OfferDue, Kind: ota.Firmware}
	given := func(change func(r *ota.Rollout)) func(w *world) {
		return func(w *world) {
			w.assign(app12)
			w.queue(app12).Place = 0.0731
			w.rollout().Quota, w.rollout().Mark = 1, 1
			change(w.rollout())
		}
	}
	admitted := []string{"check_offer due", "admit_update admitted", "offer_update offered"}
	held := []string{"check_offer due", "admit_update held", "held.fail error"}
	because := func(why string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, r engine.Trial) {
			same(t, "held", w.firmware().Update.Held, why)
			same(t, "state", w.firmware().Update.State, ota.Queued)
			if !strings.HasSuffix(r.Err.Error(), why) {
				t.Errorf("error %q does not say why", r.Err)
			}
		}
	}
	facts(t, []fact{
		{"open", given(func(*ota.Rollout) {}), "admit", due, admitted, []string{"push " + offer12}, "", nil},
		{"finished, and the device is late", given(func(r *ota.Rollout) { r.State = ota.RolloutDone }), "admit", due, admitted, []string{"push " + offer12}, "", nil},
		{"shut", given(func(r *ota.Rollout) { r.Quota, r.Mark = 0, 0 }), "admit", due, held, nil, ota.Conflict, because("no stage of its rollout is open yet")},
		{"paused", given(func(r *ota.Rollout) { r.State = ota.RolloutPaused }), "admit", due, held, nil, ota.Conflict, because("its rollout is paused")},
		{"further behind", given(func(r *ota.Rollout) { r.Mark = 0.01 }), "admit", due, held, nil, ota.Conflict, because("it stands at 7.31 % of the line, which is open up to 1.00 %")},
		{"by permits", given(func(r *ota.Rollout) { r.Permits = true }), "admit", due, held, nil, ota.Conflict, because("its rollout admits by permits, which this release does not give")},
		{"the rollout is gone", func(w *world) {
			given(func(*ota.Rollout) {})(w)
			delete(w.homes, ref(ota.RolloutRef, string(rollout)))
		}, "admit", due, held, nil, ota.Conflict, because("its rollout is gone")},
		{"an assignment of its own", func(w *world) {
			w.firmware().Assigned = &ota.Assignment{Package: app12}
			w.queue(app12).Rollout = ""
		}, "admit", due, admitted, []string{"push " + offer12}, "", nil},
	})
}
