package engine

import (
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/ota"
)

// check finds what is wrong with the roads of the chain.
func (b *builder) check(starts []int32) {
	g := b.roads()
	reached := make([]bool, len(b.protos))
	for i := range b.doc.triggers {
		t := b.doc.triggers[i]
		if starts[i] < 0 {
			continue
		}
		first := t.facts()
		if t.call {
			b.checkAlone(g, starts[i])
			first = sortedKeys(g.facts)
			first = slices.DeleteFunc(first, func(f string) bool {
				return strings.HasPrefix(f, "step ") || hasForkPrefix(f) || f == factItem || f == factIndex
			})
		}
		if slices.Contains(first, "device") {
			first = append(first, factDeviceHome)
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
		b.checkOwed(g, in)
	}
	b.checkLoops(g, reached)
	b.checkSubs(g, reached)
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
				b.faults.add(p.src(), p.doc.nodeAt, ruleWrongSubject, "%s is about %s, which %s does not bring%s", p.doc.node, subjectWord(p.fac.Spec.Subject), t.word(), g.road(start, int32(i), f))
			}
		}
		for _, f := range rootWords(p.fac.Spec.Needs) {
			if !in[i].has(g.number(f)) {
				b.faults.add(p.src(), p.doc.nodeAt, ruleNeedsProof, "%s needs %s, which a step before must have set on every road%s", p.doc.node, f, g.why(start, int32(i), f))
			}
		}
		if t.observe && p.fac.Spec.Replies {
			b.faults.add(p.src(), p.doc.nodeAt, ruleReplyBeforeWait, "%s answers, and an observer of %s runs when whoever asked has been answered", p.doc.node, t.word())
		}
		for _, u := range append(slices.Clone(p.uses), p.inner...) {
			if !in[i].has(g.number(u.fact)) && (u.fact == factItem || u.fact == factIndex) {
				b.faults.put(u.src, u.line, u.col, ruleNotSetHere, false, u.name+" is set in a branch of for_each alone")
			} else if !in[i].has(g.number(u.fact)) {
				b.faults.put(u.src, u.line, u.col, ruleNotSetHere, false, u.name+" is not set on every road to this step"+g.road(start, int32(i), u.fact))
			}
		}
		if p.noKind && !in[i].has(g.number("update")) && !in[i].has(g.number(factKind)) {
			b.faults.add(p.src(), p.doc.nodeAt, ruleMissing, "%s needs the setting kind: neither an update nor the message of %s has one", p.doc.node, t.word())
		}
	}
}

func subjectWord(s Subject) string {
	return [...]string{"anything", "a device", "a device with an open update", "a rollout", "a package"}[s]
}

// checkEnds looks at the ends of roads: was the asker answered, has the update
// a next time-out, was the offer made.
func (b *builder) checkEnds(g *roads, in []set, start int32, t triggerDoc) {
	for i, p := range b.protos {
		if in[i] == nil {
			continue
		}
		for _, e := range g.edges[i] {
			if e.to != end || e.kind == byError || p.inSub() { // the run goes on where its branch ends
				continue
			}
			out := g.behind(in[i], e, p)
			where := p.full
			if e.outlet != "" {
				where += "." + e.outlet
			}
			if asked(t.event) && !t.observe && !out.has(g.number(string(ProofReplied))) {
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

// checkOwed looks at the roads that begin where an update is left without a next
// time-out, whatever the trigger.
func (b *builder) checkOwed(g *roads, in []set) {
	settled := g.number(string(ProofSettled))
	for i, p := range b.protos {
		if in[i] == nil || i >= len(g.edges) {
			continue
		}
		for _, e := range g.edges[i] {
			if !slices.ContainsFunc(p.outlets, func(o Outlet) bool { return o.Owes && o.Name == e.outlet }) {
				continue
			}
			if e.to == end {
				b.faults.add(p.src(), e.at, ruleNoFinalState, "the road over %s.%s leaves the update without a next time-out; retry, hold, fail or cancel it", p.full, e.outlet)
			}
			if e.to < 0 {
				continue
			}
			first := slices.Clone(g.behind(in[i], e, p))
			first.drop(settled)
			b.owed(g, g.solveFrom(e.to, first), p.inSub())
		}
	}
}

func (b *builder) owed(g *roads, in []set, sub bool) {
	for i, p := range b.protos {
		if in[i] == nil || p.inSub() != sub {
			continue
		}
		for _, e := range g.edges[i] {
			if e.to == end && e.kind != byError && !g.behind(in[i], e, p).has(g.number(string(ProofSettled))) {
				b.faults.add(p.src(), e.at, ruleNoFinalState, "the road over %s leaves the update without a next time-out; retry, hold, fail or cancel it", p.full)
			}
		}
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
		if in[i] != nil && (p.fac.Spec.Waits || p.retry.mayPark()) {
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
			if e.to < 0 || e.once || e.kind == byRun && state[e.to] == 1 || b.bounded(i, e) {
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
		if reached[i] && state[i] == 0 {
			walk(int32(i))
		}
	}
}

// bounded says whether a way may be gone only so many times in a run: the first
// outlet of a guard.
func (b *builder) bounded(i int32, e edge) bool {
	p := b.protos[i]
	return p.fac.Spec.Guard && len(p.outlets) > 0 && e.outlet == p.outlets[0].Name && e.kind != byError
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

// Chooser is a [Stager] by which devices may come first; a condition that is not
// given: none.
type Chooser interface{ First() *Cond }

// chooses is the condition by which devices come first with a stage, or nil.
func chooses(stage any) *Cond {
	if c, ok := stage.(Chooser); ok && c.First().Given() {
		return c.First()
	}
	return nil
}

// checkStages refuses a stage that says who comes first behind one that lets in
// anybody, and warns where shares do not rise, or end below 100 %.
func (b *builder) checkStages(reached []bool) {
	last, known := 0.0, true
	var at, open *proto
	for i, p := range b.protos {
		s, ok := p.node.(Stager)
		if !ok || !reached[i] {
			continue
		}
		switch {
		case chooses(s) == nil:
			open = p
		case open != nil:
			b.faults.add(p.src(), p.doc.with.Get("where"), ruleStageOrder, "stage %s says by where who comes first, but stage %s before it lets in anybody; put stages with where before all others", p.doc.name, open.doc.name)
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
