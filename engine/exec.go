package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// runError is the root "error" of an error road, and what a failed run says.
type runError struct {
	err  error
	code ota.Code
	step string
	node string

	attempt int
}

// pathHop is what one hop takes in Run.path: the step as two bytes, the outlet.
const pathHop = 3

const (
	outletError = 0xff // the step failed
	outletSkip  = 0xfe // "when" was false
	// sampleEvery is how seldom a run is timed: reading the clock twice costs
	// more than a hop.
	sampleEvery = 64
)

// newRun takes a run of the chain from its pool, for message m at now. The
// caller sets Home, Facts, device, profile and what else it knows, runs it by
// [Run.exec] and gives it back by release, once; nobody keeps it after that.
func (c *Chain) newRun(m ota.Message, now time.Time) *Run {
	r, _ := c.pool.Get().(*Run)
	if r == nil {
		r = &Run{chain: c}
		r.env.init(&c.frame)
	}
	r.Msg, r.Now = m, now
	r.begin()
	return r
}

// begin makes the run fresh, as for a turn that is run again after a Conflict.
// Msg, Now, Facts and args stay; Home, device and profile are the caller's to set.
func (r *Run) begin() {
	r.env.begin(&r.chain.frame)
	r.path = r.path[:0]
	r.began, r.hops, r.attempt, r.err, r.park, r.at, r.came, r.visits = time.Time{}, 0, 0, nil, nil, 0, nil, nil
	r.child, r.forks, r.item, r.index, r.result = nil, nil, nil, 0, nil
	r.timed = r.chain.runs.Add(1)%sampleEvery == 0
	r.setArgs()
}

// release gives the run back to its chain's pool.
func (r *Run) release() {
	c := r.chain
	e, path, seen := r.env, r.path, r.seen
	e.read = facts{}
	*r = Run{chain: c, env: e, path: path[:0]}
	r.seen.keep(seen)
	c.pool.Put(r)
}

// Chain is the chain that the run goes through.
func (r *Run) Chain() *Chain { return r.chain }

// exec runs the chain from step at to its end, to an error that no road takes,
// or to a step that parks (see [Run.Park]; r.park is set then), within the
// chain's limits. The error names chain and step and keeps the code of its
// cause; a panic is Internal.
func (r *Run) exec(ctx context.Context, at int32) error {
	now := time.Now()
	if r.began.IsZero() {
		r.began = now
	}
	d := withDeadline(ctx, now, r.chain.Limits.Time)
	defer d.stop()
	r.at, r.ctx = at, d
	for r.at >= 0 {
		err := r.hop(d)
		if err == nil {
			return nil
		}
		if err = r.route(err); err != nil {
			return err
		}
	}
	return nil
}

// hop runs steps until the end or an error. It is the hot loop: nothing in it
// allocates.
func (r *Run) hop(ctx context.Context) (err error) {
	defer r.catch(&err)
	steps, limit := r.chain.steps, r.chain.Limits.Steps
	for r.at >= 0 {
		s := &steps[r.at]
		r.mark = r.wants.mark()
		if r.trace != nil {
			r.trace.begin(s)
		}
		if r.hops++; r.hops > limit {
			return ota.Errorf(ota.Internal, "steps", "%w: more than %d hops", errLimit, limit)
		}
		if r.hops&31 == 0 && ctx.Err() != nil {
			return r.outOfTime(ctx)
		}
		if s.when != nil && r.attempt == 0 && r.came == nil { // a step that goes on is not asked again
			ok, err := s.when.Eval(r)
			if err != nil {
				return err
			}
			if !ok {
				s.stats.skipped.Add(1)
				count(s.skips)
				r.note(outletSkip)
				if r.trace != nil {
					r.trace.end(r, s, "")
				}
				r.at = s.skip
				continue
			}
		}
		var began time.Time
		if r.timed {
			began = time.Now()
		}
		var outlet string
		if s.retry == nil && r.came == nil {
			outlet, err = s.node.Process(ctx, r)
		} else {
			outlet, err = r.tried(ctx, s)
		}
		if r.timed {
			s.stats.nanos.Add(uint64(time.Since(began)))
			s.stats.timed.Add(1)
		}
		if err != nil {
			return err
		}
		if s.changes {
			r.env.epoch++
		}
		if r.trace != nil {
			r.trace.end(r, s, shownOutlet(outlet, r.park != nil))
		}
		if r.park != nil {
			return nil
		}
		r.attempt = 0
		if err := r.leave(s, outlet); err != nil {
			return err
		}
	}
	return nil
}

