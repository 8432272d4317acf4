package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestReplyAttributes(t *testing.T) {
	ask := func(client, shared []string) ota.Message {
		return ota.Message{Event: ota.AttributesRequested, ClientKeys: client, SharedKeys: shared}
	}
	path := []string{"reply_attributes replied"}
	given := func(w *world) {
		w.value(ota.ClientScope, "serial", `"7"`)
		w.value(ota.ClientScope, "rev", "1.10")
		w.value(ota.SharedScope, "zone", `"north"`)
		w.value(ota.SharedScope, "interval", "60")
		w.value(ota.ServerScope, "secret", "1")
		w.offer(app12)
		w.offer(tool10)
	}
	const fw = `"fw_title":"app","fw_version":"1.2","fw_tag":"app 1.2","fw_size":10,"fw_checksum_algorithm":"CRC32","fw_checksum":"43beb7e8"`
	const sw = `"sw_title":"tool","sw_version":"1.0","sw_size":10,"sw_checksum_algorithm":"CRC32","sw_checksum":"43beb7e8"`
	facts(t, []fact{
		{"everything", given, "attributes_request", ask(nil, nil), path, []string{`attributes client {"rev":1.10,"serial":"7"} shared {"interval":60,"zone":"north",` + fw + "," + sw + "}"}, "", nil},
		{"client keys alone", given, "attributes_request", ask([]string{"serial", "nothing"}, nil), path, []string{`attributes client {"serial":"7"}`}, "", nil},
		{"shared keys alone, in our order", given, "attributes_request", ask(nil, []string{"fw_version", "zone", "fw_title", "sw_checksum"}), path, []string{`attributes shared {"zone":"north","fw_title":"app","fw_version":"1.2","sw_checksum":"43beb7e8"}`}, "", nil},
		{"none of them is there", given, "attributes_request", ask([]string{"x"}, []string{"fw_url", "y"}), path, []string{"attributes"}, "", nil},
		{"no names at all", given, "attributes_request", ask([]string{}, []string{}), path, []string{"attributes"}, "", nil},
		{"nothing is there", nil, "attributes_request", ask(nil, nil), path, []string{"attributes"}, "", nil},
		{"a queued update is not told yet", func(w *world) { w.queue(app12) }, "attributes_request", ask(nil, nil), path, []string{"attributes"}, "", nil},
	})
}
