package engine

import (
	"slices"
	"sync/atomic"
	"time"
)

// Stats counts what one step of one chain did. All of it is safe for
// concurrent use; a step's counters outlive no reload.
type Stats struct {
	taken   []atomic.Uint64 // by outlet
	skipped atomic.Uint64   // "when" was false
	errors  atomic.Uint64
	nanos   atomic.Uint64 // of the hops that were timed
	timed   atomic.Uint64
}

func newStats(outlets int) *Stats { return &Stats{taken: make([]atomic.Uint64, outlets)} }

// Stats reads the counters of a chain that answers, or that is called, by its
// name; false where there is none. A chain that is called is counted where it is
// called.
func (e *Engine) Stats(chain string) ([]StepStats, bool) {
	c := e.Set().Chain(chain)
	if c == nil {
		return nil, false
	}
	return c.Stats(), true
}

// count adds one to each of counters.
func count(counters []*atomic.Uint64) {
	for _, n := range counters {
		n.Add(1)
	}
}

// countCalls finds the edges that lead out of chains that were called, so that
// a step that calls counts by which outlet the chain was left: what a return
// names, else the first.
func (b *builder) countCalls() {
	for i, p := range b.protos {
		s := &b.c.steps[i]
		if p.in.from == nil {
			continue
		}
		for o, to := range s.next {
			if left := b.leftCalls(p, to); left != nil && p.child == nil {
				if s.leaves == nil {
					s.leaves = make([][]*atomic.Uint64, len(s.next))
				}
				s.leaves[o] = left
			}
		}
		if s.when != nil {
			s.skips = b.leftCalls(p, s.skip)
		}
		for _, in := range b.left(p, s.onError) {
			s.fails = append(s.fails, &b.callOf(in).errors)
		}
	}
}

// left lists the called chains that an edge from a step to another leads out of,
// the innermost first.
func (b *builder) left(p *proto, to int32) (out []*inst) {
	for in := p.in; to >= end && in.from != nil && !p.sub && (to == end || b.protos[to].in != in); in = in.up {
		out = append(out, in)
		p = in.from
	}
	return out
}

// leftCalls are the counters of the outlets by which an edge leaves calls.
func (b *builder) leftCalls(p *proto, to int32) (out []*atomic.Uint64) {
	for n, in := range b.left(p, to) {
		outlet := 0
		if w, ok := p.node.(*returnNode); ok && n == 0 {
			outlet = max(0, slices.Index(in.doc.outlets, w.outlet))
		}
		if taken := b.callOf(in).taken; outlet+1 < len(taken) { // the first counts those who enter
			out = append(out, &taken[outlet+1])
		}
	}
	return out
}

// callOf are the counters of the step that calls in.
func (b *builder) callOf(in *inst) *Stats { return b.c.steps[in.from.i].stats }

// StepStats is a reading of a step's counters.
type StepStats struct {
	Step    string
	Node    string
	Taken   map[string]uint64 // by outlet
	Skipped uint64
	Errors  uint64
	Mean    time.Duration // of a hop, from a sample; 0 when none was timed
}

// Stats reads the counters of every step, in the order of the file.
func (c *Chain) Stats() []StepStats {
	out := make([]StepStats, 0, len(c.steps))
	for i := range c.steps {
		s := &c.steps[i]
		x := StepStats{Step: s.name, Node: s.spec.Name, Taken: map[string]uint64{}, Skipped: s.stats.skipped.Load(), Errors: s.stats.errors.Load()}
		names, taken := s.outlets, s.stats.taken
		if s.calls != nil {
			names, taken = s.calls, taken[1:]
		}
		for o := range taken {
			if n := taken[o].Load(); n > 0 {
				x.Taken[names[o]] = n
			}
		}
		if n := s.stats.timed.Load(); n > 0 {
			x.Mean = time.Duration(s.stats.nanos.Load() / n)
		}
		out = append(out, x)
	}
	return out
}
