package graph

import (
	"fmt"
	"strings"

	"github.com/windlass-ota/windlass/engine"
)

// mermaid writes a flowchart, as Markdown pages of many sites show it.
func mermaid(g *engine.Graph) string {
	var b strings.Builder
	id := ids(g)
	fmt.Fprintf(&b, "---\ntitle: %s\n---\nflowchart TD\n", yamlText(g.Chain+": "+g.Summary))
	for i, s := range g.Starts {
		fmt.Fprintf(&b, "  t%d([%s])\n", i+1, mermaidText(startLines(s)...))
	}
	for _, s := range inBranch(g, "") {
		b.WriteString("  " + mermaidStep(id, s))
	}
	for i, name := range g.Branches {
		fmt.Fprintf(&b, "  subgraph b%d [%s]\n", i+1, mermaidText(name))
		for _, s := range inBranch(g, name) {
			b.WriteString("    " + mermaidStep(id, s))
		}
		b.WriteString("  end\n")
	}
	for i, s := range g.Starts {
		if s.To != "" {
			fmt.Fprintf(&b, "  t%d ==> %s\n", i+1, id[s.To])
		}
	}
	if g.OnError != "" {
		fmt.Fprintf(&b, "  any([\"any error\"])\n  any -.-> %s\n", id[g.OnError])
	}
	ends := map[string]string{}
	for _, r := range folded(g) {
		to := id[r.To]
		if r.To == "" {
			if to = ends[r.From]; to == "" {
				to = fmt.Sprintf("e%d((( )))", len(ends)+1)
				ends[r.From] = strings.TrimSuffix(to, "((( )))")
			}
		}
		fmt.Fprintf(&b, "  %s %s%s %s\n", id[r.From], mermaidArrows[r.Kind], mermaidLabel(r.Outlet), to)
	}
	return b.String()
}

var mermaidArrows = map[engine.RoadKind]string{engine.RoadMain: "==>", engine.RoadSide: "-->", engine.RoadRun: "-->", engine.RoadSkip: "-->", engine.RoadError: "-.->"}

func mermaidLabel(outlet string) string {
	if outlet == "" {
		return ""
	}
	return "|" + mermaidText(outlet) + "|"
}

func mermaidStep(id map[string]string, s engine.GraphStep) string {
	lines := append([]string{title(s)}, stepLines(s)...)
	if s.Note != "" {
		lines = append(lines, oneLine(s.Note))
	}
	open, closing := "[", "]"
	if s.Calls != "" {
		open, closing = "[[", "]]"
	}
	return id[s.Name] + open + mermaidText(lines...) + closing + "\n"
}

// mermaidEscape writes what Mermaid would read as its own or as HTML.
var mermaidEscape = strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "&", "#amp;", "`", "#96;")

// mermaidText is lines as one quoted text.
func mermaidText(lines ...string) string {
	for i := range lines {
		lines[i] = mermaidEscape.Replace(lines[i])
	}
	return `"` + strings.Join(lines, "<br/>") + `"`
}

// yamlText is a scalar of the YAML head.
func yamlText(s string) string {
	return "'" + strings.ReplaceAll(oneLine(s), "'", "''") + "'"
}
