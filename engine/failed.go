package engine

import (
	"context"
	"errors"

	"github.com/windlass-ota/windlass/ota"
)

// failed ends a turn whose run could not be done and found no way within its
// chain. What the asker did wrong is answered and not kept; what a part's
// absence did is tried again; what is our own fault becomes a dead letter, so
// that nothing is ever dropped.
func (e *Engine) failed(ctx context.Context, t *ota.Turn, j job, r *Run, step string, err error) ([]ota.Reply, error) {
	code := ota.CodeOf(err)
	if code == ota.Busy || errors.Is(err, context.DeadlineExceeded) {
		return nil, &ota.Error{Code: ota.Busy, Op: "handle " + string(j.msg.Event), Err: err}
	}
	home := t.Was.Clone()
	if j.fail != nil {
		j.fail(home)
	}
	t.Out, t.Also, t.Raise = nil, nil, false
	if j.msg.Event == ota.RolloutStarted && code == ota.Internal {
		derailed(home, err, e.Homes.Now())
	}
	t.Home = home
	if code == ota.Internal || j.retrial != nil {
		t.Dead = e.letter(home, j, r, step, err.Error())
	}
	if t.Dead != nil {
		e.rouse(ctx, e.Facts, t, j) // it is handled, if by people
	}
	if t.Dead != nil || j.fail != nil {
		if cerr := e.commit(ctx, t); cerr != nil {
			return nil, cerr
		}
	}
	if t.Dead == nil {
		return nil, err
	}
	e.buried(t.Dead, home)
	if isAsked(&j.msg) {
		return serverFailed(), nil
	}
	return nil, nil
}

// letter is the dead letter of a job's run.
func (e *Engine) letter(home *ota.Home, j job, r *Run, step, reason string) *ota.DeadLetter {
	d := &ota.DeadLetter{
		ID: ota.NewID(), Tenant: home.Ref.Tenant, At: e.Homes.Now(), Chain: j.name(), Digest: j.digest(), Step: step, Reason: reason,
		Message: j.msg, For: j.only, Attempts: 1,
	}
	d.Message.Began = nil
	if p := j.parked; p != nil && p.Child.ofJob() && home.Device != nil { // the branch for this device is to be done again, and not all of them
		d.Message = memberLetter(home.Ref.Tenant, home.Device.ID, p.Child.Job)
	}
	if r != nil {
		d.Reason, d.Seen = r.chain.mask.text(reason), r.evidence()
	}
	if x := j.retrial; x != nil {
		d.ID, d.At, d.Last, d.Attempts = x.letter.ID, x.letter.At, d.At, x.letter.Tries()+1
		d.Message, d.For = x.letter.Message, x.letter.For
		x.again = d
	}
	return d
}

// buried counts and tells of a dead letter that was committed.
func (e *Engine) buried(d *ota.DeadLetter, home *ota.Home) {
	e.counts.Deads.Add(1)
	e.Log.Error("a run failed and is kept as a dead letter", "chain", d.Chain, "step", d.Step, "home", home.Ref.String(), "err", d.Reason)
}

// serverFailed is what an asker is told of a run that was kept for people.
func serverFailed() []ota.Reply {
	return []ota.Reply{ota.Refusal(ota.Internal, "the server failed")}
}

// failedAt names the step at which a run ended without a way.
func (r *Run) failedAt() string {
	if r.at < 0 || int(r.at) >= len(r.chain.steps) {
		return ""
	}
	return r.chain.steps[r.at].name
}
