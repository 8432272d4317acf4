package engine

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// ForEachDevice begins a job that does the branch of the running step for every
// device of a target, each in a turn of that device's home, at a pace over all
// processes. The run is parked until the job is over, and then looked at by the
// step's [Waker], whose [Run.Came] says what came of it. A Process ends with it,
// as with [Run.Park]. The job is begun by the commit of the turn, so one that is
// run again begins it once.
func (r *Run) ForEachDevice(target ota.Ref, pace ota.Pace) (outlet string, err error) {
	s := &r.chain.steps[r.at]
	if len(s.first) != 1 || s.first[0] < 0 || r.Home == nil {
		return "", ota.Errorf(ota.Internal, s.name, "the step has no branch that could be run, or no home")
	}
	round := r.Visit()
	id := ota.IDOf(r.Key(s.name) + "." + strconv.Itoa(round))
	p, err := r.frozen(r.chain.steps[s.first[0]].name)
	if err != nil {
		return "", err
	}
	p.Again = true // it begins at that step, not behind it
	p.Child = &childOf{Up: r.leg(), Split: s.name, Branch: s.branches[0], Round: round, Job: id}
	if r.Package != nil {
		p.Package, p.Source, p.By = r.Package.ID, r.Source, r.By
	}
	p.Message.Session, p.Message.Device, p.Message.Home = ota.SessionID{}, "", ota.Ref{}
	data, err := p.encode()
	if err != nil {
		return "", err
	}
	ref := ota.Ref{Tenant: r.Msg.Tenant, Type: ota.JobRef, ID: id}
	r.Send(ref, ota.Message{Event: ota.JobBegun, Tenant: ref.Tenant, Home: ref, Job: &ota.Job{
		ID: id, Tenant: ref.Tenant, Type: ota.JobBranch, Target: target, State: ota.JobRunning, Created: r.Now, Pace: pace,
		Asker: r.Home.Ref, Chain: r.chain.Name, Digest: r.chain.Digest, Branch: data,
	}})
	return r.Park(Wait{Event: ota.JobEnded, Job: id})
}

// jobBegun stores a job that a run has begun. Doing it twice does it once.
func (e *Engine) jobBegun(ctx context.Context, m ota.Message) error {
	if m.Job == nil {
		return ota.Errorf(ota.Invalid, "begin job", "there is none in the message")
	}
	err := e.Homes.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: &ota.Home{Ref: m.Home, Job: m.Job}})
	if ota.CodeOf(err) == ota.Conflict {
		_, err = e.Homes.Load(ctx, m.Home) // it is there
	}
	return err
}

// jobMember does the branch of a job for one device. It is a Conflict where the
// branch has failed, and NotFound where the device is none of the target's, or is
// gone. Asked twice it says the same and does nothing the second time.
func (e *Engine) jobMember(ctx context.Context, m ota.Message) error {
	j, err := e.jobs.get(ctx, e.Facts, m.Home)
	if err != nil {
		return err
	}
	failed := false
	_, err = e.move(ctx, m, ota.RefOf(m.Tenant, m.Device), func(ctx context.Context, _ ota.Facts, h *ota.Home, m ota.Message) (job, error) {
		failed = false
		if !j.Reaches(h.Device) {
			return job{}, ota.Errorf(ota.NotFound, "job "+j.ID, "device %s is none of its target's", h.Device.Name)
		}
		if done, well := h.JobDone(j.ID); done {
			failed = !well
			return job{skip: true}, nil
		}
		x, err := e.branchFor(ctx, j, m)
		mark := func(well bool) func(*ota.Home) {
			return func(h *ota.Home) {
				failed = !well
				h.MarkJob(j.ID, well, e.Homes.Now(), func(id string) bool { return e.jobs.over(ctx, e.Facts, m.Tenant, id) })
			}
		}
		x.after, x.fail = mark(true), mark(false)
		return x, err
	})
	if ota.CodeOf(err) == ota.Busy {
		if m.Cause != ota.JobGivesUp {
			return err
		}
		failed, err = true, e.giveUp(ctx, j, m, err)
		if err != nil {
			return err
		}
	}
	if failed {
		return ota.Errorf(ota.Conflict, "job "+j.ID, "the branch has failed for device %s", m.Device)
	}
	return err
}

// giveUp keeps the branch of a device for people that could not be done for so
// long that it would hold up the others.
func (e *Engine) giveUp(ctx context.Context, j *ota.Job, m ota.Message, why error) error {
	_, err := e.move(ctx, m, ota.RefOf(m.Tenant, m.Device), func(_ context.Context, _ ota.Facts, h *ota.Home, m ota.Message) (job, error) {
		if done, _ := h.JobDone(j.ID); done {
			return job{skip: true}, nil
		}
		fail := func(h *ota.Home) { h.MarkJob(j.ID, false, e.Homes.Now(), func(string) bool { return false }) }
		broken := ota.Errorf(ota.Internal, "job "+j.ID, "%v", why) // not Busy: it shall be kept
		return job{msg: memberLetter(m.Tenant, m.Device, j.ID), only: j.Chain, lost: place{j.Chain, j.Digest, ""}, fail: fail}.breaks(broken), nil
	})
	return err
}

