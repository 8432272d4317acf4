package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Wait is what a step waits for. The run is parked in its home by the commit of
// its turn and goes on behind the step's outlet. A run whose root update is open
// is bound to that: it ends with it, without another step, save where it waits
// for that very end.
type Wait struct {
	At     time.Time // when it is due; zero: only an event wakes it
	Outlet string    // by which it leaves when it is due
	Event  ota.Event // an event of the home that wakes it, or ""; a [Waker] says which one of them
	Wake   string    // the outlet by which it leaves then, where the node is no Waker
	Update string    // the id of the update that it is bound to; "": of the root update
	Kind   ota.Kind  // of that update
	Call   int64     // rpc_answered: to which call, 0 for any
	Job    string    // job_ended: of which job
	Again  bool      // instead of leaving, the step is done again: when it is due, and when its rollout has something new
}

// Park makes the run wait at the step that is running; a Process ends with
//
//	return r.Park(engine.Wait{At: t, Outlet: "elapsed"})
func (r *Run) Park(w Wait) (outlet string, err error) {
	r.park = &w
	return "", nil
}

// parkedRun is a run that waits, as it lies in its home. Nouns are not in it,
// only which they were: they are read anew.
type parkedRun struct {
	Event   ota.Event `json:",omitempty"` // first, so that it is found fast
	Call    int64     `json:",omitempty"`
	Job     string    `json:",omitempty"`
	Came    *awaited  `json:",omitempty"` // its event
	Chain   string
	Step    string
	Outlet  string
	Wake    string                     `json:",omitempty"`
	Until   time.Time                  `json:",omitzero"`  // when Outlet is taken
	Kind    ota.Kind                   `json:",omitempty"` // of the root update
	Message ota.Message                // as it came
	Args    map[string]string          `json:",omitempty"`
	Attempt int                        `json:",omitempty"` // of a step that is tried again
	Again   bool                       `json:",omitempty"` // the step is done again
	Slots   map[string]json.RawMessage `json:",omitempty"` // vars, params and outputs by name

	Run     []byte           `json:",omitempty"` // the turn with which it began
	Started time.Time        `json:",omitzero"`
	Visits  map[string]int   `json:",omitempty"` // of steps
	Error   *parkedError     `json:",omitempty"` // the root error
	Child   *childOf         `json:",omitempty"` // it is a branch of another run
	Forks   map[string]*fork `json:",omitempty"` // branches of its own
	nounsOf
}

// nounsOf says which nouns a run has as its roots, besides those of its home.
type nounsOf struct {
	Package ota.PackageID `json:",omitempty"`
	Source  ota.Source    `json:",omitzero"`
	By      ota.RolloutID `json:",omitempty"`
	Rollout ota.RolloutID `json:",omitempty"`
	Other   ota.DeviceID  `json:",omitempty"` // the root device, where it is not the home's
}

// parkedError is the root error of a run that waits on an error road.
type parkedError struct {
	Code    ota.Code
	Message string
	Step    string
	Node    string
	Attempt int
}

// awaited is the message that a run waited for.
type awaited struct {
	ota.Message
	Large bool `json:",omitempty"` // too large to be kept
}

// maxParked bounds what a parked run keeps.
const maxParked = 64 << 10

// parked is the run's state for its home, after exec has left r.park set.
func (r *Run) parked() (ota.Parked, error) {
	w, s := r.park, &r.chain.steps[r.at]
	p, err := r.frozen(s.name)
	if err != nil {
		return ota.Parked{}, err
	}
	p.Event, p.Call, p.Job, p.Outlet, p.Wake, p.Until, p.Kind = w.Event, w.Call, w.Job, w.Outlet, w.Wake, w.At, r.kind
	p.Attempt, p.Again, p.Child, p.Forks, p.nounsOf = r.attempt, w.Again, r.child, r.forks, r.nouns()
	data, err := p.encode()
	if err != nil {
		return ota.Parked{}, err
	}
	out := ota.Parked{At: w.At, Update: w.Update, Kind: w.Kind, Digest: r.chain.Digest, Data: data}
	if u := r.bound(); out.Update == "" && u != nil && w.Event != ota.UpdateFinished {
		out.Update, out.Kind = u.ID, u.Kind
	}
	return out, nil
}

// frozen is the run as it stands before a step, save its wait, its branches and
// its nouns.
func (r *Run) frozen(step string) (parkedRun, error) {
	m := r.Msg
	m.Began = nil // its entry is gone with the commit that parks
	p := parkedRun{Chain: r.chain.Name, Step: step, Message: m, Args: r.args, Slots: map[string]json.RawMessage{}, Run: []byte(r.origin()), Started: r.begunAt(), Visits: r.visits}
	if e := r.err; e != nil {
		p.Error = &parkedError{e.code, e.err.Error(), e.step, e.node, e.attempt}
	}
	for i := range r.chain.frame.slots {
		sl := &r.chain.frame.slots[i]
		if sl.fill != nil {
			continue
		}
		b, err := json.Marshal(r.env.slots[i])
		if err != nil {
			return p, ota.Errorf(ota.Internal, "park at "+step, "%s: %w", sl.name, err)
		}
		p.Slots[sl.key] = b
	}
	return p, nil
}

