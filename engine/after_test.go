package engine

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/windlass-ota/windlass/ota"
)

type noteConfig struct {
	Text Text `yaml:"text"`
}

// note writes down a text after the commit.
func note(to *[]string) Factory {
	return Define(Spec{Name: "note", Outlets: []Outlet{{Name: "done"}}}, noteConfig{}, func(c noteConfig) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			s, err := c.Text.Get(r)
			r.After(func() { *to = append(*to, s) })
			return "done", err
		}), nil
	})
}

// bury keeps the run for people.
func bury() Factory {
	return Define(Spec{Name: "bury", Writes: true, Sets: []Root{ProofReplied}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			r.Dead("nobody knows this device")
			return "", nil
		}), nil
	})
}

// see makes another device the root device.
func see() Factory {
	return Define(Spec{Name: "see", Outlets: []Outlet{{Name: "seen", Sets: []Root{RootDevice}}}}, struct{}{}, func(struct{}) (Node, error) {
		return nodeFunc(func(_ context.Context, r *Run) (string, error) {
			r.See(&ota.Device{ID: "other", Name: "dev-2"}, &ota.Profile{Name: "valve"})
			return "seen", nil
		}), nil
	})
}

func afterRegistry(t *testing.T, notes *[]string) *Registry {
	t.Helper()
	reg, err := NewRegistry([]Factory{note(notes), bury(), see(), move(), boom(), say()})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestAfter(t *testing.T) {
	asked := "chain: x\nsummary: A test.\ntrigger: rpc_requested\n"
	tests := []struct {
		name, chain string
		faster      int
		event       ota.Event
		want        []string
	}{
		{"a move", head + "steps: [{node: move, with: {state: UPDATING}}, {node: note, with: {text: a}}, {node: note, name: b, with: {text: b}}]\n", 0, ota.Telemetry, []string{"a", "b"}},
		{"once, whoever was faster", head + "steps: [{node: move, with: {state: UPDATING}}, {node: note, with: {text: a}}]\n", 2, ota.Telemetry, []string{"a"}},
		{"not where the run fails", head + "steps: [{node: move, with: {state: UPDATING}}, {node: note, with: {text: a}}, {node: boom}]\n", 0, ota.Telemetry, nil},
		{"an ask", asked + "steps: [{node: note, with: {text: a}}, {node: say, with: {text: here}}]\n", 0, ota.RPCRequested, []string{"a"}},
	}
	for _, x := range tests {
		t.Run(x.name, func(t *testing.T) {
			var notes []string
			set, err := Compile(sources(x.chain), afterRegistry(t, &notes), Options{})
			if err != nil {
				t.Fatal(FaultsOf(err).Text())
			}
			s := newShelf()
			s.faster = x.faster
			e := New(set, Host{Homes: s, Facts: s, Fresh: s, Sender: s, Log: slog.New(slog.DiscardHandler)})
			_, _ = e.Handle(t.Context(), ota.Message{Event: x.event, Tenant: "main", Device: "d", Values: []byte(`{}`)})
			if !slices.Equal(notes, x.want) {
				t.Errorf("said %q, want %q", notes, x.want)
			}
		})
	}
}

func TestDead(t *testing.T) {
	for event, replies := range map[ota.Event]int{ota.Telemetry: 0, ota.RPCRequested: 1} {
		set, err := Compile(sources("chain: x\nsummary: A test.\ntrigger: "+string(event)+"\nsteps: [{node: move, with: {state: UPDATING}}, {node: bury, name: last}]\n"), afterRegistry(t, nil), Options{})
		if err != nil {
			t.Fatal(FaultsOf(err).Text())
		}
		s := newShelf()
		e := New(set, Host{Homes: s, Facts: s, Fresh: s, Sender: s, Log: slog.New(slog.DiscardHandler)})
		said, err := e.Handle(t.Context(), ota.Message{Event: event, Tenant: "main", Device: "d", Values: []byte(`{}`)})
		if err != nil || len(said) != replies || replies > 0 && said[0].Code != ota.Internal {
			t.Errorf("%s: %+v, %v", event, said, err)
		}
		d := s.last().Dead
		if d == nil || d.Chain != "x" || d.Step != "last" || d.Reason != "nobody knows this device" || d.Message.Event != event {
			t.Errorf("%s: dead letter %+v", event, d)
		}
		if got := s.device().Firmware.Update.State; got != ota.Updating {
			t.Errorf("%s: the run's change is gone: %s", event, got)
		}
		if got := e.Counts().Deads.Load(); got != 1 {
			t.Errorf("%s: %d dead letters counted", event, got)
		}
	}
}

// TestSee: expressions see the other device, and nodes stay with their own.
func TestSee(t *testing.T) {
	set, err := Compile(sources(head+"steps: [{node: see}, {node: move, with: {state: UPDATING}}, {node: say, with: {text: \"${device.name} ${device.profile} ${update.state} ${device.attributes.server.site ?? 'nowhere'}\"}}]\n"), afterRegistry(t, nil), Options{})
	if err != nil {
		t.Fatal(FaultsOf(err).Text())
	}
	s := newShelf()
	s.Facts = testFacts{}
	r := set.Chain("x").Try(t.Context(), telemetry(`{}`), s.homes[thing].Clone(), s, testTime)
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if got := string(r.Replies[0].Body); got != "dev-2 valve UPDATING north" {
		t.Errorf("said %q", got)
	}
	if got := r.Home.Device.Firmware.Update.State; got != ota.Updating {
		t.Errorf("the run's own update is %s", got)
	}
}

// A device that was found is not what the run is about.
func TestSeeIsNoSubject(t *testing.T) {
	_, err := Compile(sources("chain: x\nsummary: A test.\ntrigger: scheduled\nsteps: [{node: see}, {node: move, with: {state: UPDATING}}]\n"), afterRegistry(t, nil), Options{})
	if f := FaultsOf(err); len(f) != 1 || f[0].Rule != ruleWrongSubject {
		t.Errorf("faults:\n%s", f.Text())
	}
}

func TestCheckVersions(t *testing.T) {
	for ranges, bad := range map[string]bool{"*": false, ">= 1.0, < 2": false, "^1.2 || ~1.0": false, "1.x": false, "=> 1": true, "1.0 || >": true, "": false} {
		if err := CheckVersions(ranges); (err != nil) != bad {
			t.Errorf("%q: %v", ranges, err)
		}
	}
	for v, want := range map[string]bool{"1.9.9.9": true, "2.0.0.1": false, "1.0": true, "0.9.0.12": false} {
		if in, err := VersionIn(v, ">= 1.0 < 2"); err != nil || in != want {
			t.Errorf("%s in >= 1.0 < 2: %v, %v", v, in, err)
		}
	}
	if CompareVersions("1.2.3.4", "1.2.3.10") >= 0 {
		t.Error("1.2.3.4 is not before 1.2.3.10")
	}
}
