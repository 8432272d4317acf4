package engine

import (
	"context"

	"github.com/windlass-ota/windlass/ota"
)

// retrial is a dead letter that is tried again, and what became of it.
type retrial struct {
	letter ota.DeadLetter
	again  *ota.DeadLetter // the letter after the last try; nil: it went well
}

// Retry runs the message of a dead letter, as it came, from the first step of the
// chain that today answers it, or of the one that it is for. Where the run ends
// well, or nothing is left to be done, the commit that keeps its effect removes
// the letter, and again is nil. Where it fails the letter stays, with one
// attempt more and the new reason. An error says that neither happened: Busy
// where a part is away, NotFound where the letter or its home is gone, so a
// retry asked for twice at once runs once.
//
// Nobody waits for an answer any more, so replies go nowhere; what is pushed to
// the device is. That a device speaks in the message does not make it heard.
func (e *Engine) Retry(ctx context.Context, l ota.DeadLetter) (again *ota.DeadLetter, err error) {
	ref := l.Message.Home
	if l.Message.Device != "" {
		ref = ota.RefOf(l.Message.Tenant, l.Message.Device)
	}
	m := l.Message
	m.Began, m.Session = nil, ota.SessionID{}
	if m.TS.IsZero() && (m.Event == ota.Telemetry || m.Event == ota.AttributesReported) {
		m.TS = l.At // it said nothing of a time, so it meant when it came
	}
	x := &retrial{letter: l}
	_, err = e.move(ctx, m, ref, func(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message) (job, error) {
		x.again = nil
		j, err := e.retry(ctx, facts, h, m, l)
		j.retrial = x
		return j, err
	})
	if err != nil {
		return nil, err
	}
	return x.again, nil
}

// retry is the job of a message that failed before.
func (e *Engine) retry(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message, l ota.DeadLetter) (job, error) {
	if overtaken(h, m, l) {
		return job{msg: m}, nil
	}
	switch m.Event {
	case ota.JobMember:
		return e.memberAgain(ctx, m)
	case ota.Scheduled:
		return e.planned(ctx, facts, h, m)
	}
	if l.For != "" && m.Event == ota.RolloutStarted {
		return e.conduct(m, h, nil), nil
	}
	if l.For != "" {
		return e.named(m, l.For, nil), nil
	}
	if m.Event == ota.StateTimeout {
		j, err := e.timeout(ctx, facts, h, m)
		return heardOf(j), err
	}
	chain, trig, err := e.answer(ctx, facts, h, m)
	decides := m.Event == ota.Assigned || m.Event == ota.Unassigned
	return heardOf(job{msg: m, chain: chain, trig: trig, target: decides}), err
}

// memberAgain is the job of a branch that has failed for a device.
func (e *Engine) memberAgain(ctx context.Context, m ota.Message) (job, error) {
	j, err := e.jobs.get(ctx, e.Fresh, m.Home)
	switch ota.CodeOf(err) {
	case "":
		return e.branchFor(ctx, j, m)
	case ota.NotFound, ota.Invalid:
		return job{msg: m}.breaks(ota.Errorf(ota.Internal, "find job "+m.Home.ID, "%w", err)), nil
	}
	return job{}, err
}

// heardOf keeps a letter whose event no chain hears today: perhaps the chain is
// only missing.
func heardOf(j job) job {
	if j.chain == nil && j.broken == nil {
		j.broken = ota.Errorf(ota.Internal, "find a chain", "no chain hears %s", j.msg.Event)
	}
	return j
}

// overtaken says whether what the message asks for has been settled since it
// failed, so that running it now would undo what came after it.
func overtaken(h *ota.Home, m ota.Message, l ota.DeadLetter) bool {
	var u *ota.Update
	if h.Device != nil && m.Kind != "" {
		u = h.Device.Track(m.Kind).Update
	}
	switch m.Event {
	case ota.StateTimeout: // the update is over, or its device has spoken
		return u.Deadline().IsZero() || u.Entered.After(l.At) || u.LastWord.After(l.At)
	case ota.OfferDue: // it has been offered, or waits for another time
		return !u.Waiting()
	case ota.Unassigned: // another assignment is on its way
		return u != nil && u.Queued.After(l.At)
	case ota.RolloutStarted:
		return h.Rollout == nil || h.Rollout.State == ota.RolloutReplaced || h.Rollout.State == ota.RolloutCancelled
	}
	return false
}