func (p *parkedRun) encode() ([]byte, error) {
	data, err := json.Marshal(p)
	if err == nil && len(data) > maxParked {
		err = fmt.Errorf("the run holds %d bytes, %d at most", len(data), maxParked)
	}
	if err != nil {
		return nil, ota.Errorf(ota.Internal, "park at "+p.Step, "%w", err)
	}
	return data, nil
}

// bound is the update that the run is about and would have nothing to do
// without: nil where it is about its device.
func (r *Run) bound() *ota.Update {
	if r.kind == "" && (r.child.ofJob() || r.Msg.Event != ota.OfferDue && r.Msg.Event != ota.StateTimeout) {
		return nil
	}
	if u := r.Update(); u.Open() {
		return u
	}
	return nil
}

// nouns says which nouns the run has.
func (r *Run) nouns() (n nounsOf) {
	if r.Package != nil && (r.Home == nil || r.Home.Package == nil) {
		n.Package, n.Source, n.By = r.Package.ID, r.Source, r.By
	}
	if r.Rollout != nil && (r.Home == nil || r.Home.Rollout == nil) {
		n.Rollout = r.Rollout.ID
	}
	if r.own != nil && r.device != nil {
		n.Other = r.device.ID
	}
	return n
}

// readParked reads what [Run.parked] wrote.
func readParked(data []byte) (parkedRun, error) {
	var p parkedRun
	if err := json.Unmarshal(data, &p); err != nil {
		return p, ota.Errorf(ota.Internal, "resume", "%w", err)
	}
	return p, nil
}

// recall reads the nouns of a run that waited anew. One that is gone is Internal,
// so that the run is kept for people: none of its steps was made for that.
func (r *Run) recall(ctx context.Context, p *parkedRun) error {
	get := func(t ota.RefType, id string) (*ota.Home, error) {
		h, err := r.Facts.Get(ctx, ota.Ref{Tenant: r.Msg.Tenant, Type: t, ID: id})
		if ota.CodeOf(err) == ota.NotFound {
			err = ota.Errorf(ota.Internal, "resume at "+p.Step, "the %s that the run is about is gone", t)
		}
		return h, err
	}
	if p.Package != "" {
		h, err := get(ota.PackageRef, string(p.Package))
		if err != nil {
			return err
		}
		r.Package, r.Source, r.By = h.Package, p.Source, p.By
	}
	if p.Rollout != "" {
		h, err := get(ota.RolloutRef, string(p.Rollout))
		if err != nil {
			return err
		}
		r.Rollout = h.Rollout
	}
	if p.Other != "" {
		h, err := get(ota.DeviceRef, string(p.Other))
		if err != nil {
			return err
		}
		profile, err := profileOf(ctx, r.Facts, h.Device)
		if err != nil {
			return err
		}
		r.See(h.Device, profile)
	}
	return nil
}

// resume makes a fresh run of the chain (made by newRun with p.Message) stand
// behind the step at which it waited, and returns the step to go on with by
// [Run.exec]. woken says that its event came, and not its time, where the step's
// node does not look at the event itself.
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
		r.at, r.kind, r.resumed = int32(i), p.Kind, true
		if p.Attempt > 0 { // the step is tried again
			r.attempt = p.Attempt
			return r.at, nil
		}
		if p.Came != nil {
			r.came, r.wait = &p.Came.Message, Wait{At: p.Until, Outlet: p.Outlet, Event: p.Event, Wake: p.Wake, Call: p.Call}
			if p.Came.Large {
				return r.at, ota.Errorf(ota.Internal, "resume at "+p.Step, "the %s that the run waited for is larger than a waiting run may hold", p.Event)
			}
			return r.at, nil
		}
		if p.Again {
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
	r.born, r.started, r.visits = ota.TurnID(p.Run), p.Started, p.Visits
	r.child, r.forks = p.Child, p.Forks
	if e := p.Error; e != nil {
		r.err = &runError{err: ota.Errorf(e.Code, "", "%s", e.Message), code: e.Code, step: e.Step, node: e.Node, attempt: e.Attempt}
	}
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

// standAside takes the update of an offer out of the line while its chain waits:
// otherwise its turn would come again at once. It comes back some time after the
// wait, should the run leave it as it is.
func (r *Run) standAside(until time.Time) {
	if r.Msg.Event != ota.OfferDue || r.Device() == nil || r.child.ofJob() {
		return
	}
	if t := r.Track(r.Kind("")); t.Update.Open() && t.Update.State == ota.Queued && !t.Update.Away {
		t.Hold(until.Add(againOffer), "its chain waits at step "+r.Step())
	}
}
