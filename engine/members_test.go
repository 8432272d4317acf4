package engine

import (
	"context"
	"log/slog"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

type reachConfig struct {
	Branch string `yaml:"branch"`
}

type reachNode struct{ target ota.Ref }

func (n *reachNode) Process(_ context.Context, r *Run) (string, error) {
	return r.ForEachDevice(n.target, ota.Pace{Count: 1})
}

func (n *reachNode) Wake(_ context.Context, r *Run) (string, error) {
	r.Set("done", int(r.Came().Job.Done))
	return "finished", nil
}

// reaching is an engine whose chain reaches every pump when dev-1 speaks. write
// puts a text behind a device's name.
func reaching(t *testing.T, s *shelf, branch string) *Engine {
	t.Helper()
	reach := Define(Spec{
		Name: "reach", Members: true, Waits: true, Writes: true, Outlets: []Outlet{{Name: "finished"}}, Outputs: []Output{{"done", IntType, ""}},
		Fields: []Field{{Key: "branch", Required: true, Runs: true}},
	}, reachConfig{}, func(reachConfig) (Node, error) {
		return &reachNode{ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: "p"}}, nil
	})
	write := Define(Spec{Name: "write", Subject: Device, Writes: true, Outlets: []Outlet{{Name: "written"}}, Fields: []Field{{Key: "text", Required: true}}}, sayConfig{}, func(c sayConfig) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			text, err := c.Text.Get(r)
			r.Home.Device.Name += " " + text
			return "written", err
		}), nil
	})
	reg, err := NewRegistry([]Factory{reach, write, boom(), wait()})
	if err != nil {
		t.Fatal(err)
	}
	const chain = head + "vars: {n: 2}\nsteps:\n  - {node: set, with: {n: 5}}\n  - {node: reach, with: {branch: one}}\n" +
		"  - {node: write, with: {text: \"reached ${steps.reach.done}\"}}\nbranches:\n  one:\n"
	set, err := Compile(sources(chain+branch), reg, Options{})
	if err != nil {
		t.Fatal(FaultsOf(err).Text())
	}
	for _, id := range []ota.DeviceID{"d2", "d3"} {
		h := &ota.Home{Ref: ota.RefOf("main", id), Version: 1, Device: &ota.Device{ID: id, Name: "dev-" + string(id), Tenant: "main", Profile: "p", Heard: testTime}}
		s.homes[h.Ref] = h
	}
	return New(set, Host{Homes: s, Facts: s, Fresh: s, Sender: s, Process: "me", Log: slog.New(slog.DiscardHandler)})
}

// begun lets dev-1 begin a job and delivers the message that makes it, twice.
func begun(t *testing.T, e *Engine, s *shelf) *ota.Job {
	t.Helper()
	handle(t, e, telemetry(`{"a":"b"}`))
	out := s.last().Out
	if len(out) != 1 || len(s.homes[thing].Parked) != 1 {
		t.Fatalf("it sends %v and waits %d times", out, len(s.homes[thing].Parked))
	}
	for range 2 {
		handle(t, e, out[0].Message)
	}
	j := s.homes[out[0].To].Job
	if j.Asker != thing || j.Pace.Count != 1 || len((&ota.Home{Job: j}).Revisions()) != 1 {
		t.Fatalf("the job is %+v", *j)
	}
	return j
}

func memberOf(j *ota.Job, d ota.DeviceID) ota.Message {
	return ota.Message{Event: ota.JobMember, Tenant: "main", Device: d, Home: ota.Ref{Tenant: "main", Type: ota.JobRef, ID: j.ID}}
}

