package ota

import (
	"testing"
	"time"
)

// held is a track whose update waits in the line since t0.
func held(t *testing.T) *Track {
	t.Helper()
	tr := &Track{}
	if !tr.Enqueue(pk2, "1", "r1", "", t0) {
		t.Fatal("nothing was queued")
	}
	return tr
}

func TestHoldBack(t *testing.T) {
	hour := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Hour) }
	h := Hold{Reason: "night", Until: hour(2), GiveUp: 5 * time.Hour, WakeOn: []Event{Connected}}

	tr := held(t)
	u := tr.Update
	if !tr.HoldBack(h, t0) || u.Waiting() || u.Held != "night" || !u.NotBefore.Equal(hour(2)) {
		t.Fatalf("%+v", u)
	}
	tr.Ripe(hour(1))
	if u.Waiting() {
		t.Error("in line before its time")
	}
	tr.Ripe(hour(3)) // an hour late: that is time in the queue
	if !u.Waiting() || u.HeldFor != 2*time.Hour || u.Held != "" {
		t.Errorf("%+v", u)
	}

	h.Until = hour(20)
	if !tr.HoldBack(h, hour(4)) || !u.NotBefore.Equal(hour(7)) {
		t.Errorf("no longer than what is left of five hours: %s", u.NotBefore)
	}
	if tr.Wake(Telemetry, hour(5)) || !tr.Wake(Connected, hour(5)) || tr.Wake(Connected, hour(5)) || !u.Waiting() || u.HeldFor != 3*time.Hour {
		t.Errorf("%+v", u)
	}

	if !tr.HoldBack(h, hour(6)) || !tr.HoldBack(h, hour(7)) || u.HeldFor != 4*time.Hour {
		t.Errorf("held while it is held, it is one hold: %s", u.HeldFor)
	}
	tr.Ripe(hour(8))
	if tr.HoldBack(h, hour(8)) || !u.Waiting() || len(u.History) != 1 {
		t.Errorf("five hours are over: %+v", u)
	}
}

func TestHoldBackFromEachState(t *testing.T) {
	for _, s := range States() {
		tr := in(t, s)
		steps := len(tr.Update.History)
		got := tr.HoldBack(Hold{Reason: "x", Until: t0.Add(time.Hour)}, t0)
		if want := !s.Final(); got != want {
			t.Errorf("%s: held %v", s, got)
			continue
		}
		if !got {
			continue
		}
		if u := tr.Update; u.State != Queued || u.Attempt != 1 || u.Waiting() || !u.Deadline().IsZero() {
			t.Errorf("%s: %+v", s, u)
		}
		if moved := len(tr.Update.History) - steps; (s == Queued) != (moved == 0) {
			t.Errorf("%s: %d moves", s, moved)
		}
	}
	// What is offered, or reported by a device of its own accord, is not held.
	tr := held(t)
	tr.HoldBack(Hold{Reason: "x", Until: t0.Add(time.Hour), WakeOn: []Event{Connected}}, t0)
	if err := tr.Initiate(time.Hour, t0.Add(10*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if u := tr.Update; u.HeldFor != 10*time.Minute || u.WakeOn != nil || u.Held != "" {
		t.Errorf("%+v", u)
	}
}

func TestMarks(t *testing.T) {
	h := &Home{}
	for i, want := range []int{1, 2, 3} {
		if m := h.See("a", time.Hour, t0.Add(time.Duration(i)*20*time.Minute)); m.Count != want {
			t.Errorf("time %d: count %d", i, m.Count)
		}
	}
	if m := h.See("a", time.Hour, t0.Add(time.Hour)); m.Count != 1 {
		t.Errorf("an hour after the first time: %+v", m)
	}
	kept := h.Clone()
	for i := range 200 {
		h.See(string(rune('b'+i)), 24*time.Hour+time.Duration(i)*time.Second, t0.Add(time.Hour))
	}
	if len(h.Marks) != maxMarks || len(kept.Marks) != 1 {
		t.Errorf("%d marks, and %d in a copy", len(h.Marks), len(kept.Marks))
	}
	if m := h.See(string(rune('b'+199)), time.Hour, t0.Add(2*time.Hour)); m.Count != 2 {
		t.Error("the latest mark is gone")
	}
	if h.See("z", time.Hour, t0.Add(72*time.Hour)); len(h.Marks) != 1 {
		t.Errorf("%d marks when all but one have ended", len(h.Marks))
	}
}
