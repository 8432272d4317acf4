package nodes_test

import (
	"context"
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

// FuzzTelemetry holds that no message of a device breaks the chain that takes
// it, and that none ends an update as UPDATED without the target's version.
func FuzzTelemetry(f *testing.F) {
	for _, s := range []string{
		`{"fw_state":"DOWNLOADING"}`, `{"fw_state":"UPDATED","current_fw_title":"app","current_fw_version":"1.2"}`,
		`{"current_fw_version":1.10,"fw_error":null}`, `{"sw_state":"FAILED","sw_error":"x"}`, `{"":1}`, `[{"fw_state":1}]`, `{"fw_state":{"a":[]}}`, `{`, "",
	} {
		f.Add([]byte(s))
	}
	w := newWorld()
	w.offer(app12)
	home := w.homes[ota.RefOf(tenant, device)]
	set, err := compile(f, engine.Deps{}, shipped(f))
	if err != nil {
		f.Fatal(err)
	}
	c := set.Chain("telemetry")
	f.Fuzz(func(t *testing.T, values []byte) {
		m := ota.Message{Event: ota.Telemetry, Tenant: tenant, Device: device, Values: values, Transport: "mqtt"}
		r := c.Try(context.Background(), m, home.Clone(), w, start)
		if code := ota.CodeOf(r.Err); code != "" && code != ota.Invalid {
			t.Fatalf("values %q: %v", values, r.Err)
		}
		fw := r.Home.Device.Firmware
		if fw.Update.State == ota.Updated && fw.Reported.Version != "1.2" {
			t.Fatalf("values %q: UPDATED, and runs %+v", values, fw.Reported)
		}
	})
}
