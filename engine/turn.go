package engine

import (
	"context"
	"errors"

	"github.com/windlass-ota/windlass/ota"
)

// job is what a turn does once its home is loaded: which chain, for which
// message, and what is done to the home besides. It is asked anew on each try.
type job struct {
	msg    ota.Message
	chain  *Chain
	trig   *Trigger
	parked *parkedRun        // instead of trig: the run goes on where it waited
	broken error             // why the run cannot even begin
	lost   place             // where a run waited that cannot go on
	args   map[string]string // of the chain's params
	only   string            // the one chain that the message is for, "" for whichever answers
	skip   bool              // the home is as it should be: write nothing
	target bool              // chooses what the device shall run: refused by facts that are out of date
	after  func(*ota.Home)   // what follows from the run's good end
	fail   func(*ota.Home)   // what follows from its failure, so that what was due does not come back at once

	retrial *retrial // the run of a dead letter's message
}

// breaks is the job of a run that cannot even begin.
func (j job) breaks(why error) job {
	j.broken = why
	return j
}

// place is a step of a chain, in words.
type place struct{ chain, digest, step string }

func (j *job) name() string {
	if j.chain == nil {
		return j.lost.chain
	}
	return j.chain.Name
}

func (j *job) digest() string {
	if j.chain == nil {
		return j.lost.digest
	}
	return j.chain.Digest
}

// preparer makes the job of a turn from its home, which it may change.
type preparer func(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message) (job, error)

// move runs one turn on a home: load, steps, one commit, then words. It goes on
// when the asker hangs up: its deadline is its own.
func (e *Engine) move(ctx context.Context, m ota.Message, ref ota.Ref, prepare preparer) ([]ota.Reply, error) {
	e.counts.Moves.Add(1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), turnTime)
	defer cancel()
	if prepare == nil {
		prepare = e.plain
	}
	defer e.locks.lock(ref)()
	x := try{first: ota.NewTurnID()}
	x.id = x.first
	facts := e.Facts
	for n := 1; ; n++ {
		replies, err := e.once(ctx, &x, facts, m, ref, prepare)
		if !errors.Is(err, errAgain) {
			return replies, err
		}
		e.counts.Conflicts.Add(1)
		if n == maxTries {
			return nil, ota.Errorf(ota.Busy, "commit", "%s is written by others all the time, after %d tries", ref, n)
		}
		x.id, facts = ota.NewTurnID(), e.Fresh
		x.kept.again()
	}
}

// try is one of the tries of a turn.
type try struct {
	id    ota.TurnID // of this one
	first ota.TurnID // of the first one
	kept  *answers   // of the earlier ones; nil: none
}

// errAgain says that somebody wrote the home since it was loaded.
var errAgain = errors.New("run the turn again")

// plain is the job of a message that a transport handed over.
func (e *Engine) plain(ctx context.Context, facts ota.Facts, h *ota.Home, m ota.Message) (job, error) {
	if d := h.Device; d != nil {
		session := ota.Session{ID: m.Session, Transport: m.Transport, Since: e.Homes.Now()}
		switch {
		case m.Event == ota.Connected && m.Session != (ota.SessionID{}):
			d.OpenSession(session)
		case m.Event == ota.Disconnected:
			d.CloseSession(m.Session)
		}
		if m.Transport != "" && m.Event != ota.Disconnected {
			d.Hear(session.Since)
		}
	}
	chain, trig, err := e.answer(ctx, facts, h, m)
	j := job{msg: m, chain: chain, trig: trig}
	if m.Event == ota.PackageAdded { // what would do this later has nothing left to do
		j.fail = func(h *ota.Home) { h.DropEvent(ota.PackageAdded) }
		j.fail(h)
	}
	return j, err
}

// once is one try of a turn.
func (e *Engine) once(ctx context.Context, x *try, facts ota.Facts, m ota.Message, ref ota.Ref, prepare preparer) ([]ota.Reply, error) {
	revision, err := facts.Revision(ctx, ref.Tenant)
	if err != nil {
		return nil, err
	}
	was, err := facts.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	home := was.Clone()
	j, err := prepare(ctx, facts, home, m)
	if err != nil || j.skip {
		return nil, err
	}
	t := &ota.Turn{ID: x.id, Home: home, Was: was, Began: m.Began, Final: true}
	if j.target {
		t.Revision = revision
	}
	if j.retrial != nil {
		t.Retried = j.retrial.letter.ID
	}
	if j.broken != nil {
		return e.failed(ctx, t, j, nil, j.lost.step, j.broken)
	}
	if j.chain == nil {
		e.counts.NotHeard.Add(1)
		if j.after != nil {
			j.after(home)
		}
		checked(j.msg, home)
		e.rouse(ctx, facts, t, j)
		return nil, e.commit(ctx, t)
	}
	r := j.chain.newRun(j.msg, e.Homes.Now())
	defer func() {
		x.kept = r.kept
		r.release()
	}()
	r.id, r.kept, r.Home, r.house = x.first, x.kept, home, e
	r.watch(facts, was)
	if j.args != nil {
		r.withArgs(j.args)
	}
	if e.traces(j.chain) {
		r.lookOn()
	}
	replies, err := e.steps(ctx, t, j, r, revision)
	if r.hops > 0 || err != nil || t.Dead != nil {
		e.over(r, ref, t.Dead, err)
	}
	return replies, err
}

