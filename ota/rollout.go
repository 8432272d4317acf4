package ota

import (
	"fmt"
	"math"
	"time"
)

// RolloutState is how far a rollout has come.
type RolloutState string

// The states of a rollout.
const (
	RolloutRunning   RolloutState = "running"
	RolloutPaused    RolloutState = "paused"
	RolloutDone      RolloutState = "finished"
	RolloutCancelled RolloutState = "cancelled"
	RolloutReplaced  RolloutState = "replaced"
)

// Ended says whether the rollout's conductor has nothing left to do.
func (s RolloutState) Ended() bool { return s != RolloutRunning && s != RolloutPaused }

// Stage is one stage of a rollout's plan, frozen when the rollout was born.
type Stage struct {
	Name        string
	Share       float64       // 0…1 of the members, those of earlier stages included
	AtLeast     int           `json:",omitempty"` // so many, where the share would be fewer
	Decided     float64       `json:",omitempty"` // 0…1 of the quota must have decided to pass
	MaxFailed   float64       `json:",omitempty"` // 0…1 of those that have decided
	MinDecided  int           `json:",omitempty"` // MaxFailed is not judged by fewer
	MaxFailures int           `json:",omitempty"` // 0: no limit
	MaxInFlight int           `json:",omitempty"` // 0: no limit
	Soak        time.Duration `json:",omitempty"`
	Timeout     time.Duration `json:",omitempty"`
	Where       string        `json:",omitempty"` // devices for which it holds come first, in words of the conductor
}

// Plain says that the stage lets everybody in and stops for nothing, so that
// nobody needs a permit.
func (s *Stage) Plain() bool {
	return s.Share >= 1 && s.MaxFailed >= 1 && s.MaxFailures == 0 && s.MaxInFlight == 0
}

// Quota is how many devices the stage lets in, of a rollout that has these.
func (s *Stage) Quota(c RolloutCounts) int {
	n := int(math.Ceil(s.Share*float64(c.Members) - 1e-9))
	return max(min(max(n, s.AtLeast), c.Members-c.Skipped), 0)
}

// Need is how many of a quota must have decided before the stage can pass.
func (s *Stage) Need(quota int) int {
	return int(math.Ceil(s.Decided*float64(quota) - 1e-9))
}

// Why a running rollout's door is shut.
const (
	StoppedFailed   = "failed"
	StoppedTimedOut = "timed_out"
)

// Rollout follows one assignment from birth to replacement. It lives in the
// tenant's slot. What its devices have come to is not in it: that is counted
// beside the devices, and what the door must know of it beside the door.
type Rollout struct {
	ID      RolloutID
	Tenant  TenantID
	Kind    Kind
	Target  Ref // device, group or profile
	Package PackageID
	Chain   string // the conductor
	Args    map[string]string
	By      string
	Started time.Time
	State   RolloutState
	Reason  string
	Plan    []Stage
	Stage   string  // the name of the open one
	Quota   float64 // 0…1 of the members may be admitted; 0: the door is shut
	Mark    float64 // owners hand out places up to here
	Permits bool    // admission takes a permit

	Revision string `json:",omitempty"` // of the conductor when it began: it is conducted by that one until it ends

	Job                 string       `json:",omitempty"` // that tells the members; while it runs, more may come
	Allowed             int          `json:",omitempty"` // the quota in devices, by the members at the last look
	Epoch               int          `json:",omitempty"` // rises whenever the door is opened anew
	Opened              time.Time    `json:",omitzero"`  // when the stage was
	Base                Tally        `json:",omitzero"`  // decided before, and so not judged
	Ripe                time.Time    `json:",omitzero"`  // since when enough have decided
	Stopped             string       `json:",omitempty"` // why the door of the stage is shut
	Wish                *RolloutWish `json:",omitempty"` // that the conductor has not carried out yet
	PausedBy, ResumedBy string       `json:",omitempty"` // the step that has paused it, and who resumed it last

	Steps  []RolloutStep `json:",omitempty"` // what has happened, the oldest first
	Asked  *Asked        `json:",omitempty"` // the approval that its conductor waits for
	Said   bool          `json:",omitempty"` // that it has ended was said to the chains that hear it
	Before PackageID     `json:",omitempty"` // what the target was assigned until then
}

