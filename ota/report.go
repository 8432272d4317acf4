package ota

import (
	"strconv"
	"time"
)

// Report is what one message of a device says about one kind. Members that it
// does not mention are "".
type Report struct {
	State   string // free text: the standard words, IDLE, or anything
	Title   string
	Version string
	Error   string
}

// Empty says whether the message says nothing about the kind.
func (r Report) Empty() bool { return r == Report{} }

// Outcome says what a report did to the update.
type Outcome string

// The outcomes, named like the outlets of update_status.
const (
	Moved      Outcome = "moved"      // it is about the open update; perhaps a repeat
	ToUpdated  Outcome = "updated"    // the device runs the target
	ToFailed   Outcome = "failed"     // the device says that it failed
	Mismatched Outcome = "mismatched" // says UPDATED and runs something else
	Unrelated  Outcome = "unrelated"  // noted, no update is concerned
)

// Report moves the track by what its device says. A device may report out of
// order, repeat, skip or lie:
//
//   - before the offer a report moves nothing, but the target version counts;
//   - a later state is believed, also where states between were skipped;
//   - the same state again, or an earlier one, is a repeat, except that
//     DOWNLOADING after a later state is a download begun again;
//   - FAILED ends the update from any state it was offered in;
//   - UPDATED counts when the version reported with it is the target. Said
//     without a version it waits for one; with another one it is Mismatched;
//   - the target version without one of the standard states counts too, even
//     after FAILED: what runs is the truth;
//   - after UPDATED nothing moves.
func (t *Track) Report(r Report, now time.Time) Outcome {
	if r.Empty() {
		return Unrelated
	}
	runs := t.note(r)
	u := t.Update
	if u == nil || u.Closed != "" || u.State == Updated {
		return Unrelated
	}
	word := State(r.State)
	standard := word.rank() >= Downloading.rank() || word.Final()
	atTarget := r.Version != "" && runs.Is(u.Target)
	if atTarget && (!standard || word == Updated) {
		return t.arrive(u, now)
	}
	if !u.Offered || u.State == Failed {
		return Unrelated
	}
	switch {
	case word == Failed:
		u.LastWord, u.Error, u.Silent = now, r.Error, false
		u.enter(Failed, "", now)
		return ToFailed
	case r.Version != "" && (word == Updated || !standard && u.SaidUpdated):
		u.LastWord, u.Reported = now, runs
		return Mismatched
	case word == Updated:
		u.LastWord, u.SaidUpdated = now, true
		return Moved
	case !standard:
		return Unrelated
	}
	u.LastWord = now
	if word.rank() > u.State.rank() || word == Downloading && u.State != Downloading {
		if word == Downloading {
			u.SaidUpdated, u.Served = false, 0
		}
		u.release(now)
		u.Away, u.NotBefore, u.Held = false, time.Time{}, ""
		u.enter(word, "", now)
	}
	return Moved
}

// note keeps what the device says that it runs.
func (t *Track) note(r Report) Version {
	if r.Title != "" {
		t.Reported.Title = r.Title
	}
	if r.Version != "" {
		t.Reported.Version, t.Reported.Tag = r.Version, ""
	}
	runs := t.Reported
	if runs.Title == "" && t.Update != nil { // a device that names only its version
		runs.Title = t.Update.Target.Title
	}
	return runs
}

// Strays says whether the device of an update that is UPDATED says that it runs
// something else again.
func (t *Track) Strays() bool {
	u := t.Update
	if u == nil || u.Closed != "" || u.State != Updated || t.Reported.Version == "" {
		return false
	}
	return !t.note(Report{}).Is(u.Target)
}

// Watch notes, while its rollout goes on, whether the device of an update that is
// UPDATED runs something else again: then it counts as failed, until it is back.
func (t *Track) Watch() {
	if u := t.Update; u != nil && u.State == Updated && u.Closed == "" {
		u.Left = t.Strays()
	}
}

func (t *Track) arrive(u *Update, now time.Time) Outcome {
	note := ""
	if !u.Offered {
		note = "runs it already"
		t.Offer = Offer{u.Package, now}
	}
	u.LastWord, u.Error, u.Silent, u.SaidUpdated = now, "", false, false
	u.release(now)
	u.Away, u.NotBefore, u.Held = false, time.Time{}, ""
	u.enter(Updated, note, now)
	return ToUpdated
}

func itoa(n int) string { return strconv.Itoa(n) }
