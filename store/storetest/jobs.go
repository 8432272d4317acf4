package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

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

// branchJob stores a job that does a branch, of a run that waits in asker.
func branchJob(t *testing.T, p Process, target, asker ota.Ref, pace ota.Pace) *ota.Home {
	t.Helper()
	id := ota.NewID()
	return commit(t, p, &ota.Home{Ref: ota.Ref{Tenant: tenant, Type: ota.JobRef, ID: id}, Job: &ota.Job{
		ID: id, Tenant: tenant, Type: ota.JobBranch, Target: target, State: ota.JobRunning, Created: p.Now(), Asker: asker, Pace: pace, Chain: "c", Digest: "d", Branch: []byte("run"),
	}}, nil)
}

// workBranches works pages and messages until the job has told its end, and
// returns that. Of a page, work says how many have failed; at the first ones the
// process dies and another one goes on.
func workBranches(t *testing.T, p Process, job ota.Ref, work func(w *ota.JobWork) (failed int)) (told *ota.Job) {
	t.Helper()
	eventually(t, "the job has told its end", func() bool {
		tasks, _, err := p.Due(t.Context(), 64)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			switch w := task.Page; {
			case w != nil:
				if w.Type != ota.JobBranch || w.Job != job.ID {
					t.Fatalf("the page is %+v", *w)
				}
				w.Failed = work(w)
				for range 2 { // the second time is a repeat
					if err := p.Advance(t.Context(), *w, task.Origin.Lease, len(w.Members)-w.Failed); err != nil && ota.CodeOf(err) != ota.Conflict {
						t.Fatal(err)
					}
				}
			case task.Message != nil && task.Message.Event == ota.JobEnded:
				if told != nil {
					t.Fatalf("it tells its end twice: %+v and %+v", *told, *task.Message.Job)
				}
				told = task.Message.Job
				if err := p.Delivered(t.Context(), task); err != nil {
					t.Fatal(err)
				}
			}
			p.Done(task)
		}
		return told != nil
	})
	return told
}

func ownersBranchJob(t *testing.T, process func(string) Process) {
	a, b := process("a"), process("b")
	pr, members := fleet(t, a, 40)
	asker := device(t, a, "asker", profile(t, a, "askers"), nil)
	own(t, a)
	slow := ota.Pace{Count: 1, Every: 10 * time.Second} // so that a page is one member
	job := branchJob(t, a, pr.Ref, asker.Ref, slow)
	if need, err := neededBy(t, a); err != nil || need != nil && need["d"] == 0 {
		t.Errorf("the revision that it runs is not needed: %v, %v", need, err)
	}
	if err := a.Spread(t.Context(), job.Job); err != nil {
		t.Fatal(err)
	}
	due(t, a, 20) // in flight when it dies
	if err := a.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other has all", func() bool { return own(t, b) == ota.Shards+1 })
	var failed int64
	told := workBranches(t, b, job.Ref, func(w *ota.JobWork) int {
		if len(w.Members) > 1 {
			t.Errorf("a page of a slow job has %d members", len(w.Members))
		}
		bad := 0
		for _, m := range w.Members {
			if members[m.ID]++; m.ID[1]%2 == 0 {
				bad++
			}
		}
		failed += int64(bad)
		return bad
	})
	for id, n := range members {
		if n != 1 {
			t.Errorf("member %s came %d times", id, n)
		}
	}
	if told.Failed != failed || told.Done != int64(len(members))-failed || told.ID != job.Ref.ID || told.State != ota.JobFinished {
		t.Errorf("it tells %+v, of %d members %d have failed", *told, len(members), failed)
	}
}

// neededBy counts who needs which revision, where the store can say that.
func neededBy(t *testing.T, p Process) (map[string]int64, error) {
	t.Helper()
	r, ok := p.Stored.(ota.Revisions)
	if !ok {
		return nil, nil
	}
	return r.NeededChains(t.Context())
}

func ownersBranchJobEnds(t *testing.T, process func(string) Process) {
	a := process("a")
	pr := profile(t, a, "p")
	one := device(t, a, "one", pr, nil)
	device(t, a, "two", pr, nil)
	asker := ota.RefOfInlet(tenant, "door")
	commit(t, a, ota.NewInletHome(tenant, "door"), nil)
	own(t, a)
	wishes := ota.Wishes{Homes: a, Facts: a}

	came := map[string]int{}
	job := branchJob(t, a, one.Ref, asker, ota.Pace{})
	told := workBranches(t, a, job.Ref, func(w *ota.JobWork) int {
		for _, m := range w.Members {
			came[m.ID]++
		}
		return 0
	})
	if len(came) != 1 || came[one.Ref.ID] != 1 || told.Done != 1 || told.Failed != 0 {
		t.Errorf("of one device: %v, %+v", came, *told)
	}
	wantCode(t, wishes.CancelJob(t.Context(), job.Ref, "an operator"), ota.Conflict)

	before := branchJob(t, a, pr.Ref, asker, ota.Pace{})
	if err := wishes.CancelJob(t.Context(), before.Ref, "an operator"); err != nil {
		t.Fatal(err)
	}
	told = workBranches(t, a, before.Ref, func(*ota.JobWork) int { return 0 })
	if told.State != ota.JobCancelled || told.Done != 0 {
		t.Errorf("cancelled before it began: %+v", *told)
	}

	during := branchJob(t, a, pr.Ref, asker, ota.Pace{})
	if err := a.Spread(t.Context(), during.Job); err != nil {
		t.Fatal(err)
	}
	if err := wishes.CancelJob(t.Context(), during.Ref, "an operator"); err != nil {
		t.Fatal(err)
	}
	told = workBranches(t, a, during.Ref, func(w *ota.JobWork) int { // as the owner's caller does
		w.Members, w.Next = nil, ""
		return 0
	})
	if told.State != ota.JobCancelled || told.Done != 0 || told.Ended != ota.Shards {
		t.Errorf("cancelled on its way: %+v", *told)
	}
}
