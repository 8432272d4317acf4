package engine

import (
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// Traced is a run whose turn has ended, as [Host.Traced] sees it. Nobody changes
// what lies in it.
type Traced struct {
	Chain   *Chain
	Message ota.Message
	Steps   []Hop          // that were done: calls and returns among them, those that "when" skipped not, and at the end the one at which it waits; a call leaves by the outlet of its chain, "main" for the first
	Vars    map[string]any // of the chain itself, those that its expressions name
	Waits   bool           // it is parked, and goes on later
	Dead    string         // why it is kept for people, or ""
	Err     error          // no road took it
}

// Wrap may put another node in the place of a step's, for tests that answer
// instead of it. It is asked at load, for every step but the flow words that do
// not wait, with the chain that the step stands in and its name there.
type Wrap func(chain, step string, n Node) Node

// wrapped is the node of a step, or what a test puts in its place.
func (b *builder) wrapped(p *proto) Node {
	if b.opts.Wrap == nil || p.node == nil || p.fac.Spec.Flow && !p.fac.Spec.Waits {
		return p.node
	}
	return b.opts.Wrap(p.in.doc.name, p.doc.name, p.node)
}

// traced tells whoever wants to know of a run that has ended its turn.
func (e *Engine) traced(r *Run, err error) {
	if e.Traced != nil {
		e.Traced(r.traced(err))
	}
}

func (r *Run) traced(err error) Traced {
	t := Traced{Chain: r.chain, Message: r.Msg, Steps: r.way(), Vars: map[string]any{}, Waits: r.park != nil, Err: err}
	if r.wants.dead != nil {
		t.Dead = r.wants.dead.reason
	}
	for i := range r.chain.frame.slots {
		if name, ok := strings.CutPrefix(r.chain.frame.slots[i].key, "vars."); ok && !strings.Contains(name, "/") {
			t.Vars[name] = r.env.slots[i]
		}
	}
	return t
}

// way is the path with the quiet steps in it: each of those has one edge, so
// where they stood follows from where the run went on.
func (r *Run) way() []Hop {
	var out []Hop
	open := map[string]int{} // calls that are entered, by the prefix of the steps in them; their place in out
	steps, path, at := r.chain.steps, r.path, nowhere
	if len(path) >= pathHop {
		at = r.begun(int32(path[0])<<8 | int32(path[1]))
	}
	for len(path) >= pathHop {
		here := int32(path[0])<<8 | int32(path[1])
		if at < 0 { // a branch has ended
			at = here
		}
		s := &steps[at]
		if s.quiet && here != at {
			h := Hop{Step: s.name}
			if w, ok := s.node.(*returnNode); ok {
				h.Outlet = w.outlet
			} else {
				open[s.name+"/"] = len(out)
			}
			out = append(out, h)
			at = left(out, open, steps, at, s.next[0], h.Outlet)
			continue
		}
		at = here
		h, next := r.chain.hopOf(at, path[2]), r.chain.behind(at, path[2])
		if path[2] != outletSkip {
			out = append(out, h)
		}
		path = path[pathHop:]
		if next < 0 && len(path) >= pathHop {
			at = next
			continue
		}
		if h.Outlet == "error" {
			at = left(out, open, steps, at, next, "error")
		} else {
			at = left(out, open, steps, at, next, "")
		}
	}
	if r.park != nil {
		out = append(out, Hop{Step: steps[r.at].name})
	}
	return out
}

// begun is the step with which the run began: that of its first hop, or a call
// that leads there.
func (r *Run) begun(first int32) int32 {
	for _, t := range r.chain.Triggers {
		for at := t.Start; at >= 0; at = r.chain.steps[at].next[0] {
			if at == first {
				return t.Start
			}
			if !r.chain.steps[at].quiet {
				break
			}
		}
	}
	return first
}

// left notes by which outlet the calls were left that the edge from at to next
// leads out of: the innermost by outlet, where that is said, the others by their
// first. It returns next.
func left(out []Hop, open map[string]int, steps []step, at, next int32, outlet string) int32 {
	to := ""
	if next >= 0 {
		to = steps[next].name
	}
	from := steps[at].name
	for i := strings.LastIndexByte(from, '/'); i >= 0; i = strings.LastIndexByte(from[:i], '/') {
		prefix := from[:i+1]
		call, entered := open[prefix]
		if strings.HasPrefix(to, prefix) || !entered {
			break
		}
		if out[call].Outlet = outlet; outlet == "" {
			out[call].Outlet = mainOutlet
		}
		delete(open, prefix)
		if outlet != "error" {
			outlet = ""
		}
	}
	return next
}

// mainOutlet stands in a [Traced] for the first outlet of a called chain.
const mainOutlet = "main"
