package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
)

// keptChains is a store of revisions, and counts who asks.
type keptChains struct {
	ota.Revisions

	mu    sync.Mutex
	kept  map[string]ota.ChainRevision
	asked int
	away  error
}

func (k *keptChains) KeptChain(_ context.Context, digest string) (ota.ChainRevision, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	r, ok := k.kept[digest]
	if k.away == nil && !ok {
		return r, ota.Errorf(ota.NotFound, "read revision", "there is none")
	}
	return r, k.away
}

func (k *keptChains) keep(c *Chain) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept == nil {
		k.kept = map[string]ota.ChainRevision{}
	}
	k.kept[c.Digest] = ota.ChainRevision{Chain: c.Name, Digest: c.Digest, Files: c.Files()}
}

const callee = "chain: sub\nsummary: A test.\ntrigger: call\nsteps: [{node: move, with: {state: UPDATING}}]\n"

func waits(step string) string {
	return head + "steps:\n  - {node: wait, with: {for: 1h}}\n  - {node: call, name: " + step + ", with: {chain: sub}}\n"
}

// parkedIn makes an engine over a run that waits on an older revision than those
// that answer now, and a library that keeps it.
func parkedIn(t *testing.T, now ...string) (*Engine, *shelf, *keptChains, *Chain) {
	t.Helper()
	s := newShelf()
	old := testSet(t, Options{}, waits("first"), callee)
	e := New(old, Host{Homes: s, Facts: s, Fresh: s})
	if _, err := e.Handle(t.Context(), telemetry(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	kept := &keptChains{}
	kept.keep(old.Chain("x"))
	e.Library = NewLibrary(kept, testRegistry(t), Options{})
	e.Use(testSet(t, Options{}, now...))
	s.now = s.now.Add(time.Hour)
	return e, s, kept, old.Chain("x")
}

func resume(t *testing.T, e *Engine) error {
	t.Helper()
	_, err := e.Handle(t.Context(), ota.Message{Event: ota.Due, Tenant: "main", Home: thing, Key: "r:1"})
	return err
}

// TestParkedKeepsItsRevision: chains were changed while a run waited, and so was
// the chain that it is about to call.
func TestParkedKeepsItsRevision(t *testing.T) {
	for name, now := range map[string][]string{
		"changed": {waits("second"), strings.Replace(callee, "UPDATING", "FAILED", 1)},
		"gone":    {callee},
	} {
		t.Run(name, func(t *testing.T) {
			e, s, _, _ := parkedIn(t, now...)
			if err := resume(t, e); err != nil {
				t.Fatal(err)
			}
			if d := s.last().Dead; d != nil || s.device().Firmware.Update.State != ota.Updating || len(s.homes[thing].Parked) > 0 {
				t.Errorf("state %s, dead letter %+v", s.device().Firmware.Update.State, d)
			}
		})
	}
}

// TestParkedCannotGoOn: what cannot be loaded is kept for people, what may come
// back stays due.
func TestParkedCannotGoOn(t *testing.T) {
	t.Run("not kept", func(t *testing.T) {
		e, s, kept, old := parkedIn(t, callee)
		kept.kept = nil
		if err := resume(t, e); err != nil {
			t.Fatal(err)
		}
		d := s.last().Dead
		if d == nil || d.Chain != "x" || d.Digest != old.Digest || d.Step != "wait" || !strings.Contains(d.Reason, "there is none") || string(d.Message.Values) != `{"a":1}` {
			t.Errorf("%+v", d)
		}
		if len(s.homes[thing].Parked) > 0 {
			t.Error("it still waits")
		}
	})
	t.Run("its nodes are gone", func(t *testing.T) {
		e, s, kept, _ := parkedIn(t, callee)
		reg, err := NewRegistry(nil)
		if err != nil {
			t.Fatal(err)
		}
		e.Library = NewLibrary(kept, reg, Options{})
		if err := resume(t, e); err != nil {
			t.Fatal(err)
		}
		if d := s.last().Dead; d == nil || !strings.Contains(d.Reason, "there is no node wait") {
			t.Errorf("%+v", d)
		}
	})
	t.Run("no library", func(t *testing.T) {
		e, s, _, _ := parkedIn(t, callee)
		e.Library = nil
		if err := resume(t, e); err != nil || s.last().Dead == nil {
			t.Errorf("%v, %+v", err, s.last())
		}
	})
	t.Run("the store is away", func(t *testing.T) {
		e, s, kept, _ := parkedIn(t, callee)
		kept.away = ota.Errorf(ota.Busy, "read revision", "redis is away")
		if err := resume(t, e); ota.CodeOf(err) != ota.Busy || len(s.homes[thing].Parked) != 1 {
			t.Errorf("%v, parked %+v", err, s.homes[thing].Parked)
		}
		kept.away = nil
		if err := resume(t, e); err != nil || s.last().Dead != nil || len(s.homes[thing].Parked) > 0 {
			t.Errorf("it is back: %v, %+v", err, s.last())
		}
	})
}

// TestLibraryLoadsOnce: however many runs wait on a revision, it is read once,
// and no more than a bounded number stays.
func TestLibraryLoadsOnce(t *testing.T) {
	kept := &keptChains{}
	var all []*Chain
	for i := range libraryChains + 5 {
		c := testSet(t, Options{}, head+fmt.Sprintf("vars: {n: %d}\nsteps: [{node: move, with: {state: \"${vars.n > 0 ? 'FAILED' : 'UPDATED'}\"}}]\n", i)).Chain("x")
		kept.keep(c)
		all = append(all, c)
	}
	l := NewLibrary(kept, testRegistry(t), Options{})
	var wait sync.WaitGroup
	got := make([]*Chain, 8)
	for i := range got {
		wait.Go(func() {
			var err error
			if got[i], err = l.Chain(context.Background(), all[0].Digest); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, c := range got {
		if c != got[0] || c == nil || c.Digest != all[0].Digest {
			t.Errorf("it was made more than once: %p %p", c, got[0])
		}
	}
	if kept.asked != 1 {
		t.Errorf("it was read %d times", kept.asked)
	}
	for _, c := range all {
		if _, err := l.Chain(t.Context(), c.Digest); err != nil {
			t.Error(err)
		}
	}
	if n := len(l.byName); n > libraryChains || len(l.order) != n {
		t.Errorf("%d are held, in an order of %d", n, len(l.order))
	}
	other := all[1].Digest
	kept.kept[other] = ota.ChainRevision{Chain: "x", Digest: other, Files: all[2].Files()}
	if _, err := NewLibrary(kept, testRegistry(t), Options{}).Chain(t.Context(), other); ota.CodeOf(err) != ota.Invalid {
		t.Errorf("texts of another revision: %v", err)
	}
	kept.kept[other] = ota.ChainRevision{Chain: "x", Digest: other}
	if _, err := NewLibrary(kept, testRegistry(t), Options{}).Chain(t.Context(), other); ota.CodeOf(err) != ota.Invalid {
		t.Errorf("no texts: %v", err)
	}
}

// TestCompileActive: a chain in force as it was calls what it called then, the
// others what the files say.
func TestCompileActive(t *testing.T) {
	other := "chain: y\nsummary: A test.\ntrigger: connected\nsteps: [{node: call, with: {chain: sub}}]\n"
	was := testSet(t, Options{}, waits("first"), callee, other)
	files := sources(waits("second"), strings.Replace(callee, "UPDATING", "FAILED", 1), other)
	now, err := Compile(files, testRegistry(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	both, err := CompileActive(files, map[string][]ota.ChainFile{"x": was.Chain("x").Files()}, testRegistry(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"x": was.Chain("x").Digest, "y": now.Chain("y").Digest, "sub": now.Chain("sub").Digest} {
		c := both.Chain(name)
		if c.Digest != want || both.Revision(want) != c {
			t.Errorf("%s is %s, want %s", name, c.Digest, want)
		}
	}
	if c, _ := both.Answer(ota.Telemetry, "", ""); c != both.Chain("x") {
		t.Error("another chain answers")
	}
	clash := map[string][]ota.ChainFile{"y": {{Chain: "y", Name: "y.yaml", Text: strings.Replace(other, "connected", "telemetry", 1)}, was.Chain("sub").Files()[0]}}
	if _, err := CompileActive(files, clash, testRegistry(t), Options{}); len(FaultsOf(err)) == 0 {
		t.Errorf("two chains answer one event: %v", err)
	}
}
