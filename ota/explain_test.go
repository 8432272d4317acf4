package ota

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	born = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	app  = &Package{ID: "a2", Kind: Firmware, Version: Version{Title: "app", Version: "1.2"}}
)

// situation is a device of a profile to which app@1.2 is assigned by rollout r7,
// two hours after the assignment; its update is queued since then.
func situation() Situation {
	p := &Profile{ID: "p", Name: "pump", Firmware: &Assignment{Package: "a2", Rollout: "r7", At: born, By: "anna"}}
	d := &Device{ID: "d", Name: "pump-1", Profile: "p", Heard: born.Add(time.Hour)}
	t := &d.Firmware
	t.Reported = Version{Title: "app", Version: "1.1"}
	t.Enqueue(app, "3", "r7", "", born)
	t.Update.Place = 0.0731
	e := FindEffective(d, p, Firmware)
	t.Followed = Followed{Package: "a2", Rollout: "r7", Source: e.Source}
	return Situation{
		Home: &Home{Device: d}, Kind: Firmware, Profile: p, Effective: e, Package: app,
		Rollout: &Rollout{
			ID: "r7", Chain: "canary", State: RolloutRunning, Package: "a2", Stage: "tenth", Quota: 1, Mark: 0.1,
			Plan: []Stage{{Name: "canary", Share: 0.05}, {Name: "tenth", Share: 0.1}, {Name: "all", Share: 1}},
		},
		Pace: Pace{Count: 100, Every: time.Minute},
	}
}

// TestExplainWhole reads one explanation from its beginning to its end.
func TestExplainWhole(t *testing.T) {
	s := situation()
	track := &s.Home.Device.Firmware
	if err := track.Initiate(time.Hour, born.Add(5*time.Minute)); err != nil {
		t.Fatal(err)
	}
	track.Report(Report{State: "DOWNLOADING"}, born.Add(6*time.Minute))
	track.Report(Report{State: "FAILED", Error: "bad sector."}, born.Add(36*time.Minute))
	track.Retry(3, time.Minute, true, born.Add(36*time.Minute))
	track.Ripe(born.Add(40 * time.Minute))
	if err := track.Initiate(2*time.Hour, born.Add(40*time.Minute)); err != nil {
		t.Fatal(err)
	}
	track.Report(Report{State: "DOWNLOADING"}, born.Add(61*time.Minute))
	track.Update.Served = 4096
	s.Offer = app
	s.Home.Device.Sessions = []Session{{Transport: "mqtt", Since: born.Add(30 * time.Minute)}}
	s.Home.Raise("bad-flash", Critical, "the flash wears out", born.Add(time.Hour))
	s.Letters = []DeadLetter{{ID: "l1", At: born, Chain: "telemetry", Step: "fail", Reason: "no pressure", Attempts: 2, Message: Message{Event: Telemetry}}}
	want := []string{
		"app@1.2 is in force: it is assigned to its profile pump by anna since 2026-11-23 09:00:00Z (2 h ago).",
		"Rollout r7 of chain canary carries it and is running, at stage tenth.",
		"The device reports app@1.1.",
		"Update 3 to app@1.2 began at 2026-11-23 09:00:00Z from app@1.1.",
		"At 2026-11-23 09:00:00Z it was QUEUED, for 5 min.",
		"At 2026-11-23 09:05:00Z it was INITIATED, for 1 min.",
		"At 2026-11-23 09:06:00Z it was DOWNLOADING, for 30 min.",
		"At 2026-11-23 09:36:00Z it was FAILED, for less than a second.",
		"At 2026-11-23 09:36:00Z it was QUEUED, for 4 min: attempt 2.",
		"At 2026-11-23 09:40:00Z it was INITIATED, for 21 min.",
		"Since 2026-11-23 10:01:00Z it is DOWNLOADING, for 59 min now.",
		"This is attempt 2.",
		"What failed before: bad sector.",
		"It has been sent 4096 bytes.",
		"It waits for the device: its last word about it came at 2026-11-23 10:01:00Z; it may be silent until 2026-11-24 10:01:00Z, 23 h 1 min from now.",
		"Its attributes tell the device of app@1.2, since 2026-11-23 09:40:00Z.",
		"The device is connected by mqtt since 2026-11-23 09:30:00Z.",
		"An alarm (critical) wants to be looked at since 2026-11-23 10:00:00Z: bad-flash: the flash wears out.",
		"A run for telemetry, of 2026-11-23 09:00:00Z, failed 2 times at step fail of chain telemetry and is kept as dead letter l1: no pressure.",
	}
	if diff := cmp.Diff(want, Explain(s, born.Add(2*time.Hour))); diff != "" {
		t.Error(diff)
	}
}

