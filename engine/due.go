package engine

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// Back-offs after a turn of our own making has failed for a reason that another
// try at once would not mend.
const (
	againOffer   = 5 * time.Minute
	againTimeout = time.Hour
)

// due does what a due entry means to its home as it is now.
func (e *Engine) due(ctx context.Context, m ota.Message) error {
	if m.Key == ota.DoorKey && m.Began != nil { // its sign is let go of when it was looked at, and not by the commit
		m.Began = &ota.Origin{Lease: m.Began.Lease}
	}
	ref := m.Home
	if m.Device != "" {
		ref = ota.RefOf(m.Tenant, m.Device)
	}
	tries := 0
	_, err := e.move(ctx, m, ref, func(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message) (job, error) {
		tries++
		now := e.Homes.Now()
		w := h.Work(m.Key, now)
		if m.Key == ota.DoorKey {
			w.What = dueDoor
		}
		about := ota.Message{Tenant: h.Ref.Tenant, Home: h.Ref, Kind: w.Kind, Began: m.Began}
		if h.Device != nil {
			about.Device = h.Device.ID
		}
		switch w.What {
		case ota.DueTimeout:
			about.Event = ota.StateTimeout
			return e.timeout(ctx, facts, h, about)
		case ota.DueRipe:
			h.Device.Track(w.Kind).Ripe(now)
			return job{}, nil
		case ota.DueEvent:
			h.Drop(w.Pending.Num)
			return e.pending(ctx, facts, h, about, w.Pending)
		case ota.DueParked:
			h.Drop(w.Parked.Num)
			return e.parked(ctx, about, w.Parked)
		case dueDoor:
			j, err := e.look(ctx, h, about)
			if err == nil && j.chain == nil && j.broken == nil {
				j.skip = true
			}
			return j, err
		}
		// It is gone, or was moved: only its entry goes. Where that has gone with
		// it, as somebody else had it in hand too, nothing is left to be done.
		return job{skip: tries > 1}, nil
	})
	return err
}

// timeout is the job of a state whose time has run out. Where its chain leaves
// the update as it is, it comes again later, so that no update is forgotten.
func (e *Engine) timeout(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message) (job, error) {
	chain, trig, err := e.answer(ctx, facts, h, m)
	now := e.Homes.Now()
	rearm := func(h *ota.Home) {
		if u := h.Device.Track(m.Kind).Update; u.Open() && !u.Deadline().IsZero() && !u.Deadline().After(now) {
			u.Timeout += now.Sub(u.Deadline()) + againTimeout
		}
	}
	return job{msg: m, chain: chain, trig: trig, after: rearm, fail: rearm}, err
}

// pending is the job of a message that the home had for itself.
func (e *Engine) pending(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message, p ota.Pending) (job, error) {
	m.Event, m.Kind, m.Cause, m.Rollout, m.State = p.Event, p.Kind, p.Cause, p.Rollout, p.State
	drop := func(h *ota.Home) { h.Drop(p.Num) }
	switch p.Event {
	case ota.Decide:
		j, err := e.decision(ctx, facts, h, m)
		j.skip, j.fail = false, both(j.fail, drop) // its entry must go in any case
		return j, err
	case ota.RolloutStarted:
		return e.conduct(m, h, drop), nil
	case ota.Wished:
		return e.look(ctx, h, m)
	case ota.Arrived:
		return e.struck(m, p), nil
	}
	if p.Chain != "" {
		return e.named(m, p.Chain, drop), nil
	}
	chain, trig, err := e.answer(ctx, facts, h, m)
	return job{msg: m, chain: chain, trig: trig, fail: drop}, err
}

// named is the job of a message that is for one chain. Where that chain is gone,
// or does not hear the event any more, the message becomes a dead letter.
func (e *Engine) named(m ota.Message, chain string, drop func(*ota.Home)) job {
	if c := e.Set().Chain(chain); c != nil {
		for i := range c.Triggers {
			if t := &c.Triggers[i]; t.takes(&m) {
				return job{msg: m, chain: c, trig: t, only: chain, fail: drop}
			}
		}
	}
	return job{msg: m, broken: ota.Errorf(ota.Internal, "find chain "+chain, "no such chain hears %s", m.Event), only: chain, fail: drop}
}

// conduct is the job of a rollout that begins. Its home notes with which
// revision of the conductor, and keeps that until it ends.
func (e *Engine) conduct(m ota.Message, h *ota.Home, drop func(*ota.Home)) job {
	j := e.named(m, h.Rollout.Chain, drop)
	if c := j.chain; c != nil {
		h.Rollout.Revision = c.Digest
	}
	return j
}

