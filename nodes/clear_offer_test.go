package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestClearOffer(t *testing.T) {
	gone := ota.Message{Event: ota.Unassigned, Kind: ota.Software}
	path := []string{"cancel_update absent", "resolve_package absent", "clear.clear_offer cleared"}
	cleared := func(t *testing.T, w *world, _ engine.Trial) { same(t, "offer", w.device().Software.Offer, ota.Offer{}) }
	facts(t, []fact{
		{"an offer that is over", func(w *world) {
			w.offer(tool10)
			w.device().Software.Fail("broken", false, start)
		}, "unassign", gone, path, []string{"push cancel sw_title sw_version sw_ts sw_state sw_size sw_checksum sw_checksum_algorithm sw_url sw_tag"}, "", cleared},
		{"nothing was on offer", nil, "unassign", gone, path, nil, "", cleared},
		{"the other kind's stays", func(w *world) { w.offer(app12) }, "unassign", gone, path, nil, "", func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "firmware", w.firmware().Offer.Package, app12)
		}},
	})
}
