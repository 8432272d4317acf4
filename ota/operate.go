package ota

import (
	"context"
	"slices"
	"time"
)

// RolloutWish is what an operator wants of a rollout; its conductor carries it
// out.
type RolloutWish struct {
	What string // resume or promote
	By   string
	At   time.Time
}

// What operators can want of a rollout.
const (
	OperatePause    = "pause"
	OperateResume   = "resume"
	OperatePromote  = "promote"
	OperateCancel   = "cancel"
	OperateRetry    = "retry"
	OperateRollback = "rollback"
)

// Operations lists what operators can want of a rollout.
func Operations() []string {
	return []string{OperatePause, OperateResume, OperatePromote, OperateCancel, OperateRetry, OperateRollback}
}

// Operate does what an operator wants of a rollout. What shuts the door holds
// from the commit on; what opens it is a wish in the record, which the conductor
// carries out. It is a Conflict where the rollout is not in a state for it, and
// doing what is done already is one, too. It returns the rollout that follows a
// rollback, else the one asked for.
func (w Wishes) Operate(ctx context.Context, r Ref, what, by, reason string) (RolloutID, error) {
	if !slices.Contains(Operations(), what) {
		return "", Errorf(Invalid, "operate rollout", "%q, want one of %v", what, Operations())
	}
	if what == OperateRollback {
		done, err := w.Rollback(ctx, r, "", by, reason, "")
		return done.Rollout, err
	}
	for try := 1; ; try++ {
		h, err := w.Homes.Load(ctx, r)
		if err != nil {
			return "", err
		}
		t := &Turn{ID: NewTurnID(), Was: h.Clone(), Home: h}
		if err := w.operate(t, what, by, reason); err != nil {
			return "", err
		}
		err = w.Homes.Commit(ctx, t)
		if CodeOf(err) != Conflict || try == maxTries {
			return h.Rollout.ID, err
		}
	}
}

func (w Wishes) operate(t *Turn, what, by, reason string) error {
	h, r, now := t.Home, t.Home.Rollout, w.Homes.Now()
	refuse := func(why string) error { return Errorf(Conflict, what+" rollout "+string(r.ID), "%s", why) }
	if r.State == RolloutReplaced || r.State == RolloutCancelled {
		return refuse("it is " + string(r.State))
	}
	if r.State == RolloutDone && what != OperateRetry && what != OperateCancel {
		return refuse("it is finished")
	}
	switch what {
	case OperatePause:
		if r.State == RolloutPaused {
			return refuse("it is paused already")
		}
		if reason == "" {
			reason = "by " + by
		}
		r.Pause(reason, by, now)
	case OperateResume:
		if r.State != RolloutPaused {
			return refuse("it is not paused")
		}
	case OperatePromote:
		if r.At(r.Stage) == nil || r.Epoch == 0 {
			return refuse("no stage of it is open")
		}
	case OperateCancel:
		CancelRollout(t, reason, by, now)
		return nil
	case OperateRetry:
		tellMembers(t, JobRetry+" "+string(r.ID), now)
		r.Note(now, "those that failed are tried again", by)
		if r.State == RolloutDone {
			return nil
		}
	}
	if what == OperateResume || what == OperatePromote {
		r.Wish = &RolloutWish{What: what, By: by, At: now}
	}
	h.DropEvent(Wished)
	h.Post(Pending{At: now, Event: Wished, Rollout: r.ID})
	return nil
}

// JobRetry is the first word of what causes the messages to members that shall be
// tried again when they have failed; the rollout's id follows.
const JobRetry = "retry"

// CancelRollout ends a rollout in a turn of its home, and lets those who wait
// leave the queue; those under way finish.
func CancelRollout(t *Turn, reason, by string, now time.Time) {
	h, r := t.Home, t.Home.Rollout
	if r.State == RolloutCancelled || r.State == RolloutReplaced {
		return
	}
	r.End(RolloutCancelled, reason, by, now)
	h.Parked = nil
	h.DropEvent(Wished)
	h.DropEvent(RolloutStarted)
	h.Post(Pending{At: now, Event: Wished, Rollout: r.ID})
	tellMembers(t, "", now)
}

// tellMembers lets the devices that a rollout reaches decide anew, by a job, or
// by a message where it is about one device.
func tellMembers(t *Turn, cause string, now time.Time) {
	r := t.Home.Rollout
	if r.Target.Type == DeviceRef {
		t.Out = append(t.Out, Outgoing{To: r.Target, Message: Message{
			Event: Decide, Tenant: r.Tenant, Device: DeviceID(r.Target.ID), Kind: r.Kind, Cause: cause,
		}})
		return
	}
	t.Also, t.Raise = append(t.Also, newJob(r.Tenant, r.Target, r.Kind, cause, now)), true
}

// Rollback assigns to the target of a rollout what it had before, as a new
// rollout. It is NotFound where it had nothing. own is the rollout whose own run
// asks, or "".
func (w Wishes) Rollback(ctx context.Context, r Ref, chain, by, reason string, own RolloutID) (WishDone, error) {
	h, err := w.Homes.Load(ctx, r)
	if err != nil {
		return WishDone{}, err
	}
	x := h.Rollout
	op := "roll back rollout " + string(x.ID)
	if x.Before == "" {
		return WishDone{}, Errorf(NotFound, op, "its target was assigned nothing before it")
	}
	if x.State == RolloutReplaced {
		return WishDone{}, Errorf(Conflict, op, "it is replaced")
	}
	return w.Assign(ctx, Wish{
		Tenant: x.Tenant, Package: Ref{x.Tenant, PackageRef, string(x.Before)}, Target: x.Target, By: by, Cause: "rollback", Chain: chain, Own: own,
	})
}
