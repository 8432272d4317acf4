package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Sender says words to a device that did not ask: to the sessions that this
// process holds, and to the processes that hold the others. heard is false where
// nobody was there to take them: such words are lost, and what must arrive is
// said again from state.
type Sender interface {
	Send(ctx context.Context, words []ota.Reply) (heard bool, err error)
}

// Host is what an Engine stands on.
type Host struct {
	Homes   ota.Homes    // commits; and keeps Facts true to what it committed
	Facts   ota.Facts    // copies in the process
	Fresh   ota.Facts    // the store itself
	Doors   ota.Doors    // of rollouts; nil: none takes permits
	Slots   ota.Slots    // nil: there are none
	Members Counter      // of the members of rollouts; nil: they count as none
	Deliver Deliverer    // takes durable words to brokers; nil: they are lost
	Sender  Sender       // nil: nothing is ever said unasked
	Process string       // this process on the bus
	Library *Library     // chains that runs began with and that do not answer any more; nil: there are none
	Log     *slog.Logger // nil: slog.Default
	Traced  func(Traced) // is told of each run that has ended its turn, on its goroutine; nil: nobody is
	Runs    int          // how many runs the flight recorder keeps; 0: 4,096, below 0: none
}

// Engine runs chains. It is the one writer: nodes change their run, and the
// engine commits what a run wants, once, before anything is said. It is safe for
// concurrent use.
type Engine struct {
	Host
	set       atomic.Pointer[Set]
	locks     *locks
	served    *served
	counts    Counts
	records   *recorder
	taps      taps
	ways      ways
	jobs      jobsKept
	looker    func(*Trace) // of a test; nil: nobody
	forgotten sync.WaitGroup
}

// New returns an engine that answers by set until [Engine.Use] gives it another.
func New(set *Set, h Host) *Engine {
	if h.Log == nil {
		h.Log = slog.Default()
	}
	e := &Engine{Host: h, locks: newLocks(), served: newServed(), records: newRecorder(h.Runs)}
	e.set.Store(set)
	return e
}

// Use makes set the chains that answer from now on. Turns under way end on the
// chains that they began with.
func (e *Engine) Use(set *Set) { e.set.Store(set) }

// Set returns the chains in use.
func (e *Engine) Set() *Set { return e.set.Load() }

// Counts are what an engine has done since it was made.
type Counts struct {
	Asks, Moves, Conflicts, Deads, NotTaken, NotHeard, Refused atomic.Int64
}

// Counts returns the engine's own counters, for metrics.
func (e *Engine) Counts() *Counts { return &e.counts }

// maxTries bounds how often a turn is run again because somebody else wrote its
// home in between.
const maxTries = 8

// Handle does what the chains say about a message and returns what is owed to
// whoever asked. When it returns nil the effect is stored: the transport may
// acknowledge. Errors are coded: Invalid, NotFound and Conflict are the asker's,
// Busy means try again (nothing was stored), Internal is ours.
func (e *Engine) Handle(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
	switch m.Event {
	case ota.Say:
		return nil, e.deliver(ctx, m)
	case ota.Due:
		return nil, e.due(ctx, m)
	case ota.Decide:
		return nil, e.decide(ctx, m)
	case ota.Born:
		return nil, e.born(ctx, m)
	case ota.Over:
		return nil, e.ended(ctx, m)
	case ota.Tell:
		return nil, e.hearTold(ctx, m)
	case ota.JobBegun:
		return nil, e.jobBegun(ctx, m)
	case ota.JobMember:
		return nil, e.jobMember(ctx, m)
	case ota.JobEnded:
		return nil, e.jobEnded(ctx, m)
	case ota.Touch:
		if m.Transport == "" {
			return nil, e.touch(ctx, m)
		} // else a device says only that it is there, as a poll does
	}
	switch {
	case m.Event == ota.Arrived:
		return e.arrived(ctx, m)
	case m.Event == ota.Scheduled:
		return nil, e.scheduled(ctx, m)
	case m.Device == "":
		return e.move(ctx, m, m.Home, nil)
	}
	return e.aboutDevice(ctx, m)
}

// aboutDevice finds the chain that answers for the device's profile, and asks or
// moves.
func (e *Engine) aboutDevice(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
	ref := ota.RefOf(m.Tenant, m.Device)
	home, err := e.Facts.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	if m.Transport != "" && m.Event != ota.Connected && m.Event != ota.Disconnected {
		moved, err := e.heard(ctx, ref, home, m)
		if err == nil && moved {
			home, err = e.Facts.Get(ctx, ref)
		}
		if err != nil {
			return nil, err
		}
	}
	if m.Event == ota.Touch {
		return nil, nil
	}
	profile, err := profileOf(ctx, e.Facts, home.Device)
	if err != nil {
		return nil, err
	}
	chain, trig := e.Set().Answer(m.Event, nameOf(profile), m.Kind)
	var replies []ota.Reply
	if chain != nil && chain.Asks() && m.Began == nil && !awaits(home, m.Event) {
		replies, err = e.ask(ctx, asker{ref, home, profile}, m, chain, trig)
	} else {
		replies, err = e.move(ctx, m, ref, nil)
	}
	if err == nil {
		e.observe(ctx, ref, home, m)
	}
	return replies, err
}

