package engine

import (
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
)

// stepFact holds behind a step that was done.
func stepFact(p *proto) string { return "step " + p.full }

// edge is a way from one step to another, and what holds behind it.
type edge struct {
	to     int32
	outlet string
	sets   []string
	drops  []string // what does not hold behind it
	kind   edgeKind
	once   bool        // on_error: a run that has taken it does not do so again
	at     *yamlx.Node // where it was wired
}

type edgeKind int

const (
	byOutlet edgeKind = iota
	byMain
	bySkip  // "when" was false
	byError // the step failed
	byRun   // into a branch that the step runs apart
)

// edgesOf lists the ways out of a step.
func (b *builder) edgesOf(p *proto) []edge {
	spec := &p.fac.Spec
	var out []edge
	add := func(e edge) {
		if e.to != nowhere {
			out = append(out, e)
		}
	}
	done := append([]string{stepFact(p)}, rootWords(spec.Sets)...)
	if len(p.starts) > 0 && !spec.Each && !spec.Members {
		done = append(done, factFork(p))
	}
	switch {
	case p.child != nil:
		add(edge{to: p.next[0], kind: byMain, sets: []string{}, at: p.doc.at})
	case p.doc.node == wordReturn && len(p.next) > 0:
		sets := []string{}
		if p.in.from != nil {
			sets = append(sets, stepFact(p.in.from))
		}
		add(edge{to: p.next[0], kind: byMain, sets: sets, at: p.doc.at})
	case len(p.outlets) == 0 && !p.failed:
		add(edge{to: end, kind: byMain, sets: endFacts(spec, done), at: p.doc.at})
	default:
		for i, o := range p.outlets {
			if i >= len(p.next) {
				break
			}
			e := edge{to: p.next[i], outlet: o.Name, at: wiredAt(p, o.Name), sets: append(slices.Clone(done), rootWords(o.Sets)...)}
			if i == 0 && !spec.NoMain {
				e.kind = byMain
			}
			if spec.Replies && (i == 0 || o.MayEnd) {
				e.sets = append(e.sets, string(ProofReplied))
			}
			add(e)
		}
	}
	if spec.Ends {
		add(edge{to: end, at: p.doc.nodeAt, sets: endFacts(spec, append(done, rootWords(spec.EndSets)...))})
	}
	if p.when != nil {
		add(edge{to: b.follow(p), kind: bySkip, at: p.doc.at})
	}
	if p.onError != nowhere {
		add(edge{to: p.onError, outlet: "error", kind: byError, once: !p.own, sets: []string{"error"}, at: wiredAt(p, "error")})
	}
	return append(out, b.runEdges(p)...)
}

// endFacts are what holds where a node ends the run.
func endFacts(spec *Spec, done []string) []string {
	if spec.Replies {
		return append(done, string(ProofReplied))
	}
	return done
}

func wiredAt(p *proto, outlet string) *yamlx.Node {
	for _, t := range p.doc.to {
		if t.Key.Text == outlet {
			return t.Value
		}
	}
	return p.doc.at
}

func rootWords(rs []Root) []string {
	out := make([]string, len(rs))
	for i, r := range rs {
		out[i] = string(r)
	}
	return out
}

// roads knows the steps of a chain as a graph.
type roads struct {
	b     *builder
	edges [][]edge
	facts map[string]int // number of each
}

// set is facts as bits.
type set []uint64

func (s set) has(i int) bool { return i >= 0 && s[i/64]&(1<<(i%64)) != 0 }
func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) drop(i int)     { s[i/64] &^= 1 << (i % 64) }

// keep leaves only what o has too; changed says whether anything went.
func (s set) keep(o set) (changed bool) {
	for i := range s {
		if n := s[i] & o[i]; n != s[i] {
			s[i], changed = n, true
		}
	}
	return changed
}

func (b *builder) roads() *roads {
	g := &roads{b: b, facts: map[string]int{}}
	for _, p := range b.protos {
		es := b.edgesOf(p)
		g.edges = append(g.edges, es)
		for _, e := range es {
			for _, f := range e.sets {
				g.number(f)
			}
		}
		for _, f := range needs(p) {
			g.number(f)
		}
		for _, u := range append(slices.Clone(p.uses), p.inner...) {
			g.number(u.fact)
		}
	}
	for _, f := range []string{"device", factDeviceHome, "update", "rollout", "package", "error", factItem, factIndex, factPackageHome, factKind, string(ProofCompatible), string(ProofReplied), string(ProofOffered), string(ProofSettled), string(ProofPermit)} {
		g.number(f)
	}
	return g
}

