package engine

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Wait is what a step waits for. The run is parked in its home by the commit of
// its turn and goes on behind the step's outlet.
type Wait struct {
	At     time.Time // when it is due; zero: only an event wakes it
	Outlet string    // by which it leaves when it is due
	Event  ota.Event // an event of the home that wakes it, or ""
	Wake   string    // the outlet by which it leaves then
	Update string    // the id of the update that it is bound to, or ""
	Kind   ota.Kind  // of that update
}

// Park makes the run wait at the step that is running; a Process ends with
//
//	return r.Park(engine.Wait{At: t, Outlet: "elapsed"})
func (r *Run) Park(w Wait) (outlet string, err error) {
	r.park = &w
	return "", nil
}

// parkedRun is a run that waits, as it lies in its home. Nouns are not in it:
// they are read anew.
type parkedRun struct {
	Chain   string
	Step    string
	Outlet  string
	Event   ota.Event                  `json:",omitempty"`
	Wake    string                     `json:",omitempty"`
	Kind    ota.Kind                   `json:",omitempty"` // of the root update
	Message ota.Message                // as it came
	Args    map[string]string          `json:",omitempty"`
	Attempt int                        `json:",omitempty"` // of a step that is tried again
	Slots   map[string]json.RawMessage `json:",omitempty"` // vars, params and outputs by name
}

// maxParked bounds what a parked run keeps.
const maxParked = 64 << 10

// parked is the run's state for its home, after exec has left r.park set.
func (r *Run) parked() (ota.Parked, error) {
	w, s := r.park, &r.chain.steps[r.at]
	m := r.Msg
	m.Began = nil // its entry is gone with the commit that parks
	p := parkedRun{Chain: r.chain.Name, Step: s.name, Outlet: w.Outlet, Event: w.Event, Wake: w.Wake, Kind: r.kind, Message: m, Args: r.args, Attempt: r.attempt, Slots: map[string]json.RawMessage{}}
	for i := range r.chain.frame.slots {
		sl := &r.chain.frame.slots[i]
		if sl.fill != nil {
			continue
		}
		b, err := json.Marshal(r.env.slots[i])
		if err != nil {
			return ota.Parked{}, ota.Errorf(ota.Internal, "park at "+s.name, "%s: %w", sl.name, err)
		}
		p.Slots[sl.key] = b
	}
	data, err := json.Marshal(p)
	if err != nil {
		return ota.Parked{}, ota.Errorf(ota.Internal, "park at "+s.name, "%w", err)
	}
	if len(data) > maxParked {
		return ota.Parked{}, ota.Errorf(ota.Internal, "park at "+s.name, "the run holds %d bytes, %d at most", len(data), maxParked)
	}
	return ota.Parked{At: w.At, Update: w.Update, Kind: w.Kind, Digest: r.chain.Digest, Data: data}, nil
}

// readParked reads what [Run.parked] wrote.
func readParked(data []byte) (parkedRun, error) {
	var p parkedRun
	if err := json.Unmarshal(data, &p); err != nil {
		return p, ota.Errorf(ota.Internal, "resume", "%w", err)
	}
	return p, nil
}

// resume makes a fresh run of the chain (made by newRun with p.Message) stand
// behind the step at which it waited, and returns the step to go on with by
// [Run.exec]. woken says that its event came, and not its time.
func (r *Run) resume(p parkedRun, woken bool) (int32, error) {
	outlet := p.Outlet
	if woken {
		outlet = p.Wake
	}
	for i := range r.chain.steps {
		s := &r.chain.steps[i]
		if s.name != p.Step {
			continue
		}
		if err := r.restore(p); err != nil {
			return end, err
		}
		r.at, r.kind = int32(i), p.Kind
		if p.Attempt > 0 { // the step is tried again
			r.attempt = p.Attempt
			return r.at, nil
		}
		if err := r.leave(s, outlet); err != nil {
			return end, err
		}
		return r.at, nil
	}
	return end, ota.Errorf(ota.Internal, "resume", "chain %s has no step %s", r.chain.Name, p.Step)
}

func (r *Run) restore(p parkedRun) error {
	for i := range r.chain.frame.slots {
		sl := &r.chain.frame.slots[i]
		raw, ok := p.Slots[sl.key]
		if !ok || sl.fill != nil {
			continue
		}
		v, err := readAs(sl.typ, raw)
		if err != nil {
			return ota.Errorf(ota.Internal, "resume", "%s: %w", sl.name, err)
		}
		r.put(int32(i), v)
	}
	if r.trace != nil { // its steps see the vars as they were kept
		r.lookOn()
	}
	return nil
}

// readAs reads a value that was kept as JSON back into the type of its slot.
func readAs(t Type, raw json.RawMessage) (any, error) {
	g := t.goType()
	if g == nil {
		var v any
		err := json.Unmarshal(raw, &v)
		return v, err
	}
	p := newOf(g)
	if err := json.Unmarshal(raw, p.Interface()); err != nil {
		return nil, fmt.Errorf("as %s: %w", t, err)
	}
	return p.Elem().Interface(), nil
}