// parked is the job of a run whose wait is over. It goes on with the revision of
// its chain that it began with; where that cannot be had the run becomes a dead
// letter, whose message can be run again by today's chain.
func (e *Engine) parked(ctx context.Context, about ota.Message, p ota.Parked) (job, error) {
	drop := func(h *ota.Home) { h.Drop(p.Num) }
	run, err := readParked(p.Data)
	if err != nil {
		return job{msg: about, fail: drop}.breaks(err), nil
	}
	chain, err := e.revision(ctx, run.Chain, p.Digest)
	if ota.CodeOf(err) == ota.Busy {
		return job{}, err
	}
	if err != nil {
		only := e.onlyFor(e.Set().Chain(run.Chain), run)
		if run.Child.ofJob() {
			run.Message, only = memberLetter(about.Tenant, about.Device, run.Child.Job), run.Chain
		}
		return job{msg: run.Message, only: only, lost: place{run.Chain, p.Digest, run.Step}, fail: drop}.breaks(err), nil
	}
	if run.Child != nil {
		drop = func(h *ota.Home) {
			h.Drop(p.Num)
			branchEnded(h, run.Child, run.Run, nil, false, e.Homes.Now())
		}
	}
	run.Message.Began = about.Began
	only := e.onlyFor(chain, run)
	if run.Child.ofJob() {
		only = run.Chain
	}
	return job{msg: run.Message, chain: chain, only: only, parked: &run, fail: drop}, nil
}

// onlyFor is the chain of a parked run where its message is for that chain alone,
// since another one answers it, or many hear it.
func (e *Engine) onlyFor(c *Chain, run parkedRun) string {
	event := run.Message.Event
	alone := heardByMany(event) || event == ota.RolloutStarted || event == ota.Arrived
	if c != nil {
		for i := range c.Triggers {
			alone = alone || c.Triggers[i].Event == event && c.Triggers[i].Observe
		}
	}
	if alone {
		return run.Chain
	}
	return ""
}

func both(a, b func(*ota.Home)) func(*ota.Home) {
	return func(h *ota.Home) {
		if a != nil {
			a(h)
		}
		b(h)
	}
}

// decide tells a device what is in force for it now; nothing is written where
// that is what it follows already.
func (e *Engine) decide(ctx context.Context, m ota.Message) error {
	_, err := e.move(ctx, m, ota.RefOf(m.Tenant, m.Device), func(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message) (job, error) {
		if has, err := facts.Revision(ctx, m.Tenant); err != nil {
			return job{}, err
		} else if has < m.Revision {
			facts = e.Fresh
		}
		return e.decision(ctx, facts, h, m)
	})
	return err
}

// decision compares what the device followed with what is in force, and makes of
// it assigned, unassigned or nothing.
func (e *Engine) decision(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message) (job, error) {
	p, err := profileOf(ctx, facts, h.Device)
	if err != nil {
		return job{}, err
	}
	t := h.Device.Track(m.Kind)
	if id, again := strings.CutPrefix(m.Cause, ota.JobRetry+" "); again {
		if u := t.Update; u != nil && string(u.Rollout) == id && t.Reopen(e.Homes.Now()) {
			return job{}, nil
		}
		return job{skip: true}, nil
	}
	left, err := e.leaves(ctx, facts, h.Device, t)
	if err != nil {
		return job{}, err
	}
	now := ota.FindEffective(h.Device, p, m.Kind)
	m.Event = ota.Changed(t.Followed, now, func(s ota.Source) bool { return covers(s, h.Device, p, m.Kind) })
	if m.Event == "" {
		return job{skip: !left, target: true}, nil
	}
	follow := ota.Followed{}
	if now != nil {
		follow = ota.Followed{Package: now.Package, Rollout: now.Rollout, Source: now.Source}
		m.Rollout, m.Cause = now.Rollout, now.Cause
	}
	quits, err := e.quits(ctx, facts, h.Device, t, follow.Rollout)
	if err != nil {
		return job{}, err
	}
	chain, trig, err := e.answer(ctx, facts, h, m)
	after := func(h *ota.Home) {
		t := h.Device.Track(m.Kind)
		t.Followed, t.Quits = follow, quits
	}
	return job{msg: m, chain: chain, trig: trig, target: true, after: after, fail: after}, err
}

// covers says whether a source still reaches the device with any assignment.
func covers(s ota.Source, d *ota.Device, p *ota.Profile, k ota.Kind) bool {
	switch s.Type {
	case ota.DeviceRef:
		return d.Track(k).Assigned != nil
	case ota.ProfileRef:
		return p != nil && string(p.ID) == s.ID && p.Assignment(k) != nil
	case ota.GroupRef:
		return slices.Contains(d.Groups, ota.GroupID(s.ID))
	}
	return false
}
