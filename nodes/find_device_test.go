package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestFindDevice(t *testing.T) {
	const chain = `chain: peer
summary: Looks for another device.
trigger: telemetry
steps:
  - {node: find_device, with: {name: "${text(msg.values.peer, '')}"}, to: {absent: nobody}}
  - {node: set_attributes, with: {scope: server, values: {peer: "${device.name} of ${device.profile} at ${device.attributes.server.site ?? 'nowhere'}"}}}
branches:
  nobody: [{node: set_attributes, with: {scope: server, values: {peer: none}}}]
`
	given := func(w *world) {
		w.put(ota.Home{Device: &ota.Device{ID: "other", Tenant: tenant, Name: "dev-2", Profile: "profile-valve"}})
		w.put(ota.Home{Profile: &ota.Profile{ID: "profile-valve", Tenant: tenant, Name: "valve"}})
		w.set(ota.RefOf(tenant, "other"), ota.Value{Scope: ota.ServerScope, Key: "site", JSON: []byte(`"north"`)})
		w.value(ota.ServerScope, "site", `"south"`)
	}
	found := []string{"find_device found", "set_attributes set"}
	facts(t, []fact{
		{"another is read, the run's own is written", given, chain, says(`{"peer":"dev-2"}`), found, nil, "", keepsPeer(`"dev-2 of valve at north"`)},
		{"its profile is gone", func(w *world) {
			given(w)
			delete(w.homes, ref(ota.ProfileRef, "profile-valve"))
		}, chain, says(`{"peer":"dev-2"}`), found, nil, "", keepsPeer(`"dev-2 of  at north"`)},
		{"itself", given, chain, says(`{"peer":"dev-1"}`), found, nil, "", keepsPeer(`"dev-1 of pump at south"`)},
		{"nobody", given, chain, says(`{"peer":"dev-3"}`), []string{"find_device absent", "nobody.set_attributes set"}, nil, "", keepsPeer(`"none"`)},
	})
}

func keepsPeer(want string) func(*testing.T, *world, engine.Trial) {
	return func(t *testing.T, _ *world, r engine.Trial) {
		t.Helper()
		same(t, "values", kept(r.Values), []string{"server peer " + want + " +0s"})
	}
}

// A chain that is about no device cannot write to one that it has found.
func TestFindDeviceBringsNoSubject(t *testing.T) {
	got := faultsOf(t, "chain: x\nsummary: A test.\ntrigger: scheduled\nsteps:\n  - {node: find_device, with: {name: dev-1}, to: {absent: end}}\n  - {node: set_attributes, with: {scope: server, values: {a: 1}}}\n")
	same(t, "fault", got, "x.yaml:6:12: set_attributes is about a device, which scheduled does not bring; this road does not: find_device.found (wrong_subject)")
}
