package redis

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// A gateway speaks for devices of its owner, which are made where they are not
// there yet; never for another owner's, nor for another gateway.
func TestThrough(t *testing.T) {
	c, _ := redistest.Memory(t)
	s := New(c)
	t.Cleanup(func() { s.Close() })
	w := ota.Wishes{Homes: s, Facts: s, NewID: s.NewDevice}
	put := func(h *ota.Home) ota.Ref {
		t.Helper()
		if err := s.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
			t.Fatal(err)
		}
		return h.Ref
	}
	profile := func(id string, m *ota.MQTTSettings) {
		put(&ota.Home{Ref: ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: id}, Profile: &ota.Profile{ID: ota.ProfileID(id), Tenant: "main", Name: id, MQTT: m}})
	}
	device := func(name, profile string, owner ota.OwnerID) ota.Ref {
		id, err := s.NewDevice(t.Context(), "main", name)
		if err != nil {
			t.Fatal(err)
		}
		return put(ota.NewDevice(ota.Device{ID: id, Tenant: "main", Name: name, Owner: owner, Profile: ota.ProfileID(profile), Credentials: ota.Credentials{Token: "token of " + name}}, s.Now()))
	}
	profile("gateways", &ota.MQTTSettings{Gateway: true})
	profile("thermo", nil)
	gw := device("gw", "gateways", "acme")
	if _, err := w.Through(t.Context(), gw, "s1", "nothing"); ota.CodeOf(err) != ota.NotFound {
		t.Errorf("without any profile: %v", err)
	}
	profile(ota.FallbackProfile, nil)
	for name, want := range map[string]string{"s1": "thermo", "s2": "nothing", "s3": ""} {
		made, err := w.Through(t.Context(), gw, name, want)
		if err != nil {
			t.Fatal(err)
		}
		h, err := s.Load(t.Context(), made)
		if err != nil {
			t.Fatal(err)
		}
		if want != "thermo" {
			want = ota.FallbackProfile
		}
		if h.Device.Name != name || h.Device.Owner != "acme" || string(h.Device.Profile) != want || h.Device.Credentials.Token == "" {
			t.Errorf("made %+v", h.Device)
		}
		if again, err := w.Through(t.Context(), gw, name, "gateways"); again != made || err != nil {
			t.Errorf("again: %v, %v", again, err)
		}
	}
	device("foreign", "thermo", "")
	device("gw2", "gateways", "acme")
	for _, name := range []string{"foreign", "gw2", "gw"} {
		if _, err := w.Through(t.Context(), gw, name, ""); ota.CodeOf(err) != ota.Conflict {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Through(t.Context(), gw, "", ""); ota.CodeOf(err) != ota.Invalid {
		t.Errorf("no name: %v", err)
	}
}
