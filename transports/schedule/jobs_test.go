package schedule

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// branchPage is a page of a job that does a branch.
func branchPage(shard int, cursor string, members int) ota.Task {
	t := pageOf(shard, cursor, members)
	t.Page.Type, t.Page.Kind, t.Page.Cause, t.Page.Revision = ota.JobBranch, "", "", 0
	return t
}

func branching(o *owner, p ota.Pace) {
	o.job = &ota.Job{ID: "j", Tenant: "main", Type: ota.JobBranch, State: ota.JobRunning, Pace: p, Spread: true}
}

// moved is how far the jobs have come, while the source goes on.
func (o *owner) moved() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.advanced)
}

func TestBranchesOfAJobAreCounted(t *testing.T) {
	o := newOwner()
	branching(o, ota.Pace{})
	codes := map[ota.DeviceID]ota.Code{"m1": ota.Conflict, "m2": ota.Invalid, "m3": ota.NotFound}
	do := func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Event != ota.JobMember || m.Home.ID != "j" || m.Tenant != "main" || m.Cause != "" || m.Began != nil {
			t.Errorf("handed over %+v", m)
		}
		if c := codes[m.Device]; c != "" {
			return nil, ota.Errorf(c, "branch", "no")
		}
		return nil, nil
	}
	serve(t, Config{}, o, do, func(d *diary, _ func()) {
		o.add(0, branchPage(5, "a", 100), branchPage(6, "b", 0))
		pass(time.Second)
		slices.Sort(o.advanced)
		if want := []string{"j/5 a->ax 97 token 7 failed 2", "j/6 b->bx 0 token 7"}; !slices.Equal(o.advanced, want) || len(d.all()) != 100 || o.draws != 0 {
			t.Errorf("advanced %q, want %q; %d turns, %d draws", o.advanced, want, len(d.all()), o.draws)
		}
	})
}

func TestASlowJobHoldsUpNobody(t *testing.T) {
	o := newOwner()
	branching(o, ota.Pace{Count: 10, Every: time.Hour})
	serve(t, Config{}, o, fine, func(d *diary, _ func()) {
		o.add(0, branchPage(5, "a", 2), branchPage(6, "b", 1))
		pass(time.Second)
		o.add(0, pageOf(7, "c", 10))
		pass(time.Second)
		if len(d.all()) != 11 || !slices.Equal(o.moved(), []string{"j/7 c->cx 10 token 7"}) {
			t.Errorf("advanced %q after %d turns", o.moved(), len(d.all()))
		}
		pass(6 * time.Minute)
		if len(d.all()) != 12 || len(o.moved()) != 2 {
			t.Errorf("after the first six minutes %q, %d turns", o.moved(), len(d.all()))
		}
		pass(6 * time.Minute)
		if len(o.moved()) != 3 {
			t.Errorf("after twelve minutes %q", o.moved())
		}
	})
}

func TestACancelledJobReachesNobody(t *testing.T) {
	o := newOwner()
	branching(o, ota.Pace{})
	o.job.State = ota.JobCancelled
	serve(t, Config{}, o, fine, func(d *diary, _ func()) {
		o.add(0, branchPage(5, "a", 3))
		pass(time.Second)
		if want := []string{"j/5 a-> 0 token 7"}; len(d.all()) != 0 || !slices.Equal(o.advanced, want) {
			t.Errorf("advanced %q, want %q; %d turns", o.advanced, want, len(d.all()))
		}
	})
}

func TestABranchThatIsBusyForEverIsGivenUp(t *testing.T) {
	o := newOwner()
	branching(o, ota.Pace{})
	var tries atomic.Int64
	do := func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Device != "m1" {
			return nil, nil
		}
		if tries.Add(1); m.Cause == ota.JobGivesUp { // the engine keeps it for people
			return nil, ota.Errorf(ota.Conflict, "branch", "given up")
		}
		return nil, ota.Errorf(ota.Busy, "branch", "away")
	}
	serve(t, Config{}, o, do, func(_ *diary, _ func()) {
		o.add(0, branchPage(5, "a", 3))
		pass(20 * time.Minute)
		if want := []string{"j/5 a->ax 2 token 7 failed 1"}; !slices.Equal(o.advanced, want) || tries.Load() != maxPageTries+1 {
			t.Errorf("advanced %q, want %q, after %d tries", o.advanced, want, tries.Load())
		}
	})
}

func TestAFaultOfOursCountsAsFailed(t *testing.T) {
	o := newOwner()
	branching(o, ota.Pace{})
	do := func(_ context.Context, m ota.Message) ([]ota.Reply, error) {
		if m.Device == "m1" {
			return nil, ota.Errorf(ota.Internal, "branch", "no")
		}
		return nil, nil
	}
	serve(t, Config{}, o, do, func(_ *diary, _ func()) {
		o.add(0, branchPage(5, "a", 3))
		pass(20 * time.Minute)
		if want := []string{"j/5 a->ax 2 token 7 failed 1"}; !slices.Equal(o.advanced, want) {
			t.Errorf("advanced %q, want %q", o.advanced, want)
		}
	})
}

func TestASlowJobEndsWithTheSource(t *testing.T) {
	o := newOwner()
	branching(o, ota.Pace{Count: 1, Every: time.Hour})
	serve(t, Config{}, o, fine, func(d *diary, stop func()) {
		o.add(0, branchPage(5, "a", 3), branchPage(6, "b", 3))
		pass(time.Second)
		stop()
		if len(d.all()) != 1 || len(o.advanced) != 0 {
			t.Errorf("%d turns, advanced %q", len(d.all()), o.advanced)
		}
	})
}
