package chaintest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/windlass-ota/windlass/ota"
	"github.com/windlass-ota/windlass/store/storetest"
)

// suited is a store in the suite's hands.
type suited struct{ *store }

// NewDevice implements [storetest.Store].
func (s suited) NewDevice(context.Context, ota.TenantID, string) (ota.DeviceID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return ota.NewDeviceID(int(s.made%ota.Shards), s.made), nil //nolint:gosec // a few
}

// TestStore holds the store of a world to what every store is held to.
func TestStore(t *testing.T) {
	s := newStore(noon)
	storetest.Homes(t, storetest.Harness{
		Store: suited{s},
		Check: func(context.Context) error { return recount(s) },
		Hold: func(_ context.Context, l ota.Lease) error {
			s.leases[slot{l.Tenant, l.Shard}] = l
			return nil
		},
		RaiseShard: func(_ context.Context, t ota.TenantID, shard int, rev int64) error {
			s.revision[slot{t, shard}] = rev
			return nil
		},
		Entry: func(_ ota.Ref, key string) string { return key },
	})
}

// recount compares what follows from the homes with what is kept of it.
func recount(s *store) error {
	fresh := newStore(noon)
	for _, r := range s.order {
		h := s.homes[r]
		fresh.count(h, 1)
		for _, name := range h.Names() {
			if s.names[keyOf(h, name)] != r {
				return fmt.Errorf("the name %s leads to %v, not to %v", name, s.names[keyOf(h, name)], r)
			}
		}
	}
	for k, n := range s.counts {
		if fresh.counts[k] != n {
			return fmt.Errorf("%v: %d are counted, there are %d", k, n, fresh.counts[k])
		}
	}
	for k, n := range fresh.counts {
		if s.counts[k] != n {
			return fmt.Errorf("%v: %d are counted, there are %d", k, s.counts[k], n)
		}
	}
	return nil
}

func TestTake(t *testing.T) {
	s := newStore(noon)
	storetest.Rates(t, s, s)
	take := func(at time.Duration, p ota.Pace, burst int, want time.Duration) {
		t.Helper()
		s.move(noon.Add(at))
		if wait, err := s.Take(t.Context(), "main", "a", p, burst); err != nil || wait != want {
			t.Errorf("at %v: %v, %v, want %v", at, wait, err, want)
		}
	}
	six := ota.Pace{Count: 10, Every: time.Hour} // a token every six minutes
	for range 3 {
		take(0, six, 3, 0)
	}
	take(0, six, 3, 6*time.Minute)
	take(time.Minute, six, 3, 5*time.Minute)
	take(6*time.Minute, six, 3, 0)
	take(6*time.Minute, six, 3, 6*time.Minute)
	take(6*time.Minute, six, 4, 0)             // a larger bucket
	take(6*time.Minute, six, 1, 6*time.Minute) // a smaller one holds nobody up for longer than its size
	take(3*time.Hour, ota.Pace{}, 1, 0)        // unlimited
	if _, err := s.Take(t.Context(), "main", "a", ota.Pace{Every: time.Hour}, 1); ota.CodeOf(err) != ota.Invalid {
		t.Errorf("no pace at all: %v", err)
	}
}
