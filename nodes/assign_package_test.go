package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestAssignPackage(t *testing.T) {
	ask := func(pkg, target string) ota.Message {
		return ota.Message{Event: ota.RPCRequested, Params: []byte(`{"package":"` + pkg + `","target":"` + target + `"}`)}
	}
	refused := []string{"made refused", "refused.reply_error"}
	facts(t, []fact{
		{"to a device", nil, "assign_tool", ask("tool@1.0", "device:dev-1"), []string{"made assigned", "reply replied"}, []string{"body 200 rollout rollout-2"}, "", nil},
		{"again", func(w *world) {
			w.device().Software.Assigned = &ota.Assignment{Package: tool10}
		}, "assign_tool", ask("tool@1.0", "device:dev-1"), []string{"made unchanged", "same.reply replied"}, []string{"body 200 nothing new"}, "", nil},
		{"no such package", nil, "assign_tool", ask("tool@2.0", "device:dev-1"), refused, []string{"error conflict find: there is no package tool@2.0"}, "", nil},
		{"no such target", nil, "assign_tool", ask("tool@1.0", "device:dev-2"), refused, []string{"error conflict find: there is no device dev-2"}, "", nil},
		{"no package at all", nil, "assign_tool", ask("tool", "device:dev-1"), refused, []string{`error conflict assign package: package is "tool", want title@version`}, "", nil},
		{"no target at all", nil, "assign_tool", ask("tool@1.0", "dev-1"), refused, []string{`error conflict assign package: target is "dev-1", want device:NAME or profile:NAME`}, "", nil},
		{"it does not fit", func(w *world) { w.pkg(tool10).Ready = false }, "assign_tool", ask("tool@1.0", "device:dev-1"), refused, []string{"error conflict assign tool@1.0: it is still being checked"}, "", nil},
		{"the store is away", nil, "assign_tool", ask("tool@1.0", "profile:pump"), []string{"made error"}, nil, ota.Busy, nil},
	})
}

func TestAssignPackageAsks(t *testing.T) {
	w := newWorld()
	w.run(t, "assign_tool", ota.Message{Event: ota.RPCRequested, Params: []byte(`{"package":"tool@1.0","target":"device:dev-1"}`)})
	same(t, "wishes", w.wishes, []ota.Wish{{
		Tenant: tenant, Package: ref(ota.PackageRef, string(tool10)), Target: ota.RefOf(tenant, device), By: "chain:assign_tool",
		Chain: "canary", Args: map[string]string{"soak": "6h"},
	}})
}
