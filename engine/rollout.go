package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// dueDoor is due work of a rollout whose door has something for its conductor.
const dueDoor = "door"

// hearTold lets the door of a rollout count what a device's turn tells it. That
// needs no turn: the door knows what it has heard.
func (e *Engine) hearTold(ctx context.Context, m ota.Message) error {
	if m.Home.Type == ota.SlotRef && e.Slots != nil {
		return e.Slots.FreeSlot(ctx, m.Tenant, m.Home.ID, m.Key)
	}
	if e.Doors == nil || m.Told == nil {
		return ota.Errorf(ota.Internal, "tell a door", "there are no doors, or nothing was told")
	}
	return e.Doors.Tell(ctx, m.Home, m.Device, *m.Told)
}

// born stores the rollout of a device's own assignment, whose conductor is due
// then. Doing it twice does it once.
func (e *Engine) born(ctx context.Context, m ota.Message) error {
	if m.Born == nil {
		return ota.Errorf(ota.Invalid, "begin rollout", "there is none in the message")
	}
	h := &ota.Home{Ref: m.Home, Rollout: m.Born}
	h.Post(ota.Pending{At: e.Homes.Now(), Event: ota.RolloutStarted, Kind: m.Kind, Rollout: m.Rollout})
	err := e.Homes.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h})
	if ota.CodeOf(err) == ota.Conflict {
		_, err = e.Homes.Load(ctx, m.Home) // it is there
	}
	return err
}

// ended ends the rollout of a device's own assignment that is gone.
func (e *Engine) ended(ctx context.Context, m ota.Message) error {
	h, err := e.Homes.Load(ctx, m.Home)
	if ota.CodeOf(err) == ota.NotFound {
		return ota.Errorf(ota.Busy, "end rollout "+string(m.Rollout), "the message that begins it has not come yet")
	}
	if err != nil || h.Rollout.State == ota.RolloutReplaced || h.Rollout.State == ota.RolloutCancelled {
		return err
	}
	t := &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h}
	now := e.Homes.Now()
	h.Rollout.End(ota.RolloutReplaced, "", m.Cause, now)
	h.Parked, h.Pending = nil, nil
	h.Post(ota.Pending{At: now, Event: ota.Wished, Rollout: m.Rollout})
	if err = e.Homes.Commit(ctx, t); ota.CodeOf(err) == ota.Conflict {
		return ota.Errorf(ota.Busy, "end rollout "+string(m.Rollout), "%w", err)
	}
	return err
}

// look is the job of a rollout whose conductor has something to see: the step at
// which it waits is done again. What an operator wants is carried out where no
// step does that.
func (e *Engine) look(ctx context.Context, h *ota.Home, about ota.Message) (job, error) {
	r := h.Rollout
	if r == nil {
		return job{}, nil
	}
	now := e.Homes.Now()
	e.announced(h, now)
	if w := r.Wish; w != nil && w.What == ota.OperateResume && r.State == ota.RolloutPaused {
		t, err := e.tally(ctx, h.Ref)
		if err != nil {
			return job{}, err
		}
		r.Wish = nil
		r.Resume(w.By, t, now)
	}
	for _, p := range h.Parked {
		run, err := readParked(p.Data)
		if err == nil && run.Again {
			h.Drop(p.Num)
			return e.parked(ctx, about, p)
		}
	}
	return job{}, nil
}

func (e *Engine) tally(ctx context.Context, r ota.Ref) (ota.Tally, error) {
	if e.Doors == nil {
		return ota.Tally{}, nil
	}
	return e.Doors.Tally(ctx, r)
}

// concluded ends a rollout whose conductor has come to its end.
func concluded(h *ota.Home, now time.Time) {
	if x := h.Rollout; x != nil && x.State == ota.RolloutRunning {
		x.Finish(now)
	}
}

// derailed pauses a rollout whose conductor failed for a reason of ours: its run
// is kept for people, and nobody watches the door.
func derailed(h *ota.Home, err error, now time.Time) {
	if x := h.Rollout; x != nil && x.State == ota.RolloutRunning {
		x.Pause("its conductor failed, see the dead letters: "+err.Error(), "", now)
	}
}

// announced posts rollout_finished, once for every chain that hears it.
func (e *Engine) announced(h *ota.Home, now time.Time) {
	r := h.Rollout
	if r == nil || r.Said || !r.State.Ended() {
		return
	}
	r.Said = true
	e.Set().Observers(ota.RolloutFinished, "", r.Kind, func(c *Chain, _ *Trigger) {
		h.Post(ota.Pending{At: now, Event: ota.RolloutFinished, Chain: c.Name, Kind: r.Kind, Rollout: r.ID, State: ota.State(r.State)})
	})
}

// leaves closes a queued update whose rollout was cancelled, and says whether it
// did.
func (e *Engine) leaves(ctx context.Context, facts ota.Facts, d *ota.Device, t *ota.Track) (bool, error) {
	u := t.Update
	if !u.Open() || u.State != ota.Queued || u.Rollout == "" {
		return false, nil
	}
	h, err := facts.Get(ctx, ota.Ref{Tenant: d.Tenant, Type: ota.RolloutRef, ID: string(u.Rollout)})
	if ota.CodeOf(err) == ota.NotFound {
		return false, nil
	}
	if err != nil || h.Rollout.State != ota.RolloutCancelled {
		return false, err
	}
	return t.Cancel(), nil
}

