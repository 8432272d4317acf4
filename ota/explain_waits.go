package ota

import (
	"strconv"
	"strings"
)

// waits says what has to happen next, and until when.
func (x *story) waits() {
	u := x.t.Update
	switch {
	case u == nil:
	case u.Closed == ClosedCancelled:
		x.say("The update was cancelled; nothing is asked of the device.")
	case u.Closed == ClosedReplaced:
		x.say("The update was replaced by another one.")
	case u.State == Updated:
		x.say("The update has arrived; there is nothing to wait for.")
	case u.State == Failed:
		x.failed(u)
	case u.State == Queued:
		x.queued(u)
	default:
		x.underWay(u)
	}
}

func (x *story) failed(u *Update) {
	text := "It failed at attempt " + strconv.Itoa(max(u.Attempt, 1)) + before(": ", u.Error)
	if u.Silent {
		text += ", without a word of the device"
	}
	x.say("%s.", text)
	if !u.Reported.Zero() {
		x.say("The device reported %s instead of %s.", reported(u.Reported), u.Target)
	}
	x.say("It is not tried again by itself; when the device reports %s after all, the update counts as done.", u.Target)
}

// queued says why an update is not offered now.
func (x *story) queued(u *Update) {
	switch {
	case u.Away:
		x.say("It waits until the device is heard again, which uses no attempt; then it stands in the line.")
		return
	case u.NotBefore.After(x.now):
		x.say("It waits until %s, for %s%s%s.", moment(u.NotBefore), span(u.NotBefore.Sub(x.now)), before(", or until the next event ", events(u.WakeOn)), before(": ", u.Held))
	case !u.NotBefore.IsZero():
		x.say("Its time to wait is over; it stands in the line at once.")
	case u.Held != "":
		x.say("It is held: %s.", u.Held)
	}
	if u.Rollout == "" {
		x.say("It waits for its turn in the line of devices that have an assignment of their own%s.", x.pace())
		return
	}
	r := x.Rollout
	if r == nil || r.ID != u.Rollout {
		x.say("It waits for rollout %s, of which nothing is known any more.", u.Rollout)
		return
	}
	x.door(r, u)
}

func events(all []Event) string {
	var out []string
	for _, e := range all {
		out = append(out, string(e))
	}
	return strings.Join(out, " or ")
}

// door says whether the rollout lets the device in.
func (x *story) door(r *Rollout, u *Update) {
	switch {
	case r.State == RolloutPaused:
		x.say("It waits until rollout %s goes on, which is paused%s.", r.ID, before(": ", r.Reason))
	case r.State == RolloutCancelled || r.State == RolloutReplaced:
		x.say("Rollout %s is %s%s: it offers nothing any more.", r.ID, r.State, before(": ", r.Reason))
	case !r.Open() && r.Stopped == "":
		x.say("It waits for rollout %s, which has not let in any device yet.", r.ID)
	case r.Stopped != "":
		x.say("It waits for rollout %s, whose stage %s is stopped%s.", r.ID, r.Stage, before(": ", r.Reason))
	case r.Permits && r.State == RolloutRunning && u.Admission == NotAdmitted && x.Tally.Admitted >= r.Allowed:
		x.say("Rollout %s is in stage %s (%d of %d admitted); this device stands %s%s.",
			r.ID, r.Stage, x.Tally.Admitted, r.Allowed, stands(r, u), before(", it comes with stage ", x.comes(r, u.Place, false)))
	case !r.Reaches(u) && r.Bands() > 0:
		x.say("It waits for rollout %s, whose stage %s lets in first who comes first with it; the device stands %s%s.",
			r.ID, r.Stage, stands(r, u), before(", it comes with stage ", x.comes(r, u.Place, true)))
	case !r.Reaches(u):
		x.say("It waits for rollout %s%s: the device stands at %s of the line, and those up to %s are let in so far%s.",
			r.ID, before(", at stage ", r.Stage), percent(u.Place), percent(r.Mark), before("; it comes with stage ", stageOf(r, u.Place)))
	default:
		x.say("Rollout %s lets it in: it waits for its turn, %s%s.", r.ID, stands(r, u), x.pace())
	}
}

// stands says where in the line of r an update waits.
func stands(r *Rollout, u *Update) string {
	stage, share := r.BandOf(u.Place)
	if stage != nil {
		return "at " + percent(share) + " of those that come first with stage " + stage.Name
	}
	if r.Bands() == 0 {
		return "at " + percent(u.Place) + " of the line"
	}
	var first []string
	for i := range r.Plan {
		if r.Plan[i].Where != "" {
			first = append(first, r.Plan[i].Name)
		}
	}
	return "at " + percent(share) + " of the line behind those that come first with stage " + strings.Join(first, " or ")
}

// comes is the stage that will reach a place, "" where none does: one behind the
// open one, which may be it too where open says so. How many devices come first
// is not known, so that for those behind them it is the earliest one.
func (x *story) comes(r *Rollout, place float64, open bool) string {
	own, share := r.BandOf(place)
	behind, passed := false, false // the open stage, and the one that the device comes first with
	for i := range r.Plan {
		s := &r.Plan[i]
		switch {
		case !behind && (!open || s.Name != r.Stage):
		case own != nil && (own == s || passed):
			return s.Name
		case own == nil && x.Counts.Members > 0 && float64(s.Quota(x.Counts)) >= share*float64(x.Counts.Members):
			if r.Bands() > 0 {
				return s.Name + " at the earliest"
			}
			return s.Name
		}
		behind, passed = behind || s.Name == r.Stage, passed || s == own
	}
	return ""
}

// stageOf is the stage that reaches a place, "" where the plan does not say.
func stageOf(r *Rollout, place float64) string {
	for _, s := range r.Plan {
		if s.Share >= place && s.Share > r.Mark {
			return s.Name
		}
	}
	return ""
}

func (x *story) pace() string {
	p := x.Pace
	if p.Count <= 0 || p.Every <= 0 {
		return ""
	}
	return "; " + strconv.Itoa(p.Count) + " are offered every " + span(p.Every)
}

// underWay says until when the device may be silent.
func (x *story) underWay(u *Update) {
	if u.SaidUpdated {
		x.say("The device says UPDATED and owes the version that it runs now.")
	}
	if u.State == Downloading && u.Served > 0 {
		x.say("It has been sent %d bytes.", u.Served)
	}
	word := "the device has said nothing since then"
	if u.State != Initiated || u.LastWord.After(u.Entered) {
		last := u.Entered
		if u.LastWord.After(last) {
			last = u.LastWord
		}
		word = "its last word about it came at " + moment(last)
	}
	at := u.Deadline()
	if at.After(x.now) {
		x.say("It waits for the device: %s; it may be silent until %s, %s from now.", word, moment(at), span(at.Sub(x.now)))
		return
	}
	x.say("It waited for the device, whose time ran out at %s (%s ago): %s; its chain decides now whether to try again.", moment(at), span(x.now.Sub(at)), word)
}

func percent(share float64) string { return strconv.FormatFloat(share*100, 'f', 2, 64) + " %" }
