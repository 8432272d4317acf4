package ota

import (
	"testing"
	"time"
)

func TestJobEndsOnceInEachShard(t *testing.T) {
	now := time.UnixMilli(1000)
	h := &Home{Ref: Ref{"main", JobRef, "j"}, Job: &Job{ID: "j", State: JobRunning, Created: now}}
	if d := h.Dues(); len(d) != 1 || h.Work(d[0].Key, now).What != DueSpread {
		t.Errorf("a new job has %v coming, want that it is spread", d)
	}
	h.Job.Spread = true
	if d := h.Dues(); len(d) != 0 {
		t.Errorf("a job in every shard has %v coming", d)
	}
	for round := range 2 {
		for shard := range Shards {
			if isNew := h.Job.End(shard, 3, 1); isNew != (round == 0) {
				t.Fatalf("round %d, shard %d: new is %v", round, shard, isNew)
			}
			if done := h.Job.State == JobFinished; done != (round == 1 || shard == Shards-1) {
				t.Fatalf("round %d, shard %d: the job is %s", round, shard, h.Job.State)
			}
		}
	}
	if h.Job.Ended != Shards || h.Job.Done != 3*Shards || h.Job.Failed != Shards {
		t.Errorf("ended %d, done %d, failed %d", h.Job.Ended, h.Job.Done, h.Job.Failed)
	}
	c := h.Clone()
	c.Job.Shards[0] = 0
	if h.Job.Shards[0] != 0xff {
		t.Error("a clone shares its shards")
	}
}

func TestJobOfOneDeviceLooksInItsShardAlone(t *testing.T) {
	d := NewDeviceID(7, 12)
	j := &Job{ID: "j", Type: JobBranch, Target: RefOf("main", d), State: JobRunning, Asker: Ref{"main", InletRef, "door"}}
	if !j.Begin() || j.Begin() || j.Ended != Shards-1 || j.Over() || j.Tells() != nil {
		t.Fatalf("it begins as %+v", *j)
	}
	j.End(7, 0, 1)
	out := j.Tells()
	if !j.Over() || j.State != JobFinished || len(out) != 1 || out[0].To != j.Asker || out[0].Message.Job.Failed != 1 {
		t.Errorf("it ends as %+v and tells %+v", *j, out)
	}
}

func TestPagesOfSlowJobsAreSmall(t *testing.T) {
	for _, x := range []struct {
		pace Pace
		want int
	}{{Pace{}, 500}, {Pace{Count: 10, Every: time.Hour}, 1}, {Pace{Count: 100, Every: time.Minute}, 16}, {Pace{Count: 5000, Every: time.Second}, 100}} {
		if got := (&Job{Pace: x.pace}).Page(); got != x.want {
			t.Errorf("%+v: %d, want %d", x.pace, got, x.want)
		}
	}
}

func TestMarksOfJobs(t *testing.T) {
	now := time.UnixMilli(1000)
	h := &Home{}
	none := func(string) bool { return false }
	for i := range 70 {
		h.See(string(rune('A'+i)), time.Hour, now)
	}
	h.MarkJob("a", true, now, none)
	h.MarkJob("b", false, now, none)
	for i := range 70 {
		h.See(string(rune('k'+i)), 1000*time.Hour, now)
	}
	for _, x := range []struct {
		job        string
		done, well bool
	}{{"a", true, true}, {"b", true, false}, {"c", false, false}} {
		if done, well := h.JobDone(x.job); done != x.done || well != x.well {
			t.Errorf("job %s: %v, %v", x.job, done, well)
		}
	}
	h.MarkJob("c", true, now, func(job string) bool { return job == "a" })
	if done, _ := h.JobDone("a"); done {
		t.Error("the mark of a job that is over stays")
	}
	for i := range 20 {
		h.MarkJob(string(rune('D'+i)), true, now, none)
	}
	if n := jobMarks(h.Marks); n != maxJobMarks || len(h.Marks) != maxMarks+maxJobMarks {
		t.Errorf("%d marks of jobs, %d in all", n, len(h.Marks))
	}
	if done, _ := h.JobDone(string(rune('D' + 19))); !done {
		t.Error("the newest mark is gone")
	}
}
