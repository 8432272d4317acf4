package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Run is one message's way through one chain. Where OTA has a noun it is typed.
// A run that was parked comes back with Msg and vars as they were and nouns as
// they are. Nodes change Home through ota's rules and name what shall leave;
// nothing is written or said before the run's one commit.
type Run struct {
	Msg     ota.Message
	Home    *ota.Home     // nil in a chain that only asks
	Package *ota.Package  // nil until resolve_package, or a node like it, has run
	Rollout *ota.Rollout  // of the home, or of the package's assignment; may be nil
	Source  ota.Source    // where the effective assignment of Package comes from
	By      ota.RolloutID // the rollout by which Package is in force, "" for none
	Now     time.Time     // one moment for the whole turn
	Facts   ota.Facts     // what it may read

	device  *ota.Device // the root device
	profile *ota.Profile
	own     *subject // of the run, where the root device is another; see See
	kind    ota.Kind // of the root update
	wants   wants
	house   *Engine // that runs it; nil in a chain that only asks
	counts  countsOf
	chain   *Chain
	id      ota.TurnID // of the turn's first try
	born    ota.TurnID // of its first turn; see origin
	started time.Time  // of that turn
	env     env        // what expressions see; see eval.go
	path    []byte
	began   time.Time // its first step, by this machine's clock
	resumed bool      // it went on from a wait in this turn
	trace   *Trace    // nil: nobody looks on
	seen    seen      // what it has read, for a replay
	err     *runError
	ctx     context.Context  //nolint:containedctx // of exec, for slots that are read from the store
	at      int32            // the step that is running
	hops    int              // in this turn
	attempt int              // of the running step, where that has a retry
	timed   bool             // this run's hops are timed
	mark    wantsMark        // before the running step
	park    *Wait            // the step wants to wait
	came    *ota.Message     // what the step at which it was parked waited for
	wait    Wait             // and how it waited
	visits  map[string]int   // see Visit
	child   *childOf         // it is a branch of another run
	forks   map[string]*fork // by the step that has split them off
	item    any              // of for_each
	index   int
	result  json.RawMessage   // what a branch returns
	kept    *answers          // of the turn's earlier tries
	args    map[string]string // of a rollout's chain, over its params
}

// wants is what a run names to be done by the commit and after it.
type wants struct {
	replies []ota.Reply // to the asker
	pushes  []ota.Reply // to the home's device
	values  []ota.Value
	out     []ota.Outgoing
	after   []func() // said to nobody in particular
	also    []*ota.Home
	raise   bool
	dead    *deadWish
	decided bool
	replied bool
}

// Device is the device that the run is about, or nil. In a chain that only asks
// it is shared: nobody changes it.
func (r *Run) Device() *ota.Device {
	if r.own != nil {
		return r.own.device
	}
	return r.device
}

// Profile is the device's profile, or nil.
func (r *Run) Profile() *ota.Profile {
	if r.own != nil {
		return r.own.profile
	}
	return r.profile
}

// Track is what the device has of kind k; nil without a device.
func (r *Run) Track(k ota.Kind) *ota.Track {
	d := r.Device()
	if d == nil {
		return nil
	}
	return d.Track(k)
}

// Kind is the kind that the run is about: k where it is given, else that of the
// update, else the message's.
func (r *Run) Kind(k ota.Kind) ota.Kind {
	switch {
	case k != "":
		return k
	case r.kind != "":
		return r.kind
	}
	return r.Msg.Kind
}

// Update is the root "update": the open or just ended update of the run's kind,
// or nil.
func (r *Run) Update() *ota.Update {
	if d, k := r.Device(), r.Kind(""); d != nil && k != "" {
		return d.Track(k).Update
	}
	return nil
}

// Concern makes the update of kind k the root "update".
func (r *Run) Concern(k ota.Kind) { r.kind = k }

// Reply answers the asker, after the commit. Where nobody asked it goes nowhere.
func (r *Run) Reply(p ota.Reply) {
	p.Tenant, p.Device = r.Msg.Tenant, r.Msg.Device
	r.wants.replies = append(r.wants.replies, p)
	r.wants.replied = true
}

// Push says something to the run's device, unasked, after the commit.
func (r *Run) Push(p ota.Reply) {
	p.Tenant, p.Device, p.Push = r.Msg.Tenant, r.Msg.Device, true
	r.wants.pushes = append(r.wants.pushes, p)
}

// SetValue sets, or with nil JSON deletes, one of the device's values in the
// commit.
func (r *Run) SetValue(v ota.Value) { r.wants.values = append(r.wants.values, v) }

// Send leaves a message for another home in the commit's outbox.
func (r *Run) Send(to ota.Ref, m ota.Message) {
	r.wants.out = append(r.wants.out, ota.Outgoing{To: to, Message: m})
}

// Decided says that the run has chosen a target for its device by what it read:
// the commit is refused when assignments have changed since.
func (r *Run) Decided() { r.wants.decided = true }

// Key names this step of this run, the same on a second try: for calls that
// must not count twice. Branches that are run apart have keys of their own.
func (r *Run) Key(step string) string { return hexID(r.origin()) + ":" + step + r.leg() }

// origin is the id of the turn with which the run began: it stays the same over
// all its waits.
func (r *Run) origin() ota.TurnID {
	if r.born != "" {
		return r.born
	}
	return r.id
}

// begunAt is when the run began.
func (r *Run) begunAt() time.Time {
	if !r.started.IsZero() {
		return r.started
	}
	return r.Now
}

// Visit counts that the running step is done once more, and says how often that
// was in this run, its waits included: for what may happen only so many times in
// a run. A step that is tried again after a Conflict counts once.
func (r *Run) Visit() int {
	if r.visits == nil {
		r.visits = map[string]int{}
	}
	r.visits[r.Step()]++
	return r.visits[r.Step()]
}
