package lwm2m

import (
	"bytes"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/sim"
)

// TestUpdates: firmware and software, written and fetched, end UPDATED with equal
// bytes, by all states.
func TestUpdates(t *testing.T) {
	const fw, sw = "fw DOWNLOADING, fw DOWNLOADED, fw UPDATING, fw UPDATED", "sw DOWNLOADING, sw DOWNLOADED, sw VERIFIED, sw UPDATING, sw UPDATED"
	tests := []struct {
		name     string
		kind     ota.Kind
		settings *ota.LwM2MSettings
		with     func(*sim.LwM2M)
		want     string
		pulls    bool
	}{
		{"push", ota.Firmware, nil, nil, fw, false},
		{"pull by the profile", ota.Firmware, &ota.LwM2MSettings{FirmwareStrategy: ota.ByURI}, nil, fw, true},
		{"pull, since the client only fetches", ota.Firmware, nil, func(c *sim.LwM2M) { c.Delivery = 0 }, fw, true},
		{"push, since the client does not fetch", ota.Firmware, &ota.LwM2MSettings{FirmwareStrategy: ota.ByURI}, func(c *sim.LwM2M) { c.Delivery = 1 }, fw, false},
		{"push to a client that says nothing of delivery", ota.Firmware, nil, func(c *sim.LwM2M) { c.Delivery = -1 }, fw, false},
		{"software pushed", ota.Software, nil, nil, sw, false},
		{"software pulled", ota.Software, &ota.LwM2MSettings{SoftwareStrategy: ota.ByURI}, nil, sw, true},
		{"push to a client that moves after it has answered", ota.Firmware, nil, func(c *sim.LwM2M) { c.Late = 300 * time.Millisecond }, fw, false},
		{"queue mode", ota.Firmware, nil, func(c *sim.LwM2M) { c.Queue = true }, fw, false},
		{"with loss, push", ota.Firmware, nil, func(c *sim.LwM2M) { c.Loss = 0.15 }, "", false},
		{"with loss, pull", ota.Firmware, nil, func(c *sim.LwM2M) { c.Loss = 0.15; c.Delivery = 0 }, "", true},
		{"restarts in the middle, push", ota.Firmware, nil, func(c *sim.LwM2M) { c.RestartAt = 30_000 }, "", false},
		{"restarts in the middle, pull", ota.Firmware, nil, func(c *sim.LwM2M) { c.RestartAt = 30_000; c.Delivery = 0 }, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 70_001)
			h.profile.LwM2M = tt.settings
			x := h.serve(Config{})
			ref := h.device("d1", ota.Credentials{Endpoint: "d1"})
			h.assign(ref, h.add(tt.kind, "1.1.10"))
			c := h.client(x, "d1", tt.kind)
			if tt.with != nil {
				tt.with(c)
			}
			r := h.play(c)
			h.until("the update has ended", func() bool { u := h.track(ref, tt.kind).Update; return u != nil && u.State.Final() })
			if u := h.track(ref, tt.kind).Update; u.State != ota.Updated || r.State != ota.Updated {
				t.Errorf("%s (%s), the client %+v", u.State, u.Error, r)
			}
			if !bytes.Equal(c.Received, h.data) {
				t.Errorf("%d bytes came, of %d", len(c.Received), len(h.data))
			}
			if got := h.states(); tt.want != "" && got != tt.want {
				t.Errorf("told %s, want %s", got, tt.want)
			}
			if s := x.Stats(); (s.Pulls > 0) != tt.pulls || (s.Pushes > 0) == tt.pulls {
				t.Errorf("%+v", s)
			}
			if h.asks == 0 {
				t.Error("the chains were not asked for pieces")
			}
		})
	}
}
