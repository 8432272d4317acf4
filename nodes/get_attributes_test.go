package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

func TestGetAttributes(t *testing.T) {
	chain := func(with string) string {
		return "chain: get\nsummary: Reads attributes.\ntrigger: rpc_requested\nsteps:\n" +
			"  - {node: set_attributes, with: {scope: shared, values: {b: 2, c: null}, push: false}}\n" +
			"  - {node: delete_attributes, with: {scope: server, keys: [gone]}}\n" +
			"  - {node: get_attributes, name: of, with: {" + with + "}}\n" +
			"  - {node: reply, with: {json: \"${steps.of.values}\"}}\n"
	}
	given := func(w *world) {
		w.value(ota.SharedScope, "a", `"x"`)
		w.value(ota.SharedScope, "b", `1`)
		w.value(ota.ServerScope, "site", `{"id":7}`)
		w.value(ota.ServerScope, "gone", `true`)
	}
	ask := ota.Message{Event: ota.RPCRequested}
	path := []string{"set_attributes set", "delete_attributes deleted", "of read", "reply replied"}
	facts(t, []fact{
		{"all, and what the run has set", given, chain("scope: shared"), ask, path, []string{`body 200 {"a":"x","b":2}`}, "", nil},
		{"some", given, chain("scope: shared, keys: [b, c, d]"), ask, path, []string{`body 200 {"b":2}`}, "", nil},
		{"none", given, chain("scope: shared, keys: []"), ask, path, []string{`body 200 {}`}, "", nil},
		{"without what the run has deleted", given, chain("scope: server"), ask, path, []string{`body 200 {"site":{"id":7}}`}, "", nil},
		{"of an empty scope", given, chain("scope: client"), ask, path, []string{`body 200 {}`}, "", nil},
	})
}