// leave goes on behind outlet.
func (r *Run) leave(s *step, outlet string) error {
	for i := range s.outlets {
		if s.outlets[i] == outlet {
			s.stats.taken[i].Add(1)
			if s.leaves != nil {
				count(s.leaves[i])
			}
			if !s.quiet {
				r.note(byte(i))
			}
			r.at = s.next[i]
			return nil
		}
	}
	if outlet == "" && (len(s.outlets) == 0 || s.spec.Ends) {
		r.note(byte(len(s.outlets)))
		r.at = end
		return nil
	}
	return ota.Errorf(ota.Internal, s.name, "node %s left by an outlet %q that it has not", s.spec.Name, outlet)
}

func (r *Run) note(outlet byte) { r.path = append(r.path, byte(r.at>>8), byte(r.at), outlet) }

func (r *Run) outOfTime(ctx context.Context) error {
	return ota.Errorf(ota.Busy, "time", "%w: %w", errLimit, context.Cause(ctx))
}

// catch turns a panic of a node into an error of the step.
func (r *Run) catch(err *error) {
	if p := recover(); p != nil {
		*err = &ota.Error{Code: ota.Internal, Op: "panic", Err: fmt.Errorf("%v\n%s", p, debug.Stack())}
	}
}

// route sends an error where the chain wants it: to the step's error outlet, to
// on_error, or back to the caller. What the failed step named is dropped.
func (r *Run) route(err error) error {
	s := &r.chain.steps[r.at]
	s.stats.errors.Add(1)
	r.note(outletError)
	if r.trace != nil {
		r.trace.failed(err)
	}
	r.wants.reset(r.mark)
	code := codeOf(err)
	if s.onError != nowhere && (s.ownError || r.err == nil) && !errors.Is(err, errLimit) {
		count(s.fails)
		r.err = &runError{err: err, code: code, step: s.name, node: s.spec.Name, attempt: max(r.attempt, 1)}
		r.attempt = 0
		r.env.epoch++
		r.at = s.onError
		return nil
	}
	return &ota.Error{Code: code, Op: "chain " + r.chain.Name + ", step " + s.name, Err: err}
}

// errLimit is no step's failure, so no error road takes it.
var errLimit = errors.New("the turn is over its limits")

// codeOf is [ota.CodeOf], save that a context that ran out is Busy.
func codeOf(err error) ota.Code {
	var e *ota.Error
	if !errors.As(err, &e) && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return ota.Busy
	}
	return ota.CodeOf(err)
}

// wantsMark remembers how much a run wanted before a step.
type wantsMark struct {
	replies, pushes, values, out, after int
	replied, decided                    bool
}

func (w *wants) mark() wantsMark {
	return wantsMark{len(w.replies), len(w.pushes), len(w.values), len(w.out), len(w.after), w.replied, w.decided}
}

func (w *wants) reset(m wantsMark) {
	w.replies, w.pushes, w.values, w.out = w.replies[:m.replies], w.pushes[:m.pushes], w.values[:m.values], w.out[:m.out]
	w.after = w.after[:m.after]
	w.replied, w.decided = m.replied, m.decided
}

// Hop is one step of a run's path.
type Hop struct {
	Step   string
	Outlet string // "error" where it failed, "" where "when" skipped it
}

// Path lists the steps that the run went through.
func (r *Run) Path() []Hop { return r.chain.hopsOf(r.path) }

// Set gives the step that is running an output, to be read as
// steps.NAME.field. What no expression names costs nothing but the call.
func (r *Run) Set(field string, v any) {
	s := &r.chain.steps[r.at]
	if r.trace != nil {
		r.trace.set(field, v)
	}
	for i := range s.spec.Outputs {
		if s.spec.Outputs[i].Name == field && i < len(s.outs) {
			r.put(s.outs[i], v)
			return
		}
	}
}

// Wanted says whether anybody wants the output of the running step: an
// expression names it, or the run is traced.
func (r *Run) Wanted(field string) bool {
	if r.trace != nil {
		return true
	}
	s := &r.chain.steps[r.at]
	for i := range s.spec.Outputs {
		if s.spec.Outputs[i].Name == field && i < len(s.outs) {
			return s.outs[i] >= 0
		}
	}
	return false
}

// Step is the name of the step that is running, for keys and messages.
func (r *Run) Step() string { return r.chain.steps[r.at].name }
