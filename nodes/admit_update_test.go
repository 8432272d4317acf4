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
	byPermits := func(quota int) func(w *world) {
		return given(func(r *ota.Rollout) {
			r.SetPlan([]ota.Stage{{Name: "canary", Share: 0.1, MaxInFlight: 5, MaxFailed: 1}})
			r.Stage, r.Epoch, r.Allowed, r.Quota = "canary", 1, quota, 0.1
		})
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
		{"shut", given(func(r *ota.Rollout) { r.Quota, r.Mark = 0, 0 }), "admit", due, held, nil, ota.Conflict, because("no stage of its rollout is open")},
		{"paused", given(func(r *ota.Rollout) { r.State = ota.RolloutPaused }), "admit", due, held, nil, ota.Conflict, because("its rollout is paused")},
		{"further behind", given(func(r *ota.Rollout) { r.Mark = 0.01 }), "admit", due, held, nil, ota.Conflict, because("it stands at 7.31 % of the line, which is open up to 1.00 %")},
		{"by permits, let in", byPermits(1), "admit", due, admitted, []string{"push " + offer12}, "", func(t *testing.T, w *world, _ engine.Trial) {
			u := w.firmware().Update
			same(t, "permit", u.Permit, 1)
			same(t, "admission", u.Admission, ota.Admitted)
		}},
		{"by permits, the stage is full", byPermits(0), "admit", due, held, nil, ota.Conflict, because("stage canary of its rollout is full: 0 of 0 are admitted")},
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
