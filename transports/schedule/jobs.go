package schedule

import (
	"context"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// track is the pages of one job that does a branch. They are worked one after
// the other, so that few members are ever half way, and by a goroutine of the
// job's own, so that a slow one holds up nobody.
type track struct {
	tasks []ota.Task
}

// joinJob puts a page behind the others of its job.
func (r *run) joinJob(ctx context.Context, t ota.Task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.tracks[t.Home]
	if k == nil {
		k = &track{}
		r.tracks[t.Home] = k
		r.pool.wg.Go(func() { r.driveJob(ctx, t.Home, k) })
	}
	k.tasks = append(k.tasks, t)
}

// driveJob works the pages of a job; it ends when there are none, for now.
func (r *run) driveJob(ctx context.Context, job ota.Ref, k *track) {
	for {
		r.mu.Lock()
		if len(k.tasks) == 0 {
			delete(r.tracks, job)
			r.mu.Unlock()
			return
		}
		t := k.tasks[0]
		k.tasks = k.tasks[1:]
		r.mu.Unlock()
		if ctx.Err() != nil {
			r.finish(t, errStopped)
			continue
		}
		h, err := r.d.Homes.Load(ctx, job)
		switch {
		case err != nil && ota.CodeOf(err) != ota.NotFound:
			r.finish(t, err)
			continue
		case err != nil || h.Job.State != ota.JobRunning: // it reaches nobody any more
			t.Page.Members, t.Page.Next = nil, ""
			r.branchPage(ctx, t, ota.Pace{})
		default:
			r.branchPage(ctx, t, h.Job.Pace)
		}
	}
}

// branchPage does a page of a job that does a branch, at its pace. Unlike a
// member that decides, each draws its moment first.
func (r *run) branchPage(ctx context.Context, t ota.Task, pace ota.Pace) {
	p := &page{out: 1}
	cause := ""
	if r.again.times(keyOf(t)) >= maxPageTries {
		cause = ota.JobGivesUp
	}
	for _, m := range t.Page.Members {
		if err := r.moment(ctx, t, pace); err != nil || !take(ctx, r.members, r.slots) {
			if err == nil {
				err = errStopped
			}
			p.mu.Lock()
			p.worst = err
			p.mu.Unlock()
			break
		}
		p.mu.Lock()
		p.out++
		p.mu.Unlock()
		r.pool.start(ctx, item{m, func(ctx context.Context) error { return r.branch(ctx, t.Home, m, cause, p) }, func(err error) { r.endMember(ctx, t, p, err) }},
			r.members, r.slots)
	}
	r.endMember(ctx, t, p, nil)
}

// moment waits for the next one of a job's pace.
func (r *run) moment(ctx context.Context, t ota.Task, pace ota.Pace) error {
	if ctx.Err() != nil {
		return errStopped
	}
	if pace.Count <= 0 || pace.Every <= 0 {
		return nil
	}
	wait, err := r.d.Owner.Draw(ctx, t.Home.Tenant, "job:"+t.Home.ID, pace)
	if err != nil || wait <= 0 {
		return err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return errStopped
	case <-timer.C:
		return nil
	}
}

// branch does the branch of a job for one member.
func (r *run) branch(ctx context.Context, job, member ota.Ref, cause string, p *page) error {
	_, err := r.h.Handle(ctx, ota.Message{Event: ota.JobMember, Tenant: member.Tenant, Device: ota.DeviceID(member.ID), Home: job, Cause: cause})
	p.mu.Lock()
	defer p.mu.Unlock()
	switch ota.CodeOf(err) {
	case ota.Conflict, ota.Invalid:
		p.failed++
		return nil
	case ota.NotFound:
		p.gone++
		return nil
	}
	return err
}
