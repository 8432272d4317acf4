package engine

import (
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
		for o := range s.stats.taken {
			if n := s.stats.taken[o].Load(); n > 0 {
				x.Taken[s.outlets[o]] = n
			}
		}
		if n := s.stats.timed.Load(); n > 0 {
			x.Mean = time.Duration(s.stats.nanos.Load() / n)
		}
		out = append(out, x)
	}
	return out
}
