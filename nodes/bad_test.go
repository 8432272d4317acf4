package nodes_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/nodes"
)

var update = flag.Bool("update", false, "write the .faults files of testdata/bad anew; read them before you commit them")

// TestBad loads every chain of testdata/bad, all at once, and holds the faults
// of each against the list beside it.
func TestBad(t *testing.T) {
	dir := filepath.Join("..", "testdata", "bad")
	sources, err := engine.ReadSources(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	reg, err := engine.NewRegistry(nodes.All(engine.Deps{}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = engine.Compile(sources, reg, engine.Options{Secrets: map[string]string{"key": "x"}})
	got := map[string][]string{}
	for _, f := range engine.FaultsOf(err) {
		got[f.File] = append(got[f.File], f.Text())
	}
	for _, s := range sources {
		t.Run(s.Name, func(t *testing.T) {
			text := strings.Join(got[s.Name], "\n") + "\n"
			path := filepath.Join(dir, strings.TrimSuffix(s.Name, ".yaml")+".faults")
			if *update {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), text); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
		})
	}
}