// branchFor is the job of the run of a branch for the device of m, from its
// first step.
func (e *Engine) branchFor(ctx context.Context, j *ota.Job, m ota.Message) (job, error) {
	letter := memberLetter(m.Tenant, m.Device, j.ID)
	run, err := readParked(j.Branch)
	if err != nil {
		return job{msg: letter, only: j.Chain, lost: place{j.Chain, j.Digest, ""}}.breaks(err), nil
	}
	run.Message.Device = m.Device
	run.Child.Leg = run.Child.Up + "/" + run.Child.Split + "." + run.Child.Branch + "." + string(m.Device)
	chain, err := e.revision(ctx, j.Chain, j.Digest)
	switch {
	case ota.CodeOf(err) == ota.Busy:
		return job{}, err
	case err != nil:
		return job{msg: letter, only: j.Chain, lost: place{j.Chain, j.Digest, run.Step}}.breaks(err), nil
	}
	return job{msg: run.Message, chain: chain, only: chain.Name, parked: &run}, nil
}

// memberLetter is the message by which the branch of a job can be done for a
// device once more.
func memberLetter(t ota.TenantID, d ota.DeviceID, id string) ota.Message {
	return ota.Message{Event: ota.JobMember, Tenant: t, Device: d, Home: ota.Ref{Tenant: t, Type: ota.JobRef, ID: id}}
}

// jobEnded lets the run go on that waits for a job. Where none does, since it has
// gone on already or its home's noun has ended, there is nothing to do.
func (e *Engine) jobEnded(ctx context.Context, m ota.Message) error {
	if m.Job == nil {
		return ota.Errorf(ota.Invalid, "end job", "the message says nothing of it")
	}
	ref := m.Home
	if m.Device != "" {
		ref = ota.RefOf(m.Tenant, m.Device)
	}
	_, err := e.move(ctx, m, ref, func(ctx context.Context, _ ota.Facts, h *ota.Home, m ota.Message) (job, error) {
		for _, p := range h.Parked {
			if eventOf(p) != ota.JobEnded {
				continue
			}
			run, err := readParked(p.Data)
			if err != nil || run.Job != m.Job.ID {
				continue
			}
			run.Came = &awaited{Message: m}
			if p.Data, err = json.Marshal(run); err != nil {
				return job{}, ota.Errorf(ota.Internal, "end job "+m.Job.ID, "%w", err)
			}
			h.Drop(p.Num)
			return e.parked(ctx, ota.Message{Tenant: m.Tenant}, p)
		}
		return job{skip: true}, nil
	})
	return err
}

// jobsKept are jobs that members come for, so that a hundred thousand of them
// read theirs once: what the branch of a job is never changes.
type jobsKept struct {
	mu    sync.Mutex
	jobs  map[ota.Ref]*ota.Job
	ended map[ota.Ref]time.Time // jobs that marks name: zero that it is over, else when to look again
}

// maxJobsKept bounds how many jobs are remembered.
const maxJobsKept = 64

func (k *jobsKept) get(ctx context.Context, facts ota.Facts, ref ota.Ref) (*ota.Job, error) {
	k.mu.Lock()
	j := k.jobs[ref]
	k.mu.Unlock()
	if j != nil {
		return j, nil
	}
	h, err := facts.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	if h.Job == nil || h.Job.Type != ota.JobBranch {
		return nil, ota.Errorf(ota.Invalid, "job "+ref.ID, "it has no branch")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.jobs == nil || len(k.jobs) >= maxJobsKept {
		k.jobs = map[ota.Ref]*ota.Job{}
	}
	k.jobs[ref] = h.Job
	return h.Job, nil
}

// over says whether a job is known to be over, or gone. What cannot be read is
// not.
func (k *jobsKept) over(ctx context.Context, facts ota.Facts, t ota.TenantID, id string) bool {
	ref := ota.Ref{Tenant: t, Type: ota.JobRef, ID: id}
	k.mu.Lock()
	again, known := k.ended[ref]
	k.mu.Unlock()
	if known && (again.IsZero() || time.Now().Before(again)) {
		return again.IsZero()
	}
	h, err := facts.Get(ctx, ref)
	over := ota.CodeOf(err) == ota.NotFound || err == nil && (h.Job == nil || h.Job.Over())
	again = time.Time{}
	if !over {
		again = time.Now().Add(5 * time.Second)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended == nil || len(k.ended) >= maxJobsKept {
		k.ended = map[ota.Ref]time.Time{}
	}
	k.ended[ref] = again
	return over
}
