package engine

import (
	"slices"
	"strings"

	"github.com/windlass-ota/windlass/internal/yamlx"
)

// started is a branch that a step runs apart from the road that it stands on.
type started struct {
	name string
	at   *yamlx.Node // where it was named
}

// runner is a node that runs branches: it is told their first steps, in the
// order in which its settings name them.
type runner interface{ branchesAt(first []int32) }

// namedTexts are the texts of a setting that is one, or a list of them.
func namedTexts(n *yamlx.Node) []*yamlx.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == yamlx.List:
		return slices.DeleteFunc(slices.Clone(n.Items), func(x *yamlx.Node) bool { return x.Kind != yamlx.Scalar })
	case n.Kind == yamlx.Scalar && !n.Null():
		return []*yamlx.Node{n}
	}
	return nil
}

// listsByName says which list of a chain each of its steps and branches stands in.
func (in *inst) listsByName() map[string]int {
	out := map[string]int{}
	for i, l := range in.lists {
		for _, p := range l {
			out[p.doc.name] = i
		}
	}
	for i, br := range in.doc.branches {
		out[br.name] = i + 1
	}
	return out
}

// apart finds the branches of a chain that steps run as runs of their own, with
// all that those lead to, and marks their steps. No road leads from the others
// into them, and none out of them.
func (b *builder) apart(in *inst) {
	at := in.listsByName()
	own := make([]bool, len(in.lists)) // run apart
	var work []int
	for _, l := range in.lists {
		for _, p := range l {
			for _, s := range b.startsOf(p) {
				i, ok := at[s.name]
				if !ok || i == 0 || in.doc.branches[i-1].name != s.name {
					b.broken = true
					b.faults.add(p.src(), s.at, ruleUnknownTarget, "there is no branch %s%s", s.name, didYouMean(s.name, in.branchNames()))
					continue
				}
				p.starts = append(p.starts, s)
				if !own[i] {
					own[i] = true
					work = append(work, i)
				}
			}
		}
	}
	if len(work) == 0 {
		return
	}
	main := b.mainLists(in, at)
	for len(work) > 0 {
		i := work[0]
		work = work[1:]
		for _, p := range in.lists[i] {
			p.sub = true
			for _, t := range p.doc.to {
				to, ok := at[t.Value.Text]
				switch {
				case !ok || own[to] && main[to] == nil:
				case to == 0 || main[to] != nil:
					b.broken = true
					b.faults.add(p.src(), t.Value, ruleUnknownTarget, "branch %s is run apart and cannot lead to %s, which stands on the road that runs it; end it, or use return", in.listName(i), t.Value.Text)
				default:
					own[to] = true
					work = append(work, to)
				}
			}
		}
	}
	for i, wire := range main {
		if own[i] && wire != nil {
			b.broken = true
			b.faults.add(in.doc.src, wire, ruleUnknownTarget, "branch %s is run apart, by a step that names it in its settings; no road leads into it", in.listName(i))
		}
	}
}

// startsOf lists the branches that a step's settings name.
func (b *builder) startsOf(p *proto) []started {
	var out []started
	if !p.known {
		return nil
	}
	for i := range p.fac.Spec.Fields {
		f := &p.fac.Spec.Fields[i]
		if !f.Runs || p.doc.with == nil || p.doc.with.Kind != yamlx.Map {
			continue
		}
		for _, n := range namedTexts(p.doc.with.Get(f.Key)) {
			if !hasExpression(n.Text) {
				out = append(out, started{n.Text, n})
			}
		}
	}
	return out
}

// mainLists finds the lists that the roads of the chain itself lead to, with the
// target that first did; that of the main list means nothing.
func (b *builder) mainLists(in *inst, at map[string]int) []*yamlx.Node {
	main := make([]*yamlx.Node, len(in.lists))
	var work []int
	push := func(n *yamlx.Node) {
		if n == nil {
			return
		}
		if i, ok := at[n.Text]; ok && main[i] == nil {
			main[i] = n
			work = append(work, i)
		}
	}
	if len(in.lists) > 0 {
		work = append(work, 0)
	}
	push(in.doc.onError)
	for _, t := range in.doc.triggers {
		push(t.to)
	}
	for len(work) > 0 {
		i := work[0]
		work = work[1:]
		for _, p := range in.lists[i] {
			for _, t := range p.doc.to {
				push(t.Value)
			}
		}
	}
	return main
}

