package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/graph"
)

var update = flag.Bool("update", false, "write the pictures of testdata/graph anew; look at them before you commit them")

var graphDir = filepath.Join("..", "..", "testdata", "graph")

func pictureOf(t *testing.T, what, format string) []byte {
	t.Helper()
	files, name, err := drawable(what)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := newRegistry(engine.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	g, faults := engine.GraphOf(files, name, reg, engine.Options{})
	if g == nil {
		t.Fatalf("%s cannot be drawn:\n%s", what, faults.Text())
	}
	if n := unfit(faults, g.File); n > 0 {
		t.Errorf("%s has %d faults:\n%s", what, n, faults.Text())
	}
	var b bytes.Buffer
	if err := graph.Write(&b, g, format); err != nil {
		t.Fatal(err)
	}
	for _, s := range g.Steps {
		if format != "svg" && !bytes.Contains(b.Bytes(), []byte(s.Node)) && !bytes.Contains(b.Bytes(), []byte(s.Name)) {
			t.Errorf("%s: the picture has no %s", what, s.Name)
		}
	}
	return b.Bytes()
}

// TestGraphs holds the pictures of the chains in testdata/graph against those
// that lie beside them.
func TestGraphs(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(graphDir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no chain to draw", err)
	}
	for _, f := range files {
		for format, ext := range map[string]string{"mermaid": ".mmd", "dot": ".dot", "svg": ".svg"} {
			path := strings.TrimSuffix(f, ".yaml") + ext
			got := pictureOf(t, f, format)
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil { //nolint:gosec // a file of the tree, for everybody
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		}
	}
}

func TestShippedChainsCanBeDrawn(t *testing.T) {
	for _, name := range shippedNames() {
		for _, format := range graph.Formats() {
			pictureOf(t, name, format)
		}
	}
}
