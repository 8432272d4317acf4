package schedule

import (
	"context"
	"errors"
	"sync"

	"github.com/windlass-ota/windlass/ota"
)

// workDue hands over what is due, as long as there is any.
func (r *run) workDue(ctx context.Context) {
	for ctx.Err() == nil {
		tasks, next, err := r.d.Owner.Due(ctx, r.c.Batch)
		if err != nil && ctx.Err() == nil {
			r.d.Log.Debug("what is due cannot be read", "error", err)
		}
		for i, t := range tasks {
			if t.Page != nil {
				r.queuePage(ctx, t)
				continue
			}
			if !take(ctx, r.slots) {
				r.giveBack(tasks[i:])
				return
			}
			home := t.Home
			if t.Message != nil { // no turn of a home: they need not wait for each other
				home = ota.Ref{Tenant: home.Tenant, Type: "message", ID: t.Origin.Key}
			}
			r.pool.start(ctx, item{home, func(ctx context.Context) error { return r.handleDue(ctx, t) }, func(err error) {
				r.finish(t, err)
				wake(r.offers) // perhaps it stands in a line now
			}}, r.slots)
		}
		if len(tasks) >= r.c.Batch {
			continue
		}
		wait := r.c.Tick
		if !next.IsZero() {
			wait = max(min(wait, next.Sub(r.d.Homes.Now())), minGap)
		}
		if !pause(ctx, wait, r.due) {
			return
		}
	}
}

// giveBack returns tasks that had not begun, so that whoever owns them next
// finds them.
func (r *run) giveBack(tasks []ota.Task) {
	for _, t := range tasks {
		r.d.Owner.Done(t)
	}
}

func (r *run) handleDue(ctx context.Context, t ota.Task) error {
	if t.Message != nil || t.Key == ota.DoorKey {
		return r.deliver(ctx, t)
	}
	if t.Home.Type == ota.JobRef {
		return r.handleJob(ctx, t)
	}
	_, err := r.h.Handle(ctx, dueMessage(t))
	return err
}

func dueMessage(t ota.Task) ota.Message {
	m := ota.Message{Event: ota.Due, Tenant: t.Home.Tenant, Kind: t.Kind, Key: t.Key, Began: &t.Origin}
	if t.Home.Type == ota.DeviceRef {
		m.Device = ota.DeviceID(t.Home.ID)
	} else {
		m.Home = t.Home
	}
	return m
}

// deliver hands over what leaves no trace in the home it is for: a message, or
// the sign that a rollout's door has something for its conductor. It is let go of
// when it has been taken, so that a death between the two brings it again.
func (r *run) deliver(ctx context.Context, t ota.Task) error {
	m := dueMessage(t)
	if t.Message != nil {
		m = *t.Message
	}
	_, err := r.h.Handle(ctx, m)
	switch ota.CodeOf(err) {
	case ota.Conflict: // refused by a chain: decided all the same
		if m.Event == ota.Decide {
			return r.d.Owner.Delivered(ctx, t)
		}
	case "", ota.NotFound, ota.Invalid: // whom it is for is gone, or will never take it
		return r.d.Owner.Delivered(ctx, t)
	}
	return err
}

// handleJob puts a job that is not in every shard yet into all of them.
// Whatever else a job has coming is for the engine.
func (r *run) handleJob(ctx context.Context, t ota.Task) error {
	h, err := r.d.Homes.Load(ctx, t.Home)
	if ota.CodeOf(err) == ota.NotFound {
		return nil // it is over
	}
	if err != nil {
		return err
	}
	if h.Work(t.Key, r.d.Homes.Now()).What == ota.DueSpread {
		return r.d.Owner.Spread(ctx, h.Job)
	}
	_, err = r.h.Handle(ctx, dueMessage(t))
	return err
}

// pages is the queue of job pages.
type pages struct {
	mu      sync.Mutex
	queue   []ota.Task
	members int
	come    chan struct{}
}

// maxMembers bounds the members of pages that wait here; further pages wait in
// the store.
const maxMembers = 50_000

