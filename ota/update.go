package ota

import (
	"slices"
	"time"
)

// State is how far an update has come, in ThingsBoard's words.
type State string

// The eight states. The server sets the first two, the device reports the rest.
const (
	Queued      State = "QUEUED"
	Initiated   State = "INITIATED"
	Downloading State = "DOWNLOADING"
	Downloaded  State = "DOWNLOADED"
	Verified    State = "VERIFIED"
	Updating    State = "UPDATING"
	Updated     State = "UPDATED"
	Failed      State = "FAILED"
)

// States lists the eight in order.
func States() []State {
	return []State{Queued, Initiated, Downloading, Downloaded, Verified, Updating, Updated, Failed}
}

// Final says whether the update is over.
func (s State) Final() bool { return s == Updated || s == Failed }

// rank orders the states of an update under way; 0 for all others.
func (s State) rank() int {
	for i, x := range [...]State{Queued, Initiated, Downloading, Downloaded, Verified, Updating} {
		if s == x {
			return i + 1
		}
	}
	return 0
}

// Percent is what a bar shows for a state when nothing better is known (the
// values of ThingsBoard's dashboards).
func (s State) Percent() int {
	return map[State]int{Initiated: 5, Downloading: 10, Downloaded: 55, Verified: 60, Updating: 70, Failed: 99, Updated: 100}[s]
}

// Why an update that is neither UPDATED nor FAILED is over.
const (
	ClosedCancelled = "cancelled"
	ClosedReplaced  = "replaced"
)

// DefaultTimeout bounds a state for which a chain names no time-out, so that
// every state that is not final has one.
const DefaultTimeout = 24 * time.Hour

// maxHistory bounds the moves that an update keeps: the first ones and the
// latest, so that a device that restarts its download for ever costs nothing.
const maxHistory = 64

// Step is one entry of an update's history.
type Step struct {
	At    time.Time
	State State
	Note  string // why, where there is more to say than the state
	Path  string // the chain's digest and the outlets taken, "" where no chain moved it
}

// Update is the road of one device to one package. A device has at most one for
// each kind: a new target replaces it.
type Update struct {
	ID      string // unique within the device, rising
	Kind    Kind
	State   State
	Closed  string // "", cancelled or replaced: over without a verdict
	Package PackageID
	Target  Version
	From    Version // what the device reported when the update began
	Rollout RolloutID
	Cause   string

	Attempt  int // from 1
	Error    string
	Reported Version // what the device reported instead of the target
	Silent   bool    // FAILED because of time-outs used up without a word

	Queued   time.Time // when it was made
	Entered  time.Time // when it came to its state
	LastWord time.Time // when the device last said something about it
	Timeout  time.Duration

	Offered   bool // was offered at least once: takes reports even when QUEUED again
	Away      bool // QUEUED and out of the line until the device is heard
	NotBefore time.Time
	Priority  int
	Place     float64       // 0…1 in its rollout's line
	Held      string        // why it waits, in words
	HeldFrom  time.Time     // since when it is held back; zero: it is not
	HeldFor   time.Duration // how long it was held back before that, in sum
	WakeOn    []Event       // while it is held back: the events that put it back into the line

	Admission Admission  // what it has of its rollout's quota
	Permit    int        // number of its permit; 0: it has none
	Fresh     bool       // the turn that took the permit made the admission, too
	Slots     []HeldSlot // places under keys that it has until it is over or queued again
	Verdict   Verdict    // that its rollout was told of
	Left      bool       // UPDATED, and while its rollout watched it, it said that it runs something else again

	SaidUpdated bool  // said UPDATED and owes the version
	Served      int64 // bytes of the package served so far
	History     []Step
}

// Open says whether the update still goes on.
func (u *Update) Open() bool { return u != nil && u.Closed == "" && !u.State.Final() }

// Deadline is when the state's time-out runs out, counted from the device's
// last word, and the zero time for a state that waits for us.
func (u *Update) Deadline() time.Time {
	if !u.Open() || u.State == Queued {
		return time.Time{}
	}
	from := u.Entered
	if u.LastWord.After(from) {
		from = u.LastWord
	}
	t := u.Timeout
	if t <= 0 {
		t = DefaultTimeout
	}
	return from.Add(t)
}

