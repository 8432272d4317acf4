package engine

import (
	"context"
	"slices"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Trial is what a run has done and wants. Nothing of it is written or said.
type Trial struct {
	Home    *ota.Home // as the run leaves it; nil in a chain that only asks
	Path    []Hop
	Replies []ota.Reply
	Pushes  []ota.Reply
	Values  []ota.Value
	Out     []ota.Outgoing
	After   []func() // called after the commit
	Waits   *Wait    // the run stands here
	Dead    string   // why it is kept for people, or ""
	Err     error    // no road took it
}

// Try runs the chain for one message from the trigger of its event, as a turn
// would, and stops before the commit. The home is the message's, loaded by the
// caller and the caller's to throw away; facts is whatever the run may read.
func (c *Chain) Try(ctx context.Context, m ota.Message, home *ota.Home, facts ota.Facts, now time.Time) Trial {
	t, _ := c.try(ctx, m, home, facts, now, false)
	return t
}

// try is [Chain.Try], where it shall with every step.
func (c *Chain) try(ctx context.Context, m ota.Message, home *ota.Home, facts ota.Facts, now time.Time, steps bool) (Trial, *Trace) {
	at := slices.IndexFunc(c.Triggers, func(t Trigger) bool { return t.takes(&m) })
	if at < 0 {
		return Trial{Err: ota.Errorf(ota.Invalid, "try chain "+c.Name, "it does not hear %s", m.Event)}, nil
	}
	r := c.newRun(m, now)
	defer r.release()
	r.id, r.Facts = ota.NewTurnID(), facts
	if !c.asks {
		r.Home = home
	}
	if steps {
		r.lookOn()
	}
	err := r.about(ctx, home)
	if err == nil {
		_, err = r.start(ctx, &c.Triggers[at])
	}
	w := r.wants
	t := Trial{
		Home: r.Home, Path: r.Path(), Replies: w.replies, Pushes: w.pushes, Values: slices.Clone(w.values), Out: w.out, After: w.after, Waits: r.park, Err: err,
	}
	if w.dead != nil {
		t.Dead = w.dead.reason
	}
	if r.trace != nil {
		r.trace.Path = c.way(r.path)
	}
	if r.trace != nil && (err != nil || r.park != nil) {
		r.trace.Step = r.failedAt()
	}
	return t, r.trace
}
