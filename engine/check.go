package engine

import (
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
	"github.com/windlass-ota/windlass/ota"
)

// stepFact holds behind a step that was done.
func stepFact(p *proto) string { return "step " + p.full }

// edge is a way from one step to another, and what holds behind it.
type edge struct {
	to     int32
	outlet string
	sets   []string
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
	if p.when != nil {
		add(edge{to: b.follow(p), kind: bySkip, at: p.doc.at})
	}
	if p.onError != nowhere {
		add(edge{to: p.onError, outlet: "error", kind: byError, once: !p.own, sets: []string{"error"}, at: wiredAt(p, "error")})
	}
	return out
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
	for _, f := range []string{"device", "update", "rollout", "package", "error", factPackageHome, factKind, string(ProofReplied), string(ProofOffered), string(ProofSettled)} {
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
	in := make([]set, len(g.edges))
	if start < 0 {
		return in
	}
	in[start] = make(set, size)
	for _, f := range first {
		in[start].add(g.number(f))
	}
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
	for _, f := range e.sets {
		out.add(g.number(f))
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
		return []string{"device"}
	case UpdateSubject:
		return []string{"update"}
	case RolloutSubject:
		return []string{"rollout"}
	case PackageSubject:
		return []string{factPackageHome}
	}
	return nil
}

// check finds what is wrong with the roads of the chain.
func (b *builder) check(starts []int32) {
	g := b.roads()
	reached := make([]bool, len(b.protos))
	for i, t := range b.doc.triggers {
		if starts[i] < 0 {
			continue
		}
		first := startFacts(t.event)
		if t.call {
			first = sortedKeys(g.facts)
			first = slices.DeleteFunc(first, func(f string) bool { return strings.HasPrefix(f, "step ") })
		}
		if _, ok := msgTypes[t.event]["kind"]; ok {
			first = append(first, factKind)
		}
		in := g.solve(starts[i], first)
		for j := range in {
			reached[j] = reached[j] || in[j] != nil
		}
		b.checkSteps(g, in, starts[i], t)
		if !t.call {
			b.checkEnds(g, in, starts[i], t)
		}
		b.checkWaits(g, in)
	}
	b.checkLoops(g, reached)
	b.checkStages(reached)
	if !b.broken && len(starts) > 0 && !slices.ContainsFunc(starts, func(s int32) bool { return s < 0 }) {
		b.checkReached(reached)
	}
}

// checkSteps holds what each step needs against what holds before it.
func (b *builder) checkSteps(g *roads, in []set, start int32, t triggerDoc) {
	for i, p := range b.protos {
		if in[i] == nil || !p.known {
			continue
		}
		for _, f := range subjectFact(p.fac.Spec.Subject) {
			if !in[i].has(g.number(f)) {
				b.faults.add(p.src(), p.doc.nodeAt, ruleWrongSubject, "%s is about %s, which %s does not bring%s", p.doc.node, subjectWord(p.fac.Spec.Subject), trigWord(t), g.road(start, int32(i), f))
			}
		}
		for _, f := range rootWords(p.fac.Spec.Needs) {
			if !in[i].has(g.number(f)) {
				b.faults.add(p.src(), p.doc.nodeAt, ruleNeedsProof, "%s needs %s, which a step before must have set on every road%s", p.doc.node, f, g.road(start, int32(i), f))
			}
		}
		for _, u := range append(slices.Clone(p.uses), p.inner...) {
			if !in[i].has(g.number(u.fact)) {
				b.faults.put(u.src, u.line, u.col, ruleNotSetHere, false, u.name+" is not set on every road to this step"+g.road(start, int32(i), u.fact))
			}
		}
		if p.noKind && !in[i].has(g.number("update")) && !in[i].has(g.number(factKind)) {
			b.faults.add(p.src(), p.doc.nodeAt, ruleMissing, "%s needs the setting kind: neither an update nor the message of %s has one", p.doc.node, trigWord(t))
		}
	}
}

func trigWord(t triggerDoc) string {
	if t.call {
		return "a call"
	}
	return string(t.event)
}

func subjectWord(s Subject) string {
	return [...]string{"anything", "a device", "a device with an open update", "a rollout", "a package"}[s]
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

// checkEnds looks at the ends of roads: was the asker answered, has the update
// a next time-out, was the offer made.
func (b *builder) checkEnds(g *roads, in []set, start int32, t triggerDoc) {
	for i, p := range b.protos {
		if in[i] == nil {
			continue
		}
		for _, e := range g.edges[i] {
			if e.to != end || e.kind == byError {
				continue
			}
			out := g.behind(in[i], e, p)
			where := p.full
			if e.outlet != "" {
				where += "." + e.outlet
			}
			if asked(t.event) && !out.has(g.number(string(ProofReplied))) {
				b.faults.add(p.src(), e.at, ruleNoReply, "the road over %s ends without a reply, and %s is asked", where, t.event)
			}
			if t.event == ota.StateTimeout && !out.has(g.number(string(ProofSettled))) {
				b.faults.add(p.src(), e.at, ruleNoFinalState, "the road over %s leaves the update without a next time-out; retry, hold, fail or cancel it", where)
			}
		}
	}
	if t.event == ota.OfferDue && !t.observe {
		b.checkOffer(g, start)
	}
}

// checkOffer follows the main road of offer_due.
func (b *builder) checkOffer(g *roads, start int32) {
	seen := map[int32]bool{}
	at := start
	for at >= 0 && !seen[at] {
		seen[at] = true
		next := nowhere
		for _, e := range g.edges[at] {
			if slices.Contains(e.sets, string(ProofOffered)) {
				return
			}
			if e.kind == byMain {
				next = e.to
			}
		}
		if next == nowhere { // equal choices: nobody can say which is the main road
			return
		}
		if next == end {
			p := b.protos[at]
			b.faults.warn(p.src(), p.doc.nodeAt, ruleNoOffer, "the main road of offer_due ends here without an offer")
			return
		}
		at = next
	}
}

// checkWaits refuses a reply behind a step that may park, which acknowledges.
func (b *builder) checkWaits(g *roads, in []set) {
	behind := map[int32]string{}
	var work []int32
	push := func(i int32, wait string) {
		if _, seen := behind[i]; i >= 0 && !seen {
			behind[i] = wait
			work = append(work, i)
		}
	}
	for i, p := range b.protos {
		if in[i] != nil && p.fac.Spec.Waits {
			for _, e := range g.edges[i] {
				push(e.to, p.full)
			}
		}
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for _, e := range g.edges[i] {
			push(e.to, behind[i])
		}
	}
	for i, p := range b.protos {
		if wait, ok := behind[int32(i)]; ok && p.fac.Spec.Replies && in[i] != nil {
			b.faults.add(p.src(), p.doc.nodeAt, ruleReplyBeforeWait, "%s comes behind %s, which may wait; whoever asked has been answered by then. Reply first", p.doc.node, wait)
		}
	}
}

// checkLoops refuses a cycle that nothing bounds.
func (b *builder) checkLoops(g *roads, reached []bool) {
	state := make([]byte, len(b.protos)) // 1: on the way, 2: done
	var walk func(i int32)
	walk = func(i int32) {
		state[i] = 1
		for _, e := range g.edges[i] {
			if e.to < 0 || e.once || b.protos[e.to].fac.Spec.Guard {
				continue
			}
			switch state[e.to] {
			case 0:
				walk(e.to)
			case 1:
				b.faults.add(b.protos[i].src(), e.at, ruleUnboundedLoop, "the way back to %s has no end; put a retry into it", b.protos[e.to].full)
			}
		}
		state[i] = 2
	}
	for i := range b.protos {
		if reached[i] && state[i] == 0 && !b.protos[i].fac.Spec.Guard {
			walk(int32(i))
		}
	}
}

// checkReached names the steps that no road leads to, the first of each run of
// them.
func (b *builder) checkReached(reached []bool) {
	for _, in := range b.insts {
		if in.from != nil && !reached[in.from.i] {
			continue
		}
		for n, l := range in.lists {
			if len(l) > 0 && n > 0 && !reached[l[0].i] {
				br := in.doc.branches[n-1]
				b.faults.add(in.doc.src, br.at, ruleUnreachable, "no road leads to branch %s", br.name)
				continue
			}
			for i, p := range l {
				if !reached[p.i] && (i == 0 || reached[l[i-1].i]) {
					b.faults.add(in.doc.src, p.doc.nodeAt, ruleUnreachable, "no road leads to %s", p.doc.name)
				}
			}
		}
	}
}

// Stager is a Node that opens the door of a rollout; the loader holds the
// shares of a chain's stages against each other.
type Stager interface {
	// Share is the share that it opens the door to, 0…1; ok is false where that
	// depends on the run.
	Share() (share float64, ok bool)
}

// checkStages warns where shares do not rise, or end below 100 %.
func (b *builder) checkStages(reached []bool) {
	last, known := 0.0, true
	var at *proto
	for i, p := range b.protos {
		s, ok := p.node.(Stager)
		if !ok || !reached[i] {
			continue
		}
		share, fixed := s.Share()
		if fixed && at != nil && known && share <= last {
			b.faults.warn(p.src(), p.doc.nodeAt, ruleStageOrder, "stage %s opens the door to %s, which is not more than the %s before it", p.doc.name, show(Percent(share)), show(Percent(last)))
		}
		last, known, at = share, fixed, p
	}
	if at != nil && known && last < 1 {
		b.faults.warn(at.src(), at.doc.nodeAt, ruleStageOrder, "the last stage opens the door to %s; end with 100%%", show(Percent(last)))
	}
}
