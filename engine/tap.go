package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// MaxTapAll is how long a tap may keep every run.
const MaxTapAll = 15 * time.Minute

// The bounds of what one tap keeps; older runs make room.
const (
	tapRuns  = 200
	tapBytes = 1 << 20
	tapValue = 2 << 10 // of one var, output or line
	maxTaps  = 32
)

// Tap says of which runs a tap keeps everything. A tap lies in the process that
// it was put on and ends with it.
type Tap struct {
	Chain    string    // also one that others call
	Step     string    // "": every step; behind a call its name alone is enough
	Failures bool      // only runs in which a step failed; else all of them
	Until    time.Time // when it comes off by itself; zero: never, which is for failures alone
}

// TapState is a tap that is on.
type TapState struct {
	Tap
	Since   time.Time
	Runs    int    // that it holds
	Bytes   int    // that those take
	Last    uint64 // number of the latest run that it kept
	Dropped uint64 // runs that made room
}

// TappedRun is a run as a tap keeps it: masked, and bounded.
type TappedRun struct {
	Num uint64
	Trace
	Lost string `json:",omitempty"` // what was too much to be kept
}

// tap is a tap that is on.
type tap struct {
	TapState
	runs []tapped
	news chan struct{} // closed when a run is kept
	off  chan struct{} // closed when the tap comes off
}

type tapped struct {
	num  uint64
	id   string
	data []byte
}

// taps are those of an engine. A run pays one look at on while there are none.
type taps struct {
	on  atomic.Pointer[map[tapKey]*tap]
	mu  sync.Mutex
	now func() time.Time
}

type tapKey struct{ chain, step string }

func (ts *taps) clock() time.Time {
	if ts.now != nil {
		return ts.now()
	}
	return time.Now()
}

// of lists the taps on a chain; nil mostly.
func (ts *taps) of(c *Chain) (out []*tap) {
	m := ts.on.Load()
	if m == nil {
		return nil
	}
	late := false
	now := ts.clock()
	for k, t := range *m {
		switch {
		case !t.Until.IsZero() && !now.Before(t.Until):
			late = true
		case k.chain == c.Name || slices.ContainsFunc(c.files, func(f ota.ChainFile) bool { return f.Chain == k.chain }):
			out = append(out, t)
		}
	}
	if late {
		ts.expire()
	}
	return out
}

// change exchanges the map, so that runs read it without a lock; ts.mu is held.
func (ts *taps) change(do func(m map[tapKey]*tap)) {
	m := map[tapKey]*tap{}
	if was := ts.on.Load(); was != nil {
		m = maps.Clone(*was)
	}
	do(m)
	if len(m) == 0 {
		ts.on.Store(nil)
		return
	}
	ts.on.Store(&m)
}

// expire takes those off whose time is over.
func (ts *taps) expire() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	now := ts.clock()
	ts.change(func(m map[tapKey]*tap) {
		for k, t := range m {
			if !t.Until.IsZero() && !now.Before(t.Until) {
				close(t.off)
				delete(m, k)
			}
		}
	})
}

// Tap puts a tap on. One that is on the same chain and step gives way, with what
// it holds. An Invalid error says that it asks for too much or for a step that
// is not there.
func (e *Engine) Tap(t Tap) (TapState, error) {
	const op = "tap"
	now := e.taps.clock()
	c := e.Set().Chain(t.Chain)
	switch {
	case c == nil:
		return TapState{}, ota.Errorf(ota.NotFound, op, "there is no chain %s%s", t.Chain, didYouMean(t.Chain, e.Set().Names()))
	case t.Step != "" && !slices.ContainsFunc(c.steps, func(s step) bool { return isStep(s.name, t.Step) }):
		return TapState{}, ota.Errorf(ota.NotFound, op, "chain %s has no step %s%s", t.Chain, t.Step, didYouMean(t.Step, c.stepNames()))
	case !t.Until.IsZero() && !t.Until.After(now):
		return TapState{}, ota.Errorf(ota.Invalid, op, "its time is over already")
	case !t.Failures && (t.Until.IsZero() || t.Until.Sub(now) > MaxTapAll+time.Second):
		return TapState{}, ota.Errorf(ota.Invalid, op, "all runs can be kept for %s at most", printDuration(MaxTapAll))
	}
	ts := &e.taps
	ts.expire()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	x := &tap{TapState: TapState{Tap: t, Since: now}, news: make(chan struct{}), off: make(chan struct{})}
	k, full := tapKey{t.Chain, t.Step}, false
	ts.change(func(m map[tapKey]*tap) {
		if was := m[k]; was != nil {
			close(was.off)
			x.Last = was.Last
		} else if full = len(m) >= maxTaps; full {
			return
		}
		m[k] = x
	})
	if full {
		return TapState{}, ota.Errorf(ota.Conflict, op, "%d taps are on already; take one off", maxTaps)
	}
	return x.TapState, nil
}

func (c *Chain) stepNames() []string {
	var out []string
	for i := range c.steps {
		out = append(out, c.steps[i].name)
	}
	return out
}

// isStep says whether a step is the one that a person named.
func isStep(full, name string) bool { return full == name || strings.HasSuffix(full, "/"+name) }

// Untap takes a tap off, with what it holds; NotFound where none is on.
func (e *Engine) Untap(chain, step string) error {
	ts := &e.taps
	ts.expire()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	found := false
	ts.change(func(m map[tapKey]*tap) {
		if t := m[tapKey{chain, step}]; t != nil {
			found = true
			close(t.off)
			delete(m, tapKey{chain, step})
		}
	})
	if !found {
		return errNoTap(chain, step)
	}
	return nil
}

