package chains_test

import (
	"os"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/chains"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/chaintest"
	"github.com/windlass-ota/windlass/nodes"
)

// TestCases plays the cases beside the shipped chains. Each chain has some, and
// together they take every outlet that the chains wire.
func TestCases(t *testing.T) {
	shipped, err := engine.ReadSources(chains.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	f := chaintest.Folder{Chains: shipped}
	for _, name := range names(t) {
		data, err := os.ReadFile(name + "_test.yaml")
		if err != nil {
			t.Errorf("chain %s has no test: %v", name, err)
		}
		f.Tests = append(f.Tests, engine.Source{Name: name + "_test.yaml", Data: data})
	}
	r := chaintest.Play(t.Context(), f, chaintest.Options{Shipped: shipped, Factories: nodes.All})
	for _, x := range r.Files {
		if x.Err != nil {
			t.Errorf("%s: %v", x.Name, x.Err)
		}
		if want := strings.TrimSuffix(x.Name, "_test.yaml"); x.Err == nil && x.Chain != want {
			t.Errorf("%s tests chain %s", x.Name, x.Chain)
		}
		for _, c := range x.Cases {
			for _, f := range c.Failures {
				t.Errorf("%s: %s\n\t%s\n\t%s", c.Name, f, f.Ran, strings.Join(f.Trouble, "\n\t"))
			}
		}
	}
	if len(r.Cover) != len(shipped) {
		t.Errorf("%d of %d chains were covered", len(r.Cover), len(shipped))
	}
	for _, c := range r.Cover {
		for _, m := range c.Missed {
			t.Errorf("%s:%d:%d: no case leaves %s by %s", c.File, m.Line, m.Col, m.Step, m.Name)
		}
	}
}
