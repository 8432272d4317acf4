package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestCheckUpdate(t *testing.T) {
	connected := ota.Message{Event: ota.Connected, Transport: "mqtt"}
	// Every case ends with software, of which there is nothing.
	path := func(firmware ...string) []string {
		return append(firmware, "software/check_update settled")
	}
	settled := path("firmware/check_update settled")
	outdated := path("firmware/check_update outdated", "firmware/assign.resolve_package found", "firmware/assign.check_compatibility compatible", "firmware/assign.enqueue_update queued")
	facts(t, []fact{
		{"nothing is in force", nil, "reconcile", connected, settled, nil, "", nil},
		{"its update is queued", func(w *world) {
			w.assign(app12)
			w.queue(app12)
		}, "reconcile", connected, path("firmware/check_update queued"), nil, "", nil},
		{"its update was offered", func(w *world) {
			w.assign(app12)
			w.offer(app12)
			w.session("mqtt")
		}, "reconcile", connected, path("firmware/check_update offered", "firmware/again.push_offer sent"), []string{"push " + offer12}, "", nil},
		{"no update yet", func(w *world) { w.assign(app12) }, "reconcile", connected, outdated, nil, "", nil},
		{"its update is to something else", func(w *world) {
			w.offer(app11)
			w.assign(app12)
		}, "reconcile", connected, outdated, nil, "", nil},
		{"it reports the package", func(w *world) {
			w.assign(app12)
			w.firmware().Reported = ota.Version{Title: "app", Version: "1.2"}
		}, "reconcile", connected, settled, nil, "", nil},
		{"its update has failed", func(w *world) {
			w.assign(app12)
			w.offer(app12)
			w.firmware().Fail("broken", false, start)
		}, "reconcile", connected, settled, nil, "", nil},
		{"its update by an earlier rollout has failed", func(w *world) {
			w.assign(app12)
			w.offer(app12).Rollout = "rollout-0"
			w.firmware().Fail("broken", false, start)
		}, "reconcile", connected, outdated, nil, "", nil},
		{"its update was cancelled", func(w *world) {
			w.assign(app12)
			w.offer(app12)
			w.firmware().Cancel()
		}, "reconcile", connected, outdated, nil, "", nil},
		{"it was left out", func(w *world) {
			w.assign(app12)
			w.firmware().Skipped, w.firmware().Followed = "museum", ota.Followed{Package: app12, Rollout: rollout}
		}, "reconcile", connected, settled, nil, "", nil},
		{"it was left out of another", func(w *world) {
			w.assign(app12)
			w.firmware().Skipped, w.firmware().Followed = "museum", ota.Followed{Package: app11, Rollout: "rollout-0"}
		}, "reconcile", connected, outdated, nil, "", nil},
		{"the package is gone", func(w *world) {
			w.assign(app12)
			delete(w.homes, ref(ota.PackageRef, string(app12)))
		}, "reconcile", connected, settled, nil, "", nil},
	})
}