// RolloutStep is one thing that happened to a rollout.
type RolloutStep struct {
	At   time.Time
	What string // in words
	By   string `json:",omitempty"`
}

// maxSteps bounds the steps that a rollout keeps; the oldest go.
const maxSteps = 64

// Note keeps that something has happened.
func (r *Rollout) Note(now time.Time, what, by string) {
	r.Steps = append(r.Steps, RolloutStep{At: now, What: what, By: by})
	if n := len(r.Steps); n > maxSteps {
		r.Steps = append([]RolloutStep(nil), r.Steps[n-maxSteps:]...)
	}
}

// Open says whether devices may be offered what the rollout carries.
func (r *Rollout) Open() bool {
	return (r.State == RolloutRunning && r.Stopped == "" || r.State == RolloutDone) && r.Quota > 0
}

// SetPlan freezes the stages of the conductor. Where every one of them lets
// everybody in, no device needs a permit.
func (r *Rollout) SetPlan(plan []Stage) {
	r.Plan, r.Permits = plan, false
	for i := range plan {
		r.Permits = r.Permits || !plan[i].Plain()
	}
}

// At returns the stage with that name, or nil.
func (r *Rollout) At(stage string) *Stage {
	for i := range r.Plan {
		if r.Plan[i].Name == stage {
			return &r.Plan[i]
		}
	}
	return nil
}

// OpenStage opens the door as far as a stage of the plan says. What was decided
// before is not judged by it. Opening the stage that is open already does
// nothing.
func (r *Rollout) OpenStage(name string, t Tally, now time.Time) error {
	s := r.At(name)
	if s == nil {
		return Errorf(Internal, "open stage "+name, "the plan of the rollout has no such stage")
	}
	if r.Stage == name && r.Epoch > 0 {
		return nil
	}
	r.Stage, r.Quota, r.Mark = name, s.Share, r.markOf(name, false)
	r.reopen(t, now)
	r.Note(now, "stage "+name+" opened", "")
	return nil
}

// reopen lets the open stage judge from now on.
func (r *Rollout) reopen(t Tally, now time.Time) {
	r.Epoch++
	r.Opened, r.Ripe, r.Stopped, r.Reason, r.Base = now, time.Time{}, "", "", t.decisions()
}

// Look notes how many members there are and what they have decided, and says
// when the stage passes: zero while too few have decided. gathered says that no
// more members are on their way.
func (r *Rollout) Look(c RolloutCounts, t Tally, gathered bool, now time.Time) (passes time.Time) {
	s := r.At(r.Stage)
	r.Allowed, r.Mark = s.Quota(c), r.markOf(r.Stage, gathered && c.Ahead == 0)
	if !gathered || r.Allowed == 0 || r.decided(c, t) < s.Need(r.Allowed) {
		r.Ripe = time.Time{}
		return time.Time{}
	}
	if r.Ripe.IsZero() {
		r.Ripe = now
	}
	return r.Ripe.Add(s.Soak)
}

func (r *Rollout) decided(c RolloutCounts, t Tally) int {
	if r.Permits { // what went away since it decided is none of those that are let in
		return min(t.Decided(), c.Decided())
	}
	return c.Decided()
}

// Stale says whether the conductor would do something if it looked now: the
// quota or the mark is another one, or enough have decided.
func (r *Rollout) Stale(c RolloutCounts, t Tally, gathered bool) bool {
	s := r.At(r.Stage)
	if r.State != RolloutRunning || r.Stopped != "" || r.Epoch == 0 || s == nil {
		return false
	}
	quota := s.Quota(c)
	ripe := gathered && quota > 0 && r.decided(c, t) >= s.Need(quota)
	return quota != r.Allowed || ripe == r.Ripe.IsZero() || r.Mark != r.markOf(r.Stage, gathered && c.Ahead == 0)
}

// Stop shuts the door of the stage for a reason.
func (r *Rollout) Stop(why, reason string, now time.Time) {
	r.Stopped, r.Reason = why, reason
	r.Epoch++
	r.Note(now, "stage "+r.Stage+" stopped: "+reason, "")
}