func TestExplain(t *testing.T) {
	now := born.Add(2 * time.Hour)
	upd := func(s *Situation) *Update { return s.Home.Device.Firmware.Update }
	tests := map[string]struct {
		change func(s *Situation)
		want   []string // sentences that must stand there
		never  string   // what none may say
	}{
		"nothing is assigned": {func(s *Situation) {
			s.Effective, s.Package, s.Rollout, s.Home.Device.Firmware = nil, nil, nil, Track{}
		}, []string{
			"No firmware is assigned: neither the device nor its profile pump has one.", "The device has not said yet what firmware it runs.",
			"Its attributes tell the device of no firmware.", "The device was last heard at 2026-11-23 10:00:00Z (1 h ago).",
		}, "pdate"},
		"unassigned a moment ago": {func(s *Situation) { s.Effective, s.Package = nil, nil }, []string{
			"The device's chains have not been told of that yet; a message for them is on its way.", "That is not what is in force any more; the update will be closed.",
		}, ""},
		"its own": {func(s *Situation) {
			s.Home.Device.Firmware.Assigned = &Assignment{Package: "a2", At: born, Cause: "rollback"}
			s.Effective = FindEffective(s.Home.Device, s.Profile, Firmware)
			s.Rollout, upd(s).Rollout = nil, ""
		}, []string{
			"app@1.2 is in force: it is assigned to the device itself, which goes before its profile's, since 2026-11-23 09:00:00Z (2 h ago), because of a rollback.",
			"The device's chains have not been told of that yet; a message for them is on its way.",
			"It waits for its turn in the line of devices that have an assignment of their own; 100 are offered every 1 min.",
		}, "Rollout"},
		"of a group, the package is gone": {func(s *Situation) { s.Effective.Source, s.Package = Source{GroupRef, "g", "north"}, nil }, []string{
			"Package a2 is in force: it is assigned to the group north by anna since 2026-11-23 09:00:00Z (2 h ago).",
		}, ""},
		"skipped": {func(s *Situation) {
			s.Home.Device.Firmware.Update, s.Home.Device.Firmware.Skipped = nil, "app@1.2 is made for another device profile"
		}, []string{"The assignment leaves this device out: app@1.2 is made for another device profile."}, "No update has begun"},
		"not begun":      {func(s *Situation) { s.Home.Device.Firmware.Update = nil }, []string{"No update has begun yet."}, ""},
		"only a version": {func(s *Situation) { s.Home.Device.Firmware.Reported = Version{Version: "7"} }, []string{"The device reports version 7."}, ""},
		"only a title":   {func(s *Situation) { s.Home.Device.Firmware.Reported = Version{Title: "app"} }, []string{"The device reports app without a version."}, ""},
		"its turn":       {nil, []string{"Since 2026-11-23 09:00:00Z it is QUEUED, for 2 h now.", "Rollout r7 lets it in: it waits for its turn, at 7.31 % of the line; 100 are offered every 1 min."}, ""},
		"no pace":        {func(s *Situation) { s.Pace = Pace{} }, []string{"Rollout r7 lets it in: it waits for its turn, at 7.31 % of the line."}, "offered every"},
		"a later stage": {func(s *Situation) { s.Rollout.Stage, s.Rollout.Mark = "canary", 0.05 }, []string{
			"It waits for rollout r7, at stage canary: the device stands at 7.31 % of the line, and those up to 5.00 % are let in so far; it comes with stage tenth.",
		}, "lets it in"},
		"by permits": {func(s *Situation) {
			r := s.Rollout
			r.SetPlan([]Stage{{Name: "canary", Share: 0.01, AtLeast: 20, MaxInFlight: 5}, {Name: "fifth", Share: 0.05}, {Name: "tenth", Share: 0.1}, {Name: "everyone", Share: 1}})
			r.Stage, r.Quota, r.Mark, r.Allowed = "canary", 0.01, 1, 20
			s.Counts, s.Tally = RolloutCounts{Members: 1000, Waiting: 980}, Tally{Admitted: 20}
		}, []string{"Rollout r7 is in stage canary (20 of 20 admitted); this device stands at 7.31 % of the line, it comes with stage tenth."}, "lets it in"},
		"stopped": {func(s *Situation) { s.Rollout.Stopped, s.Rollout.Reason = StoppedFailed, "3 of 20 failed" }, []string{
			"It waits for rollout r7, whose stage tenth is stopped: 3 of 20 failed.",
		}, "lets it in"},
		"paused": {func(s *Situation) { s.Rollout.State, s.Rollout.Reason = RolloutPaused, "3 of 20 failed" }, []string{
			"It waits until rollout r7 goes on, which is paused: 3 of 20 failed.",
		}, "lets it in"},
		"cancelled": {func(s *Situation) { s.Rollout.State = RolloutCancelled }, []string{"Rollout r7 is cancelled: it offers nothing any more."}, "lets it in"},
		"replaced":  {func(s *Situation) { s.Rollout.State = RolloutReplaced }, []string{"Rollout r7 is replaced: it offers nothing any more."}, "lets it in"},
		"shut":      {func(s *Situation) { s.Rollout.Quota = 0 }, []string{"It waits for rollout r7, which has not let in any device yet."}, "lets it in"},
		"no record": {func(s *Situation) { s.Rollout = nil }, []string{"It waits for rollout r7, of which nothing is known any more."}, ""},
		"finished":  {func(s *Situation) { s.Rollout.State = RolloutDone }, []string{"Rollout r7 lets it in: it waits for its turn, at 7.31 % of the line; 100 are offered every 1 min."}, ""},
		"away": {func(s *Situation) { upd(s).Away, upd(s).Offered = true, true }, []string{
			"It waits until the device is heard again, which uses no attempt; then it stands in the line.",
		}, "turn"},
		"later": {func(s *Situation) { s.Home.Device.Firmware.Hold(now.Add(90*time.Minute), "the window opens at night") }, []string{
			"It waits until 2026-11-23 12:30:00Z, for 1 h 30 min: the window opens at night.",
		}, ""},
		"until an event": {func(s *Situation) {
			s.Home.Device.Firmware.HoldBack(Hold{Reason: "it is on battery", Until: now.Add(90 * time.Minute), WakeOn: []Event{Connected, Telemetry}}, now)
		}, []string{"It waits until 2026-11-23 12:30:00Z, for 1 h 30 min, or until the next event connected or telemetry: it is on battery."}, ""},
		"later is over": {func(s *Situation) { upd(s).NotBefore = now.Add(-time.Second) }, []string{"Its time to wait is over; it stands in the line at once."}, ""},
		"held":          {func(s *Situation) { upd(s).Held = "the battery is low" }, []string{"It is held: the battery is low."}, ""},
		"offered, silent": {func(s *Situation) { _ = s.Home.Device.Firmware.Initiate(24*time.Hour, born) }, []string{
			"It waits for the device: the device has said nothing since then; it may be silent until 2026-11-24 09:00:00Z, 22 h from now.",
		}, ""},
		"overdue": {func(s *Situation) { _ = s.Home.Device.Firmware.Initiate(time.Hour, born) }, []string{
			"It waited for the device, whose time ran out at 2026-11-23 10:00:00Z (1 h ago): the device has said nothing since then; its chain decides now whether to try again.",
		}, "may be silent"},
		"says updated": {func(s *Situation) {
			_ = s.Home.Device.Firmware.Initiate(time.Hour, born)
			s.Home.Device.Firmware.Report(Report{State: "UPDATED"}, now)
		}, []string{"The device says UPDATED and owes the version that it runs now."}, ""},
		"failed": {func(s *Situation) {
			s.Home.Device.Firmware.Fail("no word in INITIATED", true, born.Add(time.Hour))
			upd(s).Reported = Version{Title: "app", Version: "1.0"}
		}, []string{
			"At 2026-11-23 10:00:00Z it was FAILED.", "It failed at attempt 1: no word in INITIATED, without a word of the device.", "The device reported app@1.0 instead of app@1.2.",
			"It is not tried again by itself; when the device reports app@1.2 after all, the update counts as done.",
		}, "What failed before"},
		"updated": {func(s *Situation) {
			s.Home.Device.Firmware.Report(Report{Title: "app", Version: "1.2"}, born.Add(time.Minute))
		}, []string{
			"The device reports app@1.2: it is up to date.", "At 2026-11-23 09:01:00Z it was UPDATED: runs it already.", "The update has arrived; there is nothing to wait for.",
			"Its attributes tell the device of package a2, since 2026-11-23 09:01:00Z.",
		}, "turn"},
		"closed":      {func(s *Situation) { s.Home.Device.Firmware.Cancel() }, []string{"The update was cancelled; nothing is asked of the device."}, "turn"},
		"closed anew": {func(s *Situation) { upd(s).Closed = ClosedReplaced }, []string{"The update was replaced by another one."}, "turn"},
		"never heard": {func(s *Situation) { s.Home.Device.Heard = time.Time{} }, []string{"The device has never been heard."}, ""},
	}
	for name, x := range tests {
		t.Run(name, func(t *testing.T) {
			s := situation()
			if x.change != nil {
				x.change(&s)
			}
			got := Explain(s, now)
			for _, w := range x.want {
				if !slices.Contains(got, w) {
					t.Errorf("it does not say %q:\n%s", w, strings.Join(got, "\n"))
				}
			}
			for _, g := range got {
				if x.never != "" && strings.Contains(g, x.never) || strings.Contains(g, "%!") || strings.HasSuffix(g, "..") {
					t.Errorf("it says %q", g)
				}
			}
		})
	}
}

// TestExplainEveryState: whatever state an update is in, it is said what it waits
// for, and nothing breaks where all that may be unknown is unknown.
func TestExplainEveryState(t *testing.T) {
	for _, state := range States() {
		for _, k := range Kinds() {
			d := &Device{ID: "d"}
			d.Track(k).Update = &Update{ID: "1", Kind: k, State: state}
			got := Explain(Situation{Home: &Home{Device: d}, Kind: k}, born)
			text := strings.Join(got, " ")
			if !strings.Contains(text, "wait") && state != Failed || strings.Contains(text, "%!") {
				t.Errorf("%s: %s", state, strings.Join(got, "\n"))
			}
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "less than a second", 0: "less than a second", time.Second: "1 s", 61 * time.Second: "1 min 1 s", time.Hour: "1 h",
		time.Hour + time.Second: "1 h", 25*time.Hour + 3*time.Minute: "1 d 1 h", 30 * 24 * time.Hour: "30 d",
	} {
		if got := span(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}
