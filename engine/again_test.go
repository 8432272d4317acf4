package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// failing and mended are a chain for an event, before and after somebody has
// looked at it.
func failing(trigger, code string) string {
	return fmt.Sprintf("chain: x\nsummary: A test.\ntrigger: %s\nsteps: [{node: boom, with: {code: %s}}]\n", trigger, code)
}

func mended(trigger string) string {
	return fmt.Sprintf("chain: x\nsummary: A test.\ntrigger: %s\nsteps: [{node: boom, with: {when: 0}}]\n", trigger)
}

// withTail puts a step that writes behind those of a chain.
func withTail(chain string) string {
	return chain[:len(chain)-2] + ", {node: settle}]\n"
}

const answering = "chain: y\nsummary: A test.\ntrigger: telemetry\nsteps: [{node: say, with: {text: fine}}]\n"

// TestAgain: whatever began a run, its message can be run again, on the chains
// of then.
func TestAgain(t *testing.T) {
	pkg := ota.Ref{Tenant: "main", Type: ota.PackageRef, ID: "a"}
	rollout := ota.Ref{Tenant: "main", Type: ota.RolloutRef, ID: "r"}
	due := func(ref ota.Ref, key string) ota.Message {
		return ota.Message{Event: ota.Due, Tenant: "main", Home: ref, Key: key, Began: &ota.Origin{Key: key}}
	}
	observes := "{event: telemetry, observe: true}"
	tests := []struct {
		name    string
		ready   func(s *shelf)
		m       ota.Message
		event   ota.Event
		trigger string
		settles bool // a step that writes: a chain that only asks leaves no letter
		only    string
		beside  []string
	}{
		{name: "telemetry", settles: true, m: telemetry(`{"a":1}`), event: ota.Telemetry},
		{name: "a time-out", settles: true, event: ota.StateTimeout, m: due(thing, "t:firmware"), ready: func(s *shelf) {
			if err := s.device().Firmware.Initiate(time.Hour, testTime); err != nil {
				t.Fatal(err)
			}
			s.now = testTime.Add(time.Hour)
		}},
		{name: "a turn in the line", event: ota.OfferDue, m: ota.Message{Event: ota.OfferDue, Tenant: "main", Device: "d", Kind: ota.Firmware, Began: &ota.Origin{Place: &ota.Place{Kind: ota.Firmware}}}},
		{name: "an assignment", event: ota.Assigned, m: ota.Message{Event: ota.Decide, Tenant: "main", Device: "d", Kind: ota.Firmware}, ready: func(s *shelf) {
			s.device().Firmware.Assigned = &ota.Assignment{Package: "b"}
		}},
		{name: "no assignment", event: ota.Unassigned, m: ota.Message{Event: ota.Decide, Tenant: "main", Device: "d", Kind: ota.Firmware}, ready: func(s *shelf) {
			s.device().Firmware.Followed = ota.Followed{Package: "a", Source: ota.Source{Type: ota.DeviceRef, ID: "d"}}
		}},
		{name: "an end", event: ota.UpdateFinished, only: "x", m: due(thing, "e:1"), ready: func(s *shelf) {
			s.homes[thing].Post(ota.Pending{At: testTime, Event: ota.UpdateFinished, Chain: "x", Kind: ota.Firmware, State: ota.Updated})
		}},
		{name: "a rollout", event: ota.RolloutStarted, only: "x", m: due(rollout, "e:1"), ready: func(s *shelf) {
			h := &ota.Home{Ref: rollout, Version: 1, Rollout: &ota.Rollout{ID: "r", Tenant: "main", Chain: "x", Package: "a", State: ota.RolloutRunning}}
			h.Post(ota.Pending{At: testTime, Event: ota.RolloutStarted, Rollout: "r"})
			s.homes[rollout], s.homes[pkg] = h, &ota.Home{Ref: pkg, Version: 1, Package: &ota.Package{ID: "a", Tenant: "main"}}
		}},
		{name: "a package", event: ota.PackageAdded, m: ota.Message{Event: ota.PackageAdded, Tenant: "main", Home: pkg, Kind: ota.Firmware}, ready: func(s *shelf) {
			s.homes[pkg] = &ota.Home{Ref: pkg, Version: 1, Package: &ota.Package{ID: "a", Tenant: "main", Kind: ota.Firmware}}
		}},
		{name: "an observer", event: ota.Telemetry, trigger: observes, only: "x", m: telemetry(`{}`), beside: []string{answering}},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			s := newShelf()
			if x.ready != nil {
				x.ready(s)
			}
			if x.trigger == "" {
				x.trigger = string(x.event)
			}
			use := func(chain string) *Set {
				if x.settles {
					chain = withTail(chain)
				}
				return testSet(t, Options{}, append([]string{chain}, x.beside...)...)
			}
			e := testEngine(t, s, asking)
			e.Use(use(failing(x.trigger, "internal")))
			if _, err := e.Handle(t.Context(), x.m); err != nil {
				t.Fatal(err)
			}
			first := s.last().Dead
			if first == nil || first.Message.Event != x.event || first.For != x.only || first.Tries() != 1 {
				t.Fatalf("dead letter %+v", first)
			}
			s.now = s.now.Add(time.Minute)
			e.Use(use(failing(x.trigger, "invalid"))) // wrong still, in another way
			again, err := e.Retry(t.Context(), *first)
			if err != nil || again == nil {
				t.Fatalf("%+v, %v", again, err)
			}
			turn := s.last()
			if turn.Retried != first.ID || turn.Dead != again || again.ID != first.ID || again.Tries() != 2 || !again.At.Equal(first.At) || !again.Last.Equal(s.now) || again.For != x.only {
				t.Errorf("turn %+v, the letter is %+v", turn, again)
			}
			e.Use(use(mended(x.trigger)))
			ran := e.Set().Chain("x")
			last, err := e.Retry(t.Context(), *again)
			if err != nil || last != nil || s.last() == turn || s.last().Retried != first.ID || s.last().Dead != nil {
				t.Errorf("%+v, %v, turn %+v", last, err, s.last())
			}
			if n := ran.Stats()[0].Taken["fine"]; n != 1 {
				t.Errorf("the chain ran %d times", n)
			}
			if h := s.homes[pkg]; x.event == ota.PackageAdded && !h.Package.Ready {
				t.Error("the package is not assignable")
			}
		})
	}
}

