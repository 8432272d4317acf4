package chains_test

import (
	"io/fs"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/chains"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
	"github.com/windlass-ota/windlass/ota"
)

// TestShippedChainsLoad holds every shipped chain against the loader; what would
// be a mere warning is a fault here.
func TestShippedChainsLoad(t *testing.T) {
	reg, err := engine.NewRegistry(nodes.All(engine.Deps{}))
	if err != nil {
		t.Fatal(err)
	}
	var sources []engine.Source
	for _, name := range names(t) {
		data, err := fs.ReadFile(chains.Shipped(), name+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, engine.Source{Name: name + ".yaml", Data: data})
	}
	set, err := engine.Compile(sources, reg, engine.Options{Strict: true})
	if err != nil {
		t.Fatalf("the shipped chains do not load:\n%s", engine.FaultsOf(err).Text())
	}

	// Each event of a device, an operator or the clock has its chain; what only
	// reads costs no commit.
	type heard struct {
		Chain string
		Asks  bool
	}
	want := map[ota.Event]heard{
		ota.Telemetry: {"telemetry", false}, ota.AttributesReported: {"attributes", false}, ota.AttributesRequested: {"attributes_request", true},
		ota.ChunkRequested: {"download", true}, ota.RPCRequested: {"rpc", true}, ota.Assigned: {"assign", false}, ota.Unassigned: {"unassign", false},
		ota.OfferDue: {"offer", false}, ota.Connected: {"reconcile", false}, ota.StateTimeout: {"state_timeout", false}, ota.RolloutStarted: {"rollout", false},
		ota.Scheduled: {"scheduled", false},
	}
	got := map[ota.Event]heard{}
	for _, name := range names(t) {
		c := set.Chain(name)
		if c == nil {
			t.Fatalf("%s.yaml holds a chain of another name", name)
		}
		for _, tr := range c.Triggers {
			got[tr.Event] = heard{c.Name, c.Asks()}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("who hears what (-want +got):\n%s", diff)
	}
}

func TestShippedHoldsEachFile(t *testing.T) {
	want := []string{
		"assign", "attributes", "attributes_request", "download", "offer", "reconcile", "reconcile_kind", "report", "rollout", "rpc", "scheduled",
		"state_timeout", "telemetry", "unassign",
	}
	if got := names(t); !slices.Equal(got, want) {
		t.Errorf("shipped chains are %v, want %v", got, want)
	}
}

func names(t *testing.T) []string {
	files, err := fs.Glob(chains.Shipped(), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range files {
		out = append(out, f[:len(f)-len(".yaml")])
	}
	return out
}
