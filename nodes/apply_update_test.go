package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestApplyUpdate(t *testing.T) {
	told := func(transport string) ota.Message {
		return ota.Message{Event: ota.Telemetry, Values: []byte(`{"fw_state":"DOWNLOADED"}`), Transport: transport}
	}
	path := func(outlet string) []string {
		return []string{"save_telemetry saved", "firmware/update_status moved", "firmware/apply_update " + outlet, "software/update_status unrelated"}
	}
	given := func(w *world) { w.offer(app12) }
	facts(t, []fact{
		{"LwM2M", given, "telemetry", told("lwm2m"), path("sent"), []string{"push apply"}, "", nil},
		{"MQTT", given, "telemetry", told("mqtt"), path("unsupported"), nil, "", nil},
		{"a report by HTTP of a device that is there by LwM2M", func(w *world) {
			given(w)
			w.session("lwm2m")
		}, "telemetry", told("http"), path("sent"), []string{"push apply"}, "", nil},
		{"no session", given, "telemetry", told(""), path("offline"), nil, "", nil},
	})
}
