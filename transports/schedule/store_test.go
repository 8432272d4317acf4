package schedule

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/redis"
	"github.com/windlass-ota/windlass/store/redis/redistest"
	"github.com/windlass-ota/windlass/transports"
)

// house answers as the shipped chains would, in the fewest words: a decision
// queues the profile's package, an offer begins it, a time-out fails it.
type house struct {
	s   *redis.Store
	pkg *ota.Package

	mu    sync.Mutex
	times map[string]int // of each event, by device
}

func (h *house) Handle(ctx context.Context, m ota.Message) ([]ota.Reply, error) {
	ref := m.Home
	if m.Device != "" {
		ref = ota.RefOf(m.Tenant, m.Device)
	}
	home, err := h.s.Load(ctx, ref)
	if err != nil {
		return nil, err
	}
	now := h.s.Now()
	t := &ota.Turn{ID: ota.NewTurnID(), Was: home.Clone(), Home: home, Began: m.Began}
	what := string(m.Event)
	switch m.Event {
	case ota.Decide:
		home.Device.Updates++
		home.Device.Firmware.Enqueue(h.pkg, fmt.Sprint(home.Device.Updates), "", "", now)
	case ota.OfferDue:
		if err := home.Device.Track(m.Kind).Initiate(50*time.Millisecond, now); err != nil {
			return nil, err
		}
	case ota.Due:
		w := home.Work(m.Key, now)
		what += " " + w.What
		switch w.What {
		case ota.DueTimeout:
			home.Device.Track(w.Kind).Fail("no word", true, now)
		case ota.DueEvent:
			home.Drop(w.Pending.Num)
			if r := home.Rollout; r != nil {
				r.Quota, r.Mark = 1, 1
			}
		}
	}
	if err := h.s.Commit(ctx, t); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.times[what+" "+ref.String()]++
	return nil, nil
}

// TestOverTheStore takes a profile's devices from the assignment to the end of
// their updates, by nothing but what the store has due.
func TestOverTheStore(t *testing.T) {
	const devices = 40
	c, _ := redistest.Memory(t)
	s := redis.New(c)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	owner, err := redis.NewOwner(s, "p1")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	commit := func(h *ota.Home) {
		t.Helper()
		if err := s.Commit(ctx, &ota.Turn{ID: ota.NewTurnID(), Home: h}); err != nil {
			t.Fatal(err)
		}
	}
	profile := ota.Ref{Tenant: "main", Type: ota.ProfileRef, ID: ota.NewID()}
	commit(&ota.Home{Ref: profile, Profile: &ota.Profile{ID: ota.ProfileID(profile.ID), Tenant: "main", Name: "pump", Created: s.Now()}})
	pkg := &ota.Package{
		ID: ota.PackageID(ota.NewID()), Tenant: "main", Profile: ota.ProfileID(profile.ID), Kind: ota.Firmware, Version: ota.Version{Title: "pump", Version: "2"},
		URL: "https://example.com/fw", Created: s.Now(), Ready: true,
	}
	pref := ota.Ref{Tenant: "main", Type: ota.PackageRef, ID: string(pkg.ID)}
	commit(&ota.Home{Ref: pref, Package: pkg})
	for i := range devices {
		name := fmt.Sprint("d", i)
		id, err := s.NewDevice(ctx, "main", name)
		if err != nil {
			t.Fatal(err)
		}
		commit(&ota.Home{Ref: ota.RefOf("main", id), Device: &ota.Device{ID: id, Tenant: "main", Name: name, Profile: pkg.Profile, Credentials: ota.Credentials{Token: ota.NewID()}, Created: s.Now()}})
	}

	h := &house{s: s, pkg: pkg, times: map[string]int{}}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- New(Config{}, Deps{Owner: owner, Homes: s, Log: slog.New(slog.DiscardHandler)}).Serve(serving, transports.Handler(h))
	}()
	if _, err := (ota.Wishes{Homes: s, Facts: s, Chain: "rollout"}).Assign(ctx, ota.Wish{Tenant: "main", Package: pref, Target: profile, By: "test"}); err != nil {
		t.Fatal(err)
	}
	failed := func() int64 {
		n, err := s.Counts(ctx, "main", ota.Firmware, "")
		if err != nil {
			t.Fatal(err)
		}
		return n[ota.Failed]
	}
	for late := time.After(60 * time.Second); failed() < devices; {
		select {
		case <-late:
			t.Fatalf("%d of %d updates have ended; %v", failed(), devices, h.times)
		case <-time.After(20 * time.Millisecond):
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	offers := 0
	for what, n := range h.times {
		if strings.HasPrefix(what, string(ota.OfferDue)) {
			offers += n
		}
		if n > 1 && !strings.HasPrefix(what, string(ota.Decide)) {
			t.Errorf("%s: done %d times", what, n)
		}
	}
	if offers != devices {
		t.Errorf("%d offers, want %d", offers, devices)
	}
}
