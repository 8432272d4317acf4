package engine

import (
	"slices"

	"github.com/windlass-ota/windlass/internal/yamlx"
)

// edges finds where every outlet of a step leads.
func (b *builder) edges(p *proto) {
	if p.node == nil {
		p.guessOutlets()
	}
	p.next = make([]int32, len(p.outlets))
	wired := map[string]int32{}
	for _, t := range p.doc.to {
		wired[t.Key.Text] = b.target(p, t.Value)
		if t.Key.Text != "error" && !slices.ContainsFunc(p.outlets, func(o Outlet) bool { return o.Name == t.Key.Text }) && !p.failed {
			b.broken = true
			names := append(outletNames(p.outlets), "error")
			b.faults.add(p.src(), t.Key, ruleUnknownOutlet, "%s has no outlet %s%s", p.doc.node, t.Key.Text, didYouMean(t.Key.Text, names))
		}
	}
	for i, o := range p.outlets {
		to, ok := wired[o.Name]
		switch {
		case ok:
			p.next[i] = to
		case i == 0 && !p.fac.Spec.NoMain:
			p.next[i] = b.follow(p)
		case o.MayEnd:
			p.next[i] = b.exit(p)
		default:
			p.next[i] = nowhere
			b.broken = true
			b.faults.add(p.src(), p.doc.nodeAt, ruleUnwiredOutlet, "outlet %s of %s is not wired; write to: {%s: …}", o.Name, p.doc.node, o.Name)
		}
	}
	if p.child != nil {
		p.leaves = p.next
		p.next = []int32{p.child.first()}
	}
	if p.doc.node == wordReturn && !p.failed && !p.sub {
		b.returnEdge(p)
	}
	b.errorEdge(p, wired)
}

// guessOutlets lets a step that could not be made leave by whatever it wires, so
// that one fault is not followed by others.
func (p *proto) guessOutlets() {
	spec := &p.fac.Spec
	if p.known && len(spec.Outlets) > 0 && !spec.NoMain && !spec.Flow {
		return
	}
	p.outlets = nil
	if !spec.NoMain && p.doc.node != wordReturn && !(p.known && len(spec.Outlets) == 0 && !spec.Flow) {
		p.outlets = append(p.outlets, Outlet{Name: "next", MayEnd: true})
	}
	for _, t := range p.doc.to {
		if t.Key.Text != "error" {
			p.outlets = append(p.outlets, Outlet{Name: t.Key.Text})
		}
	}
}

func outletNames(os []Outlet) []string {
	out := make([]string, len(os))
	for i, o := range os {
		out[i] = o.Name
	}
	return out
}

// follow is where the main outlet leads when nobody wires it.
func (b *builder) follow(p *proto) int32 {
	if p.after == leave {
		return b.exit(p)
	}
	return p.after
}

// exit is where the end of a step's chain leads: a called one is left by its
// first outlet. A branch that is run apart just ends.
func (b *builder) exit(p *proto) int32 {
	if p.sub {
		return end
	}
	return b.exitOf(p.in)
}

func (b *builder) exitOf(in *inst) int32 {
	if in.from == nil {
		return end
	}
	if len(in.from.leaves) == 0 {
		return nowhere
	}
	return in.from.leaves[0]
}

// target finds the step that a target names.
func (b *builder) target(p *proto, n *yamlx.Node) int32 {
	if p.sub && n.Kind == yamlx.Scalar && n.Text == "end" {
		return end
	}
	return b.targetIn(p.in, n, func() int32 { return b.follow(p) })
}

func (b *builder) targetIn(in *inst, n *yamlx.Node, next func() int32) int32 {
	switch {
	case n.Kind != yamlx.Scalar || n.Null():
		b.faults.add(in.doc.src, n, ruleUnknownTarget, "a target is %s, want a step, a branch, next or end", describeNode(n))
	case n.Text == "end":
		return b.exitOf(in)
	case n.Text == "next" && next != nil:
		return next()
	default:
		if i, ok := in.entry[n.Text]; ok {
			return i
		}
		known := append(sortedKeys(in.entry), "end", "next")
		b.faults.add(in.doc.src, n, ruleUnknownTarget, "there is no step or branch %s%s", n.Text, didYouMean(n.Text, known))
	}
	b.broken = true
	return nowhere
}

// returnEdge leads from a return out of its chain.
func (b *builder) returnEdge(p *proto) {
	w, ok := p.node.(*returnNode)
	if !ok {
		return
	}
	i := slices.Index(p.in.doc.outlets, w.outlet)
	if i < 0 {
		at := p.doc.with.Get("outlet")
		if at == nil {
			at = p.doc.nodeAt
		}
		b.broken = true
		b.faults.add(p.src(), at, ruleUnknownOutlet, "the chain has no outlet %s%s", w.outlet, didYouMean(w.outlet, p.in.doc.outlets))
		p.next = []int32{nowhere}
		return
	}
	switch {
	case p.in.from == nil: // a chain that nobody calls, checked by itself
		p.next = []int32{end}
	case i < len(p.in.from.leaves):
		p.next = []int32{p.in.from.leaves[i]}
	default:
		p.next = []int32{nowhere}
	}
}

// errorEdge finds where a step's errors go: its own outlet, its chain's
// on_error, or what the step that calls the chain has. What fails in a branch
// that is run apart fails the step that runs it.
func (b *builder) errorEdge(p *proto, wired map[string]int32) {
	if to, ok := wired["error"]; ok {
		p.onError, p.own = to, true
		return
	}
	at := p
	for in := p.in; in != nil && !at.sub; in = in.up {
		if in.doc.onError != nil {
			p.onError = b.targetIn(in, in.doc.onError, nil)
			return
		}
		if in.from == nil {
			return
		}
		if in.from.own {
			p.onError, p.own = in.from.onError, true
			return
		}
		at = in.from
	}
}

// first is the step with which a chain begins when it is called.
func (in *inst) first() int32 {
	if len(in.lists) > 0 && len(in.lists[0]) > 0 {
		return in.lists[0][0].i
	}
	return nowhere
}

// triggers finds where each trigger starts and compiles its condition.
func (b *builder) triggers(top *inst) []int32 {
	var starts []int32
	for i := range b.doc.triggers {
		t := &b.doc.triggers[i]
		start := top.first()
		if t.to != nil {
			start = b.targetIn(top, t.to, nil)
			if start == end {
				b.broken = true
				b.faults.add(b.doc.src, t.to, ruleUnknownTarget, "a trigger starts at a step or a branch, not at the end")
			}
		}
		starts = append(starts, start)
		if t.call {
			continue
		}
		tr := Trigger{Event: t.event, Profiles: t.profiles, Kind: t.kind, Observe: t.observe, Start: start}
		if t.door != nil {
			tr.door = &doorway{doc: t.door, whose: b.whose(top, t)}
		}
		if t.cond != nil {
			sc := *top.sc
			sc.inTrig, sc.heard = true, []heardAt{{t.event, t.door}}
			var uses []use
			sc.uses = &uses
			if prog := sc.bare(t.cond, BoolType, &Field{Key: "if"}); prog != nil {
				tr.If = &Cond{prog}
			}
			b.triggerUses(t, uses)
		}
		b.c.Triggers = append(b.c.Triggers, tr)
	}
	return starts
}

func (b *builder) triggerUses(t *triggerDoc, uses []use) {
	facts := t.facts()
	for _, u := range uses {
		if !slices.Contains(facts, u.fact) {
			b.faults.put(u.src, u.line, u.col, ruleNotSetHere, false, u.name+" is not set yet: "+t.word()+" brings "+list(append(facts, "msg")))
		}
	}
}
