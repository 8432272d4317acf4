package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestPushOffer(t *testing.T) {
	connected := ota.Message{Event: ota.Connected, Transport: "http"}
	path := func(outlet string) []string {
		return []string{"firmware/check_update settled", "software/check_update offered", "software/again.push_offer " + outlet}
	}
	given := func(w *world) {
		w.assign(tool10)
		w.offer(tool10)
	}
	facts(t, []fact{
		{"a session is open", func(w *world) {
			given(w)
			w.session("mqtt")
		}, "reconcile", connected, path("sent"), []string{"push " + offerTool}, "", nil},
		{"none is", given, "reconcile", connected, path("offline"), nil, "", nil},
	})
}
