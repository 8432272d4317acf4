package nodes_test

import (
	"testing"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
)

func grouping(with string) string {
	return "chain: x\nsummary: A test.\ntrigger: telemetry\nsteps:\n  - {node: change_group, with: {" + with + "}}\n"
}

func TestChangeGroup(t *testing.T) {
	m := ota.Message{Event: ota.Telemetry, Values: []byte(`{"g":"lab"}`)}
	in := func(groups ...ota.GroupID) func(*world) { return func(w *world) { w.device().Groups = groups } }
	now := func(decide int, groups ...ota.GroupID) func(*testing.T, *world, engine.Trial) {
		return func(t *testing.T, w *world, _ engine.Trial) {
			same(t, "groups", w.device().Groups, groups)
			same(t, "decided anew", len(w.homes[ota.RefOf(tenant, device)].Pending), decide)
		}
	}
	facts(t, []fact{
		{"add", in("a"), grouping(`add: [a, "${msg.values.g}"]`), m, []string{"change_group changed"}, nil, "", now(2, "a", "lab")},
		{"remove", in("a", "b"), grouping("remove: [a, c]"), m, []string{"change_group changed"}, nil, "", now(2, "b")},
		{"both", in("a"), grouping("add: [b, c], remove: [a, c]"), m, []string{"change_group changed"}, nil, "", now(2, "b")},
		{"nothing to do", in("a"), grouping("add: [a], remove: [b]"), m, []string{"change_group unchanged"}, nil, "", now(0, "a")},
	})
}

func TestChangeGroupSettings(t *testing.T) {
	refused(t, grouping, []refusal{{"ad: [a]", "did you mean add?"}, {"", "one of add, remove is required"}})
}
