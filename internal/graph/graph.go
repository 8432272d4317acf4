// Package graph draws a chain: as Mermaid, as DOT, or as an SVG with a layout of
// its own that is fit to be printed.
//
// It sees the steps and roads of one chain as the engine lays them out. It knows
// no node by name, and neither runs nor counters.
package graph

import (
	"fmt"
	"io"
	"strings"

	"github.com/windlass-ota/windlass/engine"
)

// Formats lists the words that Write knows.
func Formats() []string { return []string{"mermaid", "dot", "svg"} }

// Write draws g. The same graph gives the same bytes.
func Write(w io.Writer, g *engine.Graph, format string) error {
	var text string
	switch format {
	case "mermaid":
		text = mermaid(g)
	case "dot":
		text = dot(g)
	case "svg":
		text = svg(g)
	default:
		return fmt.Errorf("draw a chain: there is no format %q", format)
	}
	_, err := io.WriteString(w, text)
	return err
}

// startLines are what a trigger says, a line each.
func startLines(s engine.GraphStart) []string {
	head := s.Event
	if s.Observe {
		head += " (observes)"
	}
	out := []string{head}
	if s.Kind != "" {
		out = append(out, "kind "+s.Kind)
	}
	if len(s.Profiles) > 0 {
		out = append(out, "profiles "+strings.Join(s.Profiles, ", "))
	}
	if s.If != "" {
		out = append(out, "if "+oneLine(s.If))
	}
	return out
}

// stepLines are what a step says below its title.
func stepLines(s engine.GraphStep) []string {
	var out []string
	switch {
	case s.Calls != "":
		out = append(out, "call "+s.Calls)
	case title(s) != s.Node:
		out = append(out, s.Node)
	}
	if s.When != "" {
		out = append(out, "when "+oneLine(s.When))
	}
	return out
}

// title is a step's name; one that only repeats branch and node is shown as its
// node, since the branch stands around it.
func title(s engine.GraphStep) string {
	if s.Branch != "" && s.Name == s.Branch+"."+s.Node {
		return s.Node
	}
	return s.Name
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// folded are the roads of a graph with those between the same two steps put
// together, and those that end the run, by step. The heaviest kind stays.
func folded(g *engine.Graph) []engine.GraphRoad {
	var out []engine.GraphRoad
	at := map[[2]string]int{}
	for _, r := range g.Roads {
		key := [2]string{r.From, r.To}
		if r.Kind == engine.RoadError {
			key[1] += " error"
		}
		if i, ok := at[key]; ok && r.To != "" {
			out[i].Outlet += ", " + r.Outlet
			continue
		}
		at[key] = len(out)
		out = append(out, r)
	}
	return out
}

// ids gives each step a short name that no format objects to.
func ids(g *engine.Graph) map[string]string {
	out := map[string]string{}
	for i, s := range g.Steps {
		out[s.Name] = fmt.Sprintf("s%d", i+1)
	}
	return out
}

// inBranch lists the steps of a branch; of the main road for "".
func inBranch(g *engine.Graph, branch string) []engine.GraphStep {
	var out []engine.GraphStep
	for _, s := range g.Steps {
		if s.Branch == branch {
			out = append(out, s)
		}
	}
	return out
}
