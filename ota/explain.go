package ota

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Situation is what one kind of one device follows from. Members that are there
// for names alone may be nil: then ids are shown.
type Situation struct {
	Home      *Home // of the device
	Kind      Kind
	Profile   *Profile
	Effective *Effective    // the assignment in force, nil for none
	Package   *Package      // of Effective
	Offer     *Package      // what the device's attributes tell it
	Rollout   *Rollout      // of the open update, else of Effective
	Counts    RolloutCounts // of Rollout
	Tally     Tally         // of its door
	Letters   []DeadLetter  // runs about the device that failed for a reason of ours
	Pace      Pace          // at which updates are offered

	// Way says in words by which way through which chain a step of the history
	// came about; nil: that is not told.
	Way func(path string) string
}

// Explain says in plain sentences why a device shall run what it shall run, how
// it came to where it is, what it waits for, and what it has been told. It reads
// nothing but its arguments.
func Explain(s Situation, now time.Time) []string {
	x := &story{Situation: s, d: s.Home.Device, t: s.Home.Device.Track(s.Kind), now: now}
	x.why()
	x.runs()
	x.road()
	x.waits()
	x.offered()
	x.seen()
	x.troubles()
	return x.out
}

// story is an explanation that is being told.
type story struct {
	Situation
	d   *Device
	t   *Track
	now time.Time
	out []string
}

func (x *story) say(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), ".") // a reason may end with one
	x.out = append(x.out, text+".")
}

// why says which assignment is in force, from where, by whom and since when.
func (x *story) why() {
	e := x.Effective
	if e == nil {
		x.say("No %s is assigned: neither the device nor its profile%s has one.", x.Kind, before(" ", x.profileName()))
		if x.t.Followed.Package != "" {
			x.say("The device's chains have not been told of that yet; a message for them is on its way.")
		}
		return
	}
	text := x.wanted() + " is in force: it is assigned to " + x.source(e.Source)
	if e.By != "" {
		text += " by " + e.By
	}
	if !e.At.IsZero() {
		text += " since " + moment(e.At) + " (" + span(x.now.Sub(e.At)) + " ago)"
	}
	x.say("%s%s.", text, before(", because of a ", e.Cause))
	if r := x.Rollout; r != nil && r.ID == e.Rollout {
		x.say("Rollout %s of chain %s carries it and is %s%s%s.", r.ID, r.Chain, r.State, before(", at stage ", r.Stage), before(": ", r.Reason))
	}
	if f := x.t.Followed; f.Package != e.Package || f.Rollout != e.Rollout {
		x.say("The device's chains have not been told of that yet; a message for them is on its way.")
	}
}

func (x *story) profileName() string {
	if x.Profile == nil {
		return ""
	}
	return x.Profile.Name
}

func (x *story) source(s Source) string {
	switch s.Type {
	case DeviceRef:
		if x.Profile != nil && x.Profile.Assignment(x.Kind) != nil {
			return "the device itself, which goes before its profile's,"
		}
		return "the device itself"
	case GroupRef:
		return "the group " + s.Name
	}
	return "its profile " + s.Name
}

// wanted names the package in force.
func (x *story) wanted() string {
	if x.Package == nil {
		return "Package " + string(x.Effective.Package)
	}
	return x.Package.Version.String()
}

// runs says what the device reports, and whether that is what it should run.
func (x *story) runs() {
	switch has := x.t.Reported; {
	case has.Zero():
		x.say("The device has not said yet what %s it runs.", x.Kind)
	case x.Package != nil && has.Is(x.Package.Version):
		x.say("The device reports %s: it is up to date.", has)
	default:
		x.say("The device reports %s.", reported(has))
	}
	if x.t.Skipped != "" {
		x.say("The assignment leaves this device out: %s.", x.t.Skipped)
	}
}

// reported names a build that may lack its title.
func reported(v Version) string {
	if v.Title == "" {
		return "version " + v.Version
	}
	if v.Version == "" {
		return v.Title + " without a version"
	}
	return v.String()
}

// road tells the history of the latest update.
func (x *story) road() {
	u := x.t.Update
	if u == nil {
		if x.Effective != nil && x.t.Skipped == "" {
			x.say("No update has begun yet.")
		}
		return
	}
	from := ""
	if !u.From.Zero() {
		from = " from " + reported(u.From)
	}
	x.say("Update %s to %s began at %s%s%s.", u.ID, u.Target, moment(u.Queued), from, before(", because of a ", u.Cause))
	if e := x.Effective; u.Open() && (e == nil || e.Package != u.Package) {
		x.say("That is not what is in force any more; the update will be closed.")
	}
	for i, s := range u.History {
		note := before(": ", s.Note)
		if x.Way != nil && s.Path != "" {
			note += before("; by ", x.Way(s.Path))
		}
		switch {
		case i+1 < len(u.History):
			x.say("At %s it was %s, for %s%s.", moment(s.At), s.State, span(u.History[i+1].At.Sub(s.At)), note)
		case u.Open():
			x.say("Since %s it is %s, for %s now%s.", moment(s.At), s.State, span(x.now.Sub(s.At)), note)
		default:
			x.say("At %s it was %s%s.", moment(s.At), s.State, note)
		}
	}
	if u.Attempt > 1 {
		x.say("This is attempt %d.", u.Attempt)
	}
	if u.Error != "" && u.State != Failed {
		x.say("What failed before: %s.", u.Error)
	}
}

// offered says what the attributes tell the device.
func (x *story) offered() {
	o := x.t.Offer
	switch {
	case o.Package == "":
		x.say("Its attributes tell the device of no %s.", x.Kind)
	case x.Offer == nil:
		x.say("Its attributes tell the device of package %s, since %s.", o.Package, moment(o.At))
	default:
		x.say("Its attributes tell the device of %s, since %s.", x.Offer.Version, moment(o.At))
	}
}

// seen says when the device was last there.
func (x *story) seen() {
	switch d := x.d; {
	case len(d.Sessions) > 0:
		s := d.Sessions[len(d.Sessions)-1]
		x.say("The device is connected by %s since %s.", s.Transport, moment(s.Since))
	case d.Heard.IsZero():
		x.say("The device has never been heard.")
	default:
		x.say("The device was last heard at %s (%s ago).", moment(d.Heard), span(x.now.Sub(d.Heard)))
	}
}

// troubles says what people should look at.
func (x *story) troubles() {
	for _, a := range x.Home.Alarms {
		x.say("An alarm (%s) wants to be looked at since %s: %s: %s.", a.Severity, moment(a.Raised), a.Key, a.Message)
	}
	for i := range x.Letters {
		l := &x.Letters[i]
		where := ""
		if l.Step != "" {
			where = " at step " + l.Step + " of chain " + l.Chain
		}
		times := "once"
		if n := l.Tries(); n > 1 {
			times = strconv.Itoa(n) + " times"
		}
		x.say("A run for %s, of %s, failed %s%s and is kept as dead letter %s: %s.", l.Message.Event, moment(l.At), times, where, l.ID, l.Reason)
	}
}

// before puts a word before text, where there is any.
func before(word, text string) string {
	if text == "" {
		return ""
	}
	return word + text
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

// span writes a duration for people: its two greatest units, seconds at least.
func span(d time.Duration) string {
	if d < time.Second {
		return "less than a second"
	}
	var parts []string
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if n := d / u.size; n > 0 && len(parts) < 2 {
			parts = append(parts, strconv.Itoa(int(n))+" "+u.name)
		} else if len(parts) > 0 {
			break
		}
		d %= u.size
	}
	return strings.Join(parts, " ")
}
