package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func TestDeleteAttributes(t *testing.T) {
	chain := func(with string) string {
		return "chain: drop\nsummary: Deletes attributes.\ntrigger: telemetry\nsteps: [{node: delete_attributes, with: {" + with + "}}]\n"
	}
	path := []string{"delete_attributes deleted"}
	keeps := func(want ...string) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, _ *world, r engine.Trial) {
			t.Helper()
			var got []string
			for _, v := range r.Values {
				if v.JSON == nil {
					got = append(got, string(v.Scope)+" "+v.Key)
				}
			}
			same(t, "deleted", got, want)
		}
	}
	facts(t, []fact{
		{"shared ones, and the device is told", nil, chain("scope: shared, keys: [a, b]"), says(`{}`), path, []string{"push attributes deleted a b"}, "", keeps("shared a", "shared b")},
		{"a name of the message", nil, chain("scope: server, keys: [\"${text(msg.values.key, '')}\"]"), says(`{"key":"site"}`), path, nil, "", keeps("server site")},
		{"none", nil, chain("scope: shared, keys: []"), says(`{}`), path, nil, "", keeps()},
		{"an offer's", nil, chain("scope: shared, keys: [a, fw_title]"), says(`{}`), []string{"delete_attributes error"}, nil, ota.Invalid, keeps()},
		{"the client's own may be called so", nil, chain("scope: client, keys: [fw_title]"), says(`{}`), path, nil, "", keeps("client fw_title")},
	})
}