func (g *roads) number(fact string) int {
	i, ok := g.facts[fact]
	if !ok {
		i = len(g.facts)
		g.facts[fact] = i
	}
	return i
}

// factKind holds where the message names a kind.
const factKind = "msg.kind"

// solve finds what holds before each step on every road from start: nil for a
// step that no road reaches. At index len(protos) is what holds at the end.
func (g *roads) solve(start int32, first []string) []set {
	size := len(g.facts)/64 + 1
	if start < 0 {
		return make([]set, len(g.edges))
	}
	at := make(set, size)
	for _, f := range first {
		at.add(g.number(f))
	}
	return g.solveFrom(start, at)
}

// solveFrom is solve with the facts that hold at start as they are.
func (g *roads) solveFrom(start int32, first set) []set {
	in := make([]set, len(g.edges))
	in[start] = first
	for work := []int32{start}; len(work) > 0; {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for _, e := range g.edges[i] {
			if e.to < 0 || e.once && in[i].has(g.number("error")) {
				continue
			}
			out := g.behind(in[i], e, g.b.protos[i])
			if in[e.to] == nil {
				in[e.to] = out
				work = append(work, e.to)
			} else if in[e.to].keep(out) {
				work = append(work, e.to)
			}
		}
	}
	return in
}

// behind is what holds behind an edge.
func (g *roads) behind(before set, e edge, p *proto) set {
	out := slices.Clone(before)
	if e.kind == byRun { // a branch waits for those that it has split off itself
		for f, i := range g.facts {
			if hasForkPrefix(f) {
				out.drop(i)
			}
		}
	}
	if slices.Contains(e.sets, string(RootPackage)) { // what was proved, was proved of another one
		out.drop(g.number(string(ProofCompatible)))
	}
	if p.fac.Spec.Waits || p.retry.mayPark() { // a permit that no offer has confirmed goes back when the run parks
		out.drop(g.number(string(ProofPermit)))
	}
	for _, f := range e.drops {
		out.drop(g.number(f))
	}
	for _, f := range e.sets {
		out.add(g.number(f))
	}
	if e.kind == byRun {
		return out
	}
	if !p.known || p.failed && p.doc.node == wordCall { // nobody knows what it sets
		for i := range out {
			out[i] = ^uint64(0)
		}
	}
	return out
}

// needs are the roots and proofs that a step asks for.
func needs(p *proto) []string {
	out := rootWords(p.fac.Spec.Needs)
	return append(out, subjectFact(p.fac.Spec.Subject)...)
}

func subjectFact(s Subject) []string {
	switch s {
	case Device:
		return []string{factDeviceHome}
	case UpdateSubject:
		return []string{"update"}
	case RolloutSubject:
		return []string{"rollout"}
	case PackageSubject:
		return []string{factPackageHome}
	}
	return nil
}

// why says why a step has not what it needs: a road that never sets it, else
// that the package was set anew since.
func (g *roads) why(start, to int32, fact string) string {
	road := g.road(start, to, fact)
	if road == "" && to != start && fact == string(ProofCompatible) {
		return "; it held for another package, before package was set anew"
	}
	if road == "" && to != start && fact == string(ProofPermit) {
		return "; a permit outlasts no step that may wait, and is no other device's: let admit_update come right before"
	}
	return road
}

// road tells of a way from start to a step that nowhere sets the fact.
func (g *roads) road(start, to int32, fact string) string {
	bit := g.number(fact)
	from := map[int32]int32{start: start}
	label := map[int32]string{}
	for queue := []int32{start}; len(queue) > 0; queue = queue[1:] {
		i := queue[0]
		if i == to {
			break
		}
		for _, e := range g.edges[i] {
			if _, seen := from[e.to]; seen || e.to < 0 || slices.ContainsFunc(e.sets, func(f string) bool { return g.number(f) == bit }) {
				continue
			}
			from[e.to], label[e.to] = i, e.outlet
			queue = append(queue, e.to)
		}
	}
	if _, ok := from[to]; !ok || to == start {
		return ""
	}
	var way []string
	for i := to; i != start; i = from[i] {
		s := g.b.protos[from[i]].full
		if label[i] != "" {
			s += "." + label[i]
		}
		way = append([]string{s}, way...)
	}
	if len(way) > 6 {
		way = append([]string{"…"}, way[len(way)-6:]...)
	}
	return "; this road does not: " + strings.Join(way, " → ")
}
