package chains_test

import (
	"os"
	"strings"
	"testing"

	"github.com/windlass-ota/windlass/chains"
	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/chaintest"
	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/nodes"
)

// TestCases plays the cases beside the shipped chains and beside the examples.
// Each chain has some, and together they take every outlet that the chains wire,
// also where a tool has sorted the keys of their files.
func TestCases(t *testing.T) {
	shipped, err := engine.ReadSources(chains.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	examples, err := engine.ReadSources(os.DirFS("examples"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, dir string
		chains    []engine.Source
	}{
		{"shipped", ".", shipped}, {"examples", "examples", examples},
		{"shipped, sorted", ".", sorted(t, shipped)}, {"examples, sorted", "examples", sorted(t, examples)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := chaintest.Folder{Chains: tt.chains}
			for _, c := range tt.chains {
				test := strings.TrimSuffix(c.Name, ".yaml") + "_test.yaml"
				data, err := os.ReadFile(tt.dir + "/" + test)
				if err != nil {
					t.Errorf("%s has no test: %v", c.Name, err)
				}
				f.Tests = append(f.Tests, engine.Source{Name: test, Data: data})
			}
			assertPlayed(t, chaintest.Play(t.Context(), f, chaintest.Options{Shipped: shipped, Factories: nodes.All}), len(tt.chains))
		})
	}
}

// sorted are chain files as a tool leaves them that sorts keys.
func sorted(t *testing.T, files []engine.Source) []engine.Source {
	t.Helper()
	out := make([]engine.Source, len(files))
	for i, f := range files {
		data, err := yamlx.Sorted(f.Data)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = engine.Source{Name: f.Name, Data: data}
	}
	return out
}

// assertPlayed holds that all cases went well and that n chains were covered.
func assertPlayed(t *testing.T, r *chaintest.Report, n int) {
	t.Helper()
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
	if len(r.Cover) != n {
		t.Errorf("%d of %d chains were covered", len(r.Cover), n)
	}
	for _, c := range r.Cover {
		for _, m := range c.Missed {
			t.Errorf("%s:%d:%d: no case leaves %s by %s", c.File, m.Line, m.Col, m.Step, m.Name)
		}
	}
}
