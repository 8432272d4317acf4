package main

import (
	"bytes"
	"flag"
	"fmt"
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

// TestBadChainsAreDrawnOrRefused: no faulty chain breaks the drawing, and one
// that is not drawn has a fault that says why.
func TestBadChainsAreDrawnOrRefused(t *testing.T) {
	dir := filepath.Join("..", "..", "testdata", "bad")
	files, err := folderSources(dir)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := newRegistry(engine.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	drawn := 0
	for _, f := range files {
		g, faults := engine.GraphOf(files, f.ChainName(), reg, engine.Options{})
		if g == nil {
			if len(faults) == 0 {
				t.Errorf("%s is not drawn, and nothing is wrong with it", f.Name)
			}
			continue
		}
		drawn++
		for _, format := range graph.Formats() {
			if err := graph.Write(&bytes.Buffer{}, g, format); err != nil {
				t.Errorf("%s: %v", f.Name, err)
			}
		}
	}
	if drawn == 0 {
		t.Error("none of them is drawn, though the roads of many are whole")
	}
}

// TestALongChainIsDrawn: as many steps as a file may have, each with a road to a
// branch, which would take for ever if the layout looked at every way.
func TestALongChainIsDrawn(t *testing.T) {
	var b strings.Builder
	b.WriteString("chain: long\nsummary: Is long.\ntrigger: telemetry\nsteps:\n")
	for i := range 990 {
		fmt.Fprintf(&b, "  - {node: filter, name: s%d, with: {if: device.online}, to: {rejected: %s}}\n", i, []string{"a", "b", "end"}[i%3])
	}
	b.WriteString("branches:\n  a: [{node: log, with: {message: a}, to: {done: b}}]\n  b: [{node: log, with: {message: b}}]\n")
	path := filepath.Join(t.TempDir(), "long.yaml")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if svg := pictureOf(t, path, "svg"); !bytes.Contains(svg, []byte(">s989<")) {
		t.Error("the last step is not in the picture")
	}
}