// maxPageTries is how often a page is tried whose members fail for a reason of
// ours. Then the job goes on without them, and the log says so: one device must
// not hold up all behind it.
const maxPageTries = 8

func (r *run) queuePage(ctx context.Context, t ota.Task) {
	if t.Page.Type == ota.JobBranch {
		r.joinJob(ctx, t)
		return
	}
	p := &r.pages
	p.mu.Lock()
	full := len(p.queue) > 0 && p.members+len(t.Page.Members) > maxMembers
	if !full {
		p.queue = append(p.queue, t)
		p.members += len(t.Page.Members)
	}
	come := p.come
	p.mu.Unlock()
	if full {
		r.again.later(r.c.Backoff, func() { r.d.Owner.Done(t) })
		return
	}
	if come != nil {
		wake(come)
	}
}

func (p *pages) take() (t ota.Task, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.queue = nil
		return t, false
	}
	t = p.queue[0]
	p.queue[0] = ota.Task{}
	p.queue = p.queue[1:]
	p.members -= len(t.Page.Members)
	return t, true
}

// workPages lets each member of a page decide, then moves the job on.
func (r *run) workPages(ctx context.Context) {
	come := make(chan struct{}, 1)
	r.pages.mu.Lock()
	r.pages.come = come
	r.pages.mu.Unlock()
	for {
		t, ok := r.pages.take()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-come:
				continue
			}
		}
		if ctx.Err() != nil {
			return
		}
		r.workPage(ctx, t)
	}
}

// page counts the members of one page that are out.
type page struct {
	mu     sync.Mutex
	out    int // and one for the loop that sends them
	worst  error
	failed int // members whose branch has failed
	errs   int // members that could not be done
	gone   int // members that are none
}

func (r *run) workPage(ctx context.Context, t ota.Task) {
	p := &page{out: 1}
	for _, m := range t.Page.Members {
		if !take(ctx, r.members, r.slots) {
			p.mu.Lock()
			p.worst = errStopped
			p.mu.Unlock()
			break
		}
		p.mu.Lock()
		p.out++
		p.mu.Unlock()
		r.pool.start(ctx, item{m, func(ctx context.Context) error { return r.decide(ctx, t.Page, m) }, func(err error) { r.endMember(ctx, t, p, err) }},
			r.members, r.slots)
	}
	r.endMember(ctx, t, p, nil)
}

func (r *run) decide(ctx context.Context, w *ota.JobWork, member ota.Ref) error {
	_, err := r.h.Handle(ctx, ota.Message{
		Event: ota.Decide, Tenant: member.Tenant, Device: ota.DeviceID(member.ID), Kind: w.Kind, Cause: w.Cause, Revision: w.Revision,
	})
	switch ota.CodeOf(err) {
	case ota.NotFound, ota.Invalid, ota.Conflict: // gone, or refused by its chain: decided all the same
		return nil
	}
	return err
}

// endMember notes the end of a member, and with the last one of the page.
func (r *run) endMember(ctx context.Context, t ota.Task, p *page, err error) {
	p.mu.Lock()
	p.out--
	if err != nil {
		p.errs++
	}
	if err != nil && (p.worst == nil || ota.CodeOf(err) == ota.Busy) {
		p.worst = err
	}
	last, worst := p.out == 0, p.worst
	p.mu.Unlock()
	if !last {
		return
	}
	if worst != nil && !errors.Is(worst, errStopped) && ota.CodeOf(worst) == ota.Internal && r.again.times(keyOf(t)) >= maxPageTries {
		r.d.Log.Error("a job goes on without members that cannot decide", "job", t.Page.Job, "shard", t.Page.Shard, "error", worst)
		worst = nil
		if t.Page.Type == ota.JobBranch {
			p.failed += p.errs
		}
	}
	if worst == nil {
		w := *t.Page
		w.Failed = p.failed
		worst = r.d.Owner.Advance(context.WithoutCancel(ctx), w, t.Origin.Lease, len(w.Members)-p.failed-p.gone)
		if ota.CodeOf(worst) == ota.Conflict {
			worst = nil // another owns the shard by now, and works the page again
		}
	}
	r.finish(t, worst)
	wake(r.due)
	wake(r.offers)
}