// steps runs the steps of a turn and commits what they want.
func (e *Engine) steps(ctx context.Context, t *ota.Turn, j job, r *Run, revision int64) ([]ota.Reply, error) {
	was, home, ref := t.Was, t.Home, t.Home.Ref
	if err := r.about(ctx, home); ota.CodeOf(err) == ota.NotFound { // trying again would find no more
		return e.failed(ctx, t, j, r, "", &ota.Error{Code: ota.Internal, Op: "begin chain " + j.chain.Name, Err: err})
	} else if err != nil {
		return nil, err
	}
	if d := j.chain.Limits.Time; d > 0 && d != turnTime {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), d)
		defer cancel()
	}
	taken, err := r.do(ctx, j)
	if err != nil {
		e.traced(r, err)
		return e.failed(ctx, t, j, r, r.failedAt(), err)
	}
	if !taken {
		e.counts.NotTaken.Add(1)
	}
	if j.msg.Event == ota.RolloutStarted && r.park == nil {
		concluded(home, r.Now)
	}
	if j.after != nil {
		j.after(home)
	}
	t.Values, t.Out = r.wants.values, r.wants.out
	t.Also, t.Raise = r.wants.also, r.wants.raise
	if r.wants.decided {
		t.Revision = revision
	}
	if d := r.wants.dead; d != nil {
		t.Dead = e.letter(home, j, r, d.step, d.reason)
	} else if r.park == nil {
		checked(j.msg, home)
	}
	r.chronicle(was)
	e.finished(was, home, r.Profile(), r.Now)
	e.rouse(ctx, r.Facts, t, j)
	e.announced(home, r.Now)
	if err := e.commit(ctx, t); err != nil {
		return nil, err
	}
	if taken {
		e.traced(r, nil)
	}
	e.told(ctx, j.chain, was, home)
	e.say(ctx, ref, home, r.wants.pushes)
	for _, f := range r.wants.after {
		f()
	}
	if t.Dead != nil {
		e.buried(t.Dead, home)
		if !r.wants.replied && isAsked(&j.msg) {
			return serverFailed(), nil
		}
	}
	return r.wants.replies, nil
}

// checked makes a package assignable whose run of package_added has ended well,
// or that no chain wants to look at.
func checked(m ota.Message, h *ota.Home) {
	if m.Event == ota.PackageAdded && h.Package != nil {
		h.Package.Ready = true
	}
}

// do runs the job's chain: from its trigger, or from where it was parked. A run
// that waits is kept in its home.
func (r *Run) do(ctx context.Context, j job) (taken bool, err error) {
	if j.parked != nil {
		if err := r.recall(ctx, j.parked); err != nil {
			return true, err
		}
		at, err := r.resume(*j.parked, false)
		if err != nil {
			return true, err
		}
		taken, err = true, r.exec(ctx, at)
		if err != nil {
			return true, err
		}
	} else if taken, err = r.start(ctx, j.trig); err != nil {
		return taken, err
	}
	if r.park == nil {
		if c := r.child; c != nil {
			branchEnded(r.Home, c, []byte(r.origin()), r.result, true, r.Now)
		}
		return taken, nil
	}
	p, err := r.parked()
	if err == nil {
		r.Home.Park(p)
		r.standAside(p.At)
	}
	return taken, err
}

// start runs the chain from its trigger, where that takes the message.
func (r *Run) start(ctx context.Context, trig *Trigger) (taken bool, err error) {
	if trig.If != nil {
		if ok, err := trig.If.Eval(r); err != nil || !ok {
			return false, err
		}
	}
	return true, r.exec(ctx, trig.Start)
}

// about sets the nouns that a run begins with, by what its home is.
func (r *Run) about(ctx context.Context, h *ota.Home) (err error) {
	switch {
	case h.Device != nil:
		r.device = h.Device
		r.profile, err = profileOf(ctx, r.Facts, h.Device)
	case h.Package != nil:
		r.Package = h.Package
	case h.Rollout != nil:
		r.Rollout, r.args = h.Rollout, h.Rollout.Args
		r.setArgs()
		var p *ota.Home
		p, err = r.Facts.Get(ctx, ota.Ref{Tenant: h.Ref.Tenant, Type: ota.PackageRef, ID: string(h.Rollout.Package)})
		if err == nil {
			r.Package = p.Package
		}
	}
	return err
}

func (e *Engine) commit(ctx context.Context, t *ota.Turn) error {
	t.Out = append(t.Out, ota.Tells(t.Was, t.Home)...)
	err := e.Homes.Commit(ctx, t)
	if ota.CodeOf(err) == ota.Conflict {
		return errAgain
	}
	return err
}