// Waiting says whether the update stands in its rollout's line now.
func (u *Update) Waiting() bool {
	return u.Open() && u.State == Queued && !u.Away && u.NotBefore.IsZero()
}

// Percent is how far the update has come: by bytes while it downloads.
func (u *Update) Percent(size int64) int {
	if u.State == Downloading && size > 0 && u.Served > 0 {
		p := Downloading.Percent() + int(float64(Downloaded.Percent()-Downloading.Percent())*float64(min(u.Served, size))/float64(size))
		return min(p, Downloaded.Percent()-1)
	}
	return u.State.Percent()
}

func (u *Update) enter(s State, note string, now time.Time) {
	u.State, u.Entered, u.Timeout = s, now, 0
	u.History = append(u.History, Step{At: now, State: s, Note: note})
	if n := len(u.History); n > maxHistory {
		u.History = append(u.History[:maxHistory/2], u.History[n-maxHistory/2:]...)
	}
}

// Track is everything about one kind on one device.
type Track struct {
	Assigned *Assignment // the device's own
	Followed Followed    // the assignment that was last acted upon
	Skipped  string      // why that one left the device out
	Offer    Offer       // what its attributes tell the device
	Reported Version     // what it last said that it runs
	Update   *Update     // the latest
	Tells    int         // how much doors of rollouts were told
	Quits    bool        // in a turn alone: it leaves a rollout that still counts what it has decided
}

// Offer is what a device has been told: it stays after the update has ended,
// as ThingsBoard's attributes do. Zero where nothing is on offer.
type Offer struct {
	Package PackageID
	At      time.Time
}

// Enqueue begins an update to pkg, or says that it is on its way already
// (false). An open update to something else is replaced. A device that reports
// the target already is UPDATED at once, and on offer: no download is asked of
// it.
func (t *Track) Enqueue(pkg *Package, id string, rollout RolloutID, cause string, now time.Time) bool {
	if u := t.Update; u.Open() && u.Package == pkg.ID && u.Rollout == rollout {
		return false
	}
	t.close(ClosedReplaced)
	u := &Update{ID: id, Kind: pkg.Kind, Package: pkg.ID, Target: pkg.Version, From: t.Reported, Rollout: rollout, Cause: cause, Attempt: 1, Queued: now}
	t.Update, t.Skipped = u, ""
	u.enter(Queued, "", now)
	if t.Reported.Is(pkg.Version) {
		t.Offer = Offer{pkg.ID, now}
		u.enter(Updated, "runs it already", now)
		return false
	}
	return true
}

// Initiate offers a queued update: the attributes tell of it from now on. It
// returns a Conflict where the update is not queued.
func (t *Track) Initiate(timeout time.Duration, now time.Time) error {
	u := t.Update
	if !u.Open() || u.State != Queued {
		return Errorf(Conflict, "offer update", "no update is queued")
	}
	t.Offer = Offer{u.Package, now}
	u.release(now)
	u.Offered, u.Away, u.NotBefore, u.Held = true, false, time.Time{}, ""
	u.enter(Initiated, "", now)
	u.Timeout = timeout
	return nil
}

// Cancel closes the open update; false where none is open.
func (t *Track) Cancel() bool { return t.close(ClosedCancelled) }

func (t *Track) close(why string) bool {
	if !t.Update.Open() {
		return false
	}
	t.Update.Closed = why
	return true
}

// Fail ends the open update with a reason; silent says that the device never
// said a word. One that has failed by itself is given the reason. False where
// neither is there.
func (t *Track) Fail(reason string, silent bool, now time.Time) bool {
	u := t.Update
	switch {
	case u.Open():
		u.Error, u.Silent = reason, silent
		u.enter(Failed, "", now)
	case u != nil && u.State == Failed && u.Closed == "":
		u.Error, u.Silent = reason, silent
	default:
		return false
	}
	return true
}

