package nodes_test

import (
	"testing"
	"time"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestEnqueueUpdate(t *testing.T) {
	assigned := ota.Message{Event: ota.Assigned, Kind: ota.Firmware, Cause: "rollback"}
	path := func(outlet string) []string {
		return []string{"resolve_package found", "check_compatibility compatible", "enqueue_update " + outlet}
	}
	followed := ota.Followed{Package: app12, Rollout: rollout, Source: ota.Source{Type: ota.ProfileRef, ID: string(profile), Name: "pump"}}
	facts(t, []fact{
		{"the first", func(w *world) { w.assign(app12) }, "assign", assigned, path("queued"), nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			want := &ota.Update{
				ID: "1", Kind: ota.Firmware, State: ota.Queued, Package: app12, Target: w.pkg(app12).Version, Rollout: rollout, Cause: "rollback",
				Attempt: 1, Queued: start, Entered: start, Place: ota.Share(string(rollout), string(device)), History: []ota.Step{{At: start, State: ota.Queued}},
			}
			same(t, "update", w.firmware().Update, want)
			same(t, "followed", w.firmware().Followed, followed)
			same(t, "updates", w.device().Updates, 1)
		}},
		{"on its way already", func(w *world) {
			w.assign(app12)
			w.offer(app12)
		}, "assign", assigned, path("unchanged"), nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "state", w.firmware().Update.State, ota.Initiated)
			same(t, "updates", w.device().Updates, 1)
		}},
		{"in the place of another", func(w *world) {
			w.offer(app11)
			w.assign(app12)
		}, "assign", assigned, path("queued"), nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "target", w.firmware().Update.Package, app12)
			same(t, "id", w.firmware().Update.ID, "2")
			same(t, "on offer", w.firmware().Offer.Package, app11)
		}},
		{"it runs it already", func(w *world) {
			w.assign(app12)
			w.firmware().Reported = ota.Version{Title: "app", Version: "1.2"}
		}, "assign", assigned, path("unchanged"), []string{"push " + offer12}, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "moved", moved(w.firmware().Update), "QUEUED UPDATED")
			same(t, "on offer", w.firmware().Offer.Package, app12)
			same(t, "updates", w.device().Updates, 1)
		}},
		{"first in the line, later", func(w *world) { w.assign(app12) }, "enqueue_first", assigned, path("queued"), nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "priority", w.firmware().Update.Priority, 7)
			same(t, "not before", w.firmware().Update.NotBefore, start.Add(time.Hour))
		}},
		{"later has gone by", func(w *world) {
			w.assign(app12)
			w.now = start.Add(2 * time.Hour)
		}, "enqueue_first", assigned, path("queued"), nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "waiting", w.firmware().Update.Waiting(), true)
		}},
	})
}
