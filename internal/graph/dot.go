package graph

import (
	"fmt"
	"strings"

	"github.com/windlass-ota/windlass/engine"
)

// dot writes a digraph for Graphviz and whatever else reads DOT.
func dot(g *engine.Graph) string {
	var b strings.Builder
	id := ids(g)
	fmt.Fprintf(&b, "digraph %s {\n", dotText(g.Chain))
	fmt.Fprintf(&b, "  label=%s; labelloc=t; fontname=\"Helvetica\"; rankdir=TB;\n", dotText(g.Chain+": "+oneLine(g.Summary)))
	b.WriteString("  node [shape=box, style=rounded, fontname=\"Helvetica\", fontsize=11];\n  edge [fontname=\"Helvetica\", fontsize=10];\n")
	for i, s := range g.Starts {
		fmt.Fprintf(&b, "  t%d [shape=ellipse, label=%s];\n", i+1, dotText(startLines(s)...))
	}
	for _, s := range inBranch(g, "") {
		b.WriteString("  " + dotStep(id, s))
	}
	for i, name := range g.Branches {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s; style=\"rounded,filled\"; color=\"#d0d7de\"; fillcolor=\"#f6f8fa\";\n", i+1, dotText(name))
		for _, s := range inBranch(g, name) {
			b.WriteString("    " + dotStep(id, s))
		}
		b.WriteString("  }\n")
	}
	for i, s := range g.Starts {
		if s.To != "" {
			fmt.Fprintf(&b, "  t%d -> %s [style=bold];\n", i+1, id[s.To])
		}
	}
	if g.OnError != "" {
		fmt.Fprintf(&b, "  any [shape=ellipse, label=\"any error\"];\n  any -> %s [style=dashed];\n", id[g.OnError])
	}
	ends := map[string]string{}
	for _, r := range folded(g) {
		to := id[r.To]
		if r.To == "" {
			if to = ends[r.From]; to == "" {
				to = fmt.Sprintf("e%d", len(ends)+1)
				ends[r.From] = to
				fmt.Fprintf(&b, "  %s [shape=doublecircle, label=\"\", width=0.12, style=filled, fillcolor=black];\n", to)
			}
		}
		fmt.Fprintf(&b, "  %s -> %s [label=%s%s];\n", id[r.From], to, dotText(r.Outlet), dotStyles[r.Kind])
	}
	b.WriteString("}\n")
	return b.String()
}

var dotStyles = map[engine.RoadKind]string{engine.RoadMain: ", style=bold", engine.RoadError: ", style=dashed, constraint=false", engine.RoadSkip: ", color=gray"}

func dotStep(id map[string]string, s engine.GraphStep) string {
	lines := append([]string{title(s)}, stepLines(s)...)
	if s.Note != "" {
		lines = append(lines, oneLine(s.Note))
	}
	more := ""
	if s.Calls != "" {
		more = ", peripheries=2"
	}
	return fmt.Sprintf("%s [label=%s%s];\n", id[s.Name], dotText(lines...), more)
}

var dotEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// dotText is lines as one quoted text.
func dotText(lines ...string) string {
	for i := range lines {
		lines[i] = dotEscape.Replace(oneLine(lines[i]))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}