// quits says whether a device that has decided leaves a rollout that goes on
// without it, so that the place it had is another's.
func (e *Engine) quits(ctx context.Context, facts ota.Facts, d *ota.Device, t *ota.Track, now ota.RolloutID) (bool, error) {
	u := t.Update
	if u == nil || u.Closed != "" || !u.State.Final() || u.Admission != ota.Admitted || u.Rollout == now {
		return false, nil
	}
	h, err := facts.Get(ctx, ota.Ref{Tenant: d.Tenant, Type: ota.RolloutRef, ID: string(u.Rollout)})
	if ota.CodeOf(err) == ota.NotFound {
		return false, nil
	}
	return err == nil && !h.Rollout.State.Ended(), err
}

// countsOf is what a run has read of its rollout's members.
type countsOf struct {
	of    ota.RolloutID
	epoch uint32
	c     ota.RolloutCounts
}

// Members counts what the members of a rollout have come to.
func (r *Run) Members(ctx context.Context, x *ota.Rollout) (ota.RolloutCounts, error) {
	if r.house == nil || r.house.Members == nil {
		return ota.RolloutCounts{}, nil
	}
	m, err := Called(ctx, r, "members of "+string(x.ID), func() (map[ota.State]int64, error) {
		return r.house.Members.Counts(ctx, x.Tenant, x.Kind, x.ID)
	})
	c := ota.CountsOf(m)
	if mark, ok := x.Band(); ok && err == nil {
		c.Ahead, err = Called(ctx, r, "ahead in "+string(x.ID), func() (int, error) {
			return r.house.Members.Ahead(ctx, x.Tenant, x.ID, mark)
		})
	}
	return c, err
}

// Tally reads what the door of a rollout has counted.
func (r *Run) Tally(ctx context.Context, x *ota.Rollout) (ota.Tally, error) {
	if !x.Permits || r.house == nil {
		return ota.Tally{}, nil
	}
	ref := ota.Ref{Tenant: x.Tenant, Type: ota.RolloutRef, ID: string(x.ID)}
	return Called(ctx, r, "tally of "+string(x.ID), func() (ota.Tally, error) { return r.house.tally(ctx, ref) })
}

// ofCounts fills a member of the root rollout that is counted. Several in one
// expression are counted once.
func ofCounts(get func(ota.RolloutCounts) any) filler {
	return func(r *Run, i int32) error {
		x := r.Rollout
		if x == nil {
			r.put(i, get(ota.RolloutCounts{}))
			return nil
		}
		if r.counts.of != x.ID || r.counts.epoch != r.env.epoch {
			c, err := r.Members(r.ctx, x)
			if err != nil {
				return err
			}
			r.counts = countsOf{x.ID, r.env.epoch, c}
		}
		r.put(i, get(r.counts.c))
		return nil
	}
}

// Loose says that nobody has wired an outlet of the running step.
func (r *Run) Loose(outlet string) bool {
	for _, o := range r.chain.steps[r.at].loose {
		if o == outlet {
			return true
		}
	}
	return false
}

// Also writes another home of the same slot with the run's own; raise says that
// the targets of many devices have changed.
func (r *Run) Also(raise bool, homes ...*ota.Home) {
	r.wants.also = append(r.wants.also, homes...)
	r.wants.raise = r.wants.raise || raise
}

// Plan works out the stages of a rollout that a chain conducts, in the order of
// its file, with the args of an assignment, and names the chain's revision. It is
// Invalid where there is no such chain, where the args do not fit, or where a
// stage says what cannot be.
func (e *Engine) Plan(ctx context.Context, chain string, args map[string]string) ([]ota.Stage, string, error) {
	c, _ := e.Set().Conductor(chain)
	if c == nil {
		return nil, "", ota.Errorf(ota.Invalid, "plan rollout", "there is no chain %q that conducts rollouts; there are %v", chain, e.Set().Conductors())
	}
	if err := c.CheckArgs(args); err != nil {
		return nil, "", err
	}
	r := c.newRun(ota.Message{Event: ota.RolloutStarted}, e.Homes.Now())
	defer r.release()
	r.ctx, r.Rollout = ctx, &ota.Rollout{Chain: chain, Args: args}
	r.withArgs(args)
	var out []ota.Stage
	var errs []error
	for i := range c.steps {
		s := c.steps[i].stage
		if s == nil {
			continue
		}
		r.at = int32(i) //nolint:gosec // some thousand at most
		st, err := s.Stage(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("stage %s: %w", c.steps[i].name, err))
			continue
		}
		st.Name = c.steps[i].name
		out = append(out, st)
	}
	if len(errs) > 0 {
		return nil, "", &ota.Error{Code: ota.Invalid, Op: "plan of " + c.Name, Err: errors.Join(errs...)}
	}
	return out, c.Digest, nil
}
