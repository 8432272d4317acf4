package facts_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/facts"
	"github.com/windlass-ota/windlass/store/redis"
	"github.com/windlass-ota/windlass/store/redis/redistest"
)

// What one process commits another sees long before its copies are old.
func TestProcessesTellEachOther(t *testing.T) {
	c := redistest.Single(t)
	type process struct {
		*facts.Copies
		s *redis.Store
	}
	var listening sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer listening.Wait()
	defer cancel()
	open := func(name string) process {
		s := redis.New(c)
		t.Cleanup(func() { s.Close() })
		bus, err := redis.NewBus(s, name)
		if err != nil {
			t.Fatal(err)
		}
		copies := facts.New(s, facts.Options{Process: name, Tell: bus.Tell, Age: time.Hour})
		t.Cleanup(copies.Close)
		bus.OnDrop(func(refs []ota.Ref) { copies.Drop(refs...) })
		listening.Go(func() { _ = bus.Listen(ctx, func([]ota.Reply) {}) })
		return process{copies, s}
	}
	a, b := open("a"), open("b")
	// set commits what change does to a home, until b sees the effect: what is
	// said before b listens is lost.
	set := func(h *ota.Home, change func(), seen func() bool) {
		t.Helper()
		redistest.Eventually(t, func(ctx context.Context) error {
			change()
			if err := a.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
				return err
			}
			for range 50 {
				if seen() {
					return nil
				}
				<-time.After(time.Millisecond)
			}
			return ota.Errorf(ota.Busy, "wait", "b does not see it")
		})
	}
	p := &ota.Home{Ref: ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: ota.NewID()}}
	p.Profile = &ota.Profile{ID: ota.ProfileID(p.Ref.ID), Tenant: "main", Name: "pumps"}
	id, err := a.s.NewDevice(t.Context(), "main", "d")
	if err != nil {
		t.Fatal(err)
	}
	d := &ota.Home{Ref: ota.RefOf("main", id), Device: &ota.Device{ID: id, Tenant: "main", Name: "d", Credentials: ota.Credentials{Token: "old"}, Profile: p.Profile.ID}}
	d.Device.Sessions = []ota.Session{{ID: ota.SessionID{Process: "b", Num: 1}}}
	for _, h := range []*ota.Home{p, d} {
		if err := a.Commit(t.Context(), &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Get(t.Context(), h.Ref); err != nil { // b has a copy
			t.Fatal(err)
		}
	}
	if _, err := b.ByKey(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	set(p, func() { p.Profile.Owner = "somebody" }, func() bool {
		h, err := b.Get(t.Context(), p.Ref)
		return err == nil && h.Profile.Owner == "somebody"
	})
	set(d, func() { d.Device.Credentials.Token = "new" }, func() bool {
		_, err := b.ByKey(t.Context(), "old")
		return ota.CodeOf(err) == ota.NotFound
	})
}
