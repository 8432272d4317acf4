package engine

import (
	"maps"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Trace is all that one run did, step by step, with the values that its steps
// saw and set. A run is traced where a tap is on its chain; for all others
// r.trace is nil, and a step pays one look at that.
type Trace struct {
	Record
	Message ota.Message
	Steps   []TraceStep
	Said    []string // what its commit wrote and what it said, in words
	Seen    *Seen    // what it read, for a replay; nil where that is too much

	open bool           // the last step is under way
	vars map[string]any // as they are now; never changed, only replaced
}

// TraceStep is one step of a run.
type TraceStep struct {
	Step   string
	Node   string
	Outlet string // "error" where it failed, "" where "when" skipped it and at call and return, "end" where it ends the run, "waits" where that waits
	Quiet  bool   // call and return, which are in no path
	At     time.Time
	Took   time.Duration
	Vars   map[string]any // vars and params before the step, by key ("vars.n", behind a call "call/vars.n"); shared, not to be changed
	Set    map[string]any // what the step set: outputs by name, vars and params by key
	Wants  []string       // what it named to be said or written, in words
	Error  string         `json:",omitempty"`
}

// lookOn makes the run keep a trace from here on.
func (r *Run) lookOn() {
	t := &Trace{Message: r.Msg, vars: map[string]any{}}
	for i := range r.chain.frame.slots {
		if s := &r.chain.frame.slots[i]; s.fill == nil && r.env.seen[i] != 0 && r.env.slots[i] != nil && isVar(s.key) {
			t.vars[s.key] = r.env.slots[i]
		}
	}
	r.trace = t
}

// isVar says whether a slot's key is that of a var or a param.
func isVar(key string) bool {
	key = key[strings.LastIndexByte(key, '/')+1:]
	return strings.HasPrefix(key, "vars.") || strings.HasPrefix(key, "params.")
}

func (t *Trace) begin(s *step) {
	t.Steps = append(t.Steps, TraceStep{Step: s.name, Node: s.spec.Name, Quiet: s.quiet, At: time.Now(), Vars: t.vars})
	t.open = true
}

// shownOutlet is an outlet for people.
func shownOutlet(outlet string, waits bool) string {
	switch {
	case waits:
		return "waits"
	case outlet == "":
		return "end"
	}
	return outlet
}

func (t *Trace) last() *TraceStep { return &t.Steps[len(t.Steps)-1] }

// set notes what the step that is running sets.
func (t *Trace) set(key string, v any) {
	if !t.open {
		return
	}
	x := t.last()
	if x.Set == nil {
		x.Set = map[string]any{}
	}
	x.Set[key] = v
	if isVar(key) {
		t.vars = maps.Clone(t.vars)
		t.vars[key] = v
	}
}

func (t *Trace) end(r *Run, s *step, outlet string) {
	x := t.last()
	x.Took = time.Since(x.At)
	if !s.quiet {
		x.Outlet = outlet
	}
	x.Wants = r.wants.since(r.mark)
	t.open = false
}

func (t *Trace) failed(err error) {
	if len(t.Steps) == 0 {
		return
	}
	x := t.last()
	if t.open {
		x.Took = time.Since(x.At)
	}
	x.Outlet, x.Error, x.Wants = "error", codedText(err), nil
	t.open = false
}
