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
			if isNew := h.Job.End(shard, 3); isNew != (round == 0) {
				t.Fatalf("round %d, shard %d: new is %v", round, shard, isNew)
			}
			if done := h.Job.State == JobFinished; done != (round == 1 || shard == Shards-1) {
				t.Fatalf("round %d, shard %d: the job is %s", round, shard, h.Job.State)
			}
		}
	}
	if h.Job.Ended != Shards || h.Job.Done != 3*Shards {
		t.Errorf("ended %d, done %d", h.Job.Ended, h.Job.Done)
	}
	c := h.Clone()
	c.Job.Shards[0] = 0
	if h.Job.Shards[0] != 0xff {
		t.Error("a clone shares its shards")
	}
}
