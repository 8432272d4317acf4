package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestCancelUpdate(t *testing.T) {
	gone := ota.Message{Event: ota.Unassigned, Kind: ota.Firmware}
	facts(t, []fact{
		{
			"open, and another is in force", func(w *world) {
				w.offer(app11)
				w.assign(app12)
			}, "unassign", gone,
			[]string{"cancel_update cancelled", "resolve_package found", "check_compatibility compatible", "enqueue_update queued"}, nil, "",
			func(t *testing.T, w *world, _ engine.Trial) { same(t, "target", w.firmware().Update.Package, app12) },
		},
		{
			"open, and nothing is", func(w *world) { w.offer(app11) }, "unassign", gone,
			[]string{"cancel_update cancelled", "resolve_package absent", "clear.clear_offer cleared"},
			[]string{"push cancel fw_title fw_version fw_ts fw_state fw_size fw_checksum fw_checksum_algorithm fw_url fw_tag"}, "",
			func(t *testing.T, w *world, _ engine.Trial) {
				u := w.firmware().Update
				same(t, "closed", u.Closed, ota.ClosedCancelled)
				same(t, "note", u.History[len(u.History)-1], ota.Step{At: start, State: ota.Initiated, Note: "cancelled: unassigned"})
			},
		},
	})
}
