package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/windlass-ota/windlass/engine"
	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

const slowFirst = `chain: slow
summary: Waits an hour, then says so.
trigger: rollout
steps:
  - {node: run_stage, name: everyone, with: {share: 100%, timeout: 1h}, to: {timed_out: over}}
branches:
  over: [{node: call, name: tell, with: {chain: sub}}]
`

// slowSecond has the step under another name, and calls nothing.
var slowSecond = strings.NewReplacer("everyone", "all_of_them", "{node: call, name: tell, with: {chain: sub}}", "{node: raise_alarm, with: {key: late, message: by the second}}").Replace(slowFirst)

func telling(by string) string {
	return "chain: sub\nsummary: Tells.\ntrigger: call\nsteps: [{node: raise_alarm, with: {key: late, message: by the " + by + "}}]\n"
}

// waiting is a rollout whose conductor waits, in a real store whose clock a test
// moves.
type waiting struct {
	*process
	redis   *miniredis.Miniredis
	store   *redis.Store
	now     time.Time
	rollout ota.Ref
}

func newWaiting(t *testing.T) *waiting {
	t.Helper()
	c, m := redistest.Memory(t)
	w := &waiting{redis: m, store: redis.New(c), now: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}
	t.Cleanup(func() { _ = w.store.Close() })
	w.pass(0)
	w.process = newProcess(t, w.store, slowFirst, telling("first"))
	pkg := &ota.Home{Ref: ota.Ref{Tenant: "main", Type: ota.PackageRef, ID: "k"}, Package: &ota.Package{
		ID: "k", Tenant: "main", Kind: ota.Firmware, Profile: "p", Version: ota.Version{Title: "app", Version: "1"}, URL: "https://example.org/a", Ready: true,
	}}
	profile := &ota.Home{Ref: ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: "p"}, Profile: &ota.Profile{ID: "p", Tenant: "main", Name: "pump"}}
	for _, h := range []*ota.Home{pkg, profile} {
		if err := w.store.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
			t.Fatal(err)
		}
	}
	done, err := ota.Wishes{Homes: w.store, Facts: w.store, Chain: "rollout"}.Assign(t.Context(), ota.Wish{Tenant: "main", Package: pkg.Ref, Target: profile.Ref, By: "ann", Chain: "slow"})
	if err != nil {
		t.Fatal(err)
	}
	w.rollout = ota.Ref{Tenant: "main", Type: ota.RolloutRef, ID: string(done.Rollout)}
	w.due()
	if h := w.home(); len(h.Parked) != 1 || h.Rollout.Revision != w.digest("slow") || h.Parked[0].Digest != h.Rollout.Revision {
		t.Fatalf("%+v, parked %+v", h.Rollout, h.Parked)
	}
	return w
}

// pass moves the store's clock.
func (w *waiting) pass(d time.Duration) {
	w.now = w.now.Add(d)
	w.redis.SetTime(w.now)
	if err := w.store.SyncClock(context.Background()); err != nil {
		panic(err)
	}
}

func (w *waiting) home() *ota.Home {
	w.t.Helper()
	h, err := w.store.Load(w.t.Context(), w.rollout)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// due does what the rollout has coming by now, as its owner would.
func (w *waiting) due() {
	w.t.Helper()
	e := engine.New(w.set(), engine.Host{Homes: w.store, Facts: w.store, Fresh: w.store, Log: slog.New(slog.DiscardHandler), Library: engine.NewLibrary(w.store, w.reg, w.opts)})
	for _, d := range w.home().Dues() {
		if d.At.After(w.store.Now()) {
			continue
		}
		if _, err := e.Handle(w.t.Context(), ota.Message{Event: ota.Due, Tenant: "main", Home: w.rollout, Key: d.Key}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestAParkedRunEndsOnItsSteps: a rollout's conductor waits while its chain and
// the one that it calls are changed, in one process and over a restart; a new
// rollout is conducted by the new one.
func TestAParkedRunEndsOnItsSteps(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWaiting(t)
		was := w.digest("slow")
		if restart {
			w.put(slowSecond, telling("second"))
			w.start()
		} else {
			w.change(slowSecond, telling("second"))
		}
		if w.digest("slow") == was || w.home().Rollout.Revision != was {
			t.Error("the chain has not changed, or the rollout's has")
		}
		all, err := w.Revisions(t.Context(), "slow")
		if err != nil || len(all) != 2 || all[1].Waiting != 1 || all[0].Waiting != 0 {
			t.Errorf("%v, %+v", err, all)
		}
		w.due()
		if len(w.home().Parked) != 1 {
			t.Fatal("it went on too soon")
		}
		w.pass(time.Hour + time.Minute)
		w.due()
		h := w.home()
		if len(h.Parked) != 0 || len(h.Alarms) != 1 || h.Alarms[0].Message != "by the first" {
			t.Errorf("restart %v: parked %+v, alarms %+v", restart, h.Parked, h.Alarms)
		}
		if r, err := w.store.Check(t.Context()); err != nil || r.Err() != nil {
			t.Error(err, r.Err())
		}
	}
}

// TestAParkedRunThatCannotGoOn is named when the server starts, and is kept for
// people when it is due.
func TestAParkedRunThatCannotGoOn(t *testing.T) {
	w := newWaiting(t)
	was := w.digest("slow")
	w.put(slowSecond)
	w.start()
	w.redis.Del("{chains}:rev:" + was)
	library := engine.NewLibrary(w.store, w.reg, w.opts)
	if err := w.nameLost(t.Context(), library); err != nil || !strings.Contains(w.said.String(), "runs wait on a revision of a chain that cannot be loaded") || !strings.Contains(w.said.String(), was) {
		t.Errorf("%v: %s", err, w.said)
	}
	w.pass(time.Hour + time.Minute)
	w.due()
	letters, err := w.store.DeadLetters(t.Context(), "main", 10)
	if err != nil || len(letters) != 1 {
		t.Fatal(err, letters)
	}
	if d := letters[0]; d.Chain != "slow" || d.Digest != was || d.Step != "everyone" || d.For != "slow" || !strings.Contains(d.Reason, "go on with revision "+was+" of chain slow: ") {
		t.Errorf("%+v", d)
	}
	if len(w.home().Parked) != 0 {
		t.Error("it still waits")
	}
}