// Retry puts the update back into the queue, due after wait. An update that was
// only offered to a device that is away uses no attempt and waits until the
// device is heard. It returns false, and changes nothing, when the attempts are
// used up or there is nothing to try again: UPDATED, closed, or queued.
func (t *Track) Retry(attempts int, wait time.Duration, online bool, now time.Time) bool {
	u := t.Update
	if u == nil || u.Closed != "" || u.State == Updated || u.State == Queued {
		return false
	}
	if u.State == Initiated && !online {
		u.Away = true
		u.enter(Queued, "the device is away", now)
		return true
	}
	if u.Attempt >= attempts {
		return false
	}
	u.Attempt++
	u.NotBefore = now.Add(wait)
	u.SaidUpdated, u.Served, u.Silent = false, 0, false
	u.enter(Queued, "attempt "+itoa(u.Attempt), now)
	return true
}

// Reopen lets a failed update begin anew, with all its attempts, in the rollout
// that it belongs to; false where it has not failed. One that has left its target
// again has.
func (t *Track) Reopen(now time.Time) bool {
	u := t.Update
	if u == nil || u.Closed != "" || u.State != Failed && !u.Left {
		return false
	}
	u.Attempt, u.NotBefore, u.Error, u.Left = 1, time.Time{}, "", false
	u.SaidUpdated, u.Served, u.Silent, u.Away, u.Held = false, 0, false, false, ""
	u.enter(Queued, "tried again by an operator", now)
	return true
}

// Hold puts an update back into the queue until a time, with a reason that
// explain shows. It uses no attempt.
func (t *Track) Hold(until time.Time, reason string) {
	if u := t.Update; u.Open() {
		u.NotBefore, u.Held = until, reason
	}
}

// Hold is why and how long an update is held back.
type Hold struct {
	Reason string
	Until  time.Time     // zero: until an event of WakeOn comes
	WakeOn []Event       // or one of these
	GiveUp time.Duration // in sum of all times that the update is held back; 0: no limit
}

// HoldBack puts the open update back into the queue and out of the line, until
// its time or its event comes; whoever asks again then finds out whether the
// reason is gone. It uses no attempt. It returns false, and holds nothing back,
// where the update was held back for as long as it may be.
func (t *Track) HoldBack(h Hold, now time.Time) bool {
	u := t.Update
	if !u.Open() {
		return false
	}
	u.release(now)
	left := h.GiveUp - u.HeldFor
	if h.GiveUp > 0 && left <= 0 {
		return false
	}
	if u.State != Queued {
		u.enter(Queued, h.Reason, now)
	}
	u.Away, u.NotBefore, u.Held, u.HeldFrom, u.WakeOn = false, h.Until, h.Reason, now, h.WakeOn
	if last := now.Add(left); h.GiveUp > 0 && (u.NotBefore.IsZero() || u.NotBefore.After(last)) {
		u.NotBefore = last
	}
	if !u.NotBefore.After(now) { // it joins the line by the clock, as all that is held back does
		u.NotBefore = now.Add(time.Millisecond)
	}
	return true
}

// release ends the time for which the update was held back. What comes after it,
// in the line, does not count.
func (u *Update) release(now time.Time) {
	if u.HeldFrom.IsZero() {
		return
	}
	until := now
	if !u.NotBefore.IsZero() && u.NotBefore.Before(now) {
		until = u.NotBefore
	}
	u.HeldFor += max(until.Sub(u.HeldFrom), 0)
	u.Held, u.HeldFrom, u.WakeOn = "", time.Time{}, nil
}

// Wake lets an update that was held back until the event stand in the line
// again; false where it was not.
func (t *Track) Wake(e Event, now time.Time) bool {
	u := t.Update
	if !u.Open() || u.State != Queued || !slices.Contains(u.WakeOn, e) {
		return false
	}
	u.release(now)
	u.NotBefore = time.Time{}
	return true
}

// Heard tells the track that its device is there: what waited for that gets
// back into the line. It says whether anything changed.
func (t *Track) Heard() bool {
	if u := t.Update; u.Open() && u.Away {
		u.Away = false
		return true
	}
	return false
}

// Ripe lets an update whose time has come stand in the line again.
func (t *Track) Ripe(now time.Time) {
	if u := t.Update; u.Open() && u.State == Queued && !u.NotBefore.After(now) {
		u.release(now)
		u.NotBefore = time.Time{}
	}
}
