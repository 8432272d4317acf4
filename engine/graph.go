package engine

import (
	"slices"
	"strings"
)

// Graph is a chain as a picture of it needs it: every step of the file, and where
// each of its outlets leads. A chain that a step calls is one step here. It is a
// copy that nobody else holds.
type Graph struct {
	Chain    string
	Summary  string
	File     string
	Starts   []GraphStart // its triggers, in the order of the file; one for a chain that is called
	OnError  string       // the step that errors without a road of their own go to; ""
	Steps    []GraphStep  // the main list, then the branches, in the order of the file
	Branches []string     // their names, in the order of the file
	Roads    []GraphRoad  // by step, and there the main outlet first
}

// GraphStart is one thing that starts a chain.
type GraphStart struct {
	Event    string // "call" for a chain that others call
	Profiles []string
	Kind     string
	If       string // the condition as it is written
	Observe  bool
	To       string // the step's name
}

// GraphStep is one step, by the name that paths and targets know it by.
type GraphStep struct {
	Name   string
	Node   string
	Branch string // "" on the main road
	Calls  string // the chain that it calls, or ""
	When   string // the condition as it is written, or ""
	Note   string
	Waits  bool // the run may be parked here
}

// GraphRoad is a way from one step to another.
type GraphRoad struct {
	From   string
	To     string // "": the run ends, or a called chain is left
	Outlet string // "" where a node without outlets ends the run
	Kind   RoadKind
	Unsaid bool // left out in the file: an outlet that may be, and ends the run
}

// RoadKind is why a road is taken.
type RoadKind string

// The kinds of roads.
const (
	RoadMain  RoadKind = "main"  // by the main outlet
	RoadSide  RoadKind = "side"  // by another outlet
	RoadSkip  RoadKind = "skip"  // "when" was false
	RoadError RoadKind = "error" // the step failed
	RoadRun   RoadKind = "run"   // into a branch that the step runs apart; the outlet is its name
)

// GraphOf lays out one of the chains in files, which may call the others. A chain
// with faults is laid out too, as long as all of its roads lead somewhere; the
// graph is nil where they do not. The faults are those of the chain's own file,
// where it has any, else those of all files.
func GraphOf(files []Source, chain string, reg *Registry, opts Options) (*Graph, Faults) {
	faults := &faultList{}
	docs := map[string]*doc{}
	for _, f := range files {
		if d := readDoc(f, faults); d != nil && docs[d.name] == nil {
			docs[d.name] = d
		}
	}
	d := docs[chain]
	if chain == "" || d == nil {
		return nil, faults.all.sorted()
	}
	b := &builder{docs: docs, reg: reg, opts: &opts, faults: faults, doc: d}
	c := b.build()
	all := faults.all.sorted()
	own := slices.DeleteFunc(slices.Clone(all), func(f Fault) bool { return f.File != d.src.name })
	if len(own) > 0 {
		all = own
	}
	unread := func(f Fault) bool { return f.Rule == ruleYAML || f.Rule == ruleTooLarge }
	lost := func(p *proto) bool { return p.in.from == nil && !p.known }
	if c == nil || b.broken || slices.ContainsFunc(own, unread) || slices.ContainsFunc(b.protos, lost) {
		return nil, all
	}
	return b.graph(), all
}

func (b *builder) graph() *Graph {
	g := &Graph{Chain: b.doc.name, Summary: b.doc.summary, File: b.doc.src.name}
	top := b.insts[0]
	name := func(i int32) string {
		if i < 0 {
			return ""
		}
		return b.protos[i].doc.name
	}
	for _, t := range b.doc.triggers {
		s := GraphStart{Event: string(t.event), Profiles: t.profiles, Kind: string(t.kind), Observe: t.observe}
		switch {
		case t.call:
			s.Event = wordCall
		case t.door != nil:
			s.Event = t.door.String()
		}
		if t.cond != nil {
			s.If = strings.TrimSpace(t.cond.Text)
		}
		start := top.first()
		if t.to != nil {
			start = b.targetIn(top, t.to, nil)
		}
		s.To = name(start)
		g.Starts = append(g.Starts, s)
	}
	if b.doc.onError != nil {
		g.OnError = name(b.targetIn(top, b.doc.onError, nil))
	}
	for i, list := range top.lists {
		branch := ""
		if i > 0 {
			branch = b.doc.branches[i-1].name
			g.Branches = append(g.Branches, branch)
		}
		for _, p := range list {
			g.Steps = append(g.Steps, p.graphStep(branch))
			g.Roads = append(g.Roads, b.graphRoads(p, name)...)
		}
	}
	return g
}

func (p *proto) graphStep(branch string) GraphStep {
	s := GraphStep{Name: p.doc.name, Node: p.doc.node, Branch: branch, Waits: p.fac.Spec.Waits || p.retry.mayPark()}
	if p.child != nil {
		s.Calls = p.child.doc.name
	}
	if p.doc.when != nil {
		s.When = strings.TrimSpace(p.doc.when.Text)
	}
	if n := p.doc.at.Get("note"); n != nil {
		s.Note = strings.TrimSpace(n.Text)
	}
	return s
}

func (b *builder) graphRoads(p *proto, name func(int32) string) []GraphRoad {
	var out []GraphRoad
	wired := func(outlet string) bool { return wiredAt(p, outlet) != p.doc.at }
	next := p.next
	if p.child != nil {
		next = p.leaves
	}
	w, returns := p.node.(*returnNode)
	switch {
	case returns:
		out = append(out, GraphRoad{From: p.doc.name, Outlet: w.outlet, Kind: RoadMain})
	case len(p.outlets) == 0:
		out = append(out, GraphRoad{From: p.doc.name, Kind: RoadMain})
	default:
		for i, o := range p.outlets[:min(len(p.outlets), len(next))] {
			r := GraphRoad{From: p.doc.name, To: name(next[i]), Outlet: o.Name, Kind: RoadSide}
			if i == 0 && !p.fac.Spec.NoMain {
				r.Kind = RoadMain
			}
			r.Unsaid = r.Kind == RoadSide && !wired(o.Name)
			out = append(out, r)
		}
	}
	if p.doc.when != nil {
		out = append(out, GraphRoad{From: p.doc.name, To: name(b.follow(p)), Outlet: "skipped", Kind: RoadSkip})
	}
	if wired("error") {
		out = append(out, GraphRoad{From: p.doc.name, To: name(p.onError), Outlet: "error", Kind: RoadError})
	}
	for _, e := range b.runEdges(p) {
		out = append(out, GraphRoad{From: p.doc.name, To: name(e.to), Outlet: e.outlet, Kind: RoadRun})
	}
	return out
}
