package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestUnassignPackage(t *testing.T) {
	const chain = `chain: take
summary: Takes a package away.
trigger: rpc_requested
steps:
  - {node: unassign_package, name: off, with: {kind: software, target: "${text(msg.params.target, '')}"}, to: {absent: none}}
  - {node: reply, with: {body: gone}}
branches:
  none: [{node: reply, with: {body: nothing was there}}]
`
	ask := func(target string) ota.Message {
		return ota.Message{Event: ota.RPCRequested, Params: []byte(`{"target":"` + target + `"}`)}
	}
	given := func(w *world) { w.device().Software.Assigned = &ota.Assignment{Package: tool10} }
	failed := []string{"off error"}
	facts(t, []fact{
		{"a device's own", given, chain, ask("device:dev-1"), []string{"off unassigned", "reply replied"}, []string{"body 200 gone"}, "", nil},
		{"nothing is assigned", nil, chain, ask("device:dev-1"), []string{"off absent", "none.reply replied"}, []string{"body 200 nothing was there"}, "", nil},
		{"no such target", given, chain, ask("device:dev-2"), failed, nil, ota.NotFound, nil},
		{"no target at all", given, chain, ask("dev-1"), failed, nil, ota.Invalid, nil},
		{"the store is away", given, chain, ask("profile:pump"), failed, nil, ota.Busy, nil},
	})
}

func TestUnassignPackageAsks(t *testing.T) {
	w := newWorld()
	w.run(t, "chain: take\nsummary: Takes a package away.\ntrigger: connected\nsteps: [{node: unassign_package, with: {kind: firmware, target: \"device:dev-1\"}}]\n", ota.Message{Event: ota.Connected})
	same(t, "wishes", w.wishes, []ota.Wish{{Tenant: tenant, Kind: ota.Firmware, Target: ota.RefOf(tenant, device), By: "chain:take"}})
}
