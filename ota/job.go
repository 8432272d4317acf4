package ota

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"
)

// JobState is how far a job has come.
type JobState string

// The states of a job.
const (
	JobRunning   JobState = "running"
	JobFinished  JobState = "finished"
	JobCancelled JobState = "cancelled"
)

// The types of jobs.
const (
	JobDecide = "decide" // tells each member what its effective package now is
	JobBranch = "branch" // does a branch of a run for each member, in the member's home
)

// JobGivesUp is the cause of a job_member that is the last try: where the branch
// still cannot be done, it is kept for people and counts as failed.
const JobGivesUp = "last try"

// Job walks over the devices of a target, page by page in every shard, and
// outlives any process. What it does with each device follows from Type.
type Job struct {
	ID       string
	Tenant   TenantID
	Type     string
	Target   Ref
	Kind     Kind
	Cause    string
	Revision int64 // the tenant's, that its decisions must have seen
	State    JobState
	Created  time.Time
	Spread   bool   // its first page lies in every shard
	Shards   []byte // a bit for each shard that has ended, so that each counts once
	Done     int64  // members worked, or whose branch went well; summed over shards that have ended
	Ended    int    // shards that have ended

	// Of a job that does a branch.
	Failed int64  `json:",omitempty"` // members whose branch failed
	Pace   Pace   `json:",omitzero"`  // of the members, over all processes
	Asker  Ref    `json:",omitzero"`  // the home of the run that waits for the end
	Chain  string `json:",omitempty"`
	Digest string `json:",omitempty"` // of that chain
	Branch []byte `json:",omitempty"` // the engine's: how each member's run begins
	By     string `json:",omitempty"` // who cancelled it
}

// End counts the end of the job in a shard, where so many members were done and
// so many have failed; it says whether that was new. The last shard finishes the
// job.
func (j *Job) End(shard int, done, failed int64) bool {
	if len(j.Shards) < Shards/8 {
		j.Shards = append(j.Shards, make([]byte, Shards/8-len(j.Shards))...)
	}
	at, bit := &j.Shards[shard/8], byte(1)<<(shard%8)
	if *at&bit != 0 {
		return false
	}
	*at |= bit
	j.Done += done
	j.Failed += failed
	if j.Ended++; j.Ended == Shards && j.State == JobRunning {
		j.State = JobFinished
	}
	return true
}

// Over says whether no member of the job is to come any more.
func (j *Job) Over() bool { return j.Ended == Shards }

// Where lists the shards in which the job has members to look for.
func (j *Job) Where() []int {
	if j.Target.Type == DeviceRef {
		if shard, _, ok := DeviceID(j.Target.ID).Place(); ok {
			return []int{shard}
		}
		return nil
	}
	all := make([]int, Shards)
	for i := range all {
		all[i] = i
	}
	return all
}

// Begin notes that the first page lies in every shard of [Job.Where]. Where there
// is nothing to do the job ends there at once. It is false where that was noted
// before.
func (j *Job) Begin() bool {
	if j.Spread {
		return false
	}
	j.Spread = true
	where := j.Where()
	for shard := range Shards {
		if len(where) < Shards && !slices.Contains(where, shard) {
			j.End(shard, 0, 0)
		}
	}
	return true
}

// Page is how many members at once a page of the job holds at most: few where
// they come slowly, so that what is begun is soon done.
func (j *Job) Page() int {
	const most, pacedMost, ahead = 500, 100, 10 * time.Second
	if j.Pace.Every <= 0 || j.Pace.Count <= 0 {
		return most
	}
	return int(min(max(int64(ahead)*int64(j.Pace.Count)/int64(j.Pace.Every), 1), pacedMost))
}

// Reaches says whether a device is a member of the job now.
func (j *Job) Reaches(d *Device) bool {
	if j.Target.Type == ProfileRef {
		return j.Target.ID == string(d.Profile)
	}
	return j.Target == RefOf(d.Tenant, d.ID)
}

// Tells is the message that tells the run which waits for the job that it is
// over; none where it is not, or where nobody waits.
func (j *Job) Tells() []Outgoing {
	if j.Asker == (Ref{}) || !j.Over() {
		return nil
	}
	m := Message{Event: JobEnded, Tenant: j.Tenant, Home: j.Asker, Job: &Job{ID: j.ID, Tenant: j.Tenant, Type: j.Type, State: j.State, Done: j.Done, Failed: j.Failed, Ended: j.Ended}}
	if j.Asker.Type == DeviceRef {
		m.Device, m.Home = DeviceID(j.Asker.ID), Ref{}
	}
	return []Outgoing{{To: j.Asker, Message: m}}
}

// CancelJob lets a job that does a branch come to no further members. Those that
// have begun are ended, and the run that waits for the job goes on when it has
// stopped in every shard, within seconds or, at a slow rate, within the time of
// one member. It is a Conflict where the job is over already.
func (w Wishes) CancelJob(ctx context.Context, job Ref, by string) error {
	op := "cancel job " + job.ID
	for try := 1; ; try++ {
		h, err := w.Homes.Load(ctx, job)
		if err != nil {
			return err
		}
		t := &Turn{ID: NewTurnID(), Was: h.Clone(), Home: h}
		j := h.Job
		if j == nil || j.Type != JobBranch {
			return Errorf(Invalid, op, "it is no job that runs a branch")
		}
		if j.State != JobRunning {
			return Errorf(Conflict, op, "it is %s", j.State)
		}
		j.State, j.By = JobCancelled, by
		if !j.Spread { // nothing has begun
			for shard := range Shards {
				j.End(shard, 0, 0)
			}
			t.Out = j.Tells()
		}
		err = w.Homes.Commit(ctx, t)
		if CodeOf(err) != Conflict || try == maxTries {
			return err
		}
	}
}

// A device's home keeps for some time which jobs it was done for, so that a page
// which is worked twice, since a process died over it, does nothing twice.
const (
	jobMark     = "job:"
	jobMarkKept = 30 * 24 * time.Hour
	maxJobMarks = 8
)

// JobDone says whether the home's device was done for a job, and whether that
// went well.
func (h *Home) JobDone(job string) (done, well bool) {
	for i := range h.Marks {
		if h.Marks[i].Key == jobMark+job {
			return true, h.Marks[i].Count == 1
		}
	}
	return false, false
}

// MarkJob notes that the device was done for a job. Marks of jobs that over says
// are over make room for it.
func (h *Home) MarkJob(job string, well bool, now time.Time, over func(job string) bool) {
	var kept []Mark
	for _, m := range h.Marks {
		id, ours := strings.CutPrefix(m.Key, jobMark)
		if !ours || id != job && m.Until.After(now) && !over(id) {
			kept = append(kept, m)
		}
	}
	for n := jobMarks(kept); n >= maxJobMarks; n-- { // the oldest stands first
		i := slices.IndexFunc(kept, Mark.ofJob)
		kept = slices.Delete(kept, i, i+1)
	}
	m := Mark{Key: jobMark + job, Until: now.Add(jobMarkKept), Count: 1}
	if !well {
		m.Count = 2
	}
	kept = append(kept, m)
	h.Marks = kept
}

func (m Mark) ofJob() bool { return strings.HasPrefix(m.Key, jobMark) }

func jobMarks(all []Mark) (n int) {
	for i := range all {
		if all[i].ofJob() {
			n++
		}
	}
	return n
}

// IDOf returns the id that belongs to a text: the same for the same text, and a
// UUID of version 8 as [NewID]'s are of version 4.
func IDOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	b := [16]byte(sum[:16])
	b[6] = b[6]&0x0f | 0x80
	return uuid(b)
}