// observe lets those chains hear m that listen beside the one that has answered.
// What becomes of them is nothing to the device.
func (e *Engine) observe(ctx context.Context, ref ota.Ref, home *ota.Home, m ota.Message) {
	if !e.Set().Observed(m.Event) {
		return
	}
	p, err := profileOf(ctx, e.Facts, home.Device)
	if err != nil {
		e.Log.Warn("chains that observe were left out", "event", m.Event, "device", home.Device.Name, "err", err)
		return
	}
	m.Began, m.Session = nil, ota.SessionID{}
	e.Set().Observers(m.Event, nameOf(p), m.Kind, func(c *Chain, t *Trigger) {
		_, err := e.move(ctx, m, ref, func(context.Context, ota.Facts, *ota.Home, ota.Message) (job, error) {
			return job{msg: m, chain: c, trig: t, only: c.Name}, nil
		})
		if err != nil {
			e.Log.Warn("a chain that observes failed", "chain", c.Name, "event", m.Event, "device", home.Device.Name, "err", err)
		}
	})
}

// answer is the chain that answers m for the device of home; nil where none does.
func (e *Engine) answer(ctx context.Context, facts ota.Facts, home *ota.Home, m ota.Message) (*Chain, *Trigger, error) {
	set := e.Set()
	if home.Device == nil {
		chain, trig := set.Answer(m.Event, "", m.Kind)
		return chain, trig, nil
	}
	p, err := profileOf(ctx, facts, home.Device)
	if err != nil {
		return nil, nil, err
	}
	chain, trig := set.Answer(m.Event, nameOf(p), m.Kind)
	return chain, trig, nil
}

func profileOf(ctx context.Context, facts ota.Facts, d *ota.Device) (*ota.Profile, error) {
	h, err := facts.Get(ctx, ota.Ref{Tenant: d.Tenant, Type: ota.ProfileRef, ID: string(d.Profile)})
	switch ota.CodeOf(err) {
	case "":
		return h.Profile, nil
	case ota.NotFound:
		return nil, nil
	}
	return nil, err
}

// asker is a device that asks, as the facts have it.
type asker struct {
	ref     ota.Ref
	home    *ota.Home
	profile *ota.Profile
}

// ask runs a chain that writes nothing: no lock, no load, no commit. An asker
// who would be refused by a copy is heard again by the store itself, so that a
// device is never refused what it has just been offered.
func (e *Engine) ask(ctx context.Context, a asker, m ota.Message, chain *Chain, trig *Trigger) ([]ota.Reply, error) {
	e.counts.Asks.Add(1)
	replies, after, err := e.askFrom(ctx, e.Facts, a, m, chain, trig)
	if refused(replies, err) {
		if a, err = e.again(ctx, a); err != nil {
			return nil, err
		}
		replies, after, err = e.askFrom(ctx, e.Fresh, a, m, chain, trig)
	}
	if err != nil {
		return nil, err
	}
	for _, f := range after {
		f()
	}
	for i := range replies {
		if replies[i].Word == ota.SayChunk {
			e.noteServed(ctx, a.ref, &replies[i])
		}
	}
	return replies, nil
}

// again reads an asker from the store.
func (e *Engine) again(ctx context.Context, a asker) (asker, error) {
	if a.home.Device == nil {
		return a, nil
	}
	var err error
	if a.home, err = e.Fresh.Get(ctx, a.ref); err == nil {
		a.profile, err = profileOf(ctx, e.Fresh, a.home.Device)
	}
	return a, err
}

func (e *Engine) askFrom(ctx context.Context, facts ota.Facts, a asker, m ota.Message, chain *Chain, trig *Trigger) (replies []ota.Reply, after []func(), err error) {
	r := chain.newRun(m, e.Homes.Now())
	defer r.release()
	r.Facts, r.device, r.profile = facts, a.home.Device, a.profile
	if e.traces(chain) {
		r.lookOn()
		r.watch(facts, a.home)
		if a.home.Device != nil {
			_, _ = profileOf(ctx, r.Facts, a.home.Device) // so that it counts as read
		}
	}
	taken, err := r.start(ctx, trig)
	if !taken && err == nil {
		e.counts.NotTaken.Add(1)
	} else {
		e.traced(r, err)
		e.over(r, a.ref, nil, err)
	}
	if err != nil {
		return nil, nil, err
	}
	return r.wants.replies, r.wants.after, nil
}

func refused(replies []ota.Reply, err error) bool {
	if c := ota.CodeOf(err); c == ota.NotFound || c == ota.Invalid {
		return true
	}
	for i := range replies {
		if replies[i].Word == ota.SayError {
			return true
		}
	}
	return false
}

// turnTime bounds a turn whose chain says nothing else.
const turnTime = 5 * time.Second
