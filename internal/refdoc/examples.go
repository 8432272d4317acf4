package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/graph"
	"github.com/windlass-ota/windlass/internal/yamlx"
)

const generatedExamples = "<!-- Generated from chains/examples by \"make gen\"; change those instead. -->\n\n"

// Examples makes the pages of the example chains of a folder, by their names: a
// page for each, and an index. What they call lies in shipped.
func Examples(folder, shipped fs.FS, reg *engine.Registry) (map[string][]byte, error) {
	files, err := engine.ReadSources(folder)
	if err != nil {
		return nil, err
	}
	called, err := engine.ReadSources(shipped)
	if err != nil {
		return nil, err
	}
	var index bytes.Buffer
	index.WriteString(generatedExamples + "# Example chains\n\nEach lies in [`chains/examples`](../../chains/examples) with its tests. Copy one into the folder of your chains and change it; " +
		"`windlass test` says at once whether it still does what its tests say.\n\n| Chain | Does |\n| --- | --- |\n")
	pages := map[string][]byte{}
	for _, f := range files {
		name := strings.TrimSuffix(path.Base(f.Name), ".yaml")
		g, faults := engine.GraphOf(append([]engine.Source{f}, called...), name, reg, engine.Options{})
		if g == nil {
			return nil, fmt.Errorf("draw %s: %w", f.Name, faults)
		}
		page, err := example(folder, f, g)
		if err != nil {
			return nil, fmt.Errorf("page of %s: %w", f.Name, err)
		}
		pages[name+".md"] = page
		fmt.Fprintf(&index, "| [`%s`](%s.md) | %s |\n", name, name, cell(g.Summary))
	}
	pages["README.md"] = index.Bytes()
	return pages, nil
}

// example is the page of one chain: what it is for, its picture, its text, and
// what its tests hold.
func example(folder fs.FS, f engine.Source, g *engine.Graph) ([]byte, error) {
	about, text := leadingComment(string(f.Data))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s# %s\n\n%s\n", generatedExamples, g.Chain, g.Summary)
	if about != "" {
		fmt.Fprintf(&b, "\n%s\n", about)
	}
	b.WriteString("\n```mermaid\n")
	if err := graph.Write(&b, g, "mermaid"); err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, "```\n\n## The chain\n\n[`chains/examples/%s`](../../chains/examples/%s)\n\n```yaml\n%s```\n", f.Name, f.Name, text)
	tests := strings.TrimSuffix(f.Name, ".yaml") + "_test.yaml"
	data, err := fs.ReadFile(folder, tests)
	if err != nil {
		return nil, err
	}
	var doc any
	if err := yamlx.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", tests, err)
	}
	fmt.Fprintf(&b, "\n## What its tests hold\n\n[`chains/examples/%s`](../../chains/examples/%s), run by `windlass test chains/examples/%s`\n\n", tests, tests, tests)
	for _, name := range caseNames(doc) {
		fmt.Fprintf(&b, "- %s\n", name)
	}
	return b.Bytes(), nil
}

// leadingComment takes the comment off that stands before a file's first key.
func leadingComment(text string) (about, rest string) {
	var lines []string
	for strings.HasPrefix(text, "#") {
		line, after, _ := strings.Cut(text, "\n")
		lines = append(lines, strings.TrimSpace(strings.TrimPrefix(line, "#")))
		text = after
	}
	return strings.Join(lines, "\n"), text
}

// caseNames are the names of the cases of a test file.
func caseNames(doc any) []string {
	root, _ := doc.(map[string]any)
	cases, _ := root["cases"].([]any)
	var out []string
	for _, c := range cases {
		if m, ok := c.(map[string]any); ok {
			out = append(out, fmt.Sprint(m["name"]))
		}
	}
	return out
}

// writePages writes pages into a folder and removes the pages that are of no
// chain any more.
func writePages(folder string, pages map[string][]byte) error {
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // pages of the tree, for everybody
		return fmt.Errorf("write the pages: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		return fmt.Errorf("write the pages: %w", err)
	}
	for _, f := range old {
		if pages[filepath.Base(f)] == nil {
			if err := os.Remove(f); err != nil {
				return fmt.Errorf("write the pages: %w", err)
			}
		}
	}
	for name, page := range pages {
		if err := os.WriteFile(filepath.Join(folder, name), page, 0o644); err != nil { //nolint:gosec // as above
			return fmt.Errorf("write the pages: %w", err)
		}
	}
	return nil
}