// TestMembers: whatever is delivered twice is done once, by another process too.
func TestMembers(t *testing.T) {
	s := newShelf()
	const branch = "    - {node: write, with: {text: \"${device.id} ${vars.n} ${msg.values.a}\"}}\n"
	e := reaching(t, s, branch)
	j := begun(t, e, s)
	other := reaching(t, newShelf(), branch)
	other.Homes, other.Facts, other.Fresh = s, s, s
	for _, x := range []*Engine{e, other} {
		for _, d := range []ota.DeviceID{"d", "d2", "d3"} {
			s.faster = 1 // somebody else writes in between, once
			handle(t, x, memberOf(j, d))
		}
	}
	s.faster = 0
	for id, want := range map[ota.DeviceID]string{"d": "dev-1 d 5 b", "d2": "dev-d2 d2 5 b", "d3": "dev-d3 d3 5 b"} {
		if got := s.homes[ota.RefOf("main", id)].Device.Name; got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	if len(s.homes[thing].Parked) != 1 {
		t.Fatal("the run that began the job does not wait any more")
	}
	j.Begin()
	for i := range ota.Shards {
		j.End(i, 1, 0)
	}
	said := j.Tells()[0].Message
	stranger := said
	stranger.Job = &ota.Job{ID: "another"}
	for _, m := range []ota.Message{stranger, said, said} {
		handle(t, other, m)
	}
	if got := s.noted(); got != " d 5 b reached 256" || len(s.homes[thing].Parked) != 0 {
		t.Errorf("the run goes on to %q, and waits %d times", got, len(s.homes[thing].Parked))
	}
}

// TestMembersThatAreNone: a device that has left the target, and one that is gone.
func TestMembersThatAreNone(t *testing.T) {
	s := newShelf()
	e := reaching(t, s, "    - {node: write, with: {text: x}}\n")
	j := begun(t, e, s)
	s.homes[ota.RefOf("main", "d2")].Device.Profile = "another"
	for _, m := range []ota.Message{memberOf(j, "d2"), memberOf(j, "d9"), memberOf(&ota.Job{ID: "gone"}, "d3")} {
		if _, err := e.Handle(t.Context(), m); ota.CodeOf(err) != ota.NotFound {
			t.Errorf("%s: %v", m.Device, err)
		}
	}
	if got := s.homes[ota.RefOf("main", "d2")].Device.Name; got != "dev-d2" {
		t.Errorf("it was reached: %s", got)
	}
}

// TestMembersThatFail: a failure is told again when it is asked again, and only a
// fault of ours leaves a letter.
func TestMembersThatFail(t *testing.T) {
	for code, letters := range map[ota.Code]int{ota.Conflict: 0, ota.Invalid: 0, ota.Internal: 1} {
		s := newShelf()
		e := reaching(t, s, "    - {node: write, with: {text: x}}\n    - {node: boom, with: {code: "+string(code)+"}}\n")
		j := begun(t, e, s)
		dead := 0
		for range 2 {
			if _, err := e.Handle(t.Context(), memberOf(j, "d2")); ota.CodeOf(err) != ota.Conflict {
				t.Errorf("%s: %v", code, err)
			}
		}
		for _, turn := range s.turns {
			if d := turn.Dead; d != nil {
				dead++
				if d.Message.Event != ota.JobMember || d.Message.Device != "d2" || d.Message.Home.ID != j.ID || d.For != "x" {
					t.Errorf("the letter is about %+v", d.Message)
				}
			}
		}
		if h := s.homes[ota.RefOf("main", "d2")]; dead != letters || h.Device.Name != "dev-d2" {
			t.Errorf("%s: %d letters, and %s", code, dead, h.Device.Name)
		}
	}
}

// TestMembersThatAreBusy are tried again, and kept for people at the last try.
func TestMembersThatAreBusy(t *testing.T) {
	s := newShelf()
	e := reaching(t, s, "    - {node: boom, with: {code: busy}}\n")
	j := begun(t, e, s)
	m := memberOf(j, "d2")
	if _, err := e.Handle(t.Context(), m); ota.CodeOf(err) != ota.Busy {
		t.Errorf("the first time: %v", err)
	}
	m.Cause = ota.JobGivesUp
	for range 2 {
		if _, err := e.Handle(t.Context(), m); ota.CodeOf(err) != ota.Conflict {
			t.Errorf("the last time: %v", err)
		}
	}
	if d := s.last().Dead; d == nil || d.Message.Event != ota.JobMember {
		t.Errorf("the letter is %+v", d)
	}
	s.away = ota.Errorf(ota.Busy, "commit", "the store is away")
	if _, err := e.Handle(t.Context(), memberOf(j, "d3")); ota.CodeOf(err) != ota.Busy {
		t.Errorf("without a store: %v", err)
	}
}
