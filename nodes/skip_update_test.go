package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestSkipUpdate(t *testing.T) {
	facts(t, []fact{{
		name: "what was under way before is closed",
		given: func(w *world) {
			w.offer(app11)
			w.assign(app12)
			w.pkg(app12).Quarantine = "bricks pumps"
		},
		chain: "assign", msg: ota.Message{Event: ota.Assigned, Kind: ota.Firmware},
		path: []string{"resolve_package found", "check_compatibility incompatible", "skip.skip_update"},
		then: func(t *testing.T, w *world, _ engine.Trial) {
			f := w.firmware()
			same(t, "skipped", f.Skipped, "app@1.2 is in quarantine: bricks pumps")
			same(t, "followed", f.Followed.Package, app12)
			same(t, "closed", f.Update.Closed, ota.ClosedCancelled)
		},
	}})
}
