package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestPushAttributes(t *testing.T) {
	connected := ota.Message{Event: ota.Connected, Transport: "mqtt"}
	path := func(outlet string) []string { return []string{"set_attributes set", "push_attributes " + outlet} }
	facts(t, []fact{
		{"stored ones, and what the run has set", func(w *world) {
			w.session("mqtt")
			w.value(ota.SharedScope, "interval", "60")
			w.value(ota.SharedScope, "other", "1")
		}, "push_some", connected, path("sent"), []string{`push attributes shared {"interval":60,"now":1}`}, "", nil},
		{"those of the offer", func(w *world) {
			w.session("mqtt")
			w.offer(app12)
		}, "push_some", connected, path("sent"), []string{`push attributes shared {"now":1,"fw_version":"1.2"}`}, "", nil},
		{"away", nil, "push_some", connected, path("offline"), nil, "", nil},
	})
}
