package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

// fleet stores n devices of a profile, and one of another.
func fleet(t *testing.T, p Process, n int) (pr *ota.Home, members map[string]int) {
	t.Helper()
	pr, other := profile(t, p, "p"), profile(t, p, "other")
	members = map[string]int{}
	for i := range n {
		members[device(t, p, fmt.Sprint("d", i), pr, nil).Ref.ID] = 0
	}
	device(t, p, "stranger", other, nil)
	return pr, members
}

// assignTo commits what an assignment to a profile does: the profile, and a job
// with the raised revision.
func assignTo(t *testing.T, p Process, pr *ota.Home) *ota.Home {
	t.Helper()
	id := ota.NewID()
	job := &ota.Home{Ref: ota.Ref{Tenant: tenant, Type: ota.JobRef, ID: id}, Job: &ota.Job{
		ID: id, Tenant: tenant, Type: "decide", Target: pr.Ref, Kind: ota.Software, Cause: "test", State: ota.JobRunning, Created: p.Now(),
	}}
	commit(t, p, pr, func(turn *ota.Turn) { turn.Also, turn.Raise = []*ota.Home{job}, true })
	return job
}

// workPages works the pages that come until the job is finished, and counts how
// often each member came.
func workPages(t *testing.T, p Process, job ota.Ref, revision int64, members map[string]int) {
	t.Helper()
	eventually(t, "the job is finished", func() bool {
		tasks, _, err := p.Due(t.Context(), 64)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			w := task.Page
			if w == nil || task.Home != job || w.Job != job.ID || w.Revision != revision || w.Kind != ota.Software || w.Cause != "test" || w.Tenant != tenant {
				t.Fatalf("the task is %+v, its page %+v", task, w)
			}
			for _, m := range w.Members {
				members[m.ID]++
			}
			for range 2 { // the second time is a repeat
				err := p.Advance(t.Context(), *w, task.Origin.Lease, len(w.Members))
				if err != nil && ota.CodeOf(err) != ota.Conflict {
					t.Fatal(err)
				}
			}
			p.Done(task)
		}
		h, err := p.Load(t.Context(), job)
		if err != nil {
			t.Fatal(err)
		}
		return h.Job.State == ota.JobFinished
	})
}

func checkJob(t *testing.T, p Process, job ota.Ref, members map[string]int) {
	t.Helper()
	for id, n := range members {
		if n != 1 {
			t.Errorf("member %s came %d times", id, n)
		}
	}
	h, err := p.Load(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	if h.Job.Ended != ota.Shards || h.Job.Done != int64(len(members)) || !h.Job.Spread {
		t.Errorf("the job ends as %+v, with %d members", *h.Job, len(members))
	}
	if tasks, _, err := p.Due(t.Context(), 10); len(tasks) > 0 || err != nil {
		t.Errorf("after the end there is due %+v, %v", tasks, err)
	}
}

func ownersJob(t *testing.T, process func(string) Process) {
	a := process("a")
	pr, members := fleet(t, a, 60)
	own(t, a)
	old, err := a.Revision(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	job := assignTo(t, a, pr)
	if job.Job.Revision != old+1 {
		t.Fatalf("the job has revision %d, the tenant had %d", job.Job.Revision, old)
	}
	for range 2 {
		if err := a.Spread(t.Context(), job.Job); err != nil {
			t.Fatal(err)
		}
	}
	// From now on nothing can be decided by what was read before.
	for id := range members {
		h, err := a.Load(t.Context(), ota.RefOf(tenant, ota.DeviceID(id)))
		if err != nil {
			t.Fatal(err)
		}
		wantCode(t, a.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Was: h.Clone(), Home: h, Revision: old}), ota.Conflict)
		break
	}
	workPages(t, a, job.Ref, job.Job.Revision, members)
	checkJob(t, a, job.Ref, members)
	if err := a.Spread(t.Context(), job.Job); err != nil {
		t.Fatal(err)
	}
	checkJob(t, a, job.Ref, members)
	p := ota.JobWork{Job: job.Ref.ID, Tenant: tenant, Shard: 3, Cursor: "0"}
	wantCode(t, a.Advance(t.Context(), p, ota.Lease{Shard: 3, Owner: "a", Token: 1}, 1), ota.Conflict)
}

// An owner that dies leaves a job that was stored and never spread, and pages
// that were worked and never advanced; another finishes it.
func ownersJobDies(t *testing.T, process func(string) Process) {
	a, b := process("a"), process("b")
	pr, members := fleet(t, a, 20)
	own(t, a)
	job := assignTo(t, a, pr)
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Spread(dead, job.Job); err == nil {
		t.Fatal("spread with a context that is over")
	}
	due(t, a, 5) // in flight when it dies
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other has all", func() bool { return own(t, b) == ota.Shards+1 })
	workPages(t, b, job.Ref, job.Job.Revision, members)
	checkJob(t, b, job.Ref, members)
}