func errNoTap(chain, step string) error {
	if step != "" {
		return ota.Errorf(ota.NotFound, "", "no tap is on step %s of chain %s", step, chain)
	}
	return ota.Errorf(ota.NotFound, "", "no tap is on chain %s", chain)
}

// Taps lists the taps that are on, by chain and step.
func (e *Engine) Taps() []TapState {
	ts := &e.taps
	ts.expire()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	var out []TapState
	if m := ts.on.Load(); m != nil {
		for _, t := range *m {
			out = append(out, t.TapState)
		}
	}
	slices.SortFunc(out, func(a, b TapState) int { return strings.Compare(a.Chain+"/"+a.Step, b.Chain+"/"+b.Step) })
	return out
}

// Tapped returns the runs that a tap has kept after the one with number after,
// the oldest first; 0: all that it holds. Where there is none it waits for one
// until ctx ends or the tap comes off, and then returns none. NotFound: no such
// tap is on.
func (e *Engine) Tapped(ctx context.Context, chain, step string, after uint64) ([]TappedRun, error) {
	ts := &e.taps
	for {
		ts.expire()
		ts.mu.Lock()
		var t *tap
		if m := ts.on.Load(); m != nil {
			t = (*m)[tapKey{chain, step}]
		}
		if t == nil {
			ts.mu.Unlock()
			return nil, errNoTap(chain, step)
		}
		var datas [][]byte
		for _, r := range t.runs {
			if r.num > after {
				datas = append(datas, r.data)
			}
		}
		news, off := t.news, t.off
		ts.mu.Unlock()
		if len(datas) > 0 {
			return readTapped(datas)
		}
		var late <-chan time.Time
		if !t.Until.IsZero() {
			timer := time.NewTimer(t.Until.Sub(ts.clock()))
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-news:
		case <-off:
			return nil, nil
		case <-late:
			return nil, nil
		case <-ctx.Done():
			return nil, nil
		}
	}
}

func readTapped(datas [][]byte) ([]TappedRun, error) {
	out := make([]TappedRun, len(datas))
	for i, d := range datas {
		if err := json.Unmarshal(d, &out[i]); err != nil {
			return nil, ota.Errorf(ota.Internal, "read a tapped run", "%w", err)
		}
	}
	return out, nil
}

// tappedRun finds a run by its id among what the taps hold; nil where none does.
func (e *Engine) tappedRun(id string) *TappedRun {
	ts := &e.taps
	ts.mu.Lock()
	var data []byte
	if m := ts.on.Load(); m != nil {
		for _, t := range *m {
			for _, r := range t.runs {
				if r.id == id {
					data = r.data
				}
			}
		}
	}
	ts.mu.Unlock()
	if data == nil {
		return nil
	}
	out, err := readTapped([][]byte{data})
	if err != nil {
		return nil
	}
	return &out[0]
}

// wants says whether the tap keeps a run.
func (t *tap) wants(x *Trace) bool {
	return slices.ContainsFunc(x.Steps, func(s TraceStep) bool {
		return (t.Step == "" || isStep(s.Step, t.Step)) && (!t.Failures || s.Error != "")
	}) || t.Step == "" && t.Failures && (x.End == RunFailed || x.End == RunKept)
}

// keep gives a finished trace to the taps that want it.
func (ts *taps) keep(on []*tap, x *Trace, mask *masker) {
	for _, t := range on {
		if !t.wants(x) {
			continue
		}
		ts.mu.Lock()
		t.Last++
		r := TappedRun{Num: t.Last, Trace: *x}
		if data := r.pack(mask); data != nil {
			t.runs = append(t.runs, tapped{r.Num, x.ID, data})
			t.Bytes += len(data)
			for len(t.runs) > tapRuns || t.Bytes > tapBytes {
				t.Bytes -= len(t.runs[0].data)
				t.runs[0].data = nil
				t.runs = t.runs[1:]
				t.Dropped++
			}
			t.Runs = len(t.runs)
		}
		close(t.news)
		t.news = make(chan struct{})
		ts.mu.Unlock()
	}
}

// pack is the run in its bounds; nil where it cannot be kept at all.
func (r *TappedRun) pack(mask *masker) []byte {
	steps := slices.Clone(r.Steps)
	for i := range steps {
		steps[i].Vars, steps[i].Set = boundValues(steps[i].Vars), boundValues(steps[i].Set)
	}
	r.Steps = steps
	data, err := json.Marshal(r)
	if err == nil && len(data) > maxKept+maxKept/2 && r.Seen != nil {
		r.Seen, r.Lost = nil, "what the run read is more than can be kept"
		data, err = json.Marshal(r)
	}
	if err == nil && len(data) > 2*maxKept {
		r.Lost = "the run is more than can be kept: its values are left out"
		for i := range steps {
			steps[i].Vars, steps[i].Set = nil, nil
		}
		r.Steps = steps[:min(len(steps), 200)]
		data, err = json.Marshal(r)
	}
	if err != nil || len(data) > 4*maxKept {
		return nil
	}
	return mask.bytes(data)
}

// boundValues are values in a form that JSON can say and that is not too long.
func boundValues(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		b, err := json.Marshal(jsonForm(v))
		switch {
		case err != nil:
			out[k] = cutText(fmt.Sprint(v))
		case len(b) > tapValue:
			out[k] = cutText(string(b))
		default:
			out[k] = json.RawMessage(b)
		}
	}
	return out
}

// codedText is an error for people, "" for none.
func codedText(err error) string {
	if err == nil {
		return ""
	}
	var e *ota.Error
	if errors.As(err, &e) && e.Code != "" && e.Code != ota.Internal {
		return string(e.Code) + ": " + err.Error()
	}
	return err.Error()
}
