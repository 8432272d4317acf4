package chains_test

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/windlass-ota/windlass/chains"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/nodes"
)

// anyOrder looks away from the order of branches, which is for people.
var anyOrder = []cmp.Option{
	cmpopts.SortSlices(func(a, b string) bool { return a < b }),
	cmpopts.SortSlices(func(a, b engine.GraphStep) bool { return a.Name < b.Name }),
	cmpopts.SortSlices(func(a, b engine.GraphRoad) bool { return a.From+" "+a.Outlet < b.From+" "+b.Outlet }),
}

// A tool that writes the keys of a file in their order changes nothing: order
// carries meaning in lists alone. The roads of each chain, which are all that a
// run follows, come out the same.
func TestSortedKeysAreTheSameChains(t *testing.T) {
	reg, err := engine.NewRegistry(nodes.All(engine.Deps{}))
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := engine.ReadSources(chains.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	examples, err := engine.ReadSources(os.DirFS("examples"))
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, f := range append(shipped, examples...) {
		sorted := f
		if sorted.Data, err = yamlx.Sorted(f.Data); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		if string(sorted.Data) != string(f.Data) {
			changed++
		}
		name := f.Name[:len(f.Name)-len(".yaml")]
		draw := func(f engine.Source) *engine.Graph {
			others := make([]engine.Source, 0, len(shipped)+1)
			for _, s := range shipped {
				if s.Name != f.Name {
					others = append(others, s)
				}
			}
			g, faults := engine.GraphOf(append(others, f), name, reg, engine.Options{Secrets: map[string]string{"on_call_url": "x", "change_board_url": "x", "change_board_key": "x"}})
			if g == nil || faults.Fatal(true) {
				t.Fatalf("%s: %s", f.Name, faults.Text())
			}
			return g
		}
		if diff := cmp.Diff(draw(f), draw(sorted), anyOrder...); diff != "" {
			t.Errorf("%s is another chain with its keys sorted (-as written +sorted):\n%s", f.Name, diff)
		}
	}
	if changed == 0 {
		t.Error("sorting changed no file")
	}
}