// TestAgainOvertaken: a message is not run again when that would undo what came
// after it. The letter goes.
func TestAgainOvertaken(t *testing.T) {
	at := testTime.Add(time.Hour)
	about := func(e ota.Event) ota.Message {
		return ota.Message{Event: e, Tenant: "main", Device: "d", Home: thing, Kind: ota.Firmware}
	}
	rollout := ota.Ref{Tenant: "main", Type: ota.RolloutRef, ID: "r"}
	tests := map[string]struct {
		m    ota.Message
		when func(s *shelf)
	}{
		"the update is queued again": {about(ota.StateTimeout), nil},
		"the device has spoken": {about(ota.StateTimeout), func(s *shelf) {
			u := s.device().Firmware.Update
			u.State, u.LastWord = ota.Downloading, at.Add(time.Second)
		}},
		"it is offered":  {about(ota.OfferDue), func(s *shelf) { s.device().Firmware.Update.State = ota.Initiated }},
		"it waits":       {about(ota.OfferDue), func(s *shelf) { s.device().Firmware.Update.Away = true }},
		"assigned again": {about(ota.Unassigned), func(s *shelf) { s.device().Firmware.Update.Queued = at.Add(time.Second) }},
		"replaced": {ota.Message{Event: ota.RolloutStarted, Tenant: "main", Home: rollout}, func(s *shelf) {
			s.homes[rollout] = &ota.Home{Ref: rollout, Version: 1, Rollout: &ota.Rollout{ID: "r", State: ota.RolloutReplaced}}
		}},
	}
	for name, x := range tests {
		t.Run(name, func(t *testing.T) {
			s := newShelf()
			if x.when != nil {
				x.when(s)
			}
			e := testEngine(t, s, withTail(failing(string(ota.StateTimeout), "internal")))
			again, err := e.Retry(t.Context(), ota.DeadLetter{ID: "7", Tenant: "main", At: at, Message: x.m, For: map[bool]string{true: "x"}[name == "replaced"]})
			if err != nil || again != nil || s.last() == nil || s.last().Retried != "7" {
				t.Errorf("%+v, %v, turn %+v", again, err, s.last())
			}
		})
	}
}

func TestAgainOfNobody(t *testing.T) {
	s := newShelf()
	e := testEngine(t, s, asking)
	l := ota.DeadLetter{ID: "7", Tenant: "main", Message: telemetry(`{}`)}
	again, err := e.Retry(t.Context(), l)
	if err != nil || again == nil || again.Tries() != 2 {
		t.Errorf("no chain hears it: %+v, %v", again, err)
	}
	l.Message.Device = "gone"
	again, err = e.Retry(t.Context(), l)
	if again != nil || ota.CodeOf(err) != ota.NotFound {
		t.Errorf("the device is gone: %+v, %v", again, err)
	}
	s.away = ota.Errorf(ota.Busy, "commit", "redis is away")
	again, err = e.Retry(t.Context(), ota.DeadLetter{ID: "7", Tenant: "main", Message: telemetry(`{}`)})
	if again != nil || ota.CodeOf(err) != ota.Busy {
		t.Errorf("the store is away: %+v, %v", again, err)
	}
}

// TestAgainOfParked: a run that failed after its wait begins anew.
func TestAgainOfParked(t *testing.T) {
	s := newShelf()
	waits := func(code string) string {
		return head + "steps: [{node: wait, with: {for: 1h}}, {node: boom, with: {" + code + "}}]\n"
	}
	e := testEngine(t, s, waits("code: internal"))
	if _, err := e.Handle(t.Context(), telemetry(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(time.Hour)
	if _, err := e.Handle(t.Context(), ota.Message{Event: ota.Due, Tenant: "main", Home: thing, Key: "r:1"}); err != nil {
		t.Fatal(err)
	}
	dead := s.last().Dead
	if dead == nil || dead.For != "" || string(dead.Message.Values) != `{"a":1}` {
		t.Fatalf("%+v", dead)
	}
	e.Use(testSet(t, Options{}, waits("when: 0")))
	again, err := e.Retry(t.Context(), *dead)
	if err != nil || again != nil || s.last().Retried != dead.ID || len(s.homes[thing].Parked) != 1 {
		t.Errorf("%+v, %v, parked %+v", again, err, s.homes[thing].Parked)
	}
}