// Promote lets the open stage pass by the wish of an operator. What it has seen
// of failures is not judged again.
func (r *Rollout) Promote(t Tally, now time.Time) {
	by := ""
	if r.Wish != nil {
		by = r.Wish.By
	}
	r.Wish, r.State = nil, RolloutRunning
	r.reopen(t, now)
	r.Note(now, "stage "+r.Stage+" promoted", by)
}

// Finish ends the rollout well: late devices are still served.
func (r *Rollout) Finish(now time.Time) {
	r.State, r.Quota, r.Mark, r.Stopped, r.Reason = RolloutDone, 1, 1, "", ""
	r.Epoch++
	r.Note(now, "finished", "")
}

// End ends the rollout without success: nobody is let in any more.
func (r *Rollout) End(s RolloutState, reason, by string, now time.Time) {
	r.State, r.Reason, r.Quota, r.Mark, r.Wish = s, reason, 0, 0, nil
	r.Epoch++
	what := string(s)
	if reason != "" {
		what += ": " + reason
	}
	r.Note(now, what, by)
}

// Pause shuts the door until an operator resumes.
func (r *Rollout) Pause(reason, by string, now time.Time) {
	r.State, r.Reason = RolloutPaused, reason
	r.Epoch++
	r.Note(now, "paused: "+reason, by)
}

// Resume opens the door of the present stage again, which judges from now on.
func (r *Rollout) Resume(by string, t Tally, now time.Time) {
	forgiven := t.Failed + t.Silent - r.Base.Failed - r.Base.Silent
	r.State, r.ResumedBy = RolloutRunning, by
	r.reopen(t, now)
	what := "resumed"
	if forgiven > 0 {
		what += fmt.Sprintf("; %d failures of stage %s are forgiven", forgiven, r.Stage)
	}
	r.Note(now, what, by)
}

// RolloutCounts are what the members of a rollout have come to.
type RolloutCounts struct {
	Members  int `json:"members"`
	Waiting  int `json:"waiting"` // in the queue, held ones among them
	Held     int `json:"held"`    // of those: out of the line, by a guard or since they are away
	InFlight int `json:"inFlight"`
	Updated  int `json:"updated"`
	Failed   int `json:"failed"`
	Silent   int `json:"silent"`  // failed without a word
	Ahead    int `json:"-"`       // of those that wait in line: who come first with the open stage, where that says so
	Skipped  int `json:"skipped"` // left out: they ran it already, cannot have it, or it was closed before they decided
}

// Decided is how many have come to an end by an offer.
func (c RolloutCounts) Decided() int { return c.Updated + c.Failed + c.Silent }

// FailedShare is how many of those that decided have failed, 0…1.
func (c RolloutCounts) FailedShare() float64 {
	if c.Decided() == 0 {
		return 0
	}
	return float64(c.Failed+c.Silent) / float64(c.Decided())
}

// What counts of a rollout know besides the states of an update.
const (
	StandHeld    State = "held"    // QUEUED, and out of the line
	StandSilent  State = "silent"  // FAILED without a word
	StandSkipped State = "skipped" // over without an offer
)

// Stands lists the words by which members of a rollout are counted; "" is one
// that has not decided yet what to do about it.
func Stands() []State { return append(States(), StandHeld, StandSilent, StandSkipped, "") }

// Stand is what the track has come to in the rollout that it follows.
func (t *Track) Stand() State {
	u := t.Update
	switch {
	case t.Skipped != "":
		return StandSkipped
	case u == nil || u.Rollout != t.Followed.Rollout:
		return ""
	case u.Closed != "", u.State.Final() && !u.Offered:
		return StandSkipped
	case u.State == Failed && u.Silent:
		return StandSilent
	case u.Left:
		return Failed
	case u.State == Queued && !u.Waiting():
		return StandHeld
	}
	return u.State
}

// CountsOf sums what members are counted by.
func CountsOf(m map[State]int64) (c RolloutCounts) {
	for s, n64 := range m {
		n := int(n64)
		c.Members += n
		switch s {
		case Queued:
			c.Waiting += n
		case StandHeld:
			c.Waiting += n
			c.Held += n
		case Updated:
			c.Updated += n
		case Failed:
			c.Failed += n
		case StandSilent:
			c.Silent += n
		case StandSkipped:
			c.Skipped += n
		case "":
		default:
			c.InFlight += n
		}
	}
	return c
}