func (in *inst) listName(i int) string {
	if i == 0 {
		return "steps"
	}
	return in.doc.branches[i-1].name
}

func (in *inst) branchNames() []string {
	var out []string
	for _, br := range in.doc.branches {
		out = append(out, br.name)
	}
	return out
}

// inSub says whether the step is done in a branch that is run apart, be it in a
// chain that is called there.
func (p *proto) inSub() bool { return p.sub || p.in.from != nil && p.in.from.inSub() }

// factFork holds behind a split of that name, for those who wait for its
// branches; not in the branches themselves.
func factFork(p *proto) string { return forkPrefix + p.full }

const forkPrefix = "the branches of "

// runEdges are the ways from a step into the branches that it runs.
func (b *builder) runEdges(p *proto) []edge {
	var out []edge
	for _, s := range p.starts {
		to, ok := p.in.entry[s.name]
		if !ok || to < 0 {
			continue
		}
		e := edge{to: to, outlet: s.name, kind: byRun, at: s.at, sets: []string{}}
		switch {
		case p.fac.Spec.Each:
			e.sets = []string{factItem, factIndex}
		case p.fac.Spec.Members:
			e.sets, e.drops = []string{"device", factDeviceHome}, ofAnother
		}
		out = append(out, e)
	}
	return out
}

// ofAnother are the facts that do not hold in a branch that is done in the home
// of another device: what was proved or found was so of the run that begins it.
var ofAnother = []string{"update", "rollout", factPackageHome, string(ProofCompatible), string(ProofPermit), string(ProofOffered), string(ProofSettled), string(ProofReplied)}

func startNames(p *proto) []string {
	out := make([]string, len(p.starts))
	for i, s := range p.starts {
		out[i] = s.name
	}
	return out
}

// startsAt are the first steps of the branches that a step runs.
func (b *builder) startsAt(p *proto) []int32 {
	out := make([]int32, len(p.starts))
	for i, s := range p.starts {
		out[i] = p.in.entry[s.name]
	}
	return out
}

// What holds in the branch of a step that runs it for each of many.
const (
	factItem  = "item"
	factIndex = "index"
)

// checkSubs looks into the branches of steps that run them: none may come back
// to the step that runs it, and where no run of them may wait, no step may.
func (b *builder) checkSubs(g *roads, reached []bool) {
	for i, p := range b.protos {
		if !reached[i] || len(p.starts) == 0 {
			continue
		}
		seen := map[int32]bool{}
		var work []int32
		for _, e := range g.edges[i] {
			if e.kind == byRun {
				work = append(work, e.to)
			}
		}
		for len(work) > 0 {
			at := work[len(work)-1]
			work = work[:len(work)-1]
			if at < 0 || seen[at] {
				continue
			}
			seen[at] = true
			for _, e := range g.edges[at] {
				work = append(work, e.to)
			}
		}
		if seen[int32(i)] {
			b.faults.add(p.src(), p.starts[0].at, ruleRecursion, "the branch that %s runs runs %s again", p.doc.name, p.doc.name)
		}
		if p.fac.Spec.Members {
			for j, q := range b.protos {
				if seen[int32(j)] && j != i && q.fac.Spec.Members {
					b.faults.add(q.src(), q.doc.nodeAt, ruleWrongSubject, "%s would begin a job for every device of another; a branch of %s may not", q.doc.node, p.doc.node)
				}
			}
		}
		if !p.fac.Spec.Each {
			continue
		}
		for j, q := range b.protos {
			if seen[int32(j)] && (q.fac.Spec.Waits || q.retry.mayPark()) {
				b.faults.add(q.src(), q.doc.nodeAt, ruleWrongSubject, "%s may wait, which a branch of %s may not; use split", q.doc.node, p.doc.node)
			}
		}
	}
}

// hasForkPrefix says whether a fact is one of the branches of a split.
func hasForkPrefix(fact string) bool { return strings.HasPrefix(fact, forkPrefix) }
