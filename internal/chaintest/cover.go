package chaintest

import (
	"cmp"
	"slices"
	"sync"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/internal/yamlx"
)

// Coverage counts by which outlets steps were left.
type Coverage struct {
	mu    sync.Mutex
	taken map[coverKey]int
}

type coverKey struct{ chain, step, outlet string }

func newCoverage() *Coverage { return &Coverage{taken: map[coverKey]int{}} }

func (c *Coverage) take(s segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range s.steps {
		c.taken[coverKey{s.chain, h.Step, h.Outlet}]++
	}
}

// ChainCover says which of the outlets that a chain wires were taken.
type ChainCover struct {
	Chain  string
	File   string
	Wired  int
	Missed []Outlet
}

// Outlet is a place in a chain file where an outlet leads somewhere.
type Outlet struct {
	Step, Name string
	Line, Col  int
}

// Percent is the share of outlets that were taken, rounded down.
func (c ChainCover) Percent() int {
	if c.Wired == 0 {
		return 100
	}
	return 100 * (c.Wired - len(c.Missed)) / c.Wired
}

// of holds what was taken against what a chain wires: its main outlets, and those
// that stand in a "to".
func (c *Coverage) of(g *engine.Graph, src engine.Source) ChainCover {
	out := ChainCover{Chain: g.Chain, File: src.Name}
	root, _ := yamlx.Parse(src.Data)
	for _, r := range g.Roads {
		if r.Unsaid || r.Kind == engine.RoadSkip || r.Kind == engine.RoadRun || r.Outlet == "" {
			continue
		}
		out.Wired++
		n := c.taken[coverKey{g.Chain, r.From, r.Outlet}]
		if r.Kind == engine.RoadMain {
			n += c.taken[coverKey{g.Chain, r.From, "main"}]
		}
		if n == 0 {
			line, col := placeOf(root, r.From, r.Outlet)
			out.Missed = append(out.Missed, Outlet{r.From, r.Outlet, line, col})
		}
	}
	slices.SortStableFunc(out.Missed, func(a, b Outlet) int { return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col)) })
	return out
}

// placeOf finds where an outlet is wired; one that is not in a "to" stands where
// its step does.
func placeOf(root *yamlx.Node, step, outlet string) (line, col int) {
	look := func(branch string, list *yamlx.Node) bool {
		if list == nil {
			return false
		}
		for _, s := range list.Items {
			name := s.Get("name")
			if name == nil {
				name = s.Get("node")
			}
			if name == nil || branch+name.Text != step && name.Text != step {
				continue
			}
			line, col = s.Line, s.Col
			if to := s.Get("to"); to != nil {
				for _, p := range to.Pairs {
					if p.Key.Text == outlet {
						line, col = p.Key.Line, p.Key.Col
					}
				}
			}
			return true
		}
		return false
	}
	if look("", root.Get("steps")) {
		return line, col
	}
	if b := root.Get("branches"); b != nil {
		for _, p := range b.Pairs {
			if look(p.Key.Text+".", p.Value) {
				return line, col
			}
		}
	}
	return 1, 1
}
